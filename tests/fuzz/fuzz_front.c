/*
 * Whole requests to a registrar with all its threads and its store: what
 * sys/https would hand to the front and to the control socket.  Here stands a
 * https of our own, without HTTP and TLS: sys/https has a target of its own
 * (fuzz_http.c).
 *
 * An input is a row of requests (front_input.h).  Their bodies may be signed by
 * the device before they are handed in, or else nothing would get beyond the
 * signature.
 */
#include "tests/unit/registrar_lab.h"

#include <errno.h>
#include <ftw.h>
#include <semaphore.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "tests/fuzz/front_input.h"

#define REQUESTS_MAX 6
#define WAIT_S	     20
#define CMP_TYPE     "application/pkixcmp"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- https ------------------------------------------------------------- */

struct https {
	struct loop *loop;
	https_handler fn;
	void *arg;
	struct https_gate gate;
};

static struct https *fronts[REG_LISTEN_MAX], *control;
static size_t n_fronts;

/* What came back; the request is gone by then. */
static struct {
	sem_t come;
	int status;
	bool is_cmp;
	struct buf body;
} reply;

struct https_req {
	struct https *server;
	const struct front_input *in;
	char *path;
	const char *query;
	struct bytes body;
	const struct signer *peer;
	struct digest peer_id;
	void (*flushed)(void *arg, bool ok);
	void *flushed_arg;
};

struct https *
https_open(struct loop *l, const struct https_conf *c, https_handler fn,
    void *arg, struct err *e)
{
	struct https *h = xcalloc(1, sizeof(*h));

	(void)e;
	*h = (struct https){ l, fn, arg, c->gate };
	fronts[n_fronts++] = h;
	return h;
}

struct https *
https_open_unix(struct loop *l, const char *path, size_t max_body,
    https_handler fn, void *arg, struct err *e)
{
	struct https *h = xcalloc(1, sizeof(*h));

	(void)path, (void)max_body, (void)e;
	h->loop = l;
	h->fn = fn;
	h->arg = arg;
	return control = h;
}

void
https_close(struct https *h)
{
	free(h);
	n_fronts = 0;
	control = NULL;
}

unsigned
https_port(const struct https *h)
{
	(void)h;
	return 0;
}

enum https_method
https_method(const struct https_req *r)
{
	return r->in->method;
}

const char *
https_path(const struct https_req *r)
{
	return r->path;
}

const char *
https_query(const struct https_req *r)
{
	return r->query;
}

const char *
https_header(const struct https_req *r, const char *name)
{
	return strcasecmp(name, "Content-Type") == 0 ||
		strcasecmp(name, "Accept") == 0
	    ? r->in->type
	    : NULL;
}

struct bytes
https_body(const struct https_req *r)
{
	return r->body;
}

X509 *
https_peer_cert(const struct https_req *r)
{
	return r->peer == NULL ? NULL : r->peer->cert;
}

STACK_OF(X509) * https_peer_chain(const struct https_req *r)
{
	return r->peer == NULL ? NULL : r->peer->chain;
}

const struct digest *
https_peer_id(const struct https_req *r)
{
	return r->peer == NULL ? NULL : &r->peer_id;
}

uid_t
https_peer_uid(const struct https_req *r)
{
	return r->server == control ? getuid() : (uid_t)-1;
}

const char *
https_peer_addr(const struct https_req *r)
{
	return r->server == control ? "unix" : "127.0.0.1";
}

struct loop *
https_loop(const struct https_req *r)
{
	return r->server->loop;
}

bool
https_gone(const struct https_req *r)
{
	(void)r;
	return false;
}

void
https_on_gone(struct https_req *r, void (*fn)(void *arg), void *arg)
{
	(void)r, (void)fn, (void)arg;
}

/* Nobody may touch the request from its answer on, so it ends here. */
static void
req_end(void *arg)
{
	struct https_req *r = arg;

	if (r->flushed != NULL)
		r->flushed(r->flushed_arg, true);
	free(r);
	sem_post(&reply.come);
}

void
https_reply(struct https_req *r, const struct https_answer *a)
{
	struct https_req *last = xcalloc(1, sizeof(*last));

	reply.status = a->status;
	reply.is_cmp = a->type != NULL && strcmp(a->type, CMP_TYPE) == 0;
	buf_reset(&reply.body);
	if (a->type != NULL)
		buf_add(&reply.body, a->body.p, a->body.len);
	if (r->server->gate.leave != NULL)
		r->server->gate.leave(r->server->gate.arg, https_peer_id(r));
	last->flushed = a->flushed;
	last->flushed_arg = a->arg;
	loop_post(r->server->loop, req_end, last);
	free(r->path);
	free(r);
}

