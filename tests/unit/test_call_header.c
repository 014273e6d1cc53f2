/* RFC 9483 3.5 at the registrar: each fault of a header, a protection or its
 * certificates has its own failInfo, as an error, and leaves nothing. */
#include "tests/unit/registrar_lab.h"

/* One fault.  Octets are exchanged for others of their length; what is signed
 * again is right but for that. */
struct fault {
	const char *what;
	struct bytes from, to; /* first place in the message, or empty */
	struct cmp_head head;
	bool mine; /* head is used */
	uint32_t fail;
	const char *reason;
};

#define OCTETS(s) \
	{ \
		(const uint8_t *)(s), sizeof(s) - 1 \
	}
#define TID	     OCTETS("0123456789abcdef")
#define LONG	     OCTETS("0123456789abcdef0")
#define SHORT	     OCTETS("0123456789abcde")
/* AlgorithmIdentifiers of eight octets' OIDs. */
#define ECDSA_SHA256 OCTETS("\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02")
#define HMAC_SHA256  OCTETS("\x06\x08\x2a\x86\x48\x86\xf7\x0d\x02\x09")
#define MD5_HASH     OCTETS("\x06\x08\x2a\x86\x48\x86\xf7\x0d\x02\x05")

static const struct fault faults[] = {
	{ .what = "pvno 1",
	    .from = OCTETS("\x02\x01\x02\xa4"),
	    .to = OCTETS("\x02\x01\x01\xa4"),
	    .fail = CMP_UNSUPPORTED_VERSION,
	    .reason = "pvno 1" },
	{ .what = "pvno 4",
	    .from = OCTETS("\x02\x01\x02\xa4"),
	    .to = OCTETS("\x02\x01\x04\xa4"),
	    .fail = CMP_UNSUPPORTED_VERSION,
	    .reason = "pvno 4" },
	{ .what = "transactionID too short",
	    .mine = true,
	    .head = { .transaction_id = SHORT },
	    .fail = CMP_BAD_DATA_FORMAT,
	    .reason = "transactionID" },
	{ .what = "transactionID too long",
	    .mine = true,
	    .head = { .transaction_id = LONG },
	    .fail = CMP_BAD_DATA_FORMAT,
	    .reason = "transactionID" },
	{ .what = "senderNonce too short",
	    .mine = true,
	    .head = { .transaction_id = TID, .sender_nonce = SHORT },
	    .fail = CMP_BAD_SENDER_NONCE,
	    .reason = "senderNonce" },
	{ .what = "recipNonce in a first message",
	    .mine = true,
	    .head = { .transaction_id = TID, .recip_nonce = TID },
	    .fail = CMP_BAD_RECIPIENT_NONCE,
	    .reason = "recipNonce" },
	{ .what = "an algorithm that signs nothing",
	    .from = ECDSA_SHA256,
	    .to = MD5_HASH,
	    .fail = CMP_BAD_ALG,
	    .reason = "is not accepted" },
	{ .what = "a MAC",
	    .from = ECDSA_SHA256,
	    .to = HMAC_SHA256,
	    .fail = CMP_WRONG_INTEGRITY,
	    .reason = "MAC" },
};

static void
exchange(struct buf *b, struct bytes from, struct bytes to)
{
	uint8_t *p = memmem(b->data, b->len, from.p, from.len);

	if (p == NULL)
		fail_msg("it does not stand in it");
	assert_int_equal(from.len, to.len);
	memcpy(p, to.p, to.len);
}

static void
ir(struct reg_lab *g, const struct cmp_head *h, struct buf *out)
{
	AUTO(X509_NAME) name = issue_name("dev", NULL, NULL);
	struct buf body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	if (cmp_body_certreq(CMP_IR, g->l->key, name, &body, &e) == -1 ||
	    cmp_build(h, buf_bytes(&body), g->l->device, NULL, out, &e) == -1)
		fail_msg("%s", e.msg);
}

static struct cmp_msg *
ask(struct reg_lab *g, const struct buf *request)
{
	struct reg_http h = { .client = g->l->device,
		.path = REG_CMP,
		.type = REG_CMP_TYPE,
		.body = buf_bytes(request) };
	struct reg_reply p AUTO_REPLY = { 0 };

	reg_http(g, &h, &p);
	if (p.status != 200)
		fail_msg("%s", buf_cstr(&p.text));
	return lab_parse(p.body);
}

static void
each_fault_has_its_fail_info(void **state)
{
	struct reg_lab *g = *state;
	const struct cmp_head plain = { .transaction_id = TID };

	reg_start(g, NULL);
	for (size_t i = 0; i < NELEMS(faults); i++) {
		const struct fault *f = &faults[i];
		struct buf request AUTO_BUF = { 0 };

		ir(g, f->mine ? &f->head : &plain, &request);
		if (f->from.len > 0)
			exchange(&request, f->from, f->to);
		AUTO(cmp_msg) m = ask(g, &request);
		reg_expect_refused(f->what, m, CMP_ERROR, f->fail, f->reason);
		assert_int_equal(reg_next_id(g), 1);
	}
	assert_int_equal(reg_logged(g, "event=cmp.refused"), NELEMS(faults));
}

/* RFC 9810 5.1.1: a header that is there, and malformed, is answered in words
 * of CMP, which repeat what a client knows its transaction by. */
