/* LDevIDs on the domain's list of revoked certificates, as reference data tells
 * it: who of them asks anew is refused, link up or down. */
#include "tests/unit/reference_lab.h"

#include "registrar/reference.h"

#define DAY 86400

static struct signer *ldevid, *other;

static int
setup(void **state)
{
	int rc = reg_lab_setup(state);
	struct reg_lab *g = *state;

	ldevid = lab_device(&g->l->ca, "WB-0001");
	other = lab_device(&g->l->ca, "WB-0002");
	return rc;
}

static int
teardown(void **state)
{
	signer_free(ldevid);
	signer_free(other);
	return reg_lab_teardown(state);
}

static void
request_of(struct reg_lab *g, enum cmp_body type, const struct signer *s,
    struct buf *out)
{
	X509_NAME *name = X509_get_subject_name(s->cert);
	struct buf body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	int rc = 0;

	if (type == CMP_RR)
		cmp_body_rr(s->cert, 1, &body);
	else if (type == CMP_GENM)
		cmp_body_info(
		    CMP_GENM, CMP_INFO_CA_CERTS, bytes_of(NULL, 0), &body);
	else if (type == CMP_KUR)
		rc = cmp_body_kur(g->l->key, name, s->cert, &body, &e);
	else
		rc = cmp_body_certreq(type, g->l->key, name, &body, &e);
	if (rc == -1)
		fail_msg("%s", e.msg);
	reg_first(s, buf_bytes(&body), out);
}

static struct cmp_msg *
asks(struct reg_lab *g, enum cmp_body type, const struct signer *s,
    const struct signer *client)
{
	struct buf request AUTO_BUF = { 0 };

	request_of(g, type, s, &request);
	return reg_cmp(g, client, &request);
}

/* The list of this CA with this certificate, from `made` on. */
static void
put_on_list(struct reg_lab *g, const struct lab_ca *by, X509 *x, uint64_t made)
{
	struct buf crl AUTO_BUF = { 0 };

	lab_crl(by, x, made, made + DAY, &crl);
	ref_publish(g, "crl", buf_bytes(&crl));
}

static const char *
fact_of(struct reg_lab *g, uint64_t id)
{
	static char value[FACT_VALUE_MAX];
	struct outbox_octets x = { 0 };
	struct err e = ERR_INIT;
	const struct fact *f;

	assert_int_equal(outbox_octets(g->r.outbox, id, &x, &e), 0);
	f = facts_get(&x.facts, "revocation");
	str_copy(value, sizeof(value), f != NULL ? f->value : "none");
	outbox_octets_done(&x);
	return value;
}

/* RFC 9483 3.5; 4.2 */
static const struct {
	enum cmp_body type, answer;
	uint32_t fail;
} kinds[] = {
	{ CMP_CR, CMP_ERROR, CMP_SIGNER_NOT_TRUSTED },
	{ CMP_KUR, CMP_ERROR, CMP_SIGNER_NOT_TRUSTED },
	{ CMP_RR, CMP_RP, CMP_CERT_REVOKED },
	{ CMP_GENM, CMP_ERROR, CMP_SIGNER_NOT_TRUSTED },
};

static void
who_is_revoked_is_refused_here(void **state)
{
	struct reg_lab *g = *state;
	const uint8_t certs[] = { 0x30, 0x00 };

	reg_start(g, NULL);
	put_on_list(g, &g->l->ca, ldevid->cert, clock_now().time - 60);
	/* With and without something to tell to a genm. */
	for (size_t n = 0; n < 2; n++) {
		ref_restart(g, NULL);
		for (size_t i = 0; i < NELEMS(kinds); i++) {
			AUTO(cmp_msg) m =
			    asks(g, kinds[i].type, ldevid, ldevid);

			reg_expect_rejected(cmp_body_name(kinds[i].type), m,
			    kinds[i].answer, 0, kinds[i].fail, "revoked");
			assert_int_equal(reg_next_id(g), 1);
		}
		ref_publish(g, "ca-certs", bytes_of(certs, sizeof(certs)));
	}
	/* And nobody else. */
	AUTO(cmp_msg) m = asks(g, CMP_KUR, other, other);
	reg_expect_waiting(m, CMP_KUP, 0);
	assert_string_equal(fact_of(g, 1), "good");
}

static void
nobody_is_asked_about_without_a_list(void **state)
{
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	AUTO(cmp_msg) m = asks(g, CMP_KUR, ldevid, ldevid);
	reg_expect_waiting(m, CMP_KUP, 0);
	assert_string_equal(fact_of(g, 1), "none");
}

/* An rr ends what it is signed with, and its answer is still told. */
static void
what_was_asked_before_is_answered(void **state)
{
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 }, poll AUTO_BUF = { 0 };

	reg_start(g, NULL);
	request_of(g, CMP_RR, ldevid, &request);
	AUTO(cmp_msg) a = reg_cmp(g, ldevid, &request);
	reg_expect_waiting_error(a);
	put_on_list(g, &g->l->ca, ldevid->cert, clock_now().time - 60);
	ref_restart(g, NULL);
	AUTO(cmp_msg) b = reg_cmp(g, ldevid, &request);
	reg_expect_waiting_error(b);
	reg_pollreq(b, ldevid, -1, &poll);
	AUTO(cmp_msg) c = reg_cmp(g, ldevid, &poll);
	reg_expect_pollrep(c, -1);
}

