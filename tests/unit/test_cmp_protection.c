/* Protection of CMP messages as peers, broken ones and hostile ones, send it. */
#include "cmp_raw.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

/* ---- protection -------------------------------------------------------- */

static void
ir_as_sent(void **state)
{
	struct fixture *f = *state;
	struct buf der AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct cmp_request r = { 0 };
	struct err e = ERR_INIT;
	X509 *signer;

	fixture_ir(f, &der);
	m = fixture_parse(buf_bytes(&der));
	assert_true(bytes_eq(cmp_der(m), buf_bytes(&der)));
	assert_ptr_not_equal(cmp_der(m).p, der.data);
	assert_int_equal(cmp_body(m), CMP_IR);
	assert_int_equal(cmp_pvno(m), 2);
	assert_true(bytes_eq(cmp_transaction_id(m), bytes_of(fixture_tid, 16)));
	assert_true(bytes_eq(cmp_sender_nonce(m), bytes_of(fixture_nonce, 16)));
	assert_int_equal(cmp_recip_nonce(m).len, 0);
	assert_int_equal(X509_NAME_cmp(cmp_sender(m),
			     X509_get_subject_name(f->device->cert)),
	    0);
	assert_int_equal(X509_NAME_cmp(cmp_recipient(m),
			     X509_get_subject_name(f->registrar->cert)),
	    0);
	assert_false(cmp_implicit_confirm(m));
	assert_string_equal(cmp_profile(m), "");
	assert_int_equal(cmp_check_header(m, &e), 0);
	assert_non_null(signer = cmp_find_signer(m, NULL, &e));
	assert_int_equal(X509_cmp(signer, f->device->cert), 0);
	assert_int_equal(cmp_verify(m, signer, &e), 0);
	assert_int_equal(cmp_read_request(m, &r, &e), 0);
	assert_int_equal(r.id, 0);
	assert_int_equal(EVP_PKEY_eq(r.pubkey, f->new_key), 1);
	assert_int_equal(
	    X509_NAME_cmp(r.subject, X509_get_subject_name(f->issued)), 0);
	cmp_request_done(&r);
	assert_int_equal(ERR_peek_error(), 0);
}

static bool
holds(struct bytes der, X509 *signer)
{
	AUTO(cmp_msg) m = NULL;
	struct err e = ERR_INIT;
	bool ok;

	ok = cmp_parse(der, &m, &e) == 0 && cmp_check_header(m, &e) == 0 &&
	    cmp_verify(m, signer, &e) == 0;
	assert_int_equal(ERR_peek_error(), 0);
	if (!ok)
		assert_int_not_equal(e.kind, ERR_NONE);
	return ok;
}

/* One bit anywhere in header, body or protection; extraCerts are behind. */
static void
tampered_anywhere(void **state)
{
	struct fixture *f = *state;
	struct buf der AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	size_t i, end;

	fixture_ir(f, &der);
	m = fixture_parse(buf_bytes(&der));
	end = (size_t)(m->protection.p - m->der.data) + m->protection.len;
	assert_true(holds(buf_bytes(&der), f->device->cert));
	for (i = 0; i < der.len; i++) {
		der.data[i] ^= (uint8_t)(1 << i % 8);
		if (holds(buf_bytes(&der), f->device->cert) && i < end)
			fail_msg("octet %zu of %zu", i, end);
		der.data[i] ^= (uint8_t)(1 << i % 8);
	}
}

static void
tampered_body_says_so(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 }, der AUTO_BUF = { 0 };
	struct cmp_head h = fixture_head();
	AUTO(cmp_msg) m = NULL;
	struct err e = ERR_INIT;

	cmp_body_pollreq(0, &body);
	fixture_build(&h, buf_bytes(&body), f->device, &der);
	m = fixture_parse(buf_bytes(&der));
	((uint8_t *)m->body.p)[m->body.len - 1] = 0xff;
	assert_int_equal(cmp_verify(m, f->device->cert, &e), -1);
	assert_int_equal(e.kind, ERR_TRUST);
	assert_int_equal(err_cmp_fail(&e), CMP_BAD_MESSAGE_CHECK);
}

static void
another_key(void **state)
{
	struct fixture *f = *state;
	struct buf der AUTO_BUF = { 0 };

	fixture_ir(f, &der);
	assert_false(holds(buf_bytes(&der), f->registrar->cert));
}

static void
unprotected_does_not_verify(void **state)
{
	struct fixture *f = *state;
	struct buf der AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct raw raw = plain;
	struct err e = ERR_INIT;

	raw.tail = "";
	craft(&raw, &der);
	m = fixture_parse(buf_bytes(&der));
	assert_int_equal(cmp_verify(m, f->device->cert, &e), -1);
	assert_int_equal(err_cmp_fail(&e), CMP_BAD_MESSAGE_CHECK);
}

/* RSASSA-PSS as libcrypto writes it. */
static void
pss_of(EVP_PKEY *key, const char *md, const char *mask, struct buf *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *k = NULL;
	uint8_t der[256];
	OSSL_PARAM params[] = { OSSL_PARAM_octet_string(
				    OSSL_SIGNATURE_PARAM_ALGORITHM_ID, der,
				    sizeof(der)),
		OSSL_PARAM_END };

	assert_int_equal(
	    EVP_DigestSignInit_ex(ctx, &k, md, NULL, NULL, key, NULL), 1);
	assert_true(EVP_PKEY_CTX_set_rsa_padding(k, RSA_PKCS1_PSS_PADDING) > 0);
	assert_true(EVP_PKEY_CTX_set_rsa_mgf1_md_name(k, mask, NULL) > 0);
	assert_int_equal(EVP_PKEY_CTX_get_params(k, params), 1);
	buf_add(out, der, params[0].return_size);
	EVP_MD_CTX_free(ctx);
}

