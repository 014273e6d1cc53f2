/* A real waybill-ra whose CA is an upstream of the test's: it is killed while
 * the upstream has something of it, and goes on; what nobody knows is resolved;
 * what the upstream says beside its certificate. */
#include "tests/unit/ra_process.h"
#include "tests/unit/upstream_lab.h"

#define POLL_MS 300

static struct upstream_lab *up;

static void
configure_upstream(void)
{
	struct buf y AUTO_BUF = { 0 };
	const char *d = lab->dir;

	buf_printf(&y,
	    "name: ra\n"
	    "listen: [tls+tcp://127.0.0.1:0]\n"
	    "key: %s/service.key\ncertificate: %s/service.crt\n"
	    "domain-ca: %s/root.crt\nsites: %s/sites\n"
	    "link: {key: %s/link-ra.key, certificate: %s/link-ra.crt, "
	    "ca: %s/link-ca.crt}\n"
	    "vendors: [{name: acme, anchor: %s/vendor.crt}]\n"
	    "profiles: [{name: roots, ca-pubs: true}]\n",
	    d, d, d, d, d, d, d, d);
	buf_printf(&y,
	    "store: {directory: %s/store, seal: %s/seal.key, map-size: 8MiB}\n"
	    "control: {socket: %s/control}\n"
	    "ca:\n  kind: cmp\n  certificate: %s/ca.crt\n  upstream:\n"
	    "    url: http://127.0.0.1:%u/pkix/\n"
	    "    key: %s/upstream-us.key\n"
	    "    certificate: %s/upstream-us.crt\n"
	    "    anchor: %s/root.crt\n"
	    "    retry-min: %dms\n    retry-max: 1s\n",
	    d, d, d, d, up->port, d, d, d, POLL_MS);
	lab_write(lab, "ra.yaml", buf_bytes(&y));
}

static int
setup_upstream(void **state)
{
	signal(SIGPIPE, SIG_IGN);
	if (setup(state) == -1)
		return -1;
	up = up_new(lab);
	up_listen(up);
	configure_upstream();
	return 0;
}

static int
teardown_upstream(void **state)
{
	if (up->fd != -1)
		up_stop(up);
	up_free(up);
	return teardown(state);
}

/* ---- what it was sent -------------------------------------------------- */

static void
await_messages(size_t n)
{
	uint64_t until = clock_mono_ms() + LIMIT_MS;

	while (up->n < n) {
		if (clock_mono_ms() > until)
			fail_msg("it was sent \"%s\"", up->types);
		usleep(2000);
	}
}

static size_t
count(const char *what)
{
	const char *at = up->types;
	size_t n = 0;

	for (; (at = strstr(at, what)) != NULL; at += strlen(what))
		n++;
	return n;
}

static void
expect_one_transaction(void)
{
	AUTO(cmp_msg) first = up_open(buf_bytes(&up->got[0]));

	for (size_t i = 1; i < up->n; i++) {
		AUTO(cmp_msg) m = up_open(buf_bytes(&up->got[i]));

		assert_true(
		    bytes_eq(cmp_transaction_id(m), cmp_transaction_id(first)));
	}
}

/* kill -9 when so many messages have come, and another that goes on with this
 * script. */
static void
killed_at(size_t n, const struct line *script, struct site *s)
{
	await_messages(n);
	usleep(POLL_MS * 1000 / 3); /* between two of them */
	site_close(s);
	assert_int_equal(service_stop(SIGKILL), -SIGKILL);
	up_stop(up);
	up_listen_at(up, up->port);
	up_go_on(up, script);
	service_start(CLOCK);
	site_open(s);
}

static void
begin(const struct line *script, struct site *s)
{
	up_start(up, script);
	service_start(CLOCK);
	site_open(s);
}

/* A next transaction there. */
static void
another(const struct line *script)
{
	up_stop(up);
	up_listen_at(up, up->port);
	up_start(up, script);
}

/* ---- killed ------------------------------------------------------------ */

static const struct {
	const char *what;
	struct line before[6], after[4];
	size_t at; /* messages */
	const char *sent;
} kills[] = {
	{ "between two polls",
	    { { SAY_WAITING }, { SAY_NOT_YET }, { SAY_NOT_YET },
		{ SAY_NOT_YET }, { SAY_NOT_YET } },
	    { { SAY_NOT_YET }, { SAY_ISSUED }, { SAY_PKICONF } }, 3, NULL },
	{ "while it was polled", { { SAY_WAITING }, { SAY_HANG } },
	    { { SAY_ISSUED, true } }, 2, "nested:ir pollReq pollReq" },
	{ "while it was told that all is well",
	    { { SAY_ISSUED }, { SAY_HANG } }, { { SAY_PKICONF } }, 2,
	    "nested:ir certConf certConf" },
};

