/* certConf: whose pkiConf it gets, now or after polling; what may be said in
 * pvno 3; that nothing of it is lost by a restart. */
#include "tests/unit/fwd_lab.h"

#include "registrar/call_int.h"

static const struct reg_want delay = { .cmp = "hold: 0s, certconf: delay" };
static const struct reg_want delay_hold = {
	.cmp = "hold: 300ms, certconf: delay"
};

/* The entry in custody is answered by these octets. */
static void
answer(
    struct reg_lab *g, uint64_t id, struct bytes octets, enum entry_state state)
{
	fwd_answer(&fwd, id, BATCH_ANSWERED, octets);
	fwd_expect(&fwd, FRAME_GOT);
	fwd_expect(&fwd, FRAME_PULL);
	reg_await(g, id, state);
}

static struct cmp_msg *
poll_once(struct reg_lab *g, const struct cmp_msg *last, long id)
{
	struct buf request AUTO_BUF = { 0 };

	reg_pollreq(last, g->l->device, id, &request);
	return reg_cmp(g, g->l->device, &request);
}

/* An ip after polling, as entry 1; no link remains. */
static struct cmp_msg *
issued(struct reg_lab *g, X509 **ret)
{
	struct lab_ask ask = { .cn = "dev", .no_implicit = true };
	struct buf request AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
	struct fwd_issue x = { 0 };
	struct cmp_msg *m;

	lab_request(g->l, &ask, &request);
	AUTO(cmp_msg) waiting = reg_cmp(g, g->l->device, &request);
	reg_expect_waiting(waiting, CMP_IP, 0);
	fwd_ready(&fwd);
	assert_int_equal(fwd_custody(&fwd), 1);
	fwd_issue(&fwd, &request, &x, &octets);
	answer(g, 1, buf_bytes(&octets), ENTRY_ANSWERED);
	fwd_close(&fwd);
	m = poll_once(g, waiting, 0);
	assert_int_equal(cmp_body(m), CMP_IP);
	reg_await(g, 1, ENTRY_DELIVERED);
	*ret = x.cert;
	return m;
}

/* What the service says to the certConf that it has in custody. */
static void
say(struct reg_lab *g, uint64_t id, const struct buf *confirm, bool accept,
    struct buf *octets)
{
	AUTO(cmp_msg) conf = lab_parse(buf_bytes(confirm));
	struct buf body AUTO_BUF = { 0 };

	if (accept)
		cmp_body_pkiconf(&body);
	else
		cmp_body_error(
		    CMP_REJECTION, CMP_BAD_CERT_ID, "not that one", &body);
	reg_follow(conf, fwd.key, buf_bytes(&body), octets);
	answer(g, id, buf_bytes(octets), ENTRY_CONFIRMED);
}

static void
restart(struct reg_lab *g, const struct reg_want *want)
{
	fwd_close(&fwd);
	reg_stop(g);
	reg_start(g, want);
}

/* The first response was our waiting: so is the pkiConf ours, when it comes. */
static void
delayed(struct reg_lab *g, bool accept)
{
	struct buf confirm AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
	AUTO(X509) cert = NULL;
	uint64_t id;

	reg_start(g, &delay);
	AUTO(cmp_msg) ip = issued(g, &cert);
	lab_certconf(g->l, ip, cert, true, &confirm);
	AUTO(cmp_msg) a = reg_cmp(g, g->l->device, &confirm);
	reg_expect_waiting_error(a);
	reg_await(g, 1, ENTRY_CONFIRMED);
	restart(g, &delay);
	AUTO(cmp_msg) again = reg_cmp(g, g->l->device, &confirm);
	reg_expect_waiting_error(again);
	AUTO(cmp_msg) b = poll_once(g, a, -1);
	reg_expect_pollrep(b, -1);
	restart(g, &delay);
	AUTO(cmp_msg) c = poll_once(g, b, 0);
	reg_expect_pollrep(c, 0);
	fwd_ready(&fwd);
	id = fwd_custody(&fwd);
	assert_int_equal(reg_entry(g, id).step, 1);
	say(g, id, &confirm, accept, &octets);
	restart(g, &delay);
	AUTO(cmp_msg) d = poll_once(g, c, -1);
	if (accept)
		assert_int_equal(cmp_body(d), CMP_PKICONF);
	else
		reg_expect_refused(
		    "certConf", d, CMP_ERROR, CMP_BAD_CERT_ID, "not that one");
	/* Who lost it asks again. */
	AUTO(cmp_msg) once_more = poll_once(g, c, -1);
	assert_int_equal(cmp_body(once_more), cmp_body(d));
}

