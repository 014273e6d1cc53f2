#include "masa_case.h"

static void
old_type(struct lab_request *q)
{
	q->type = NID_pkcs7_data;
}

static void
wrong_type(struct lab_request *q)
{
	q->type = NID_pkcs7_signed;
}

static void
no_cmcra(struct lab_request *q)
{
	q->registrar = lab->home.member;
	q->seen = lab->home.member->cert;
}

static void
no_root(struct lab_request *q)
{
	q->root = NULL;
}

static void
strange_root(struct lab_request *q)
{
	q->root = lab->elsewhere.root->cert;
}

static void
no_date(struct lab_request *q)
{
	q->rvr.created_on[0] = '\0';
}

static void
bad_date(struct lab_request *q)
{
	str_copy(q->rvr.created_on, VCH_TIME_MAX, "yesterday");
}

static void
future(struct lab_request *q)
{
	clock_format(q->rvr.created_on, lab->now + MASA_AHEAD_MAX + 60);
}

static void
a_little_ahead(struct lab_request *q)
{
	clock_format(q->rvr.created_on, lab->now + MASA_AHEAD_MAX - 60);
}

static void
carried(struct lab_request *q)
{
	clock_format(q->rvr.created_on, lab->now - MASA_AGE_MAX + 60);
}

static void
stale(struct lab_request *q)
{
	clock_format(q->rvr.created_on, lab->now - MASA_AGE_MAX - 60);
}

static void
stale_again(struct lab_request *q)
{
	stale(q);
	q->again = true;
}

static void
stale_without_clock(struct lab_request *q)
{
	stale(q);
	q->now.quality = CLOCK_NONE;
}

/* The same second, told elsewhere on earth. */
static void
zoned(struct lab_request *q)
{
	time_t t = (time_t)lab->now + 8 * 3600 + 1800;
	struct tm tm;

	strftime(q->rvr.created_on, VCH_TIME_MAX, "%Y-%m-%dT%H:%M:%S.25+08:30",
	    gmtime_r(&t, &tm));
}

static void
zoned_ahead(struct lab_request *q)
{
	time_t t = (time_t)lab->now;
	struct tm tm;

	strftime(q->rvr.created_on, VCH_TIME_MAX, "%Y-%m-%dT%H:%M:%S-08:30",
	    gmtime_r(&t, &tm));
}

static void
no_prior(struct lab_request *q)
{
	q->device = NULL;
}

static void
fake_device(struct lab_request *q)
{
	q->device = lab->fake;
}

static void
nameless_device(struct lab_request *q)
{
	q->device = lab->nameless;
}

static void
signed_by_masa(struct lab_request *q)
{
	q->device = lab->voucher;
}

static void
other_device(struct lab_request *q)
{
	q->device = lab->other_device;
}

static void
other_serial(struct lab_request *q)
{
	str_copy(q->rvr.serial, VCH_SERIAL_MAX, "SN-2");
}

static void
other_pledge_serial(struct lab_request *q)
{
	str_copy(q->pledge.serial, VCH_SERIAL_MAX, "SN-2");
}

static void
long_serial(struct lab_request *q)
{
	memset(q->rvr.serial, 'x', MASA_SERIAL_MAX + 1);
	q->rvr.serial[MASA_SERIAL_MAX + 1] = '\0';
}

static void
other_nonce(struct lab_request *q)
{
	q->rvr.nonce[0] = 'x';
}

static void
pledge_without_nonce(struct lab_request *q)
{
	q->pledge.nonce[0] = '\0';
}

static void
no_issuer(struct lab_request *q)
{
	q->issuer_of = NULL;
}

static void
other_issuer(struct lab_request *q)
{
	q->issuer_of = lab->fake->cert;
}

static void
no_proximity(struct lab_request *q)
{
	q->seen = NULL;
}

static void
other_registrar(struct lab_request *q)
{
	q->seen = lab->elsewhere.registrar->cert;
}

/* RFC 8995 5.5.5: anywhere in the chain. */
static void
seen_ca(struct lab_request *q)
{
	q->seen = lab->home.ca->cert;
}

static void
not_a_cert(struct lab_request *q)
{
	q->seen = NULL;
	buf_add_str(&q->pledge.proximity, "not a certificate");
}

static void
nonceless_no_client(struct lab_request *q)
{
	nonceless(q);
	q->peer = NULL;
}

static void
nonceless_stranger(struct lab_request *q)
{
	nonceless(q);
	q->peer = lab->elsewhere.registrar->cert;
	q->peer_chain = lab->elsewhere.registrar->chain;
}

static void
nonceless_with_prior(struct lab_request *q)
{
	nonceless(q);
	q->device = lab->device;
}

static void
nonceless_no_date(struct lab_request *q)
{
	nonceless(q);
	q->rvr.created_on[0] = '\0';
}

