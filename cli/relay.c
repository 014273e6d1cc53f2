/*
 * `waybill demo-relay`: the links of the demo, a byte relay that people can
 * switch, all of them at once.  Down, it closes what goes through it and keeps
 * its ports without listening, so that a connection is refused at once.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>

#include "cli/cli.h"
#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/sys/loop.h"

#define BACKLOG	   16
#define QUEUED_MAX ((size_t)64 * 1024)
#define WORD_LEN   16
#define LANES_MAX  4

/* Two ends of one connection. */
struct pair {
	LIST_ENTRY(pair) next;
	struct bufferevent *end[2];
};

/* One link. */
struct lane {
	struct relay *relay;
	struct sockaddr_in listen, to;
	int bound; /* the port, while the link is down */
	struct evconnlistener *link;
};

struct relay {
	struct loop *loop;
	const char *socket;
	struct lane lane[LANES_MAX];
	size_t n;
	bool up;
	struct evconnlistener *control;
	LIST_HEAD(, pair) pairs;
};

/* ---- bytes ----------------------------------------------------------- */

static void
pair_free(struct pair *p)
{
	LIST_REMOVE(p, next);
	bufferevent_free(p->end[0]);
	bufferevent_free(p->end[1]);
	free(p);
}

static struct bufferevent *
other_end(const struct pair *p, const struct bufferevent *bev)
{
	return p->end[p->end[0] == bev ? 1 : 0];
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct bufferevent *to = other_end(arg, bev);

	bufferevent_write_buffer(to, bufferevent_get_input(bev));
	if (evbuffer_get_length(bufferevent_get_output(to)) > QUEUED_MAX)
		bufferevent_disable(bev, EV_READ);
}

/* All was written: more may come. */
static void
on_drained(struct bufferevent *bev, void *arg)
{
	bufferevent_enable(other_end(arg, bev), EV_READ);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0)
		pair_free(arg);
}

static void
on_connection(struct evconnlistener *l, evutil_socket_t fd,
    struct sockaddr *from, int len, void *arg)
{
	struct lane *lane = arg;
	struct relay *r = lane->relay;
	struct pair *p = xcalloc(1, sizeof(*p));
	struct event_base *base = loop_base(r->loop);
	int i;

	(void)l;
	(void)from;
	(void)len;
	p->end[0] = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	p->end[1] = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	if (p->end[0] == NULL || p->end[1] == NULL)
		err_die("out of memory");
	LIST_INSERT_HEAD(&r->pairs, p, next);
	for (i = 0; i < 2; i++) {
		bufferevent_setcb(p->end[i], on_read, on_drained, on_event, p);
		bufferevent_enable(p->end[i], EV_READ | EV_WRITE);
	}
	if (bufferevent_socket_connect(p->end[1], (struct sockaddr *)&lane->to,
		sizeof(lane->to)) == -1)
		log_event(LOG_WARN, "relay.unreachable", NULL);
}

/* ---- up and down ----------------------------------------------------- */

static int
bind_port(struct lane *l, struct err *e)
{
	AUTO_FD fd =
	    socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    bind(fd, (struct sockaddr *)&l->listen, sizeof(l->listen)) == -1)
		return err_errno(e, ERR_LOCAL, "relay: port %u",
		    (unsigned)ntohs(l->listen.sin_port));
	l->bound = fd_steal(&fd);
	return 0;
}

static int
lane_up(struct lane *l, struct err *e)
{
	if (l->link != NULL)
		return 0;
	l->link = evconnlistener_new(loop_base(l->relay->loop), on_connection,
	    l, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, BACKLOG,
	    l->bound);
	if (l->link == NULL)
		return err_errno(e, ERR_LOCAL, "relay: listen");
	l->bound = -1;
	return 0;
}

static int
lane_down(struct lane *l, struct err *e)
{
	if (l->link == NULL)
		return 0;
	evconnlistener_free(l->link);
	l->link = NULL;
	return bind_port(l, e);
}

static int
go_up(struct relay *r, struct err *e)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (lane_up(&r->lane[i], e) == -1)
			return -1;
	r->up = true;
	log_event(LOG_INFO, "relay.up", NULL);
	return 0;
}

static int
go_down(struct relay *r, struct err *e)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < r->n; i++)
		if (lane_down(&r->lane[i], e) == -1)
			rc = -1;
	while (!LIST_EMPTY(&r->pairs))
		pair_free(LIST_FIRST(&r->pairs));
	r->up = false;
	log_event(LOG_INFO, "relay.down", NULL);
	return rc;
}

/* ---- control --------------------------------------------------------- */