void
https_reply_text(struct https_req *r, int status, const char *fmt, ...)
{
	char line[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	https_reply(r,
	    &(struct https_answer){ .status = status,
		.type = "text/plain",
		.body = bytes_of(line, strlen(line)) });
}

/* ---- the registrar ----------------------------------------------------- */

static struct reg_lab *lab;

static void
start(void)
{
	reg_start(lab,
	    &(struct reg_want){ .limits = "device-requests: 100000, "
					  "nameless-requests: 100000, "
					  "device-connections: 1000, "
					  "device-open: 0, device-hour: 0",
		.brski = "verify-voucher: true, enrol-without-voucher: true" });
}

static void
end(void)
{
	reg_lab_teardown((void **)&lab);
	sem_destroy(&reply.come);
	buf_done(&reply.body);
}

static void
begin(void)
{
	void *state = NULL;

	reg_lab_setup(&state);
	lab = state;
	/* Not into its file, which would grow for hours (tests/fuzz/run). */
	dup2(lab->stderr_was, STDERR_FILENO);
	sem_init(&reply.come, 0, 0);
	start();
	atexit(end);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

/* A store that is half full is given up, before everything is refused. */
static void
keep_room(void)
{
	struct outbox_counts n;
	char store[128];

	outbox_count(lab->r.outbox, &n);
	if (n.used_percent < 50)
		return;
	reg_stop(lab);
	snprintf(store, sizeof(store), "%s/store", lab->l->dir);
	if (nftw(store, remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0)
		abort();
	start();
}

/* ---- requests ---------------------------------------------------------- */

/* REGISTRAR in a voucher request is our certificate. */
static void
fill_in(struct bytes body, struct buf *out)
{
	static const char mark[] = "@REGISTRAR@";
	struct buf der AUTO_BUF = { 0 };
	const uint8_t *at = memmem(body.p, body.len, mark, sizeof(mark) - 1);
	size_t n;

	if (at == NULL) {
		buf_add(out, body.p, body.len);
		return;
	}
	n = (size_t)(at - body.p);
	buf_add(out, body.p, n);
	ossl_cert_der(lab->l->registrar->cert, &der);
	base64_format(out, der.data, der.len);
	at += sizeof(mark) - 1;
	buf_add(out, at, body.len - n - (sizeof(mark) - 1));
}

/* A PKIBody in a message of the device; a later one of the last answer's
 * transaction, if it was CMP. */
static void
sign_cmp(const struct front_input *in, struct buf *out)
{
	static uint64_t number;
	struct digest tid;
	struct cmp_head h = { .transaction_id = bytes_of(tid.b, CMP_TID_LEN),
		.implicit_confirm = in->implicit };
	AUTO(cmp_msg) last = NULL;
	struct err e = ERR_INIT;

	number++;
	tid = digest_of(&number, sizeof(number));
	if (in->kind == FRONT_FOLLOW && reply.is_cmp &&
	    cmp_parse(buf_bytes(&reply.body), &last, &e) == 0)
		cmp_head_reply(last, &h);
	if (cmp_build(&h, in->body, lab->l->device, NULL, out, &e) == -1)
		buf_reset(out); /* too long */
}

static void
make_body(const struct front_input *in, struct buf *out)
{
	struct buf json AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	switch (in->kind) {
	case FRONT_RAW:
		buf_add(out, in->body.p, in->body.len);
		break;
	case FRONT_CMP:
	case FRONT_FOLLOW:
		sign_cmp(in, out);
		break;
	case FRONT_VOUCHER:
		fill_in(in->body, &json);
		if (cms_sign(nid_json_voucher(), buf_bytes(&json),
			lab->l->device, NULL, out, &e) == -1)
			buf_reset(out);
		break;
	}
}

static void
hand_in(void *arg)
{
	struct https_req *r = arg;
	const struct https_gate *g = &r->server->gate;

	if (g->enter != NULL && !g->enter(g->arg, https_peer_id(r)))
		abort();
	r->server->fn(r, r->server->arg);
}

/* What comes back is never our own trouble, and CMP is signed. */
static void
check_reply(void)
{
	AUTO(cmp_msg) m = NULL;
	struct err e = ERR_INIT;

	if (reply.status < 200 || reply.status > 599 || reply.status == 500)
		abort();
	if (reply.is_cmp &&
	    (reply.status != 200 ||
		cmp_parse(buf_bytes(&reply.body), &m, &e) == -1 ||
		cmp_verify(m, lab->l->registrar->cert, &e) == -1))
		abort();
}

static void
request(const struct front_input *in)
{
	const struct signer *peers[] = { NULL, lab->l->device, lab->sibling,
		lab->l->registrar };
	struct https_req *r = xcalloc(1, sizeof(*r));
	struct buf body AUTO_BUF = { 0 };
	struct timespec until;
	char *query;

	make_body(in, &body);
	r->in = in;
	r->server = in->control ? control : fronts[0];
	r->body = buf_bytes(&body);
	r->path = xstrdup(in->path);
	r->query = "";
	if ((query = strchr(r->path, '?')) != NULL) {
		*query = '\0';
		r->query = query + 1;
	}
	if (!in->control && (r->peer = peers[in->peer]) != NULL)
		r->peer_id = cert_digest(r->peer->cert);
	loop_post(r->server->loop, hand_in, r);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_S;
	/* The fuzzer has a timer of its own. */
	while (sem_timedwait(&reply.come, &until) == -1)
		if (errno != EINTR)
			abort();
	check_reply();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes rest = bytes_of(data, size);
	struct front_input in;

	if (lab == NULL)
		begin();
	keep_room();
	reply.is_cmp = false;
	for (int i = 0; i < REQUESTS_MAX && front_input_next(&rest, &in); i++)
		/* Copies of the store would fill the disk. */
		if (!in.control || strstr(in.path, "backup") == NULL)
			request(&in);
	return 0;
}
