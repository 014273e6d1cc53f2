/* What an upstream CA may say or fail to say, and what becomes of the case. */
#include "tests/unit/upstream_ask.h"

/* ---- the table --------------------------------------------------------- */

static const struct {
	const char *what;
	struct want w;
	struct line script[8];
	enum upstream_end is;
	const char *sent; /* "ir": what came there */
	uint32_t fail;
	const char *why;
	bool in_body;
} cases[] = {
	{ "issued, we confirm", { 0 }, { { SAY_ISSUED }, { SAY_PKICONF } },
	    UPSTREAM_DONE, "nested:ir certConf" },
	{ "issued, confirmed implicitly", { 0 }, { { SAY_ISSUED, true } },
	    UPSTREAM_DONE, "nested:ir" },
	{ "issued, the device confirms", { .relay = true }, { { SAY_ISSUED } },
	    UPSTREAM_DONE, "nested:ir" },
	{ "as the device said it", { .raw = true }, { { SAY_ISSUED, true } },
	    UPSTREAM_DONE, "ir" },
	{ "waiting", { 0 },
	    { { SAY_WAITING }, { SAY_NOT_YET }, { SAY_NOT_YET, .secs = 90 },
		{ SAY_ISSUED }, { SAY_PKICONF } },
	    UPSTREAM_DONE, "nested:ir pollReq pollReq pollReq certConf" },
	{ "waiting, then as another had it", { 0 },
	    { { SAY_WAITING }, { SAY_ISSUED, true, .first_nonce = true } },
	    UPSTREAM_DONE, "nested:ir pollReq" },
	{ "waiting in an error", { 0 },
	    { { SAY_ERROR_WAITING }, { SAY_ISSUED, true } }, UPSTREAM_DONE,
	    "nested:ir pollReq" },
	{ "waiting again", { 0 },
	    { { SAY_WAITING }, { SAY_WAITING }, { SAY_ISSUED, true } },
	    UPSTREAM_DONE, "nested:ir pollReq pollReq" },
	{ "waiting, then no", { 0 }, { { SAY_WAITING }, { SAY_REJECTED } },
	    UPSTREAM_REFUSED, "nested:ir pollReq", CMP_BAD_CERT_TEMPLATE,
	    "no such subject here", true },
	{ "no", { 0 }, { { SAY_REJECTED } }, UPSTREAM_REFUSED, "nested:ir",
	    CMP_BAD_CERT_TEMPLATE, "no such subject here", true },
	{ "no, in an error", { 0 }, { { SAY_ERROR } }, UPSTREAM_REFUSED,
	    "nested:ir", CMP_BAD_REQUEST, "go away" },
	{ "no, with HTTP 400", { 0 }, { { SAY_ERROR, .status = 400 } },
	    UPSTREAM_REFUSED, "nested:ir", CMP_BAD_REQUEST, "go away" },
	{ "no path there", { 0 }, { { SAY_404 }, { SAY_ISSUED, true } },
	    UPSTREAM_DONE, "nested:ir nested:ir" },
	/* Nobody knows whether it was issued. */
	{ "503", { 0 }, { { SAY_503 }, { SAY_ISSUED, true } }, UPSTREAM_UNKNOWN,
	    "nested:ir", 0, "HTTP 503" },
	{ "closed", { 0 }, { { SAY_CLOSE }, { SAY_ISSUED, true } },
	    UPSTREAM_UNKNOWN, "nested:ir", 0, "upstream: " },
	{ "too slow", { 0 }, { { SAY_HANG }, { SAY_ISSUED, true } },
	    UPSTREAM_UNKNOWN, "nested:ir", 0, "upstream: " },
	{ "no message", { 0 }, { { SAY_NOTHING_KNOWN } }, UPSTREAM_UNKNOWN,
	    "nested:ir" },
	{ "pollRep unasked", { 0 }, { { SAY_NOT_YET } }, UPSTREAM_UNKNOWN,
	    "nested:ir", 0, "recipNonce" },
	{ "another key", { 0 }, { { SAY_OTHER_KEY } }, UPSTREAM_UNKNOWN,
	    "nested:ir", 0, "key asked for" },
	{ "another CA", { 0 }, { { SAY_OTHER_ISSUER } }, UPSTREAM_UNKNOWN,
	    "nested:ir", 0, "ca.certificate" },
	{ "another certReqId", { 0 }, { { SAY_OTHER_ID } }, UPSTREAM_UNKNOWN,
	    "nested:ir", 0, "certReqId 7" },
	{ "another transaction", { 0 }, { { SAY_OTHER_TRANSACTION } },
	    UPSTREAM_UNKNOWN, "nested:ir", 0, "transactionID" },
	{ "another nonce", { 0 }, { { SAY_OTHER_NONCE } }, UPSTREAM_UNKNOWN,
	    "nested:ir", 0, "recipNonce" },
	{ "by nobody we know", { 0 }, { { SAY_BY_STRANGER } }, UPSTREAM_UNKNOWN,
	    "nested:ir" },
	/* It does nothing twice. */
	{ "503, repeatable", { .idempotent = true },
	    { { SAY_503 }, { SAY_ISSUED, true } }, UPSTREAM_DONE,
	    "nested:ir nested:ir" },
	{ "closed, repeatable", { .idempotent = true },
	    { { SAY_CLOSE }, { SAY_HANG }, { SAY_ISSUED, true } },
	    UPSTREAM_DONE, "nested:ir nested:ir nested:ir" },
	{ "in use after all", { .idempotent = true },
	    { { SAY_CLOSE }, { SAY_IN_USE } }, UPSTREAM_UNKNOWN,
	    "nested:ir nested:ir", 0, "seen before" },
	{ "in use at once", { 0 }, { { SAY_IN_USE } }, UPSTREAM_REFUSED,
	    "nested:ir", CMP_TRANSACTION_ID_IN_USE, "seen before" },
	/* Polls and confirmations are said again. */
	{ "a poll is lost", { 0 },
	    { { SAY_WAITING }, { SAY_CLOSE }, { SAY_ISSUED, true } },
	    UPSTREAM_DONE, "nested:ir pollReq pollReq" },
	{ "the final answer is lost", { 0 },
	    { { SAY_WAITING }, { SAY_CLOSE }, { SAY_ERROR } }, UPSTREAM_UNKNOWN,
	    "nested:ir pollReq pollReq", 0, "go away" },
	{ "a confirmation is lost", { 0 },
	    { { SAY_ISSUED }, { SAY_503 }, { SAY_PKICONF } }, UPSTREAM_DONE,
	    "nested:ir certConf certConf" },
	{ "a confirmation is refused", { 0 }, { { SAY_ISSUED }, { SAY_ERROR } },
	    UPSTREAM_UNKNOWN, "nested:ir certConf", 0, "go away" },
};