static void
a_confirmation_may_wait_for_the_service(void **state)
{
	delayed(*state, true);
}

static void
a_service_may_refuse_a_confirmation(void **state)
{
	delayed(*state, false);
}

/* Polls name what they poll for by the nonce that they answer. */
static void
a_poll_is_for_what_it_answers(void **state)
{
	struct reg_lab *g = *state;
	struct buf confirm AUTO_BUF = { 0 }, poll AUTO_BUF = { 0 };
	struct buf body AUTO_BUF = { 0 };
	AUTO(X509) cert = NULL;
	struct cmp_head h = { 0 };
	struct err e = ERR_INIT;
	uint8_t nonce[CMP_NONCE_MAX];
	struct bytes n;

	reg_start(g, &delay);
	AUTO(cmp_msg) ip = issued(g, &cert);
	lab_certconf(g->l, ip, cert, true, &confirm);
	AUTO(cmp_msg) a = reg_cmp(g, g->l->device, &confirm);
	reg_expect_waiting_error(a);
	cmp_head_reply(a, &h);
	n = cmp_sender_nonce(a);
	memcpy(nonce, n.p, n.len);
	nonce[n.len - 1] ^= 1;
	h.recip_nonce = bytes_of(nonce, n.len);
	cmp_body_pollreq(-1, &body);
	assert_int_equal(
	    cmp_build(&h, buf_bytes(&body), g->l->device, NULL, &poll, &e), 0);
	AUTO(cmp_msg) b = reg_cmp(g, g->l->device, &poll);
	reg_expect_refused(
	    "nonce", b, CMP_ERROR, CMP_BAD_RECIPIENT_NONCE, "recipNonce");
}

/* A request on its way; what came back, in octets. */
static void
send_and_custody(struct reg_lab *g, const struct buf *request, struct client *c,
    uint64_t *ret)
{
	struct reg_http h = { .path = REG_CMP,
		.type = REG_CMP_TYPE,
		.body = buf_bytes(request) };

	reg_dial(g, c, g->l->device);
	reg_http_send(c, &h);
	*ret = fwd_custody(&fwd);
}

/* The first response was the service's, and so is all that ends it; but for the
 * waiting between, which is nobody else's to say. */
static void
a_relayed_final_is_confirmed_by_the_service(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev", .no_implicit = true };
	struct buf request AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
	struct buf confirm AUTO_BUF = { 0 }, said AUTO_BUF = { 0 };
	struct buf poll AUTO_BUF = { 0 };
	struct reg_reply p AUTO_REPLY = { 0 }, q AUTO_REPLY = { 0 };
	struct reg_reply s AUTO_REPLY = { 0 };
	struct reg_http h = { .path = REG_CMP, .type = REG_CMP_TYPE };
	struct fwd_issue x = { 0 };
	struct client c;
	uint64_t id;

	reg_start(g, &delay_hold);
	fwd_ready(&fwd);
	lab_request(g->l, &ask, &request);
	send_and_custody(g, &request, &c, &id);
	fwd_issue(&fwd, &request, &x, &octets);
	fwd_answer(&fwd, id, BATCH_ANSWERED, buf_bytes(&octets));
	reg_http_receive(&c, &p);
	client_close(&c);
	fwd_expect(&fwd, FRAME_GOT);
	fwd_expect(&fwd, FRAME_PULL);
	assert_string_equal(
	    reg_await(g, id, ENTRY_DELIVERED).carrier, CALL_RELAYED);
	AUTO(cmp_msg) ip = lab_parse(p.body);
	lab_certconf(g->l, ip, x.cert, true, &confirm);
	send_and_custody(g, &confirm, &c, &id);
	reg_http_receive(&c, &q);
	client_close(&c);
	AUTO(cmp_msg) waiting =
	    reg_cmp_read(g, g->l->registrar, buf_bytes(&confirm), &q);
	reg_expect_waiting_error(waiting);
	say(g, id, &confirm, true, &said);
	reg_pollreq(waiting, g->l->device, -1, &poll);
	h.client = g->l->device;
	h.body = buf_bytes(&poll);
	reg_http(g, &h, &s);
	assert_true(bytes_eq(s.body, buf_bytes(&said)));
	X509_free(x.cert);
}

