#include "manufacturer/masa.h"

#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/sys/https.h"
#include "manufacturer/masa_state.h"

#define VOUCHER_TYPE "application/voucher-cms+json"
#define CONNS_MAX    64
#define LOG_MAX	     4096 /* requests remembered for /log.json */

/* What goes back, now or when it has been slow enough. */
struct answer {
	LIST_ENTRY(answer) link;
	struct masa *m;
	struct https_req *r;
	struct timer *later; /* NULL: now */
	int status;
	const char *type;
	struct buf body;
	struct err why; /* of a refusal */
};
LIST_HEAD(answers, answer);

struct masa {
	struct loop *loop;
	struct masa_opts o;
	struct trust *devices, *registrars;
	X509 *sub;
	struct signer *tls, *voucher;
	struct masa_state *state;
	struct https *https;
	struct answers owed;
	json_t *asked;
};

/*
 * Answers.
 */
static void
answer_send(struct answer *a)
{
	struct https_answer h = { .status = a->status,
		.type = a->type,
		.body = buf_bytes(&a->body) };

	https_reply(a->r, &h);
	LIST_REMOVE(a, link);
	timer_free(a->later);
	buf_done(&a->body);
	free(a);
}

static void
on_later(void *arg)
{
	answer_send(arg);
}

static struct answer *
answer_new(struct masa *m, struct https_req *r)
{
	struct answer *a = xcalloc(1, sizeof(*a));

	a->m = m;
	a->r = r;
	LIST_INSERT_HEAD(&m->owed, a, link);
	return a;
}

/* RFC 8995 5.6: a refusal MUST come with plain text that tells why. */
static void
answer_refuse(struct answer *a, int status)
{
	a->status = status;
	a->type = "text/plain; charset=utf-8";
	buf_reset(&a->body);
	buf_printf(&a->body, "%s\n", a->why.msg);
}

/*
 * What was asked.
 */
static void
remember(const struct answer *a, const char *serial)
{
	struct bytes body = https_body(a->r);
	struct digest d = digest_of(body.p, body.len);
	struct stamp now = clock_now();
	char date[21], hex[2 * DIGEST_LEN + 1];
	json_t *all = a->m->asked;

	if (json_array_size(all) >= LOG_MAX)
		json_array_remove(all, 0);
	json_array_append_new(all,
	    json_pack("{s:s, s:s, s:i, s:s, s:s, s:b, s:s}", "time",
		clock_format(date, now.time), "path", https_path(a->r),
		"status", a->status, "serial", serial, "sha256",
		hex_format(hex, d.b, sizeof(d.b)), "client_certificate",
		https_peer_cert(a->r) != NULL, "reason", a->why.msg));
}

/* Writes down what was asked and answered; the answer leaves now or later. */
static void
answer_done(struct answer *a, const char *serial)
{
	log_event(LOG_INFO, "masa.answered", "path", "%s", https_path(a->r),
	    "status", "%d", a->status, "serial", "%s", serial, "peer", "%s",
	    https_peer_addr(a->r), "reason", "%s", a->why.msg, NULL);
	remember(a, serial);
	if (a->m->o.slow == 0) {
		answer_send(a);
		return;
	}
	a->later = timer_new(a->m->loop, on_later, a);
	timer_set(a->later, (uint64_t)a->m->o.slow * 1000);
}

/*
 * Requests.
 */
static bool
is_type(const char *header, const char *type)
{
	size_t n = strlen(type);

	return header != NULL && strncasecmp(header, type, n) == 0 &&
	    strchr("; \t", header[n]) != NULL;
}

static bool
accepts_vouchers(const struct https_req *r)
{
	const char *header = https_header(r, "Accept");

	return header == NULL || strstr(header, "*/*") != NULL ||
	    strstr(header, "application/*") != NULL ||
	    strcasestr(header, VOUCHER_TYPE) != NULL;
}

/* A file by what it is, so that the same request is one file. */
static int
keep_request(const struct masa *m, struct bytes body, struct err *e)
{
	struct digest d = digest_of(body.p, body.len);
	char hex[2 * DIGEST_LEN + 1];
	struct buf name AUTO_BUF = { 0 };
	AUTO(char) path = NULL;

	if (m->o.keep == NULL)
		return 0;
	buf_printf(&name, "%s.rvr", hex_format(hex, d.b, sizeof(d.b)));
	path = path_join(m->o.keep, buf_cstr(&name));
	return file_write(path, 0600, body, e);
}

