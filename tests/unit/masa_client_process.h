/* The MASA client as a process, a MASA that answers as it is told, and a site:
 * what its tests share. */
#ifndef WAYBILL_TESTS_MASA_CLIENT_PROCESS_H
#define WAYBILL_TESTS_MASA_CLIENT_PROCESS_H

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

static inline bool
header_is(struct https_req *q, const char *name, const char *want)
{
	const char *is = https_header(q, name);

	return is != NULL && strcmp(is, want) == 0;
}

static inline void
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

static inline const struct step *
next_step(const struct step **plan)
{
	const struct step *s = *plan;

	if (!s->last)
		++*plan;
	return s;
}

static inline void
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

static inline void
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
static inline void
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

static inline void
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

static inline void
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
static inline void
configure_soon(void)
{
	char vendor[160];

	snprintf(vendor, sizeof(vendor),
	    "allow-private: true, tls-anchor: %s/vendor.crt", lab->dir);
	configure(vendor, SOON);
}

static inline void
on_tick(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

/* The MASA goes on answering meanwhile. */
static inline void
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

static inline enum batch_code
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
static inline enum batch_code
answer(struct site *s, uint64_t id, struct buf *octets, struct vch_answer *ret,
    char reason[160])
{
	enum batch_code code = site_answer(s, id, octets, reason);
	struct err e = ERR_INIT;

	if (vch_answer_parse(buf_bytes(octets), ret, &e) == -1)
		fail_msg("%s", e.msg);
	return code;
}

static inline bool
octets_are(struct bytes b, const char *text)
{
	return bytes_eq(b, bytes_of(text, strlen(text)));
}

/* ---- around each test -------------------------------------------------- */

static inline int
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

static inline int
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

static inline json_t *
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

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

#endif
