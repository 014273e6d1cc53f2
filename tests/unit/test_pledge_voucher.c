#include "tests/unit/pledge_lab.h"

#include <string.h>

#include "manufacturer/pledge_voucher.h"

static struct lab lab;
static struct trust *vendor;
static struct buf request;

static int
setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	lab_init(&lab);
	vendor = trust_new();
	if (trust_add_cert(vendor, "vendor", lab.vendor.cert, &e) == -1 ||
	    pledge_voucher_request(lab.device, lab.registrar->cert,
		clock_now().time, &request, &e) == -1)
		fail_msg("%s", e.msg);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	buf_done(&request);
	trust_free(vendor);
	lab_done(&lab);
	return 0;
}

/* ---- the request ------------------------------------------------------ */

static void
a_request_names_device_and_registrar_and_is_signed_by_the_idevid(void **state)
{
	struct vch_request q = { 0 };
	struct buf server AUTO_BUF = { 0 };
	struct cms_signed c = { 0 };
	AUTO(X509) named = NULL;
	struct err e = ERR_INIT;

	(void)state;
	ossl_cert_der(lab.registrar->cert, &server);
	lab_read_request(buf_bytes(&request), &q);
	assert_string_equal(q.serial, LAB_SERIAL);
	assert_int_equal(q.assertion, VCH_PROXIMITY);
	assert_int_equal(strlen(q.created_on), 20);
	assert_true(bytes_eq(buf_bytes(&q.proximity), buf_bytes(&server)));
	assert_int_equal(q.prior.len, 0);
	vch_request_done(&q);

	assert_int_equal(cms_open(buf_bytes(&request), NULL, &c, &e), 0);
	assert_int_equal(c.type, nid_json_voucher());
	assert_int_equal(X509_cmp(c.signer, lab.device->cert), 0);
	cms_signed_done(&c);

	named = pledge_voucher_registrar(buf_bytes(&request), &e);
	assert_non_null(named);
	assert_int_equal(X509_cmp(named, lab.registrar->cert), 0);
}

static void
every_request_has_its_own_nonce_and_no_date_without_a_clock(void **state)
{
	struct buf second AUTO_BUF = { 0 };
	struct vch_request a = { 0 }, b = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(pledge_voucher_request(
			     lab.device, lab.registrar->cert, 0, &second, &e),
	    0);
	lab_read_request(buf_bytes(&request), &a);
	lab_read_request(buf_bytes(&second), &b);
	assert_int_equal(strlen(a.nonce), 24); /* base64 of 16 octets */
	assert_int_equal(strlen(b.nonce), 24);
	assert_string_not_equal(a.nonce, b.nonce);
	assert_string_equal(b.created_on, "");
	vch_request_done(&a);
	vch_request_done(&b);
}

static void
a_request_that_is_not_whole_names_nobody(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_null(pledge_voucher_registrar(
	    bytes_of(request.data, request.len - 1), &e));
	assert_int_equal(e.kind, ERR_INPUT);
}

/* ---- judging ---------------------------------------------------------- */

enum who { MASA, FOREIGNER, SIBLING, ANCHOR };

static const struct judged {
	const char *what, *why; /* why NULL: accepted */
	const char *nonce, *serial;
	int64_t expires; /* from now; 0: not at all */
	int type;	 /* of the content; 0: as it should be */
	enum who signer;
	bool no_clock, no_assertion, no_pin;
} judged[] = {
	{ "as it should be", NULL },
	{ "in RFC 8995's example type", NULL, .type = NID_pkcs7_data },
	{ "without nonce, with an end", NULL, .nonce = "", .expires = 600 },
	{ "past its end, by a device without a clock", NULL, .nonce = "",
	    .expires = -600, .no_clock = true },
	{ "without nonce and end", "neither nonce nor expires-on",
	    .nonce = "" },
	{ "another nonce", "nonce differs",
	    .nonce = "AAAAAAAAAAAAAAAAAAAAAA==" },
	{ "another device's", "serial-number", .serial = "SN-8" },
	{ "expired", "expired", .nonce = "", .expires = -600 },
	{ "another sort of content", "id-ct-animaJSONVoucher",
	    .type = NID_pkcs7_signed },
	{ "no assertion", "assertion", .no_assertion = true },
	{ "no pin", "pinned-domain-cert", .no_pin = true },
	{ "another maker's", "signer", .signer = FOREIGNER },
	{ "a device of the same maker's", "a device's certificate",
	    .signer = SIBLING },
	{ "an authority's key", "digitalSignature", .signer = ANCHOR },
};

static void
make_voucher(const struct judged *c, struct buf *out)
{
	struct signer *anchor =
	    signer_new(lab.vendor.key, lab.vendor.cert, NULL);
	const struct signer *const signers[] = { lab.masa, lab.foreigner,
		lab.sibling, anchor };
	struct buf json AUTO_BUF = { 0 };
	struct vch v = { 0 };

	lab_voucher(buf_bytes(&request), lab.domain.cert, &v);
	if (c->nonce != NULL)
		str_copy(v.nonce, sizeof(v.nonce), c->nonce);
	if (c->serial != NULL)
		str_copy(v.serial, sizeof(v.serial), c->serial);
	if (c->expires != 0)
		v.expires_on = clock_now().time + (uint64_t)c->expires;
	if (c->no_assertion)
		v.assertion = VCH_NO_ASSERTION;
	if (c->no_pin) {
		X509_free(v.pin);
		v.pin = NULL;
	}
	vch_format(&v, &json);
	lab_sign(c->type != 0 ? c->type : nid_json_voucher(), buf_bytes(&json),
	    signers[c->signer], out);
	vch_done(&v);
	signer_free(anchor);
}