/* RFC 9481 3.1 */
static void
a_mask_is_of_the_hash(void **state)
{
	static const struct {
		const char *md, *mask;
		uint32_t fail;
	} cases[] = {
		{ "SHA256", "SHA256", 0 },
		{ "SHA384", "SHA384", 0 },
		{ "SHA512", "SHA512", 0 },
		{ "SHA1", "SHA1", CMP_BAD_ALG },
		{ "SHA1", "SHA256", CMP_BAD_ALG },
		{ "SHA256", "SHA1", CMP_BAD_ALG },
		{ "SHA256", "SHA512", CMP_BAD_ALG },
		{ "SHA224", "SHA224", CMP_BAD_ALG },
	};
	/* SHA-256, then no mask; one that is not MGF1; one of nothing. */
	static const char *const odd[] = {
		"301e06092a864886f70d01010a3011a00f300d06096086480165030402010"
		"500",
		"302a06092a864886f70d01010a301da00f300d06096086480165030402010"
		"500a10a300806042a0304050500",
		"302d06092a864886f70d01010a3020a00f300d06096086480165030402010"
		"500a10d300b06092a864886f70d010108",
	};
	AUTO(EVP_PKEY) key = EVP_RSA_gen(2048);
	struct buf der AUTO_BUF = { 0 };

	(void)state;
	for (size_t i = 0; i < NELEMS(cases) + NELEMS(odd); i++) {
		bool crafted = i >= NELEMS(cases);
		uint32_t fail = crafted ? CMP_BAD_ALG : cases[i].fail;
		struct err e = ERR_INIT;

		buf_reset(&der);
		if (crafted)
			add_hex(&der, odd[i - NELEMS(cases)]);
		else
			pss_of(key, cases[i].md, cases[i].mask, &der);
		if (cmp_check_alg(buf_bytes(&der), &e) != (fail ? -1 : 0) ||
		    (fail != 0 && e.fail != fail))
			fail_msg("case %zu: %s", i, e.msg);
		assert_int_equal(ERR_peek_error(), 0);
	}
}

static void
weak_signer_is_not_tried(void **state)
{
	struct fixture *f = *state;
	struct buf der AUTO_BUF = { 0 };
	AUTO(EVP_PKEY) key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
	AUTO(X509) cert = NULL;
	AUTO(cmp_msg) m = NULL;
	struct err e = ERR_INIT;

	assert_non_null(key);
	cert = fixture_cert("weak", key, f->sub, f->sub_key);
	fixture_ir(f, &der);
	m = fixture_parse(buf_bytes(&der));
	assert_int_equal(cmp_verify(m, cert, &e), -1);
	assert_int_equal(err_cmp_fail(&e), CMP_BAD_ALG);
}

static void
signer_by_name_and_key_id(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 }, der AUTO_BUF = { 0 };
	struct buf alien AUTO_BUF = { 0 };
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(X509) twin = fixture_cert("device", key, f->sub, f->sub_key);
	AUTO(X509) alias =
	    fixture_cert("alias", f->device->key, f->sub, f->sub_key);
	struct cmp_head h = fixture_head();
	struct signer *no_extra;
	AUTO(cmp_msg) m = NULL;
	AUTO(cmp_msg) other = NULL;
	struct err e = ERR_INIT;
	struct raw raw = plain;

	cmp_body_pollreq(0, &body);
	no_extra = signer_new(f->device->key, f->device->cert, NULL);
	fixture_build(&h, buf_bytes(&body), no_extra, &der);
	signer_free(no_extra);
	m = fixture_parse(buf_bytes(&der));
	/* The same name with another key is not the signer. */
	X509_free(sk_X509_delete(m->extra, 0));
	assert_null(cmp_find_signer(m, NULL, &e));
	assert_int_equal(e.kind, ERR_TRUST);
	assert_int_equal(err_cmp_fail(&e), CMP_SIGNER_NOT_TRUSTED);
	assert_null(cmp_find_signer(m, twin, &e));
	assert_null(cmp_find_signer(m, alias, &e));
	assert_ptr_equal(
	    cmp_find_signer(m, f->device->cert, &e), f->device->cert);
	/* A sender without a directoryName is nobody. */
	raw.sender = "820161";
	craft(&raw, &alien);
	other = fixture_parse(buf_bytes(&alien));
	assert_null(cmp_sender(other));
	assert_null(cmp_find_signer(other, f->device->cert, &e));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ir_as_sent),
		cmocka_unit_test(tampered_anywhere),
		cmocka_unit_test(tampered_body_says_so),
		cmocka_unit_test(another_key),
		cmocka_unit_test(unprotected_does_not_verify),
		cmocka_unit_test(a_mask_is_of_the_hash),
		cmocka_unit_test(weak_signer_is_not_tried),
		cmocka_unit_test(signer_by_name_and_key_id),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
