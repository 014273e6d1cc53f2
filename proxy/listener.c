#include "proxy/listener.h"

#include <string.h>
#include <event2/listener.h>
#include "common/base/buf.h"
#include "common/base/log.h"

#define BACKLOG	 256
#define PAUSE_MS 100

struct listener {
	struct circuits *cs;
	struct evconnlistener *ev;
	struct timer *pause;
};

static void
on_accept(struct evconnlistener *ev, evutil_socket_t fd, struct sockaddr *sa,
    int len, void *arg)
{
	struct listener *n = arg;
	struct address from = { .len = (socklen_t)len };

	(void)ev;
	if ((size_t)len > sizeof(from.u)) {
		close(fd);
		return;
	}
	memcpy(&from.u, sa, (size_t)len);
	circuit_open(n->cs, fd, &from);
}

/* Out of descriptors, say: what waits to be accepted would spin the loop. */
static void
on_accept_error(struct evconnlistener *ev, void *arg)
{
	struct listener *n = arg;
	struct err e = ERR_INIT;

	evconnlistener_disable(ev);
	timer_set(n->pause, PAUSE_MS);
	err_errno(&e, ERR_LOCAL, "accept");
	log_err(LOG_WARN, "proxy.accept-paused", &e, NULL);
}

static void
on_pause_over(void *arg)
{
	struct listener *n = arg;

	evconnlistener_enable(n->ev);
}

static int
bind_address(const struct address *a)
{
	bool v6 = a->u.sa.sa_family == AF_INET6;
	AUTO_FD fd = -1;
	int on = 1;

	fd = socket(
	    a->u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* IPv6 alone: 0.0.0.0 and :: can stand side by side, and a source has
	 * one form. */
	if (fd == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    (v6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) ==
		    -1) ||
	    bind(fd, &a->u.sa, a->len) == -1 || listen(fd, BACKLOG) == -1)
		return -1;
	return fd_steal(&fd);
}

struct listener *
listener_open(
    struct loop *l, const char *text, struct circuits *cs, struct err *e)
{
	AUTO(listener) n = xcalloc(1, sizeof(*n));
	char host[ADDRESS_TEXT];
	struct address a;
	int fd;

	if (address_parse(text, false, &a, e) == -1)
		return NULL;
	if ((fd = bind_address(&a)) == -1) {
		err_errno(e, ERR_LOCAL, "listen %s", text);
		return NULL;
	}
	n->cs = cs;
	n->pause = timer_new(l, on_pause_over, n);
	n->ev = evconnlistener_new(loop_base(l), on_accept, n,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (n->ev == NULL)
		abort();
	evconnlistener_set_error_cb(n->ev, on_accept_error);
	(void)getsockname(fd, &a.u.sa, &a.len);
	log_event(LOG_INFO, "proxy.listening", "addr", "%s",
	    address_host(host, &a), "port", "%u", address_port(&a), NULL);
	return STEAL(n);
}

void
listener_close(struct listener *n)
{
	if (n == NULL)
		return;
	if (n->ev != NULL)
		evconnlistener_free(n->ev);
	timer_free(n->pause);
	free(n);
}