static struct pledge_voucher
against(bool no_clock)
{
	return (struct pledge_voucher){ .idevid = lab.device->cert,
		.vendor = vendor,
		.request = buf_bytes(&request),
		.now = no_clock ? 0 : clock_now().time };
}

static void
judge_case(const struct judged *c)
{
	struct pledge_voucher v = against(c->no_clock);
	struct buf der AUTO_BUF = { 0 };
	X509 *untouched = lab.stranger.cert, *pin = untouched;
	struct err e = ERR_INIT;
	int rc;

	make_voucher(c, &der);
	rc = pledge_voucher_judge(&v, buf_bytes(&der), &pin, &e);
	print_message("%s: %s\n", c->what, rc == 0 ? "accepted" : e.msg);
	assert_int_equal(rc, c->why == NULL ? 0 : -1);
	if (c->why == NULL) {
		assert_int_equal(X509_cmp(pin, lab.domain.cert), 0);
		X509_free(pin);
		return;
	}
	assert_ptr_equal(pin, untouched);
	assert_int_equal(e.kind, ERR_TRUST);
	assert_true(str_starts(e.msg, "voucher: "));
	assert_non_null(strstr(e.msg, c->why));
}

static void
vouchers_are_judged(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEMS(judged); i++)
		judge_case(&judged[i]);
}

static void
no_changed_octet_changes_what_a_voucher_says(void **state)
{
	struct pledge_voucher v = against(false);
	struct buf der AUTO_BUF = { 0 };
	unsigned tried = 0, passed = 0;
	X509 *pin = NULL;
	struct err e = ERR_INIT;

	(void)state;
	make_voucher(&judged[0], &der);
	/* Every 7th: each is a verification.  What CMS leaves unsigned (the list
	 * of digests, versions) may differ, what is said may not. */
	for (size_t i = 0; i < der.len; i += 7, tried++) {
		der.data[i] ^= 1;
		if (pledge_voucher_judge(&v, buf_bytes(&der), &pin, &e) == 0) {
			assert_int_equal(X509_cmp(pin, lab.domain.cert), 0);
			X509_free(STEAL(pin));
			passed++;
		} else {
			assert_int_equal(e.kind, ERR_TRUST);
		}
		der.data[i] ^= 1;
	}
	print_message("%u of %u changes changed nothing\n", passed, tried);
	assert_true(tried > 100 && passed < tried / 20);
	for (size_t n = 0; n < der.len; n += 101)
		assert_int_equal(
		    pledge_voucher_judge(&v, bytes_of(der.data, n), &pin, &e),
		    -1);
	assert_null(pin);
	assert_int_equal(
	    pledge_voucher_judge(&v, buf_bytes(&der), &pin, &e), 0);
	X509_free(pin);
}

static void
a_voucher_for_another_request_of_ours_is_not_for_this_one(void **state)
{
	struct buf next AUTO_BUF = { 0 };
	struct buf der AUTO_BUF = { 0 };
	struct pledge_voucher v = against(false);
	X509 *pin = NULL;
	struct err e = ERR_INIT;

	(void)state;
	make_voucher(&judged[0], &der);
	assert_int_equal(pledge_voucher_request(
			     lab.device, lab.registrar->cert, v.now, &next, &e),
	    0);
	v.request = buf_bytes(&next);
	assert_int_equal(
	    pledge_voucher_judge(&v, buf_bytes(&der), &pin, &e), -1);
	assert_non_null(strstr(e.msg, "nonce differs"));
	assert_null(pin);
}

/* ---- telling ---------------------------------------------------------- */

static void
a_status_tells_the_reason_of_a_failure_alone(void **state)
{
	struct buf good AUTO_BUF = { 0 };
	struct buf bad AUTO_BUF = { 0 };
	struct vch_status s = { 0 };
	struct err e = ERR_INIT;
	char reason[ERR_MSG_MAX];

	(void)state;
	pledge_voucher_status(NULL, &good);
	assert_int_equal(vch_status_parse(buf_bytes(&good), &s, &e), 0);
	assert_true(s.status);
	assert_int_equal(s.version, 1);
	assert_string_equal(s.reason, "");

	memset(reason, 'r', sizeof(reason));
	reason[sizeof(reason) - 1] = '\0';
	memcpy(reason, "a \"b\"\xc3\xa4", 7);
	pledge_voucher_status(reason, &bad);
	assert_int_equal(vch_status_parse(buf_bytes(&bad), &s, &e), 0);
	assert_false(s.status);
	assert_true(str_starts(s.reason, "a \"b\"??rrr"));
	assert_int_equal(strlen(s.reason), sizeof(s.reason) - 1);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_request_names_device_and_registrar_and_is_signed_by_the_idevid),
		cmocka_unit_test(
		    every_request_has_its_own_nonce_and_no_date_without_a_clock),
		cmocka_unit_test(a_request_that_is_not_whole_names_nobody),
		cmocka_unit_test(vouchers_are_judged),
		cmocka_unit_test(no_changed_octet_changes_what_a_voucher_says),
		cmocka_unit_test(
		    a_voucher_for_another_request_of_ours_is_not_for_this_one),
		cmocka_unit_test(a_status_tells_the_reason_of_a_failure_alone),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
