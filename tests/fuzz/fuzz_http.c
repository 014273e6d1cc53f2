/*
 * What a client writes, octet for octet, to sys/https on its Unix socket: the
 * same as behind TLS.  Its handler reads all that a handler may ask for.  Each
 * input is a connection; its first octet says in how large pieces it comes.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/base/file.h"
#include "common/base/str.h"
#include "common/sys/https.h"

#define BODY_MAX 4096
/* Turns of the loop without an octet from the server. */
#define QUIET	 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;
static struct https *server;
static char dir[] = "/tmp/waybill-http-XXXXXX", path[64];
static unsigned requests;

static void
on_request(struct https_req *q, void *arg)
{
	struct bytes body = https_body(q);
	const char *type = https_header(q, "Content-Type");
	struct buf out AUTO_BUF = { 0 };

	(void)arg;
	requests++;
	/* RFC 9112 6.3: a GET has no body, nothing is over the limit. */
	if (body.len > BODY_MAX ||
	    (https_method(q) == HTTPS_GET && body.len > 0) ||
	    https_path(q) == NULL || https_query(q) == NULL)
		abort();
	buf_printf(&out, "%s?%s %s\n", https_path(q), https_query(q),
	    type != NULL ? type : "-");
	buf_add(&out, body.p, body.len);
	https_reply(q,
	    &(struct https_answer){ .status = 200,
		.type = "text/plain",
		.body = buf_bytes(&out),
		.close = str_starts(https_path(q), "/close") });
}

static void
end(void)
{
	https_close(server);
	loop_free(loop);
	rmdir(dir);
}

static void
begin(void)
{
	struct err e = ERR_INIT;

	if (mkdtemp(dir) == NULL)
		abort();
	snprintf(path, sizeof(path), "%s/s", dir);
	if ((loop = loop_new(&e)) == NULL ||
	    (server = https_open_unix(
		 loop, path, BODY_MAX, on_request, NULL, &e)) == NULL)
		err_die(e.msg);
	atexit(end);
}

static int
dial(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	str_copy(a.sun_path, sizeof(a.sun_path), path);
	if (fd == -1 || connect(fd, (struct sockaddr *)&a, sizeof(a)) == -1)
		abort();
	return fd;
}

static void
turn(void)
{
	event_base_loop(loop_base(loop), EVLOOP_NONBLOCK);
}

/* Whether there was something; the end counts as nothing. */
static bool
drain(int fd)
{
	char octets[4096];
	bool some = false;

	while (recv(fd, octets, sizeof(octets), MSG_DONTWAIT) > 0)
		some = true;
	return some;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t piece, n;
	int fd;

	if (size < 1)
		return 0;
	if (loop == NULL)
		begin();
	piece = data[0] == 0 ? size : (size_t)data[0] * 16;
	requests = 0;
	fd = dial();
	for (size_t at = 1; at < size; at += n) {
		n = size - at < piece ? size - at : piece;
		if (send(fd, data + at, n, MSG_NOSIGNAL) != (ssize_t)n)
			break;
		turn();
		drain(fd);
	}
	shutdown(fd, SHUT_WR);
	for (int quiet = 0; quiet < QUIET; quiet++) {
		turn();
		if (drain(fd))
			quiet = 0;
	}
	close(fd);
	turn();
	turn();
	/* A request takes sixteen octets at least. */
	if (requests > size / 16 + 1)
		abort();
	return 0;
}
