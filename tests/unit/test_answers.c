/* Answers of the service: which are believed, and how the device gets them. */
#include "tests/unit/fwd_lab.h"

#include "registrar/call_int.h"

/* The device's request, answered "waiting" and in custody as entry 1. */
static struct cmp_msg *
enrol(struct reg_lab *g, enum cmp_body type, struct buf *request)
{
	struct lab_ask ask = { .type = type, .cn = "dev" };
	struct cmp_msg *m;

	lab_request(g->l, &ask, request);
	m = reg_cmp(g, g->l->device, request);
	fwd_ready(&fwd);
	assert_int_equal(fwd_custody(&fwd), 1);
	return m;
}

/* The service's answer to entry 1, committed. */
static void
answer(struct reg_lab *g, const struct buf *request, struct fwd_issue *x,
    struct buf *octets)
{
	fwd_issue(&fwd, request, x, octets);
	fwd_answer(&fwd, 1, x->refuse ? BATCH_REFUSED : BATCH_ANSWERED,
	    buf_bytes(octets));
	fwd_expect(&fwd, FRAME_GOT);
	reg_await(g, 1, ENTRY_ANSWERED);
	fwd_expect(&fwd, FRAME_PULL);
}

/* ---- forged ones ------------------------------------------------------- */

enum spoil {
	SPOIL_NOTHING,
	BATCH_KEY,     /* signed by another service of the domain */
	BATCH_SERVICE, /* in the name of another */
	BATCH_SITE,
	BATCH_EPOCH,
	BATCH_DIGEST, /* about other octets of the device */
	BATCH_ENTRY,  /* about an entry that is not there */
	BATCH_OCTETS, /* the answer was exchanged on the way */
	BATCH_EMPTY,  /* or taken away */
	ANSWER_JUNK,
	ANSWER_DEVICE,	  /* protected by the device */
	ANSWER_REGISTRAR, /* by a member of the domain, no service */
	ANSWER_SERVICE,	  /* by another service */
	ANSWER_STRANGER,  /* by who calls himself the service */
	ANSWER_NO_RA,	  /* as the service, by a certificate without cmcRA */
	ANSWER_TID,
	ANSWER_NONCE,
	ANSWER_TYPE,
	ANSWER_ID,
	ANSWER_KEY,
	ANSWER_CA,
	ANSWER_ANCHOR,
	ANSWER_BIT
};

static const struct {
	enum spoil what;
	const char *event, *reason;
} forgeries[] = {
	{ BATCH_KEY, "event=carry.forged", "signature" },
	{ BATCH_SERVICE, "event=carry.forged", "of service masa" },
	{ BATCH_SITE, "event=carry.forged", "another site or epoch (paris)" },
	{ BATCH_EPOCH, "event=carry.forged", "another site or epoch" },
	{ BATCH_DIGEST, "event=outbox.batch", "digest differs" },
	{ BATCH_ENTRY, "event=link.bad-answer", "no entry 99" },
	{ BATCH_OCTETS, "event=carry.forged", "not those that were signed" },
	{ BATCH_EMPTY, "event=carry.forged", "not those that were signed" },
	{ ANSWER_JUNK, "event=link.bad-answer", "cmp" },
	{ ANSWER_DEVICE, "event=link.bad-answer", "CN=Acme devices" },
	{ ANSWER_REGISTRAR, "event=link.bad-answer", "0 SANs" },
	{ ANSWER_SERVICE, "event=link.bad-answer", "signed by service masa" },
	{ ANSWER_STRANGER, "event=link.bad-answer", "CN=Nobody" },
	{ ANSWER_NO_RA, "event=link.bad-answer", "service ra, or without" },
	{ ANSWER_TID, "event=link.bad-answer", "another transactionID" },
	{ ANSWER_NONCE, "event=link.bad-answer", "recipNonce" },
	{ ANSWER_TYPE, "event=link.bad-answer", "cp to ir" },
	{ ANSWER_ID, "event=link.bad-answer", "certReqId 1" },
	{ ANSWER_KEY, "event=link.bad-answer", "not for the key" },
	{ ANSWER_CA, "event=link.bad-answer",
	    "certificate serialNumber=WB-0001" },
	{ ANSWER_ANCHOR, "event=link.bad-answer", "caPubs" },
	{ ANSWER_BIT, "event=link.bad-answer", "protection does not hold" },
};

