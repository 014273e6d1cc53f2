#include "common/sys/https_int.h"

#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <openssl/err.h>
#include "common/base/str.h"

static void
req_free(struct https_req *r)
{
	X509_free(r->cert);
	sk_X509_pop_free(r->chain, X509_free);
	free(r->path);
	free(r);
}

/*
 * The client has gone and its answer is owed.  If the answer comes at once, the
 * request stays evhttp's, which frees it with the connection unless it let go
 * of it before; else its parts are ours until the answer.
 */
static void
on_close_owed(struct https_req *r)
{
	r->gone = r->leaving = true;
	if (r->on_gone != NULL)
		r->on_gone(r->on_gone_arg);
	r->leaving = false;
	if (r->owed) {
		evhttp_request_own(r->req);
		return;
	}
	if (evhttp_request_get_connection(r->req) == NULL)
		evhttp_request_free(r->req);
	req_free(r);
}

/* evhttp calls this before it frees the connection. */
static void
on_close(struct evhttp_connection *evcon, void *arg)
{
	struct https_req *r = arg;

	(void)evcon;
	r->conn = NULL;
	if (r->owed) {
		on_close_owed(r);
		return;
	}
	if (r->flushed != NULL)
		r->flushed(r->flushed_arg, false);
	req_free(r);
}

/* evhttp calls this when its output buffer ran empty, which TLS and socket
 * bufferevents do by writing to the kernel. */
static void
on_complete(struct evhttp_request *req, void *arg)
{
	struct https_req *r = arg;

	evhttp_connection_set_closecb(
	    evhttp_request_get_connection(req), NULL, NULL);
	if (r->conn != NULL && r->close) {
		/* A clean end, so that nobody need take it for a cut. */
		SSL_set_shutdown(r->conn->ssl, SSL_RECEIVED_SHUTDOWN);
		SSL_shutdown(r->conn->ssl);
		ERR_clear_error();
	}
	if (r->conn != NULL)
		https_conn_idle(r->conn);
	if (r->flushed != NULL)
		r->flushed(r->flushed_arg, true);
	req_free(r);
}

/* evhttp stops reading while an answer is owed and so would not see the client
 * go.  Read on, up to the watermark, for the end alone: evhttp's own read
 * callback ends the process in this state. */
static void
watch_for_end(struct bufferevent *bev)
{
	bufferevent_event_cb on_event;
	void *arg;

	bufferevent_getcb(bev, NULL, NULL, &on_event, &arg);
	bufferevent_setcb(bev, NULL, NULL, on_event, arg);
	bufferevent_enable(bev, EV_READ);
}

static enum https_method
method_of(const struct evhttp_request *req)
{
	enum evhttp_cmd_type type = evhttp_request_get_command(req);

	if (type == EVHTTP_REQ_GET)
		return HTTPS_GET;
	return type == EVHTTP_REQ_POST ? HTTPS_POST : HTTPS_OTHER;
}

static void
req_peer(struct https_req *r, struct evhttp_connection *evcon,
    struct bufferevent *bev)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	ev_uint16_t port;
	char *addr = NULL;
	SSL *ssl = bufferevent_openssl_get_ssl(bev);
	STACK_OF(X509) * chain;

	r->uid = (uid_t)-1;
	if (ssl == NULL) {
		str_copy(r->addr, sizeof(r->addr), "unix");
		if (getsockopt(bufferevent_getfd(bev), SOL_SOCKET, SO_PEERCRED,
			&cred, &len) == 0)
			r->uid = cred.uid;
		return;
	}
	evhttp_connection_get_peer(evcon, &addr, &port);
	str_copy(r->addr, sizeof(r->addr), addr);
	/* Own references: the SSL may be gone before the answer. */
	r->cert = SSL_get1_peer_certificate(ssl);
	if (r->cert != NULL && (chain = SSL_get_peer_cert_chain(ssl)) != NULL)
		r->chain = X509_chain_up_ref(chain);
	r->conn = https_conn_get(bev);
	r->id = r->conn->client;
}

/*
 * evhttp takes "gzip, chunked" for chunked, the first of several lengths, and
 * the body of a GET for the next request; nothing here may rest on such.
 * RFC 9112 6.1, 6.3.
 */
