/* What pledges meet, over TLS: CMP before any answer is there, polls. */
#include "front_lab.h"

/* ---- paths ------------------------------------------------------------- */

static void
cmp_is_served_under_its_labels(void **state)
{
	static const char *const labels[] = { "", "/initialization",
		"/certification", "/keyupdate", "/pkcs10", "/revocation",
		"/getcacerts", "/getrootupdate", "/getcertreqtemplate",
		"/getcrls", "/nested" };
	struct reg_lab *g = *state;
	struct reg_http h;
	char path[128];

	reg_start(g, NULL);
	for (size_t i = 0; i < 2 * NELEMS(labels); i++) {
		snprintf(path, sizeof(path), REG_CMP "%s%s",
		    i % 2 == 1 ? "/p/substation" : "", labels[i / 2]);
		h = (struct reg_http){ .path = path, .method = "GET" };
		expect_status(g, &h, 405);
		h.method = NULL;
		h.body = TEXT("no CMP");
		expect_status(g, &h, 415);
		h.type = REG_CMP_TYPE;
		expect_status(g, &h, 400);
	}
}

/* ---- requests ---------------------------------------------------------- */

static void
a_request_waits_and_its_repeat_adds_nothing(void **state)
{
	static const struct {
		enum cmp_body type, answer;
		long id;
	} cases[] = { { CMP_IR, CMP_IP, 0 }, { CMP_P10CR, CMP_CP, -1 } };
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct lab_ask ask = { .type = cases[i].type, .cn = "dev" };
		struct buf request AUTO_BUF = { 0 };
		struct outbox_entry en;

		lab_request(g->l, &ask, &request);
		for (int again = 0; again < 3; again++) {
			AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &request);

			reg_expect_waiting(m, cases[i].answer, cases[i].id);
			assert_int_equal(reg_next_id(g), i + 2);
		}
		en = reg_entry(g, i + 1);
		assert_int_equal(en.state, ENTRY_QUEUED);
		assert_string_equal(en.label, "WB-0001");
		assert_int_equal(en.received.quality, CLOCK_RTC);
		assert_int_equal(en.deadline, en.received.time + 30 * 86400);
	}
}

/* What is stored: the octets as they came, and one nested message of ours. */
static void
what_is_kept_is_what_came(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 };
	struct outbox_octets x = { 0 };
	struct bytes inner;
	struct err e = ERR_INIT;
	struct entry_header h;

	reg_start(g, NULL);
	lab_request(g->l, &ask, &request);
	AUTO(cmp_msg) m = reg_cmp_at(
	    g, g->l->device, REG_CMP "/p/substation/initialization", &request);
	reg_expect_waiting(m, CMP_IP, 0);
	assert_int_equal(outbox_octets(g->r.outbox, 1, &x, &e), 0);
	assert_true(bytes_eq(buf_bytes(&x.bytes), buf_bytes(&request)));
	AUTO(cmp_msg) nested = lab_parse(buf_bytes(&x.wrapped));
	assert_int_equal(cmp_verify(nested, g->l->registrar->cert, &e), 0);
	assert_int_equal(cmp_read_nested(nested, &inner, &e), 0);
	assert_true(bytes_eq(inner, buf_bytes(&request)));
	assert_string_equal(
	    facts_get(&x.facts, "profile")->value, "substation");
	assert_string_equal(facts_get(&x.facts, "vendor")->value, "acme");
	assert_int_equal(sign_check(g->l->registrar->cert, ENTRY_LABEL,
			     buf_bytes(&x.header), buf_bytes(&x.sig), &e),
	    0);
	assert_int_equal(entry_header_parse(buf_bytes(&x.header), &h, &e), 0);
	assert_string_equal(h.site, LAB_SITE);
	outbox_octets_done(&x);
}

