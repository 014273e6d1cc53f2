/* waybill-masa as it is, asked over TLS, and the checker of what it is sent. */
#include "masa_lab.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
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
static const char *
path_of(const char *name)
{
	static char paths[8][128];
	static unsigned next;
	char *ret = paths[next++ % 8];

	snprintf(ret, sizeof(paths[0]), "%s/%s", dir, name);
	return ret;
}

static void
put(const char *name, struct bytes data)
{
	struct err e = ERR_INIT;

	if (file_write(path_of(name), 0600, data, &e) == -1)
		fail_msg("%s", e.msg);
}

static void
put_cert(const char *name, X509 *x)
{
	struct buf pem AUTO_BUF = { 0 };

	ossl_cert_pem(x, &pem);
	put(name, buf_bytes(&pem));
}

static void
put_key(const char *name, EVP_PKEY *key)
{
	struct buf pem AUTO_BUF = { 0 };

	ossl_key_pem(key, &pem);
	put(name, buf_bytes(&pem));
}

static int
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

static int
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
static pid_t
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

static int
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

static pid_t
spawn_masa(const char *listen, const char *option, const char *value)
{
	const char *argv[] = { program, "--listen", listen, "--vendor", dir,
		"--state", path_of("state"), "--keep-requests", path_of("kept"),
		option, value, NULL };

	return spawn((char *const *)(intptr_t)argv);
}

static bool
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

static void
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

static void
start(const char *option, const char *value)
{
	char line[256];

	masa.pid = spawn_masa("127.0.0.1:0", option, value);
	await("event=masa.ready port=", line, sizeof(line));
	masa.port = (uint16_t)atoi(strstr(line, "port=") + 5);
}

static void
stop(void)
{
	pid_t pid = masa.pid;

	masa.pid = 0;
	kill(pid, SIGTERM);
	assert_int_equal(ended(pid), 0);
}

/* A failed test leaves no process. */
static int
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
static void
forget(void)
{
	char cmd[200];

	snprintf(cmd, sizeof(cmd), "rm -rf %s/state %s/kept", dir, dir);
	assert_int_equal(system(cmd), 0);
}

/*
 * A client.
 */
static int
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
static SSL *
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

static void
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

static void
reply_done(struct reply *r)
{
	buf_done(&r->all);
}

static struct bytes
reply_body(const struct reply *r)
{
	return bytes_of(r->all.data + r->body, r->all.len - r->body);
}

static struct reply
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

static struct reply
ask(const char *method, const char *path, const char *headers,
    struct bytes body, const struct signer *client)
{
	AUTO(SSL) ssl = tls_open(client);

	send_request(ssl, method, path, headers, body);
	return read_reply(ssl);
}

static struct reply
post(const char *path, const struct buf *body)
{
	return ask("POST", path, TYPE, buf_bytes(body), NULL);
}

static void
make_sound(struct buf *out)
{
	struct lab_request q = lab_request(lab);

	lab_make(&q, out);
}

static void
make_elsewhere(struct buf *out)
{
	struct lab_request q = lab_request(lab);

	q.registrar = lab->elsewhere.registrar;
	q.seen = q.registrar->cert;
	q.root = lab->elsewhere.root->cert;
	lab_make(&q, out);
}

/*
 * Tests.
 */
static void
same_request_same_voucher(void **state)
{
	struct buf rvr AUTO_BUF = { 0 }, other AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct vch_log l;

	(void)state;
	forget();
	make_sound(&rvr);
	make_elsewhere(&other);
	start(NULL, NULL);
	AUTO_REPLY first = post(VOUCHER, &rvr);
	AUTO_REPLY again = post(VOUCHER, &rvr);
	stop();
	start(NULL, NULL);
	AUTO_REPLY later = post(VOUCHER, &rvr);
	AUTO_REPLY log = post(AUDIT, &rvr);
	AUTO_REPLY not_theirs = post(AUDIT, &other);
	stop();
	assert_int_equal(first.status, 200);
	assert_non_null(strstr(buf_cstr(&first.all),
	    "Content-Type: application/voucher-cms+json\r\n"));
	assert_true(bytes_eq(reply_body(&first), reply_body(&again)));
	assert_true(bytes_eq(reply_body(&first), reply_body(&later)));
	assert_int_equal(log.status, 200);
	if (vch_log_parse(reply_body(&log), &l, &e) == -1)
		fail_msg("%s", e.msg);
	assert_int_equal(l.n, 1);
	vch_log_done(&l);
	assert_int_equal(not_theirs.status, 404);
}

