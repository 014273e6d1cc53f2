/*
 * A TCP proxy that is a bad link, to stand between forwarder and service.
 *
 *   lossy_proxy --listen [ADDR:]PORT --to [ADDR:]PORT [--seed N]
 *       [--cut-every MS] [--cut-after OCTETS] [--cuts N]
 *       [--half-open PERCENT]
 *       [--stall-every MS] [--stall MS] [--rate OCTETS/S] [--down]
 *
 * cut-every    all connections end, after MS/2 to 3*MS/2, drawn anew each time
 * cut-after    a connection ends after 1 to OCTETS octets, drawn for each
 * cuts         not more than N of them
 * half-open    so many of 100 cuts end one side alone, the far one first, then
 *              in turns; what the other still sends is swallowed, and nobody
 *              tells it
 * stall        nothing passes for MS, about every stall-every ms
 * rate         of all connections together, each way
 * down         starts with the link down
 *
 * SIGUSR1 takes the link down: all connections end, new ones are refused.
 * SIGUSR2 brings it up.  SIGTERM ends it; what happened is printed.  TCP cannot
 * duplicate what it carries: duplicates come from the peers, who send again
 * what was cut off.  Bounded: CONNS connections, PIPE octets each way, and
 * LIFE_MS of time.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/cleanup.h"
#include "common/base/buf.h"
#include "tests/fault/lossy_options.h"

#define CONNS	64
#define PIPE	16384
#define TICK_MS 10
#define SMALL	4096 /* of the kernel, where a rate is to be felt */
#define LIFE_MS (4 * 3600 * 1000ULL)

/* One direction of a connection. */
struct way {
	uint8_t data[PIPE];
	size_t len;
	bool over; /* its source has ended */
};

struct conn {
	int fd[2]; /* who dialled, whom we dialled; -1: cut off */
	struct way way[2];
	uint64_t passed, cut_after; /* octets; 0: never */
};

static struct lossy conf;

static struct {
	int listener;
	struct conn *conn[CONNS];
	uint64_t now, next_cut, next_stall, stalled_until, end;
	uint64_t credit[2], credited_at; /* octets that may pass */
	uint64_t dice;
	uint64_t accepted, cuts, half, stalls, octets[2];
} px = { .listener = -1 };

static volatile sig_atomic_t want_down, want_up, want_end;

/* ---- chance ------------------------------------------------------------ */

/* SplitMix64: the same seed gives the same run, as far as time lets it. */
static uint64_t
dice(uint64_t sides)
{
	uint64_t z = (px.dice += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (z ^ (z >> 31)) % sides;
}

static uint64_t
soon(uint64_t every)
{
	return every == 0 ? UINT64_MAX : px.now + every / 2 + dice(every + 1);
}

/* ---- connections ------------------------------------------------------- */

static void
end_close(int *fd, bool reset)
{
	struct linger hard = { .l_onoff = 1 };

	if (*fd == -1)
		return;
	if (reset)
		setsockopt(*fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(*fd);
	*fd = -1;
}

static void
conn_free(size_t i, bool reset)
{
	struct conn *c = px.conn[i];

	end_close(&c->fd[0], reset);
	end_close(&c->fd[1], reset);
	free(c);
	px.conn[i] = NULL;
}

static void
conn_cut(size_t i)
{
	struct conn *c = px.conn[i];

	if (c->fd[0] == -1 || c->fd[1] == -1)
		return; /* half of it is gone already */
	if (conf.cuts > 0 && px.cuts == conf.cuts)
		return;
	px.cuts++;
	if (dice(100) >= conf.half_open) {
		printf("cut\n");
		conn_free(i, dice(2) == 0);
		return;
	}
	printf("cut, half open\n");
	end_close(&c->fd[px.half++ % 2 == 0], true);
}

static void
cut_all(bool hard)
{
	for (size_t i = 0; i < CONNS; i++) {
		if (px.conn[i] == NULL)
			continue;
		if (hard)
			conn_free(i, true);
		else
			conn_cut(i);
	}
}

static int
dial(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return -1;
	if (connect(fd, (struct sockaddr *)&conf.to, sizeof(conf.to)) == -1 &&
	    errno != EINPROGRESS) {
		close(fd);
		return -1;
	}
	return fd;
}

static void
small_buffers(int fd)
{
	int n = SMALL;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &n, sizeof(n));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &n, sizeof(n));
}