/* It was our waiting that came first, even if the final is as it was. */
static void
a_final_relayed_late_is_confirmed_by_us(void **state)
{
	struct reg_lab *g = *state;
	struct reg_want want = { .cmp = "hold: 300ms, final: relay" };
	struct lab_ask ask = { .cn = "dev", .no_implicit = true };
	struct buf request AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
	struct buf poll AUTO_BUF = { 0 }, confirm AUTO_BUF = { 0 };
	struct reg_reply p AUTO_REPLY = { 0 };
	struct reg_http h = { .path = REG_CMP, .type = REG_CMP_TYPE };
	struct fwd_issue x = { 0 };

	reg_start(g, &want);
	lab_request(g->l, &ask, &request);
	AUTO(cmp_msg) waiting = reg_cmp(g, g->l->device, &request);
	fwd_ready(&fwd);
	assert_int_equal(fwd_custody(&fwd), 1);
	fwd_issue(&fwd, &request, &x, &octets);
	answer(g, 1, buf_bytes(&octets), ENTRY_ANSWERED);
	reg_pollreq(waiting, g->l->device, 0, &poll);
	h.client = g->l->device;
	h.body = buf_bytes(&poll);
	reg_http(g, &h, &p);
	assert_true(bytes_eq(p.body, buf_bytes(&octets)));
	assert_string_equal(
	    reg_await(g, 1, ENTRY_DELIVERED).carrier, CALL_RELAYED_LATE);
	AUTO(cmp_msg) ip = lab_parse(p.body);
	lab_certconf(g->l, ip, x.cert, true, &confirm);
	/* Link up, and it is not waited for. */
	AUTO(cmp_msg) conf = reg_cmp(g, g->l->device, &confirm);
	assert_int_equal(cmp_body(conf), CMP_PKICONF);
	X509_free(x.cert);
}

/* RFC 9810 5.3.18: hashAlg, which OpenSSL 3.0 has no words for. */
static void
certconf_with_hash_alg(X509 *x, bool right, struct buf *out)
{
	/* [24] { SEQ { SEQ { OCTETS 64, INTEGER 0, [0] { SEQ { sha512 }}}}} */
	static const uint8_t before[] = { 0xb8, 0x58, 0x30, 0x56, 0x30, 0x54,
		0x04, 0x40 };
	static const uint8_t after[] = { 0x02, 0x01, 0x00, 0xa0, 0x0d, 0x30,
		0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
		0x02, 0x03 };
	uint8_t hash[64];
	unsigned n;

	assert_int_equal(X509_digest(x, EVP_sha512(), hash, &n), 1);
	hash[0] ^= !right;
	buf_add(out, before, sizeof(before));
	buf_add(out, hash, sizeof(hash));
	buf_add(out, after, sizeof(after));
}

static void
a_hash_algorithm_may_be_named(void **state)
{
	struct reg_lab *g = *state;
	struct outbox_octets o = { 0 };
	AUTO(X509) cert = NULL;
	struct err e = ERR_INIT;
	struct cmp_head h;
	uint64_t id;

	reg_start(g, NULL);
	AUTO(cmp_msg) ip = issued(g, &cert);
	for (int right = 0; right < 2; right++) {
		struct buf body AUTO_BUF = { 0 }, confirm AUTO_BUF = { 0 };

		certconf_with_hash_alg(cert, right == 1, &body);
		cmp_head_reply(ip, &h);
		h.pvno = 3;
		assert_int_equal(cmp_build(&h, buf_bytes(&body), g->l->device,
				     NULL, &confirm, &e),
		    0);
		AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &confirm);
		assert_int_equal(cmp_pvno(m), 3);
		if (right == 0) {
			reg_expect_refused(
			    "hash", m, CMP_ERROR, CMP_BAD_CERT_ID, "");
			continue;
		}
		assert_int_equal(cmp_body(m), CMP_PKICONF);
		/* It travels as it came. */
		fwd_ready(&fwd);
		id = fwd_custody(&fwd);
		assert_int_equal(outbox_octets(g->r.outbox, id, &o, &e), 0);
		assert_true(bytes_eq(buf_bytes(&o.bytes), buf_bytes(&confirm)));
		outbox_octets_done(&o);
	}
}