static void
on_line(struct bufferevent *bev, void *arg)
{
	struct relay *r = arg;
	char *line =
	    evbuffer_readln(bufferevent_get_input(bev), NULL, EVBUFFER_EOL_LF);
	struct err e = ERR_INIT;
	int rc = 0;

	if (line == NULL)
		return;
	if (strcmp(line, "up") == 0)
		rc = go_up(r, &e);
	else if (strcmp(line, "down") == 0)
		rc = go_down(r, &e);
	else if (strcmp(line, "status") != 0)
		rc = err_set(&e, ERR_INPUT, "relay: unknown word");
	free(line);
	if (rc == -1)
		log_err(LOG_ERROR, "relay.refused", &e, NULL);
	evbuffer_add_printf(bufferevent_get_output(bev), "%s\n",
	    rc == -1	? "failed"
		: r->up ? "up"
			: "down");
}

static void
on_control_event(struct bufferevent *bev, short what, void *arg)
{
	(void)what;
	(void)arg;
	bufferevent_free(bev);
}

static void
on_control(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *from,
    int len, void *arg)
{
	struct relay *r = arg;
	struct bufferevent *bev = bufferevent_socket_new(
	    loop_base(r->loop), fd, BEV_OPT_CLOSE_ON_FREE);

	(void)l;
	(void)from;
	(void)len;
	if (bev == NULL)
		err_die("out of memory");
	bufferevent_setwatermark(bev, EV_READ, 0, WORD_LEN);
	bufferevent_setcb(bev, on_line, NULL, on_control_event, r);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

static int
open_control(struct relay *r, struct err *e)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	if (str_copy(un.sun_path, sizeof(un.sun_path), r->socket) >=
	    sizeof(un.sun_path))
		return err_set(e, ERR_USAGE, "%s: too long", r->socket);
	if (unlink(r->socket) == -1 && errno != ENOENT)
		return err_errno(e, ERR_LOCAL, "%s", r->socket);
	r->control = evconnlistener_new_bind(loop_base(r->loop), on_control, r,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, BACKLOG,
	    (struct sockaddr *)&un, sizeof(un));
	if (r->control == NULL)
		return err_errno(e, ERR_LOCAL, "%s", r->socket);
	return 0;
}

/* ---- its life -------------------------------------------------------- */

static void
on_end(void *arg)
{
	struct relay *r = arg;

	loop_stop(r->loop);
}

static int
bind_ports(struct relay *r, struct err *e)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (bind_port(&r->lane[i], e) == -1)
			return -1;
	return 0;
}

static int
relay_run(struct relay *r, struct err *e)
{
	size_t i;

	LIST_INIT(&r->pairs);
	if ((r->loop = loop_new(e)) == NULL)
		return -1;
	if (bind_ports(r, e) == -1 || open_control(r, e) == -1 ||
	    loop_signal(r->loop, SIGTERM, on_end, r, e) == -1 ||
	    loop_signal(r->loop, SIGINT, on_end, r, e) == -1)
		return -1;
	loop_run(r->loop);
	while (!LIST_EMPTY(&r->pairs))
		pair_free(LIST_FIRST(&r->pairs));
	for (i = 0; i < r->n; i++)
		if (r->lane[i].link != NULL)
			evconnlistener_free(r->lane[i].link);
	evconnlistener_free(r->control);
	unlink(r->socket);
	loop_free(r->loop);
	return 0;
}

static int
port_of(const char *text, struct sockaddr_in *ret, struct err *e)
{
	uint64_t port;

	if (number_parse(text, 1, UINT16_MAX, &port, e) == -1)
		return -1;
	*ret = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	return 0;
}

/* argv: n pairs LISTEN-PORT TO-PORT. */
static int
set_lanes(struct relay *r, size_t n, char **argv, struct err *e)
{
	for (r->n = 0; r->n < n; r->n++) {
		struct lane *l = &r->lane[r->n];

		*l = (struct lane){ .relay = r, .bound = -1 };
		if (port_of(argv[2 * r->n], &l->listen, e) == -1 ||
		    port_of(argv[2 * r->n + 1], &l->to, e) == -1)
			return -1;
	}
	return 0;
}

/* demo-relay SOCKET (LISTEN-PORT TO-PORT)... */
int
demo_relay_command(int argc, char **argv)
{
	size_t lanes = argc >= 4 && argc % 2 == 0 ? (size_t)argc / 2 - 1 : 0;
	struct relay r = { 0 };
	struct err e = ERR_INIT;

	log_init("waybill-relay", LOG_INFO);
	if (lanes == 0 || lanes > LANES_MAX) {
		err_set(&e, ERR_USAGE,
		    "demo-relay SOCKET (PORT TO-PORT)..., at most %d pairs",
		    LANES_MAX);
		return cli_fail(&e);
	}
	r.socket = argv[1];
	if (set_lanes(&r, lanes, argv + 2, &e) == -1 || relay_run(&r, &e) == -1)
		return cli_fail(&e);
	return 0;
}
