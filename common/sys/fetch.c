#include "common/sys/fetch.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <curl/curl.h>
#include <event2/event.h>
#include <openssl/ssl.h>
#include "common/base/str.h"

#define CONNECT_MS 5000

struct fetch {
	LIST_ENTRY(fetch) others;
	struct fetcher *fetcher;
	CURL *easy;
	struct curl_slist *headers, *to;
	struct buf body;
	size_t max;
	bool over, walled; /* why it was cut */
	char error[CURL_ERROR_SIZE];
	fetch_done done;
	void *arg;
};

struct fetcher {
	struct loop *loop;
	CURLM *multi;
	struct timer *timer;
	const struct signer *client;
	struct buf anchors;
	char *server_name;
	bool plain;
	bool (*walled)(const struct sockaddr *a);
	unsigned timeout_ms;
	LIST_HEAD(, fetch) asked;
};

static void
global_init(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		err_die("libcurl cannot be used");
}

/* ---- answers ----------------------------------------------------------- */

static void
fetch_free(struct fetch *q)
{
	LIST_REMOVE(q, others);
	curl_multi_remove_handle(q->fetcher->multi, q->easy);
	curl_easy_cleanup(q->easy);
	curl_slist_free_all(q->headers);
	curl_slist_free_all(q->to);
	buf_done(&q->body);
	free(q);
}

void
fetch_cancel(struct fetch *q)
{
	fetch_free(q);
}

static const char *
header_of(const struct fetch *q, const char *name)
{
	struct curl_header *h;

	return curl_easy_header(q->easy, name, 0, CURLH_HEADER, -1, &h) ==
		CURLHE_OK
	    ? h->value
	    : "";
}

static void
tell_failure(const struct fetch *q, CURLcode rc, struct fetch_answer *a)
{
	if (q->over)
		snprintf(a->why, sizeof(a->why), "answer of over %zu octets",
		    q->max);
	else if (q->walled)
		snprintf(a->why, sizeof(a->why),
		    "its address is private, and allow-private is not set");
	else
		str_copy(a->why, sizeof(a->why),
		    q->error[0] != '\0' ? q->error : curl_easy_strerror(rc));
}

static void
fetch_end(struct fetch *q, CURLcode rc)
{
	struct fetch_answer a = { .type = "", .location = "" };
	curl_off_t wait = 0;
	long status = 0, sent = 0;

	curl_easy_getinfo(q->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(q->easy, CURLINFO_RETRY_AFTER, &wait);
	curl_easy_getinfo(q->easy, CURLINFO_REQUEST_SIZE, &sent);
	a.sent = sent > 0;
	if (rc != CURLE_OK || status < 100 || status > 599) {
		tell_failure(q, rc, &a);
	} else {
		a.status = (unsigned)status;
		a.type = header_of(q, "Content-Type");
		a.location = header_of(q, "Location");
		a.body = buf_bytes(&q->body);
		a.retry_after = wait > 0 && wait < 86400 ? (unsigned)wait : 0;
	}
	q->done(q->arg, &a);
	fetch_free(q);
}

static void
fetcher_reap(struct fetcher *f)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(f->multi, &left)) != NULL) {
		char *q = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &q);
		fetch_end((struct fetch *)(void *)q, m->data.result);
	}
}

/* ---- libcurl on the loop ----------------------------------------------- */

static void
on_socket_ready(evutil_socket_t fd, short what, void *arg)
{
	struct fetcher *f = arg;
	int mask = ((what & EV_READ) != 0 ? CURL_CSELECT_IN : 0) |
	    ((what & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0);
	int running;

	curl_multi_socket_action(f->multi, fd, mask, &running);
	fetcher_reap(f);
}

static void
on_time(void *arg)
{
	struct fetcher *f = arg;
	int running;

	curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	fetcher_reap(f);
}

/* CURLMOPT_SOCKETFUNCTION: an event a socket, made anew for each interest. */
static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *old)
{
	struct fetcher *f = arg;
	struct event *ev;
	short mask = EV_PERSIST;

	(void)easy;
	if (old != NULL)
		event_free(old);
	curl_multi_assign(f->multi, fd, NULL);
	if (what == CURL_POLL_REMOVE)
		return 0;
	if (what != CURL_POLL_OUT)
		mask |= EV_READ;
	if (what != CURL_POLL_IN)
		mask |= EV_WRITE;
	ev = event_new(loop_base(f->loop), fd, mask, on_socket_ready, f);
	if (ev == NULL || event_add(ev, NULL) == -1)
		err_die("out of memory");
	curl_multi_assign(f->multi, fd, ev);
	return 0;
}

