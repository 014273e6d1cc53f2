/* A real waybill-ra and a profile of which a device may have two certificates at
 * a time: with one more, the one that it was asked with goes, then the oldest. */
#include "tests/unit/ra_ldevid.h"

#define PROFILE "two"

/* What it answers to cr or kur, as entry `id`. */
static struct cmp_msg *
further(struct site *s, uint64_t id, const struct signer *by,
    enum cmp_body type, bool implicit, EVP_PKEY *key)
{
	struct buf body AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
	struct buf answer AUTO_BUF = { 0 };
	const X509_NAME *name = X509_get_subject_name(by->cert);
	uint8_t tid[CMP_TID_LEN];
	struct cmp_head h = { .transaction_id = bytes_of(tid, sizeof(tid)),
		.implicit_confirm = implicit,
		.profile = PROFILE };
	struct err e = ERR_INIT;
	char reason[160] = "";

	random_bytes(tid, sizeof(tid));
	if ((type == CMP_KUR
		    ? cmp_body_kur(key, name, by->cert, &body, &e)
		    : cmp_body_certreq(type, key, name, &body, &e)) == -1 ||
	    cmp_build(&h, buf_bytes(&body), by, NULL, &octets, &e) == -1)
		fail_msg("%s", e.msg);
	assert_int_equal(site_put(s, id, &octets), BATCH_STORED);
	if (site_answer(s, id, &answer, reason) != BATCH_ANSWERED)
		fail_msg("entry %u: %s", (unsigned)id, reason);
	return lab_parse(buf_bytes(&answer));
}

static struct signer *
holder(const struct cmp_msg *answer, EVP_PKEY *key)
{
	struct cmp_response r = { 0 };
	struct err e = ERR_INIT;
	struct signer *s;

	assert_int_equal(cmp_read_response(answer, &r, &e), 0);
	assert_non_null(r.cert);
	s = ldevid(r.cert, key);
	cmp_response_done(&r);
	return s;
}

/* One more, at once. */
static struct signer *
more(struct site *s, uint64_t id, const struct signer *by, enum cmp_body type)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(cmp_msg) m = further(s, id, by, type, true, key);

	return holder(m, key);
}

/* The first of this profile; entry 1. */
static struct signer *
joined(struct site *s)
{
	struct lab_ask a = { .cn = "pump", .profile = PROFILE };
	struct buf request AUTO_BUF = { 0 }, answer AUTO_BUF = { 0 };
	AUTO(X509) cert = NULL;

	service_start(CLOCK);
	site_open(s);
	cert = enrol(s, 1, &a, &request, &answer);
	return ldevid(cert, lab->key);
}

/* A genm by it is answered; of what is revoked it is not. */
static void
expect_stands(struct site *s, uint64_t id, const struct signer *by, bool stands)
{
	struct buf body AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;

	cmp_body_info(CMP_GENM, CMP_INFO_CA_CERTS, bytes_of(NULL, 0), &body);
	m = exchange(
	    s, id, by, NULL, &body, stands ? BATCH_ANSWERED : BATCH_REFUSED);
	assert_int_equal(cmp_body(m), stands ? CMP_GENP : CMP_ERROR);
}

/* ---- at once ----------------------------------------------------------- */

static void
test_one_more(void **state)
{
	AUTO(signer) a = NULL;
	AUTO(signer) b = NULL;
	AUTO(signer) c = NULL;
	AUTO(signer) d = NULL;
	struct site s;

	(void)state;
	a = joined(&s);
	b = more(&s, 2, a, CMP_CR);
	expect_stands(&s, 3, a, true);
	expect_stands(&s, 4, b, true);
	c = more(&s, 5, a, CMP_CR);
	expect_stands(&s, 6, a, false);
	expect_stands(&s, 7, b, true);
	/* Not the oldest: the one that it takes the place of. */
	d = more(&s, 8, c, CMP_KUR);
	expect_stands(&s, 9, c, false);
	expect_stands(&s, 10, b, true);
	expect_stands(&s, 11, d, true);
	listed(a->cert);
	listed(c->cert);
	site_close(&s);
}

/* Who joins once more has nothing to be replaced: the oldest goes. */
static void
test_joins_again(void **state)
{
	AUTO(signer) a = NULL;
	AUTO(signer) b = NULL;
	AUTO(signer) c = NULL;
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(cmp_msg) m = NULL;
	struct site s;

	(void)state;
	a = joined(&s);
	b = more(&s, 2, a, CMP_CR);
	m = further(&s, 3, lab->device, CMP_IR, true, key);
	c = holder(m, key);
	expect_stands(&s, 4, a, false);
	expect_stands(&s, 5, b, true);
	expect_stands(&s, 6, c, true);
	site_close(&s);
}

/* ---- when it is confirmed ---------------------------------------------- */

static void
confirm(struct site *s, uint64_t id, uint64_t parent, const struct signer *by,
    const struct cmp_msg *answer, X509 *cert, bool accept)
{
	struct buf body AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
	struct buf out AUTO_BUF = { 0 }, pkiconf AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct lab_entry en;
	struct cmp_head h;
	char reason[160];

	cmp_head_reply(answer, &h);
	cmp_body_certconf(0, cert, accept, "no room", &body);
	if (cmp_build(&h, buf_bytes(&body), by, NULL, &octets, &e) == -1)
		fail_msg("%s", e.msg);
	lab_wrap(lab, lab->registrar, s->name, id, buf_bytes(&octets), &en);
	en.h.step = 1;
	en.h.parent = parent;
	lab_entry_sign(&en, lab->registrar);
	frame_put(++s->tag, buf_bytes(&en.header), buf_bytes(&en.octets),
	    buf_bytes(&en.sig), &out);
	assert_int_equal(site_put_frame(s, id, &out), BATCH_STORED);
	lab_entry_done(&en);
	assert_int_equal(site_answer(s, id, &pkiconf, reason), BATCH_ANSWERED);
}

static void
test_confirmed(void **state)
{
	AUTO(signer) a = NULL;
	AUTO(signer) b = NULL;
	AUTO(signer) c = NULL;
	AUTO(signer) d = NULL;
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(cmp_msg) m = NULL;
	AUTO(cmp_msg) again = NULL;
	struct site s;

	(void)state;
	a = joined(&s);
	b = more(&s, 2, a, CMP_CR);
	m = further(&s, 3, b, CMP_KUR, false, key);
	c = holder(m, key);
	/* Until it is confirmed both do. */
	expect_stands(&s, 4, b, true);
	confirm(&s, 5, 3, b, m, c->cert, false);
	expect_stands(&s, 6, a, true);
	expect_stands(&s, 7, b, true);
	expect_stands(&s, 8, c, false);
	again = further(&s, 9, b, CMP_KUR, false, key);
	d = holder(again, key);
	confirm(&s, 10, 9, b, again, d->cert, true);
	expect_stands(&s, 11, a, true);
	expect_stands(&s, 12, b, false);
	expect_stands(&s, 13, d, true);
	site_close(&s);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_more),
		TEST(test_joins_again),
		TEST(test_confirmed),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: test_ra_live WAYBILL-RA\n");
		return 2;
	}
	program = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