static const char *
framing_fault(const struct https_req *r)
{
	const struct evkeyvalq *headers =
	    evhttp_request_get_input_headers(r->req);
	const struct evkeyval *kv;
	unsigned codings = 0, lengths = 0;
	bool body = false;

	TAILQ_FOREACH(kv, headers, next)
	{
		if (strcasecmp(kv->key, "Transfer-Encoding") == 0) {
			if (strcasecmp(kv->value, "chunked") != 0)
				return "Transfer-Encoding other than chunked";
			codings++;
			body = true;
		} else if (strcasecmp(kv->key, "Content-Length") == 0) {
			lengths++;
			body = body || strcmp(kv->value, "0") != 0;
		}
	}
	if (codings + lengths > 1)
		return "more than one of Content-Length, Transfer-Encoding";
	if (body && r->method == HTTPS_GET)
		return "GET with a body";
	return NULL;
}

static char *
decoded_path(const struct evhttp_request *req)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *raw = uri == NULL ? NULL : evhttp_uri_get_path(uri);
	AUTO(char) path = NULL;
	size_t len;

	if (raw == NULL || (path = evhttp_uridecode(raw, 0, &len)) == NULL ||
	    strlen(path) != len)
		return NULL;
	return STEAL(path);
}

static void
refuse(struct https_req *r, int status, const char *why)
{
	struct buf text AUTO_BUF = { 0 };
	struct https_answer a = {
		.status = status, .type = "text/plain", .close = true
	};

	buf_printf(&text, "%s\n", why);
	a.body = buf_bytes(&text);
	https_reply(r, &a);
}

void
https_on_request(struct evhttp_request *req, void *arg)
{
	struct https *h = arg;
	struct evhttp_connection *evcon = evhttp_request_get_connection(req);
	struct bufferevent *bev = evhttp_connection_get_bufferevent(evcon);
	struct https_req *r = xcalloc(1, sizeof(*r));
	const char *why;
	bool refused;

	r->req = req;
	r->loop = h->loop;
	r->owed = true;
	r->method = method_of(req);
	r->path = decoded_path(req);
	req_peer(r, evcon, bev);
	refused = r->conn != NULL && r->conn->phase == PHASE_REFUSED;
	if (r->conn != NULL)
		https_conn_handled(r->conn);
	evhttp_connection_set_closecb(evcon, on_close, r);
	watch_for_end(bev);
	if (refused)
		refuse(r, 429, "too many connections");
	else if (r->path == NULL)
		refuse(r, 400, "path is not readable");
	else if ((why = framing_fault(r)) != NULL)
		refuse(r, 400, why);
	else
		h->fn(r, h->arg);
}

/*
 * What libevent refuses before any handler it answers with a page of HTML, and
 * 2.1.12 has no way to say otherwise.  So this stands in front of its function:
 * in calls of the shared libevent a program's own symbols come first.
 */
void
evhttp_send_error(struct evhttp_request *req, int status, const char *reason)
{
	static const struct {
		int status;
		const char *why;
	} lines[] = {
		{ 400, "not HTTP as it is spoken here" },
		{ 413, "too long" },
		{ 501, "this method is not known here" },
	};
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
	struct evbuffer *out = evbuffer_new();
	const char *why = "refused";

	if (out == NULL)
		abort();
	for (size_t i = 0; i < NELEMS(lines); i++)
		if (lines[i].status == status)
			why = lines[i].why;
	/* The request's line may not have told its version. */
	if (req->major == 0 || req->minor == 0)
		req->major = req->minor = 1;
	evhttp_clear_headers(headers);
	evhttp_add_header(headers, "Content-Type", "text/plain");
	evhttp_add_header(headers, "Connection", "close");
	evbuffer_add_printf(out, "%s\n", why);
	evhttp_send_reply(req, status, reason, out);
	evbuffer_free(out);
}

enum https_method
https_method(const struct https_req *r)
{
	return r->method;
}

const char *
https_path(const struct https_req *r)
{
	return r->path;
}

const char *
https_query(const struct https_req *r)
{
	const char *q =
	    evhttp_uri_get_query(evhttp_request_get_evhttp_uri(r->req));

	return q == NULL ? "" : q;
}

const char *
https_header(const struct https_req *r, const char *name)
{
	return evhttp_find_header(
	    evhttp_request_get_input_headers(r->req), name);
}