static void
forge_answer(struct reg_lab *g, enum spoil what, const struct buf *request,
    struct buf *out)
{
	struct lab_want w = { .cn = "ra",
		.san = "URI:urn:waybill:service:ra",
		.eku = LAB_CMCRA };
	AUTO(signer) fake = lab_signer(&w, &g->l->stranger);
	AUTO(signer) no_ra = lab_registrar(g->l, w.san, NULL);
	AUTO(EVP_PKEY) other = ossl_new_key_p256();
	struct fwd_issue x = {
		.by = what == ANSWER_DEVICE    ? g->l->device
		    : what == ANSWER_REGISTRAR ? g->l->registrar
		    : what == ANSWER_SERVICE   ? g->masa_service
		    : what == ANSWER_STRANGER  ? fake
		    : what == ANSWER_NO_RA     ? no_ra
					       : NULL,
		.type = what == ANSWER_TYPE ? CMP_CP : 0,
		.key = what == ANSWER_KEY ? other : NULL,
		.ca = what == ANSWER_CA ? &g->l->stranger : NULL,
		.ca_pub = what == ANSWER_ANCHOR ? g->l->stranger.cert : NULL,
		.id_off = what == ANSWER_ID,
		.spoil_tid = what == ANSWER_TID,
		.spoil_nonce = what == ANSWER_NONCE,
	};

	fwd_issue(&fwd, request, &x, out);
	if (what == ANSWER_JUNK)
		out->len--;
	if (what == ANSWER_BIT) {
		AUTO(cmp_msg) m = lab_parse(buf_bytes(out));
		struct bytes n = cmp_sender_nonce(m);
		uint8_t *p = memmem(out->data, out->len, n.p, n.len);

		p[0] ^= 1;
	}
	X509_free(x.cert);
}

static void
forge(struct reg_lab *g, enum spoil what, const struct buf *request)
{
	struct buf octets AUTO_BUF = { 0 };
	struct fwd_batch x;

	forge_answer(g, what, request, &octets);
	x = fwd_batch(&fwd, 1, BATCH_ANSWERED, buf_bytes(&octets));
	x.b.site_epoch[0] ^= what == BATCH_EPOCH;
	x.item.digest.b[0] ^= what == BATCH_DIGEST;
	if (what == BATCH_KEY)
		x.by = g->masa_service;
	if (what == BATCH_SERVICE)
		str_copy(x.b.service, sizeof(x.b.service), "masa");
	if (what == BATCH_SITE)
		str_copy(x.b.site, sizeof(x.b.site), "paris");
	if (what == BATCH_ENTRY)
		x.item.id = 99;
	if (what == BATCH_OCTETS)
		octets.data[octets.len - 1] ^= 1;
	if (what == BATCH_EMPTY)
		x.answer = bytes_of(NULL, 0);
	fwd_send_batch(&fwd, FRAME_ANSWERS, fwd.pull_tag, &x);
}

static void
forged_answers_change_nothing(void **state)
{
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
	struct fwd_issue genuine = { 0 };

	reg_start(g, NULL);
	AUTO(cmp_msg) waiting = enrol(g, CMP_IR, &request);
	reg_expect_waiting(waiting, CMP_IP, 0);
	for (size_t i = 0; i < NELEMS(forgeries); i++) {
		unsigned said = reg_logged(g, forgeries[i].event);
		unsigned why = reg_logged(g, forgeries[i].reason);

		forge(g, forgeries[i].what, &request);
		fwd_settle(&fwd);
		if (reg_logged(g, forgeries[i].event) != said + 1 ||
		    reg_logged(g, forgeries[i].reason) != why + 1)
			fail_msg("forgery %d: no alarm", forgeries[i].what);
		if (reg_entry(g, 1).state != ENTRY_CUSTODY ||
		    reg_entry(g, 1).answer_value != 0)
			fail_msg("forgery %d is believed", forgeries[i].what);
		fwd_greet(&fwd);
	}
	answer(g, &request, &genuine, &octets);
	assert_int_equal(reg_entry(g, 1).answer_code, BATCH_ANSWERED);
	X509_free(genuine.cert);
}

