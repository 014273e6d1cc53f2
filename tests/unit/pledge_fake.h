/* The whole device against a registrar that does what its script says. */
#ifndef WAYBILL_TESTS_PLEDGE_FAKE_H
#define WAYBILL_TESTS_PLEDGE_FAKE_H

#include "tests/unit/pledge_lab.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/pki/cmp.h"
#include "common/sys/https.h"
#include "manufacturer/pledge.h"

#define VOUCHER_TYPE "application/voucher-cms+json"

/*
 * What came, one letter each: '|' a new connection, 'g' the question what is
 * offered; a request for a voucher: the letter of the script that answered it;
 * '+' '-' voucher status; 'i' 'x' a CMP request, granted or refused; 'J' 'F'
 * enrolment status: joined, told with the LDevID; failed, told with the
 * IDevID.  '?' is what must not come.
 */
static struct fake {
	struct loop *l;
	struct https *h;
	const char *script; /* answers to voucher requests, the last again */
	bool refuse;	    /* CMP */
	int taken;	    /* status of the answers to telemetry */
	struct buf first;   /* voucher request */
	char trace[64];
	unsigned connects; /* told in trace */
} fake;

static struct lab lab;
static char dir[] = "/tmp/wb-pledge.XXXXXX";
static atomic_uint connects;

/* In place of libc's: the device's connections are counted. */
int
connect(int fd, const struct sockaddr *to, socklen_t n)
{
	int (*libc_connect)(int, const struct sockaddr *, socklen_t);

	*(void **)&libc_connect = dlsym(RTLD_NEXT, "connect");
	if (to->sa_family == AF_INET)
		atomic_fetch_add(&connects, 1);
	return libc_connect(fd, to, n);
}

static inline const char *
path_of(const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *ret = paths[next++ % 4];

	snprintf(ret, sizeof(paths[0]), "%s/%s", dir, name);
	return ret;
}

/* ---- the registrar ---------------------------------------------------- */

static inline void
trace(char what)
{
	unsigned n = atomic_load(&connects);
	size_t at = strlen(fake.trace);

	assert_true(at + 2 < sizeof(fake.trace));
	if (n != fake.connects)
		fake.trace[at++] = '|';
	fake.connects = n;
	fake.trace[at] = what;
}

static inline bool
client_is(const struct https_req *r, const struct signer *s)
{
	return https_peer_cert(r) != NULL &&
	    X509_cmp(https_peer_cert(r), s->cert) == 0;
}

static inline void
reply(struct https_req *r, const char *type, struct buf *body)
{
	struct https_answer a = {
		.status = 200, .type = type, .body = buf_bytes(body)
	};

	https_reply(r, &a);
}

static inline void
send_voucher(struct https_req *r, char kind)
{
	struct buf json AUTO_BUF = { 0 };
	struct buf der AUTO_BUF = { 0 };
	struct vch v = { 0 };

	lab_voucher(https_body(r),
	    kind == 'p' ? lab.stranger.cert : lab.domain.cert, &v);
	if (kind == 's')
		str_copy(v.serial, sizeof(v.serial), "SN-8");
	if (kind == 'n')
		str_copy(v.nonce, sizeof(v.nonce), "AAAAAAAAAAAAAAAAAAAAAA==");
	vch_format(&v, &json);
	lab_sign(nid_json_voucher(), buf_bytes(&json),
	    kind == 'm' ? lab.foreigner : lab.masa, &der);
	reply(r, VOUCHER_TYPE, &der);
	vch_done(&v);
}

static inline void
send_later(struct https_req *r, int status, unsigned s, bool end)
{
	struct https_answer a = {
		.status = status, .retry_after = s, .close = end
	};

	https_reply(r, &a);
}

static inline bool
is_good_request(struct https_req *r)
{
	const char *accept = https_header(r, "Accept");
	const char *type = https_header(r, "Content-Type");

	if (fake.first.len == 0)
		buf_add(&fake.first, https_body(r).p, https_body(r).len);
	return client_is(r, lab.device) && accept != NULL && type != NULL &&
	    strcmp(accept, VOUCHER_TYPE) == 0 &&
	    strcmp(type, VOUCHER_TYPE) == 0 &&
	    bytes_eq(buf_bytes(&fake.first), https_body(r));
}