static void
a_transaction_has_one_request(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev", .tid = "one transaction" };
	struct lab_ask elsewhere = ask;
	struct buf one AUTO_BUF = { 0 }, two AUTO_BUF = { 0 };
	struct buf other AUTO_BUF = { 0 };

	reg_start(g, NULL);
	elsewhere.device = g->sibling;
	lab_request(g->l, &ask, &one);
	lab_request(g->l, &ask, &two);
	lab_request(g->l, &elsewhere, &other);
	AUTO(cmp_msg) a = reg_cmp(g, g->l->device, &one);
	reg_expect_waiting(a, CMP_IP, 0);
	AUTO(cmp_msg) b = reg_cmp(g, g->l->device, &two);
	reg_expect_refused("other octets", b, CMP_ERROR,
	    CMP_TRANSACTION_ID_IN_USE, "transactionID");
	assert_int_equal(reg_next_id(g), 2);
	/* Another device has transactions of its own. */
	AUTO(cmp_msg) c = reg_cmp(g, g->sibling, &other);
	reg_expect_waiting(c, CMP_IP, 0);
	AUTO(cmp_msg) d = reg_cmp(g, g->l->device, &one);
	reg_expect_waiting(d, CMP_IP, 0);
}

static void
a_newer_request_ends_the_older_and_says_so(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .type = CMP_P10CR, .cn = "dev" };
	struct buf one AUTO_BUF = { 0 }, two AUTO_BUF = { 0 };
	struct buf poll AUTO_BUF = { 0 };

	reg_start(g, NULL);
	lab_request(g->l, &ask, &one);
	lab_request(g->l, &ask, &two);
	AUTO(cmp_msg) a = reg_cmp(g, g->l->device, &one);
	AUTO(cmp_msg) b = reg_cmp(g, g->l->device, &two);
	reg_expect_waiting(b, CMP_CP, -1);
	assert_int_equal(reg_entry(g, 1).state, ENTRY_WITHDRAWN);
	assert_int_equal(reg_entry(g, 1).replaced_by, 2);
	/* Rule 4: polls and repeats of the old one learn it. */
	reg_pollreq(a, g->l->device, -1, &poll);
	AUTO(cmp_msg) c = reg_cmp(g, g->l->device, &poll);
	reg_expect_refused("poll", c, CMP_CP, CMP_BAD_REQUEST, "superseded");
	AUTO(cmp_msg) d = reg_cmp(g, g->l->device, &one);
	reg_expect_refused("repeat", d, CMP_CP, CMP_BAD_REQUEST, "superseded");
}

/* No link was ever up: half a minute, more or less. */
static void
expect_retry_after(struct reg_reply *p, unsigned least, unsigned most)
{
	const char *at = strstr(buf_cstr(&p->text), "Retry-After: ");
	unsigned s = 0;

	if (at == NULL || sscanf(at, "Retry-After: %u\r\n", &s) != 1)
		fail_msg("%s", buf_cstr(&p->text));
	assert_in_range(s, least, most);
}

static void
a_device_that_asks_too_often_is_told_when(void **state)
{
	struct reg_lab *g = *state;
	struct reg_want want = { .limits = "device-hour: 2" };
	struct lab_ask ask = { .cn = "dev" };
	struct reg_reply p AUTO_REPLY = { 0 };
	struct reg_http h = {
		.client = g->l->device, .path = REG_CMP, .type = REG_CMP_TYPE
	};
	struct buf request AUTO_BUF = { 0 };

	reg_start(g, &want);
	for (int i = 0; i < 2; i++) {
		buf_reset(&request);
		lab_request(g->l, &ask, &request);
		AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &request);
		reg_expect_waiting(m, CMP_IP, 0);
	}
	buf_reset(&request);
	lab_request(g->l, &ask, &request);
	h.body = buf_bytes(&request);
	reg_http(g, &h, &p);
	assert_int_equal(p.status, 503);
	expect_retry_after(&p, 22, 38);
	assert_int_equal(reg_next_id(g), 3);
}

/* ---- polls ------------------------------------------------------------- */

