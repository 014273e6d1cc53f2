/* A real waybill-masa-client, whose path is the first argument, between a site
 * and a MASA that does what the test tells it. */
#include "tests/unit/service_process.h"
#include "tests/unit/voucher_lab.h"

#include "common/sys/https.h"

#define VOUCHER_TYPE "application/voucher-cms+json"
#define VOUCHER	     "\x30\x07voucher"
#define LOG_JSON     "{\"version\":1,\"events\":[]}"
#define SOON	     "retry-min: 20ms, retry-max: 60ms"
#define LOG_URL	     "/log/1"

/* ---- the MASA ---------------------------------------------------------- */

/* One answer; the last of a plan is repeated. */
struct step {
	int status;
	const char *type, *body; /* a NULL body is empty */
	const char *location;	 /* "%": an address of the MASA itself */
	unsigned retry_after;
	size_t filler; /* octets after the body */
	bool hold;     /* no answer until the test ends */
	bool last;
};

static const struct step good_voucher = {
	.status = 200, .type = VOUCHER_TYPE, .body = VOUCHER, .last = true
};
static const struct step good_log = { .status = 200,
	.type = "application/json",
	.body = LOG_JSON,
	.last = true };

static struct {
	struct https *h;
	struct signer *signer;
	const struct step *vouchers, *logs, *moved;
	unsigned n_vouchers, n_logs, n_moved, strays;
	struct buf voucher_body, log_body; /* as last asked */
	struct digest client;		   /* who asked */
	bool headers_ok, asked;
	struct https_req *held[8];
	size_t n_held;
} masa;

static bool
header_is(struct https_req *q, const char *name, const char *want)
{
	const char *is = https_header(q, name);

	return is != NULL && strcmp(is, want) == 0;
}

static void
masa_answer(struct https_req *q, const struct step *s)
{
	struct https_answer a = { .status = s->status,
		.type = s->type,
		.retry_after = s->retry_after };
	struct buf body AUTO_BUF = { 0 };
	char location[160];

	if (s->hold) {
		assert_true(masa.n_held < NELEMS(masa.held));
		masa.held[masa.n_held++] = q;
		return;
	}
	if (s->location != NULL && s->location[0] == '%') {
		snprintf(location, sizeof(location), "https://127.0.0.1:%u%s",
		    https_port(masa.h), s->location + 1);
		a.location = location;
	} else {
		a.location = s->location;
	}
	if (s->body != NULL)
		buf_add_str(&body, s->body);
	if (s->filler > 0)
		memset(buf_grow(&body, s->filler), 'x', s->filler);
	a.body = buf_bytes(&body);
	https_reply(q, &a);
}

static const struct step *
next_step(const struct step **plan)
{
	const struct step *s = *plan;

	if (!s->last)
		++*plan;
	return s;
}

static void
record(struct https_req *q, struct buf *body, const char *accept)
{
	X509 *client = https_peer_cert(q);

	buf_reset(body);
	buf_add(body, https_body(q).p, https_body(q).len);
	masa.headers_ok = header_is(q, "Content-Type", VOUCHER_TYPE) &&
	    header_is(q, "Accept", accept);
	if (client != NULL)
		masa.client = cert_digest(client);
}

static void
on_masa(struct https_req *q, void *arg)
{
	bool post = https_method(q) == HTTPS_POST;
	const char *path = https_path(q);

	(void)arg;
	masa.asked = true;
	loop_stop(loop);
	if (post && strcmp(path, "/.well-known/brski/requestvoucher") == 0) {
		masa.n_vouchers++;
		record(q, &masa.voucher_body, VOUCHER_TYPE);
		masa_answer(q, next_step(&masa.vouchers));
	} else if (post &&
	    strcmp(path, "/.well-known/brski/requestauditlog") == 0) {
		masa.n_logs++;
		record(q, &masa.log_body, "application/json");
		masa_answer(q, next_step(&masa.logs));
	} else if (!post && strcmp(path, LOG_URL) == 0) {
		masa.n_moved++;
		masa_answer(q, next_step(&masa.moved));
	} else {
		masa.strays++;
		https_reply_text(q, 404, "nothing here");
	}
}