static void
nonceless_needs_a_client(void **state)
{
	struct lab_request q = lab_request(lab);
	struct buf rvr AUTO_BUF = { 0 };
	struct cms_signed cms = { 0 };
	struct vch v = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	forget();
	q.device = NULL;
	q.rvr.nonce[0] = '\0';
	lab_make(&q, &rvr);
	start("--nonceless-life", "90s");
	AUTO_REPLY no = post(VOUCHER, &rvr);
	AUTO_REPLY yes =
	    ask("POST", VOUCHER, TYPE, buf_bytes(&rvr), lab->home.member);
	stop();
	assert_int_equal(no.status, 403);
	assert_non_null(strstr(buf_cstr(&no.all), "RFC 8995 5.5.4"));
	assert_int_equal(yes.status, 200);
	if (cms_open(reply_body(&yes), NULL, &cms, &e) == -1 ||
	    vch_parse(buf_bytes(&cms.content), &v, &e) == -1)
		fail_msg("%s", e.msg);
	assert_in_range(v.expires_on, lab->now + 80, lab->now + 150);
	assert_string_equal(v.nonce, "");
	cms_signed_done(&cms);
	vch_done(&v);
}

/* Status of a voucher and of the log, how many events it has, and whether the
 * voucher is another than the sound one of the same request. */
static const struct {
	const char *option;
	int voucher, log;
	size_t events;
	bool differs;
} faults[] = {
	{ "--deny", 403, 200, 1, true },
	{ "--500", 500, 500, 0, true },
	{ "--wrong-serial", 200, 200, 1, true },
	{ "--wrong-pin", 200, 200, 1, true },
	{ "--bad-signature", 200, 200, 1, true },
	{ "--expired", 200, 200, 1, true },
	{ "--foreign-entry", 200, 200, 2, false },
};

static void
misbehaves(void **state)
{
	struct buf rvr AUTO_BUF = { 0 };

	(void)state;
	forget();
	make_sound(&rvr);
	start(NULL, NULL);
	AUTO_REPLY sound = post(VOUCHER, &rvr);
	stop();
	for (size_t i = 0; i < NELEMS(faults); i++) {
		struct err e = ERR_INIT;
		struct vch_log l = { 0 };

		start(faults[i].option, NULL);
		AUTO_REPLY voucher = post(VOUCHER, &rvr);
		AUTO_REPLY again = post(VOUCHER, &rvr);
		AUTO_REPLY log = post(AUDIT, &rvr);
		stop();
		assert_int_equal(voucher.status, faults[i].voucher);
		assert_true(bytes_eq(reply_body(&voucher), reply_body(&again)));
		assert_int_equal(faults[i].differs,
		    !bytes_eq(reply_body(&voucher), reply_body(&sound)));
		assert_int_equal(log.status, faults[i].log);
		if (log.status != 200)
			continue;
		if (vch_log_parse(reply_body(&log), &l, &e) == -1)
			fail_msg("%s", e.msg);
		assert_int_equal(l.n, faults[i].events);
		vch_log_done(&l);
	}
}

/* Two at a time, each a second late, and none blocks the other. */
static void
slow_but_not_one_by_one(void **state)
{
	struct buf rvr AUTO_BUF = { 0 };
	uint64_t began, took;

	(void)state;
	forget();
	make_sound(&rvr);
	start("--slow", "1");
	AUTO(SSL) one = tls_open(NULL);
	AUTO(SSL) two = tls_open(NULL);
	began = clock_mono_ms();
	send_request(one, "POST", VOUCHER, TYPE, buf_bytes(&rvr));
	send_request(two, "POST", VOUCHER, TYPE, buf_bytes(&rvr));
	AUTO_REPLY first = read_reply(one);
	AUTO_REPLY second = read_reply(two);
	took = clock_mono_ms() - began;
	assert_int_equal(first.status, 200);
	assert_int_equal(second.status, 200);
	assert_in_range(took, 1000, 1900);
	/* An end while an answer is owed. */
	AUTO(SSL) third = tls_open(NULL);
	char line[128];

	send_request(third, "POST", AUDIT, TYPE, buf_bytes(&rvr));
	await("path=" AUDIT, line, sizeof(line));
	stop();
}

static void
does_not_listen(void **state)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char listen_at[32], line[128];

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	close(fd);
	snprintf(
	    listen_at, sizeof(listen_at), "127.0.0.1:%u", ntohs(sin.sin_port));
	masa.pid = spawn_masa(listen_at, "--down", NULL);
	await("event=masa.down", line, sizeof(line));
	assert_int_equal(dial(ntohs(sin.sin_port)), -1);
	assert_int_equal(errno, ECONNREFUSED);
	stop();
}

