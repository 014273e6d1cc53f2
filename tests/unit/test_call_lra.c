/* nested: who may add a protection of its own, and what that is worth. */
#include "tests/unit/registrar_lab.h"

static struct signer *lra, *other; /* of our domain; configured is the first */

static int
setup(void **state)
{
	struct lab_want w = { .cn = "lra", .eku = LAB_CMCRA ",clientAuth" };
	int rc = reg_lab_setup(state);
	struct reg_lab *g = *state;

	lra = lab_signer(&w, &g->l->ca);
	other = lab_signer(&w, &g->l->ca);
	lab_save(g->l, "lra", NULL, lra->cert, g->l->ca.cert);
	return rc;
}

static int
teardown(void **state)
{
	signer_free(lra);
	signer_free(other);
	return reg_lab_teardown(state);
}

static void
start(struct reg_lab *g)
{
	char cmp[160];
	struct reg_want want = { .cmp = cmp };

	snprintf(cmp, sizeof(cmp), "hold: 0s, lra: [%s/lra.crt]", g->l->dir);
	reg_start(g, &want);
}

static void
nest(const struct buf *message, const struct signer *by, struct buf *out)
{
	AUTO(cmp_msg) m = lab_parse(buf_bytes(message));
	struct err e = ERR_INIT;

	if (cmp_nest(m, by, out, &e) == -1)
		fail_msg("%s", e.msg);
}

static void
what_an_lra_wraps_is_judged_as_itself(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 }, nested AUTO_BUF = { 0 };
	struct buf poll AUTO_BUF = { 0 }, wrapped AUTO_BUF = { 0 };
	struct outbox_octets x = { 0 };
	struct bytes inner;
	struct err e = ERR_INIT;

	start(g);
	lab_request(g->l, &ask, &request);
	nest(&request, lra, &nested);
	/* The answer is plain, and to the device. */
	AUTO(cmp_msg) a = reg_cmp(g, lra, &nested);
	reg_expect_waiting(a, CMP_IP, 0);
	assert_int_equal(X509_NAME_cmp(cmp_recipient(a),
			     X509_get_subject_name(g->l->device->cert)),
	    0);
	assert_string_equal(reg_entry(g, 1).label, "WB-0001");
	assert_int_equal(outbox_octets(g->r.outbox, 1, &x, &e), 0);
	assert_true(bytes_eq(buf_bytes(&x.bytes), buf_bytes(&request)));
	/* Upstream goes one nested message, by us. */
	AUTO(cmp_msg) up = lab_parse(buf_bytes(&x.wrapped));
	assert_int_equal(cmp_verify(up, g->l->registrar->cert, &e), 0);
	assert_int_equal(cmp_read_nested(up, &inner, &e), 0);
	assert_true(bytes_eq(inner, buf_bytes(&request)));
	assert_string_equal(
	    facts_get(&x.facts, "tls.same-signer")->value, "false");
	outbox_octets_done(&x);
	/* Polls come wrapped or as they are. */
	reg_pollreq(a, g->l->device, 0, &poll);
	AUTO(cmp_msg) b = reg_cmp(g, lra, &poll);
	reg_expect_pollrep(b, 0);
	buf_reset(&poll);
	reg_pollreq(b, g->l->device, -1, &poll);
	nest(&poll, lra, &wrapped);
	AUTO(cmp_msg) c = reg_cmp(g, lra, &wrapped);
	reg_expect_pollrep(c, -1);
	assert_int_equal(reg_next_id(g), 2);
}

/* The LRA's word is no device's. */
static void
the_signer_inside_is_admitted_or_not(void **state)
{
	struct reg_lab *g = *state;
	AUTO(signer) stranger = lab_device(&g->l->stranger, "WB-0001");
	AUTO(signer) stolen = lab_device(&g->l->vendor_sub, "WB-STOLEN");
	const struct {
		const struct signer *device;
		uint32_t fail;
		const char *reason;
	} cases[] = {
		{ stranger, CMP_SIGNER_NOT_TRUSTED, "" },
		{ stolen, CMP_NOT_AUTHORIZED, "WB-STOLEN" },
		{ lra, CMP_NOT_AUTHORIZED, "no device's" },
	};

	start(g);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct lab_ask ask = { .cn = "dev", .device = cases[i].device };
		struct buf request AUTO_BUF = { 0 }, nested AUTO_BUF = { 0 };

		lab_request(g->l, &ask, &request);
		nest(&request, lra, &nested);
		AUTO(cmp_msg) m = reg_cmp(g, lra, &nested);
		reg_expect_refused(
		    "inner", m, CMP_ERROR, cases[i].fail, cases[i].reason);
	}
	assert_int_equal(reg_next_id(g), 1);
}