/* The lab's device knows where it is. */
static void
masa_open(const char *san, unsigned conns)
{
	struct lab_want w = { .cn = "masa", .san = san, .eku = "serverAuth" };
	struct lab_want d = { .cn = "device", .serial = "WB-0001" };
	struct https_conf c = {
		.listen = "127.0.0.1:0", .max_body = 1 << 20, .max_conns = conns
	};
	struct err e = ERR_INIT;
	char url[64];

	masa.signer = lab_signer(&w, &lab->vendor);
	c.signer = masa.signer;
	if ((masa.h = https_open(loop, &c, on_masa, NULL, &e)) == NULL)
		fail_msg("%s", e.msg);
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/", https_port(masa.h));
	d.masa_url = url;
	signer_free(lab->device);
	lab->device = lab_signer(&d, &lab->vendor_sub);
	masa.vouchers = &good_voucher;
	masa.logs = masa.moved = &good_log;
}

static void
masa_close(void)
{
	https_close(masa.h);
	for (size_t i = 0; i < masa.n_held; i++)
		https_reply_text(masa.held[i], 503, "gone");
	signer_free(masa.signer);
	buf_done(&masa.voucher_body);
	buf_done(&masa.log_body);
	memset(&masa, 0, sizeof(masa));
}

/* ---- the client -------------------------------------------------------- */

static void
configure(const char *vendor, const char *times)
{
	struct buf y AUTO_BUF = { 0 };
	const char *d = lab->dir;

	buf_printf(&y,
	    "name: ra\n"
	    "listen: [tls+tcp://127.0.0.1:0]\n"
	    "key: %s/service.key\ncertificate: %s/service.crt\n"
	    "domain-ca: %s/root.crt\nsites: %s/sites\n",
	    d, d, d, d);
	buf_printf(&y,
	    "link: {key: %s/link-ra.key, certificate: %s/link-ra.crt, "
	    "ca: %s/link-ca.crt}\n"
	    "vendors: [{name: acme, anchor: %s/vendor.crt, %s}]\n",
	    d, d, d, d, vendor);
	buf_printf(&y,
	    "store: {directory: %s/store, seal: %s/seal.key, map-size: 8MiB}\n"
	    "masa: {key: %s/client.key, certificate: %s/client.crt, %s}\n"
	    "control: {socket: %s/control}\n",
	    d, d, d, d, times, d);
	lab_write(lab, "masa-client.yaml", buf_bytes(&y));
}

/* The MASA of the test is on the loopback, under its maker's own root. */
static void
configure_soon(void)
{
	char vendor[160];

	snprintf(vendor, sizeof(vendor),
	    "allow-private: true, tls-anchor: %s/vendor.crt", lab->dir);
	configure(vendor, SOON);
}

