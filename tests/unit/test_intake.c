/* What must hold before the RA's ledger learns of an entry: the registrar's
 * certificate, and the message in its wrapper. */
#include "tests/unit/ra_lab.h"
#include "common/service/sites.h"
#include "ra/unwrap.h"

static struct lab *lab;

static int
setup(void **state)
{
	(void)state;
	lab = lab_new();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	lab_free(lab);
	return 0;
}

/* ---- unwrapping -------------------------------------------------------- */

static void
test_unwrap(void **state)
{
	struct lab_ask ask = { .type = CMP_IR };
	struct buf octets AUTO_BUF = { 0 }, inner AUTO_BUF = { 0 };
	struct lab_entry en;
	enum batch_code code;
	struct err e = ERR_INIT;

	(void)state;
	lab_request(lab, &ask, &octets);
	lab_wrap(lab, lab->registrar, LAB_SITE, 1, buf_bytes(&octets), &en);
	if (unwrap_cmp(&en.h, lab->registrar->cert, buf_bytes(&en.octets),
		&inner, &code, &e) == -1)
		fail_msg("%s", e.msg);
	assert_true(bytes_eq(buf_bytes(&inner), buf_bytes(&octets)));
	lab_entry_done(&en);
}

static void
spoil_digest(struct lab_entry *en)
{
	en->h.digest.b[0] ^= 1;
}

/* The digest is right, the wrapper's signature is not. */
static void
spoil_octets(struct lab_entry *en)
{
	uint8_t *at = memmem(en->octets.data, en->octets.len, "pump", 4);

	assert_non_null(at);
	at[0] ^= 1;
}

static void
spoil_size(struct lab_entry *en)
{
	memset(buf_grow(&en->octets, CMP_NESTED_MAX), 0, CMP_NESTED_MAX);
}

static void
spoil_der(struct lab_entry *en)
{
	en->octets.len--;
}

/* The device's message as it came, by itself. */
static void
spoil_wrapper(struct lab_entry *en)
{
	struct lab_ask ask = { .type = CMP_IR };

	buf_reset(&en->octets);
	lab_request(lab, &ask, &en->octets);
	en->h.digest = digest_of(en->octets.data, en->octets.len);
}

/* Another registrar's wrapper under this one's header. */
static void
spoil_signer(struct lab_entry *en)
{
	AUTO(signer) other = lab_registrar(lab, LAB_SAN, LAB_REG_EKU);
	struct lab_ask ask = { .type = CMP_IR };
	struct buf octets AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct err e = ERR_INIT;

	lab_request(lab, &ask, &octets);
	m = lab_parse(buf_bytes(&octets));
	buf_reset(&en->octets);
	assert_int_equal(cmp_nest(m, other, &en->octets, &e), 0);
	en->h.digest = digest_of(octets.data, octets.len);
}

/* A wrapper that speaks of another transaction than what is in it. */
static void
spoil_transaction(struct lab_entry *en)
{
	struct lab_ask ask = { .type = CMP_IR };
	struct buf octets AUTO_BUF = { 0 }, body AUTO_BUF = { 0 };
	static const uint8_t tid[CMP_TID_LEN] = "another one";
	struct cmp_head h = { .transaction_id = bytes_of(tid, sizeof(tid)) };
	struct err e = ERR_INIT;

	lab_request(lab, &ask, &octets);
	cmp_body_nested(buf_bytes(&octets), &body);
	buf_reset(&en->octets);
	assert_int_equal(cmp_build(&h, buf_bytes(&body), lab->registrar, NULL,
			     &en->octets, &e),
	    0);
	en->h.digest = digest_of(octets.data, octets.len);
}