/* What was exchanged on the way must not make the true batch look seen; what
 * the service itself got wrong is its batch nevertheless. */
static void
a_forged_batch_does_not_count_as_seen(void **state)
{
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 };

	reg_start(g, NULL);
	AUTO(cmp_msg) waiting = enrol(g, CMP_IR, &request);
	forge(g, BATCH_OCTETS, &request);
	fwd_settle(&fwd);
	assert_int_equal(fwd.hello.service_seq, 1);
	fwd_greet(&fwd);
	forge(g, ANSWER_NONCE, &request);
	fwd_settle(&fwd);
	assert_int_equal(fwd.hello.service_seq, 2);
}

/* One receipt is forged, the other is not: each stands for itself. */
static void
a_receipt_is_of_the_service_alone(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 };
	struct fwd_batch x;

	reg_start(g, NULL);
	lab_request(g->l, &ask, &request);
	AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &request);
	fwd_ready(&fwd);
	fwd_expect(&fwd, FRAME_PUT);
	x = fwd_batch(&fwd, 1, BATCH_STORED, bytes_of(NULL, 0));
	x.by = g->masa_service;
	fwd_send_batch(&fwd, FRAME_STORED, fwd.f.tag, &x);
	fwd_settle(&fwd);
	assert_int_equal(reg_logged(g, "event=carry.forged"), 1);
	assert_int_equal(reg_entry(g, 1).state, ENTRY_INFLIGHT);
	fwd_greet(&fwd);
	assert_int_equal(fwd_custody(&fwd), 1);
}

/* Receipts need not wait for each other's commit; the answer behind them waits
 * for theirs. */
static void
receipts_come_together(void **state)
{
	static const char *const names[] = { "a", "b", "c" };
	struct reg_lab *g = *state;
	struct outbox_peer ra;
	struct err e = ERR_INIT;
	uint64_t tags[NELEMS(names)], id;
	struct fwd_batch x;

	reg_start(g, NULL);
	for (size_t i = 0; i < NELEMS(names); i++)
		fwd_enrol_only(g, names[i]);
	fwd_ready(&fwd);
	for (size_t i = 0; i < NELEMS(names); i++) {
		fwd_expect(&fwd, FRAME_PUT);
		assert_int_equal(fwd_header(&fwd).id, i + 1);
		tags[i] = fwd.f.tag;
	}
	for (id = 1; id <= NELEMS(names); id++) {
		x = fwd_batch(&fwd, id, BATCH_STORED, bytes_of(NULL, 0));
		fwd_send_batch(&fwd, FRAME_STORED, tags[id - 1], &x);
	}
	fwd_answer(&fwd, 2, BATCH_REFUSED, bytes_of(NULL, 0));
	fwd_expect(&fwd, FRAME_GOT);
	assert_int_equal(reg_entry(g, 1).state, ENTRY_CUSTODY);
	assert_int_equal(reg_entry(g, 2).state, ENTRY_REFUSED);
	assert_int_equal(reg_entry(g, 3).state, ENTRY_CUSTODY);
	assert_int_equal(outbox_peer(g->r.outbox, "ra", &ra, &e), 0);
	assert_int_equal(ra.seq, 4);
	assert_int_equal(reg_logged(g, "event=carry.unsolicited"), 0);
}

/* ---- held requests ----------------------------------------------------- */