static void
on_tick(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

/* The MASA goes on answering meanwhile. */
static void
serve_until_logged(const char *what, char *line, size_t size)
{
	uint64_t until = clock_mono_ms() + LIMIT_MS;
	struct timer *t = timer_new(loop, on_tick, NULL);

	while (!logged(what, line, size)) {
		if (clock_mono_ms() > until)
			fail_msg("never said \"%s\"", what);
		timer_set(t, 5);
		loop_run(loop);
	}
	timer_free(t);
}

/* Of the device's octets in the entry that was put last. */
static struct digest put_digest;

static enum batch_code
put(struct site *s, const struct lab_voucher *a, uint64_t id, struct buf *rvr)
{
	struct buf out AUTO_BUF = { 0 };
	struct lab_entry en;

	lab_voucher(lab, a, id, &en);
	frame_put(++s->tag, buf_bytes(&en.header), buf_bytes(&en.octets),
	    buf_bytes(&en.sig), &out);
	if (rvr != NULL)
		buf_add(rvr, en.octets.data, en.octets.len);
	put_digest = en.h.digest;
	lab_entry_done(&en);
	return site_put_frame(s, id, &out);
}

/* The answer to `id`, parsed; borrowed from octets. */
static enum batch_code
answer(struct site *s, uint64_t id, struct buf *octets, struct vch_answer *ret,
    char reason[160])
{
	enum batch_code code = site_answer(s, id, octets, reason);
	struct err e = ERR_INIT;

	if (vch_answer_parse(buf_bytes(octets), ret, &e) == -1)
		fail_msg("%s", e.msg);
	return code;
}

static bool
octets_are(struct bytes b, const char *text)
{
	return bytes_eq(b, bytes_of(text, strlen(text)));
}

/* ---- around each test -------------------------------------------------- */

static int
setup(void **state)
{
	struct lab_want w = { .cn = "client", .eku = "clientAuth" };
	struct err e = ERR_INIT;
	AUTO(signer) client = NULL;

	(void)state;
	lab = lab_new();
	link_keys("ra", "URI:urn:waybill:service:ra", "serverAuth");
	link_keys("berlin", LAB_SAN, "clientAuth");
	client = lab_signer(&w, &lab->ca);
	lab_save(lab, "client", client->key, client->cert, lab->ca.cert);
	lab_save(lab, "stranger", NULL, lab->stranger.cert, NULL);
	service.conf = "masa-client.yaml";
	service.ready = "event=masa-client.ready";
	if ((loop = loop_new(&e)) == NULL)
		fail_msg("%s", e.msg);
	masa_open("IP:127.0.0.1", 16);
	configure_soon();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	if (service.pid != 0)
		service_stop(SIGKILL);
	masa_close();
	loop_free(loop);
	lab_free(lab);
	return 0;
}

/* ---- tests ------------------------------------------------------------- */

static void
test_voucher_and_log(void **state)
{
	static const struct lab_voucher ask;
	struct buf rvr AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct vch_answer a;
	struct digest client;
	char reason[160];
	struct site s;
	AUTO(X509) cert = NULL;

	(void)state;
	/* One connection does for all: a second one would be closed. */
	masa_close();
	masa_open("IP:127.0.0.1", 1);
	service_start(CLOCK);
	site_open(&s);
	for (uint64_t id = 1; id <= 2; id++) {
		buf_reset(&rvr);
		assert_int_equal(put(&s, &ask, id, &rvr), BATCH_STORED);
		assert_int_equal(
		    answer(&s, id, &octets, &a, reason), BATCH_ANSWERED);
		assert_int_equal(a.status, 200);
		assert_true(octets_are(a.voucher, VOUCHER));
		assert_int_equal(a.log_status, 200);
		assert_true(octets_are(a.log, LOG_JSON));
		/* RFC 8995 5.8: the same message asks for both. */
		assert_true(
		    bytes_eq(buf_bytes(&masa.voucher_body), buf_bytes(&rvr)));
		assert_true(
		    bytes_eq(buf_bytes(&masa.log_body), buf_bytes(&rvr)));
	}
	assert_true(masa.headers_ok);
	assert_non_null(cert = ossl_load_cert(lab_path(lab, "client.crt"), &e));
	client = cert_digest(cert);
	assert_true(digest_eq(&client, &masa.client));
	assert_int_equal(masa.n_vouchers, 2);
	assert_int_equal(masa.n_logs, 2);
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);
}

static void
test_masa_refuses(void **state)
{
	static const struct step refusals[] = {
		{ .status = 404,
		    .type = "text/plain; charset=utf-8",
		    .body = "unknown device\nand more" },
		{ .status = 403, .type = "text/html", .body = "<p>no" },
		{ .status = 406, .last = true },
	};
	static const struct {
		unsigned status;
		const char *reason, *told;
	} want[] = {
		{ 404, "unknown device", "MASA: 404 unknown device" },
		{ 403, "", "MASA: 403 " },
		{ 406, "", "MASA: 406 " },
	};
	static const char *const nonces[] = { "YQ==", "Yg==", "Yw==" };
	struct site s;

	(void)state;
	masa.vouchers = refusals;
	service_start(CLOCK);
	site_open(&s);
	for (size_t i = 0; i < NELEMS(want); i++) {
		struct lab_voucher ask = { .nonce = nonces[i] };
		struct buf octets AUTO_BUF = { 0 };
		struct vch_answer a;
		char reason[160];

		put(&s, &ask, i + 1, NULL);
		assert_int_equal(
		    answer(&s, i + 1, &octets, &a, reason), BATCH_REFUSED);
		assert_int_equal(a.status, want[i].status);
		assert_string_equal(a.reason, want[i].reason);
		assert_string_equal(reason, want[i].told);
		assert_int_equal(a.voucher.len, 0);
	}
	assert_int_equal(masa.n_logs, 0);
	site_close(&s);
}

