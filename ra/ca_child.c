#include "ra/ca.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <event2/event.h>
#include "common/base/log.h"
#include "common/pki/sign.h"

/* A message is a head and the octets behind it, one datagram each. */
struct head {
	uint64_t id; /* 0: the child's first word */
	/* To the child: the TBS goes on.  From it: it could not. */
	uint64_t failed;
};

#define MESSAGE_MAX (sizeof(struct head) + CA_TBS_MAX)
#define SIG_MAX	    1024

struct ca {
	int fd;
	pid_t pid;
	struct event *ev;
	void (*on_signed)(void *arg, uint64_t id, struct bytes sig);
	void (*on_death)(void *arg);
	void *arg;
};

static int
message_send(int fd, uint64_t id, bool failed, struct bytes octets, int flags)
{
	struct head h = { id, failed };
	struct iovec v[] = { { &h, sizeof(h) },
		{ (void *)octets.p, octets.len } };
	struct msghdr m = { .msg_iov = v, .msg_iovlen = NELEMS(v) };
	ssize_t n;

	do
		n = sendmsg(fd, &m, flags | MSG_NOSIGNAL);
	while (n == -1 && errno == EINTR);
	return n == (ssize_t)(sizeof(h) + octets.len) ? 0 : -1;
}

/* 1 with the octets behind the head in b, 0 at the end, -1 if there is nothing
 * now or nothing that can be read. */
static int
message_recv(int fd, struct head *h, struct buf *b, int flags)
{
	uint8_t in[MESSAGE_MAX];
	ssize_t n;

	do
		n = recv(fd, in, sizeof(in), flags | MSG_TRUNC);
	while (n == -1 && errno == EINTR);
	if (n == 0)
		return 0;
	if (n == -1)
		return -1;
	if (n < (ssize_t)sizeof(*h) || n > (ssize_t)sizeof(in)) {
		errno = EBADMSG;
		return -1;
	}
	memcpy(h, in, sizeof(*h));
	buf_reset(b);
	buf_add(b, in + sizeof(*h), (size_t)n - sizeof(*h));
	return 1;
}

/* ---- the child --------------------------------------------------------- */

static int
child_sign(EVP_PKEY *key, struct bytes tbs, uint8_t sig[SIG_MAX], size_t *len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int rc = -1;

	*len = SIG_MAX;
	if (ctx != NULL && (size_t)EVP_PKEY_get_size(key) <= SIG_MAX &&
	    EVP_DigestSignInit(ctx, NULL, sign_md(key), NULL, key) == 1 &&
	    EVP_DigestSign(ctx, sig, len, tbs.p, tbs.len) == 1)
		rc = 0;
	EVP_MD_CTX_free(ctx);
	return rc;
}

/* The rest of a TBS whose first part came; -1 if it is too long. */
static int
child_take_rest(int fd, struct head *h, struct buf *tbs)
{
	struct buf part AUTO_BUF = { 0 };
	uint64_t id = h->id;

	while (h->failed != 0) {
		if (message_recv(fd, h, &part, 0) != 1 || h->id != id ||
		    tbs->len + part.len > CA_LIST_MAX)
			return -1;
		buf_add(tbs, part.data, part.len);
	}
	return 0;
}

/* Until the RA has gone.  What cannot be signed is said, not hidden. */
static void
child_serve(int fd, EVP_PKEY *key)
{
	struct buf tbs AUTO_BUF = { 0 };
	uint8_t sig[SIG_MAX];
	struct head h;
	size_t len;

	while (message_recv(fd, &h, &tbs, 0) == 1) {
		bool failed;

		if (child_take_rest(fd, &h, &tbs) == -1)
			return;
		failed = child_sign(key, buf_bytes(&tbs), sig, &len) == -1;
		if (message_send(fd, h.id, failed,
			bytes_of(sig, failed ? 0 : len), 0) == -1)
			return;
	}
}

/* Before the key: nothing of ours is left open but the pipe and stderr, nothing
 * can be gained by running another program, and nobody reads our memory. */