static void
only_configured_lras_may_wrap(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 };
	const struct {
		const char *what;
		const struct signer *client, *by;
		uint32_t fail;
		const char *reason;
	} cases[] = {
		{ "the device", g->l->device, g->l->device, CMP_BAD_REQUEST,
		    "configured LRA" },
		{ "an LRA that is not ours", other, other, CMP_BAD_REQUEST,
		    "configured LRA" },
		{ "nobody", NULL, lra, CMP_BAD_REQUEST, "configured LRA" },
		{ "the LRA's message, another's connection", other, lra,
		    CMP_BAD_REQUEST, "configured LRA" },
		{ "another's message", lra, other, CMP_NOT_AUTHORIZED,
		    "signed by no configured LRA" },
		{ "the device's own", lra, g->l->device, CMP_NOT_AUTHORIZED,
		    "signed by no configured LRA" },
	};

	start(g);
	lab_request(g->l, &ask, &request);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct buf nested AUTO_BUF = { 0 };

		nest(&request, cases[i].by, &nested);
		AUTO(cmp_msg) m = reg_cmp(g, cases[i].client, &nested);
		reg_expect_refused(cases[i].what, m, CMP_ERROR, cases[i].fail,
		    cases[i].reason);
	}
	assert_int_equal(reg_next_id(g), 1);
}

/* RFC 9483 5.2.2.1: one message, with the same transaction and nonce. */
static void
a_wrapping_fits_what_it_wraps(void **state)
{
	static const struct {
		const char *what;
		uint32_t fail;
	} cases[] = {
		{ "another transactionID", CMP_BAD_REQUEST },
		{ "another senderNonce", CMP_BAD_SENDER_NONCE },
		{ "a protection that does not hold", CMP_BAD_MESSAGE_CHECK },
		{ "nested in nested", CMP_BAD_REQUEST },
	};
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	start(g);
	lab_request(g->l, &ask, &request);
	AUTO(cmp_msg) inner = lab_parse(buf_bytes(&request));
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct buf body AUTO_BUF = { 0 }, nested AUTO_BUF = { 0 };
		struct buf twice AUTO_BUF = { 0 };
		uint8_t tid[CMP_TID_LEN], nonce[CMP_NONCE_MAX];
		struct bytes n = cmp_sender_nonce(inner);
		struct cmp_head h = {
			.transaction_id = bytes_of(tid, sizeof(tid)),
			.sender_nonce = bytes_of(nonce, n.len),
		};

		memcpy(tid, cmp_transaction_id(inner).p, sizeof(tid));
		memcpy(nonce, n.p, n.len);
		tid[0] ^= i == 0;
		nonce[0] ^= i == 1;
		nest(&request, lra, &twice);
		cmp_body_nested(
		    i == 3 ? buf_bytes(&twice) : buf_bytes(&request), &body);
		assert_int_equal(
		    cmp_build(&h, buf_bytes(&body), lra, NULL, &nested, &e), 0);
		if (i == 2) {
			/* The last octets of what is inside. */
			uint8_t *p = memmem(
			    nested.data, nested.len, request.data, request.len);

			p[request.len - 1] ^= 1;
		}
		AUTO(cmp_msg) m = reg_cmp(g, lra, &nested);
		reg_expect_refused(
		    cases[i].what, m, CMP_ERROR, cases[i].fail, "");
	}
	assert_int_equal(reg_next_id(g), 1);
}

/* What it forwards as it is, RFC 9483 5.2.1. */
static void
an_lra_may_forward_without_a_word(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 };

	start(g);
	lab_request(g->l, &ask, &request);
	AUTO(cmp_msg) a = reg_cmp(g, other, &request);
	reg_expect_refused("other", a, CMP_ERROR, CMP_NOT_AUTHORIZED, "differ");
	AUTO(cmp_msg) b = reg_cmp(g, lra, &request);
	reg_expect_waiting(b, CMP_IP, 0);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_an_lra_wraps_is_judged_as_itself),
		T(the_signer_inside_is_admitted_or_not),
		T(only_configured_lras_may_wrap),
		T(a_wrapping_fits_what_it_wraps),
		T(an_lra_may_forward_without_a_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