static const char *
kept_as(enum masa_fault f)
{
	return f == MASA_WRONG_SERIAL ? ".wrong-serial"
	    : f == MASA_WRONG_PIN     ? ".wrong-pin"
	    : f == MASA_BAD_SIGNATURE ? ".bad-signature"
	    : f == MASA_EXPIRED	      ? ".expired"
				      : "";
}

/* Written down, made, kept, in this order: what was handed out is always in
 * the log. */
static int
issue(struct masa *m, const struct masa_request *req, struct buf *out,
    struct err *e)
{
	const char *kind = kept_as(m->o.fault);
	struct masa_voucher v = { .signer = m->voucher,
		.request = req,
		.fault = m->o.fault,
		.now = clock_now().time,
		.life = m->o.nonceless_life };
	char date[21];
	int status;

	/* RFC 8995 5.6: the same request, the same voucher. */
	if (masa_state_voucher(m->state, &req->digest, kind, out, e) == -1)
		return 500;
	if (out->len > 0)
		return 0;
	clock_format(date, v.now);
	if ((status = masa_state_claim(m->state, req, date, e)) != 0)
		return status;
	if (masa_voucher_make(&v, out, e) == -1 ||
	    masa_state_keep(m->state, &req->digest, kind, buf_bytes(out), e) ==
		-1)
		return 500;
	return 0;
}

static int
give_voucher(struct masa *m, const struct masa_request *req, struct answer *a,
    struct err *e)
{
	a->type = VOUCHER_TYPE;
	if (m->o.fault == MASA_DENY) {
		err_set(e, ERR_POLICY, "device %s: no voucher for you",
		    req->serial);
		return 403;
	}
	if (!accepts_vouchers(a->r)) {
		err_set(e, ERR_INPUT,
		    "RFC 8995 5.6: Accept is without " VOUCHER_TYPE);
		return 406;
	}
	return issue(m, req, &a->body, e);
}

static int
give_log(struct masa *m, const struct masa_request *req, struct answer *a,
    struct err *e)
{
	a->type = "application/json";
	return masa_state_log(
	    m->state, req, m->o.fault == MASA_FOREIGN_ENTRY, &a->body, e);
}

typedef int giver(struct masa *m, const struct masa_request *req,
    struct answer *a, struct err *e);

static int
judge(struct masa *m, const struct https_req *r, bool again,
    struct masa_request *ret, struct err *e)
{
	struct masa_vendor v = { m->devices, m->sub, m->registrars };
	struct masa_asked asked = { .body = https_body(r),
		.peer = https_peer_cert(r),
		.peer_chain = https_peer_chain(r),
		.now = clock_now(),
		.again = again };

	if (m->o.fault == MASA_BROKEN) {
		err_set(e, ERR_LOCAL, "out of order");
		return 500;
	}
	if (!is_type(https_header(r, "Content-Type"), VOUCHER_TYPE)) {
		err_set(e, ERR_INPUT, "RFC 8995 5.6: wanted " VOUCHER_TYPE);
		return 415;
	}
	if (keep_request(m, asked.body, e) == -1)
		return 500;
	return masa_judge(&v, &asked, ret, e);
}

static void
serve(struct masa *m, struct https_req *r, bool again, giver *give)
{
	struct answer *a = answer_new(m, r);
	struct masa_request req = { 0 };
	int status = judge(m, r, again, &req, &a->why);

	if (status == 0)
		status = give(m, &req, a, &a->why);
	if (status == 0)
		a->status = 200;
	else
		answer_refuse(a, status);
	answer_done(a, req.serial);
	masa_request_done(&req);
}

static void
on_voucher(struct masa *m, struct https_req *r)
{
	serve(m, r, false, give_voucher);
}

static void
on_audit(struct masa *m, struct https_req *r)
{
	serve(m, r, true, give_log);
}

static void
on_log(struct masa *m, struct https_req *r)
{
	struct buf text AUTO_BUF = { 0 };
	struct https_answer h = { .status = 200, .type = "application/json" };

	json_format(&text, m->asked);
	h.body = buf_bytes(&text);
	https_reply(r, &h);
}