/* None of these decides anything, and none is followed or taken. */
static void
test_not_yet(void **state)
{
	static const struct step troubles[] = {
		{ .status = 503, .retry_after = 3600 },
		{ .status = 500, .type = "text/plain", .body = "oh" },
		{ .status = 408 },
		{ .status = 429 },
		{ .status = 302, .location = "%/elsewhere" },
		{ .status = 307, .location = "%/.well-known/brski/elsewhere" },
		{ .status = 200, .type = "text/html", .body = "\x30\x01x" },
		{ .status = 200, .type = VOUCHER_TYPE, .body = "garbage" },
		{ .status = 200, .type = VOUCHER_TYPE },
		{ .status = 200,
		    .type = VOUCHER_TYPE,
		    .body = "\x30",
		    .filler = CMS_OCTETS_MAX },
		{ .status = 200, .type = VOUCHER_TYPE "x", .body = VOUCHER },
		{ .status = 200,
		    .type = VOUCHER_TYPE "; charset=x",
		    .body = VOUCHER,
		    .last = true },
	};
	static const struct lab_voucher ask;
	struct buf octets AUTO_BUF = { 0 };
	struct vch_answer a;
	char reason[160], line[512];
	struct site s;

	(void)state;
	masa.vouchers = troubles;
	service_start(CLOCK);
	site_open(&s);
	put(&s, &ask, 1, NULL);
	assert_int_equal(answer(&s, 1, &octets, &a, reason), BATCH_ANSWERED);
	assert_true(octets_are(a.voucher, VOUCHER));
	assert_int_equal(masa.n_vouchers, NELEMS(troubles));
	assert_int_equal(masa.strays, 0);
	assert_true(logged("reason=\"HTTP 500: oh\"", line, sizeof(line)));
	assert_true(logged("a redirect is not followed", line, sizeof(line)));
	assert_true(logged("answer of over 65536", line, sizeof(line)));
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);
}

static void
test_slow(void **state)
{
	static const struct step slow[] = {
		{ .hold = true },
		{ .status = 200,
		    .type = VOUCHER_TYPE,
		    .body = VOUCHER,
		    .last = true },
	};
	static const struct lab_voucher ask;
	struct buf octets AUTO_BUF = { 0 };
	char vendor[160], reason[160];
	struct vch_answer a;
	struct site s;

	(void)state;
	snprintf(vendor, sizeof(vendor),
	    "allow-private: true, tls-anchor: %s/vendor.crt", lab->dir);
	configure(vendor, SOON ", timeout: 300ms");
	masa.vouchers = slow;
	service_start(CLOCK);
	site_open(&s);
	put(&s, &ask, 1, NULL);
	assert_int_equal(answer(&s, 1, &octets, &a, reason), BATCH_ANSWERED);
	assert_int_equal(masa.n_vouchers, 2);
	site_close(&s);
}

