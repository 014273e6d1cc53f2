/* Support messages, revocation and key update: written, read again, and read by
 * OpenSSL; and what is refused of them. */
#include "cmp_fixture.h"

#include <openssl/cmp.h>

#include "common/pki/cmp_msg.h"

static struct cmp_msg *
message(const struct signer *s, struct bytes body)
{
	struct buf der AUTO_BUF = { 0 };
	struct cmp_head h = fixture_head();
	const uint8_t *p;
	OSSL_CMP_MSG *m;

	fixture_build(&h, body, s, &der);
	p = der.data;
	m = d2i_OSSL_CMP_MSG(NULL, &p, (long)der.len);
	assert_non_null(m);
	OSSL_CMP_MSG_free(m);
	return fixture_parse(buf_bytes(&der));
}

static void
a_revocation_names_its_certificate(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct cmp_revocation r;
	struct err e = ERR_INIT;

	cmp_body_rr(f->issued, 4, &body);
	m = message(f->device, buf_bytes(&body));
	assert_int_equal(cmp_body(m), CMP_RR);
	assert_int_equal(cmp_read_rr(m, &r, &e), 0);
	assert_int_equal(r.reason, 4);
	assert_true(cmp_names_cert(&r.cert, f->issued));
	assert_false(cmp_names_cert(&r.cert, f->device->cert));
	assert_false(cmp_names_cert(&r.cert, f->sub));
}

/* Cuts or changes the rr's octets at a mark, then mends lengths by hand. */
static void
revocations_that_name_nothing(void **state)
{
	/* RevDetails { CertTemplate, extensions } inside [11], SEQ OF */
	static const struct {
		const char *der;
		size_t len;
		uint32_t fail;
	} cases[] = {
		/* no issuer, no serial */
		{ "\xab\x06\x30\x04\x30\x02\x30\x00", 8, CMP_BAD_CERT_ID },
		/* serial alone */
		{ "\xab\x09\x30\x07\x30\x05\x30\x03\x81\x01\x05", 11,
		    CMP_BAD_CERT_ID },
		/* both, no reason */
		{ "\xab\x0d\x30\x0b\x30\x09\x30\x07\x81\x01\x05\xa3\x02\x30"
		  "\x00",
		    15, CMP_BAD_REQUEST },
		/* two RevDetails */
		{ "\xab\x0a\x30\x08\x30\x02\x30\x00\x30\x02\x30\x00", 12,
		    CMP_BAD_REQUEST },
		/* reason 7 is unused */
		{ "\xab\x1b\x30\x19\x30\x17\x30\x07\x81\x01\x05\xa3\x02\x30"
		  "\x00\x30\x0c\x30\x0a\x06\x03\x55\x1d\x15\x04\x03\x0a\x01"
		  "\x07",
		    29, CMP_BAD_REQUEST },
	};
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < NELEMS(cases); i++) {
		AUTO(cmp_msg) m = message(f->device,
		    bytes_of((const uint8_t *)cases[i].der, cases[i].len));
		struct cmp_revocation r;
		struct err e = ERR_INIT;

		assert_int_equal(cmp_read_rr(m, &r, &e), -1);
		assert_int_equal(err_cmp_fail(&e), cases[i].fail);
	}
}

static void
a_revocation_is_answered(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct cmp_response r = { 0 };
	struct err e = ERR_INIT;

	cmp_body_rp(CMP_ACCEPTED, 0, NULL, &body);
	m = message(f->ra, buf_bytes(&body));
	assert_int_equal(cmp_read_rp(m, &r, &e), 0);
	assert_int_equal(r.status, CMP_ACCEPTED);
	cmp_free(STEAL(m));
	buf_reset(&body);
	cmp_body_rp(CMP_REJECTION, CMP_BAD_CERT_ID, "not ours", &body);
	m = message(f->ra, buf_bytes(&body));
	assert_int_equal(cmp_read_rp(m, &r, &e), 0);
	assert_int_equal(r.status, CMP_REJECTION);
	assert_int_equal(r.fail, CMP_BAD_CERT_ID);
	assert_string_equal(r.text, "not ours");
}

static void
a_key_update_names_the_old_certificate(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct cmp_request r = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(
	    cmp_body_kur(f->new_key, X509_get_subject_name(f->device->cert),
		f->device->cert, &body, &e),
	    0);
	m = message(f->device, buf_bytes(&body));
	assert_int_equal(cmp_body(m), CMP_KUR);
	assert_int_equal(cmp_read_request(m, &r, &e), 0);
	assert_true(r.has_old);
	assert_true(cmp_names_cert(&r.old, f->device->cert));
	assert_false(cmp_names_cert(&r.old, f->issued));
	cmp_request_done(&r);
	cmp_free(STEAL(m));
	buf_reset(&body);
	/* Without the control: RFC 9483 4.1.3 does not require it. */
	assert_int_equal(cmp_body_certreq(CMP_KUR, f->new_key,
			     X509_get_subject_name(f->device->cert), &body, &e),
	    0);
	m = message(f->device, buf_bytes(&body));
	assert_int_equal(cmp_read_request(m, &r, &e), 0);
	assert_false(r.has_old);
	assert_int_equal(r.extensions.len, 0);
	cmp_request_done(&r);
}