/* A request on its way, nobody waiting for the answer yet. */
struct asked {
	struct client c;
	struct buf request;
};

static void
ask(struct reg_lab *g, const struct buf *request, struct asked *a)
{
	struct reg_http h = { .path = REG_CMP,
		.type = REG_CMP_TYPE,
		.body = buf_bytes(request) };

	a->request = bytes_dup(buf_bytes(request));
	reg_dial(g, &a->c, g->l->device);
	reg_http_send(&a->c, &h);
}

/* Its answer, as it must be; by: whose protection. */
static struct cmp_msg *
told(struct reg_lab *g, struct asked *a, const struct signer *by,
    struct reg_reply *p)
{
	struct cmp_msg *m;

	reg_http_receive(&a->c, p);
	m = reg_cmp_read(g, by, buf_bytes(&a->request), p);
	client_close(&a->c);
	buf_done(&a->request);
	return m;
}

static const struct reg_want patient = { .cmp = "hold: 10s" };

/* An ir that is answered within the hold time, and by which octets. */
static struct cmp_msg *
enrol_at_once(struct reg_lab *g, struct fwd_issue *x, struct buf *octets)
{
	struct lab_ask want = { .cn = "dev", .no_implicit = true };
	struct buf request AUTO_BUF = { 0 };
	struct reg_reply p AUTO_REPLY = { 0 };
	struct asked a;
	struct cmp_msg *m;

	reg_start(g, &patient);
	fwd_ready(&fwd);
	lab_request(g->l, &want, &request);
	ask(g, &request, &a);
	assert_int_equal(fwd_custody(&fwd), 1);
	fwd_issue(&fwd, &request, x, octets);
	fwd_answer(&fwd, 1, BATCH_ANSWERED, buf_bytes(octets));
	m = told(g, &a, g->l->service, &p);
	assert_true(bytes_eq(p.body, buf_bytes(octets)));
	fwd_expect(&fwd, FRAME_GOT);
	fwd_expect(&fwd, FRAME_PULL);
	assert_string_equal(
	    reg_await(g, 1, ENTRY_DELIVERED).carrier, CALL_RELAYED);
	return m;
}

/* The service's pkiConf to the certConf with this id. */
static void
pkiconf(struct buf *confirm, uint64_t id)
{
	AUTO(cmp_msg) conf = lab_parse(buf_bytes(confirm));
	struct buf body AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };

	cmp_body_pkiconf(&body);
	reg_follow(conf, fwd.key, buf_bytes(&body), &out);
	fwd_answer(&fwd, id, BATCH_ANSWERED, buf_bytes(&out));
}

static void
an_answer_wakes_the_request_that_waits(void **state)
{
	struct reg_lab *g = *state;
	struct fwd_issue x = { 0 };
	struct buf octets AUTO_BUF = { 0 }, confirm AUTO_BUF = { 0 };
	struct reg_reply p AUTO_REPLY = { 0 };
	struct asked a;
	uint64_t began = clock_mono_ms(), id;

	AUTO(cmp_msg) ip = enrol_at_once(g, &x, &octets);
	assert_int_equal(cmp_body(ip), CMP_IP);
	/* The certConf goes the same way, and so does its pkiConf. */
	lab_certconf(g->l, ip, x.cert, true, &confirm);
	ask(g, &confirm, &a);
	id = fwd_custody(&fwd);
	assert_int_equal(reg_entry(g, id).step, 1);
	assert_int_equal(reg_entry(g, id).parent, 1);
	assert_int_equal(reg_entry(g, 1).state, ENTRY_CONFIRMED);
	pkiconf(&confirm, id);
	AUTO(cmp_msg) conf = told(g, &a, g->l->service, &p);
	assert_int_equal(cmp_body(conf), CMP_PKICONF);
	assert_true(clock_mono_ms() - began < 9000);
	X509_free(x.cert);
}

