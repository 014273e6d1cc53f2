/* What pledges are refused, over TLS: paths, methods, types, signers, faults.
 */
#include "front_lab.h"

#include "registrar/vcall.h"

/* ---- paths ------------------------------------------------------------- */

#define LONG_NAME "0123456789abcdef0123456789abcdef"

static void
other_paths_are_not_served(void **state)
{
	static const char *const paths[] = { "/", "/.well-known/",
		"/.well-known/cm", REG_CMP "/", REG_CMP "x",
		REG_CMP "/initializatio", REG_CMP "/initializations",
		REG_CMP "/initialization/", REG_CMP "/INITIALIZATION",
		REG_CMP "/p", REG_CMP "/p/", REG_CMP "/p//initialization",
		REG_CMP "/p/a/b/initialization", REG_CMP "/p/a/",
		REG_CMP "/p/" LONG_NAME LONG_NAME, "/.well-known/est",
		"/.well-known/brski/", "/.well-known/brskix",
		"/.well-known/brski/requestvouchers",
		"/.well-known/brski/requestauditlog", "/v1/status" };
	struct reg_lab *g = *state;
	struct reg_http h = { .type = REG_CMP_TYPE, .body = TEXT("x") };

	reg_start(g, NULL);
	for (size_t i = 0; i < NELEMS(paths); i++) {
		h.path = paths[i];
		expect_status(g, &h, 404);
	}
	h.path = REG_CMP "/p/" LONG_NAME "0123456789abcdef0123456789abcde";
	expect_status(g, &h, 400);
}

static void
other_methods_types_and_sizes_are_refused(void **state)
{
	static const struct {
		const char *method, *path, *type, *headers;
		int want;
	} cases[] = {
		{ "GET", "/.well-known/brski", NULL, NULL, 200 },
		{ NULL, "/.well-known/brski", NULL, NULL, 405 },
		{ "GET", "/.well-known/brski/requestvoucher", NULL, NULL, 405 },
		{ "GET", "/.well-known/brski/voucher_status", NULL, NULL, 405 },
		{ "GET", "/.well-known/brski/enrollstatus", NULL, NULL, 405 },
		{ "PUT", REG_CMP, REG_CMP_TYPE, NULL, 405 },
		{ NULL, "/.well-known/brski/requestvoucher", NULL, NULL, 415 },
		{ NULL, "/.well-known/brski/voucherrequest", "text/plain", NULL,
		    415 },
		{ NULL, "/.well-known/brski/voucher_status", VCALL_TYPE, NULL,
		    415 },
		{ NULL, "/.well-known/brski/enrollstatus", NULL, NULL, 415 },
		{ NULL, REG_CMP, "application/pkixcm", NULL, 415 },
		{ NULL, REG_CMP, "application/pkixcmp-poll", NULL, 415 },
		{ NULL, REG_CMP, "text/plain; application/pkixcmp", NULL, 415 },
		{ NULL, REG_CMP, "Application/PKIXCMP", NULL, 400 },
		{ NULL, REG_CMP, "application/pkixcmp; charset=x", NULL, 400 },
		{ NULL, "/.well-known/brski/requestvoucher", VCALL_TYPE,
		    "Accept: application/voucher-jws+json\r\n", 406 },
		{ NULL, "/.well-known/brski/requestvoucher", VCALL_TYPE,
		    "Accept: application/*;q=0.5\r\n", 400 },
	};
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct reg_http h = { .client = g->l->device,
			.method = cases[i].method,
			.path = cases[i].path,
			.type = cases[i].type,
			.headers = cases[i].headers };

		if (h.method == NULL)
			h.body = TEXT("nonsense");
		expect_status(g, &h, cases[i].want);
	}
}

static void
a_body_has_its_limit(void **state)
{
	struct reg_lab *g = *state;
	struct buf big AUTO_BUF = { 0 };
	struct reg_http h = { .path = REG_CMP, .type = REG_CMP_TYPE };

	reg_start(g, NULL);
	memset(buf_grow(&big, CMP_MAX + 1), 0x30, CMP_MAX + 1);
	h.body = bytes_of(big.data, CMP_MAX);
	expect_status(g, &h, 400);
	h.body = buf_bytes(&big);
	expect_status(g, &h, 413);
}

/* ---- what is not spoken ------------------------------------------------ */