static uint32_t
expect_pollrep(const struct cmp_msg *m, long want)
{
	struct err e = ERR_INIT;
	uint32_t secs = 0;
	long id = 7777;

	assert_int_equal(cmp_body(m), CMP_POLLREP);
	assert_int_equal(cmp_read_pollrep(m, &id, &secs, &e), 0);
	assert_int_equal(id, want);
	return secs;
}

static void
polls_are_answered_and_write_nothing(void **state)
{
	struct reg_lab *g = *state;
	struct reg_want want = { .cmp = "hold: 0s, check-after: 1s, "
					"check-after-max: 8s" };
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 }, poll AUTO_BUF = { 0 };
	struct cmp_msg *last;

	reg_start(g, &want);
	lab_request(g->l, &ask, &request);
	last = reg_cmp(g, g->l->device, &request);
	for (int i = 0; i < 8; i++) {
		uint32_t secs;

		buf_reset(&poll);
		reg_pollreq(last, g->l->device, i % 2 == 0 ? 0 : -1, &poll);
		cmp_free(last);
		last = reg_cmp(g, g->l->device, &poll);
		secs = expect_pollrep(last, i % 2 == 0 ? 0 : -1);
		assert_in_range(secs, 6, 10);
	}
	cmp_free(last);
	assert_int_equal(reg_next_id(g), 2);
	assert_int_equal(reg_entry(g, 1).state, ENTRY_QUEUED);
}

/* Any message of ours in the transaction, also of before a restart; nothing
 * else. */
static void
a_poll_proves_what_it_answers(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 }, other AUTO_BUF = { 0 };
	struct buf poll AUTO_BUF = { 0 }, body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct cmp_head h = { 0 };
	uint8_t nonce[CMP_NONCE_MAX];

	reg_start(g, NULL);
	lab_request(g->l, &ask, &request);
	ask.device = g->sibling;
	lab_request(g->l, &ask, &other);
	AUTO(cmp_msg) first = reg_cmp(g, g->l->device, &request);
	AUTO(cmp_msg) again = reg_cmp(g, g->l->device, &request);
	AUTO(cmp_msg) sibling = reg_cmp(g, g->sibling, &other);
	assert_false(
	    bytes_eq(cmp_sender_nonce(first), cmp_sender_nonce(again)));
	reg_stop(g);
	reg_start(g, NULL);
	reg_pollreq(first, g->l->device, 0, &poll);
	AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &poll);
	expect_pollrep(m, 0);

	cmp_body_pollreq(0, &body);
	for (int i = 0; i < 4; i++) {
		struct bytes n = cmp_sender_nonce(i == 1 ? sibling : first);

		cmp_head_reply(first, &h);
		memcpy(nonce, n.p, n.len);
		nonce[n.len - 1] ^= i == 0;
		/* another bit, another transaction's, a shorter one, none */
		h.recip_nonce = bytes_of(nonce,
		    i < 2	 ? n.len
			: i == 2 ? n.len - 1
				 : 0);
		buf_reset(&poll);
		assert_int_equal(cmp_build(&h, buf_bytes(&body), g->l->device,
				     NULL, &poll, &e),
		    0);
		AUTO(cmp_msg) r = reg_cmp(g, g->l->device, &poll);
		reg_expect_refused("nonce", r, CMP_ERROR,
		    CMP_BAD_RECIPIENT_NONCE, "recipNonce");
	}
}