static void
nobody_waits_longer_than_the_hold_time(void **state)
{
	struct reg_lab *g = *state;
	struct reg_want want = { .cmp = "hold: 400ms" };
	struct lab_ask it = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 };
	uint64_t began;

	reg_start(g, &want);
	fwd_ready(&fwd);
	lab_request(g->l, &it, &request);
	began = clock_mono_ms();
	AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &request);
	reg_expect_waiting(m, CMP_IP, 0);
	assert_true(clock_mono_ms() - began >= 400);
	/* Link down: no answer can come, so nobody waits. */
	fwd_close(&fwd);
	while (atomic_load(&g->r.services[0].contact.up))
		poll(NULL, 0, 1);
	began = clock_mono_ms();
	AUTO(cmp_msg) n = reg_cmp(g, g->l->device, &request);
	reg_expect_waiting(n, CMP_IP, 0);
	assert_true(clock_mono_ms() - began < 400);
}

/* The registrar ends while somebody waits: nothing is lost but the connection. */
static void
a_request_that_waits_outlives_the_registrar(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask it = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 };
	struct asked a;

	reg_start(g, &patient);
	fwd_ready(&fwd);
	lab_request(g->l, &it, &request);
	ask(g, &request, &a);
	assert_int_equal(fwd_custody(&fwd), 1);
	reg_stop(g);
	client_close(&a.c);
	buf_done(&a.request);
	fwd_close(&fwd);
	reg_start(g, NULL);
	assert_int_equal(reg_entry(g, 1).state, ENTRY_CUSTODY);
	AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &request);
	reg_expect_waiting(m, CMP_IP, 0);
}

static void
a_client_that_leaves_finds_its_answer_later(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask it = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
	struct reg_reply p AUTO_REPLY = { 0 };
	struct fwd_issue x = { 0 };
	struct asked a;

	reg_start(g, &patient);
	fwd_ready(&fwd);
	lab_request(g->l, &it, &request);
	ask(g, &request, &a);
	assert_int_equal(fwd_custody(&fwd), 1);
	client_close(&a.c);
	buf_done(&a.request);
	answer(g, &request, &x, &octets);
	ask(g, &request, &a);
	AUTO(cmp_msg) ip = told(g, &a, g->l->service, &p);
	assert_int_equal(cmp_body(ip), CMP_IP);
	X509_free(x.cert);
}

/* ---- after polling ----------------------------------------------------- */

static struct cmp_msg *
poll_once(struct reg_lab *g, const struct cmp_msg *last, long id)
{
	struct buf request AUTO_BUF = { 0 };

	reg_pollreq(last, g->l->device, id, &request);
	return reg_cmp(g, g->l->device, &request);
}

static void
final_after_polling(struct reg_lab *g, enum cmp_body type, long id)
{
	struct buf request AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
	struct fwd_issue x = { .ca_pub = g->l->root.cert };
	struct cmp_response rsp = { 0 };
	struct err e = ERR_INIT;

	reg_start(g, NULL);
	AUTO(cmp_msg) waiting = enrol(g, type, &request);
	answer(g, &request, &x, &octets);
	/* poll_once: under our certificate, to this very poll. */
	AUTO(cmp_msg) m = poll_once(g, waiting, id);
	AUTO(cmp_msg) theirs = lab_parse(buf_bytes(&octets));
	assert_int_equal(cmp_body(m), cmp_response_to(type));
	assert_true(bytes_eq(cmp_sender_nonce(m), cmp_sender_nonce(theirs)));
	assert_int_equal(cmp_read_response(m, &rsp, &e), 0);
	assert_int_equal(rsp.id, id);
	assert_int_equal(X509_cmp(rsp.cert, x.cert), 0);
	cmp_response_done(&rsp);
	X509_free(x.cert);
	assert_string_equal(
	    reg_await(g, 1, ENTRY_DELIVERED).carrier, CALL_REPROTECTED);
}

static void
an_ip_after_polling_is_under_our_protection(void **state)
{
	final_after_polling(*state, CMP_IR, 0);
}

