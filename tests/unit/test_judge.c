#include "tests/unit/crl_lab.h"
#include "tests/unit/judge_lab.h"

#include "ra/answer.h"

static const struct answer_terms plainly = { .confirm = false };

static struct denylist *
deny(const char *line)
{
	struct err e = ERR_INIT;
	struct denylist *d;

	lab_write(lab, "deny", bytes_of(line, strlen(line)));
	if ((d = denylist_load(lab_path(lab, "deny"), &e)) == NULL)
		fail_msg("%s", e.msg);
	return d;
}

/* ---- granting ---------------------------------------------------------- */

static void
test_grant(void **state)
{
	static const struct {
		struct lab_ask ask;
		const char *cn;
		long id;
	} cases[] = {
		{ { .type = CMP_IR }, "WB-0001", 0 },
		{ { .type = CMP_IR, .cn = "pump 3" }, "pump 3", 0 },
		{ { .type = CMP_IR, .serial = "WB-0001" }, "WB-0001", 0 },
		{ { .type = CMP_P10CR, .cn = "x" }, "x", -1 },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct buf octets AUTO_BUF = { 0 };
		struct verdict v AUTO_VERDICT = { 0 };
		struct entry_header h = header();
		struct err e = ERR_INIT;
		AUTO(cmp_msg) m = NULL;

		lab_request(lab, &cases[i].ask, &octets);
		if (judge(&h, buf_bytes(&octets), &v, &m, &e) == -1)
			fail_msg("%zu: %s", i, e.msg);
		expect_attribute(v.grant.subject, NID_commonName, cases[i].cn);
		expect_attribute(v.grant.subject, NID_serialNumber, "WB-0001");
		expect_attribute(
		    v.grant.subject, NID_organizationName, "Plant");
		assert_int_equal(v.request.id, cases[i].id);
		assert_int_equal(EVP_PKEY_eq(v.request.pubkey, lab->key), 1);
		assert_string_equal(v.serial, "WB-0001");
	}
}

/* What the header claims beyond the registrar's word is not believed. */
static void
test_facts_are_recomputed(void **state)
{
	struct lab_ask ask = { .type = CMP_IR, .profile = "tls" };
	struct buf octets AUTO_BUF = { 0 };
	struct verdict v AUTO_VERDICT = { 0 };
	struct entry_header h = header();
	struct err e = ERR_INIT;
	AUTO(cmp_msg) m = NULL;

	(void)state;
	lab_request(lab, &ask, &octets);
	assert_int_equal(judge(&h, buf_bytes(&octets), &v, &m, &e), 0);
	expect_fact(&v.facts, "vendor", FACT_END_TO_END, "acme");
	expect_fact(&v.facts, "profile", FACT_END_TO_END, "tls");
	assert_string_equal(v.profile->name, "tls");
	expect_fact(
	    &v.facts, "idevid.subject-serial", FACT_END_TO_END, "WB-0001");
	expect_fact(&v.facts, "idevid.issuer", FACT_END_TO_END, NULL);
	expect_fact(&v.facts, "idevid.serial", FACT_END_TO_END, NULL);
	expect_fact(&v.facts, "signer.spki", FACT_END_TO_END, NULL);
	expect_fact(&v.facts, "tls.same-signer", FACT_REGISTRAR, "yes");
	expect_fact(&v.facts, "time.quality", FACT_REGISTRAR, NULL);
}

/* A header with as many facts as there may be leaves room for ours. */
static void
test_facts_always_fit(void **state)
{
	struct lab_ask ask = { .type = CMP_IR };
	struct buf octets AUTO_BUF = { 0 };
	struct verdict v AUTO_VERDICT = { 0 };
	struct entry_header h = header();
	struct err e = ERR_INIT;
	AUTO(cmp_msg) m = NULL;
	char name[16];

	(void)state;
	for (unsigned i = 0; h.facts.n < FACTS_MAX; i++) {
		snprintf(name, sizeof(name), "x%u", i);
		facts_set(&h.facts, name, FACT_REGISTRAR, "");
	}
	lab_request(lab, &ask, &octets);
	assert_int_equal(judge(&h, buf_bytes(&octets), &v, &m, &e), 0);
	expect_fact(&v.facts, "vendor", FACT_END_TO_END, "acme");
}