static void
statuses(void **state)
{
	static const struct {
		const char *method, *path, *headers;
		int status;
	} asked[] = {
		{ "POST", VOUCHER, TYPE, 200 },
		{ "POST", VOUCHER,
		    "Content-Type: Application/Voucher-CMS+json; x=y\r\n",
		    200 },
		{ "POST", VOUCHER, TYPE "Accept: text/html, */*\r\n", 200 },
		{ "POST", VOUCHER,
		    TYPE "Accept: application/voucher-cose+cbor\r\n", 406 },
		{ "POST", VOUCHER, "", 415 },
		{ "POST", VOUCHER,
		    "Content-Type: application/voucher-cms+jsonx\r\n", 415 },
		{ "GET", VOUCHER, "", 405 },
		{ "POST", "/log.json", TYPE, 405 },
		{ "POST", "/.well-known/brski/", TYPE, 404 },
	};
	struct buf rvr AUTO_BUF = { 0 };

	(void)state;
	forget();
	make_sound(&rvr);
	start(NULL, NULL);
	for (size_t i = 0; i < NELEMS(asked); i++) {
		struct bytes body = strcmp(asked[i].method, "POST") == 0
		    ? buf_bytes(&rvr)
		    : bytes_of(NULL, 0);
		AUTO_REPLY r = ask(asked[i].method, asked[i].path,
		    asked[i].headers, body, NULL);

		assert_int_equal(r.status, asked[i].status);
		if (r.status != 200)
			assert_non_null(strstr(
			    buf_cstr(&r.all), "Content-Type: text/plain"));
	}
	stop();
}

static void
tells_what_it_was_asked(void **state)
{
	struct buf rvr AUTO_BUF = { 0 }, name AUTO_BUF = { 0 };
	struct buf kept AUTO_BUF = { 0 };
	AUTO(json_t) all = NULL;
	char hex[2 * DIGEST_LEN + 1];
	struct err e = ERR_INIT;
	struct digest d;

	(void)state;
	forget();
	make_sound(&rvr);
	d = digest_of(rvr.data, rvr.len);
	hex_format(hex, d.b, sizeof(d.b));
	start(NULL, NULL);
	AUTO_REPLY voucher = post(VOUCHER, &rvr);
	AUTO_REPLY nowhere =
	    ask("GET", "/", "", bytes_of(NULL, 0), lab->home.member);
	AUTO_REPLY log = ask("GET", "/log.json", "", bytes_of(NULL, 0), NULL);
	stop();
	assert_int_equal(voucher.status, 200);
	assert_int_equal(nowhere.status, 404);
	all = json_parse(reply_body(&log), 1 << 16, &e);
	assert_non_null(all);
	assert_int_equal(json_array_size(all), 2);
	const struct {
		const char *path, *serial, *sha256;
		int status, client;
	} * w,
	    want[] = { { VOUCHER, LAB_SERIAL, hex, 200, 0 },
		    { "/", "", NULL, 404, 1 } };

	for (size_t i = 0; i < NELEMS(want); i++) {
		const char *path, *serial, *sha256, *date;
		int status, client;

		w = &want[i];
		assert_int_equal(
		    json_unpack(json_array_get(all, i),
			"{s:s, s:s, s:s, s:i, s:b, s:s}", "path", &path,
			"serial", &serial, "sha256", &sha256, "status", &status,
			"client_certificate", &client, "time", &date),
		    0);
		assert_string_equal(path, w->path);
		assert_string_equal(serial, w->serial);
		if (w->sha256 != NULL)
			assert_string_equal(sha256, w->sha256);
		assert_int_equal(status, w->status);
		assert_int_equal(client, w->client);
	}
	buf_printf(&name, "kept/%s.rvr", hex);
	assert_int_equal(
	    file_read(path_of(buf_cstr(&name)), 1 << 16, &kept, &e), 0);
	assert_true(bytes_eq(buf_bytes(&kept), buf_bytes(&rvr)));
}

static void
wrong_use(void **state)
{
	static const char *const wrong[][2] = {
		{ "--deny", "--500" },
		{ "--owner", "sales" },
		{ "--owner", "me" },
		{ "--slow", "0" },
		{ "--nonceless-life", "20" },
		{ "--tls-key", "x" },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(wrong); i++)
		assert_int_equal(
		    ended(spawn_masa("127.0.0.1:0", wrong[i][0], wrong[i][1])),
		    2);
}

/*
 * The checker knows nothing of the code above.
 */
static void
c_sound(struct lab_request *q)
{
	(void)q;
}

static void
c_nonceless(struct lab_request *q)
{
	q->device = NULL;
	q->rvr.nonce[0] = '\0';
}

static void
c_no_prior(struct lab_request *q)
{
	q->device = NULL;
}

static void
c_no_cmcra(struct lab_request *q)
{
	q->registrar = lab->home.member;
	q->seen = lab->home.member->cert;
}

static void
c_no_root(struct lab_request *q)
{
	q->root = NULL;
}

static void
c_type(struct lab_request *q)
{
	q->type = NID_pkcs7_data;
}

