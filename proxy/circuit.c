#include "proxy/circuit.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/queue.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"

/* Octets that wait for a slow reader: above HIGH the other side is not read,
 * below LOW it is again. */
#define HIGH (64 * 1024)
#define LOW  (16 * 1024)

LIST_HEAD(circuit_list, circuit);

/* A log line that strangers can provoke: once a second, with what it left
 * out. */
struct seldom {
	uint64_t next;
	unsigned omitted;
};

struct circuits {
	struct loop *l;
	struct circuit_conf conf;
	struct circuit_list all;
	unsigned n;
	struct seldom refusals, failures;
};

struct side {
	struct circuit *c;
	struct side *other;
	struct bufferevent *bev;
	bool ended;		   /* it will send no more */
	bool broken;		   /* nor can anything be sent to it */
	unsigned long long octets; /* read from it */
};

struct circuit {
	LIST_ENTRY(circuit) link;
	struct circuits *cs;
	struct address from;
	struct side client, registrar;
	bool connected;
	uint64_t opened, last; /* last octet, either way */
	struct timer *timer;
};

static bool
may_log(struct seldom *s)
{
	uint64_t now = clock_mono_ms();

	if (now < s->next) {
		s->omitted++;
		return false;
	}
	s->next = now + 1000;
	return true;
}

static void
circuit_close(struct circuit *c, const char *why)
{
	char host[ADDRESS_TEXT];

	log_event(LOG_DEBUG, "circuit.closed", "source", "%s",
	    address_host(host, &c->from), "reason", "%s", why, "up", "%llu",
	    c->client.octets, "down", "%llu", c->registrar.octets, NULL);
	LIST_REMOVE(c, link);
	c->cs->n--;
	timer_free(c->timer);
	if (c->client.bev != NULL)
		bufferevent_free(c->client.bev);
	if (c->registrar.bev != NULL)
		bufferevent_free(c->registrar.bev);
	free(c);
}

static void
registrar_down(struct circuit *c, const char *why)
{
	struct seldom *s = &c->cs->failures;
	char host[ADDRESS_TEXT];

	if (may_log(s)) {
		log_event(LOG_WARN, "proxy.registrar-down", "addr", "%s",
		    address_host(host, &c->cs->conf.registrar), "port", "%u",
		    address_port(&c->cs->conf.registrar), "reason", "%s", why,
		    "omitted", "%u", s->omitted, NULL);
		s->omitted = 0;
	}
	circuit_close(c, "registrar down");
}

static size_t
waiting(const struct side *s)
{
	return evbuffer_get_length(bufferevent_get_output(s->bev));
}

/* What came from the other side is all out: its end may follow. */
static void
pass_end(struct side *to)
{
	struct circuit *c = to->c;

	if (waiting(to) > 0)
		return;
	shutdown(bufferevent_getfd(to->bev), SHUT_WR);
	if (to->ended && (to->other->broken || waiting(to->other) == 0))
		circuit_close(c, "done");
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct side *from = arg, *to = from->other;
	struct evbuffer *in = bufferevent_get_input(bev);

	from->c->last = clock_mono_ms();
	from->octets += evbuffer_get_length(in);
	bufferevent_write_buffer(to->bev, in);
	if (waiting(to) >= HIGH) {
		bufferevent_disable(bev, EV_READ);
		bufferevent_setwatermark(to->bev, EV_WRITE, LOW, 0);
	}
}

static void
on_written(struct bufferevent *bev, void *arg)
{
	struct side *to = arg, *from = to->other;

	to->c->last = clock_mono_ms();
	if (from->ended) {
		pass_end(to);
		return;
	}
	bufferevent_setwatermark(bev, EV_WRITE, 0, 0);
	bufferevent_enable(from->bev, EV_READ);
}

static void
on_end(struct side *from)
{
	from->ended = true;
	/* Wait for the last octet, not for few. */
	bufferevent_setwatermark(from->other->bev, EV_WRITE, 0, 0);
	pass_end(from->other);
}

/* A reset may follow close behind an answer: what was read before it is still
 * delivered. */
static void
on_broken(struct side *s, const char *why)
{
	struct side *other = s->other;

	if (other->broken || waiting(other) == 0) {
		circuit_close(s->c, why);
		return;
	}
	s->ended = s->broken = other->ended = true;
	bufferevent_disable(s->bev, EV_READ | EV_WRITE);
	bufferevent_disable(other->bev, EV_READ);
	bufferevent_setwatermark(other->bev, EV_WRITE, 0, 0);
}

