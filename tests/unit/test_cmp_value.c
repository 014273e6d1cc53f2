/* Values in CMP messages as we write them: numbers, lengths, texts, bits, and
 * keys of every kind. */
#include "cmp_written.h"

#include <openssl/err.h>

/* Each bit alone, to and fro. */
static void
failinfo_bits(void **state)
{
	struct fixture *f = *state;
	struct cmp_response r;
	struct err e = ERR_INIT;
	unsigned i;

	for (i = 0; i < 27; i++) {
		struct buf body AUTO_BUF = { 0 };
		AUTO(cmp_msg) m = NULL;

		cmp_body_error(CMP_REJECTION, 1u << i, NULL, &body);
		m = message(f->registrar, buf_bytes(&body));
		assert_int_equal(cmp_read_error(m, &r, &e), 0);
		assert_int_equal(r.fail, 1u << i);
		cmp_response_done(&r);
	}
}

/* RFC 9810 5.3.18: a certificate signed by EdDSA names no digest. */
static void
certhash_needs_a_digest(void **state)
{
	AUTO(EVP_PKEY) key =
	    EVP_PKEY_Q_keygen(NULL, NULL, "ED25519", (const char *)NULL);
	AUTO(X509) cert = NULL;
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct cmp_certconf c;
	struct err e = ERR_INIT;

	assert_non_null(key);
	cert = fixture_cert("ed25519", key, NULL, key);
	cmp_body_certconf(0, cert, true, NULL, &body);
	m = message(f->device, buf_bytes(&body));
	assert_int_equal(cmp_read_certconf(m, &c, &e), 0);
	assert_int_equal(c.hash_nid, NID_sha512);
	assert_int_equal(c.status, CMP_ACCEPTED);
	assert_int_equal(cmp_check_certhash(&c, cert, &e), 0);
	c.hash_nid = NID_undef;
	assert_int_equal(cmp_check_certhash(&c, cert, &e), -1);
	assert_int_equal(err_cmp_fail(&e), CMP_BAD_CERT_ID);
}

static void
texts_are_one_plain_line(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "plain", "0c05706c61696e" },
		{ "a\nb", "0c03613f62" },
		{ "\x1b[1m", "0c043f5b316d" },
		{ "\xc3\xa9", "0c02c3a9" },
		{ "\xc3(", "0c023f28" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct buf body AUTO_BUF = { 0 };
		char hex[128];

		cmp_body_error(CMP_REJECTION, 0, cases[i].in, &body);
		hex_format(hex, body.data, body.len);
		assert_non_null(strstr(hex, cases[i].out));
	}
}

static void
long_texts_are_cut(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct cmp_response r;
	struct err e = ERR_INIT;
	char text[1000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	cmp_body_error(CMP_REJECTION, 0, text, &body);
	m = message(f->registrar, buf_bytes(&body));
	assert_int_equal(cmp_read_error(m, &r, &e), 0);
	assert_int_equal(strlen(r.text), CMP_TEXT_MAX);
	cmp_response_done(&r);
}

/* Keys we sign with are keys we verify. */
static void
every_kind_of_key(void **state)
{
	static const struct {
		const char *type, *param;
	} cases[] = {
		{ "RSA", NULL },
		{ "EC", "P-256" },
		{ "EC", "P-384" },
		{ "EC", "P-521" },
		{ "ED25519", NULL },
		{ "ED448", NULL },
	};
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	size_t i;

	cmp_body_pkiconf(&body);
	for (i = 0; i < NELEMS(cases); i++) {
		EVP_PKEY *k = i == 0
		    ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048)
		    : EVP_PKEY_Q_keygen(
			  NULL, NULL, cases[i].type, cases[i].param);
		struct signer *s = fixture_signer(f, "key", k);
		AUTO(cmp_msg) m = message(s, buf_bytes(&body));

		assert_int_equal(cmp_check_header(m, &e), 0);
		assert_int_equal(cmp_verify(m, s->cert, &e), 0);
		assert_int_equal(cmp_verify(m, f->ra->cert, &e), -1);
		assert_int_equal(err_cmp_fail(&e), CMP_BAD_MESSAGE_CHECK);
		signer_free(s);
	}
	assert_int_equal(ERR_peek_error(), 0);
}

static void
key_that_cannot_sign(void **state)
{
	AUTO(EVP_PKEY) key =
	    EVP_PKEY_Q_keygen(NULL, NULL, "X25519", (const char *)NULL);
	struct fixture *f = *state;
	struct signer s = *f->registrar;
	struct buf body AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
	struct cmp_head h = fixture_head();
	struct err e = ERR_INIT;

	assert_non_null(key);
	s.key = key;
	cmp_body_pkiconf(&body);
	assert_int_equal(
	    cmp_build(&h, buf_bytes(&body), &s, NULL, &out, &e), -1);
	assert_int_equal(e.kind, ERR_LOCAL);
	assert_int_equal(out.len, 0);
	assert_int_equal(cmp_body_certreq(CMP_IR, key,
			     X509_get_subject_name(f->issued), &out, &e),
	    -1);
	assert_int_equal(out.len, 0);
}

static void
integers(void **state)
{
	static const struct {
		long in;
		const char *out;
	} cases[] = {
		{ 0, "020100" },
		{ -1, "0201ff" },
		{ 127, "02017f" },
		{ 128, "02020080" },
		{ -128, "020180" },
		{ -129, "0202ff7f" },
		{ 65536, "0203010000" },
		{ INT32_MAX, "02047fffffff" },
		{ INT32_MIN, "020480000000" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct buf b AUTO_BUF = { 0 };
		struct der d;
		char hex[32];

		der_add_long(&b, cases[i].in);
		assert_string_equal(
		    hex_format(hex, b.data, b.len), cases[i].out);
		d = der_open(buf_bytes(&b));
		assert_int_equal(der_long(&d), cases[i].in);
		assert_true(der_end(&d));
	}
}

static void
lengths(void **state)
{
	static const size_t sizes[] = { 0, 1, 127, 128, 255, 256, 65535,
		65536 };
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(sizes); i++) {
		struct buf b AUTO_BUF = { 0 };
		struct der d;

		memset(buf_grow(&b, sizes[i]), 'a', sizes[i]);
		der_close(&b, 0, DER_OCTETS);
		d = der_open(buf_bytes(&b));
		assert_int_equal(der_value(&d, DER_OCTETS).len, sizes[i]);
		assert_true(der_end(&d));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failinfo_bits),
		cmocka_unit_test(certhash_needs_a_digest),
		cmocka_unit_test(texts_are_one_plain_line),
		cmocka_unit_test(long_texts_are_cut),
		cmocka_unit_test(every_kind_of_key),
		cmocka_unit_test(key_that_cannot_sign),
		cmocka_unit_test(integers),
		cmocka_unit_test(lengths),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