/* ---- refusing ---------------------------------------------------------- */

/* Octets that are changed, or what judges them is. */
struct refusal {
	const char *what;
	struct lab_ask ask;
	enum {
		AS_IT_IS,
		STRANGER,
		TAMPERED,
		EXPIRED,
		DENIED,
		NO_SERIAL,
		A_CA,
		A_SERVER,
		TAMPERED_CA
	} how;
	bool in_body;
	uint32_t fail;
	const char *reason; /* is part of the message */
};

static const struct refusal refusals[] = {
	{ "unknown vendor", { .type = CMP_IR }, STRANGER, false,
	    CMP_SIGNER_NOT_TRUSTED, "certificate" },
	{ "tampered", { .type = CMP_IR }, TAMPERED, false,
	    CMP_BAD_MESSAGE_CHECK, "protection" },
	{ "no serial number", { .type = CMP_IR }, NO_SERIAL, false,
	    CMP_NOT_AUTHORIZED, "serialNumber" },
	{ "denied device", { .type = CMP_IR }, DENIED, false,
	    CMP_NOT_AUTHORIZED, "WB-0001" },
	{ "a CA", { .type = CMP_IR }, A_CA, false, CMP_NOT_AUTHORIZED,
	    "a CA, not a device" },
	/* The dear step comes later. */
	{ "a CA, tampered", { .type = CMP_IR }, TAMPERED_CA, false,
	    CMP_NOT_AUTHORIZED, "a CA, not a device" },
	{ "no client", { .type = CMP_IR }, A_SERVER, false, CMP_NOT_AUTHORIZED,
	    "without clientAuth" },
	{ "kur by an IDevID", { .type = CMP_KUR }, AS_IT_IS, false,
	    CMP_NOT_AUTHORIZED, "factory certificate" },
	{ "cr by an IDevID", { .type = CMP_CR }, AS_IT_IS, false,
	    CMP_NOT_AUTHORIZED, "factory certificate" },
	{ "unknown profile", { .type = CMP_IR, .profile = "gate" }, AS_IT_IS,
	    true, CMP_BAD_REQUEST, "no profile 'gate'" },
	{ "deadline passed", { .type = CMP_IR }, EXPIRED, true, CMP_BAD_TIME,
	    "expired" },
	{ "other serial", { .type = CMP_IR, .serial = "WB-0002" }, AS_IT_IS,
	    true, CMP_BAD_CERT_TEMPLATE, "not the IDevID's" },
	{ "other serial, p10cr", { .type = CMP_P10CR, .serial = "WB-0002" },
	    AS_IT_IS, true, CMP_BAD_CERT_TEMPLATE, "not the IDevID's" },
	{ "control characters", { .type = CMP_IR, .cn = "a\nb" }, AS_IT_IS,
	    true, CMP_BAD_CERT_TEMPLATE, "printable" },
};

/* One octet of the body: the last of the template's common name. */
static void
tamper(struct buf *octets)
{
	uint8_t *at = memmem(octets->data, octets->len, "pump", 4);

	assert_non_null(at);
	at[3] ^= 1;
}