static int
on_timeout(CURLM *multi, long ms, void *arg)
{
	struct fetcher *f = arg;

	(void)multi;
	if (ms < 0)
		timer_clear(f->timer);
	else
		timer_set(f->timer, (uint64_t)ms);
	return 0;
}

struct fetcher *
fetcher_new(struct loop *l, const struct fetcher_conf *c, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct fetcher *f;

	pthread_once(&once, global_init);
	f = xcalloc(1, sizeof(*f));
	LIST_INIT(&f->asked);
	f->loop = l;
	f->timer = timer_new(l, on_time, f);
	f->client = c->client;
	f->anchors = bytes_dup(c->anchors);
	f->server_name =
	    c->server_name != NULL ? xstrdup(c->server_name) : NULL;
	f->plain = c->plain;
	f->walled = c->walled;
	f->timeout_ms = c->timeout_ms;
	f->multi = curl_multi_init();
	if (f->multi == NULL ||
	    curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_socket) !=
		CURLM_OK ||
	    curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f) != CURLM_OK ||
	    curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, on_timeout) !=
		CURLM_OK ||
	    curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f) != CURLM_OK ||
	    curl_multi_setopt(f->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
		(long)c->connections) != CURLM_OK) {
		err_set(e, ERR_LOCAL, "libcurl: no multi handle");
		fetcher_free(f);
		return NULL;
	}
	return f;
}

void
fetcher_free(struct fetcher *f)
{
	if (f == NULL)
		return;
	while (!LIST_EMPTY(&f->asked))
		fetch_free(LIST_FIRST(&f->asked));
	curl_multi_cleanup(f->multi);
	timer_free(f->timer);
	buf_done(&f->anchors);
	free(f->server_name);
	free(f);
}

/* ---- one question ------------------------------------------------------ */

static size_t
on_octets(char *p, size_t one, size_t n, void *arg)
{
	struct fetch *q = arg;

	(void)one;
	if (n > q->max - q->body.len) {
		q->over = true;
		return 0;
	}
	buf_add(&q->body, p, n);
	return n;
}

/* Here and not on the name: what a name leads to is its owner's to say. */
static curl_socket_t
on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct fetch *q = arg;

	(void)purpose;
	if (q->fetcher->walled != NULL && q->fetcher->walled(&a->addr)) {
		q->walled = true;
		return CURL_SOCKET_BAD;
	}
	q->walled = false;
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* RFC 8995 5.4: the registrar's side shows a certificate if it is asked. */
static CURLcode
on_tls(CURL *easy, void *ctx, void *arg)
{
	const struct signer *s = arg;

	(void)easy;
	return SSL_CTX_use_cert_and_key(ctx, s->cert, s->key, s->chain, 1) == 1
	    ? CURLE_OK
	    : CURLE_SSL_CERTPROBLEM;
}

/* Sets what it can; the first failure stays. */
#define SET(option, value) \
	do { \
		if (rc == CURLE_OK) \
			rc = curl_easy_setopt(q->easy, option, value); \
	} while (0)

static CURLcode
set_trust(struct fetch *q)
{
	const struct fetcher *f = q->fetcher;
	struct curl_blob anchors = { f->anchors.data, f->anchors.len,
		CURL_BLOB_COPY };
	CURLcode rc = CURLE_OK;

	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (f->client != NULL) {
		SET(CURLOPT_SSL_CTX_FUNCTION, on_tls);
		SET(CURLOPT_SSL_CTX_DATA, f->client);
	}
	if (f->anchors.len > 0) {
		/* The system's folder of anchors would count beside the pin. */
		SET(CURLOPT_CAPATH, NULL);
		SET(CURLOPT_CAINFO, NULL);
		SET(CURLOPT_CAINFO_BLOB, &anchors);
	}
	return rc;
}

