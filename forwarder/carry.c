#include "forwarder/carry.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "common/base/digest.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/link/frame.h"

#define PAUSE_MIN_MS 250
#define PAUSE_MAX_MS 5000
#define IN_MAX	     (FRAME_MAX + 4)
/* Replies that the registrar does not fetch stop the requests. */
#define OUT_MAX	     (4 * FRAME_MAX)
/* Beyond this it is no frame that a registrar of ours could have meant. */
#define OVERSIZE_MAX (4 * FRAME_MAX)
#define HEAD_LEN     32 /* version, type and tag are in it */

struct carry {
	struct carry_conf conf;
	struct loop *loop;
	struct timer *again;
	unsigned pause_ms; /* upper end of the next pause */
	unsigned opened;   /* connections so far */
	bool told;	   /* that it cannot be reached */
	bool draining;
	struct bufferevent *bev; /* NULL: not connected */
	struct buf in;
	size_t skip; /* octets of an oversize frame still to come */
};

static void carry_connect(void *arg);
static void carry_drain(struct carry *c);

static void
carry_pause(struct carry *c)
{
	uint32_t r;

	random_bytes(&r, sizeof(r));
	timer_set(
	    c->again, PAUSE_MIN_MS + r % (c->pause_ms - PAUSE_MIN_MS + 1));
	c->pause_ms *= 2;
	if (c->pause_ms > PAUSE_MAX_MS)
		c->pause_ms = PAUSE_MAX_MS;
}

static void
carry_drop(struct carry *c)
{
	bufferevent_free(STEAL(c->bev));
	buf_reset(&c->in);
	c->skip = 0;
	carry_pause(c);
}

/* Whoever listens under this path could feed us frames: it must be the
 * registrar. */
static int
carry_check_peer(const struct carry *c, int fd, struct err *e)
{
	struct ucred who = { 0 };
	socklen_t len = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == -1)
		return err_errno(e, ERR_LOCAL, "carry %s", c->conf.path);
	if (who.uid != c->conf.uid)
		return err_set(e, ERR_TRUST, "carry %s: uid %u listens, not %u",
		    c->conf.path, (unsigned)who.uid, (unsigned)c->conf.uid);
	return 0;
}

static int
carry_dial(const struct carry *c, int *ret, struct err *e)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	AUTO_FD fd = -1;

	if (str_copy(to.sun_path, sizeof(to.sun_path), c->conf.path) >=
	    sizeof(to.sun_path))
		return err_set(
		    e, ERR_CONF, "carry %s: path too long", c->conf.path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1 || connect(fd, (struct sockaddr *)&to, sizeof(to)) == -1)
		return err_errno(e, ERR_PEER, "carry %s", c->conf.path);
	if (carry_check_peer(c, fd, e) == -1)
		return -1;
	*ret = fd_steal(&fd);
	return 0;
}

static void
carry_read(struct bufferevent *bev, void *arg)
{
	(void)bev;
	carry_drain(arg);
}

/* The registrar has fetched enough of what waited for it. */
static void
carry_written(struct bufferevent *bev, void *arg)
{
	(void)bev;
	carry_drain(arg);
}

static void
carry_event(struct bufferevent *bev, short what, void *arg)
{
	struct carry *c = arg;

	(void)bev;
	if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) == 0)
		return;
	log_event(
	    LOG_WARN, "carry.closed", "service", "%s", c->conf.name, NULL);
	carry_drop(c);
}

