/* Every kind of message we emit, judged by OpenSSL's own CMP: its decoder, its
 * chain building from the root alone, its check of the protection.  And the
 * octets of the bodies that clients in the field were seen to accept. */
#include "cmp_fixture.h"

#include <openssl/cmp.h>
#include <openssl/crmf.h>
#include <openssl/err.h>

/* Sub-CAs are given as untrusted: the oracle does not look for them in the
 * message's extraCerts by itself. */
static void
judge(struct fixture *f, struct bytes der, enum cmp_body type)
{
	OSSL_CMP_CTX *ctx = OSSL_CMP_CTX_new(NULL, NULL);
	X509_STORE *store = X509_STORE_new();
	STACK_OF(X509) *untrusted = sk_X509_new_null();
	const uint8_t *p = der.p;
	OSSL_CMP_MSG *msg = d2i_OSSL_CMP_MSG(NULL, &p, (long)der.len);

	assert_non_null(msg);
	assert_ptr_equal(p, der.p + der.len);
	assert_int_equal(OSSL_CMP_MSG_get_bodytype(msg), type);
	assert_int_equal(X509_STORE_add_cert(store, f->root), 1);
	assert_int_equal(OSSL_CMP_CTX_set0_trustedStore(ctx, store), 1);
	assert_int_not_equal(sk_X509_push(untrusted, f->sub), 0);
	assert_int_equal(OSSL_CMP_CTX_set1_untrusted(ctx, untrusted), 1);
	if (OSSL_CMP_validate_msg(ctx, msg) != 1) {
		ERR_print_errors_fp(stderr);
		fail_msg("%s is not valid to the oracle", cmp_body_name(type));
	}
	sk_X509_free(untrusted);
	OSSL_CMP_MSG_free(msg);
	OSSL_CMP_CTX_free(ctx);
}

static void
judge_body(struct fixture *f, const struct signer *s, struct bytes body,
    enum cmp_body type)
{
	struct buf msg AUTO_BUF = { 0 };
	AUTO(X509_NAME) to = issue_name("somebody", NULL, NULL);
	struct cmp_head h = fixture_head();

	h.recipient = to;
	h.recip_nonce = bytes_of(fixture_nonce, sizeof(fixture_nonce));
	h.message_time = 1700000000;
	fixture_build(&h, body, s, &msg);
	judge(f, buf_bytes(&msg), type);
}

static void
answers_of_ours(void **state)
{
	struct fixture *f = *state;
	struct buf b[8] = { { 0 } };
	static const enum cmp_body types[NELEMS(b)] = { CMP_IP, CMP_CP, CMP_KUP,
		CMP_POLLREP, CMP_POLLREP, CMP_ERROR, CMP_IP, CMP_PKICONF };
	size_t i;

	cmp_body_waiting(CMP_IR, 0, &b[0]);
	cmp_body_waiting(CMP_P10CR, -1, &b[1]);
	cmp_body_waiting(CMP_KUR, 0, &b[2]);
	cmp_body_pollrep(0, 300, &b[3]);
	cmp_body_pollrep(-1, 0, &b[4]);
	cmp_body_error(
	    CMP_REJECTION, CMP_SIGNER_NOT_TRUSTED, "no anchor", &b[5]);
	cmp_body_rejection(CMP_IR, 0, CMP_BAD_POP, "no possession", &b[6]);
	cmp_body_pkiconf(&b[7]);
	for (i = 0; i < NELEMS(b); i++) {
		judge_body(f, f->registrar, buf_bytes(&b[i]), types[i]);
		buf_done(&b[i]);
	}
}

static void
other_shapes_of_refusal_and_waiting(void **state)
{
	struct fixture *f = *state;
	struct buf b[5] = { { 0 } };
	static const enum cmp_body types[NELEMS(b)] = { CMP_RP, CMP_ERROR,
		CMP_ERROR, CMP_ERROR, CMP_CP };
	size_t i;

	cmp_body_rejection(CMP_RR, 0, CMP_NOT_AUTHORIZED, "not yours", &b[0]);
	cmp_body_rejection(CMP_GENM, 0, CMP_BAD_REQUEST, "unknown", &b[1]);
	cmp_body_waiting(CMP_CERTCONF, 0, &b[2]);
	cmp_body_error(CMP_REJECTION, 0, NULL, &b[3]);
	cmp_body_rejection(
	    CMP_P10CR, -1, CMP_SYSTEM_FAILURE | CMP_BAD_ALG, "", &b[4]);
	for (i = 0; i < NELEMS(b); i++) {
		judge_body(f, f->registrar, buf_bytes(&b[i]), types[i]);
		buf_done(&b[i]);
	}
}