static void
test_logs(void **state)
{
	static const struct step moved[] = {
		{ .status = 201, .location = "%" LOG_URL, .last = true }
	};
	static const struct step relative[] = {
		{ .status = 201, .location = LOG_URL, .last = true }
	};
	static const struct step elsewhere[] = { { .status = 201,
	    .location = "https://localhost/log/1",
	    .last = true } };
	static const struct step broken[] = { { .status = 500, .last = true } };
	static const struct step heals[] = { { .status = 500 },
		{ .status = 503 },
		{ .status = 200,
		    .type = "application/json",
		    .body = LOG_JSON,
		    .last = true } };
	static const struct step refused[] = { { .status = 404,
	    .last = true } };
	static const struct step no_json[] = { { .status = 200,
	    .type = "text/html",
	    .body = LOG_JSON,
	    .last = true } };
	static const struct step empty[] = {
		{ .status = 200, .type = "application/json", .last = true }
	};
	static const struct step huge[] = { { .status = 200,
	    .type = "application/json",
	    .body = "{",
	    .filler = VCH_JSON_MAX,
	    .last = true } };
	static const struct {
		const char *nonce;
		const struct step *plan;
		unsigned asked, moved, status;
		bool log;
	} cases[] = {
		{ "MQ==", moved, 1, 1, 200, true },
		{ "Mg==", relative, 1, 1, 200, true },
		{ "Mw==", elsewhere, 3, 0, 201, false },
		{ "NA==", broken, 3, 0, 500, false },
		{ "NQ==", heals, 3, 0, 200, true },
		{ "Ng==", refused, 1, 0, 404, false },
		{ "Nw==", huge, 3, 0, 0, false },
		{ "OA==", no_json, 3, 0, 200, false },
		{ "OQ==", empty, 3, 0, 200, false },
	};
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct lab_voucher ask = { .nonce = cases[i].nonce };
		struct buf octets AUTO_BUF = { 0 };
		struct vch_answer a;
		char reason[160];

		masa.logs = cases[i].plan;
		masa.n_vouchers = masa.n_logs = masa.n_moved = 0;
		put(&s, &ask, i + 1, NULL);
		assert_int_equal(
		    answer(&s, i + 1, &octets, &a, reason), BATCH_ANSWERED);
		assert_true(octets_are(a.voucher, VOUCHER));
		if (masa.n_vouchers != 1 || masa.n_logs != cases[i].asked ||
		    masa.n_moved != cases[i].moved ||
		    a.log_status != cases[i].status ||
		    octets_are(a.log, LOG_JSON) != cases[i].log)
			fail_msg("%zu: %u vouchers, %u logs, %u moved, %u", i,
			    masa.n_vouchers, masa.n_logs, masa.n_moved,
			    a.log_status);
	}
	assert_int_equal(masa.strays, 0);
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);
}

static json_t *
control(const char *path)
{
	struct err e = ERR_INIT;
	int status = 0;
	json_t *j = control_call(
	    lab_path(lab, "control"), "GET", path, NULL, &status, &e);

	if (j == NULL)
		fail_msg("%s: %s", path, e.msg);
	assert_int_equal(status, 200);
	return j;
}

/* The MASA is never reached; why is told to those who ask. */
static void
expect_unreached(const char *vendor, const char *why)
{
	static const struct lab_voucher ask;
	AUTO(json_t) j = NULL;
	const json_t *one;
	char line[512];
	struct site s;

	configure(vendor, SOON);
	service_start(CLOCK);
	site_open(&s);
	put(&s, &ask, 1, NULL);
	serve_until_logged("event=masa.later", line, sizeof(line));
	j = control("/v1/asking");
	one = json_array_get(json_object_get(j, "asking"), 0);
	assert_non_null(one);
	if (strstr(json_string_value(json_object_get(one, "why")), why) == NULL)
		fail_msg("%s: %s", why, line);
	assert_string_equal(
	    json_string_value(json_object_get(one, "device")), "WB-0001");
	assert_int_equal(masa.n_vouchers, 0);
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);
}

static void
test_private_address(void **state)
{
	char vendor[160];

	(void)state;
	snprintf(vendor, sizeof(vendor), "tls-anchor: %s/vendor.crt", lab->dir);
	expect_unreached(vendor, "allow-private");
}

static void
test_wrong_tls_anchor(void **state)
{
	char vendor[160];

	(void)state;
	snprintf(vendor, sizeof(vendor),
	    "allow-private: true, tls-anchor: %s/stranger.crt", lab->dir);
	expect_unreached(vendor, "certificate");
}

/* The maker's root is none that the system believes. */
static void
test_system_anchors(void **state)
{
	(void)state;
	expect_unreached("allow-private: true", "certificate");
}

static void
test_wrong_name(void **state)
{
	char vendor[160];

	(void)state;
	masa_close();
	masa_open("DNS:masa.example", 16);
	snprintf(vendor, sizeof(vendor),
	    "allow-private: true, tls-anchor: %s/vendor.crt", lab->dir);
	expect_unreached(vendor, "127.0.0.1");
}