static void
refuse(const struct refusal *r)
{
	struct stamp now = clock_now();
	struct judge j = judge_of(now.time - 30 * DAY);
	struct buf octets AUTO_BUF = { 0 };
	struct verdict v AUTO_VERDICT = { 0 };
	struct entry_header h = header();
	struct err e = ERR_INIT;
	struct lab_ask ask = r->ask;
	AUTO(cmp_msg) m = NULL;
	AUTO(denylist) denied = NULL;
	AUTO(signer) other = NULL;

	if (r->how == STRANGER)
		ask.device = other = lab_device(&lab->stranger, "WB-0001");
	if (r->how == NO_SERIAL)
		ask.device = other = lab_device(&lab->vendor_sub, NULL);
	if (r->how == A_CA || r->how == TAMPERED_CA)
		ask.device = other = lab_signer(
		    &(struct lab_want){
			.cn = "sub", .serial = "WB-0001", .ca = true },
		    &lab->vendor_sub);
	if (r->how == A_SERVER)
		ask.device = other =
		    lab_signer(&(struct lab_want){ .cn = "device",
				   .serial = "WB-0001",
				   .eku = "serverAuth" },
			&lab->vendor_sub);
	if (r->how == DENIED)
		j.denied = denied = deny("subject-serial WB-0001\n");
	if (r->how == EXPIRED)
		h.deadline = now.time - 1;
	if (r->how == TAMPERED || r->how == TAMPERED_CA)
		ask.cn = "pump";
	lab_request(lab, &ask, &octets);
	if (r->how == TAMPERED || r->how == TAMPERED_CA)
		tamper(&octets);
	m = lab_parse(buf_bytes(&octets));
	if (judge_request(&j, &h, m, &now, &v, &e) == 0)
		fail_msg("%s: granted", r->what);
	if (e.fail != r->fail || v.in_body != r->in_body ||
	    strstr(e.msg, r->reason) == NULL)
		fail_msg("%s: fail %x in_body %d: %s", r->what, e.fail,
		    v.in_body, e.msg);
}

static void
test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEMS(refusals); i++)
		refuse(&refusals[i]);
}

/* Header, protection and trust are told by `error`, the body by ip or cp. */
static void
test_shape_of_refusals(void **state)
{
	static const struct {
		enum cmp_body type;
		bool in_body;
		enum cmp_body want;
	} cases[] = {
		{ CMP_IR, true, CMP_IP },
		{ CMP_P10CR, true, CMP_CP },
		{ CMP_IR, false, CMP_ERROR },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct lab_ask ask = { .type = cases[i].type };
		struct answerer a = { .signer = lab->service };
		struct buf octets AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
		struct err e = ERR_INIT, why = ERR_INIT;
		AUTO(cmp_msg) m = NULL, answer = NULL;

		err_fail(&why, ERR_POLICY, CMP_BAD_CERT_TEMPLATE, "no");
		lab_request(lab, &ask, &octets);
		m = lab_parse(buf_bytes(&octets));
		assert_int_equal(
		    answer_refused(&a, m, cases[i].in_body, &why, &out, &e), 0);
		answer = lab_parse(buf_bytes(&out));
		assert_int_equal(cmp_body(answer), cases[i].want);
		assert_int_equal(cmp_verify(answer, lab->service->cert, &e), 0);
		assert_true(
		    bytes_eq(cmp_recip_nonce(answer), cmp_sender_nonce(m)));
		assert_true(bytes_eq(
		    cmp_transaction_id(answer), cmp_transaction_id(m)));
	}
}

/* DESIGN 9: an IDevID that has expired on the way was good when its registrar,
 * with a clock that was being disciplined, took it in.  Without such a clock it
 * must have been good all the time; else nobody knows.  Seconds from now. */
struct attested {
	const char *what;
	long from, to; /* of the IDevID */
	enum clock_quality quality;
	long received, earliest;
	int rc;
	enum err_kind kind;
};