static void
issued_certificates(void **state)
{
	struct fixture *f = *state;
	struct buf ip AUTO_BUF = { 0 }, cp AUTO_BUF = { 0 };

	cmp_body_issued(CMP_IP, 0, f->issued, f->root, &ip);
	cmp_body_issued(CMP_CP, -1, f->issued, NULL, &cp);
	judge_body(f, f->ra, buf_bytes(&ip), CMP_IP);
	judge_body(f, f->ra, buf_bytes(&cp), CMP_CP);
}

static void
requests_of_clients(void **state)
{
	static const enum cmp_body types[] = { CMP_IR, CMP_P10CR, CMP_POLLREQ,
		CMP_CERTCONF, CMP_CERTCONF, CMP_CR, CMP_KUR };
	struct fixture *f = *state;
	X509_NAME *name = X509_get_subject_name(f->issued);
	struct buf b[NELEMS(types)] = { { 0 } };
	struct err e = ERR_INIT;
	size_t i;

	assert_int_equal(
	    cmp_body_certreq(CMP_IR, f->new_key, name, &b[0], &e), 0);
	assert_int_equal(cmp_body_p10cr(f->new_key, name, &b[1], &e), 0);
	cmp_body_pollreq(0, &b[2]);
	cmp_body_certconf(0, f->issued, true, NULL, &b[3]);
	cmp_body_certconf(-1, f->issued, false, "not my name", &b[4]);
	assert_int_equal(
	    cmp_body_certreq(CMP_CR, f->new_key, name, &b[5], &e), 0);
	assert_int_equal(
	    cmp_body_certreq(CMP_KUR, f->new_key, name, &b[6], &e), 0);
	for (i = 0; i < NELEMS(b); i++) {
		judge_body(f, f->device, buf_bytes(&b[i]), types[i]);
		buf_done(&b[i]);
	}
}

static void
header_with_all_we_write(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 }, msg AUTO_BUF = { 0 };
	struct cmp_head h = fixture_head();

	h.pvno = 2;
	h.implicit_confirm = true;
	h.profile = "substation";
	h.message_time = 1700000000;
	h.confirm_wait = 1700003600;
	h.recip_nonce = h.sender_nonce;
	h.sender_nonce = bytes_of(NULL, 0);
	cmp_body_issued(CMP_IP, 0, f->issued, NULL, &body);
	fixture_build(&h, buf_bytes(&body), f->ra, &msg);
	judge(f, buf_bytes(&msg), CMP_IP);
}

static void
kinds_of_keys(void **state)
{
	static const struct {
		const char *cn, *type, *param;
	} cases[] = {
		{ "rsa", "RSA", NULL },
		{ "p384", "EC", "P-384" },
		{ "ed25519", "ED25519", NULL },
		{ "ed448", "ED448", NULL },
	};
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 };
	struct signer *s;
	EVP_PKEY *k;
	size_t i;

	cmp_body_pollrep(0, 5, &body);
	for (i = 0; i < NELEMS(cases); i++) {
		if (strcmp(cases[i].type, "RSA") == 0)
			k = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
		else
			k = EVP_PKEY_Q_keygen(
			    NULL, NULL, cases[i].type, cases[i].param);
		assert_non_null(k);
		s = fixture_signer(f, cases[i].cn, k);
		judge_body(f, s, buf_bytes(&body), CMP_POLLREP);
		signer_free(s);
	}
}

static void
final_under_our_protection(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 }, msg AUTO_BUF = { 0 };
	struct buf ours AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct cmp_head h = fixture_head();
	struct err e = ERR_INIT;

	h.implicit_confirm = true;
	cmp_body_issued(CMP_IP, 0, f->issued, f->root, &body);
	fixture_build(&h, buf_bytes(&body), f->ra, &msg);
	m = fixture_parse(buf_bytes(&msg));
	assert_int_equal(
	    cmp_reprotect(m, X509_get_subject_name(f->device->cert),
		bytes_of("0123456789abcdef", 16), 1700000000, f->registrar,
		&ours, &e),
	    0);
	judge(f, buf_bytes(&ours), CMP_IP);
}

