/*
 * A forwarder and the service behind it, as the registrar's carry socket sees
 * them: frames read and written one by one, batches that are genuine unless a
 * test spoils them.
 */
#ifndef WAYBILL_TESTS_CARRY_LAB_H
#define WAYBILL_TESTS_CARRY_LAB_H

#include "tests/unit/registrar_lab.h"

#include <errno.h>
#include <sys/un.h>

#include "common/link/frame.h"

struct forwarder {
	struct reg_lab *g;
	const char *service;
	const struct signer *key; /* the service's */
	int fd;
	struct buf in;
	size_t taken;	/* octets at the front that `f` borrows from */
	struct frame f; /* the last one read */
	struct frame_hello hello;
	uint64_t hello_tag, pull_tag;
	uint8_t epoch[ENTRY_EPOCH_LEN]; /* of the service */
	uint64_t seq;			/* of the last batch made */
	bool asks;			/* ASKs are read, not passed over */
	unsigned credit;
};

static inline void
fwd_init(struct forwarder *w, struct reg_lab *g, const char *service,
    const struct signer *key)
{
	*w = (struct forwarder){
		.g = g, .service = service, .key = key, .fd = -1, .credit = 16
	};
	memset(w->epoch, 0x5e, sizeof(w->epoch));
}

static inline void
fwd_connect(struct forwarder *w)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	str_copy(a.sun_path, sizeof(a.sun_path), w->g->r.conf.carry.socket);
	w->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	client_limit(w->fd);
	assert_int_equal(connect(w->fd, (struct sockaddr *)&a, sizeof(a)), 0);
}

static inline void
fwd_close(struct forwarder *w)
{
	if (w->fd != -1)
		close(w->fd);
	w->fd = -1;
	frame_done(&w->f);
	memset(&w->f, 0, sizeof(w->f));
	buf_done(&w->in);
	w->taken = 0;
}

static inline void
fwd_write(struct forwarder *w, struct bytes b)
{
	assert_int_equal(send(w->fd, b.p, b.len, MSG_NOSIGNAL), (ssize_t)b.len);
}

static inline void
fwd_send(struct forwarder *w, struct buf *frame)
{
	struct buf out AUTO_BUF = { 0 };

	frame_wrap(buf_bytes(frame), &out);
	fwd_write(w, buf_bytes(&out));
	buf_reset(frame);
}

static inline enum frame_type
fwd_read(struct forwarder *w)
{
	struct err e = ERR_INIT;
	struct bytes frame;
	ssize_t n;
	int got;

	frame_done(&w->f);
	memset(&w->f, 0, sizeof(w->f));
	buf_drop(&w->in, w->taken);
	w->taken = 0;
	while ((got = frame_next(&w->in, &frame, &e)) == 0) {
		n = recv(w->fd, buf_grow(&w->in, 65536), 65536, 0);
		w->in.len -= 65536 - (n > 0 ? (size_t)n : 0);
		if (n == 0 || (n == -1 && errno == ECONNRESET))
			return 0;
		if (n == -1)
			fail_msg("no frame: %s", strerror(errno));
	}
	if (got == -1 || frame_parse(frame, &w->f, &e) == -1)
		fail_msg("%s", e.msg);
	w->taken = 4 + frame.len;
	return w->f.type;
}

/* The next frame; 0 if the registrar ended the connection. */
static inline enum frame_type
fwd_next(struct forwarder *w)
{
	enum frame_type got = fwd_read(w);

	while (got == FRAME_ASK && !w->asks)
		got = fwd_read(w);
	return got;
}

static inline void
fwd_expect(struct forwarder *w, enum frame_type want)
{
	enum frame_type got = fwd_next(w);

	if (got != want)
		fail_msg("%s, not %s", got == 0 ? "end" : frame_type_name(got),
		    frame_type_name(want));
	if (want == FRAME_PULL)
		w->pull_tag = w->f.tag;
}

static inline void
fwd_link(struct forwarder *w, bool up)
{
	struct buf out AUTO_BUF = { 0 };

	frame_link(up, w->service, &out);
	fwd_send(w, &out);
}

/* A HELLO came: by our registrar, about this service. */
static inline void
fwd_take_hello(struct forwarder *w)
{
	struct err e = ERR_INIT;

	w->hello_tag = w->f.tag;
	if (sign_check(w->g->l->registrar->cert, FRAME_HELLO_LABEL,
		w->f.u.hello.body, w->f.u.hello.sig, &e) == -1 ||
	    frame_hello_parse(w->f.u.hello.body, &w->hello, &e) == -1)
		fail_msg("%s", e.msg);
	assert_string_equal(w->hello.site, LAB_SITE);
	assert_string_equal(w->hello.service, w->service);
	w->seq = w->hello.service_seq;
}