static const struct attested attested[] = {
	{ "expired on the way", -30 * DAY, -600, CLOCK_SYNC, -1200, -30 * DAY,
	    0 },
	{ "expired before", -30 * DAY, -600, CLOCK_SYNC, -60, -30 * DAY, -1,
	    ERR_TRUST },
	{ "not valid then", -600, DAY, CLOCK_SYNC, -1200, -30 * DAY, -1,
	    ERR_TRUST },
	{ "made on the way", -600, DAY, CLOCK_SYNC, -60, -30 * DAY, 0 },
	/* No time that could be attested: the future, or before a checkpoint. */
	{ "the future", -30 * DAY, -600, CLOCK_SYNC, DAY, -HOUR, -1,
	    ERR_RETRY },
	{ "the future, good all the time", -30 * DAY, DAY, CLOCK_SYNC, DAY,
	    -HOUR, 0 },
	{ "before the checkpoint", -30 * DAY, -2 * HOUR, CLOCK_SYNC, -3 * HOUR,
	    -HOUR, -1, ERR_TRUST },
	{ "at the checkpoint", -30 * DAY, -600, CLOCK_SYNC, -HOUR, -HOUR, 0 },
	/* Clocks that run free may be a day off. */
	{ "free running, good all the time", -3 * DAY, DAY, CLOCK_RTC, -DAY,
	    -30 * DAY, 0 },
	{ "free running, expired on the way", -3 * DAY, -600, CLOCK_RTC, -1200,
	    -30 * DAY, -1, ERR_RETRY },
	{ "free running, made on the way", -3 * HOUR, DAY, CLOCK_RTC, -4 * HOUR,
	    -30 * DAY, 0 },
	{ "free running, ended within its day", -9 * DAY, -30 * HOUR, CLOCK_RTC,
	    -8 * HOUR, -30 * DAY, -1, ERR_RETRY },
	{ "free running, no day before the checkpoint", -9 * DAY, -30 * HOUR,
	    CLOCK_RTC, -8 * HOUR, -20 * HOUR, -1, ERR_TRUST },
	{ "free running, expired before", -30 * DAY, -3 * DAY, CLOCK_RTC, -DAY,
	    -30 * DAY, -1, ERR_TRUST },
	{ "unset, good since the earliest", -31 * DAY, DAY, CLOCK_NONE,
	    -1000 * DAY, -30 * DAY, 0 },
	{ "at the floor, made since", -29 * DAY, DAY, CLOCK_FLOOR, -HOUR,
	    -30 * DAY, 0 },
	{ "at the floor, made and expired since", -29 * DAY, -DAY, CLOCK_FLOOR,
	    -HOUR, -30 * DAY, -1, ERR_RETRY },
	{ "at the floor, expired before", -59 * DAY, -31 * DAY, CLOCK_FLOOR,
	    -HOUR, -30 * DAY, -1, ERR_TRUST },
	{ "at the floor, expired since", -31 * DAY, -DAY, CLOCK_FLOOR, -HOUR,
	    -30 * DAY, -1, ERR_RETRY },
};

/* Its chain is as old as it must be. */
static struct signer *
device_valid(uint64_t from, uint64_t to, struct lab_ca *ret_ca)
{
	struct lab_want ca = { .cn = "Old devices",
		.from = clock_now().time - 60 * DAY,
		.ca = true };
	struct lab_want w = {
		.cn = "device", .serial = "WB-0001", .from = from, .to = to
	};

	ret_ca->key = ossl_new_key_p256();
	ret_ca->cert = lab_cert(&ca, ret_ca->key, NULL);
	return lab_signer(&w, ret_ca);
}

static void
attest(const struct attested *a)
{
	struct stamp now = clock_now();
	struct lab_ca ca = { NULL, NULL };
	AUTO(signer) device = device_valid(
	    now.time + (uint64_t)a->from, now.time + (uint64_t)a->to, &ca);
	AUTO(trust) vendors = trust_new();
	struct judge j = judge_of(now.time + (uint64_t)a->earliest);
	struct lab_ask ask = { .type = CMP_IR, .device = device };
	struct buf octets AUTO_BUF = { 0 };
	struct verdict v AUTO_VERDICT = { 0 };
	struct entry_header h = header();
	struct err e = ERR_INIT;
	AUTO(cmp_msg) m = NULL;

	assert_int_equal(trust_add_cert(vendors, "acme", ca.cert, &e), 0);
	j.vendors = vendors;
	h.received.quality = a->quality;
	h.received.time = now.time + (uint64_t)a->received;
	lab_request(lab, &ask, &octets);
	m = lab_parse(buf_bytes(&octets));
	if (judge_request(&j, &h, m, &now, &v, &e) != a->rc ||
	    (a->rc == -1 && e.kind != a->kind))
		fail_msg("%s: %s", a->what, e.msg);
	lab_ca_free(&ca);
}

static void
test_attested_time(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEMS(attested); i++)
		attest(&attested[i]);
}

/* What nobody knows ends at its deadline like all else, and what is wrong with
 * it is told at once. */
