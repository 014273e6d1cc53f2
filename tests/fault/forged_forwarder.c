/*
 * Stands in a forwarder's place, with its stolen link key, and lies.
 *
 *   forged_forwarder MODE CARRY-SOCKET SERVICE URL KEY CERTIFICATE LINK-CA
 *
 * HELLO and WELCOME pass unchanged, so that the registrar takes the link for
 * good.  Then, by MODE:
 *
 *   stored   each PUT is answered by STORED: all names, epochs, the id and the
 *            digest are right, the key is ours
 *   nack     a NACK that nobody asked for, then each PUT gets one
 *   answer   a PULL gets a batch of ours with a certificate of a CA of ours, in
 *            an ip as the request wants it
 *   swap     all is relayed, but the octets of each answer are that ip: the
 *            batch is genuine
 *   hello    nothing but HELLO; ends 0 if the service refuses it, 3 if it does not
 *
 * One line a lie on stdout; ends 0 after the first that was told and looked at
 * for a moment, 1 if the peers did not let it come so far, in 30 s at most.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/link/frame.h"
#include "common/link/wire.h"
#include "common/pki/cmp.h"
#include "common/pki/issue.h"

#define LIMIT_MS   30000
#define LINGER_MS  500 /* the registrar reads what we said */
#define TIMEOUT_MS 25000
#define DAY	   86400
#define WELCOMED   3
#define STRAY_TAG  0x7fffffff

struct forger {
	const struct mode *mode;
	const char *service;
	struct loop *loop;
	struct wire_client *wire;
	struct timer *limit, *linger;
	int carry;
	bool said_up;
	int status;
	struct signer *ca, *liar; /* a CA and a service of our own */
	struct frame_hello welcome;
	struct buf put;	 /* the last PUT, whole */
	uint64_t pulled; /* tag of a PULL that waits for a PUT; 0: none */
};

/* What happens to a frame; all others are relayed. */
struct mode {
	const char *name;
	void (*put)(struct forger *f, const struct frame *fr);
	void (*pull)(struct forger *f, const struct frame *fr);
	void (*reply)(
	    struct forger *f, const struct frame *fr, struct buf *out);
};

struct relayed {
	struct forger *f;
	uint64_t tag;
};

static _Noreturn void
die(const struct err *e)
{
	fprintf(stderr, "forged_forwarder: %s\n", e->msg);
	exit(1);
}

/* ---- towards the registrar -------------------------------------------- */

static void
carry_write(struct forger *f, const struct buf *frame)
{
	struct buf out AUTO_BUF = { 0 };
	ssize_t n;

	frame_wrap(buf_bytes(frame), &out);
	for (size_t at = 0; at < out.len; at += (size_t)n) {
		n = send(f->carry, out.data + at, out.len - at, MSG_NOSIGNAL);
		if (n == -1)
			exit(1);
	}
}

static void
told(struct forger *f, const char *lie)
{
	printf("told: %s\n", lie);
	fflush(stdout);
	if (f->status == 1)
		timer_set(f->linger, LINGER_MS);
	f->status = 0;
}

/* ---- the lies ---------------------------------------------------------- */

static void
batch_of(struct forger *f, struct batch *b, struct batch_item *item)
{
	struct frame put AUTO_FRAME = { 0 };
	struct entry_header h;
	struct err e = ERR_INIT;

	if (frame_parse(buf_bytes(&f->put), &put, &e) == -1 ||
	    entry_header_parse(put.u.put.header, &h, &e) == -1)
		die(&e);
	*item = (struct batch_item){ .id = h.id, .digest = h.digest };
	*b = (struct batch){ .seq = f->welcome.service_seq + 1,
		.time = clock_now().time,
		.n = 1,
		.items = item };
	str_copy(b->service, sizeof(b->service), f->service);
	memcpy(b->service_epoch, f->welcome.service_epoch, ENTRY_EPOCH_LEN);
	str_copy(b->site, sizeof(b->site), h.site);
	memcpy(b->site_epoch, h.epoch, ENTRY_EPOCH_LEN);
}