static void
says(void **state)
{
	AUTO(cmp_msg) m = request_of(CMP_IR);
	struct run r;

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		ask(&cases[i].w, cases[i].script, m, &r);
		if (!r.ended || r.is != cases[i].is ||
		    strcmp(up->types, cases[i].sent) != 0)
			fail_msg("%s: end %d %d: %s; sent %s", cases[i].what,
			    r.ended, (int)r.is, r.why, up->types);
		if (r.has_cert != (r.is == UPSTREAM_DONE) ||
		    r.in_body != cases[i].in_body || r.fail != cases[i].fail ||
		    (cases[i].why != NULL &&
			strstr(r.why, cases[i].why) == NULL))
			fail_msg("%s: %x %s", cases[i].what, r.fail, r.why);
		assert_int_equal(
		    r.waited, strstr(cases[i].sent, "poll") != NULL);
	}
}

/* ---- more than a line -------------------------------------------------- */

static void
all_types(void **state)
{
	static const enum cmp_body types[] = { CMP_IR, CMP_CR, CMP_P10CR };
	static const struct line script[] = { { SAY_WAITING }, { SAY_NOT_YET },
		{ SAY_ISSUED, true }, { SAY_END } };
	struct run r;

	(void)state;
	for (size_t i = 0; i < NELEMS(types); i++) {
		AUTO(cmp_msg) m = request_of(types[i]);

		ask(&(struct want){ .raw = true }, script, m, &r);
		if (!r.ended || r.is != UPSTREAM_DONE || !r.has_cert)
			fail_msg("%s: %s", cmp_body_name(types[i]), r.why);
	}
}

static struct cmp_msg *
rr(void)
{
	struct buf body AUTO_BUF = { 0 }, der AUTO_BUF = { 0 };
	uint8_t tid[CMP_TID_LEN] = { 9 };
	struct cmp_head h = { .transaction_id = bytes_of(tid, sizeof(tid)) };
	struct err e = ERR_INIT;

	cmp_body_rr(lab->device->cert, 1, &body);
	assert_int_equal(
	    cmp_build(&h, buf_bytes(&body), lab->device, NULL, &der, &e), 0);
	return lab_parse(buf_bytes(&der));
}