static void
a_cp_after_polling_is_under_our_protection(void **state)
{
	final_after_polling(*state, CMP_P10CR, -1);
}

static void
finals_may_be_relayed_as_they_are(void **state)
{
	struct reg_lab *g = *state;
	struct reg_want want = { .cmp = "hold: 0s, final: relay" };
	struct buf request AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
	struct buf poll_octets AUTO_BUF = { 0 };
	struct reg_reply p AUTO_REPLY = { 0 };
	struct fwd_issue x = { 0 };
	struct reg_http h = {
		.client = g->l->device, .path = REG_CMP, .type = REG_CMP_TYPE
	};

	reg_start(g, &want);
	AUTO(cmp_msg) waiting = enrol(g, CMP_IR, &request);
	answer(g, &request, &x, &octets);
	reg_pollreq(waiting, g->l->device, 0, &poll_octets);
	h.body = buf_bytes(&poll_octets);
	reg_http(g, &h, &p);
	assert_true(bytes_eq(p.body, buf_bytes(&octets)));
	X509_free(x.cert);
}

static void
implicit_confirmation_follows_the_last_octet(void **state)
{
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
	struct fwd_issue x = { .implicit = true };

	reg_start(g, NULL);
	AUTO(cmp_msg) waiting = enrol(g, CMP_IR, &request);
	answer(g, &request, &x, &octets);
	AUTO(cmp_msg) m = poll_once(g, waiting, 0);
	assert_int_equal(cmp_body(m), CMP_IP);
	reg_await(g, 1, ENTRY_CONFIRMED);
	/* The answer stays, also for who asks again. */
	AUTO(cmp_msg) again = poll_once(g, waiting, 0);
	assert_int_equal(cmp_body(again), CMP_IP);
	X509_free(x.cert);
}

static void
a_refusal_is_an_answer(void **state)
{
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
	struct fwd_issue x = { .refuse = true };

	reg_start(g, NULL);
	AUTO(cmp_msg) waiting = enrol(g, CMP_P10CR, &request);
	answer(g, &request, &x, &octets);
	assert_int_equal(reg_entry(g, 1).answer_code, BATCH_REFUSED);
	AUTO(cmp_msg) m = poll_once(g, waiting, -1);
	reg_expect_refused(
	    "refusal", m, CMP_CP, CMP_NOT_AUTHORIZED, "not in the plan");
	reg_await(g, 1, ENTRY_CONFIRMED);
}

/* ---- certConf ---------------------------------------------------------- */

/* As entry 1: answered after a waiting, the final in the device's hands. */
static struct cmp_msg *
delivered(struct reg_lab *g, struct fwd_issue *x)
{
	struct buf request AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
	struct cmp_msg *m;

	reg_start(g, NULL);
	AUTO(cmp_msg) waiting = enrol(g, CMP_IR, &request);
	answer(g, &request, x, &octets);
	m = poll_once(g, waiting, 0);
	reg_await(g, 1, ENTRY_DELIVERED);
	return m;
}

static void
a_certconf_after_waiting_is_ours_to_confirm(void **state)
{
	struct reg_lab *g = *state;
	struct buf confirm AUTO_BUF = { 0 };
	struct fwd_issue x = { 0 };
	uint64_t next;

	AUTO(cmp_msg) ip = delivered(g, &x);
	next = reg_next_id(g);
	lab_certconf(g->l, ip, x.cert, true, &confirm);
	for (int again = 0; again < 2; again++) {
		AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &confirm);
		assert_int_equal(cmp_body(m), CMP_PKICONF);
		assert_int_equal(reg_next_id(g), next + 1);
	}
	assert_int_equal(reg_entry(g, 1).state, ENTRY_CONFIRMED);
	/* It travels on, as an entry of its own, and its answer ends it. */
	assert_int_equal(fwd_custody(&fwd), next);
	assert_int_equal(reg_entry(g, next).parent, 1);
	pkiconf(&confirm, next);
	fwd_expect(&fwd, FRAME_GOT);
	reg_await(g, next, ENTRY_CONFIRMED);
	X509_free(x.cert);
}