/* What a service would say to the last HELLO. */
static inline struct frame_hello
fwd_mirror(const struct forwarder *w)
{
	struct frame_hello h = w->hello;

	memcpy(h.service_epoch, w->epoch, sizeof(h.service_epoch));
	h.service_seq = w->seq;
	h.credit = w->credit;
	h.time = clock_now().time;
	return h;
}

static inline void
fwd_welcome(struct forwarder *w, struct frame_hello *h, uint64_t tag,
    const struct signer *by)
{
	struct buf out AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	if (frame_hello(FRAME_WELCOME, tag, h, by, &out, &e) == -1)
		fail_msg("%s", e.msg);
	fwd_send(w, &out);
}

/*
 * The link goes down and up again: whatever was sent before has been worked off
 * when the HELLO comes, since frames are taken one after the other.
 */
static inline void
fwd_settle(struct forwarder *w)
{
	enum frame_type got;

	fwd_link(w, false);
	fwd_link(w, true);
	while ((got = fwd_next(w)) != FRAME_HELLO)
		if (got == 0)
			fail_msg("the registrar hung up");
	fwd_take_hello(w);
}

/* From HELLO to the first PULL. */
static inline void
fwd_greet(struct forwarder *w)
{
	struct frame_hello h = fwd_mirror(w);

	fwd_welcome(w, &h, w->hello_tag, w->key);
	fwd_expect(w, FRAME_PULL);
}

static inline void
fwd_ready(struct forwarder *w)
{
	fwd_connect(w);
	fwd_link(w, true);
	fwd_expect(w, FRAME_HELLO);
	fwd_take_hello(w);
	fwd_greet(w);
}

/* Nothing came but the HELLO of a link that is up again. */
static inline void
fwd_silence(struct forwarder *w)
{
	fwd_link(w, false);
	fwd_link(w, true);
	fwd_expect(w, FRAME_HELLO);
	fwd_take_hello(w);
}

/* ---- batches ----------------------------------------------------------- */

/* One item, and the octets that go with it. */
struct fwd_batch {
	struct batch b;
	struct batch_item item;
	struct bytes answer;
	const struct signer *by;
};

static inline struct fwd_batch
fwd_batch(
    struct forwarder *w, uint64_t id, enum batch_code code, struct bytes answer)
{
	struct fwd_batch x = { .answer = answer, .by = w->key };

	str_copy(x.b.service, sizeof(x.b.service), w->service);
	memcpy(x.b.service_epoch, w->epoch, ENTRY_EPOCH_LEN);
	str_copy(x.b.site, sizeof(x.b.site), LAB_SITE);
	memcpy(x.b.site_epoch, outbox_epoch(w->g->r.outbox), ENTRY_EPOCH_LEN);
	x.b.seq = ++w->seq;
	x.b.time = clock_now().time;
	x.b.n = 1;
	x.item.id = id;
	x.item.code = code;
	x.item.digest = reg_entry(w->g, id).digest;
	x.item.has_answer = answer.len > 0;
	if (answer.len > 0)
		x.item.answer = digest_of(answer.p, answer.len);
	return x;
}

static inline void
fwd_send_batch(struct forwarder *w, enum frame_type type, uint64_t tag,
    struct fwd_batch *x)
{
	struct buf out AUTO_BUF = { 0 }, text AUTO_BUF = { 0 };
	struct buf sig AUTO_BUF = { 0 };
	struct frame_batch fb = { .n = 1, .answers = &x->answer };
	struct err e = ERR_INIT;

	x->b.items = &x->item;
	if (batch_sign(&x->b, x->by, &text, &sig, &e) == -1)
		fail_msg("%s", e.msg);
	fb.batch = buf_bytes(&text);
	fb.sig = buf_bytes(&sig);
	frame_answers(type, tag, &fb, 1, &out);
	fwd_send(w, &out);
}

/* The receipt for the PUT that was read last. */
static inline void
fwd_stored(struct forwarder *w, uint64_t id)
{
	struct fwd_batch x = fwd_batch(w, id, BATCH_STORED, bytes_of(NULL, 0));

	fwd_send_batch(w, FRAME_STORED, w->f.tag, &x);
	reg_await(w->g, id, ENTRY_CUSTODY);
}