static void
conn_accept(void)
{
	int fd = accept4(px.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	size_t i = 0;
	struct conn *c;

	if (fd == -1)
		return;
	while (i < CONNS && px.conn[i] != NULL)
		i++;
	if (i == CONNS) {
		close(fd);
		return;
	}
	px.accepted++;
	px.conn[i] = c = xcalloc(1, sizeof(*c));
	c->fd[0] = fd;
	c->cut_after = conf.cut_after > 0 ? 1 + dice(conf.cut_after) : 0;
	if ((c->fd[1] = dial()) == -1) {
		conn_free(i, true);
		return;
	}
	if (conf.rate > 0) {
		small_buffers(c->fd[0]);
		small_buffers(c->fd[1]);
	}
}

/* ---- octets ------------------------------------------------------------ */

static void
credit_fill(void)
{
	uint64_t more = (px.now - px.credited_at) * conf.rate / 1000;

	if (conf.rate == 0 || more == 0)
		return;
	px.credited_at = px.now;
	for (int w = 0; w < 2; w++) {
		px.credit[w] += more;
		if (px.credit[w] > conf.rate) /* a second's worth */
			px.credit[w] = conf.rate;
	}
}

static size_t
allowed(const struct conn *c, int w)
{
	size_t n = c->way[w].len;

	if (px.now < px.stalled_until)
		return 0;
	if (conf.rate > 0 && px.credit[w] < n)
		n = px.credit[w];
	if (c->cut_after > c->passed && c->cut_after - c->passed < n)
		n = c->cut_after - c->passed;
	return n;
}

/* Way w leads from fd[w] to fd[!w].  False: the connection is over. */
static bool
way_read(struct conn *c, int w)
{
	struct way *y = &c->way[w];
	bool lost = c->fd[!w] == -1;
	ssize_t n;

	if (c->fd[w] == -1 || y->over)
		return true;
	if (lost)
		y->len = 0; /* swallowed */
	n = read(c->fd[w], y->data + y->len, PIPE - y->len);
	if (n > 0)
		y->len += (size_t)n;
	else if (n == 0)
		y->over = true;
	return n != -1 || errno == EAGAIN || errno == ENOTCONN;
}

static bool
way_write(struct conn *c, int w)
{
	struct way *y = &c->way[w];
	size_t n = allowed(c, w);
	ssize_t done;

	if (c->fd[!w] == -1)
		return !y->over;
	if (n == 0)
		return !(y->over && y->len == 0);
	done = send(c->fd[!w], y->data, n, MSG_NOSIGNAL);
	if (done == -1)
		return errno == EAGAIN || errno == ENOTCONN;
	y->len -= (size_t)done;
	memmove(y->data, y->data + done, y->len);
	px.octets[w] += (uint64_t)done;
	c->passed += (uint64_t)done;
	if (conf.rate > 0)
		px.credit[w] -= (uint64_t)done;
	return true;
}

static void
conn_move(size_t i)
{
	struct conn *c = px.conn[i];

	for (int w = 0; w < 2; w++)
		if (!way_read(c, w) || !way_write(c, w)) {
			conn_free(i, false);
			return;
		}
	if (c->cut_after > 0 && c->passed >= c->cut_after) {
		c->cut_after = 0;
		conn_cut(i);
	}
}

/* ---- the link ---------------------------------------------------------- */

/* Down, the port is kept without listening, so that who dials is refused at
 * once. */
static void
link_set(bool up)
{
	int one = 1;

	if (px.listener != -1)
		close(px.listener);
	if (!up)
		cut_all(true);
	px.listener =
	    socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (px.listener == -1 ||
	    setsockopt(px.listener, SOL_SOCKET, SO_REUSEADDR, &one,
		sizeof(one)) == -1 ||
	    bind(px.listener, (struct sockaddr *)&conf.listen,
		sizeof(conf.listen)) == -1 ||
	    (up && listen(px.listener, 16) == -1)) {
		perror("lossy_proxy: listen");
		exit(1);
	}
	conf.down = !up;
	printf("link %s\n", up ? "up" : "down");
}

static void
on_signal(int sig)
{
	if (sig == SIGUSR1)
		want_down = 1;
	else if (sig == SIGUSR2)
		want_up = 1;
	else
		want_end = 1;
}

static void
tick(void)
{
	px.now = clock_mono_ms();
	if (want_down) {
		want_down = 0;
		link_set(false);
	}
	if (want_up) {
		want_up = 0;
		link_set(true);
	}
	credit_fill();
	if (px.now >= px.next_cut) {
		px.next_cut = soon(conf.cut_every);
		cut_all(false);
	}
	if (px.now >= px.next_stall) {
		px.stalled_until = px.now + conf.stall;
		px.next_stall = soon(conf.stall_every) + conf.stall;
		px.stalls++;
	}
}

/* What is worth waking for; the rest is looked at every tick. */
static size_t
poll_set(struct pollfd *p)
{
	size_t n = 0;

	if (!conf.down)
		p[n++] = (struct pollfd){ px.listener, POLLIN, 0 };
	if (px.now < px.stalled_until)
		return n;
	for (size_t i = 0; i < CONNS; i++)
		for (int w = 0; w < 2 && px.conn[i] != NULL; w++) {
			const struct conn *c = px.conn[i];
			bool in = !c->way[w].over && c->way[w].len < PIPE;

			if (c->fd[w] != -1 && in)
				p[n++] = (struct pollfd){ c->fd[w], POLLIN, 0 };
		}
	return n;
}

static void
run(void)
{
	struct pollfd p[1 + 2 * CONNS];

	while (!want_end && px.now < px.end) {
		if (poll(p, poll_set(p), TICK_MS) == -1 && errno != EINTR)
			break;
		tick();
		if (!conf.down)
			conn_accept();
		for (size_t i = 0; i < CONNS; i++)
			if (px.conn[i] != NULL)
				conn_move(i);
	}
}

/* ---- its life ---------------------------------------------------------- */

static void
start(void)
{
	static const int signals[] = { SIGUSR1, SIGUSR2, SIGTERM, SIGINT };
	struct sigaction sa = { .sa_handler = on_signal };

	for (size_t i = 0; i < NELEMS(signals); i++)
		sigaction(signals[i], &sa, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	px.dice = conf.seed;
	px.now = px.credited_at = clock_mono_ms();
	px.end = px.now + LIFE_MS;
	px.next_cut = soon(conf.cut_every);
	px.next_stall = soon(conf.stall > 0 ? conf.stall_every : 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("seed %llu\n", (unsigned long long)conf.seed);
	link_set(!conf.down);
}

int
main(int argc, char **argv)
{
	(void)argc;
	lossy_options(&conf, argv);
	start();
	run();
	printf("connections %llu cuts %llu half-open %llu stalls %llu "
	       "octets-out %llu octets-back %llu\n",
	    (unsigned long long)px.accepted, (unsigned long long)px.cuts,
	    (unsigned long long)px.half, (unsigned long long)px.stalls,
	    (unsigned long long)px.octets[0], (unsigned long long)px.octets[1]);
	cut_all(true);
	return 0;
}