/* The least that a body of this type can be. */
static void
small_body(enum cmp_body type, struct bytes message, struct buf *out)
{
	const uint8_t empty[] = { (uint8_t)(0xa0 | type), 2, 0x30, 0 };

	if (type == CMP_NESTED)
		cmp_body_nested(message, out);
	else
		buf_add(out, empty, sizeof(empty));
}

static void
body_types_not_spoken_are_refused(void **state)
{
	static const enum cmp_body spoken[] = { CMP_IR, CMP_P10CR, CMP_POLLREQ,
		CMP_CERTCONF, CMP_ERROR, CMP_CR, CMP_KUR, CMP_RR, CMP_GENM };
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	reg_start(g, NULL);
	lab_request(g->l, &ask, &request);
	AUTO(cmp_msg) inner = lab_parse(buf_bytes(&request));
	for (int type = 0; type < CMP_BODY__MAX; type++) {
		struct buf body AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
		struct cmp_head h = { .transaction_id =
					  cmp_transaction_id(inner) };
		bool known = false;

		for (size_t i = 0; i < NELEMS(spoken); i++)
			known = known || (int)spoken[i] == type;
		if (known)
			continue;
		small_body(type, buf_bytes(&request), &body);
		assert_int_equal(cmp_build(&h, buf_bytes(&body), g->l->device,
				     NULL, &out, &e),
		    0);
		AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &out);
		reg_expect_refused(cmp_body_name(type), m, CMP_ERROR,
		    CMP_BAD_REQUEST, "not spoken");
	}
	assert_int_equal(reg_next_id(g), 1);
}

/* ---- who may ----------------------------------------------------------- */

static struct signer *
device_of(const struct lab_ca *by, const char *serial, uint64_t to)
{
	struct lab_want w = {
		.cn = "device", .serial = serial, .to = to, .from = to / 2
	};

	return lab_signer(&w, by);
}

static void
only_devices_that_may_are_heard(void **state)
{
	struct reg_lab *g = *state;
	struct lab *l = g->l;
	AUTO(signer) stranger = device_of(&l->stranger, "WB-0001", 0);
	AUTO(signer) stolen = device_of(&l->vendor_sub, "WB-STOLEN", 0);
	AUTO(signer) nameless = device_of(&l->vendor_sub, NULL, 0);
	AUTO(signer) expired =
	    device_of(&l->vendor_sub, "WB-0001", clock_now().time - 10);
	AUTO(signer) of_domain = device_of(&l->ca, "WB-0001", 0);
	const struct {
		const char *what;
		const struct signer *device, *client;
		uint32_t fail;
		const char *reason;
	} cases[] = {
		{ "no client certificate", l->device, NULL, CMP_NOT_AUTHORIZED,
		    "no TLS client certificate" },
		{ "another client", l->device, g->sibling, CMP_NOT_AUTHORIZED,
		    "differ" },
		{ "another signer", g->sibling, l->device, CMP_NOT_AUTHORIZED,
		    "differ" },
		{ "unknown vendor", stranger, stranger, CMP_SIGNER_NOT_TRUSTED,
		    "" },
		{ "on the deny list", stolen, stolen, CMP_NOT_AUTHORIZED,
		    "WB-STOLEN" },
		{ "no serial number", nameless, nameless, CMP_NOT_AUTHORIZED,
		    "serialNumber" },
		{ "expired", expired, expired, CMP_SIGNER_NOT_TRUSTED, "" },
		/* Nobody's LDevID asks for a first certificate. */
		{ "of our own domain", of_domain, of_domain, CMP_NOT_AUTHORIZED,
		    "a manufacturer's is asked for" },
	};

	reg_start(g, NULL);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct lab_ask ask = { .cn = "dev", .device = cases[i].device };
		struct buf request AUTO_BUF = { 0 };

		lab_request(l, &ask, &request);
		AUTO(cmp_msg) m = reg_cmp(g, cases[i].client, &request);
		reg_expect_refused(cases[i].what, m, CMP_ERROR, cases[i].fail,
		    cases[i].reason);
		assert_int_equal(reg_next_id(g), 1);
	}
	assert_int_equal(reg_logged(g, "event=cmp.refused"), NELEMS(cases));
}

/* ---- what is wrong with a message -------------------------------------- */

/* Flips a bit in the first place where these octets stand. */
static void
spoil(struct buf *b, struct bytes where)
{
	uint8_t *p = memmem(b->data, b->len, where.p, where.len);

	assert_non_null(p);
	p[where.len - 1] ^= 1;
}