static void
test_restart_in_mid_wait(void **state)
{
	static const struct step away[] = { { .status = 503, .last = true } };
	static const struct lab_voucher ask;
	struct buf octets AUTO_BUF = { 0 }, rvr AUTO_BUF = { 0 };
	char reason[160], line[512];
	struct vch_answer a;
	struct site s;

	(void)state;
	masa.vouchers = away;
	service_start(CLOCK);
	site_open(&s);
	assert_int_equal(put(&s, &ask, 1, &rvr), BATCH_STORED);
	serve_until_logged("event=masa.later", line, sizeof(line));
	site_close(&s);
	/* As if the power had gone. */
	assert_int_equal(service_stop(SIGKILL), -SIGKILL);

	masa.vouchers = &good_voucher;
	service_start(CLOCK);
	site_open(&s);
	assert_int_equal(answer(&s, 1, &octets, &a, reason), BATCH_ANSWERED);
	assert_true(octets_are(a.voucher, VOUCHER));
	assert_true(bytes_eq(buf_bytes(&masa.voucher_body), buf_bytes(&rvr)));
	site_close(&s);
}

static void
test_newer_ends_older(void **state)
{
	static const struct step plan[] = {
		{ .hold = true },
		{ .status = 200,
		    .type = VOUCHER_TYPE,
		    .body = VOUCHER,
		    .last = true },
	};
	static const struct lab_voucher older = { .nonce = "MQ==" },
					newer = { .nonce = "Mg==" };
	struct buf octets AUTO_BUF = { 0 };
	struct vch_answer a;
	char reason[160];
	struct site s;

	(void)state;
	masa.vouchers = plan;
	service_start(CLOCK);
	site_open(&s);
	put(&s, &older, 1, NULL);
	masa.asked = masa.n_held > 0;
	run_until(&masa.asked);
	put(&s, &newer, 2, NULL);
	assert_int_equal(answer(&s, 1, &octets, &a, reason), BATCH_REFUSED);
	assert_string_equal(reason, "superseded");
	assert_int_equal(a.status, 0);
	assert_int_equal(answer(&s, 2, &octets, &a, reason), BATCH_ANSWERED);
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);
}

/* After a start, the site has the first word: the ledger may be an old one. */
static void
test_silent_site_waits(void **state)
{
	static const struct step away[] = { { .status = 503, .last = true } };
	static const struct lab_voucher ask;
	struct buf octets AUTO_BUF = { 0 };
	AUTO(json_t) j = NULL;
	char reason[160], line[512];
	struct vch_answer a;
	struct site s;

	(void)state;
	masa.vouchers = away;
	service_start(CLOCK);
	site_open(&s);
	assert_int_equal(put(&s, &ask, 1, NULL), BATCH_STORED);
	serve_until_logged("event=masa.later", line, sizeof(line));
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);

	masa.vouchers = &good_voucher;
	masa.n_vouchers = 0;
	service_start(CLOCK);
	site_dial(&s, LAB_SITE);
	j = control("/v1/asking");
	assert_int_equal(json_array_size(json_object_get(j, "asking")), 1);
	assert_int_equal(masa.n_vouchers, 0);
	site_hello(&s);
	assert_int_equal(answer(&s, 1, &octets, &a, reason), BATCH_ANSWERED);
	assert_int_equal(masa.n_vouchers, 1);
	site_close(&s);
}

/* Given up while its MASA is asked, or before it came. */
static void
test_withdrawn(void **state)
{
	static const struct step plan[] = { { .hold = true },
		{ .status = 200,
		    .type = VOUCHER_TYPE,
		    .body = VOUCHER,
		    .last = true } };
	static const struct lab_voucher one = { .nonce = "MQ==" },
					two = { .nonce = "Mg==" };
	struct buf octets AUTO_BUF = { 0 };
	struct vch_answer a;
	char reason[160];
	struct lab_entry en;
	struct site s;

	(void)state;
	masa.vouchers = plan;
	service_start(CLOCK);
	site_open(&s);
	put(&s, &one, 1, NULL);
	masa.asked = masa.n_held > 0;
	run_until(&masa.asked);
	assert_int_equal(site_withdraw(&s, 2, 1, &put_digest), BATCH_ANSWERED);
	assert_int_equal(answer(&s, 1, &octets, &a, reason), BATCH_REFUSED);
	assert_string_equal(reason, "withdrawn");
	lab_voucher(lab, &two, 3, &en);
	assert_int_equal(site_withdraw(&s, 4, 3, &en.h.digest), BATCH_ANSWERED);
	lab_entry_done(&en);
	assert_int_equal(put(&s, &two, 3, NULL), BATCH_STORED);
	assert_int_equal(answer(&s, 3, &octets, &a, reason), BATCH_REFUSED);
	assert_string_equal(reason, "withdrawn");
	assert_int_equal(masa.n_vouchers, 1);
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);
}

