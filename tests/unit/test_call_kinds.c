/* cr, kur, rr and genm: who may ask, what is kept, how it waits and ends. */
#include "tests/unit/carry_lab.h"

#include "registrar/call_int.h"

static struct forwarder fwd;
static struct signer *ldevid; /* the device's, of our domain */

static int
setup(void **state)
{
	int rc = reg_lab_setup(state);
	struct reg_lab *g = *state;

	fwd_init(&fwd, g, "ra", g->l->service);
	ldevid = lab_device(&g->l->ca, "WB-0001");
	return rc;
}

static int
teardown(void **state)
{
	signer_free(ldevid);
	fwd_close(&fwd);
	return reg_lab_teardown(state);
}

/* A body of this type that holds, of who signs with s. */
static void
body_of(struct reg_lab *g, enum cmp_body type, const struct signer *s,
    struct buf *out)
{
	X509_NAME *name = X509_get_subject_name(s->cert);
	struct err e = ERR_INIT;
	int rc = 0;

	if (type == CMP_RR)
		cmp_body_rr(s->cert, 1, out);
	else if (type == CMP_GENM)
		cmp_body_info(
		    CMP_GENM, CMP_INFO_CA_CERTS, bytes_of(NULL, 0), out);
	else if (type == CMP_KUR)
		rc = cmp_body_kur(g->l->key, name, s->cert, out, &e);
	else if (type == CMP_P10CR)
		rc = cmp_body_p10cr(g->l->key, name, out, &e);
	else
		rc = cmp_body_certreq(type, g->l->key, name, out, &e);
	if (rc == -1)
		fail_msg("%s", e.msg);
}

static void
request_of(struct reg_lab *g, enum cmp_body type, const struct signer *s,
    struct buf *out)
{
	struct buf body AUTO_BUF = { 0 };

	body_of(g, type, s, &body);
	reg_first(s, buf_bytes(&body), out);
}

/* What an enrolled device asks for. */
static const struct kind {
	enum cmp_body type, answer;
	bool issues;
} kinds[] = {
	{ CMP_CR, CMP_CP, true },
	{ CMP_KUR, CMP_KUP, true },
	{ CMP_RR, CMP_RP, false },
	{ CMP_GENM, CMP_GENP, false },
};

static void
expect_waiting(const struct kind *k, const struct cmp_msg *m)
{
	if (k->issues)
		reg_expect_waiting(m, k->answer, 0);
	else
		reg_expect_waiting_error(m);
}

static struct cmp_msg *
poll_once(struct reg_lab *g, const struct cmp_msg *last, long id)
{
	struct buf request AUTO_BUF = { 0 };

	reg_pollreq(last, ldevid, id, &request);
	return reg_cmp(g, ldevid, &request);
}

/* ---- waiting ----------------------------------------------------------- */

static void
each_waits_in_its_own_words(void **state)
{
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	for (size_t i = 0; i < NELEMS(kinds); i++) {
		struct buf request AUTO_BUF = { 0 };
		struct outbox_entry en;

		request_of(g, kinds[i].type, ldevid, &request);
		AUTO(cmp_msg) a = reg_cmp(g, ldevid, &request);
		expect_waiting(&kinds[i], a);
		AUTO(cmp_msg) b = reg_cmp(g, ldevid, &request);
		expect_waiting(&kinds[i], b);
		/* RFC 9483 4.4: the pollReq's own number comes back. */
		AUTO(cmp_msg) c = poll_once(g, b, -1);
		reg_expect_pollrep(c, -1);
		AUTO(cmp_msg) d = poll_once(g, c, 0);
		reg_expect_pollrep(d, 0);
		assert_int_equal(reg_next_id(g), i + 2);
		en = reg_entry(g, i + 1);
		assert_int_equal(en.state, ENTRY_QUEUED);
		assert_int_equal(en.kind, ENTRY_CMP);
		assert_int_equal(en.step, 0);
		assert_false(en.initial);
		assert_string_equal(en.label, "WB-0001");
	}
	/* None of them ended another. */
	for (size_t i = 0; i < NELEMS(kinds); i++)
		assert_int_equal(reg_entry(g, i + 1).state, ENTRY_QUEUED);
}