static void
nested_request(void **state)
{
	struct fixture *f = *state;
	struct buf ir AUTO_BUF = { 0 }, nested AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct err e = ERR_INIT;

	fixture_ir(f, &ir);
	judge(f, buf_bytes(&ir), CMP_IR);
	m = fixture_parse(buf_bytes(&ir));
	assert_int_equal(cmp_nest(m, f->registrar, &nested, &e), 0);
	judge(f, buf_bytes(&nested), CMP_NESTED);
}

/* The proof of possession under OpenSSL's own check of it. */
static void
possession(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 };
	OSSL_CRMF_MSGS *msgs;
	struct err e = ERR_INIT;
	const uint8_t *p;

	assert_int_equal(cmp_body_certreq(CMP_IR, f->new_key,
			     X509_get_subject_name(f->issued), &body, &e),
	    0);
	assert_int_equal(body.data[1], 0x81); /* [0], then the messages */
	p = body.data + 3;
	msgs = d2i_OSSL_CRMF_MSGS(NULL, &p, (long)body.len - 3);
	assert_non_null(msgs);
	assert_int_equal(OSSL_CRMF_MSGS_verify_popo(msgs, 0, 0, NULL, NULL), 1);
	OSSL_CRMF_MSGS_free(msgs);
}

static void
csr(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 };
	AUTO(X509_REQ) req = NULL;
	struct err e = ERR_INIT;
	const uint8_t *p;

	assert_int_equal(cmp_body_p10cr(f->new_key,
			     X509_get_subject_name(f->issued), &body, &e),
	    0);
	assert_int_equal(body.data[1], 0x81);
	p = body.data + 3;
	req = d2i_X509_REQ(NULL, &p, (long)body.len - 3);
	assert_non_null(req);
	assert_int_equal(X509_REQ_verify(req, f->new_key), 1);
}

static void
expect(struct buf *got, const char *want)
{
	AUTO(char) text = xmalloc(2 * got->len + 1);

	assert_string_equal(hex_format(text, got->data, got->len), want);
	buf_reset(got);
}

static void
golden_bodies(void **state)
{
	struct buf b AUTO_BUF = { 0 };

	(void)state;
	cmp_body_waiting(CMP_IR, 0, &b);
	expect(&b, "a10e300c300a30080201003003020103");
	cmp_body_waiting(CMP_CR, 0, &b);
	expect(&b, "a30e300c300a30080201003003020103");
	cmp_body_waiting(CMP_KUR, 0, &b);
	expect(&b, "a80e300c300a30080201003003020103");
	cmp_body_waiting(CMP_P10CR, -1, &b);
	expect(&b, "a30e300c300a30080201ff3003020103");
	cmp_body_waiting(CMP_GENM, -1, &b);
	expect(&b, "b70730053003020103");
	cmp_body_error(CMP_WAITING, 0, NULL, &b);
	expect(&b, "b70730053003020103");
	cmp_body_pollrep(0, 300, &b);
	expect(&b, "ba0b300930070201000202012c");
	cmp_body_pollrep(-1, 0, &b);
	expect(&b, "ba0a300830060201ff020100");
	cmp_body_pkiconf(&b);
	expect(&b, "b3020500");
	cmp_body_nested(bytes_of("\x30\x00", 2), &b);
	expect(&b, "b40430023000");
	cmp_body_pollreq(-1, &b);
	expect(&b, "b907300530030201ff");
	/* badPOP is bit 9: two octets, six of their bits unused. */
	cmp_body_error(CMP_REJECTION, CMP_BAD_POP, "no", &b);
	expect(&b, "b7123010300e02010230040c026e6f0303060040");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_of_ours),
		cmocka_unit_test(other_shapes_of_refusal_and_waiting),
		cmocka_unit_test(issued_certificates),
		cmocka_unit_test(requests_of_clients),
		cmocka_unit_test(header_with_all_we_write),
		cmocka_unit_test(kinds_of_keys),
		cmocka_unit_test(final_under_our_protection),
		cmocka_unit_test(nested_request),
		cmocka_unit_test(possession),
		cmocka_unit_test(csr),
		cmocka_unit_test(golden_bodies),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