static void
killed(size_t i)
{
	struct lab_ask a = { .cn = "pump" };
	struct buf request AUTO_BUF = { 0 }, answer AUTO_BUF = { 0 };
	AUTO(X509) cert = NULL;
	char reason[160];
	struct site s;

	begin(kills[i].before, &s);
	lab_request(lab, &a, &request);
	assert_int_equal(site_put(&s, 1, &request), BATCH_STORED);
	killed_at(kills[i].at, kills[i].after, &s);
	if (site_answer(&s, 1, &answer, reason) != BATCH_ANSWERED)
		fail_msg("%s: %s", kills[i].what, reason);
	cert = check_issued(&request, &answer);
	assert_int_equal(issued(), 1);
	assert_int_equal(count("ir"), 1);
	if (kills[i].sent != NULL)
		assert_string_equal(up->types, kills[i].sent);
	expect_one_transaction();
	site_close(&s);
}

static void
test_killed_between_polls(void **state)
{
	(void)state;
	killed(0);
	assert_int_equal(count("certConf"), 1);
	assert_true(count("pollReq") >= 4);
}

static void
test_killed_while_polling(void **state)
{
	(void)state;
	killed(1);
}

static void
test_killed_while_confirming(void **state)
{
	(void)state;
	killed(2);
}

/* ---- revocation -------------------------------------------------------- */

static const struct line at_once[] = { { SAY_ISSUED, true }, { SAY_END } };

/* A device with a certificate of the upstream's; entry 1. */
static struct signer *
enrolled(struct site *s)
{
	struct lab_ask a = { .cn = "pump" };
	struct buf request AUTO_BUF = { 0 }, answer AUTO_BUF = { 0 };
	STACK_OF(X509) *chain = sk_X509_new_null();
	struct signer *device;
	AUTO(X509) cert = NULL;

	begin(at_once, s);
	cert = enrol(s, 1, &a, &request, &answer);
	assert_int_not_equal(sk_X509_push(chain, lab->ca.cert), 0);
	device = signer_new(lab->key, cert, chain);
	sk_X509_free(chain);
	return device;
}

static void
put_by(struct site *s, uint64_t id, const struct signer *by,
    const struct buf *body)
{
	struct buf octets AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	uint8_t tid[CMP_TID_LEN];
	struct cmp_head h = { .transaction_id = bytes_of(tid, sizeof(tid)),
		.implicit_confirm = true };

	random_bytes(tid, sizeof(tid));
	if (cmp_build(&h, buf_bytes(body), by, NULL, &octets, &e) == -1)
		fail_msg("%s", e.msg);
	assert_int_equal(site_put(s, id, &octets), BATCH_STORED);
}

static void
put_rr(struct site *s, uint64_t id, const struct signer *by)
{
	struct buf body AUTO_BUF = { 0 };

	cmp_body_rr(by->cert, 1, &body);
	put_by(s, id, by, &body);
}

static struct cmp_response
rp_of(struct site *s, uint64_t id, enum batch_code want)
{
	struct buf answer AUTO_BUF = { 0 };
	struct cmp_response r = { 0 };
	struct err e = ERR_INIT;
	AUTO(cmp_msg) m = NULL;
	char reason[160] = "";
	enum batch_code code = site_answer(s, id, &answer, reason);

	if (code != want)
		fail_msg("code %d: %s", (int)code, reason);
	m = lab_parse(buf_bytes(&answer));
	if (cmp_body(m) == CMP_RP)
		assert_int_equal(cmp_read_rp(m, &r, &e), 0);
	else
		assert_int_equal(cmp_read_error(m, &r, &e), 0);
	return r;
}

/* What is revoked asks for nothing more. */
static void
expect_fallen(struct site *s, uint64_t id, const struct signer *by)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	struct buf body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(cmp_body_kur(key, X509_get_subject_name(by->cert),
			     by->cert, &body, &e),
	    0);
	put_by(s, id, by, &body);
	assert_int_equal(rp_of(s, id, BATCH_REFUSED).fail, CMP_NOT_AUTHORIZED);
}

static void
test_rr_killed_between_polls(void **state)
{
	static const struct line before[] = { { SAY_ERROR_WAITING },
		{ SAY_NOT_YET }, { SAY_NOT_YET }, { SAY_NOT_YET },
		{ SAY_END } };
	static const struct line after[] = { { SAY_NOT_YET }, { SAY_REVOKED },
		{ SAY_END } };
	AUTO(signer) device = NULL;
	struct site s;

	(void)state;
	device = enrolled(&s);
	another(before);
	put_rr(&s, 2, device);
	killed_at(3, after, &s);
	assert_int_equal(rp_of(&s, 2, BATCH_ANSWERED).status, CMP_ACCEPTED);
	assert_int_equal(count("rr"), 1);
	expect_one_transaction();
	expect_fallen(&s, 3, device);
	site_close(&s);
}

static json_t *
post(const char *path, json_t *body, int want)
{
	struct err e = ERR_INIT;
	int status = 0;
	json_t *j = control_call(
	    lab_path(lab, "control"), "POST", path, body, &status, &e);

	json_decref(body);
	if (status != want)
		fail_msg("%s: %d: %s", path, status, e.msg);
	return j;
}