static void
test_unsure_has_an_end(void **state)
{
	struct stamp now = clock_now();
	struct lab_want w = { .cn = "device",
		.serial = "WB-0001",
		.from = now.time - 3 * HOUR,
		.to = now.time - 600 };
	AUTO(signer) old = lab_signer(&w, &lab->vendor_sub);
	static const struct {
		const char *serial; /* of the template */
		int deadline;
		enum err_kind kind;
		uint32_t fail;
	} cases[] = {
		{ NULL, 60, ERR_RETRY, 0 },
		{ NULL, -60, ERR_POLICY, CMP_BAD_TIME },
		{ "WB-0002", 60, ERR_POLICY, CMP_BAD_CERT_TEMPLATE },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct judge j = judge_of(now.time - HOUR);
		struct lab_ask ask = {
			.type = CMP_IR, .device = old, .serial = cases[i].serial
		};
		struct buf octets AUTO_BUF = { 0 };
		struct verdict v AUTO_VERDICT = { 0 };
		struct entry_header h = header();
		struct err e = ERR_INIT;
		AUTO(cmp_msg) m = NULL;

		h.received = (struct stamp){ now.time - 1200, CLOCK_RTC, 0 };
		h.deadline = now.time + (uint64_t)(int64_t)cases[i].deadline;
		lab_request(lab, &ask, &octets);
		m = lab_parse(buf_bytes(&octets));
		assert_int_equal(judge_request(&j, &h, m, &now, &v, &e), -1);
		if (e.kind != cases[i].kind || e.fail != cases[i].fail)
			fail_msg("%zu: fail %x: %s", i, e.fail, e.msg);
	}
}

/* ---- certConf ---------------------------------------------------------- */

struct exchange {
	struct cmp_msg *request, *answer, *conf;
	X509 *cert;
};

static void
exchange_done(struct exchange *x)
{
	cmp_free(x->request);
	cmp_free(x->answer);
	cmp_free(x->conf);
	X509_free(x->cert);
}

static void
exchange(bool accept, struct exchange *x)
{
	struct lab_want w = { .cn = "issued" };
	struct lab_ask ask = { .type = CMP_IR, .no_implicit = true };
	struct answerer a = { .signer = lab->service };
	struct buf octets AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
	struct buf conf AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	x->cert = lab_cert(&w, lab->key, &lab->ca);
	lab_request(lab, &ask, &octets);
	x->request = lab_parse(buf_bytes(&octets));
	assert_int_equal(
	    answer_issued(&a, x->request, x->cert, &plainly, &out, &e), 0);
	x->answer = lab_parse(buf_bytes(&out));
	assert_false(cmp_implicit_confirm(x->answer));
	lab_certconf(lab, x->answer, x->cert, accept, &conf);
	x->conf = lab_parse(buf_bytes(&conf));
}

static void
test_confirmations(void **state)
{
	struct exchange x = { NULL }, other = { NULL };
	struct entry_header h = header();
	struct cmp_certconf c;
	struct err e = ERR_INIT;

	(void)state;
	exchange(true, &x);
	exchange(false, &other);
	{
		struct verdict v AUTO_VERDICT = { 0 };

		assert_int_equal(
		    judge_confirm(&h, x.conf, x.request, &v, &c, &e), 0);
		assert_int_equal(c.status, CMP_ACCEPTED);
		assert_int_equal(
		    judge_confirmed(x.conf, &c, x.answer, x.cert, &e), 0);
		/* Of another certificate, or to another answer. */
		assert_int_equal(
		    judge_confirmed(x.conf, &c, x.answer, other.cert, &e), -1);
		assert_int_equal(e.fail, CMP_BAD_CERT_ID);
		assert_int_equal(
		    judge_confirmed(x.conf, &c, other.answer, x.cert, &e), -1);
		assert_int_equal(e.fail, CMP_BAD_RECIPIENT_NONCE);
	}
	{
		struct verdict v AUTO_VERDICT = { 0 };

		assert_int_equal(
		    judge_confirm(&h, x.conf, other.request, &v, &c, &e), -1);
		assert_int_equal(e.fail, CMP_BAD_REQUEST);
	}
	{
		struct verdict v AUTO_VERDICT = { 0 };

		assert_int_equal(
		    judge_confirm(&h, other.conf, other.request, &v, &c, &e),
		    0);
		assert_int_equal(c.status, CMP_REJECTION);
	}
	exchange_done(&x);
	exchange_done(&other);
}