static void
a_device_may_reject_its_certificate(void **state)
{
	struct reg_lab *g = *state;
	struct buf confirm AUTO_BUF = { 0 };
	struct fwd_issue x = { 0 };

	AUTO(cmp_msg) ip = delivered(g, &x);
	lab_certconf(g->l, ip, x.cert, false, &confirm);
	AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &confirm);
	assert_int_equal(cmp_body(m), CMP_PKICONF);
	assert_string_equal(reg_entry(g, 1).reason, "no room");
	fwd_custody(&fwd);
	X509_free(x.cert);
}

static void
a_certconf_is_of_what_was_delivered(void **state)
{
	struct reg_lab *g = *state;
	struct buf confirm AUTO_BUF = { 0 }, body AUTO_BUF = { 0 };
	struct fwd_issue x = { 0 };
	struct cmp_head h = { 0 };
	struct err e = ERR_INIT;
	uint64_t next;
	uint8_t nonce[16] = "another nonce!!";

	AUTO(cmp_msg) ip = delivered(g, &x);
	next = reg_next_id(g);
	lab_certconf(g->l, ip, g->l->device->cert, true, &confirm);
	AUTO(cmp_msg) a = reg_cmp(g, g->l->device, &confirm);
	reg_expect_refused("hash", a, CMP_ERROR, CMP_BAD_CERT_ID, "");

	buf_reset(&confirm);
	cmp_head_reply(ip, &h);
	h.recip_nonce = bytes_of(nonce, sizeof(nonce));
	cmp_body_certconf(0, x.cert, true, NULL, &body);
	assert_int_equal(
	    cmp_build(&h, buf_bytes(&body), g->l->device, NULL, &confirm, &e),
	    0);
	AUTO(cmp_msg) b = reg_cmp(g, g->l->device, &confirm);
	reg_expect_refused(
	    "nonce", b, CMP_ERROR, CMP_BAD_RECIPIENT_NONCE, "recipNonce");

	buf_reset(&confirm);
	buf_reset(&body);
	cmp_body_certconf(1, x.cert, true, NULL, &body);
	reg_follow(ip, g->l->device, buf_bytes(&body), &confirm);
	AUTO(cmp_msg) c = reg_cmp(g, g->l->device, &confirm);
	reg_expect_refused("id", c, CMP_ERROR, CMP_BAD_REQUEST, "certReqId");

	/* Another device has no such transaction. */
	buf_reset(&confirm);
	buf_reset(&body);
	cmp_body_certconf(0, x.cert, true, NULL, &body);
	reg_follow(ip, g->sibling, buf_bytes(&body), &confirm);
	AUTO(cmp_msg) d = reg_cmp(g, g->sibling, &confirm);
	reg_expect_refused(
	    "sibling", d, CMP_ERROR, CMP_BAD_REQUEST, "to be confirmed");
	assert_int_equal(reg_entry(g, 1).state, ENTRY_DELIVERED);
	assert_int_equal(reg_next_id(g), next);
	X509_free(x.cert);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(forged_answers_change_nothing),
		T(a_forged_batch_does_not_count_as_seen),
		T(a_receipt_is_of_the_service_alone),
		T(receipts_come_together),
		T(an_answer_wakes_the_request_that_waits),
		T(nobody_waits_longer_than_the_hold_time),
		T(a_request_that_waits_outlives_the_registrar),
		T(a_client_that_leaves_finds_its_answer_later),
		T(an_ip_after_polling_is_under_our_protection),
		T(a_cp_after_polling_is_under_our_protection),
		T(finals_may_be_relayed_as_they_are),
		T(implicit_confirmation_follows_the_last_octet),
		T(a_refusal_is_an_answer),
		T(a_certconf_after_waiting_is_ours_to_confirm),
		T(a_device_may_reject_its_certificate),
		T(a_certconf_is_of_what_was_delivered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