/* Each conversation in its own version, side by side. */
static void
two_versions_are_spoken(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	struct buf one AUTO_BUF = { 0 }, body AUTO_BUF = { 0 };
	struct buf two AUTO_BUF = { 0 };
	AUTO(X509_NAME) name = issue_name("dev", NULL, NULL);
	struct err e = ERR_INIT;
	struct cmp_head h = { .pvno = 3,
		.transaction_id = bytes_of("0123456789abcdef", CMP_TID_LEN) };

	reg_start(g, NULL);
	ask.device = g->sibling;
	lab_request(g->l, &ask, &one);
	AUTO(cmp_msg) a = reg_cmp(g, g->sibling, &one);
	assert_int_equal(cmp_pvno(a), 2);
	assert_int_equal(
	    cmp_body_certreq(CMP_IR, g->l->key, name, &body, &e), 0);
	assert_int_equal(
	    cmp_build(&h, buf_bytes(&body), g->l->device, NULL, &two, &e), 0);
	AUTO(cmp_msg) b = reg_cmp(g, g->l->device, &two);
	assert_int_equal(cmp_pvno(b), 3);
	reg_expect_waiting(b, CMP_IP, 0);
	AUTO(cmp_msg) c = poll_once(g, b, 0);
	assert_int_equal(cmp_pvno(c), 3);
	reg_expect_pollrep(c, 0);
}

/* cmp.final: always: so a device that believes our certificate alone can be
 * served at once, pkiConf and all. */
static void
a_final_that_comes_at_once_may_be_ours(void **state)
{
	struct reg_lab *g = *state;
	struct reg_want ours = { .cmp = "hold: 10s, final: always" };
	struct lab_ask ask = { .cn = "dev", .no_implicit = true };
	struct buf request AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
	struct buf confirm AUTO_BUF = { 0 };
	struct reg_reply p AUTO_REPLY = { 0 };
	struct fwd_issue x = { 0 };
	struct client c;
	uint64_t id;

	reg_start(g, &ours);
	fwd_ready(&fwd);
	lab_request(g->l, &ask, &request);
	send_and_custody(g, &request, &c, &id);
	fwd_issue(&fwd, &request, &x, &octets);
	fwd_answer(&fwd, id, BATCH_ANSWERED, buf_bytes(&octets));
	reg_http_receive(&c, &p);
	client_close(&c);
	AUTO(cmp_msg) ip =
	    reg_cmp_read(g, g->l->registrar, buf_bytes(&request), &p);
	assert_int_equal(cmp_body(ip), CMP_IP);
	assert_string_equal(
	    reg_await(g, id, ENTRY_DELIVERED).carrier, CALL_REPROTECTED);
	lab_certconf(g->l, ip, x.cert, true, &confirm);
	AUTO(cmp_msg) conf = reg_cmp(g, g->l->device, &confirm);
	assert_int_equal(cmp_body(conf), CMP_PKICONF);
	reg_await(g, id, ENTRY_CONFIRMED);
	X509_free(x.cert);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_confirmation_may_wait_for_the_service),
		T(a_service_may_refuse_a_confirmation),
		T(a_poll_is_for_what_it_answers),
		T(a_relayed_final_is_confirmed_by_the_service),
		T(a_final_relayed_late_is_confirmed_by_us),
		T(a_hash_algorithm_may_be_named),
		T(two_versions_are_spoken),
		T(a_final_that_comes_at_once_may_be_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