static void
carry_open(struct carry *c, int fd)
{
	c->bev = bufferevent_socket_new(loop_base(c->loop), fd,
	    BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (c->bev == NULL)
		err_die("no memory for the carry socket");
	bufferevent_setcb(c->bev, carry_read, carry_written, carry_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, IN_MAX);
	bufferevent_setwatermark(c->bev, EV_WRITE, OUT_MAX / 2, 0);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	c->opened++;
	c->told = false;
	log_event(
	    LOG_INFO, "carry.opened", "service", "%s", c->conf.name, NULL);
	c->conf.opened(c->conf.arg);
}

static void
carry_connect(void *arg)
{
	struct carry *c = arg;
	struct err e = ERR_INIT;
	int fd = -1;

	if (carry_dial(c, &fd, &e) == 0) {
		carry_open(c, fd);
		return;
	}
	if (!c->told) /* once, however often it is tried */
		log_err(e.kind == ERR_TRUST ? LOG_ALARM : LOG_WARN,
		    "carry.unreachable", &e, "service", "%s", c->conf.name,
		    NULL);
	c->told = true;
	carry_pause(c);
}

static bool
carry_out_full(const struct carry *c)
{
	return evbuffer_get_length(bufferevent_get_output(c->bev)) > OUT_MAX;
}

/* Moves on what the socket holds, as far as one frame needs it. */
static void
carry_fill(struct carry *c)
{
	struct evbuffer *src = bufferevent_get_input(c->bev);
	size_t n = evbuffer_get_length(src);

	if (n > IN_MAX - c->in.len)
		n = IN_MAX - c->in.len;
	if (n > 0)
		evbuffer_remove(src, buf_grow(&c->in, n), n);
}

/* What the next frame says of its length, 0: not known yet. */
static size_t
carry_length(const struct carry *c)
{
	const uint8_t *p = c->in.data;

	if (c->in.len < 4)
		return 0;
	return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 |
	    p[3];
}

static enum carry_verdict
carry_oversize(struct carry *c, size_t len, struct err *e)
{
	struct bytes head;

	if (c->in.len < 4 + HEAD_LEN)
		return CARRY_WAIT;
	head = bytes_of(c->in.data + 4, HEAD_LEN);
	if (c->conf.oversize(c->conf.arg, len, head, e) == -1)
		return CARRY_REFUSED;
	c->skip = 4 + len;
	return CARRY_TAKEN;
}

static enum carry_verdict
carry_skip(struct carry *c)
{
	size_t n = c->skip < c->in.len ? c->skip : c->in.len;

	buf_drop(&c->in, n);
	c->skip -= n;
	return n > 0 ? CARRY_TAKEN : CARRY_WAIT;
}

static enum carry_verdict
carry_take(struct carry *c, struct err *e)
{
	enum carry_verdict verdict;
	struct bytes frame;
	size_t len;
	int got;

	carry_fill(c);
	if (c->skip > 0)
		return carry_skip(c);
	len = carry_length(c);
	if (len > FRAME_MAX && len <= OVERSIZE_MAX)
		return carry_oversize(c, len, e);
	if ((got = frame_next(&c->in, &frame, e)) == -1)
		return CARRY_REFUSED;
	if (got == 0 || carry_out_full(c))
		return CARRY_WAIT;
	c->pause_ms = 2 * PAUSE_MIN_MS; /* it speaks: no back-off */
	verdict = c->conf.frame(c->conf.arg, frame, e);
	if (verdict == CARRY_TAKEN)
		buf_drop(&c->in, 4 + frame.len);
	return verdict;
}

/* A frame that is taken may call carry_resume before it returns. */
static void
carry_drain(struct carry *c)
{
	enum carry_verdict verdict = CARRY_TAKEN;
	struct err e = ERR_INIT;

	if (c->draining)
		return;
	c->draining = true;
	while (verdict == CARRY_TAKEN && c->bev != NULL)
		verdict = carry_take(c, &e);
	c->draining = false;
	if (verdict != CARRY_REFUSED)
		return;
	log_err(LOG_ALARM, "carry.refused", &e, "service", "%s", c->conf.name,
	    NULL);
	carry_drop(c);
}

struct carry *
carry_new(struct loop *l, const struct carry_conf *conf)
{
	struct carry *c = xcalloc(1, sizeof(*c));

	c->conf = *conf;
	c->loop = l;
	c->pause_ms = 2 * PAUSE_MIN_MS;
	c->again = timer_new(l, carry_connect, c);
	timer_set(c->again, 0);
	return c;
}

void
carry_free(struct carry *c)
{
	if (c == NULL)
		return;
	timer_free(c->again);
	if (c->bev != NULL)
		bufferevent_free(c->bev);
	buf_done(&c->in);
	free(c);
}

unsigned
carry_number(const struct carry *c)
{
	return c->bev != NULL ? c->opened : 0;
}

void
carry_send(struct carry *c, struct bytes frame)
{
	struct buf out AUTO_BUF = { 0 };

	if (c->bev == NULL)
		return;
	frame_wrap(frame, &out);
	bufferevent_write(c->bev, out.data, out.len);
}

void
carry_resume(struct carry *c)
{
	if (c->bev != NULL)
		carry_drain(c);
}