static void
send_batch(struct forger *f, enum frame_type type, uint64_t tag,
    struct batch *b, struct bytes answer)
{
	struct buf text AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };
	struct buf out AUTO_BUF = { 0 };
	struct frame_batch fb = { .n = 1, .answers = &answer };
	struct err e = ERR_INIT;

	if (batch_sign(b, f->liar, &text, &sig, &e) == -1)
		die(&e);
	fb.batch = buf_bytes(&text);
	fb.sig = buf_bytes(&sig);
	frame_answers(type, tag, &fb, 1, &out);
	carry_write(f, &out);
}

static void
put_stored(struct forger *f, const struct frame *fr)
{
	struct batch_item item;
	struct batch b;

	batch_of(f, &b, &item);
	item.code = BATCH_STORED;
	send_batch(f, FRAME_STORED, fr->tag, &b, (struct bytes){ 0 });
	told(f, "STORED, signed by a key of our own");
}

static void
put_nack(struct forger *f, const struct frame *fr)
{
	struct buf stray AUTO_BUF = { 0 }, known AUTO_BUF = { 0 };

	frame_nack(STRAY_TAG, 0, "refused for ever", &stray);
	carry_write(f, &stray);
	frame_nack(fr->tag, 3600, "refused for ever", &known);
	carry_write(f, &known);
	told(f, "NACK, unasked and asked");
}

/* The device's own message, out of what the registrar put around it. */
static struct cmp_msg *
inner_of(const struct frame *put)
{
	AUTO(cmp_msg) outer = NULL;
	struct cmp_msg *inner = NULL;
	struct err e = ERR_INIT;
	struct bytes der;

	if (cmp_parse(put->u.put.octets, &outer, &e) == -1 ||
	    cmp_read_nested(outer, &der, &e) == -1 ||
	    cmp_parse(der, &inner, &e) == -1)
		die(&e);
	return inner;
}

/* A response as the request wants it, but for who speaks. */
static void
foreign_ip(const struct forger *f, struct buf *out)
{
	struct frame put AUTO_FRAME = { 0 };
	struct buf body AUTO_BUF = { 0 };
	struct cmp_request want = { 0 };
	struct cmp_head h = { 0 };
	AUTO(X509_NAME) name = issue_name("foreign", NULL, NULL);
	struct issue_spec spec = { .subject = name,
		.not_before = clock_now().time - DAY,
		.not_after = clock_now().time + DAY,
		.pathlen = -1,
		.key_usage = "critical,digitalSignature" };
	AUTO(cmp_msg) inner = NULL;
	AUTO(X509) leaf = NULL;
	struct err e = ERR_INIT;

	if (frame_parse(buf_bytes(&f->put), &put, &e) == -1)
		die(&e);
	inner = inner_of(&put);
	if (cmp_read_request(inner, &want, &e) == -1)
		die(&e);
	spec.pubkey = want.pubkey;
	if ((leaf = issue_cert(&spec, f->ca->cert, f->ca->key, &e)) == NULL)
		die(&e);
	cmp_body_issued(
	    cmp_response_to(cmp_body(inner)), want.id, leaf, NULL, &body);
	cmp_head_reply(inner, &h);
	h.implicit_confirm = cmp_implicit_confirm(inner);
	if (cmp_build(&h, buf_bytes(&body), f->liar, NULL, out, &e) == -1)
		die(&e);
	cmp_request_done(&want);
}

static void
answer_now(struct forger *f)
{
	struct buf ip AUTO_BUF = { 0 };
	struct batch_item item;
	struct batch b;

	foreign_ip(f, &ip);
	batch_of(f, &b, &item);
	item.code = BATCH_ANSWERED;
	item.has_answer = true;
	item.answer = digest_of(ip.data, ip.len);
	send_batch(f, FRAME_ANSWERS, f->pulled, &b, buf_bytes(&ip));
	f->pulled = 0;
	told(f,
	    "ANSWERS with an ip of a foreign CA, signed by a key of our own");
}

static void
put_keep(struct forger *f, const struct frame *fr)
{
	(void)fr;
	if (f->pulled != 0)
		answer_now(f);
}

static void
pull_answer(struct forger *f, const struct frame *fr)
{
	f->pulled = fr->tag;
	if (f->put.len > 0)
		answer_now(f);
}