/* A device that the MASA fails for keeps no other one waiting. */
static void
test_devices_do_not_wait_for_each_other(void **state)
{
	static const struct step plan[] = {
		{ .hold = true },
		{ .status = 200,
		    .type = VOUCHER_TYPE,
		    .body = VOUCHER,
		    .last = true },
	};
	static const struct lab_voucher first;
	struct lab_want w = { .cn = "device", .serial = "WB-0002" };
	struct buf octets AUTO_BUF = { 0 };
	char reason[160], url[64];
	AUTO(signer) device = NULL;
	struct vch_answer a;
	struct site s;

	(void)state;
	snprintf(url, sizeof(url), "127.0.0.1:%u", https_port(masa.h));
	w.masa_url = url;
	device = lab_signer(&w, &lab->vendor_sub);
	masa.vouchers = plan;
	service_start(CLOCK);
	site_open(&s);
	put(&s, &first, 1, NULL);
	put(&s, &(struct lab_voucher){ .device = device, .serial = "WB-0002" },
	    2, NULL);
	assert_int_equal(answer(&s, 2, &octets, &a, reason), BATCH_ANSWERED);
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);
}

static void
test_prefetch(void **state)
{
	static const struct lab_voucher ask = { .prefetch = true },
					other = { .prefetch = true,
						.vendor = "nobody" };
	struct buf octets AUTO_BUF = { 0 };
	char vendor[240], reason[160];
	struct vch_answer a;
	struct site s;

	(void)state;
	snprintf(vendor, sizeof(vendor),
	    "allow-private: true, tls-anchor: %s/vendor.crt, "
	    "url: \"https://127.0.0.1:%u\"",
	    lab->dir, https_port(masa.h));
	configure(vendor, SOON);
	service_start(CLOCK);
	site_open(&s);
	put(&s, &ask, 1, NULL);
	assert_int_equal(answer(&s, 1, &octets, &a, reason), BATCH_ANSWERED);
	put(&s, &other, 2, NULL);
	assert_int_equal(answer(&s, 2, &octets, &a, reason), BATCH_REFUSED);
	assert_non_null(strstr(reason, "nobody"));
	assert_int_equal(masa.n_vouchers, 1);
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);
}

/* Refused by a signed answer, and the MASA never hears of it. */
static void
test_refused_unasked(void **state)
{
	struct lab_want w = { .cn = "device", .serial = "WB-0001" };
	AUTO(signer) stranger = NULL, homeless = NULL;
	char url[64];
	struct site s;

	(void)state;
	snprintf(url, sizeof(url), "127.0.0.1:%u", https_port(masa.h));
	homeless = lab_signer(&w, &lab->vendor_sub);
	w.masa_url = url;
	stranger = lab_signer(&w, &lab->stranger);
	const struct {
		struct lab_voucher ask;
		const char *reason;
	} cases[] = {
		{ { .device = stranger }, "signer" },
		{ { .device = homeless }, "neither the IDevID nor we" },
		{ { .serial = "WB-0009" }, "serial-number" },
		{ { .prefetch = true }, "neither the IDevID nor we" },
	};
	service_start(CLOCK);
	site_open(&s);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct buf octets AUTO_BUF = { 0 };
		struct vch_answer a;
		char reason[160];

		assert_int_equal(
		    put(&s, &cases[i].ask, i + 1, NULL), BATCH_STORED);
		assert_int_equal(
		    answer(&s, i + 1, &octets, &a, reason), BATCH_REFUSED);
		if (strstr(reason, cases[i].reason) == NULL)
			fail_msg("%zu: %s", i, reason);
		assert_int_equal(a.status, 0);
	}
	assert_int_equal(masa.n_vouchers, 0);
	site_close(&s);
}