static void
c_date(struct lab_request *q)
{
	str_copy(q->rvr.created_on, VCH_TIME_MAX, "today");
}

static void
c_future(struct lab_request *q)
{
	clock_format(q->rvr.created_on, lab->now + 86400);
}

static void
c_serial(struct lab_request *q)
{
	q->device = lab->other_device;
}

static void
c_fake(struct lab_request *q)
{
	q->device = lab->fake;
	q->issuer_of = lab->fake->cert;
}

static void
c_nonce(struct lab_request *q)
{
	q->rvr.nonce[0] = 'x';
}

static void
c_issuer(struct lab_request *q)
{
	q->issuer_of = lab->fake->cert;
}

static void
c_proximity(struct lab_request *q)
{
	q->seen = lab->elsewhere.registrar->cert;
}

static void
c_unseen(struct lab_request *q)
{
	q->seen = NULL;
}

static void
c_assertion(struct lab_request *q)
{
	q->pledge.assertion = VCH_LOGGED;
}

static void
c_elsewhere(struct lab_request *q)
{
	q->registrar = lab->elsewhere.registrar;
	q->seen = q->registrar->cert;
	q->root = lab->elsewhere.root->cert;
}

static const struct {
	void (*change)(struct lab_request *q);
	const char *no; /* the one line that says no */
} views[] = {
	{ c_sound, NULL },
	{ c_nonceless, NULL },
	{ c_no_prior, "prior-signed-voucher-request is there" },
	{ c_no_cmcra, "signer has id-kp-cmcRA" },
	{ c_no_root, "the domain's CA came along" },
	{ c_type, "content is of type id-ct-animaJSONVoucher" },
	{ c_date, "created-on is a date" },
	{ c_future, "created-on is not in the future" },
	{ c_serial, "serial-number is that of the pledge's certificate" },
	{ c_fake, "the pledge's certificate chains to the vendor" },
	{ c_nonce, "nonce is the pledge's" },
	{ c_issuer, "idevid-issuer, if there, is the AKI" },
	{ c_proximity, "its key is in the chain of the request's signer" },
	{ c_unseen, "proximity-registrar-cert is a certificate" },
	{ c_assertion, "the pledge asserts proximity" },
	{ c_elsewhere, "the topmost certificate is the one expected" },
};

static int
view(struct bytes body, struct buf *ret)
{
	const char *argv[] = { checker, path_of("seen.rvr"), "--vendor",
		path_of("vendor-root.crt"), "--pinned", path_of("domain.crt"),
		NULL };
	struct err e = ERR_INIT;
	int code;

	put("seen.rvr", body);
	code = ended(spawn((char *const *)(intptr_t)argv));
	if (file_read(path_of("out"), 1 << 16, ret, &e) == -1)
		fail_msg("%s", e.msg);
	return code;
}

static void
checker_sees(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEMS(views); i++) {
		struct lab_request q = lab_request(lab);
		struct buf body AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
		const char *no = views[i].no, *line;
		int code;

		views[i].change(&q);
		lab_make(&q, &body);
		code = view(buf_bytes(&body), &out);
		line = strstr(buf_cstr(&out), "no   ");
		if (code != (no != NULL) || (line != NULL) != (no != NULL) ||
		    (no != NULL && strstr(line, no) == NULL))
			fail_msg("%s: %d\n%s", no != NULL ? no : "sound", code,
			    buf_cstr(&out));
	}
}

static void
checker_sees_signatures(void **state)
{
	struct buf body AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };

	(void)state;
	make_sound(&body);
	body.data[body.len - 1] ^= 1;
	assert_int_equal(view(buf_bytes(&body), &out), 1);
	assert_non_null(strstr(
	    buf_cstr(&out), "no   5.5     voucher request: signature holds"));
	buf_reset(&out);
	assert_int_equal(view(bytes_of("no CMS", 6), &out), 1);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(same_request_same_voucher, clear),
		cmocka_unit_test_teardown(nonceless_needs_a_client, clear),
		cmocka_unit_test_teardown(misbehaves, clear),
		cmocka_unit_test_teardown(slow_but_not_one_by_one, clear),
		cmocka_unit_test_teardown(does_not_listen, clear),
		cmocka_unit_test_teardown(statuses, clear),
		cmocka_unit_test_teardown(tells_what_it_was_asked, clear),
		cmocka_unit_test_teardown(wrong_use, clear),
		cmocka_unit_test_teardown(checker_sees, clear),
		cmocka_unit_test_teardown(checker_sees_signatures, clear),
	};

	if (argc != 3) {
		fprintf(stderr, "usage: %s WAYBILL-MASA CHECKER\n", argv[0]);
		return 2;
	}
	program = argv[1];
	checker = argv[2];
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, setup, teardown);
}