static void
what_is_known_of_an_enrolled_device(void **state)
{
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 };
	struct outbox_octets x = { 0 };
	struct bytes inner;
	struct err e = ERR_INIT;

	reg_start(g, NULL);
	request_of(g, CMP_KUR, ldevid, &request);
	AUTO(cmp_msg) m = reg_cmp(g, ldevid, &request);
	reg_expect_waiting(m, CMP_KUP, 0);
	assert_int_equal(outbox_octets(g->r.outbox, 1, &x, &e), 0);
	assert_true(bytes_eq(buf_bytes(&x.bytes), buf_bytes(&request)));
	AUTO(cmp_msg) nested = lab_parse(buf_bytes(&x.wrapped));
	assert_int_equal(cmp_read_nested(nested, &inner, &e), 0);
	assert_true(bytes_eq(inner, buf_bytes(&request)));
	assert_string_equal(
	    facts_get(&x.facts, "ldevid.subject-serial")->value, "WB-0001");
	assert_string_equal(
	    facts_get(&x.facts, "tls.same-signer")->value, "true");
	assert_null(facts_get(&x.facts, "vendor"));
	assert_null(facts_get(&x.facts, "idevid.serial"));
	outbox_octets_done(&x);
}

/* ---- who may ask ------------------------------------------------------- */

static void
each_is_for_whom_it_is(void **state)
{
	struct reg_lab *g = *state;
	struct lab *l = g->l;
	AUTO(signer) stolen = lab_device(&l->ca, "WB-STOLEN");
	AUTO(signer) stranger = lab_device(&l->stranger, "WB-0001");
	AUTO(signer) nameless = lab_device(&l->ca, NULL);
	AUTO(signer) same_name = lab_device(&l->ca, "WB-0001");
	const struct {
		const char *what;
		enum cmp_body type;
		const struct signer *device, *client;
		uint32_t fail;
		const char *reason;
	} cases[] = {
		{ "ir, LDevID", CMP_IR, ldevid, ldevid, CMP_NOT_AUTHORIZED,
		    "a manufacturer's is asked for" },
		{ "p10cr, LDevID", CMP_P10CR, ldevid, ldevid,
		    CMP_NOT_AUTHORIZED, "a manufacturer's is asked for" },
		{ "cr, IDevID", CMP_CR, l->device, l->device,
		    CMP_NOT_AUTHORIZED, "this domain is asked for" },
		{ "kur, IDevID", CMP_KUR, l->device, l->device,
		    CMP_NOT_AUTHORIZED, "this domain is asked for" },
		{ "rr, IDevID", CMP_RR, l->device, l->device,
		    CMP_NOT_AUTHORIZED, "this domain is asked for" },
		{ "kur, stranger", CMP_KUR, stranger, stranger,
		    CMP_SIGNER_NOT_TRUSTED, "" },
		{ "kur, denied", CMP_KUR, stolen, stolen, CMP_NOT_AUTHORIZED,
		    "WB-STOLEN" },
		{ "rr, nameless", CMP_RR, nameless, nameless,
		    CMP_NOT_AUTHORIZED, "serialNumber" },
		{ "kur, a registrar", CMP_KUR, l->registrar, l->registrar,
		    CMP_NOT_AUTHORIZED, "no device's" },
		{ "genm, a service", CMP_GENM, l->service, l->service,
		    CMP_NOT_AUTHORIZED, "no device's" },
		{ "rr, no client", CMP_RR, ldevid, NULL, CMP_NOT_AUTHORIZED,
		    "no TLS client" },
		{ "rr, another client", CMP_RR, ldevid, g->sibling,
		    CMP_NOT_AUTHORIZED, "differ" },
		/* The IDevID of this serialNumber was never seen here. */
		{ "rr, IDevID unseen", CMP_RR, ldevid, l->device,
		    CMP_NOT_AUTHORIZED, "differ" },
		/* Two of our own are not one because they say so. */
		{ "rr, two LDevIDs", CMP_RR, ldevid, same_name,
		    CMP_NOT_AUTHORIZED, "differ" },
	};

	reg_start(g, NULL);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct buf request AUTO_BUF = { 0 };

		request_of(g, cases[i].type, cases[i].device, &request);
		AUTO(cmp_msg) m = reg_cmp(g, cases[i].client, &request);
		reg_expect_refused(cases[i].what, m, CMP_ERROR, cases[i].fail,
		    cases[i].reason);
		assert_int_equal(reg_next_id(g), 1);
	}
}