static void
revocations(void **state)
{
	static const struct line yes[] = { { SAY_REVOKED }, { SAY_END } };
	static const struct line later[] = { { SAY_ERROR_WAITING },
		{ SAY_NOT_YET }, { SAY_REVOKED }, { SAY_END } };
	static const struct line no[] = { { SAY_REJECTED }, { SAY_END } };
	AUTO(cmp_msg) m = rr();
	struct run r;

	(void)state;
	ask(&(struct want){ 0 }, yes, m, &r);
	assert_true(r.ended && r.is == UPSTREAM_DONE && !r.has_cert);
	ask(&(struct want){ 0 }, later, m, &r);
	assert_true(r.ended && r.is == UPSTREAM_DONE);
	assert_string_equal(up->types, "nested:rr pollReq pollReq");
	ask(&(struct want){ 0 }, no, m, &r);
	assert_true(r.ended && r.is == UPSTREAM_REFUSED && r.in_body);
}

/* The device's octets reach it as they were, alone or inside. */
static void
octets_stay(void **state)
{
	static const struct line script[] = { { SAY_ISSUED, true },
		{ SAY_END } };
	AUTO(cmp_msg) m = request_of(CMP_IR);
	struct run r;

	(void)state;
	for (int raw = 0; raw < 2; raw++) {
		AUTO(cmp_msg) inner = NULL;

		ask(&(struct want){ .raw = raw == 1 }, script, m, &r);
		inner = up_open(buf_bytes(&up->got[0]));
		assert_true(bytes_eq(cmp_der(inner), cmp_der(m)));
	}
}

/* Whose certConf fits is known by the nonce of the message that issued. */
static void
nonce_is_told(void **state)
{
	static const struct line script[] = { { SAY_ISSUED }, { SAY_PKICONF },
		{ SAY_END } };
	AUTO(cmp_msg) m = request_of(CMP_IR), confirm = NULL;
	struct cmp_certconf c;
	struct err e = ERR_INIT;
	struct run r;

	(void)state;
	ask(&(struct want){ 0 }, script, m, &r);
	assert_int_equal(up->n, 2);
	confirm = lab_parse(buf_bytes(&up->got[1]));
	assert_true(bytes_eq(
	    cmp_recip_nonce(confirm), bytes_of(r.nonce, sizeof(r.nonce))));
	assert_true(
	    bytes_eq(cmp_transaction_id(confirm), cmp_transaction_id(m)));
	assert_int_equal(cmp_verify(confirm, up->us->cert, &e), 0);
	assert_int_equal(cmp_read_certconf(confirm, &c, &e), 0);
	assert_int_equal(c.status, CMP_ACCEPTED);
}

static void
relayed_confirmation(void **state)
{
	static const struct line issue[] = { { SAY_ISSUED }, { SAY_END } };
	static const struct line lost[] = { { SAY_404 }, { SAY_CLOSE },
		{ SAY_PKICONF }, { SAY_END } };
	static const struct line no[] = { { SAY_ERROR }, { SAY_END } };
	struct buf der AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = request_of(CMP_IR), confirm = NULL;
	struct want w = { .raw = true, .relay = true };
	struct run r;

	(void)state;
	ask(&w, issue, m, &r);
	assert_true(r.ended && !r.implicit);
	lab_certconf(lab, m, lab->device->cert, true, &der);
	confirm = lab_parse(buf_bytes(&der));
	/* It asks for nothing: it is said until it is heard. */
	ask(&w, lost, confirm, &r);
	assert_true(r.ended && r.is == UPSTREAM_DONE);
	ask(&w, no, confirm, &r);
	assert_true(r.ended && r.is == UPSTREAM_REFUSED && !r.in_body);
}

/* ---- what it adds ------------------------------------------------------ */

static void
modifications_are_told(void **state)
{
	static const struct line plain[] = { { SAY_ISSUED, true },
		{ SAY_END } };
	static const struct line mods[] = {
		{ SAY_ISSUED, true, .mods = true, .ca_pubs = true }, { SAY_END }
	};
	AUTO(cmp_msg) m = request_of(CMP_IR);
	struct run r;

	(void)state;
	ask(&(struct want){ 0 }, plain, m, &r);
	assert_true(r.ended && r.has_cert && !r.modified);
	ask(&(struct want){ 0 }, mods, m, &r);
	assert_true(r.ended && r.has_cert && r.modified);
}