static CURLcode
set_limits(struct fetch *q)
{
	CURLcode rc = CURLE_OK;

	SET(CURLOPT_PROTOCOLS_STR, q->fetcher->plain ? "https,http" : "https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	SET(CURLOPT_TIMEOUT_MS, (long)q->fetcher->timeout_ms);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
	SET(CURLOPT_OPENSOCKETDATA, q);
	SET(CURLOPT_WRITEFUNCTION, on_octets);
	SET(CURLOPT_WRITEDATA, q);
	SET(CURLOPT_ERRORBUFFER, q->error);
	SET(CURLOPT_PRIVATE, (char *)(void *)q);
	return rc;
}

static void
add_header(struct fetch *q, const char *name, const char *value)
{
	struct buf line AUTO_BUF = { 0 };
	struct curl_slist *more;

	buf_printf(&line, "%s:%s%s", name, value[0] != '\0' ? " " : "", value);
	more = curl_slist_append(q->headers, buf_cstr(&line));
	if (more == NULL)
		err_die("out of memory");
	q->headers = more;
}

/* libcurl compares certificates with the URL's host: so that becomes the name
 * to be found there, and the connection goes where the URL said. */
static CURLcode
set_name(struct fetch *q, const char *url)
{
	const char *name = q->fetcher->server_name;
	struct buf to AUTO_BUF = { 0 };
	char *host = NULL, *named = NULL;
	CURLcode rc = CURLE_URL_MALFORMAT;
	CURLU *u;

	if (name == NULL)
		return curl_easy_setopt(q->easy, CURLOPT_URL, url);
	if ((u = curl_url()) != NULL &&
	    curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    curl_url_set(u, CURLUPART_HOST, name, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_URL, &named, 0) == CURLUE_OK) {
		buf_printf(&to, "::%s:", host);
		q->to = curl_slist_append(NULL, buf_cstr(&to));
		rc = curl_easy_setopt(q->easy, CURLOPT_CONNECT_TO, q->to);
		SET(CURLOPT_URL, named);
	}
	curl_free(host);
	curl_free(named);
	curl_url_cleanup(u);
	return rc;
}

static CURLcode
set_question(struct fetch *q, const struct fetch_ask *a)
{
	CURLcode rc = CURLE_OK;

	add_header(q, "Accept", a->accept);
	if (a->type != NULL) {
		add_header(q, "Content-Type", a->type);
		add_header(q, "Expect", "");
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDSIZE, (long)a->body.len);
		SET(CURLOPT_POSTFIELDS, (const char *)a->body.p);
	}
	SET(CURLOPT_FRESH_CONNECT, a->once ? 1L : 0L);
	SET(CURLOPT_HTTPHEADER, q->headers);
	return rc == CURLE_OK ? set_name(q, a->url) : rc;
}

/* Whatever libcurl refuses here it refuses for want of memory or of a feature:
 * the machine's trouble, not the server's. */
struct fetch *
fetch_start(
    struct fetcher *f, const struct fetch_ask *a, fetch_done done, void *arg)
{
	struct fetch *q = xcalloc(1, sizeof(*q));

	q->fetcher = f;
	q->max = a->max;
	q->done = done;
	q->arg = arg;
	LIST_INSERT_HEAD(&f->asked, q, others);
	if ((q->easy = curl_easy_init()) == NULL || set_trust(q) != CURLE_OK ||
	    set_limits(q) != CURLE_OK || set_question(q, a) != CURLE_OK ||
	    curl_multi_add_handle(f->multi, q->easy) != CURLM_OK)
		err_die("libcurl cannot be used");
	return q;
}

/* ---- where an answer sends us ------------------------------------------ */

static bool
same_part(CURLU *a, CURLU *b, CURLUPart part)
{
	char *x = NULL, *y = NULL;
	bool same =
	    curl_url_get(a, part, &x, CURLU_DEFAULT_PORT) == CURLUE_OK &&
	    curl_url_get(b, part, &y, CURLU_DEFAULT_PORT) == CURLUE_OK &&
	    strcasecmp(x, y) == 0;

	curl_free(x);
	curl_free(y);
	return same;
}

/* Credentials in it would be sent; none are ours to send. */
static bool
has_user(CURLU *u)
{
	char *user = NULL;
	bool has = curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_OK;

	curl_free(user);
	return has;
}

char *
fetch_resolve(const char *base, const char *location, struct err *e)
{
	static const CURLUPart same[] = { CURLUPART_SCHEME, CURLUPART_HOST,
		CURLUPART_PORT };
	CURLU *from = curl_url(), *to = curl_url();
	char *url = NULL, *ret = NULL;
	bool ok;

	ok = from != NULL && to != NULL &&
	    curl_url_set(from, CURLUPART_URL, base, 0) == CURLUE_OK &&
	    curl_url_set(to, CURLUPART_URL, base, 0) == CURLUE_OK &&
	    curl_url_set(to, CURLUPART_URL, location, 0) == CURLUE_OK &&
	    !has_user(to);
	for (size_t i = 0; ok && i < NELEMS(same); i++)
		ok = same_part(from, to, same[i]);
	if (ok && curl_url_get(to, CURLUPART_URL, &url, 0) == CURLUE_OK)
		ret = xstrdup(url);
	curl_free(url);
	curl_url_cleanup(from);
	curl_url_cleanup(to);
	if (ret == NULL)
		err_set(
		    e, ERR_TRUST, "Location: not on the host that was asked");
	return ret;
}
