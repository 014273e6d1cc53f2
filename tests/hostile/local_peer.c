/*
 * A program of the same machine on a Unix socket: says what stands in a file
 * and waits.  Tells what came of it, one line:
 * "COUNT peers, CLOSED closed|open, OCTETS octets SECONDS".
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/str.h"

#define SAY_MAX	  (1024 * 1024)
#define COUNT_MAX 1000

struct peers {
	struct sockaddr_un to;
	struct buf say;
	struct pollfd all[COUNT_MAX]; /* fd -1: ended */
	size_t said[COUNT_MAX];
	unsigned count, closed;
	size_t octets; /* that came back */
	uint64_t end;
};

static int
peer_open(const struct peers *p)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* Its queue may be full: that is an answer as well. */
	if (fd != -1 &&
	    connect(fd, (const struct sockaddr *)&p->to, sizeof(p->to)) == 0)
		return fd;
	if (fd != -1)
		close(fd);
	return -1;
}

static void
peer_end(struct peers *p, unsigned i)
{
	close(p->all[i].fd);
	p->all[i].fd = -1;
	p->closed++;
}

static void
peer_write(struct peers *p, unsigned i)
{
	size_t left = p->say.len - p->said[i];
	ssize_t n = send(p->all[i].fd, p->say.data + p->said[i], left,
	    MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n > 0)
		p->said[i] += (size_t)n;
	/* Cut off in the middle: what it was told may still be read. */
	else if (n == -1 && errno != EAGAIN)
		p->said[i] = p->say.len;
	if (p->said[i] == p->say.len)
		p->all[i].events = POLLIN;
}

static void
peer_read(struct peers *p, unsigned i)
{
	char octets[4096];
	ssize_t n = recv(p->all[i].fd, octets, sizeof(octets), MSG_DONTWAIT);

	if (n > 0)
		p->octets += (size_t)n;
	else if (n == 0 || errno != EAGAIN)
		peer_end(p, i);
}

static void
peers_run(struct peers *p)
{
	uint64_t now;

	while (p->closed < p->count && (now = clock_mono_ms()) < p->end) {
		if (poll(p->all, p->count, (int)(p->end - now)) <= 0)
			continue;
		for (unsigned i = 0; i < p->count; i++) {
			if (p->all[i].fd == -1 || p->all[i].revents == 0)
				continue;
			if ((p->all[i].revents & POLLOUT) != 0)
				peer_write(p, i);
			else
				peer_read(p, i);
		}
	}
}

static int
prepare(struct peers *p, char **arg, struct err *e)
{
	uint64_t seconds, count;

	p->to.sun_family = AF_UNIX;
	if (str_copy(p->to.sun_path, sizeof(p->to.sun_path), arg[0]) >=
	    sizeof(p->to.sun_path))
		return err_set(e, ERR_USAGE, "%s: too long", arg[0]);
	if (file_read(arg[1], SAY_MAX, &p->say, e) == -1 ||
	    number_parse(arg[2], 1, 60, &seconds, e) == -1 ||
	    number_parse(arg[3], 1, COUNT_MAX, &count, e) == -1)
		return -1;
	p->count = (unsigned)count;
	p->end = clock_mono_ms() + seconds * 1000;
	return 0;
}

static int
run(char **arg, struct err *e)
{
	static struct peers p;
	uint64_t start = clock_mono_ms();
	int rc = prepare(&p, arg, e);

	for (unsigned i = 0; rc == 0 && i < p.count; i++) {
		p.all[i].fd = peer_open(&p);
		p.all[i].events = p.say.len > 0 ? POLLOUT : POLLIN;
		p.closed += p.all[i].fd == -1;
	}
	if (rc == 0) {
		peers_run(&p);
		printf("%u peers, %u %s, %zu octets %.3f\n", p.count, p.closed,
		    p.closed == p.count ? "closed" : "closed, others open",
		    p.octets, (double)(clock_mono_ms() - start) / 1000);
	}
	buf_done(&p.say);
	return rc;
}

int
main(int argc, char **argv)
{
	struct err e = ERR_INIT;

	signal(SIGPIPE, SIG_IGN);
	if (argc != 5) {
		fprintf(
		    stderr, "usage: local_peer SOCKET FILE SECONDS COUNT\n");
		return 2;
	}
	if (run(argv + 1, &e) == 0)
		return 0;
	fprintf(stderr, "local_peer: %s\n", e.msg);
	return err_exit_code(e.kind);
}
