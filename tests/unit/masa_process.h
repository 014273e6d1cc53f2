/* A MASA as a process, whose path is the first argument, and what it is asked:
 * what its tests share. */
#ifndef WAYBILL_TESTS_MASA_PROCESS_H
#define WAYBILL_TESTS_MASA_PROCESS_H

#include "masa_lab.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <openssl/ssl.h>

#include "common/base/file.h"
#include "common/base/json.h"

AUTO_DEFINE(SSL, SSL, SSL_free);
AUTO_DEFINE(SSL_CTX, SSL_CTX, SSL_CTX_free);

#define LIMIT_MS 10000
#define VOUCHER	 "/.well-known/brski/requestvoucher"
#define AUDIT	 "/.well-known/brski/requestauditlog"
#define TYPE	 "Content-Type: application/voucher-cms+json\r\n"

static const char *program, *checker;
static struct lab *lab;
static char dir[64];
static struct signer *tls;

static struct {
	pid_t pid;
	uint16_t port;
} masa;

/*
 * The vendor's folder.
 */
static inline const char *
path_of(const char *name)
{
	static char paths[8][128];
	static unsigned next;
	char *ret = paths[next++ % 8];

	snprintf(ret, sizeof(paths[0]), "%s/%s", dir, name);
	return ret;
}

static inline void
put(const char *name, struct bytes data)
{
	struct err e = ERR_INIT;

	if (file_write(path_of(name), 0600, data, &e) == -1)
		fail_msg("%s", e.msg);
}

static inline void
put_cert(const char *name, X509 *x)
{
	struct buf pem AUTO_BUF = { 0 };

	ossl_cert_pem(x, &pem);
	put(name, buf_bytes(&pem));
}

static inline void
put_key(const char *name, EVP_PKEY *key)
{
	struct buf pem AUTO_BUF = { 0 };

	ossl_key_pem(key, &pem);
	put(name, buf_bytes(&pem));
}

static inline int
setup(void **state)
{
	(void)state;
	lab = lab_new();
	str_copy(dir, sizeof(dir), "/tmp/waybill-masa-XXXXXX");
	assert_non_null(mkdtemp(dir));
	tls = lab_signer(lab, lab->root,
	    (struct issue_spec){
		.ext_key_usage = "serverAuth", .san = "IP:127.0.0.1" },
	    "masa", NULL);
	put_cert("vendor-root.crt", lab->root->cert);
	put_cert("vendor-sub.crt", lab->sub->cert);
	put_cert("masa.crt", tls->cert);
	put_key("masa.key", tls->key);
	put_cert("masa-voucher.crt", lab->voucher->cert);
	put_key("masa-voucher.key", lab->voucher->key);
	put_cert("domain.crt", lab->home.root->cert);
	return 0;
}

static inline int
teardown(void **state)
{
	char cmd[96];

	(void)state;
	signer_free(tls);
	lab_free(lab);
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	return system(cmd);
}

/*
 * The process.
 */