/* Nobody listens: nothing was sent, so it is tried for as long as it takes. */
static void
unreachable(void **state)
{
	AUTO(cmp_msg) m = request_of(CMP_IR);
	struct run r = { .ended = false };
	struct upstream_conf c;
	char url[64];

	(void)state;
	up_listen(up);
	close(up->fd);
	c = conf_of(&(struct want){ 0 }, "http", url);
	ask_for(&c, m, 300, &r);
	assert_false(r.ended);
}

/* ---- TLS --------------------------------------------------------------- */

static void
tls_by(struct lab_ca *ca, const char *san)
{
	struct lab_want w = { .cn = "server", .san = san, .eku = "serverAuth" };
	AUTO(signer) s = lab_signer(&w, ca);

	SSL_CTX_free(up->tls);
	up->tls = SSL_CTX_new(TLS_server_method());
	assert_int_equal(
	    SSL_CTX_use_cert_and_key(up->tls, s->cert, s->key, s->chain, 1), 1);
}

static bool
asks_tls(const char *name)
{
	static const struct line script[] = { { SAY_ISSUED, true },
		{ SAY_ISSUED, true }, { SAY_END } };
	AUTO(cmp_msg) m = request_of(CMP_IR);
	struct run r = { .ended = false };
	struct upstream_conf c;
	char url[64], expected[64];

	up_listen(up);
	up_start(up, script);
	c = conf_of(&(struct want){ 0 }, "https", url);
	c.tls_anchor = (char *)(uintptr_t)lab_path(lab, "root.crt");
	if (name != NULL) {
		str_copy(expected, sizeof(expected), name);
		c.server_name = expected;
	}
	ask_for(&c, m, 400, &r);
	up_stop(up);
	assert_true(!r.ended || r.is == UPSTREAM_DONE);
	return r.ended;
}

static void
tls(void **state)
{
	(void)state;
	tls_by(&lab->ca, "IP:127.0.0.1");
	assert_true(asks_tls(NULL));
	assert_false(asks_tls("ca.example"));
	tls_by(&lab->ca, "DNS:ca.example");
	assert_false(asks_tls(NULL));
	assert_true(asks_tls("ca.example"));
	/* Whoever it is is not told anything. */
	tls_by(&lab->stranger, "IP:127.0.0.1");
	assert_false(asks_tls(NULL));
	assert_string_equal(up->types, "");
	SSL_CTX_free(up->tls);
	up->tls = NULL;
}

/* ---- what it cannot be asked ------------------------------------------- */

static void
not_sent(void **state)
{
	STACK_OF(X509) *issuers = sk_X509_new_null();
	struct buf body AUTO_BUF = { 0 }, der AUTO_BUF = { 0 };
	uint8_t tid[CMP_TID_LEN] = { 9 };
	struct cmp_head h = { .transaction_id = bytes_of(tid, sizeof(tid)) };
	struct upstream_question q = { .name = "" };
	AUTO(cmp_msg) m = NULL;
	struct upstream_conf c;
	struct upstream_ask *a = NULL;
	struct upstream *u = NULL;
	struct err e = ERR_INIT;
	struct loop *l = loop_new(&e);
	char url[64];

	(void)state;
	cmp_body_info(CMP_GENM, CMP_INFO_CA_CERTS, bytes_of(NULL, 0), &body);
	assert_int_equal(
	    cmp_build(&h, buf_bytes(&body), lab->device, NULL, &der, &e), 0);
	q.request = m = lab_parse(buf_bytes(&der));
	c = conf_of(&(struct want){ 0 }, "http", url);
	sk_X509_push(issuers, lab->ca.cert);
	assert_int_equal(upstream_open(l, &c, issuers, &u, &e), 0);
	assert_int_equal(upstream_ask(u, &q, &told, NULL, &a, &e), -1);
	assert_non_null(strstr(e.msg, "genm"));
	assert_null(a);
	upstream_free(u);
	c.anchor = (char *)(uintptr_t)lab_path(lab, "nothing.crt");
	assert_int_equal(upstream_open(l, &c, issuers, &u, &e), -1);
	loop_free(l);
	sk_X509_free(issuers);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says),
		cmocka_unit_test(all_types),
		cmocka_unit_test(revocations),
		cmocka_unit_test(octets_stay),
		cmocka_unit_test(nonce_is_told),
		cmocka_unit_test(relayed_confirmation),
		cmocka_unit_test(modifications_are_told),
		cmocka_unit_test(unreachable),
		cmocka_unit_test(tls),
		cmocka_unit_test(not_sent),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