static void
protection_must_hold(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 }, spki AUTO_BUF = { 0 };
	struct buf other AUTO_BUF = { 0 };

	reg_start(g, NULL);
	lab_request(g->l, &ask, &request);
	AUTO(cmp_msg) m = lab_parse(buf_bytes(&request));
	spoil(&request, cmp_sender_nonce(m));
	AUTO(cmp_msg) a = reg_cmp(g, g->l->device, &request);
	reg_expect_refused("header", a, CMP_ERROR, CMP_BAD_MESSAGE_CHECK, "");
	/* Of the body: the key asked for. */
	lab_request(g->l, &ask, &other);
	ossl_spki_der(g->l->key, &spki);
	spoil(&other, bytes_of(spki.data + spki.len - 64, 64));
	AUTO(cmp_msg) b = reg_cmp(g, g->l->device, &other);
	reg_expect_refused("body", b, CMP_ERROR, CMP_BAD_MESSAGE_CHECK, "");
	assert_int_equal(reg_next_id(g), 1);
}

static void
faults_of_the_body_are_rejections(void **state)
{
	static const struct {
		enum cmp_body type, answer;
	} cases[] = { { CMP_IR, CMP_IP }, { CMP_P10CR, CMP_CP } };
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	AUTO(X509_NAME) name = issue_name("dev", NULL, NULL);
	struct buf request AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	reg_start(g, NULL);
	lab_request(g->l, &ask, &request);
	AUTO(cmp_msg) like = lab_parse(buf_bytes(&request));
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct buf body AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
		struct cmp_head h = { .transaction_id =
					  cmp_transaction_id(like) };

		assert_int_equal(cases[i].type == CMP_IR
			? cmp_body_certreq(CMP_IR, g->l->key, name, &body, &e)
			: cmp_body_p10cr(g->l->key, name, &body, &e),
		    0);
		/* The proof of possession ends the body. */
		body.data[body.len - 1] ^= 1;
		assert_int_equal(cmp_build(&h, buf_bytes(&body), g->l->device,
				     NULL, &out, &e),
		    0);
		AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &out);
		reg_expect_refused(
		    "no proof", m, cases[i].answer, CMP_BAD_POP, "");
	}
	assert_int_equal(reg_next_id(g), 1);
}

static void
faults_of_the_header_are_errors(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev", .profile = "substation" };
	struct buf request AUTO_BUF = { 0 }, body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	reg_start(g, NULL);
	lab_request(g->l, &ask, &request);
	AUTO(cmp_msg) a =
	    reg_cmp_at(g, g->l->device, REG_CMP "/p/other", &request);
	reg_expect_refused(
	    "two profiles", a, CMP_ERROR, CMP_BAD_REQUEST, "certProfile");
	AUTO(cmp_msg) like = lab_parse(buf_bytes(&request));
	assert_int_equal(
	    cmp_body_certreq(CMP_IR, g->l->key, cmp_sender(like), &body, &e),
	    0);
	/* A first message answers nothing; a transaction has 16 octets. */
	for (int i = 0; i < 2; i++) {
		struct bytes tid = cmp_transaction_id(like);
		struct buf out AUTO_BUF = { 0 };
		struct cmp_head h = { 0 };

		h.transaction_id = i == 0 ? tid : bytes_of(tid.p, tid.len - 1);
		if (i == 0)
			h.recip_nonce = cmp_sender_nonce(like);
		assert_int_equal(cmp_build(&h, buf_bytes(&body), g->l->device,
				     NULL, &out, &e),
		    0);
		AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &out);
		reg_expect_refused("header", m, CMP_ERROR,
		    i == 0 ? CMP_BAD_RECIPIENT_NONCE : CMP_BAD_DATA_FORMAT, "");
	}
	assert_int_equal(reg_next_id(g), 1);
	AUTO(cmp_msg) same =
	    reg_cmp_at(g, g->l->device, REG_CMP "/p/substation", &request);
	reg_expect_waiting(same, CMP_IP, 0);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, reg_lab_setup, reg_lab_teardown)
	const struct CMUnitTest tests[] = {
		T(other_paths_are_not_served),
		T(other_methods_types_and_sizes_are_refused),
		T(a_body_has_its_limit),
		T(body_types_not_spoken_are_refused),
		T(only_devices_that_may_are_heard),
		T(protection_must_hold),
		T(faults_of_the_body_are_rejections),
		T(faults_of_the_header_are_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
