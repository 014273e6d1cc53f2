/* RFC 9483 3.3: what opens a transaction has its signer's certificate and chain
 * with it, since who judges it again saw no handshake; later messages need not. */
#include "tests/unit/registrar_lab.h"

#include "common/pki/cmp_der.h"

/* The same message with only these of its extraCerts (unprotected, RFC 9810
 * 5.1): none, or the first. */
static void
with_extra(const struct buf *whole, bool first, struct buf *out)
{
	struct der d = der_open(buf_bytes(whole)), m = der_enter(&d, DER_SEQ);
	struct der extra;
	size_t at = out->len;

	while (der_peek(&m) != DER_CTX(1)) {
		struct bytes part = der_whole(&m, der_peek(&m));

		assert_int_not_equal(part.len, 0);
		buf_add(out, part.p, part.len);
	}
	extra = der_enter(&m, DER_CTX(1));
	extra = der_enter(&extra, DER_SEQ);
	if (first) {
		struct bytes leaf = der_whole(&extra, DER_SEQ);
		size_t list = out->len;

		buf_add(out, leaf.p, leaf.len);
		der_close(out, list, DER_SEQ);
		der_close(out, list, DER_CTX(1));
	}
	der_close(out, at, DER_SEQ);
}

static void
request_of(struct reg_lab *g, enum cmp_body type, const struct signer *s,
    struct buf *out)
{
	struct lab_ask ask = { .type = type, .device = s, .cn = "dev" };
	struct buf body AUTO_BUF = { 0 };

	if (type != CMP_GENM) {
		lab_request(g->l, &ask, out);
		return;
	}
	cmp_body_info(CMP_GENM, CMP_INFO_CA_CERTS, bytes_of(NULL, 0), &body);
	reg_first(s, buf_bytes(&body), out);
}

static void
a_first_message_has_its_signers_chain(void **state)
{
	static const struct {
		const char *what;
		enum cmp_body type;
		bool leaf;
		const char *reason;
	} cases[] = {
		{ "ir, nothing", CMP_IR, false, "no certificate fits" },
		{ "ir, no chain", CMP_IR, true, "local issuer" },
		{ "p10cr, nothing", CMP_P10CR, false, "no certificate fits" },
		{ "p10cr, no chain", CMP_P10CR, true, "local issuer" },
		{ "genm, nothing", CMP_GENM, false, "no certificate fits" },
		{ "genm, no chain", CMP_GENM, true, "local issuer" },
	};
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct buf whole AUTO_BUF = { 0 }, less AUTO_BUF = { 0 };

		request_of(g, cases[i].type, g->l->device, &whole);
		with_extra(&whole, cases[i].leaf, &less);
		AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &less);
		reg_expect_refused(cases[i].what, m, CMP_ERROR,
		    CMP_SIGNER_NOT_TRUSTED, cases[i].reason);
		assert_int_equal(reg_next_id(g), 1);
	}
}

/* What the RA has by itself need not be told to it. */
static void
an_ldevid_needs_no_chain(void **state)
{
	struct reg_lab *g = *state;
	AUTO(signer) ldevid = lab_device(&g->l->ca, "WB-0001");
	struct buf whole AUTO_BUF = { 0 }, less AUTO_BUF = { 0 };
	struct buf none AUTO_BUF = { 0 };

	reg_start(g, NULL);
	request_of(g, CMP_CR, ldevid, &whole);
	with_extra(&whole, false, &none);
	AUTO(cmp_msg) m = reg_cmp(g, ldevid, &none);
	reg_expect_refused("cr, nothing", m, CMP_ERROR, CMP_SIGNER_NOT_TRUSTED,
	    "no certificate fits");
	assert_int_equal(reg_next_id(g), 1);
	with_extra(&whole, true, &less);
	AUTO(cmp_msg) n = reg_cmp(g, ldevid, &less);
	reg_expect_waiting(n, CMP_CP, 0);
}

/* RFC 9483 4.4: extraCerts may be left out of a pollReq. */
static void
a_later_message_needs_none(void **state)
{
	struct reg_lab *g = *state;
	struct buf whole AUTO_BUF = { 0 }, poll AUTO_BUF = { 0 };
	struct buf less AUTO_BUF = { 0 };

	reg_start(g, NULL);
	request_of(g, CMP_IR, g->l->device, &whole);
	AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &whole);
	reg_expect_waiting(m, CMP_IP, 0);
	reg_pollreq(m, g->l->device, 0, &poll);
	with_extra(&poll, false, &less);
	AUTO(cmp_msg) n = reg_cmp(g, g->l->device, &less);
	reg_expect_pollrep(n, 0);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, reg_lab_setup, reg_lab_teardown)
	const struct CMUnitTest tests[] = {
		T(a_first_message_has_its_signers_chain),
		T(an_ldevid_needs_no_chain),
		T(a_later_message_needs_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