/* DESIGN section 9: once the IDevID was here, either may carry the other's. */
static void
idevid_and_ldevid_of_a_device_are_one(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	AUTO(signer) other = lab_device(&g->l->ca, "WB-0002");
	struct buf request AUTO_BUF = { 0 }, kur AUTO_BUF = { 0 };
	struct buf poll AUTO_BUF = { 0 }, alien AUTO_BUF = { 0 };
	struct outbox_octets x = { 0 };
	struct err e = ERR_INIT;

	reg_start(g, NULL);
	lab_request(g->l, &ask, &request);
	AUTO(cmp_msg) a = reg_cmp(g, g->l->device, &request);
	reg_expect_waiting(a, CMP_IP, 0);
	request_of(g, CMP_KUR, ldevid, &kur);
	AUTO(cmp_msg) b = reg_cmp(g, g->l->device, &kur);
	reg_expect_waiting(b, CMP_KUP, 0);
	assert_int_equal(outbox_octets(g->r.outbox, 2, &x, &e), 0);
	assert_string_equal(
	    facts_get(&x.facts, "tls.same-signer")->value, "false");
	outbox_octets_done(&x);
	/* And a poll of the IDevID's on a connection of the LDevID's. */
	reg_pollreq(a, g->l->device, 0, &poll);
	AUTO(cmp_msg) c = reg_cmp(g, ldevid, &poll);
	reg_expect_pollrep(c, 0);
	/* Another device's LDevID is none of them. */
	request_of(g, CMP_KUR, other, &alien);
	AUTO(cmp_msg) d = reg_cmp(g, g->l->device, &alien);
	reg_expect_refused("kur", d, CMP_ERROR, CMP_NOT_AUTHORIZED, "differ");
}

/* An IDevID may ask before it enrols. */
static void
a_device_asks_before_it_enrols(void **state)
{
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 };

	reg_start(g, NULL);
	request_of(g, CMP_GENM, g->l->device, &request);
	AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &request);
	reg_expect_waiting_error(m);
	assert_false(reg_entry(g, 1).initial);
}

/* ---- what is wrong with a body ----------------------------------------- */

static void
faults_of_the_body_have_their_answer(void **state)
{
	struct reg_lab *g = *state;
	const uint8_t empty_rr[] = { 0xab, 2, 0x30, 0 };
	const uint8_t empty_genm[] = { 0xb5, 2, 0x30, 0 };
	X509_NAME *name = X509_get_subject_name(ldevid->cert);
	struct buf cr AUTO_BUF = { 0 }, old AUTO_BUF = { 0 };
	struct buf others AUTO_BUF = { 0 }, unknown AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	reg_start(g, NULL);
	body_of(g, CMP_CR, ldevid, &cr);
	cr.data[cr.len - 1] ^= 1;
	assert_int_equal(
	    cmp_body_kur(g->l->key, name, g->l->registrar->cert, &old, &e), 0);
	cmp_body_rr(g->l->device->cert, 1, &others);
	cmp_body_info(
	    CMP_GENM, (enum cmp_info_type)16, bytes_of(NULL, 0), &unknown);
	const struct {
		const char *what;
		struct bytes body;
		enum cmp_body answer;
		uint32_t fail;
		const char *reason;
	} cases[] = {
		{ "cr without proof", buf_bytes(&cr), CMP_CP, CMP_BAD_POP, "" },
		{ "oldCertId", buf_bytes(&old), CMP_KUP, CMP_BAD_CERT_ID,
		    "oldCertId" },
		{ "another's", buf_bytes(&others), CMP_RP, CMP_NOT_AUTHORIZED,
		    "to be revoked" },
		{ "rr of nothing", bytes_of(empty_rr, 4), CMP_RP,
		    CMP_BAD_REQUEST, "" },
		{ "genm of nothing", bytes_of(empty_genm, 4), CMP_ERROR,
		    CMP_BAD_REQUEST, "" },
		{ "genm of another type", buf_bytes(&unknown), CMP_ERROR,
		    CMP_BAD_REQUEST, "id-it 16" },
	};
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct buf request AUTO_BUF = { 0 };

		reg_first(ldevid, cases[i].body, &request);
		AUTO(cmp_msg) m = reg_cmp(g, ldevid, &request);
		reg_expect_rejected(cases[i].what, m, cases[i].answer, 0,
		    cases[i].fail, cases[i].reason);
	}
	assert_int_equal(reg_next_id(g), 1);
}