static void
test_past_its_deadline(void **state)
{
	static const struct lab_voucher ask;
	struct buf out AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
	struct vch_answer a;
	struct lab_entry en;
	char reason[160];
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	lab_voucher(lab, &ask, 1, &en);
	en.h.deadline = clock_now().time - 1;
	lab_entry_sign(&en, lab->registrar);
	frame_put(++s.tag, buf_bytes(&en.header), buf_bytes(&en.octets),
	    buf_bytes(&en.sig), &out);
	assert_int_equal(site_put_frame(&s, 1, &out), BATCH_STORED);
	assert_int_equal(answer(&s, 1, &octets, &a, reason), BATCH_REFUSED);
	assert_string_equal(reason, "expired");
	assert_int_equal(masa.n_vouchers, 0);
	lab_entry_done(&en);
	site_close(&s);
}

/* DESIGN 5, rule 5: no date can be judged, so nothing is asked or refused. */
static void
test_no_clock(void **state)
{
	static const struct lab_voucher ask;
	char line[512];
	struct site s;

	(void)state;
	service_start(NO_CLOCK);
	site_open(&s);
	assert_int_equal(put(&s, &ask, 1, NULL), BATCH_STORED);
	serve_until_logged("event=asker.no-clock", line, sizeof(line));
	assert_int_equal(masa.n_vouchers, 0);
	site_close(&s);
}

static void
test_other_kinds(void **state)
{
	struct lab_ask a = { .type = CMP_IR };
	struct buf request AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
	struct lab_entry en;
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	lab_request(lab, &a, &request);
	lab_wrap(lab, lab->registrar, LAB_SITE, 1, buf_bytes(&request), &en);
	frame_put(++s.tag, buf_bytes(&en.header), buf_bytes(&en.octets),
	    buf_bytes(&en.sig), &out);
	assert_int_equal(site_put_frame(&s, 1, &out), BATCH_NOT_AUTHORISED);
	lab_entry_done(&en);
	site_close(&s);
}

static void
test_status(void **state)
{
	static const struct lab_voucher ask;
	AUTO(json_t) status = NULL, entries = NULL;
	struct buf octets AUTO_BUF = { 0 };
	struct vch_answer a;
	const json_t *one;
	char reason[160];
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	put(&s, &ask, 1, NULL);
	assert_int_equal(answer(&s, 1, &octets, &a, reason), BATCH_ANSWERED);
	status = control("/v1/status");
	assert_int_equal(
	    json_integer_value(json_object_get(status, "open")), 0);
	assert_true(json_is_integer(json_object_get(status, "waiting")));
	entries = control("/v1/entries");
	one = json_array_get(json_object_get(entries, "entries"), 0);
	assert_string_equal(
	    json_string_value(json_object_get(one, "kind")), "voucher");
	assert_string_equal(
	    json_string_value(json_object_get(one, "device")), "WB-0001");
	site_close(&s);
}

static void
test_check(void **state)
{
	(void)state;
	assert_int_equal(ended(spawn(CLOCK, "--check")), 0);
	configure("url: \"http://masa.example/\"", SOON);
	assert_int_equal(ended(spawn(CLOCK, "--check")), 78);
	configure("allow-private: true", "retry-min: 2m, retry-max: 1m");
	assert_int_equal(ended(spawn(CLOCK, "--check")), 78);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_voucher_and_log),
		TEST(test_masa_refuses),
		TEST(test_not_yet),
		TEST(test_slow),
		TEST(test_logs),
		TEST(test_private_address),
		TEST(test_wrong_tls_anchor),
		TEST(test_system_anchors),
		TEST(test_wrong_name),
		TEST(test_restart_in_mid_wait),
		TEST(test_newer_ends_older),
		TEST(test_silent_site_waits),
		TEST(test_withdrawn),
		TEST(test_devices_do_not_wait_for_each_other),
		TEST(test_prefetch),
		TEST(test_refused_unasked),
		TEST(test_past_its_deadline),
		TEST(test_no_clock),
		TEST(test_other_kinds),
		TEST(test_status),
		TEST(test_check),
	};

	if (argc != 2) {
		fprintf(stderr,
		    "usage: test_masa_client_process WAYBILL-MASA-CLIENT\n");
		return 2;
	}
	program = argv[1];
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