static void
reply_swap(struct forger *f, const struct frame *fr, struct buf *out)
{
	struct buf ip AUTO_BUF = { 0 };
	bool any = false;

	if (fr->type != FRAME_ANSWERS || f->put.len == 0)
		return;
	foreign_ip(f, &ip);
	for (size_t i = 0; i < fr->u.answers.n; i++)
		for (size_t j = 0; j < fr->u.answers.v[i].n; j++)
			if (fr->u.answers.v[i].answers[j].len > 0) {
				fr->u.answers.v[i].answers[j] = buf_bytes(&ip);
				any = true;
			}
	if (!any)
		return;
	buf_reset(out);
	frame_answers(
	    FRAME_ANSWERS, fr->tag, fr->u.answers.v, fr->u.answers.n, out);
	told(f, "a genuine batch with an ip of a foreign CA");
}

static void
reply_hello(struct forger *f, const struct frame *fr, struct buf *out)
{
	(void)out;
	if (fr->type == FRAME_NACK)
		told(f, fr->u.nack.reason);
	if (fr->type != FRAME_WELCOME)
		return;
	f->status = WELCOMED;
	loop_stop(f->loop);
}

static const struct mode modes[] = {
	{ "stored", put_stored, NULL, NULL },
	{ "nack", put_nack, NULL, NULL },
	{ "answer", put_keep, pull_answer, NULL },
	{ "swap", NULL, NULL, reply_swap },
	{ "hello", NULL, NULL, reply_hello },
};

/* ---- relaying ---------------------------------------------------------- */

static void
remember(struct forger *f, const struct frame *fr)
{
	struct err e = ERR_INIT;

	if (fr->type == FRAME_WELCOME &&
	    frame_hello_parse(fr->u.hello.body, &f->welcome, &e) == -1)
		die(&e);
}

static void
on_reply(void *arg, struct bytes reply, const struct err *failed)
{
	struct buf out AUTO_BUF = { 0 }, copy AUTO_BUF = bytes_dup(reply);
	struct frame fr AUTO_FRAME = { 0 };
	struct relayed *r = arg;
	struct err e = ERR_INIT;

	if (failed != NULL) {
		frame_nack(r->tag, 0, failed->msg, &out);
	} else {
		if (frame_parse(buf_bytes(&copy), &fr, &e) == -1)
			die(&e);
		remember(r->f, &fr);
		buf_add(&out, reply.p, reply.len);
		if (r->f->mode->reply != NULL)
			r->f->mode->reply(r->f, &fr, &out);
	}
	carry_write(r->f, &out);
	free(r);
}

static void
relay(struct forger *f, const struct buf *octets, uint64_t tag)
{
	struct relayed *r = xcalloc(1, sizeof(*r));
	struct err e = ERR_INIT;

	r->f = f;
	r->tag = tag;
	if (wire_send(
		f->wire, buf_bytes(octets), TIMEOUT_MS, on_reply, r, &e) == -1)
		die(&e);
}

static void
on_frame(struct forger *f, struct buf *octets)
{
	struct frame fr AUTO_FRAME = { 0 };
	struct err e = ERR_INIT;

	if (frame_parse(buf_bytes(octets), &fr, &e) == -1)
		die(&e);
	if (fr.type == FRAME_PUT) {
		buf_reset(&f->put);
		buf_add(&f->put, octets->data, octets->len);
	}
	if (fr.type == FRAME_PUT && f->mode->put != NULL)
		f->mode->put(f, &fr);
	else if (fr.type == FRAME_PULL && f->mode->pull != NULL)
		f->mode->pull(f, &fr);
	else
		relay(f, octets, fr.tag);
}

/* ---- both ends --------------------------------------------------------- */

struct arrival {
	struct forger *f;
	struct buf octets;
};

static void
on_arrival(void *arg)
{
	struct arrival *a = arg;

	on_frame(a->f, &a->octets);
	buf_done(&a->octets);
	free(a);
}

static bool
read_full(int fd, void *p, size_t n)
{
	return recv(fd, p, n, MSG_WAITALL) == (ssize_t)n;
}