static inline pid_t
spawn(char *const argv[])
{
	posix_spawn_file_actions_t fa;
	char *env[] = { (char *)(intptr_t) "PATH=/usr/bin:/bin", NULL };
	pid_t pid;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, STDERR_FILENO, path_of("log"),
	    O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_addopen(&fa, STDOUT_FILENO, path_of("out"),
	    O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(posix_spawn(&pid, argv[0], &fa, NULL, argv, env), 0);
	posix_spawn_file_actions_destroy(&fa);
	return pid;
}

static inline int
ended(pid_t pid)
{
	uint64_t until = clock_mono_ms() + LIMIT_MS;
	int status;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		if (clock_mono_ms() > until) {
			kill(pid, SIGKILL);
			fail_msg("process does not end");
		}
		usleep(2000);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static inline pid_t
spawn_masa(const char *listen, const char *option, const char *value)
{
	const char *argv[] = { program, "--listen", listen, "--vendor", dir,
		"--state", path_of("state"), "--keep-requests", path_of("kept"),
		option, value, NULL };

	return spawn((char *const *)(intptr_t)argv);
}

static inline bool
logged(const char *what, char *ret, size_t size)
{
	struct buf text AUTO_BUF = { 0 };
	const char *at;

	if (file_read(path_of("log"), 1 << 20, &text, NULL) == -1 ||
	    (at = strstr(buf_cstr(&text), what)) == NULL ||
	    strchr(at, '\n') == NULL)
		return false;
	str_copy(ret, size, at);
	return true;
}

static inline void
await(const char *what, char *ret, size_t size)
{
	uint64_t until = clock_mono_ms() + LIMIT_MS;

	while (!logged(what, ret, size)) {
		if (clock_mono_ms() > until ||
		    waitpid(masa.pid, NULL, WNOHANG) == masa.pid)
			fail_msg("the MASA never said \"%s\"", what);
		usleep(2000);
	}
}

static inline void
start(const char *option, const char *value)
{
	char line[256];

	masa.pid = spawn_masa("127.0.0.1:0", option, value);
	await("event=masa.ready port=", line, sizeof(line));
	masa.port = (uint16_t)atoi(strstr(line, "port=") + 5);
}

static inline void
stop(void)
{
	pid_t pid = masa.pid;

	masa.pid = 0;
	kill(pid, SIGTERM);
	assert_int_equal(ended(pid), 0);
}

/* A failed test leaves no process. */
static inline int
clear(void **state)
{
	(void)state;
	if (masa.pid > 0) {
		kill(masa.pid, SIGKILL);
		waitpid(masa.pid, NULL, 0);
	}
	masa.pid = 0;
	return 0;
}

/* Each test begins with nothing remembered. */
static inline void
forget(void)
{
	char cmd[200];

	snprintf(cmd, sizeof(cmd), "rm -rf %s/state %s/kept", dir, dir);
	assert_int_equal(system(cmd), 0);
}

/*
 * A client.
 */
static inline int
dial(uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval limit = { LIMIT_MS / 1000, 0 };
	AUTO_FD fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1)
		return -1;
	return fd_steal(&fd);
}

/* Connected, the server's certificate verified; the descriptor is the SSL's. */
static inline SSL *
tls_open(const struct signer *client)
{
	AUTO(SSL_CTX) ctx = SSL_CTX_new(TLS_client_method());
	int fd = dial(masa.port);
	AUTO(SSL) ssl = NULL;

	assert_int_not_equal(fd, -1);
	assert_int_equal(
	    SSL_CTX_load_verify_file(ctx, path_of("vendor-root.crt")), 1);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	if (client != NULL)
		assert_int_equal(SSL_CTX_use_cert_and_key(ctx, client->cert,
				     client->key, client->chain, 1),
		    1);
	ssl = SSL_new(ctx);
	assert_int_equal(
	    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), "127.0.0.1"), 1);
	SSL_set0_rbio(ssl, BIO_new_socket(fd, BIO_CLOSE));
	BIO_up_ref(SSL_get_rbio(ssl));
	SSL_set0_wbio(ssl, SSL_get_rbio(ssl));
	assert_int_equal(SSL_connect(ssl), 1);
	return STEAL(ssl);
}

static inline void
send_request(SSL *ssl, const char *method, const char *path,
    const char *headers, struct bytes body)
{
	struct buf text AUTO_BUF = { 0 };

	buf_printf(&text,
	    "%s %s HTTP/1.1\r\nHost: masa\r\nConnection: close\r\n%s"
	    "Content-Length: %zu\r\n\r\n",
	    method, path, headers, body.len);
	buf_add(&text, body.p, body.len);
	assert_int_equal(
	    SSL_write(ssl, text.data, (int)text.len), (int)text.len);
}

struct reply {
	int status;
	struct buf all; /* headers and body */
	size_t body;	/* where it begins */
};
#define AUTO_REPLY struct reply __attribute__((cleanup(reply_done)))

static inline void
reply_done(struct reply *r)
{
	buf_done(&r->all);
}

static inline struct bytes
reply_body(const struct reply *r)
{
	return bytes_of(r->all.data + r->body, r->all.len - r->body);
}

static inline struct reply
read_reply(SSL *ssl)
{
	struct reply r = { 0 };
	char piece[4096];
	const char *end;
	int n;

	while ((n = SSL_read(ssl, piece, sizeof(piece))) > 0)
		buf_add(&r.all, piece, (size_t)n);
	assert_int_equal(sscanf(buf_cstr(&r.all), "HTTP/1.1 %d", &r.status), 1);
	end = memmem(r.all.data, r.all.len, "\r\n\r\n", 4);
	assert_non_null(end);
	r.body = (size_t)(end + 4 - (const char *)r.all.data);
	return r;
}

static inline struct reply
ask(const char *method, const char *path, const char *headers,
    struct bytes body, const struct signer *client)
{
	AUTO(SSL) ssl = tls_open(client);

	send_request(ssl, method, path, headers, body);
	return read_reply(ssl);
}

static inline struct reply
post(const char *path, const struct buf *body)
{
	return ask("POST", path, TYPE, buf_bytes(body), NULL);
}

static inline void
make_sound(struct buf *out)
{
	struct lab_request q = lab_request(lab);

	lab_make(&q, out);
}

#endif