static void
what_cannot_be_read_is_told_so(void **state)
{
	static const uint8_t octets[2 * CMP_NONCE_MAX];
	const struct cmp_head plain = { .transaction_id = TID };
	const struct cmp_head wide = { .transaction_id = {
					   octets, sizeof(octets) } };
	const struct {
		const char *what;
		const struct cmp_head *head;
		struct bytes from, to;
		const char *reason;
	} cases[] = {
		{ "transactionID", &wide, OCTETS(""), OCTETS(""), "over" },
		/* The header's field 6 becomes another 4. */
		{ "order", &plain, OCTETS("\xa5\x12\x04\x10"),
		    OCTETS("\xa3\x12\x04\x10"), "out of order" },
		{ "body", &plain, OCTETS("\xa0\x81"), OCTETS("\xbb\x81"),
		    "body tag" },
	};
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct reg_http h = { .client = g->l->device,
			.path = REG_CMP,
			.type = REG_CMP_TYPE };
		struct reg_reply p AUTO_REPLY = { 0 };
		struct buf request AUTO_BUF = { 0 };
		struct bytes tid = cases[i].head->transaction_id;

		ir(g, cases[i].head, &request);
		if (cases[i].from.len > 0)
			exchange(&request, cases[i].from, cases[i].to);
		h.body = buf_bytes(&request);
		reg_http(g, &h, &p);
		assert_int_equal(p.status, 200);
		reg_oracle(g->l, p.body);
		assert_non_null(memmem(p.body.p, p.body.len, tid.p, tid.len));
		if (tid.len == CMP_TID_LEN) {
			AUTO(cmp_msg) m = lab_parse(p.body);

			reg_expect_refused(cases[i].what, m, CMP_ERROR,
			    CMP_BAD_DATA_FORMAT, cases[i].reason);
		}
		assert_int_equal(reg_next_id(g), 1);
	}
	assert_int_equal(reg_logged(g, "event=cmp.refused"), NELEMS(cases));
}

/* Without protection, and without what could be one. */
static void
protection_is_there(void **state)
{
	struct reg_lab *g = *state;
	const struct cmp_head plain = { .transaction_id = TID };
	struct buf request AUTO_BUF = { 0 };
	const uint8_t *p, *end;
	int tag, class;
	long len;

	reg_start(g, NULL);
	ir(g, &plain, &request);
	/* header and body alone: what is left of the SEQUENCE goes */
	p = request.data;
	end = request.data + request.len;
	ASN1_get_object(&p, &len, &tag, &class, request.len);
	for (int i = 0; i < 2; i++) {
		ASN1_get_object(&p, &len, &tag, &class, end - p);
		p += len;
	}
	request.len = (size_t)(p - request.data);
	/* 30 82 LL LL */
	assert_int_equal(request.data[1], 0x82);
	request.data[2] = (uint8_t)((request.len - 4) >> 8);
	request.data[3] = (uint8_t)(request.len - 4);
	AUTO(cmp_msg) m = ask(g, &request);
	reg_expect_refused("unprotected", m, CMP_ERROR, CMP_BAD_MESSAGE_CHECK,
	    "without protection");
	assert_int_equal(reg_next_id(g), 1);
}

/* The sender is who signed: RFC 9483 3.1, 3.3. */
static void
the_signers_certificate_is_found_or_not(void **state)
{
	struct reg_lab *g = *state;
	struct lab_want w = { .cn = "another", .serial = "WB-0001" };
	AUTO(signer) named = lab_signer(&w, &g->l->vendor_sub);
	/* Its own key, another's certificate: that is what is named. */
	AUTO(signer) liar =
	    signer_new(g->l->device->key, named->cert, g->l->device->chain);
	struct lab_ask ask_as = { .cn = "dev", .device = liar };
	struct buf request AUTO_BUF = { 0 };

	reg_start(g, NULL);
	lab_request(g->l, &ask_as, &request);
	AUTO(cmp_msg) m = ask(g, &request);
	/* The TLS client is another, which is told first. */
	reg_expect_refused("other", m, CMP_ERROR, CMP_NOT_AUTHORIZED, "differ");
	AUTO(cmp_msg) n = reg_cmp(g, named, &request);
	reg_expect_refused("key", n, CMP_ERROR, CMP_BAD_MESSAGE_CHECK, "");
	assert_int_equal(reg_next_id(g), 1);
}

/* A sender that no certificate in sight has. */
static void
a_sender_needs_a_certificate(void **state)
{
	struct reg_lab *g = *state;
	const struct cmp_head plain = { .transaction_id = TID };
	struct buf request AUTO_BUF = { 0 };

	reg_start(g, NULL);
	ir(g, &plain, &request);
	/* The first "device" is the sender's common name. */
	exchange(&request, (struct bytes)OCTETS("device"),
	    (struct bytes)OCTETS("devicf"));
	AUTO(cmp_msg) m = ask(g, &request);
	reg_expect_refused("sender", m, CMP_ERROR, CMP_SIGNER_NOT_TRUSTED,
	    "no certificate fits");
	assert_int_equal(reg_next_id(g), 1);
}

/* RFC 9483 3.5, local policy: what is stored for weeks has no fresh time. */
static void
the_time_of_a_message_is_not_judged(void **state)
{
	struct reg_lab *g = *state;
	const struct cmp_head old = { .transaction_id = TID,
		.message_time = 1000000000 };
	struct buf request AUTO_BUF = { 0 };

	reg_start(g, NULL);
	ir(g, &old, &request);
	AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &request);
	reg_expect_waiting(m, CMP_IP, 0);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, reg_lab_setup, reg_lab_teardown)
	const struct CMUnitTest tests[] = {
		T(each_fault_has_its_fail_info),
		T(what_cannot_be_read_is_told_so),
		T(protection_is_there),
		T(the_signers_certificate_is_found_or_not),
		T(a_sender_needs_a_certificate),
		T(the_time_of_a_message_is_not_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