static inline void
on_voucher(struct https_req *r)
{
	char what = *fake.script;

	if (fake.script[1] != '\0')
		fake.script++;
	trace(is_good_request(r) ? what : '?');
	if (what == 'w')
		send_later(r, 202, 1, false);
	else if (what == 'W')
		send_later(r, 202, 4000, false);
	else if (what == 'c')
		send_later(r, 202, 1, true);
	else if (what == '5')
		send_later(r, 503, 0, false);
	else if (what == '4')
		https_reply_text(r, 403, "not one of ours");
	else
		send_voucher(r, what);
}

static inline bool
read_status(struct https_req *r, struct vch_status *ret)
{
	const char *type = https_header(r, "Content-Type");
	struct err e = ERR_INIT;

	return type != NULL && strcmp(type, "application/json") == 0 &&
	    vch_status_parse(https_body(r), ret, &e) == 0 &&
	    ret->version == 1 && ret->status == (ret->reason[0] == '\0');
}

static inline void
on_voucher_status(struct https_req *r)
{
	struct vch_status s = { 0 };

	if (!read_status(r, &s) || !client_is(r, lab.device))
		trace('?');
	else
		trace(s.status ? '+' : '-');
	send_later(r, fake.taken, 0, false);
}

static inline void
on_enrol_status(struct https_req *r)
{
	struct vch_status s = { 0 };

	if (!read_status(r, &s) || client_is(r, lab.device) == s.status)
		trace('?');
	else
		trace(s.status ? 'J' : 'F');
	send_later(r, fake.taken, 0, false);
}

static inline void
make_issued(const struct cmp_msg *m, struct buf *body)
{
	struct lab_want w = { .cn = "ldevid", .serial = LAB_SERIAL };
	struct cmp_request q = { 0 };
	AUTO(X509) cert = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(cmp_read_request(m, &q, &e), 0);
	cert = lab_cert(&w, q.pubkey, &lab.domain);
	cmp_body_issued(CMP_IP, 0, cert, NULL, body);
	cmp_request_done(&q);
}

static inline void
on_cmp(struct https_req *r)
{
	struct buf body AUTO_BUF = { 0 };
	struct buf der AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct cmp_head h = { 0 };
	struct err e = ERR_INIT;

	trace(fake.refuse ? 'x' : 'i');
	assert_int_equal(cmp_parse(https_body(r), &m, &e), 0);
	cmp_head_reply(m, &h);
	h.implicit_confirm = true;
	if (fake.refuse)
		cmp_body_rejection(
		    CMP_IR, 0, CMP_NOT_AUTHORIZED, "no room", &body);
	else
		make_issued(m, &body);
	assert_int_equal(
	    cmp_build(&h, buf_bytes(&body), lab.registrar, NULL, &der, &e), 0);
	reply(r, "application/pkixcmp", &der);
}

static inline void
on_offer(struct https_req *r)
{
	trace('g');
	https_reply_text(r, 200, "voucher requests, CMP");
}

static inline void
on_request(struct https_req *r, void *arg)
{
	static const struct {
		const char *path;
		enum https_method method;
		void (*serve)(struct https_req *r);
	} routes[] = {
		{ "/.well-known/brski", HTTPS_GET, on_offer },
		{ "/.well-known/brski/requestvoucher", HTTPS_POST, on_voucher },
		{ "/.well-known/brski/voucher_status", HTTPS_POST,
		    on_voucher_status },
		{ "/.well-known/brski/enrollstatus", HTTPS_POST,
		    on_enrol_status },
		{ "/.well-known/cmp/initialization", HTTPS_POST, on_cmp },
	};

	(void)arg;
	for (size_t i = 0; i < NELEMS(routes); i++) {
		if (strcmp(https_path(r), routes[i].path) == 0 &&
		    https_method(r) == routes[i].method) {
			routes[i].serve(r);
			return;
		}
	}
	trace('?');
	https_reply_text(r, 404, "nothing");
}

