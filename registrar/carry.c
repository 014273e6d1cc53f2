/* The socket: who connects, octets to frames and back. */
#include "registrar/carry_int.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include "common/base/limits.h"
#include "common/base/log.h"

#define CARRY_CONNS_MAX LIMIT_CARRY_CONNECTIONS
#define CARRY_IN_MAX	LIMIT_CARRY_INPUT

static void
carry_conn_free(struct carry_conn *k)
{
	struct carry_conn **p = &k->carry->conns;

	while (*p != k)
		p = &(*p)->next;
	*p = k->next;
	k->carry->n--;
	session_close(&k->session);
	timer_free(k->silent);
	bufferevent_free(k->bev);
	buf_done(&k->in);
	free(k);
}

struct carry_conn *
carry_find(struct carry *c, uint64_t number)
{
	struct carry_conn *k = c->conns;

	while (k != NULL && k->number != number)
		k = k->next;
	return k;
}

void
carry_send(struct carry_conn *k, struct bytes frame)
{
	struct buf out AUTO_BUF = { 0 };

	frame_wrap(frame, &out);
	bufferevent_write(k->bev, out.data, out.len);
}

/* Batches are applied in the order they came.  Receipts may be committed
 * together, as many as come meanwhile; anything else waits until they are, and
 * they for it. */
static bool
carry_may_go_on(const struct session *s, struct bytes frame)
{
	enum frame_type type;
	uint64_t tag;

	return s->taking == 0 ||
	    (s->receipts && frame_peek(frame, &type, &tag, NULL) == 0 &&
		type == FRAME_STORED);
}

/* One whole frame at a time. */
void
carry_drain(struct carry_conn *k)
{
	struct bytes frame;
	struct err e = ERR_INIT;
	int got;

	for (;;) {
		got = frame_next(&k->in, &frame, &e);
		if (got == 1 && !carry_may_go_on(&k->session, frame))
			return;
		if (got == 0) {
			bufferevent_enable(k->bev, EV_READ);
			return;
		}
		if (got == -1 || session_frame(&k->session, frame, &e) == -1) {
			log_err(LOG_ALARM, "carry.bad-peer", &e, NULL);
			carry_conn_free(k);
			return;
		}
		buf_drop(&k->in, 4 + frame.len);
	}
}

static void
carry_read(struct bufferevent *bev, void *arg)
{
	struct carry_conn *k = arg;
	struct evbuffer *src = bufferevent_get_input(bev);
	size_t n = evbuffer_get_length(src);

	evbuffer_remove(src, buf_grow(&k->in, n), n);
	if (k->in.len > CARRY_IN_MAX)
		bufferevent_disable(bev, EV_READ); /* until it is drained */
	carry_drain(k);
}

static void
carry_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) {
		log_event(LOG_INFO, "carry.closed", NULL);
		carry_conn_free(arg);
	}
}

/* A forwarder says at once which service it is for; who does not must not keep
 * it out. */
static void
carry_silent(void *arg)
{
	struct carry_conn *k = arg;

	if (k->session.service != NULL)
		return;
	log_event(LOG_WARN, "carry.silent", "ms", "%llu",
	    (unsigned long long)k->carry->link_ms, NULL);
	carry_conn_free(k);
}

static bool
carry_may(const struct carry *c, int fd)
{
	struct ucred who = { 0 };
	socklen_t len = sizeof(who);
	uid_t want = c->r->conf.carry.uid == UINT32_MAX
	    ? getuid()
	    : (uid_t)c->r->conf.carry.uid;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
	    who.uid == want && c->n < CARRY_CONNS_MAX)
		return true;
	log_event(
	    LOG_ALARM, "carry.refused", "uid", "%u", (unsigned)who.uid, NULL);
	return false;
}

static void
carry_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa,
    int salen, void *arg)
{
	struct carry *c = arg;
	struct carry_conn *k;

	(void)l, (void)sa, (void)salen;
	if (!carry_may(c, fd)) {
		close(fd);
		return;
	}
	k = xcalloc(1, sizeof(*k));
	k->carry = c;
	k->number = ++c->accepted;
	k->next = c->conns;
	c->conns = k;
	c->n++;
	k->bev = bufferevent_socket_new(
	    loop_base(c->loop), fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(k->bev, carry_read, NULL, carry_event, k);
	bufferevent_enable(k->bev, EV_READ | EV_WRITE);
	session_open(&k->session, k);
	k->silent = timer_new(c->loop, carry_silent, k);
	timer_set(k->silent, c->link_ms);
}

/* An entry may leave when it is queued or, a certConf, when its parent has got
 * its answer: every session may have room for it. */
static void
carry_moved(
    void *arg, uint64_t id, const struct digest *row, enum entry_state state)
{
	struct carry *c = arg;

	(void)id, (void)row;
	if (state == ENTRY_INFLIGHT || state == ENTRY_CUSTODY)
		return;
	for (struct carry_conn *k = c->conns; k != NULL; k = k->next)
		session_push(&k->session);
}

struct recovery *
carry_recovery(struct carry *c, const struct service *s)
{
	return &c->recoveries[s - c->r->services];
}

void
carry_quiet(struct carry *c)
{
	for (struct carry_conn *k = c->conns; k != NULL; k = k->next)
		session_quiet(&k->session);
}

void
carry_renewed(struct carry *c)
{
	carry_quiet(c);
	for (size_t i = 0; i < c->r->n_services; i++)
		c->recoveries[i] = (struct recovery){ 0 };
	for (struct carry_conn *k = c->conns; k != NULL; k = k->next)
		session_restart(&k->session);
}

static int
carry_bind(const char *path, struct err *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	AUTO_FD fd = -1;

	if (strlen(path) >= sizeof(a.sun_path))
		return err_set(e, ERR_CONF, "carry.socket: path too long");
	memcpy(a.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return err_errno(e, ERR_LOCAL, "carry socket");
	unlink(path);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == -1 ||
	    chmod(path, 0660) == -1 || listen(fd, CARRY_CONNS_MAX) == -1)
		return err_errno(e, ERR_LOCAL, "carry socket %s", path);
	return fd_steal(&fd);
}

int
carry_open(
    struct registrar *r, struct loop *l, struct carry **ret, struct err *e)
{
	int fd = carry_bind(r->conf.carry.socket, e);
	struct carry *c;

	if (fd == -1)
		return -1;
	c = xcalloc(1, sizeof(*c));
	c->r = r;
	c->loop = l;
	c->stall_ms = SESSION_STALL_MS;
	c->link_ms = LIMIT_CARRY_LINK;
	c->recoveries = xcalloc(r->n_services + 1, sizeof(*c->recoveries));
	c->listener = evconnlistener_new(
	    loop_base(l), carry_accept, c, LEV_OPT_CLOSE_ON_FREE, 0, fd);
	outbox_watch(r->outbox, carry_moved, c, loop_poster(l));
	*ret = c;
	return 0;
}

void
carry_stop(struct carry *c)
{
	if (c == NULL)
		return;
	/* None hands on to another what it had: all of them end. */
	for (struct carry_conn *k = c->conns; k != NULL; k = k->next)
		k->session.ready = false;
	while (c->conns != NULL)
		carry_conn_free(c->conns);
	if (c->listener != NULL)
		evconnlistener_free(c->listener);
	c->listener = NULL;
}

void
carry_free(struct carry *c)
{
	if (c == NULL)
		return;
	carry_stop(c);
	free(c->recoveries);
	free(c);
}
