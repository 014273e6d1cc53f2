/* Requests of devices that have a certificate of ours. */
#include "tests/unit/judge_lab.h"

static struct signer *
ldevid(const char *serial)
{
	struct lab_want w = {
		.cn = "pump 3", .serial = serial, .eku = "clientAuth"
	};

	return lab_signer(&w, &lab->ca);
}

/* A request with this body by this signer. */
static void
request(const struct signer *s, const char *profile, struct bytes body,
    struct buf *out)
{
	uint8_t tid[CMP_TID_LEN] = { 1 };
	struct cmp_head head = { .transaction_id = bytes_of(tid, sizeof(tid)),
		.profile = profile };
	struct err e = ERR_INIT;

	if (cmp_build(&head, body, s, NULL, out, &e) == -1)
		fail_msg("%s", e.msg);
}

static int
judge_body(const struct signer *s, const char *profile, struct bytes body,
    struct verdict *v, struct err *e)
{
	struct buf octets AUTO_BUF = { 0 };
	struct entry_header h = header();
	AUTO(cmp_msg) m = NULL;
	int rc;

	request(s, profile, body, &octets);
	rc = judge(&h, buf_bytes(&octets), v, &m, e);
	v->signer = NULL; /* the message's */
	return rc;
}

struct renewal {
	const char *what;
	enum cmp_body type;
	const char *cn; /* of the subject; NULL: as it is */
	enum { OLD_NONE, OLD_RIGHT, OLD_WRONG } old;
	const char *profile, *was;
	int rc;
	uint32_t fail;
	bool in_body;
	const char *reason;
};

static const struct renewal renewals[] = {
	{ "kur", CMP_KUR, NULL, OLD_RIGHT, NULL, NULL, 0, 0, true, "" },
	{ "no oldCertId", CMP_KUR, NULL, OLD_NONE, NULL, NULL, 0, 0, true, "" },
	{ "other oldCertId", CMP_KUR, NULL, OLD_WRONG, NULL, NULL, -1,
	    CMP_BAD_CERT_ID, true, "oldCertId" },
	{ "other subject", CMP_KUR, "valve", OLD_RIGHT, NULL, NULL, -1,
	    CMP_BAD_CERT_TEMPLATE, true, "to be updated" },
	{ "its profile", CMP_KUR, NULL, OLD_NONE, NULL, "tls", 0, 0, true, "" },
	{ "the same profile", CMP_KUR, NULL, OLD_NONE, "tls", "tls", 0, 0, true,
	    "" },
	{ "other profile", CMP_KUR, NULL, OLD_NONE, "tls", NULL, -1,
	    CMP_BAD_REQUEST, true, "is of ''" },
	{ "cr", CMP_CR, "valve", OLD_NONE, "tls", NULL, 0, 0, true, "" },
	{ "cr, unknown profile", CMP_CR, "valve", OLD_NONE, "x", NULL, -1,
	    CMP_BAD_REQUEST, true, "no profile 'x'" },
	{ "ir by an LDevID", CMP_IR, "valve", OLD_NONE, NULL, NULL, -1,
	    CMP_NOT_AUTHORIZED, false, "LDevID" },
	{ "p10cr by an LDevID", CMP_P10CR, "valve", OLD_NONE, NULL, NULL, -1,
	    CMP_NOT_AUTHORIZED, false, "LDevID" },
};

static void
renewal_body(const struct renewal *r, const struct signer *s, struct buf *out)
{
	AUTO(X509_NAME) other = issue_name(r->cn, "Lab", "WB-0001");
	const X509_NAME *subject =
	    r->cn != NULL ? other : X509_get_subject_name(s->cert);
	struct err e = ERR_INIT;
	int rc;

	if (r->type == CMP_P10CR)
		rc = cmp_body_p10cr(lab->key, subject, out, &e);
	else if (r->old != OLD_NONE)
		rc = cmp_body_kur(lab->key, subject,
		    r->old == OLD_RIGHT ? s->cert : lab->service->cert, out,
		    &e);
	else
		rc = cmp_body_certreq(r->type, lab->key, subject, out, &e);
	if (rc == -1)
		fail_msg("%s", e.msg);
}

