/* For whom a voucher is, and who signs it. */
#include "voucher_text.h"

#include "common/pki/certfacts.h"
#include "common/pki/voucher.h"

/* ---- judging ------------------------------------------------------------ */

#define EXPIRES 1800000000

static void
vouchers_are_for_one_request_and_device(void **state)
{
	static const struct {
		const char *what, *said, *nonce, *serial;
		uint64_t expires, now;
		const char *reason; /* NULL: fine */
	} cases[] = {
		{ "nonce", "AAAA", "AAAA", "SN-1", 0, EXPIRES, NULL },
		{ "nonceless", "", "", "SN-1", EXPIRES, EXPIRES - 1, NULL },
		{ "no clock", "", "", "SN-1", EXPIRES, 0, NULL },
		{ "other nonce", "AAAA", "AAAB", "SN-1", 0, 0,
		    "RFC 8995 5.6.1: nonce differs" },
		{ "nonce of other case", "aaaa", "AAAA", "SN-1", 0, 0,
		    "nonce differs" },
		{ "longer nonce", "AAAAA", "AAAA", "SN-1", 0, 0,
		    "nonce differs" },
		{ "no nonce", "", "AAAA", "SN-1", 0, 0, "no nonce" },
		{ "nonce unasked for", "AAAA", "", "SN-1", 0, 0,
		    "none was asked" },
		{ "other device", "AAAA", "AAAA", "SN-2", 0, 0,
		    "serial-number SN-1, expected SN-2" },
		{ "longer number", "AAAA", "AAAA", "SN-12", 0, 0,
		    "serial-number" },
		{ "expired", "", "", "SN-1", EXPIRES, EXPIRES,
		    "expires-on: expired at 2027-01-15T08:00:00Z" },
		{ "expired with nonce", "AAAA", "AAAA", "SN-1", EXPIRES,
		    EXPIRES + 1, "expires-on" },
	};
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < NELEMS(cases); i++) {
		struct vch v = { .serial = "SN-1" };
		struct err e = ERR_INIT;
		int rc;

		v.expires_on = cases[i].expires;
		str_copy(v.nonce, sizeof(v.nonce), cases[i].said);
		rc = vch_check(&v, cases[i].nonce, cases[i].serial,
		    f->device->cert, cases[i].now, &e);
		if (rc != (cases[i].reason == NULL ? 0 : -1))
			fail_msg("%s: %s", cases[i].what, e.msg);
		if (rc == 0)
			continue;
		assert_int_equal(e.kind, ERR_TRUST);
		assert_non_null(strstr(e.msg, cases[i].reason));
		/* What is secret until it is used is not for logs. */
		assert_null(strstr(e.msg, "AAAA"));
	}
}

static int
check_issuer(struct bytes said, X509 *idevid)
{
	struct vch v = { .serial = "SN-1" };
	struct err e = ERR_INIT;
	int rc;

	buf_add(&v.idevid_issuer, said.p, said.len);
	rc = vch_check(&v, "", "SN-1", idevid, 0, &e);
	assert_int_equal(e.kind, rc == 0 ? ERR_NONE : ERR_TRUST);
	if (rc == -1)
		assert_non_null(strstr(e.msg, "idevid-issuer"));
	buf_done(&v.idevid_issuer);
	return rc;
}