static inline void
fwd_answer(
    struct forwarder *w, uint64_t id, enum batch_code code, struct bytes answer)
{
	struct fwd_batch x = fwd_batch(w, id, code, answer);

	fwd_send_batch(w, FRAME_ANSWERS, w->pull_tag, &x);
}

/* The header of the PUT that was read last. */
static inline struct entry_header
fwd_header(const struct forwarder *w)
{
	struct entry_header h = { 0 };
	struct err e = ERR_INIT;

	if (sign_check(w->g->l->registrar->cert, ENTRY_LABEL, w->f.u.put.header,
		w->f.u.put.sig, &e) == -1 ||
	    entry_header_parse(w->f.u.put.header, &h, &e) == -1)
		fail_msg("%s", e.msg);
	return h;
}

/* The next PUT, and its receipt: the entry's id. */
static inline uint64_t
fwd_custody(struct forwarder *w)
{
	uint64_t id;

	fwd_expect(w, FRAME_PUT);
	id = fwd_header(w).id;
	fwd_stored(w, id);
	return id;
}

/* An ir of the device for profile `name`, which makes it a device of its own
 * to the outbox.  Answered "waiting" at once: no link is up, or hold is 0. */
static inline struct cmp_msg *
fwd_enrol(struct reg_lab *g, const char *name, struct buf *request)
{
	struct lab_ask ask = { .cn = "dev" };
	struct cmp_msg *m;
	char path[64];

	snprintf(path, sizeof(path), REG_CMP "/p/%s", name);
	lab_request(g->l, &ask, request);
	m = reg_cmp_at(g, g->l->device, path, request);
	reg_expect_waiting(m, CMP_IP, 0);
	return m;
}

static inline void
fwd_enrol_only(struct reg_lab *g, const char *name)
{
	struct buf request AUTO_BUF = { 0 };

	cmp_free(fwd_enrol(g, name, &request));
}

/* ---- answers to CMP ---------------------------------------------------- */

/* Genuine if all is left as fwd_issue finds it. */
struct fwd_issue {
	const struct signer *by; /* NULL: the service */
	enum cmp_body type;	 /* 0: as asked */
	EVP_PKEY *key;		 /* NULL: as asked */
	const struct lab_ca *ca; /* NULL: the domain's */
	X509 *ca_pub;		 /* NULL: none */
	long id_off;		 /* added to certReqId */
	bool spoil_tid, spoil_nonce;
	bool implicit, refuse;
	X509 *cert; /* out: what was issued; owned */
};

static inline void
fwd_issue_body(struct lab *l, const struct cmp_msg *req, struct fwd_issue *x,
    struct buf *body)
{
	struct lab_want w = { .cn = "WB-0001", .serial = "WB-0001" };
	enum cmp_body type =
	    x->type != 0 ? x->type : cmp_response_to(cmp_body(req));
	long id = (cmp_body(req) == CMP_P10CR ? -1 : 0) + x->id_off;

	if (x->refuse) {
		cmp_body_rejection(cmp_body(req), id, CMP_NOT_AUTHORIZED,
		    "not in the plan", body);
		return;
	}
	x->cert = lab_cert(&w, x->key != NULL ? x->key : l->key,
	    x->ca != NULL ? x->ca : &l->ca);
	cmp_body_issued(type, id, x->cert, x->ca_pub, body);
}

static inline void
fwd_issue(struct forwarder *w, const struct buf *request, struct fwd_issue *x,
    struct buf *out)
{
	AUTO(cmp_msg) req = lab_parse(buf_bytes(request));
	struct buf body AUTO_BUF = { 0 };
	struct cmp_head h = { 0 };
	struct err e = ERR_INIT;
	uint8_t tid[CMP_TID_LEN], nonce[16];

	fwd_issue_body(w->g->l, req, x, &body);
	cmp_head_reply(req, &h);
	memcpy(tid, h.transaction_id.p, sizeof(tid));
	memcpy(nonce, h.recip_nonce.p, sizeof(nonce));
	tid[0] ^= x->spoil_tid;
	nonce[0] ^= x->spoil_nonce;
	h.transaction_id = bytes_of(tid, sizeof(tid));
	h.recip_nonce = bytes_of(nonce, sizeof(nonce));
	h.implicit_confirm = x->implicit;
	if (cmp_build(&h, buf_bytes(&body), x->by != NULL ? x->by : w->key,
		NULL, out, &e) == -1)
		fail_msg("%s", e.msg);
}

#endif