static void
renew(const struct renewal *r)
{
	AUTO(signer) s = ldevid("WB-0001");
	struct verdict v AUTO_VERDICT = { 0 };
	struct buf body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct digest holder;
	int rc;

	says.profile = r->was;
	renewal_body(r, s, &body);
	rc = judge_body(s, r->profile, buf_bytes(&body), &v, &e);
	if (rc != r->rc || e.fail != r->fail || v.in_body != r->in_body ||
	    strstr(e.msg, r->reason) == NULL)
		fail_msg("%s: %d, fail %x in_body %d: %s", r->what, rc, e.fail,
		    v.in_body, e.msg);
	if (rc == -1)
		return;
	assert_int_equal(v.signer_case, 7);
	assert_false(v.initial);
	holder = judge_holder(
	    "acme", "WB-0001", v.profile->name != NULL ? "tls" : "");
	assert_true(digest_eq(&holder, &v.holder));
	expect_attribute(v.grant.subject, NID_commonName,
	    r->type == CMP_KUR ? "pump 3" : r->cn);
	expect_fact(&v.facts, "vendor", FACT_END_TO_END, "acme");
	expect_fact(&v.facts, "idevid.serial", FACT_END_TO_END, "0a");
	/* What was not proven then is not now. */
	expect_fact(&v.facts, "idevid.issuer", FACT_END_TO_END, "");
}

static void
test_renewals(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEMS(renewals); i++)
		renew(&renewals[i]);
}

static void
kur_refused(uint32_t fail, const char *reason)
{
	AUTO(signer) s = ldevid("WB-0001");
	struct renewal r = { .type = CMP_KUR };
	struct verdict v AUTO_VERDICT = { 0 };
	struct buf body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	renewal_body(&r, s, &body);
	assert_int_equal(judge_body(s, NULL, buf_bytes(&body), &v, &e), -1);
	assert_int_equal(e.fail, fail);
	assert_false(v.in_body);
	assert_non_null(strstr(e.msg, reason));
}

/* Registrars and services have certificates of the domain too. */
static void
test_no_devices_certificate(void **state)
{
	(void)state;
	says.known = false;
	kur_refused(CMP_NOT_AUTHORIZED, "no device's");
}

static void
test_revoked_signs_nothing(void **state)
{
	(void)state;
	says.revoked = true;
	kur_refused(CMP_NOT_AUTHORIZED, "is revoked");
}

static void
test_revocations(void **state)
{
	static const struct {
		const char *what;
		bool other, issued, revoked;
		int reason, rc;
		uint32_t fail;
	} cases[] = {
		{ "its own", false, true, false, 1, 0, 0 },
		{ "another's", true, true, false, 1, -1, CMP_NOT_AUTHORIZED },
		{ "nobody's", true, false, false, 1, -1, CMP_BAD_CERT_ID },
		{ "revived", false, true, false, 8, -1, CMP_BAD_REQUEST },
		{ "twice", false, true, true, 1, -1, CMP_CERT_REVOKED },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		AUTO(signer) s = ldevid("WB-0001");
		AUTO(signer) other = ldevid("WB-0002");
		struct verdict v AUTO_VERDICT = { 0 };
		struct buf body AUTO_BUF = { 0 };
		struct err e = ERR_INIT;

		says.revoked = cases[i].revoked;
		says.issued = cases[i].issued;
		cmp_body_rr(cases[i].other ? other->cert : s->cert,
		    cases[i].reason, &body);
		if (judge_body(s, NULL, buf_bytes(&body), &v, &e) !=
			cases[i].rc ||
		    e.fail != cases[i].fail || !v.in_body)
			fail_msg(
			    "%s: fail %x: %s", cases[i].what, e.fail, e.msg);
		if (cases[i].rc == 0)
			assert_int_equal(v.reason, 1);
	}
}

static void
test_genm(void **state)
{
	AUTO(signer) s = ldevid("WB-0001");
	struct verdict v AUTO_VERDICT = { 0 };
	struct buf body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	cmp_body_info(CMP_GENM, CMP_INFO_CA_CERTS, bytes_of("", 0), &body);
	assert_int_equal(judge_body(s, NULL, buf_bytes(&body), &v, &e), 0);
	assert_int_equal(v.info.type, CMP_INFO_CA_CERTS);
	assert_false(v.in_body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_renewals),
		TEST(test_no_devices_certificate),
		TEST(test_revoked_signs_nothing),
		TEST(test_revocations),
		TEST(test_genm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