static void
what_is_not_there_cannot_be_asked_for(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
	struct buf unknown AUTO_BUF = { 0 };

	reg_start(g, NULL);
	lab_request(g->l, &ask, &request);
	/* Polled before it was sent: as an answer to our own words. */
	AUTO(cmp_msg) req = lab_parse(buf_bytes(&request));
	reg_pollreq(req, g->l->device, 0, &unknown);
	AUTO(cmp_msg) a = reg_cmp(g, g->l->device, &unknown);
	reg_expect_refused(
	    "poll", a, CMP_ERROR, CMP_BAD_REQUEST, "transactionID");
	buf_reset(&unknown);
	lab_certconf(g->l, req, g->l->device->cert, true, &unknown);
	AUTO(cmp_msg) b = reg_cmp(g, g->l->device, &unknown);
	reg_expect_refused(
	    "certConf", b, CMP_ERROR, CMP_BAD_REQUEST, "to be confirmed");

	AUTO(cmp_msg) waiting = reg_cmp(g, g->l->device, &request);
	lab_certconf(g->l, waiting, g->l->device->cert, true, &out);
	AUTO(cmp_msg) c = reg_cmp(g, g->l->device, &out);
	reg_expect_refused(
	    "certConf", c, CMP_ERROR, CMP_BAD_REQUEST, "to be confirmed");
	assert_int_equal(reg_entry(g, 1).state, ENTRY_QUEUED);
	assert_int_equal(reg_next_id(g), 2);
}

/* ---- what is not spoken ------------------------------------------------ */

/* RFC 9483 3.6.1 */
static void
a_device_may_tell_an_error(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 }, body AUTO_BUF = { 0 };
	struct buf out AUTO_BUF = { 0 };

	reg_start(g, NULL);
	lab_request(g->l, &ask, &request);
	AUTO(cmp_msg) waiting = reg_cmp(g, g->l->device, &request);
	cmp_body_error(
	    CMP_REJECTION, CMP_SYSTEM_FAILURE, "out of memory", &body);
	reg_follow(waiting, g->l->device, buf_bytes(&body), &out);
	AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &out);
	assert_int_equal(cmp_body(m), CMP_PKICONF);
	assert_int_equal(reg_logged(g, "event=cmp.device-error"), 1);
	assert_int_equal(reg_entry(g, 1).state, ENTRY_QUEUED);
}

/* ---- who may ----------------------------------------------------------- */

/* A poll of another device in a transaction that it overheard. */
static void
a_transaction_belongs_to_its_signer(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 }, poll AUTO_BUF = { 0 };

	reg_start(g, NULL);
	lab_request(g->l, &ask, &request);
	AUTO(cmp_msg) waiting = reg_cmp(g, g->l->device, &request);
	reg_pollreq(waiting, g->sibling, 0, &poll);
	AUTO(cmp_msg) m = reg_cmp(g, g->sibling, &poll);
	reg_expect_refused(
	    "poll", m, CMP_ERROR, CMP_BAD_REQUEST, "of this device");
	buf_reset(&poll);
	reg_pollreq(waiting, g->l->device, 0, &poll);
	AUTO(cmp_msg) n = reg_cmp(g, g->sibling, &poll);
	reg_expect_refused(
	    "other client", n, CMP_ERROR, CMP_NOT_AUTHORIZED, "differ");
}

static void
a_voucher_may_be_asked_for_first(void **state)
{
	struct reg_lab *g = *state;
	struct reg_want want = { .brski = "enrol-without-voucher: false" };
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 };

	reg_start(g, &want);
	lab_request(g->l, &ask, &request);
	AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &request);
	reg_expect_refused(
	    "enrol", m, CMP_ERROR, CMP_NOT_AUTHORIZED, "no voucher");
	assert_int_equal(reg_next_id(g), 1);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, reg_lab_setup, reg_lab_teardown)
	const struct CMUnitTest tests[] = {
		T(cmp_is_served_under_its_labels),
		T(a_request_waits_and_its_repeat_adds_nothing),
		T(what_is_kept_is_what_came),
		T(a_transaction_has_one_request),
		T(a_newer_request_ends_the_older_and_says_so),
		T(a_device_that_asks_too_often_is_told_when),
		T(polls_are_answered_and_write_nothing),
		T(a_poll_proves_what_it_answers),
		T(what_is_not_there_cannot_be_asked_for),
		T(a_device_may_tell_an_error),
		T(a_transaction_belongs_to_its_signer),
		T(a_voucher_may_be_asked_for_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