static void
child_confine(int *fd)
{
	struct rlimit none = { 0, 0 };

	/* A stop of the whole group is the RA's to handle, in its order. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (dup2(*fd, STDIN_FILENO) == STDIN_FILENO)
		*fd = STDIN_FILENO;
	close_range(3, ~0u, 0);
	sandbox_hide_memory();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	setrlimit(RLIMIT_NPROC, &none);
}

static EVP_PKEY *
child_load(const char *key_path, X509 *issuer, struct err *e)
{
	AUTO(EVP_PKEY) key = ossl_load_key(key_path, e);

	if (key == NULL)
		return NULL;
	if (X509_check_private_key(issuer, key) != 1) {
		err_set(e, ERR_CONF,
		    "ca: %s is not the key of the issuing certificate",
		    key_path);
		return NULL;
	}
	return STEAL(key);
}

/* No bit: read, write, memory, and the end. */
const struct sandbox ca_sandbox = { .may = 0 };

static _Noreturn void
child_run(int fd, const char *key_path, X509 *issuer, bool no_sandbox)
{
	AUTO(EVP_PKEY) key = NULL;
	struct sandbox_report report;
	struct err e = ERR_INIT;

	child_confine(&fd);
	key = child_load(key_path, issuer, &e);
	if (key != NULL && !no_sandbox &&
	    sandbox_enter(&ca_sandbox, &report, &e) == -1)
		err_prefix(&e, "ca");
	if (e.kind == ERR_NONE &&
	    message_send(fd, 0, false, bytes_of(NULL, 0), 0) == 0)
		child_serve(fd, key);
	else
		message_send(
		    fd, e.kind, true, bytes_of(e.msg, strlen(e.msg)), 0);
	EVP_PKEY_free(STEAL(key));
	_exit(0);
}

/* ---- the RA ------------------------------------------------------------ */

/* Its first word: ready, or why not (then the id is the error's kind). */
static int
child_await(int fd, struct err *e)
{
	struct buf why AUTO_BUF = { 0 };
	struct head h;

	if (message_recv(fd, &h, &why, 0) != 1)
		return err_set(e, ERR_LOCAL, "ca: the child ended at once");
	if (h.failed != 0)
		return err_set(e,
		    h.id > ERR_NONE && h.id < ERR__MAX ? (enum err_kind)h.id
						       : ERR_LOCAL,
		    "%s", buf_cstr(&why));
	return 0;
}

int
ca_start(const char *key_path, X509 *issuer, bool no_sandbox, struct ca **ret,
    struct err *e)
{
	AUTO(ca) c = NULL;
	int fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == -1)
		return err_errno(e, ERR_LOCAL, "ca: socketpair");
	if ((pid = fork()) == -1) {
		close(fds[0]);
		close(fds[1]);
		return err_errno(e, ERR_LOCAL, "ca: fork");
	}
	if (pid == 0)
		child_run(fds[1], key_path, issuer, no_sandbox);
	close(fds[1]);
	c = xcalloc(1, sizeof(*c));
	c->fd = fds[0];
	c->pid = pid;
	if (child_await(c->fd, e) == -1)
		return -1;
	*ret = STEAL(c);
	return 0;
}

void
ca_stop(struct ca *c)
{
	if (c == NULL)
		return;
	if (c->ev != NULL)
		event_free(c->ev);
	close(c->fd);
	while (waitpid(c->pid, NULL, 0) == -1 && errno == EINTR)
		;
	free(c);
}

static void
ca_died(struct ca *c, const char *why)
{
	event_del(c->ev);
	log_event(LOG_ALARM, "ca.died", "reason", "%s", why, NULL);
	c->on_death(c->arg);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct buf sig AUTO_BUF = { 0 };
	struct ca *c = arg;
	struct head h;
	int rc = message_recv(fd, &h, &sig, MSG_DONTWAIT);

	(void)what;
	if (rc == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return;
	if (rc != 1)
		ca_died(c, "the child has gone");
	else if (h.failed != 0 || sig.len == 0)
		ca_died(c, "the child cannot sign");
	else
		c->on_signed(c->arg, h.id, buf_bytes(&sig));
}

int
ca_attach(struct ca *c, struct loop *l,
    void (*on_signed)(void *arg, uint64_t id, struct bytes sig),
    void (*on_death)(void *arg), void *arg, struct err *e)
{
	c->on_signed = on_signed;
	c->on_death = on_death;
	c->arg = arg;
	c->ev = event_new(
	    loop_base(l), c->fd, EV_READ | EV_PERSIST, on_readable, c);
	if (c->ev == NULL || event_add(c->ev, NULL) == -1)
		return err_set(e, ERR_LOCAL, "ca: no event for the child");
	return 0;
}

int
ca_sign(struct ca *c, uint64_t id, struct bytes tbs, struct err *e)
{
	if (tbs.len > CA_TBS_MAX)
		return err_set(e, ERR_INPUT, "ca: TBS of %zu octets, limit %d",
		    tbs.len, CA_TBS_MAX);
	if (message_send(c->fd, id, false, tbs, MSG_DONTWAIT) == -1)
		return err_errno(e, ERR_LOCAL, "ca: the child takes nothing");
	return 0;
}

int
ca_sign_list(struct ca *c, uint64_t id, struct bytes tbs, struct err *e)
{
	if (tbs.len > CA_LIST_MAX)
		return err_set(e, ERR_INPUT, "ca: list of %zu octets, limit %d",
		    tbs.len, CA_LIST_MAX);
	while (tbs.len > CA_TBS_MAX) {
		if (message_send(
			c->fd, id, true, bytes_of(tbs.p, CA_TBS_MAX), 0) == -1)
			return err_errno(
			    e, ERR_LOCAL, "ca: the child takes nothing");
		tbs = bytes_of(tbs.p + CA_TBS_MAX, tbs.len - CA_TBS_MAX);
	}
	if (message_send(c->fd, id, false, tbs, 0) == -1)
		return err_errno(e, ERR_LOCAL, "ca: the child takes nothing");
	return 0;
}