static void
idevid_issuer_is_read_in_three_ways(void **state)
{
	struct fixture *f = *state;
	X509 *idevid = f->device->cert;
	AUTO(X509) bare = X509_dup(f->device->cert);
	struct bytes id = cert_ski(f->sub);
	struct buf value AUTO_BUF = { 0 };
	struct buf element AUTO_BUF = { 0 };
	struct buf none AUTO_BUF = { 0 };

	vch_idevid_issuer(idevid, &value);
	/* Nothing to compare it with. */
	assert_int_equal(check_issuer(buf_bytes(&value), NULL), 0);
	/* SEQUENCE { [0] keyIdentifier } */
	assert_int_equal(value.len, 4 + id.len);
	assert_int_equal(value.data[0], 0x30);
	assert_memory_equal(value.data + 4, id.p, id.len);
	buf_add(&element, "\x04", 1);
	buf_add(&element, &(uint8_t){ (uint8_t)value.len }, 1);
	buf_add(&element, value.data, value.len);
	assert_int_equal(check_issuer(buf_bytes(&value), idevid), 0);
	assert_int_equal(check_issuer(buf_bytes(&element), idevid), 0);
	assert_int_equal(check_issuer(id, idevid), 0);
	assert_int_equal(
	    check_issuer(bytes_of(value.data, value.len - 1), idevid), -1);
	assert_int_equal(check_issuer(bytes_of(id.p, id.len - 1), idevid), -1);
	/* Issued by the root, which has another key. */
	assert_int_equal(check_issuer(buf_bytes(&value), f->sub), -1);
	X509_EXTENSION_free(X509_delete_ext(
	    bare, X509_get_ext_by_NID(bare, NID_authority_key_identifier, -1)));
	vch_idevid_issuer(bare, &none);
	assert_int_equal(none.len, 0);
	assert_int_equal(check_issuer(buf_bytes(&value), bare), -1);
}

/* ---- audit logs --------------------------------------------------------- */

static void
domain_is_known_by_its_key_identifier(void **state)
{
	struct fixture *f = *state;
	AUTO(X509) bare = X509_dup(f->root);
	struct bytes ski = cert_ski(f->root);
	struct digest spki = spki_digest(X509_get0_pubkey(f->root));
	struct buf want AUTO_BUF = { 0 };
	struct buf got AUTO_BUF = { 0 };

	base64_format(&want, ski.p, ski.len);
	vch_domain_id(f->root, &got);
	assert_string_equal(buf_cstr(&got), buf_cstr(&want));
	X509_EXTENSION_free(X509_delete_ext(
	    bare, X509_get_ext_by_NID(bare, NID_subject_key_identifier, -1)));
	buf_reset(&got);
	vch_domain_id(bare, &got);
	buf_reset(&want);
	base64_format(&want, spki.b, sizeof(spki.b));
	assert_string_equal(buf_cstr(&got), buf_cstr(&want));
}

/* ---- status and answer -------------------------------------------------- */

/* Under one root with its MASA a maker has all its devices. */
static void
vouchers_are_not_a_devices_to_sign(void **state)
{
	static const struct {
		const char *what, *serial, *masa_url;
		int rc;
	} cases[] = {
		{ "a MASA", NULL, NULL, 0 },
		{ "an IDevID", "SN-1", "https://masa.example", -1 },
		{ "an IDevID without a MASA", "SN-1", NULL, -1 },
		{ "one that names a MASA", NULL, "https://masa.example", -1 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < NELEMS(cases); i++) {
		AUTO(X509_NAME) name = issue_name("x", "o", cases[i].serial);
		struct issue_spec spec = {
			.subject = name,
			.pubkey = f->new_key,
			.not_before = 1500000000,
			.not_after = 4000000000,
			.key_usage = "critical,digitalSignature",
			.masa_url = cases[i].masa_url,
		};
		struct err e = ERR_INIT;
		AUTO(X509) x = issue_cert(&spec, f->sub, f->sub_key, &e);

		assert_non_null(x);
		if (vch_check_signer(x, &e) != cases[i].rc)
			fail_msg("%s", cases[i].what);
		assert_int_equal(
		    e.kind, cases[i].rc == 0 ? ERR_NONE : ERR_TRUST);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vouchers_are_for_one_request_and_device),
		cmocka_unit_test(vouchers_are_not_a_devices_to_sign),
		cmocka_unit_test(idevid_issuer_is_read_in_three_ways),
		cmocka_unit_test(domain_is_known_by_its_key_identifier),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