static void
resolve(const char *outcome, int want)
{
	json_decref(post("/v1/resolve",
	    json_pack("{s:i, s:s, s:b}", "case", 2, "reason", "CA's journal",
		outcome, 1),
	    want));
}

static bool
is_unknown(unsigned id)
{
	AUTO(json_t) j = NULL;
	const char *state;
	char path[32];

	snprintf(path, sizeof(path), "/v1/case/%u", id);
	j = control(path);
	state = json_string_value(
	    json_object_get(json_object_get(j, "case"), "state"));
	return state != NULL && strcmp(state, "unknown") == 0;
}

/* The answer to the rr of entry 2 is lost: nothing more is sent. */
static void
lose_rr(struct site *s, const struct signer *device, const struct line *then)
{
	static const struct line lost[] = { { SAY_HANG }, { SAY_END } };
	uint64_t until = clock_mono_ms() + LIMIT_MS;

	another(lost);
	put_rr(s, 2, device);
	killed_at(1, then, s);
	while (!is_unknown(2)) {
		if (clock_mono_ms() > until)
			fail_msg("it is not unknown");
		usleep(2000);
	}
	assert_string_equal(up->types, "nested:rr");
}

static void
test_rr_resolved_as_revoked(void **state)
{
	static const struct line nothing[] = { { SAY_END } };
	AUTO(signer) device = NULL;
	struct site s;

	(void)state;
	device = enrolled(&s);
	lose_rr(&s, device, nothing);
	resolve("not_issued", 403);
	resolve("issued", 400);
	resolve("revoked", 200);
	resolve("revoked", 403);
	assert_int_equal(rp_of(&s, 2, BATCH_ANSWERED).status, CMP_ACCEPTED);
	assert_string_equal(up->types, "nested:rr");
	expect_fallen(&s, 3, device);
	site_close(&s);
}

static void
test_rr_resolved_as_not_revoked(void **state)
{
	static const struct line then[] = { { SAY_REVOKED }, { SAY_END } };
	AUTO(signer) device = NULL;
	struct site s;

	(void)state;
	device = enrolled(&s);
	lose_rr(&s, device, then);
	resolve("not_revoked", 200);
	assert_int_equal(rp_of(&s, 2, BATCH_ANSWERED).status, CMP_ACCEPTED);
	assert_string_equal(up->types, "nested:rr nested:rr");
	expect_fallen(&s, 3, device);
	site_close(&s);
}

/* ---- beside the certificate -------------------------------------------- */

static void
ca_pubs_of(const char *profile, struct cmp_response *ret)
{
	static const struct line script[] = {
		{ SAY_ISSUED, true, .mods = true, .ca_pubs = true }, { SAY_END }
	};
	struct lab_ask a = { .cn = "device", .profile = profile };
	struct buf request AUTO_BUF = { 0 }, answer AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct err e = ERR_INIT;
	char reason[160];
	struct site s;

	begin(script, &s);
	lab_request(lab, &a, &request);
	assert_int_equal(site_put(&s, 1, &request), BATCH_STORED);
	assert_int_equal(site_answer(&s, 1, &answer, reason), BATCH_ANSWERED);
	m = lab_parse(buf_bytes(&answer));
	assert_int_equal(cmp_read_response(m, ret, &e), 0);
	site_close(&s);
}

/* Its root is nobody's whom the domain knows. */
static void
test_ca_pubs_are_not_passed_on(void **state)
{
	struct cmp_response r = { 0 };

	(void)state;
	ca_pubs_of(NULL, &r);
	assert_int_equal(r.status, CMP_GRANTED_WITH_MODS);
	assert_non_null(r.cert);
	assert_true(sk_X509_num(r.ca_pubs) <= 0);
	cmp_response_done(&r);
}

static void
test_ca_pubs_are_ours(void **state)
{
	struct cmp_response r = { 0 };

	(void)state;
	ca_pubs_of("roots", &r);
	assert_int_equal(sk_X509_num(r.ca_pubs), 1);
	assert_int_equal(
	    X509_cmp(sk_X509_value(r.ca_pubs, 0), lab->root.cert), 0);
	cmp_response_done(&r);
}

#define UP(fn) \
	cmocka_unit_test_setup_teardown(fn, setup_upstream, teardown_upstream)

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		UP(test_killed_between_polls),
		UP(test_killed_while_polling),
		UP(test_killed_while_confirming),
		UP(test_rr_killed_between_polls),
		UP(test_rr_resolved_as_revoked),
		UP(test_rr_resolved_as_not_revoked),
		UP(test_ca_pubs_are_not_passed_on),
		UP(test_ca_pubs_are_ours),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: test_ra_upstream WAYBILL-RA\n");
		return 2;
	}
	program = argv[1];
	log_set_level(LOG_ALARM);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