static const struct route {
	const char *path;
	enum https_method method;
	void (*fn)(struct masa *m, struct https_req *r);
} routes[] = {
	{ "/.well-known/brski/requestvoucher", HTTPS_POST, on_voucher },
	{ "/.well-known/brski/requestauditlog", HTTPS_POST, on_audit },
	{ "/log.json", HTTPS_GET, on_log },
};

static void
on_request(struct https_req *r, void *arg)
{
	struct masa *m = arg;
	struct answer *a;
	int status = 404;
	size_t i;

	for (i = 0; i < NELEMS(routes); i++) {
		if (strcmp(https_path(r), routes[i].path) != 0)
			continue;
		if (https_method(r) == routes[i].method) {
			routes[i].fn(m, r);
			return;
		}
		status = 405;
	}
	a = answer_new(m, r);
	err_set(&a->why, ERR_INPUT,
	    status == 404 ? "no such path" : "not with this method");
	answer_refuse(a, status);
	answer_done(a, "");
}

/*
 * Its life.
 */
static struct signer *
load_signer(const struct masa_opts *o, const char *name, struct err *e)
{
	struct buf key AUTO_BUF = { 0 }, cert AUTO_BUF = { 0 };

	buf_printf(&key, "%s/%s.key", o->vendor, name);
	buf_printf(&cert, "%s/%s.crt", o->vendor, name);
	return signer_load(buf_cstr(&key), buf_cstr(&cert), e);
}

static int
load_keys(struct masa *m, struct err *e)
{
	const struct masa_opts *o = &m->o;

	m->tls = o->tls_cert != NULL ? signer_load(o->tls_key, o->tls_cert, e)
				     : load_signer(o, "masa", e);
	if (m->tls == NULL ||
	    (m->voucher = load_signer(o, "masa-voucher", e)) == NULL)
		return -1;
	return 0;
}

static int
load_anchors(struct masa *m, struct err *e)
{
	AUTO(char) root = path_join(m->o.vendor, "vendor-root.crt");
	AUTO(char) sub = path_join(m->o.vendor, "vendor-sub.crt");

	m->devices = trust_new();
	if (trust_add_file(m->devices, "vendor", root, e) == -1 ||
	    (m->sub = ossl_load_cert(sub, e)) == NULL ||
	    trust_add_intermediate(m->devices, m->sub, e) == -1)
		return -1;
	if (m->o.registrar_ca == NULL)
		return 0;
	m->registrars = trust_new();
	return trust_add_file(
	    m->registrars, "registrars", m->o.registrar_ca, e);
}

static int
listen_on(struct masa *m, struct err *e)
{
	struct https_conf c = { .listen = m->o.listen,
		.signer = m->tls,
		.max_body = CMS_OCTETS_MAX,
		.max_conns = CONNS_MAX };

	if (m->o.fault == MASA_DOWN) {
		log_event(LOG_INFO, "masa.down", NULL);
		return 0;
	}
	m->https = https_open(m->loop, &c, on_request, m, e);
	if (m->https == NULL)
		return -1;
	log_event(LOG_INFO, "masa.ready", "port", "%u", https_port(m->https),
	    "fault", "%s", masa_fault_name(m->o.fault), NULL);
	return 0;
}

struct masa *
masa_open(struct loop *l, const struct masa_opts *o, struct err *e)
{
	AUTO(masa) m = xcalloc(1, sizeof(*m));

	m->loop = l;
	m->o = *o;
	m->asked = json_array();
	LIST_INIT(&m->owed);
	if (load_keys(m, e) == -1 || load_anchors(m, e) == -1 ||
	    (m->state = masa_state_open(o->state, o->sales, e)) == NULL ||
	    (o->keep != NULL && file_mkdirs(o->keep, 0700, e) == -1) ||
	    listen_on(m, e) == -1)
		return NULL;
	return STEAL(m);
}

void
masa_close(struct masa *m)
{
	if (m == NULL)
		return;
	if (m->https != NULL)
		https_close(m->https);
	while (!LIST_EMPTY(&m->owed))
		answer_send(LIST_FIRST(&m->owed));
	masa_state_free(m->state);
	signer_free(m->tls);
	signer_free(m->voucher);
	trust_free(m->devices);
	trust_free(m->registrars);
	X509_free(m->sub);
	json_decref(m->asked);
	free(m);
}