struct bytes
https_body(const struct https_req *r)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(r->req);
	size_t len = evbuffer_get_length(in);

	return bytes_of(evbuffer_pullup(in, -1), len);
}

X509 *
https_peer_cert(const struct https_req *r)
{
	return r->cert;
}

STACK_OF(X509) * https_peer_chain(const struct https_req *r)
{
	return r->chain;
}

const struct digest *
https_peer_id(const struct https_req *r)
{
	return r->cert != NULL ? &r->id : NULL;
}

uid_t
https_peer_uid(const struct https_req *r)
{
	return r->uid;
}

const char *
https_peer_addr(const struct https_req *r)
{
	return r->addr;
}

struct loop *
https_loop(const struct https_req *r)
{
	return r->loop;
}

bool
https_gone(const struct https_req *r)
{
	return r->gone;
}

void
https_on_gone(struct https_req *r, void (*fn)(void *arg), void *arg)
{
	r->on_gone = fn;
	r->on_gone_arg = arg;
}

/* evhttp answers "keep-alive" to an HTTP/1.0 client that asks for it, beside
 * any header of ours; so it must not see that the client asked. */
static void
ask_to_close(struct evhttp_request *req)
{
	struct evkeyvalq *in = evhttp_request_get_input_headers(req);

	evhttp_remove_header(in, "Connection");
	evhttp_add_header(in, "Connection", "close");
}

static void
answer_headers(struct evhttp_request *req, const struct https_answer *a)
{
	struct evkeyvalq *out = evhttp_request_get_output_headers(req);
	char seconds[16];

	if (a->type != NULL)
		evhttp_add_header(out, "Content-Type", a->type);
	if (a->close)
		ask_to_close(req);
	if (a->retry_after > 0) {
		snprintf(seconds, sizeof(seconds), "%u", a->retry_after);
		evhttp_add_header(out, "Retry-After", seconds);
	}
	if (a->location != NULL)
		evhttp_add_header(out, "Location", a->location);
}

static bool
client_closes(const struct https_req *r)
{
	const char *connection = https_header(r, "Connection");

	return connection != NULL && strcasecmp(connection, "close") == 0;
}

static void
reply_to_nobody(struct https_req *r, const struct https_answer *a)
{
	r->owed = false;
	if (!r->leaving) {
		evhttp_request_free(r->req);
		req_free(r);
	}
	if (a->flushed != NULL)
		a->flushed(a->arg, false);
}

/* evhttp hands on headers and body one by one, and each part would become a
 * record and a write of its own. */
static void
in_one_record(const struct https_req *r)
{
	struct evbuffer *out;
	size_t len;

	if (r->conn == NULL)
		return;
	out = bufferevent_get_output(r->conn->bev);
	len = evbuffer_get_length(out);
	evbuffer_pullup(out,
	    len < SSL3_RT_MAX_PLAIN_LENGTH ? (ev_ssize_t)len
					   : SSL3_RT_MAX_PLAIN_LENGTH);
}

void
https_reply(struct https_req *r, const struct https_answer *a)
{
	struct evbuffer *out;

	if (r->gone) {
		reply_to_nobody(r, a);
		return;
	}
	if ((out = evbuffer_new()) == NULL)
		abort();
	r->owed = false;
	r->close = a->close || client_closes(r);
	r->flushed = a->flushed;
	r->flushed_arg = a->arg;
	if (r->conn != NULL)
		https_conn_enter(r->conn, PHASE_WRITING, r->conn->h->body_ms);
	answer_headers(r->req, a);
	if (a->type != NULL)
		evbuffer_add(out, a->body.p, a->body.len);
	evhttp_request_set_on_complete_cb(r->req, on_complete, r);
	evhttp_send_reply(r->req, a->status, NULL, out);
	evbuffer_free(out);
	in_one_record(r);
}

void
https_reply_text(struct https_req *r, int status, const char *fmt, ...)
{
	struct buf text AUTO_BUF = { 0 };
	char line[ERR_MSG_MAX];
	struct https_answer a = { .status = status, .type = "text/plain" };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	buf_printf(&text, "%s\n", line);
	a.body = buf_bytes(&text);
	https_reply(r, &a);
}