static void
test_refused_for_good(void **state)
{
	static const struct {
		const char *what;
		void (*spoil)(struct lab_entry *en);
		enum batch_code code;
		const char *reason;
	} cases[] = {
		{ "size", spoil_size, BATCH_TOO_LARGE, "limit" },
		{ "DER", spoil_der, BATCH_BAD_SCHEMA, "cmp" },
		{ "not nested", spoil_wrapper, BATCH_NOT_AUTHORISED, "nested" },
		{ "tampered", spoil_octets, BATCH_NOT_AUTHORISED,
		    "protection" },
		{ "other signer", spoil_signer, BATCH_NOT_AUTHORISED,
		    "signer" },
		{ "digest", spoil_digest, BATCH_BAD_SCHEMA, "digest" },
		{ "transaction", spoil_transaction, BATCH_BAD_SCHEMA,
		    "transactionID" },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct lab_ask ask = { .type = CMP_IR, .cn = "pump" };
		struct buf octets AUTO_BUF = { 0 }, inner AUTO_BUF = { 0 };
		enum batch_code code = 0;
		struct err e = ERR_INIT;
		struct lab_entry en;

		lab_request(lab, &ask, &octets);
		lab_wrap(
		    lab, lab->registrar, LAB_SITE, 1, buf_bytes(&octets), &en);
		cases[i].spoil(&en);
		if (unwrap_cmp(&en.h, lab->registrar->cert,
			buf_bytes(&en.octets), &inner, &code, &e) == 0)
			fail_msg("%s: taken", cases[i].what);
		if (code != cases[i].code ||
		    strstr(e.msg, cases[i].reason) == NULL)
			fail_msg("%s: %s: %s", cases[i].what,
			    batch_code_name(code), e.msg);
		lab_entry_done(&en);
	}
}

/* ---- sites ------------------------------------------------------------- */

static void
test_site_is_found(void **state)
{
	AUTO(sites) s = sites_new(lab_path(lab, "sites"), lab->domain);
	struct err e = ERR_INIT;
	X509 *x;

	(void)state;
	x = sites_find(s, LAB_SITE, &lab->registrar->id, &e);
	if (x == NULL)
		fail_msg("%s", e.msg);
	assert_int_equal(X509_cmp(x, lab->registrar->cert), 0);
	assert_int_equal(sites_count(s), 1);
	assert_null(sites_find(s, "paris", &lab->registrar->id, &e));
}

static void
test_site_is_not_believed(void **state)
{
	static const struct {
		const char *what, *san, *eku;
		bool stranger;
		const char *reason;
	} cases[] = {
		{ "without cmcRA", LAB_SAN, "serverAuth,clientAuth", false,
		    "cmcRA" },
		{ "of another site", "URI:urn:waybill:site:paris", LAB_REG_EKU,
		    false, "paris" },
		{ "without a site", NULL, LAB_REG_EKU, false, "site" },
		{ "of nobody's CA", LAB_SAN, LAB_REG_EKU, true, "certificate" },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct lab_want w = { .cn = "registrar",
			.san = cases[i].san,
			.eku = cases[i].eku };
		AUTO(signer) bad = lab_signer(
		    &w, cases[i].stranger ? &lab->stranger : &lab->ca);
		AUTO(sites) s = sites_new(lab_path(lab, "sites"), lab->domain);
		struct err e = ERR_INIT;

		lab_pair(lab, LAB_SITE, bad);
		if (sites_find(s, LAB_SITE, &bad->id, &e) != NULL)
			fail_msg("%s: believed", cases[i].what);
		assert_int_equal(e.kind, ERR_TRUST);
		if (strstr(e.msg, cases[i].reason) == NULL)
			fail_msg("%s: %s", cases[i].what, e.msg);
	}
}

/* A site paired while we run is found; a bad file changes nothing. */
static void
test_sites_are_read_again(void **state)
{
	AUTO(signer) paris =
	    lab_registrar(lab, "URI:urn:waybill:site:paris", LAB_REG_EKU);
	AUTO(sites) s = sites_new(lab_path(lab, "sites"), lab->domain);
	struct err e = ERR_INIT;

	(void)state;
	assert_null(sites_find(s, "paris", &paris->id, &e));
	lab_pair(lab, "paris", paris);
	sites_reload(s);
	assert_non_null(sites_find(s, "paris", &paris->id, &e));
	lab_write(lab, "sites/paris.pem", bytes_of("no", 2));
	assert_non_null(sites_find(s, "paris", &paris->id, &e));
	assert_null(sites_find(s, "paris", &lab->registrar->id, &e));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_unwrap),
		TEST(test_refused_for_good),
		TEST(test_site_is_found),
		TEST(test_site_is_not_believed),
		TEST(test_sites_are_read_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
