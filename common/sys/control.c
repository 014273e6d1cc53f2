#include "common/sys/control.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "common/base/clock.h"
#include "common/base/str.h"

#define DEADLINE_MS 10000
#define ANSWER_MAX  (16 * 1024 * 1024)
#define HEADERS_MAX 8192

struct call {
	const char *socket_path;
	int fd;
	uint64_t ms;
	uint64_t end; /* on the monotonic clock */
};

static int
call_connect(struct call *c, struct err *e)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	enum err_kind kind;

	if (str_copy(un.sun_path, sizeof(un.sun_path), c->socket_path) >=
	    sizeof(un.sun_path))
		return err_set(e, ERR_CONF, "control %s: path over %zu octets",
		    c->socket_path, sizeof(un.sun_path) - 1);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd == -1)
		return err_errno(e, ERR_LOCAL, "control %s", c->socket_path);
	if (connect(c->fd, (struct sockaddr *)&un, sizeof(un)) == 0)
		return 0;
	kind = errno == EACCES || errno == EPERM ? ERR_PERM : ERR_PEER;
	return err_errno(e, kind, "control %s", c->socket_path);
}

static int
call_wait(struct call *c, short what, struct err *e)
{
	struct pollfd p = { .fd = c->fd, .events = what };
	uint64_t now = clock_mono_ms();
	int rc = now >= c->end ? 0 : poll(&p, 1, (int)(c->end - now));

	if (rc > 0 || (rc == -1 && errno == EINTR))
		return 0;
	if (rc == 0)
		return err_set(e, ERR_PEER, "control %s: no answer in %llu s",
		    c->socket_path, (unsigned long long)c->ms / 1000);
	return err_errno(e, ERR_LOCAL, "control %s: poll", c->socket_path);
}

static int
call_send(struct call *c, struct bytes b, struct err *e)
{
	ssize_t n;

	while (b.len > 0) {
		if (call_wait(c, POLLOUT, e) == -1)
			return -1;
		n = send(c->fd, b.p, b.len, MSG_NOSIGNAL);
		if (n == -1 && errno != EAGAIN && errno != EINTR)
			return err_errno(
			    e, ERR_PEER, "control %s: send", c->socket_path);
		if (n > 0)
			b = bytes_of(b.p + n, b.len - (size_t)n);
	}
	return 0;
}

/* Until the other side closes, as we asked it to. */
static int
call_receive(struct call *c, struct buf *in, struct err *e)
{
	uint8_t piece[16384];
	ssize_t n;

	for (;;) {
		if (call_wait(c, POLLIN, e) == -1)
			return -1;
		n = recv(c->fd, piece, sizeof(piece), 0);
		if (n == 0)
			return 0;
		if (n == -1 && errno != EAGAIN && errno != EINTR)
			return err_errno(
			    e, ERR_PEER, "control %s: receive", c->socket_path);
		if (n > 0)
			buf_add(in, piece, (size_t)n);
		if (in->len > ANSWER_MAX + HEADERS_MAX)
			return err_set(e, ERR_PEER,
			    "control %s: answer over %d octets", c->socket_path,
			    ANSWER_MAX);
	}
}

static void
format_request(
    struct buf *out, const char *method, const char *path, const json_t *body)
{
	struct buf text AUTO_BUF = { 0 };

	buf_printf(out, "%s %s HTTP/1.1\r\nHost: waybill\r\n", method, path);
	buf_add_str(out, "Connection: close\r\n");
	if (body != NULL) {
		json_format(&text, body);
		buf_printf(out,
		    "Content-Type: application/json\r\n"
		    "Content-Length: %zu\r\n",
		    text.len);
	}
	buf_add_str(out, "\r\n");
	buf_add(out, text.data, text.len);
}

/* What Content-Length promises; `got` if nothing does. */
static size_t
promised_length(char *headers, size_t got)
{
	static const char name[] = "Content-Length:";
	char *line, *save = NULL;
	uint64_t n;

	for (line = strtok_r(headers, "\r\n", &save); line != NULL;
	     line = strtok_r(NULL, "\r\n", &save)) {
		if (strncasecmp(line, name, strlen(name)) != 0)
			continue;
		line += strlen(name);
		line += strspn(line, " ");
		if (number_parse(line, 0, ANSWER_MAX, &n, NULL) == -1)
			return SIZE_MAX;
		return (size_t)n;
	}
	return got;
}

static json_t *
parse_answer(
    const char *socket_path, struct buf *in, int *ret_status, struct err *e)
{
	const char *text = buf_cstr(in);
	const char *gap = memmem(text, in->len, "\r\n\r\n", 4);
	AUTO(char) headers = NULL;
	struct bytes body;
	json_t *j;
	int status;

	if (gap == NULL || sscanf(text, "HTTP/1.%*1[01] %3d ", &status) != 1) {
		err_set(
		    e, ERR_PEER, "control %s: answer is no HTTP", socket_path);
		return NULL;
	}
	body = bytes_of(gap + 4, in->len - (size_t)(gap + 4 - text));
	headers = strndup(text, (size_t)(gap - text));
	if (headers == NULL || promised_length(headers, body.len) != body.len) {
		err_set(e, ERR_PEER, "control %s: answer was cut short",
		    socket_path);
		return NULL;
	}
	j = body.len == 0 ? json_null() : json_parse(body, ANSWER_MAX, e);
	if (j == NULL)
		err_prefix(e, "control %s: HTTP %d", socket_path, status);
	else
		*ret_status = status;
	return j;
}

/* A path from the command line must not end the request's line. */
static bool
path_valid(const char *path)
{
	const unsigned char *p = (const unsigned char *)path;

	for (; *p != '\0'; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return false;
	return path[0] == '/';
}

json_t *
control_call(const char *socket_path, const char *method, const char *path,
    const json_t *body, int *ret_status, struct err *e)
{
	return control_call_within(
	    socket_path, DEADLINE_MS, method, path, body, ret_status, e);
}

json_t *
control_call_within(const char *socket_path, uint64_t ms, const char *method,
    const char *path, const json_t *body, int *ret_status, struct err *e)
{
	struct buf out AUTO_BUF = { 0 };
	struct buf in AUTO_BUF = { 0 };
	struct call c = { socket_path, -1, ms, clock_mono_ms() + ms };
	int rc;

	if (!path_valid(path)) {
		err_set(e, ERR_USAGE, "control: path '%s'", path);
		return NULL;
	}
	format_request(&out, method, path, body);
	rc = call_connect(&c, e) == -1 ||
	    call_send(&c, buf_bytes(&out), e) == -1 ||
	    call_receive(&c, &in, e) == -1;
	if (c.fd != -1)
		close(c.fd);
	return rc ? NULL : parse_answer(socket_path, &in, ret_status, e);
}