static void
nonceless_other_issuer(struct lab_request *q)
{
	nonceless(q);
	q->issuer_of = lab->fake->cert;
}

static void
nonceless_unknown_registrar(struct lab_request *q)
{
	nonceless(q);
	q->registrars = lab->devices;
}

static void
nonceless_known_registrar(struct lab_request *q)
{
	nonceless(q);
	q->registrars = lab->devices;
	q->peer = lab->voucher->cert;
}

static const struct {
	const char *what;
	void (*change)(struct lab_request *q);
	int status;
	const char *why;
} cases[] = {
	{ "sound", no_change, 0, "" },
	{ "content of type data", old_type, 0, "" },
	{ "content of another type", wrong_type, 400, "RFC 8366 5.4" },
	{ "signer is no registrar", no_cmcra, 403, "5.5.4" },
	{ "no root in it", no_root, 0, "" },
	{ "another domain's root in it", strange_root, 0, "" },
	{ "no date", no_date, 0, "" },
	{ "not a date", bad_date, 400, "created-on" },
	{ "made in the future", future, 403, "future" },
	{ "clock a little ahead", a_little_ahead, 0, "" },
	{ "carried for weeks", carried, 0, "" },
	{ "stale", stale, 403, "stale" },
	{ "stale, for the log", stale_again, 0, "" },
	{ "stale, but who knows", stale_without_clock, 0, "" },
	{ "another zone", zoned, 0, "" },
	{ "another zone, in the future", zoned_ahead, 403, "future" },
	{ "no prior request", no_prior, 403, "prior-signed" },
	{ "device of nobody", fake_device, 404, "its signer" },
	{ "device without a serial number", nameless_device, 404, "serial" },
	{ "signed by the voucher signer", signed_by_masa, 404, "serial" },
	{ "prior by another device", other_device, 403, "5.5.5: serial" },
	{ "another serial number", other_serial, 403, "5.5.5: serial" },
	{ "pledge tells another one", other_pledge_serial, 403, "5.2: serial" },
	{ "serial number too long", long_serial, 404, "serial-number" },
	{ "another nonce", other_nonce, 403, "5.5.6" },
	{ "nonce made by the registrar", pledge_without_nonce, 403, "5.5.6" },
	{ "no idevid-issuer", no_issuer, 0, "" },
	{ "another idevid-issuer", other_issuer, 403, "idevid-issuer" },
	{ "nobody seen", no_proximity, 403, "5.5.5: no proximity" },
	{ "another registrar seen", other_registrar, 403, "5.5.5: the key" },
	{ "a CA of the chain seen", seen_ca, 0, "" },
	{ "octets seen", not_a_cert, 400, "proximity-registrar-cert" },
	{ "nonceless", nonceless, 0, "" },
	{ "nonceless with a prior", nonceless_with_prior, 0, "" },
	{ "nonceless, no client", nonceless_no_client, 403, "5.5.4" },
	{ "nonceless, stranger", nonceless_stranger, 403, "5.5.4" },
	{ "nonceless, no date", nonceless_no_date, 403, "created-on" },
	{ "nonceless, another issuer", nonceless_other_issuer, 404, "issuer" },
	{ "nonceless, registrar not known", nonceless_unknown_registrar, 403,
	    "5.5.4" },
	{ "nonceless, registrar known", nonceless_known_registrar, 0, "" },
};

static void
judges(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct lab_request q = lab_request(lab);
		struct masa_request req = { .serial = "untouched" };
		struct buf body AUTO_BUF = { 0 };
		struct err e = ERR_INIT;
		int status;

		cases[i].change(&q);
		lab_make(&q, &body);
		status = judge(&q, buf_bytes(&body), &req, &e);
		if (status != cases[i].status ||
		    strstr(e.msg, cases[i].why) == NULL)
			fail_msg("%s: %d: %s", cases[i].what, status, e.msg);
		assert_string_equal(
		    req.serial, status == 0 ? LAB_SERIAL : "untouched");
		masa_request_done(&req);
	}
}

/* Every octet changed, one at a time, in steps: never a crash, never a yes
 * but where the change touches nothing signed. */
static void
altered_octets(void **state)
{
	struct lab_request q = lab_request(lab);
	struct buf body AUTO_BUF = { 0 };
	struct masa_request req = { 0 };
	struct err e = ERR_INIT;
	size_t i;
	int status;

	(void)state;
	lab_make(&q, &body);
	body.data[body.len - 1] ^= 1;
	assert_int_equal(judge(&q, buf_bytes(&body), &req, &e), 403);
	body.data[body.len - 1] ^= 1;
	buf_add_str(&body, "x");
	assert_int_equal(judge(&q, buf_bytes(&body), &req, &e), 400);
	body.len--;
	for (i = 0; i < body.len; i += 23) {
		assert_int_not_equal(
		    judge(&q, bytes_of(body.data, i), &req, &e), 0);
		body.data[i] ^= 4;
		status = judge(&q, buf_bytes(&body), &req, &e);
		if (status == 0) {
			assert_string_equal(req.serial, LAB_SERIAL);
			assert_string_equal(req.nonce, LAB_NONCE);
			masa_request_done(&req);
		}
		body.data[i] ^= 4;
	}
}