static void
nor_does_it_carry_what_its_idevid_asks(void **state)
{
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	AUTO(cmp_msg) a = asks(g, CMP_IR, g->l->device, g->l->device);
	reg_expect_waiting(a, CMP_IP, 0);
	AUTO(cmp_msg) b = asks(g, CMP_IR, g->l->device, ldevid);
	reg_expect_waiting(b, CMP_IP, 0);
	put_on_list(g, &g->l->ca, ldevid->cert, clock_now().time - 60);
	ref_restart(g, NULL);
	AUTO(cmp_msg) c = asks(g, CMP_IR, g->l->device, ldevid);
	reg_expect_refused(
	    "ir", c, CMP_ERROR, CMP_SIGNER_NOT_TRUSTED, "TLS client");
	AUTO(cmp_msg) d = asks(g, CMP_IR, g->l->device, g->l->device);
	reg_expect_waiting(d, CMP_IP, 0);
	assert_int_equal(reg_next_id(g), 4);
}

/* RFC 8995 5.9.4: nor is its report believed. */
static void
nor_are_its_reports_believed(void **state)
{
	static const char status[] = "{\"version\":1,\"status\":true}";
	struct reg_lab *g = *state;
	struct reg_http h = { .client = ldevid,
		.path = "/.well-known/brski/enrollstatus",
		.type = "application/json",
		.body = { (const uint8_t *)status, sizeof(status) - 1 } };
	struct reg_reply p AUTO_REPLY = { 0 }, q AUTO_REPLY = { 0 };

	reg_start(g, NULL);
	put_on_list(g, &g->l->ca, ldevid->cert, clock_now().time - 60);
	ref_restart(g, NULL);
	reg_http(g, &h, &p);
	assert_int_equal(p.status, 403);
	assert_true(reg_reply_has(&p, "revoked"));
	h.client = other;
	reg_http(g, &h, &q);
	assert_false(reg_reply_has(&q, "revoked"));
}

/* Who stands on a list that is stale is revoked; of others it does not tell. */
static void
a_stale_list_is_for_configuration_to_judge(void **state)
{
	struct reg_lab *g = *state;
	struct reg_want refuse = { .more = "domain-crl-unknown: refuse\n" };

	reg_start(g, NULL);
	put_on_list(g, &g->l->ca, ldevid->cert, clock_now().time - 2 * DAY);
	ref_restart(g, NULL);
	AUTO(cmp_msg) a = asks(g, CMP_KUR, ldevid, ldevid);
	reg_expect_refused(
	    "kur", a, CMP_ERROR, CMP_SIGNER_NOT_TRUSTED, "revoked");
	AUTO(cmp_msg) b = asks(g, CMP_KUR, other, other);
	reg_expect_waiting(b, CMP_KUP, 0);
	assert_string_equal(fact_of(g, 1), "unknown");
	assert_int_equal(reg_logged(g, "event=admit.revocation-unknown"), 1);
	ref_restart(g, &refuse);
	AUTO(cmp_msg) c = asks(g, CMP_KUR, other, other);
	reg_expect_refused(
	    "kur", c, CMP_ERROR, CMP_SIGNER_NOT_TRUSTED, "nobody knows");
	AUTO(cmp_msg) d = asks(g, CMP_RR, other, other);
	reg_expect_refused(
	    "rr", d, CMP_ERROR, CMP_SIGNER_NOT_TRUSTED, "nobody knows");
	assert_int_equal(reg_next_id(g), 2);
}

/* It is the RA's word, and so told to who asks for it; here nobody is judged
 * by it. */
static void
a_list_of_another_authority_is_not_asked(void **state)
{
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	put_on_list(g, &g->l->stranger, ldevid->cert, clock_now().time - 60);
	ref_restart(g, NULL);
	assert_int_equal(reg_logged(g, "event=reference.crl-not-asked"), 1);
	AUTO(cmp_msg) m = asks(g, CMP_KUR, ldevid, ldevid);
	reg_expect_waiting(m, CMP_KUP, 0);
	assert_string_equal(fact_of(g, 1), "none");
}

static void
what_is_no_list_is_not_taken_for_one(void **state)
{
	struct reg_lab *g = *state;
	struct buf had AUTO_BUF = { 0 };

	reg_start(g, NULL);
	ref_publish(g, "crl", bytes_of("a list", 6));
	ref_restart(g, NULL);
	assert_int_equal(reg_logged(g, "event=reference.not-loaded"), 1);
	assert_false(reference_get(&g->r, "crl", &had, NULL));
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(who_is_revoked_is_refused_here),
		T(nobody_is_asked_about_without_a_list),
		T(what_was_asked_before_is_answered),
		T(nor_does_it_carry_what_its_idevid_asks),
		T(nor_are_its_reports_believed),
		T(a_stale_list_is_for_configuration_to_judge),
		T(a_list_of_another_authority_is_not_asked),
		T(what_is_no_list_is_not_taken_for_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