/* A thread of its own: the loop's one is wire's. */
static void *
carry_reader(void *arg)
{
	struct forger *f = arg;
	struct arrival *a;
	uint8_t head[4];
	size_t len;

	while (read_full(f->carry, head, sizeof(head))) {
		len = (size_t)head[0] << 24 | (size_t)head[1] << 16 |
		    (size_t)head[2] << 8 | head[3];
		if (len == 0 || len > FRAME_MAX)
			break;
		a = xcalloc(1, sizeof(*a));
		a->f = f;
		if (!read_full(f->carry, buf_grow(&a->octets, len), len))
			break;
		loop_post(f->loop, on_arrival, a);
	}
	loop_stop(f->loop);
	return NULL;
}

static void
on_link(void *arg, bool up)
{
	struct buf out AUTO_BUF = { 0 };
	struct forger *f = arg;

	if (!up || f->said_up)
		return;
	f->said_up = true;
	frame_link(true, f->service, &out);
	carry_write(f, &out);
}

static int
carry_connect(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1 ||
	    str_copy(to.sun_path, sizeof(to.sun_path), path) >=
		sizeof(to.sun_path) ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) == -1) {
		perror(path);
		exit(1);
	}
	return fd;
}

static struct signer *
self_made(const char *cn, const char *san, const struct signer *issuer)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(X509_NAME) name = issue_name(cn, NULL, NULL);
	struct issue_spec spec = { .subject = name,
		.pubkey = key,
		.not_before = clock_now().time - DAY,
		.not_after = clock_now().time + DAY,
		.ca = issuer == NULL,
		.pathlen = -1,
		.key_usage = issuer == NULL ? "critical,keyCertSign,cRLSign"
					    : "critical,digitalSignature",
		.ext_key_usage = issuer == NULL ? NULL : "1.3.6.1.5.5.7.3.28",
		.san = san };
	struct err e = ERR_INIT;
	AUTO(X509) cert =
	    issue_cert(&spec, issuer == NULL ? NULL : issuer->cert,
		issuer == NULL ? key : issuer->key, &e);

	if (cert == NULL)
		die(&e);
	return signer_new(key, cert, NULL);
}

static const struct mode *
mode_find(const char *name)
{
	for (size_t i = 0; i < NELEMS(modes); i++)
		if (strcmp(modes[i].name, name) == 0)
			return &modes[i];
	return NULL;
}

static void
over(void *arg)
{
	loop_stop(arg);
}

static void
forger_open(struct forger *f, char **argv)
{
	struct wire_client_conf c = { .url = argv[4],
		.service = argv[3],
		.tls = { argv[5], argv[6], argv[7] },
		.window = 16,
		.reconnect_min_ms = 100,
		.reconnect_max_ms = 500 };
	char san[64];
	struct err e = ERR_INIT;

	f->service = argv[3];
	snprintf(san, sizeof(san), "URI:urn:waybill:service:%s", f->service);
	f->ca = self_made("Foreign CA", NULL, NULL);
	f->liar = self_made(f->service, san, f->ca);
	if ((f->loop = loop_new(&e)) == NULL)
		die(&e);
	f->limit = timer_new(f->loop, over, f->loop);
	f->linger = timer_new(f->loop, over, f->loop);
	timer_set(f->limit, LIMIT_MS);
	f->carry = carry_connect(argv[2]);
	if (wire_dial(f->loop, &c, on_link, f, &f->wire, &e) == -1)
		die(&e);
}

int
main(int argc, char **argv)
{
	struct forger f = { .status = 1 };
	pthread_t reader;

	log_init("forged_forwarder", LOG_INFO);
	signal(SIGPIPE, SIG_IGN);
	if (argc != 8 || (f.mode = mode_find(argv[1])) == NULL) {
		fprintf(stderr,
		    "usage: forged_forwarder MODE CARRY-SOCKET SERVICE URL KEY "
		    "CERTIFICATE LINK-CA\n");
		return 2;
	}
	forger_open(&f, argv);
	if (pthread_create(&reader, NULL, carry_reader, &f) != 0)
		return 1;
	loop_run(f.loop);
	/* Threads are still at work on what would be freed. */
	_exit(f.status);
}