static void
logged_only(struct lab_request *q)
{
	q->pledge.assertion = VCH_LOGGED;
}

static void
learns(void **state)
{
	static const struct {
		void (*change)(struct lab_request *q);
		bool top;
		enum vch_assertion assertion;
		const char *nonce;
	} facts[] = {
		{ no_change, true, VCH_PROXIMITY, LAB_NONCE },
		{ no_root, false, VCH_PROXIMITY, LAB_NONCE },
		{ logged_only, true, VCH_LOGGED, LAB_NONCE },
		{ nonceless, true, VCH_LOGGED, "" },
		{ strange_root, false, VCH_PROXIMITY, LAB_NONCE },
	};
	struct buf issuer AUTO_BUF = { 0 };

	(void)state;
	vch_idevid_issuer(lab->device->cert, &issuer);
	for (size_t i = 0; i < NELEMS(facts); i++) {
		struct masa_request r = judged(facts[i].change);
		X509 *pin =
		    facts[i].top ? lab->home.root->cert : lab->home.ca->cert;
		struct buf domain AUTO_BUF = { 0 };

		vch_domain_id(pin, &domain);
		assert_int_equal(X509_cmp(r.pin, pin), 0);
		assert_true(bytes_eq(buf_bytes(&domain), buf_bytes(&r.domain)));
		assert_int_equal(r.assertion, facts[i].assertion);
		assert_string_equal(r.nonce, facts[i].nonce);
		assert_true(
		    bytes_eq(buf_bytes(&issuer), buf_bytes(&r.idevid_issuer)));
		masa_request_done(&r);
	}
}

/*
 * Vouchers.
 */
enum { SERIAL = 1, PIN = 2, SIGNATURE = 4, EXPIRES = 8 };

/* What of a voucher is not as it should be. */
static unsigned
wrong_in(const struct masa_request *r, struct bytes der)
{
	struct cms_signed cms = { 0 };
	struct vch v = { 0 };
	struct err e = ERR_INIT;
	unsigned wrong = 0;

	if (cms_open(der, NULL, &cms, &e) == -1) {
		assert_int_equal(e.kind, ERR_TRUST);
		return SIGNATURE;
	}
	assert_int_equal(cms.type, nid_json_voucher());
	assert_int_equal(X509_cmp(cms.signer, lab->voucher->cert), 0);
	if (vch_parse(buf_bytes(&cms.content), &v, &e) == -1)
		fail_msg("%s", e.msg);
	if (strcmp(v.serial, r->serial) != 0)
		wrong |= SERIAL;
	if (X509_cmp(v.pin, r->pin) != 0)
		wrong |= PIN;
	if (v.expires_on != (r->nonce[0] != '\0' ? 0 : lab->now + 1200))
		wrong |= EXPIRES;
	assert_string_equal(v.nonce, r->nonce);
	assert_int_equal(v.assertion, r->assertion);
	assert_true(bytes_eq(
	    buf_bytes(&v.idevid_issuer), buf_bytes(&r->idevid_issuer)));
	cms_signed_done(&cms);
	vch_done(&v);
	return wrong;
}

static void
vouchers(void **state)
{
	static const unsigned wrong[MASA__MAX] = { [MASA_WRONG_SERIAL] = SERIAL,
		[MASA_WRONG_PIN] = PIN,
		[MASA_BAD_SIGNATURE] = SIGNATURE,
		[MASA_EXPIRED] = EXPIRES };
	static void (*const kinds[])(
	    struct lab_request * q) = { no_change, nonceless };
	struct err e = ERR_INIT;

	(void)state;
	for (size_t k = 0; k < NELEMS(kinds); k++) {
		struct masa_request r = judged(kinds[k]);
		struct masa_voucher v = { .signer = lab->voucher,
			.request = &r,
			.now = lab->now,
			.life = 1200 };

		for (v.fault = 0; v.fault < MASA__MAX; v.fault++) {
			struct buf der AUTO_BUF = { 0 };

			if (masa_voucher_make(&v, &der, &e) == -1)
				fail_msg("%s", e.msg);
			assert_int_equal(
			    wrong_in(&r, buf_bytes(&der)), wrong[v.fault]);
		}
		masa_request_done(&r);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(judges),
		cmocka_unit_test(altered_octets),
		cmocka_unit_test(learns),
		cmocka_unit_test(vouchers),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