/* ---- answers ----------------------------------------------------------- */

/* The service's own words to this request. */
static void
answer_of(struct reg_lab *g, const struct buf *request, struct bytes body,
    struct buf *out)
{
	AUTO(cmp_msg) req = lab_parse(buf_bytes(request));

	(void)g;
	reg_follow(req, fwd.key, body, out);
}

static void
told_of(const struct kind *k, struct buf *body)
{
	const uint8_t value[] = { 0x30, 0 };

	if (k->type == CMP_RR)
		cmp_body_rp(CMP_ACCEPTED, 0, NULL, body);
	else
		cmp_body_info(CMP_GENP, CMP_INFO_CA_CERTS,
		    bytes_of(value, sizeof(value)), body);
}

/* Entry 1's genuine answer; what was issued, owned, or NULL. */
static X509 *
genuine(struct reg_lab *g, const struct kind *k, const struct buf *request,
    struct buf *out)
{
	struct fwd_issue x = { 0 };
	struct buf body AUTO_BUF = { 0 };

	if (k->issues) {
		fwd_issue(&fwd, request, &x, out);
		return x.cert;
	}
	told_of(k, &body);
	answer_of(g, request, buf_bytes(&body), out);
	return NULL;
}

static void
finals_after_polling_are_under_our_protection(void **state)
{
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	for (size_t i = 0; i < NELEMS(kinds); i++) {
		struct buf request AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
		struct buf confirm AUTO_BUF = { 0 }, body AUTO_BUF = { 0 };
		AUTO(X509) cert = NULL;
		uint64_t id, conf_id;

		request_of(g, kinds[i].type, ldevid, &request);
		AUTO(cmp_msg) waiting = reg_cmp(g, ldevid, &request);
		fwd_ready(&fwd);
		id = fwd_custody(&fwd);
		cert = genuine(g, &kinds[i], &request, &octets);
		fwd_answer(&fwd, id, BATCH_ANSWERED, buf_bytes(&octets));
		fwd_expect(&fwd, FRAME_GOT);
		reg_await(g, id, ENTRY_ANSWERED);
		fwd_close(&fwd);
		AUTO(cmp_msg) m = poll_once(g, waiting, kinds[i].issues - 1);
		assert_int_equal(cmp_body(m), kinds[i].answer);
		if (!kinds[i].issues) {
			/* Nothing follows. */
			reg_await(g, id, ENTRY_CONFIRMED);
			continue;
		}
		assert_string_equal(reg_await(g, id, ENTRY_DELIVERED).carrier,
		    CALL_REPROTECTED);
		cmp_body_certconf(0, cert, true, NULL, &body);
		reg_follow(m, ldevid, buf_bytes(&body), &confirm);
		AUTO(cmp_msg) conf = reg_cmp(g, ldevid, &confirm);
		assert_int_equal(cmp_body(conf), CMP_PKICONF);
		reg_await(g, id, ENTRY_CONFIRMED);
		/* The certConf leaves before what comes after it. */
		fwd_ready(&fwd);
		conf_id = fwd_custody(&fwd);
		assert_int_equal(reg_entry(g, conf_id).step, 1);
		assert_int_equal(reg_entry(g, conf_id).parent, id);
		fwd_close(&fwd);
	}
}