static void
test_confirmed_by_another_device(void **state)
{
	struct signer *mine = lab->device;
	AUTO(signer) other = lab_device(&lab->vendor_sub, "WB-0002");
	struct exchange x = { NULL };
	struct entry_header h = header();
	struct verdict v AUTO_VERDICT = { 0 };
	struct buf conf AUTO_BUF = { 0 };
	struct cmp_certconf c;
	struct err e = ERR_INIT;
	AUTO(cmp_msg) m = NULL;

	(void)state;
	exchange(true, &x);
	lab->device = other;
	lab_certconf(lab, x.answer, x.cert, true, &conf);
	lab->device = mine;
	m = lab_parse(buf_bytes(&conf));
	assert_int_equal(judge_confirm(&h, m, x.request, &v, &c, &e), -1);
	assert_int_equal(e.fail, CMP_NOT_AUTHORIZED);
	exchange_done(&x);
}

/* ---- makers' lists ----------------------------------------------------- */

static int
judge_listed(enum revocation_unknown u, struct verdict *v, struct err *e)
{
	const char *lists[] = { lab_path(lab, "vendor.crl") };
	struct revocation_vendor vendor = { .name = "acme",
		.anchor = lab_path(lab, "vendor.crt"),
		.sub_ca = lab_path(lab, "vendor-sub.crt"),
		.lists = lists,
		.n = 1,
		.unknown = u };
	AUTO(revocation) revoked = revocation_new();
	struct stamp now = clock_now();
	struct judge j = judge_of(now.time - 30 * DAY);
	struct buf octets AUTO_BUF = { 0 };
	struct lab_ask ask = { .cn = "pump" };
	struct entry_header h = header();
	AUTO(cmp_msg) m = NULL;
	int rc;

	if (revocation_add(revoked, &vendor, e) == -1)
		fail_msg("%s", e->msg);
	j.revoked = revoked;
	lab_request(lab, &ask, &octets);
	m = lab_parse(buf_bytes(&octets));
	rc = judge_request(&j, &h, m, &now, v, e);
	v->signer = NULL; /* goes with the message */
	return rc;
}

static void
test_makers_lists(void **state)
{
	static const struct {
		bool revokes, stale;
		enum revocation_unknown u;
		int rc;
		enum err_kind kind;
		const char *fact; /* NULL: none */
	} cases[] = {
		{ false, false, REVOCATION_REFUSE, 0, ERR_NONE, "good" },
		{ true, false, REVOCATION_ACCEPT, -1, ERR_POLICY, NULL },
		{ false, true, REVOCATION_ACCEPT, 0, ERR_NONE, "unknown" },
		{ false, true, REVOCATION_WAIT, -1, ERR_RETRY, "unknown" },
		{ false, true, REVOCATION_REFUSE, -1, ERR_POLICY, NULL },
		{ true, true, REVOCATION_WAIT, -1, ERR_POLICY, NULL },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct verdict v AUTO_VERDICT = { 0 };
		struct err e = ERR_INIT;

		lab_save_list(lab, cases[i].revokes, cases[i].stale);
		if (judge_listed(cases[i].u, &v, &e) != cases[i].rc ||
		    e.kind != cases[i].kind)
			fail_msg("case %zu: %s", i, e.msg);
		if (cases[i].fact != NULL)
			expect_fact(&v.facts, "revocation", FACT_END_TO_END,
			    cases[i].fact);
		else
			assert_null(facts_get(&v.facts, "revocation"));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_makers_lists),
		TEST(test_grant),
		TEST(test_facts_are_recomputed),
		TEST(test_facts_always_fit),
		TEST(test_refusals),
		TEST(test_shape_of_refusals),
		TEST(test_attested_time),
		TEST(test_unsure_has_an_end),
		TEST(test_confirmations),
		TEST(test_confirmed_by_another_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
