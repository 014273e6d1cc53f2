/*
 * A ceiling: an evhttp over TLS that answers whatever is asked, and nothing
 * else.  Ends by a signal.
 *
 *   ceiling_evhttp KEY CERT TYPE BODY
 */
#include <stdlib.h>
#include <string.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include "tests/bench/bench.h"
#include "tests/bench/ceiling.h"

static void
on_request(struct evhttp_request *req, void *arg)
{
	const struct ceiling *c = arg;
	struct evbuffer *out = evbuffer_new();

	if (out == NULL)
		abort();
	evhttp_add_header(
	    evhttp_request_get_output_headers(req), "Content-Type", c->type);
	evbuffer_add(out, c->body, strlen(c->body));
	evhttp_send_reply(req, 200, NULL, out);
	evbuffer_free(out);
}

static struct bufferevent *
on_conn(struct event_base *base, void *arg)
{
	const struct ceiling *c = arg;
	struct bufferevent *bev;
	SSL *ssl = SSL_new(c->ctx);

	if (ssl == NULL ||
	    (bev = bufferevent_openssl_socket_new(base, -1, ssl,
		 BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE)) == NULL)
		abort();
	bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	return bev;
}

int
main(int argc, char **argv)
{
	struct event_base *base = event_base_new();
	struct evhttp *http = base == NULL ? NULL : evhttp_new(base);
	struct ceiling c;

	ceiling_open(&c, argc, argv);
	if (http == NULL || evhttp_accept_socket(http, c.fd) == -1)
		bench_fail("ceiling_evhttp: cannot listen");
	evhttp_set_default_content_type(http, NULL);
	evhttp_set_gencb(http, on_request, &c);
	evhttp_set_bevcb(http, on_conn, &c);
	event_base_dispatch(base);
	evhttp_free(http);
	event_base_free(base);
	ceiling_close(&c);
	return 0;
}