/* One timer for three limits; an octet only notes the time. */
static void
on_timer(void *arg)
{
	struct circuit *c = arg;
	const struct circuit_conf *conf = &c->cs->conf;
	uint64_t now = clock_mono_ms();
	uint64_t total = c->opened + conf->total_ms;
	uint64_t idle =
	    c->last + (c->connected ? conf->idle_ms : conf->connect_ms);

	if (now >= idle && !c->connected)
		registrar_down(c, "no answer in connect-timeout");
	else if (now >= idle)
		circuit_close(c, "idle-timeout");
	else if (now >= total)
		circuit_close(c, "total-timeout");
	else
		timer_set(c->timer, (idle < total ? idle : total) - now);
}

static void
on_connected(struct circuit *c)
{
	c->connected = true;
	c->last = clock_mono_ms();
	bufferevent_enable(c->client.bev, EV_READ);
	bufferevent_enable(c->registrar.bev, EV_READ);
	/* It waits for connect-timeout still. */
	on_timer(c);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct side *s = arg;
	const char *why = evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR());

	(void)bev;
	if (what & BEV_EVENT_CONNECTED)
		on_connected(s->c);
	else if (!s->c->connected)
		registrar_down(s->c, why);
	else if (what & BEV_EVENT_EOF)
		on_end(s);
	else
		on_broken(s, why);
}

static void
side_init(struct side *s, struct circuit *c, struct side *other, int fd)
{
	int on = 1;

	s->c = c;
	s->other = other;
	/* What a handshake's flights wait for must not wait for us too. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	s->bev = bufferevent_socket_new(
	    loop_base(c->cs->l), fd, BEV_OPT_CLOSE_ON_FREE);
	if (s->bev == NULL)
		abort();
	bufferevent_setcb(s->bev, on_read, on_written, on_event, s);
}

static void
circuit_connect(struct circuit *c)
{
	struct circuits *cs = c->cs;
	struct address to = cs->conf.registrar;
	uint64_t first = cs->conf.connect_ms;
	int fd = socket(
	    to.u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1) {
		registrar_down(c, strerror(errno));
		return;
	}
	side_init(&c->registrar, c, &c->client, fd);
	if (cs->conf.total_ms < first)
		first = cs->conf.total_ms;
	timer_set(c->timer, first);
	/* Refusals that come at once are told by on_event as well. */
	if (connect(fd, &to.u.sa, to.len) == -1 && errno != EINPROGRESS)
		registrar_down(c, strerror(errno));
	else if (bufferevent_socket_connect(c->registrar.bev, NULL, 0) == -1)
		registrar_down(c, "no connection");
}

static unsigned
count_source(const struct circuits *cs, const struct address *from)
{
	const struct circuit *c;
	unsigned n = 0;

	LIST_FOREACH(c, &cs->all, link)
	if (address_same_host(&c->from, from))
		n++;
	return n;
}

static const char *
cap_reached(const struct circuits *cs, const struct address *from)
{
	if (cs->n >= cs->conf.max_conns)
		return "max-connections";
	if (count_source(cs, from) >= cs->conf.max_per_source)
		return "max-per-source";
	return NULL;
}

static void
refuse(struct circuits *cs, int fd, const struct address *from, const char *cap)
{
	char host[ADDRESS_TEXT];

	close(fd);
	if (!may_log(&cs->refusals))
		return;
	log_event(LOG_WARN, "proxy.refused", "source", "%s",
	    address_host(host, from), "reason", "%s", cap, "omitted", "%u",
	    cs->refusals.omitted, NULL);
	cs->refusals.omitted = 0;
}

void
circuit_open(struct circuits *cs, int fd, const struct address *from)
{
	const char *cap = cap_reached(cs, from);
	struct circuit *c;

	if (cap != NULL) {
		refuse(cs, fd, from, cap);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->cs = cs;
	c->from = *from;
	c->opened = c->last = clock_mono_ms();
	c->timer = timer_new(cs->l, on_timer, c);
	LIST_INSERT_HEAD(&cs->all, c, link);
	cs->n++;
	side_init(&c->client, c, &c->registrar, fd);
	circuit_connect(c);
}

struct circuits *
circuits_new(struct loop *l, const struct circuit_conf *c)
{
	struct circuits *cs = xcalloc(1, sizeof(*cs));

	cs->l = l;
	cs->conf = *c;
	LIST_INIT(&cs->all);
	return cs;
}

void
circuits_free(struct circuits *cs)
{
	if (cs == NULL)
		return;
	while (!LIST_EMPTY(&cs->all))
		circuit_close(LIST_FIRST(&cs->all), "proxy stops");
	free(cs);
}