static inline void
start(const struct signer *s, const char *script)
{
	struct https_conf c = { .listen = "127.0.0.1:0",
		.signer = s,
		.max_body = 65536,
		.max_conns = 8 };
	struct err e = ERR_INIT;

	fake = (struct fake){ .script = script,
		.taken = 200,
		.connects = atomic_load(&connects) };
	if ((fake.l = loop_new(&e)) == NULL ||
	    (fake.h = https_open(fake.l, &c, on_request, NULL, &e)) == NULL ||
	    loop_spawn(fake.l, &e) == -1)
		fail_msg("%s", e.msg);
}

static inline void
finish(void)
{
	loop_join(fake.l);
	https_close(fake.h);
	loop_free(fake.l);
	buf_done(&fake.first);
}

/* ---- the device ------------------------------------------------------- */

static char proxy[32], said[2048];

/* Runs it with what it says kept in `said`. */
static inline int
run(int (*fn)(const struct pledge_opts *, struct err *), unsigned timeout,
    struct err *e)
{
	struct pledge_opts o = { .proxy = proxy,
		.cert = path_of("device.crt"),
		.key = path_of("device.key"),
		.vendor_ca = path_of("vendor.crt"),
		.state = path_of("state"),
		.request = CMP_IR,
		.timeout = timeout };
	char out[128];
	FILE *f = tmpfile();
	int rc, saved = dup(1);

	snprintf(out, sizeof(out), "%s/out", dir);
	o.out = out;
	if (fake.h != NULL)
		snprintf(
		    proxy, sizeof(proxy), "127.0.0.1:%u", https_port(fake.h));
	fflush(stdout);
	dup2(fileno(f), 1);
	rc = fn(&o, e);
	fflush(stdout);
	dup2(saved, 1);
	close(saved);
	rewind(f);
	said[fread(said, 1, sizeof(said) - 1, f)] = '\0';
	fclose(f);
	return rc;
}

static inline bool
has(const char *name)
{
	return access(path_of(name), F_OK) == 0;
}

static inline bool
state_is_empty(void)
{
	return !has("state/voucher-request.der") && !has("state/voucher.vcj") &&
	    !has("state/voucher-status.json") && !has("state/request.der") &&
	    !has("state/key.pem");
}

static inline void
write_file(const char *name, struct buf *text)
{
	struct err e = ERR_INIT;

	if (file_write(path_of(name), 0600, buf_bytes(text), &e) == -1)
		fail_msg("%s", e.msg);
	buf_reset(text);
}

static inline int
setup(void **state)
{
	struct buf text AUTO_SECRET = { 0 };

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	lab_init(&lab);
	assert_non_null(mkdtemp(dir));
	ossl_cert_pem(lab.device->cert, &text);
	write_file("device.crt", &text);
	ossl_key_pem(lab.device->key, &text);
	write_file("device.key", &text);
	ossl_cert_pem(lab.vendor.cert, &text);
	write_file("vendor.crt", &text);
	return 0;
}

/* Between tests: a device that knows nothing and has nothing. */
static inline int
forget(void **state)
{
	static const char *const names[] = { "state/voucher-request.der",
		"state/voucher.vcj", "state/voucher-status.json",
		"state/request.der", "state/key.pem", "state/final.der",
		"out.crt", "out.key", "out.chain.pem", "out.voucher.vcj",
		"out.pin.pem" };

	(void)state;
	for (size_t i = 0; i < NELEMS(names); i++)
		unlink(path_of(names[i]));
	return 0;
}

static inline int
teardown(void **state)
{
	static const char *const names[] = { "device.crt", "device.key",
		"vendor.crt" };

	(void)state;
	for (size_t i = 0; i < NELEMS(names); i++)
		unlink(path_of(names[i]));
	rmdir(path_of("state"));
	assert_int_equal(rmdir(dir), 0);
	lab_done(&lab);
	return 0;
}

/* ---- the tests -------------------------------------------------------- */

/* Waits till the time is up; the request stays. */
static inline void
begin_waiting(const struct signer *s)
{
	struct err e = ERR_INIT;

	start(s, "W");
	assert_int_equal(run(pledge_enrol, 1, &e), -1);
	finish();
	assert_int_equal(e.kind, ERR_WAITING);
	assert_string_equal(fake.trace, "|gW");
	assert_non_null(strstr(said, "voucher waiting: again in 60 s\n"));
	assert_true(has("state/voucher-request.der"));
}

#endif