static void
extensions_of_a_csr_are_seen(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	AUTO(cmp_msg) m = NULL;
	struct cmp_request r = { 0 };
	X509_REQ *req = issue_request(f->new_key,
	    X509_get_subject_name(f->device->cert), "DNS:relay.example", &e);
	uint8_t *p;
	int len;

	assert_non_null(req);
	len = i2d_X509_REQ(req, NULL);
	p = buf_grow(&body, (size_t)len);
	i2d_X509_REQ(req, &p);
	X509_REQ_free(req);
	cmp_close_body(&body, 0, CMP_P10CR);
	m = message(f->device, buf_bytes(&body));
	assert_int_equal(cmp_read_request(m, &r, &e), 0);
	assert_int_equal(r.id, -1);
	assert_true(r.extensions.len > 0);
	assert_non_null(
	    memmem(r.extensions.p, r.extensions.len, "relay.example", 13));
	cmp_request_done(&r);
}

static void
questions_and_their_answers(void **state)
{
	static const struct {
		enum cmp_info_type asked, answered;
	} cases[] = {
		{ CMP_INFO_CA_CERTS, CMP_INFO_CA_CERTS },
		{ CMP_INFO_TEMPLATE, CMP_INFO_TEMPLATE },
		{ CMP_INFO_ROOT_CERT, CMP_INFO_ROOT_UPDATE },
		{ CMP_INFO_CRL_STATUS, CMP_INFO_CRLS },
		{ CMP_INFO_CRLS, CMP_INFO_OTHER },
		{ CMP_INFO_OTHER, CMP_INFO_OTHER },
	};
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < NELEMS(cases); i++) {
		struct buf body AUTO_BUF = { 0 };
		AUTO(cmp_msg) m = NULL;
		struct cmp_info info;
		struct err e = ERR_INIT;

		cmp_body_info(
		    CMP_GENM, cases[i].asked, (struct bytes){ NULL, 0 }, &body);
		m = message(f->device, buf_bytes(&body));
		assert_int_equal(cmp_body(m), CMP_GENM);
		assert_int_equal(cmp_read_info(m, &info, &e), 0);
		assert_int_equal(info.type, cases[i].asked);
		assert_int_equal(info.value.len, 0);
		assert_int_equal(cmp_info_answer(info.type), cases[i].answered);
	}
}

static void
certificates_of_the_authority(void **state)
{
	struct fixture *f = *state;
	struct buf value AUTO_BUF = { 0 }, body AUTO_BUF = { 0 };
	AUTO(X509S) sent = sk_X509_new_null();
	AUTO(X509S) got = NULL;
	AUTO(cmp_msg) m = NULL;
	struct cmp_info info;
	struct err e = ERR_INIT;

	X509_up_ref(f->sub);
	X509_up_ref(f->root);
	sk_X509_push(sent, f->sub);
	sk_X509_push(sent, f->root);
	cmp_info_certs(sent, &value);
	cmp_body_info(CMP_GENP, CMP_INFO_CA_CERTS, buf_bytes(&value), &body);
	m = message(f->ra, buf_bytes(&body));
	assert_int_equal(cmp_read_info(m, &info, &e), 0);
	got = cmp_info_read_certs(info.value, &e);
	assert_int_equal(sk_X509_num(got), 2);
	assert_int_equal(X509_cmp(sk_X509_value(got, 1), f->root), 0);
	assert_null(cmp_info_read_certs(bytes_of("\x30\x00", 2), &e));
}

static void
a_new_root(void **state)
{
	struct fixture *f = *state;
	struct buf value AUTO_BUF = { 0 }, one AUTO_BUF = { 0 };
	AUTO(X509) read = NULL;
	struct err e = ERR_INIT;
	struct der d, update;

	cmp_info_root_update(f->root, NULL, f->sub, &value);
	d = der_open(buf_bytes(&value));
	update = der_enter(&d, DER_SEQ);
	assert_true(der_end(&d));
	der_whole(&update, DER_SEQ);
	assert_int_equal(der_peek(&update), DER_CTX(1));
	der_whole(&update, DER_CTX(1));
	assert_true(der_end(&update));
	ossl_cert_der(f->root, &one);
	read = cmp_info_read_root(buf_bytes(&one), &e);
	assert_int_equal(X509_cmp(read, f->root), 0);
	assert_null(cmp_info_read_root(bytes_of("\x30\x00", 2), &e));
}

static void
how_new_a_list_the_asker_has(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	uint64_t seconds;
	static const uint64_t times[] = { 0, 1795327200, 4000000000 };
	static const struct {
		const char *der;
		size_t len;
	} bad[] = {
		{ "\x30\x00", 2 },
		{ "\x30\x02\x30\x00", 4 },
		{ "\x30\x04\x30\x02\x05\x00", 6 },
		{ "\x30\x06\x30\x04\xa1\x00\x05\x00", 8 },
		{ "\x30\x08\x30\x02\xa1\x00\x30\x02\xa1\x00", 10 },
	};

	for (size_t i = 0; i < NELEMS(times); i++) {
		struct buf value AUTO_BUF = { 0 };

		cmp_info_crl_status(
		    X509_get_subject_name(f->root), times[i], &value);
		seconds = 1;
		assert_int_equal(
		    cmp_info_read_crl_status(buf_bytes(&value), &seconds, &e),
		    0);
		assert_int_equal(seconds, times[i]);
	}
	for (size_t i = 0; i < NELEMS(bad); i++)
		assert_int_equal(
		    cmp_info_read_crl_status(
			bytes_of((const uint8_t *)bad[i].der, bad[i].len),
			&seconds, &e),
		    -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_revocation_names_its_certificate),
		cmocka_unit_test(revocations_that_name_nothing),
		cmocka_unit_test(a_revocation_is_answered),
		cmocka_unit_test(a_key_update_names_the_old_certificate),
		cmocka_unit_test(extensions_of_a_csr_are_seen),
		cmocka_unit_test(questions_and_their_answers),
		cmocka_unit_test(certificates_of_the_authority),
		cmocka_unit_test(a_new_root),
		cmocka_unit_test(how_new_a_list_the_asker_has),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