static void
answers_within_the_hold_time_are_relayed(void **state)
{
	struct reg_lab *g = *state;
	struct reg_want patient = { .cmp = "hold: 10s" };

	reg_start(g, &patient);
	fwd_ready(&fwd);
	for (size_t i = 0; i < NELEMS(kinds); i++) {
		struct buf request AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
		struct reg_reply p AUTO_REPLY = { 0 };
		struct reg_http h = { .path = REG_CMP, .type = REG_CMP_TYPE };
		AUTO(X509) cert = NULL;
		struct client c;
		uint64_t id;

		request_of(g, kinds[i].type, ldevid, &request);
		h.body = buf_bytes(&request);
		reg_dial(g, &c, ldevid);
		reg_http_send(&c, &h);
		id = fwd_custody(&fwd);
		cert = genuine(g, &kinds[i], &request, &octets);
		fwd_answer(&fwd, id, BATCH_ANSWERED, buf_bytes(&octets));
		reg_http_receive(&c, &p);
		client_close(&c);
		assert_true(bytes_eq(p.body, buf_bytes(&octets)));
		fwd_expect(&fwd, FRAME_GOT);
		fwd_expect(&fwd, FRAME_PULL);
		reg_await(
		    g, id, kinds[i].issues ? ENTRY_DELIVERED : ENTRY_CONFIRMED);
	}
}

/* What the service may not say to it. */
static void
answers_that_do_not_belong_are_refused(void **state)
{
	struct reg_lab *g = *state;
	AUTO(EVP_PKEY) other = ossl_new_key_p256();
	static const struct {
		enum cmp_body asked;
		const char *reason;
	} cases[] = {
		{ CMP_KUR, "not for the key" },
		{ CMP_KUR, "cp to kur" },
		{ CMP_RR, "rp(waiting)" },
		{ CMP_RR, "genp to rr" },
		{ CMP_RR, "pkiConf to rr" },
		{ CMP_GENM, "id-it 23 to id-it 17" },
		{ CMP_GENM, "error with status 3" },
		{ CMP_GENM, "ip to genm" },
	};

	reg_start(g, NULL);
	fwd_ready(&fwd);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct buf request AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
		struct buf body AUTO_BUF = { 0 };
		struct fwd_issue x = { .key = i == 0 ? other : NULL,
			.type = i == 1 ? CMP_CP
			    : i == 7   ? CMP_IP
				       : 0 };
		uint64_t id;

		request_of(g, cases[i].asked, ldevid, &request);
		AUTO(cmp_msg) waiting = reg_cmp(g, ldevid, &request);
		id = fwd_custody(&fwd);
		if (i < 2 || i == 7)
			fwd_issue(&fwd, &request, &x, &octets);
		else if (i == 2)
			cmp_body_rp(CMP_WAITING, 0, NULL, &body);
		else if (i == 4)
			cmp_body_pkiconf(&body);
		else if (i == 6)
			cmp_body_error(CMP_WAITING, 0, NULL, &body);
		else
			cmp_body_info(CMP_GENP,
			    i == 5 ? CMP_INFO_CRLS : CMP_INFO_CA_CERTS,
			    bytes_of(NULL, 0), &body);
		if (body.len > 0)
			answer_of(g, &request, buf_bytes(&body), &octets);
		X509_free(x.cert);
		fwd_answer(&fwd, id, BATCH_ANSWERED, buf_bytes(&octets));
		fwd_settle(&fwd);
		fwd_greet(&fwd);
		if (reg_logged(g, cases[i].reason) != 1)
			fail_msg("no alarm: %s", cases[i].reason);
		assert_int_equal(reg_entry(g, id).state, ENTRY_CUSTODY);
		assert_int_equal(reg_entry(g, id).answer_value, 0);
	}
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(each_waits_in_its_own_words),
		T(what_is_known_of_an_enrolled_device),
		T(each_is_for_whom_it_is),
		T(idevid_and_ldevid_of_a_device_are_one),
		T(a_device_asks_before_it_enrols),
		T(faults_of_the_body_have_their_answer),
		T(finals_after_polling_are_under_our_protection),
		T(answers_within_the_hold_time_are_relayed),
		T(answers_that_do_not_belong_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
