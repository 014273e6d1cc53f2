/* What pledges meet, over TLS: paths, CMP before any answer is there, vouchers
 * asked for. */
#include "tests/unit/registrar_lab.h"

#include "registrar/vcall.h"

#define TEXT(s) ((struct bytes){ (const uint8_t *)(s), strlen(s) })

/* ---- paths ------------------------------------------------------------- */

static void
expect_status(struct reg_lab *g, const struct reg_http *h, int want)
{
	struct reg_reply p AUTO_REPLY = { 0 };

	reg_http(g, h, &p);
	if (p.status != want)
		fail_msg("%s %s (%s): %d, not %d",
		    h->method != NULL ? h->method : "POST", h->path,
		    h->type != NULL ? h->type : "-", p.status, want);
	/* One plain line for people. */
	if (want >= 400 && (p.body.len < 2 || p.body.p[p.body.len - 1] != '\n'))
		fail_msg("%s: no line: %s", h->path, buf_cstr(&p.text));
}

static void
cmp_is_served_under_its_labels(void **state)
{
	static const char *const labels[] = { "", "/initialization",
		"/certification", "/keyupdate", "/pkcs10", "/revocation",
		"/getcacerts", "/getrootupdate", "/getcertreqtemplate",
		"/getcrls", "/nested" };
	struct reg_lab *g = *state;
	struct reg_http h;
	char path[128];

	reg_start(g, NULL);
	for (size_t i = 0; i < 2 * NELEMS(labels); i++) {
		snprintf(path, sizeof(path), REG_CMP "%s%s",
		    i % 2 == 1 ? "/p/substation" : "", labels[i / 2]);
		h = (struct reg_http){ .path = path, .method = "GET" };
		expect_status(g, &h, 405);
		h.method = NULL;
		h.body = TEXT("no CMP");
		expect_status(g, &h, 415);
		h.type = REG_CMP_TYPE;
		expect_status(g, &h, 400);
	}
}

#define LONG_NAME "0123456789abcdef0123456789abcdef"

static void
other_paths_are_not_served(void **state)
{
	static const char *const paths[] = { "/", "/.well-known/",
		"/.well-known/cm", REG_CMP "/", REG_CMP "x",
		REG_CMP "/initializatio", REG_CMP "/initializations",
		REG_CMP "/initialization/", REG_CMP "/INITIALIZATION",
		REG_CMP "/p", REG_CMP "/p/", REG_CMP "/p//initialization",
		REG_CMP "/p/a/b/initialization", REG_CMP "/p/a/",
		REG_CMP "/p/" LONG_NAME LONG_NAME, "/.well-known/est",
		"/.well-known/brski/", "/.well-known/brskix",
		"/.well-known/brski/requestvouchers",
		"/.well-known/brski/requestauditlog", "/v1/status" };
	struct reg_lab *g = *state;
	struct reg_http h = { .type = REG_CMP_TYPE, .body = TEXT("x") };

	reg_start(g, NULL);
	for (size_t i = 0; i < NELEMS(paths); i++) {
		h.path = paths[i];
		expect_status(g, &h, 404);
	}
	h.path = REG_CMP "/p/" LONG_NAME "0123456789abcdef0123456789abcde";
	expect_status(g, &h, 400);
}

static void
other_methods_types_and_sizes_are_refused(void **state)
{
	static const struct {
		const char *method, *path, *type, *headers;
		int want;
	} cases[] = {
		{ "GET", "/.well-known/brski", NULL, NULL, 200 },
		{ NULL, "/.well-known/brski", NULL, NULL, 405 },
		{ "GET", "/.well-known/brski/requestvoucher", NULL, NULL, 405 },
		{ "GET", "/.well-known/brski/voucher_status", NULL, NULL, 405 },
		{ "GET", "/.well-known/brski/enrollstatus", NULL, NULL, 405 },
		{ "PUT", REG_CMP, REG_CMP_TYPE, NULL, 405 },
		{ NULL, "/.well-known/brski/requestvoucher", NULL, NULL, 415 },
		{ NULL, "/.well-known/brski/voucherrequest", "text/plain", NULL,
		    415 },
		{ NULL, "/.well-known/brski/voucher_status", VCALL_TYPE, NULL,
		    415 },
		{ NULL, "/.well-known/brski/enrollstatus", NULL, NULL, 415 },
		{ NULL, REG_CMP, "application/pkixcm", NULL, 415 },
		{ NULL, REG_CMP, "application/pkixcmp-poll", NULL, 415 },
		{ NULL, REG_CMP, "text/plain; application/pkixcmp", NULL, 415 },
		{ NULL, REG_CMP, "Application/PKIXCMP", NULL, 400 },
		{ NULL, REG_CMP, "application/pkixcmp; charset=x", NULL, 400 },
		{ NULL, "/.well-known/brski/requestvoucher", VCALL_TYPE,
		    "Accept: application/voucher-jws+json\r\n", 406 },
		{ NULL, "/.well-known/brski/requestvoucher", VCALL_TYPE,
		    "Accept: application/*;q=0.5\r\n", 400 },
	};
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct reg_http h = { .client = g->l->device,
			.method = cases[i].method,
			.path = cases[i].path,
			.type = cases[i].type,
			.headers = cases[i].headers };

		if (h.method == NULL)
			h.body = TEXT("nonsense");
		expect_status(g, &h, cases[i].want);
	}
}

static void
a_body_has_its_limit(void **state)
{
	struct reg_lab *g = *state;
	struct buf big AUTO_BUF = { 0 };
	struct reg_http h = { .path = REG_CMP, .type = REG_CMP_TYPE };

	reg_start(g, NULL);
	memset(buf_grow(&big, CMP_MAX + 1), 0x30, CMP_MAX + 1);
	h.body = bytes_of(big.data, CMP_MAX);
	expect_status(g, &h, 400);
	h.body = buf_bytes(&big);
	expect_status(g, &h, 413);
}

/* ---- requests ---------------------------------------------------------- */

static void
a_request_waits_and_its_repeat_adds_nothing(void **state)
{
	static const struct {
		enum cmp_body type, answer;
		long id;
	} cases[] = { { CMP_IR, CMP_IP, 0 }, { CMP_P10CR, CMP_CP, -1 } };
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct lab_ask ask = { .type = cases[i].type, .cn = "dev" };
		struct buf request AUTO_BUF = { 0 };
		struct outbox_entry en;

		lab_request(g->l, &ask, &request);
		for (int again = 0; again < 3; again++) {
			AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &request);

			reg_expect_waiting(m, cases[i].answer, cases[i].id);
			assert_int_equal(reg_next_id(g), i + 2);
		}
		en = reg_entry(g, i + 1);
		assert_int_equal(en.state, ENTRY_QUEUED);
		assert_string_equal(en.label, "WB-0001");
		assert_int_equal(en.received.quality, CLOCK_RTC);
		assert_int_equal(en.deadline, en.received.time + 30 * 86400);
	}
}

/* What is stored: the octets as they came, and one nested message of ours. */
static void
what_is_kept_is_what_came(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 };
	struct outbox_octets x = { 0 };
	struct bytes inner;
	struct err e = ERR_INIT;
	struct entry_header h;

	reg_start(g, NULL);
	lab_request(g->l, &ask, &request);
	AUTO(cmp_msg) m = reg_cmp_at(
	    g, g->l->device, REG_CMP "/p/substation/initialization", &request);
	reg_expect_waiting(m, CMP_IP, 0);
	assert_int_equal(outbox_octets(g->r.outbox, 1, &x, &e), 0);
	assert_true(bytes_eq(buf_bytes(&x.bytes), buf_bytes(&request)));
	AUTO(cmp_msg) nested = lab_parse(buf_bytes(&x.wrapped));
	assert_int_equal(cmp_verify(nested, g->l->registrar->cert, &e), 0);
	assert_int_equal(cmp_read_nested(nested, &inner, &e), 0);
	assert_true(bytes_eq(inner, buf_bytes(&request)));
	assert_string_equal(
	    facts_get(&x.facts, "profile")->value, "substation");
	assert_string_equal(facts_get(&x.facts, "vendor")->value, "acme");
	assert_int_equal(sign_check(g->l->registrar->cert, ENTRY_LABEL,
			     buf_bytes(&x.header), buf_bytes(&x.sig), &e),
	    0);
	assert_int_equal(entry_header_parse(buf_bytes(&x.header), &h, &e), 0);
	assert_string_equal(h.site, LAB_SITE);
	outbox_octets_done(&x);
}

static void
a_transaction_has_one_request(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev", .tid = "one transaction" };
	struct lab_ask elsewhere = ask;
	struct buf one AUTO_BUF = { 0 }, two AUTO_BUF = { 0 };
	struct buf other AUTO_BUF = { 0 };

	reg_start(g, NULL);
	elsewhere.device = g->sibling;
	lab_request(g->l, &ask, &one);
	lab_request(g->l, &ask, &two);
	lab_request(g->l, &elsewhere, &other);
	AUTO(cmp_msg) a = reg_cmp(g, g->l->device, &one);
	reg_expect_waiting(a, CMP_IP, 0);
	AUTO(cmp_msg) b = reg_cmp(g, g->l->device, &two);
	reg_expect_refused("other octets", b, CMP_ERROR,
	    CMP_TRANSACTION_ID_IN_USE, "transactionID");
	assert_int_equal(reg_next_id(g), 2);
	/* Another device has transactions of its own. */
	AUTO(cmp_msg) c = reg_cmp(g, g->sibling, &other);
	reg_expect_waiting(c, CMP_IP, 0);
	AUTO(cmp_msg) d = reg_cmp(g, g->l->device, &one);
	reg_expect_waiting(d, CMP_IP, 0);
}

static void
a_newer_request_ends_the_older_and_says_so(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .type = CMP_P10CR, .cn = "dev" };
	struct buf one AUTO_BUF = { 0 }, two AUTO_BUF = { 0 };
	struct buf poll AUTO_BUF = { 0 };

	reg_start(g, NULL);
	lab_request(g->l, &ask, &one);
	lab_request(g->l, &ask, &two);
	AUTO(cmp_msg) a = reg_cmp(g, g->l->device, &one);
	AUTO(cmp_msg) b = reg_cmp(g, g->l->device, &two);
	reg_expect_waiting(b, CMP_CP, -1);
	assert_int_equal(reg_entry(g, 1).state, ENTRY_WITHDRAWN);
	assert_int_equal(reg_entry(g, 1).replaced_by, 2);
	/* Rule 4: polls and repeats of the old one learn it. */
	reg_pollreq(a, g->l->device, -1, &poll);
	AUTO(cmp_msg) c = reg_cmp(g, g->l->device, &poll);
	reg_expect_refused("poll", c, CMP_CP, CMP_BAD_REQUEST, "superseded");
	AUTO(cmp_msg) d = reg_cmp(g, g->l->device, &one);
	reg_expect_refused("repeat", d, CMP_CP, CMP_BAD_REQUEST, "superseded");
}

/* No link was ever up: half a minute, more or less. */
static void
expect_retry_after(struct reg_reply *p, unsigned least, unsigned most)
{
	const char *at = strstr(buf_cstr(&p->text), "Retry-After: ");
	unsigned s = 0;

	if (at == NULL || sscanf(at, "Retry-After: %u\r\n", &s) != 1)
		fail_msg("%s", buf_cstr(&p->text));
	assert_in_range(s, least, most);
}

static void
a_device_that_asks_too_often_is_told_when(void **state)
{
	struct reg_lab *g = *state;
	struct reg_want want = { .limits = "device-hour: 2" };
	struct lab_ask ask = { .cn = "dev" };
	struct reg_reply p AUTO_REPLY = { 0 };
	struct reg_http h = {
		.client = g->l->device, .path = REG_CMP, .type = REG_CMP_TYPE
	};
	struct buf request AUTO_BUF = { 0 };

	reg_start(g, &want);
	for (int i = 0; i < 2; i++) {
		buf_reset(&request);
		lab_request(g->l, &ask, &request);
		AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &request);
		reg_expect_waiting(m, CMP_IP, 0);
	}
	buf_reset(&request);
	lab_request(g->l, &ask, &request);
	h.body = buf_bytes(&request);
	reg_http(g, &h, &p);
	assert_int_equal(p.status, 503);
	expect_retry_after(&p, 22, 38);
	assert_int_equal(reg_next_id(g), 3);
}

/* ---- polls ------------------------------------------------------------- */

static uint32_t
expect_pollrep(const struct cmp_msg *m, long want)
{
	struct err e = ERR_INIT;
	uint32_t secs = 0;
	long id = 7777;

	assert_int_equal(cmp_body(m), CMP_POLLREP);
	assert_int_equal(cmp_read_pollrep(m, &id, &secs, &e), 0);
	assert_int_equal(id, want);
	return secs;
}

static void
polls_are_answered_and_write_nothing(void **state)
{
	struct reg_lab *g = *state;
	struct reg_want want = { .cmp = "hold: 0s, check-after: 1s, "
					"check-after-max: 8s" };
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 }, poll AUTO_BUF = { 0 };
	struct cmp_msg *last;

	reg_start(g, &want);
	lab_request(g->l, &ask, &request);
	last = reg_cmp(g, g->l->device, &request);
	for (int i = 0; i < 8; i++) {
		uint32_t secs;

		buf_reset(&poll);
		reg_pollreq(last, g->l->device, i % 2 == 0 ? 0 : -1, &poll);
		cmp_free(last);
		last = reg_cmp(g, g->l->device, &poll);
		secs = expect_pollrep(last, i % 2 == 0 ? 0 : -1);
		assert_in_range(secs, 6, 10);
	}
	cmp_free(last);
	assert_int_equal(reg_next_id(g), 2);
	assert_int_equal(reg_entry(g, 1).state, ENTRY_QUEUED);
}

/* Any message of ours in the transaction, also of before a restart; nothing
 * else. */
static void
a_poll_proves_what_it_answers(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 }, other AUTO_BUF = { 0 };
	struct buf poll AUTO_BUF = { 0 }, body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct cmp_head h = { 0 };
	uint8_t nonce[CMP_NONCE_MAX];

	reg_start(g, NULL);
	lab_request(g->l, &ask, &request);
	ask.device = g->sibling;
	lab_request(g->l, &ask, &other);
	AUTO(cmp_msg) first = reg_cmp(g, g->l->device, &request);
	AUTO(cmp_msg) again = reg_cmp(g, g->l->device, &request);
	AUTO(cmp_msg) sibling = reg_cmp(g, g->sibling, &other);
	assert_false(
	    bytes_eq(cmp_sender_nonce(first), cmp_sender_nonce(again)));
	reg_stop(g);
	reg_start(g, NULL);
	reg_pollreq(first, g->l->device, 0, &poll);
	AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &poll);
	expect_pollrep(m, 0);

	cmp_body_pollreq(0, &body);
	for (int i = 0; i < 4; i++) {
		struct bytes n = cmp_sender_nonce(i == 1 ? sibling : first);

		cmp_head_reply(first, &h);
		memcpy(nonce, n.p, n.len);
		nonce[n.len - 1] ^= i == 0;
		/* another bit, another transaction's, a shorter one, none */
		h.recip_nonce = bytes_of(nonce,
		    i < 2	 ? n.len
			: i == 2 ? n.len - 1
				 : 0);
		buf_reset(&poll);
		assert_int_equal(cmp_build(&h, buf_bytes(&body), g->l->device,
				     NULL, &poll, &e),
		    0);
		AUTO(cmp_msg) r = reg_cmp(g, g->l->device, &poll);
		reg_expect_refused("nonce", r, CMP_ERROR,
		    CMP_BAD_RECIPIENT_NONCE, "recipNonce");
	}
}

static void
what_is_not_there_cannot_be_asked_for(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
	struct buf unknown AUTO_BUF = { 0 };

	reg_start(g, NULL);
	lab_request(g->l, &ask, &request);
	/* Polled before it was sent: as an answer to our own words. */
	AUTO(cmp_msg) req = lab_parse(buf_bytes(&request));
	reg_pollreq(req, g->l->device, 0, &unknown);
	AUTO(cmp_msg) a = reg_cmp(g, g->l->device, &unknown);
	reg_expect_refused(
	    "poll", a, CMP_ERROR, CMP_BAD_REQUEST, "transactionID");
	buf_reset(&unknown);
	lab_certconf(g->l, req, g->l->device->cert, true, &unknown);
	AUTO(cmp_msg) b = reg_cmp(g, g->l->device, &unknown);
	reg_expect_refused(
	    "certConf", b, CMP_ERROR, CMP_BAD_REQUEST, "to be confirmed");

	AUTO(cmp_msg) waiting = reg_cmp(g, g->l->device, &request);
	lab_certconf(g->l, waiting, g->l->device->cert, true, &out);
	AUTO(cmp_msg) c = reg_cmp(g, g->l->device, &out);
	reg_expect_refused(
	    "certConf", c, CMP_ERROR, CMP_BAD_REQUEST, "to be confirmed");
	assert_int_equal(reg_entry(g, 1).state, ENTRY_QUEUED);
	assert_int_equal(reg_next_id(g), 2);
}

/* ---- what is not spoken ------------------------------------------------ */

/* The least that a body of this type can be. */
static void
small_body(enum cmp_body type, struct bytes message, struct buf *out)
{
	const uint8_t empty[] = { (uint8_t)(0xa0 | type), 2, 0x30, 0 };

	if (type == CMP_NESTED)
		cmp_body_nested(message, out);
	else
		buf_add(out, empty, sizeof(empty));
}

static void
body_types_not_spoken_are_refused(void **state)
{
	static const enum cmp_body spoken[] = { CMP_IR, CMP_P10CR, CMP_POLLREQ,
		CMP_CERTCONF, CMP_ERROR, CMP_CR, CMP_KUR, CMP_RR, CMP_GENM };
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	reg_start(g, NULL);
	lab_request(g->l, &ask, &request);
	AUTO(cmp_msg) inner = lab_parse(buf_bytes(&request));
	for (int type = 0; type < CMP_BODY__MAX; type++) {
		struct buf body AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
		struct cmp_head h = { .transaction_id =
					  cmp_transaction_id(inner) };
		bool known = false;

		for (size_t i = 0; i < NELEMS(spoken); i++)
			known = known || (int)spoken[i] == type;
		if (known)
			continue;
		small_body(type, buf_bytes(&request), &body);
		assert_int_equal(cmp_build(&h, buf_bytes(&body), g->l->device,
				     NULL, &out, &e),
		    0);
		AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &out);
		reg_expect_refused(cmp_body_name(type), m, CMP_ERROR,
		    CMP_BAD_REQUEST, "not spoken");
	}
	assert_int_equal(reg_next_id(g), 1);
}

/* RFC 9483 3.6.1 */
static void
a_device_may_tell_an_error(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 }, body AUTO_BUF = { 0 };
	struct buf out AUTO_BUF = { 0 };

	reg_start(g, NULL);
	lab_request(g->l, &ask, &request);
	AUTO(cmp_msg) waiting = reg_cmp(g, g->l->device, &request);
	cmp_body_error(
	    CMP_REJECTION, CMP_SYSTEM_FAILURE, "out of memory", &body);
	reg_follow(waiting, g->l->device, buf_bytes(&body), &out);
	AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &out);
	assert_int_equal(cmp_body(m), CMP_PKICONF);
	assert_int_equal(reg_logged(g, "event=cmp.device-error"), 1);
	assert_int_equal(reg_entry(g, 1).state, ENTRY_QUEUED);
}

/* ---- who may ----------------------------------------------------------- */

static struct signer *
device_of(const struct lab_ca *by, const char *serial, uint64_t to)
{
	struct lab_want w = {
		.cn = "device", .serial = serial, .to = to, .from = to / 2
	};

	return lab_signer(&w, by);
}

static void
only_devices_that_may_are_heard(void **state)
{
	struct reg_lab *g = *state;
	struct lab *l = g->l;
	AUTO(signer) stranger = device_of(&l->stranger, "WB-0001", 0);
	AUTO(signer) stolen = device_of(&l->vendor_sub, "WB-STOLEN", 0);
	AUTO(signer) nameless = device_of(&l->vendor_sub, NULL, 0);
	AUTO(signer) expired =
	    device_of(&l->vendor_sub, "WB-0001", clock_now().time - 10);
	AUTO(signer) of_domain = device_of(&l->ca, "WB-0001", 0);
	const struct {
		const char *what;
		const struct signer *device, *client;
		uint32_t fail;
		const char *reason;
	} cases[] = {
		{ "no client certificate", l->device, NULL, CMP_NOT_AUTHORIZED,
		    "no TLS client certificate" },
		{ "another client", l->device, g->sibling, CMP_NOT_AUTHORIZED,
		    "differ" },
		{ "another signer", g->sibling, l->device, CMP_NOT_AUTHORIZED,
		    "differ" },
		{ "unknown vendor", stranger, stranger, CMP_SIGNER_NOT_TRUSTED,
		    "" },
		{ "on the deny list", stolen, stolen, CMP_NOT_AUTHORIZED,
		    "WB-STOLEN" },
		{ "no serial number", nameless, nameless, CMP_NOT_AUTHORIZED,
		    "serialNumber" },
		{ "expired", expired, expired, CMP_SIGNER_NOT_TRUSTED, "" },
		/* Nobody's LDevID asks for a first certificate. */
		{ "of our own domain", of_domain, of_domain, CMP_NOT_AUTHORIZED,
		    "a manufacturer's is asked for" },
	};

	reg_start(g, NULL);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct lab_ask ask = { .cn = "dev", .device = cases[i].device };
		struct buf request AUTO_BUF = { 0 };

		lab_request(l, &ask, &request);
		AUTO(cmp_msg) m = reg_cmp(g, cases[i].client, &request);
		reg_expect_refused(cases[i].what, m, CMP_ERROR, cases[i].fail,
		    cases[i].reason);
		assert_int_equal(reg_next_id(g), 1);
	}
	assert_int_equal(reg_logged(g, "event=cmp.refused"), NELEMS(cases));
}

/* A poll of another device in a transaction that it overheard. */
static void
a_transaction_belongs_to_its_signer(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 }, poll AUTO_BUF = { 0 };

	reg_start(g, NULL);
	lab_request(g->l, &ask, &request);
	AUTO(cmp_msg) waiting = reg_cmp(g, g->l->device, &request);
	reg_pollreq(waiting, g->sibling, 0, &poll);
	AUTO(cmp_msg) m = reg_cmp(g, g->sibling, &poll);
	reg_expect_refused(
	    "poll", m, CMP_ERROR, CMP_BAD_REQUEST, "of this device");
	buf_reset(&poll);
	reg_pollreq(waiting, g->l->device, 0, &poll);
	AUTO(cmp_msg) n = reg_cmp(g, g->sibling, &poll);
	reg_expect_refused(
	    "other client", n, CMP_ERROR, CMP_NOT_AUTHORIZED, "differ");
}

static void
a_voucher_may_be_asked_for_first(void **state)
{
	struct reg_lab *g = *state;
	struct reg_want want = { .brski = "enrol-without-voucher: false" };
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 };

	reg_start(g, &want);
	lab_request(g->l, &ask, &request);
	AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &request);
	reg_expect_refused(
	    "enrol", m, CMP_ERROR, CMP_NOT_AUTHORIZED, "no voucher");
	assert_int_equal(reg_next_id(g), 1);
}

/* ---- what is wrong with a message -------------------------------------- */

/* Flips a bit in the first place where these octets stand. */
static void
spoil(struct buf *b, struct bytes where)
{
	uint8_t *p = memmem(b->data, b->len, where.p, where.len);

	assert_non_null(p);
	p[where.len - 1] ^= 1;
}

static void
protection_must_hold(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 }, spki AUTO_BUF = { 0 };
	struct buf other AUTO_BUF = { 0 };

	reg_start(g, NULL);
	lab_request(g->l, &ask, &request);
	AUTO(cmp_msg) m = lab_parse(buf_bytes(&request));
	spoil(&request, cmp_sender_nonce(m));
	AUTO(cmp_msg) a = reg_cmp(g, g->l->device, &request);
	reg_expect_refused("header", a, CMP_ERROR, CMP_BAD_MESSAGE_CHECK, "");
	/* Of the body: the key asked for. */
	lab_request(g->l, &ask, &other);
	ossl_spki_der(g->l->key, &spki);
	spoil(&other, bytes_of(spki.data + spki.len - 64, 64));
	AUTO(cmp_msg) b = reg_cmp(g, g->l->device, &other);
	reg_expect_refused("body", b, CMP_ERROR, CMP_BAD_MESSAGE_CHECK, "");
	assert_int_equal(reg_next_id(g), 1);
}

static void
faults_of_the_body_are_rejections(void **state)
{
	static const struct {
		enum cmp_body type, answer;
	} cases[] = { { CMP_IR, CMP_IP }, { CMP_P10CR, CMP_CP } };
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	AUTO(X509_NAME) name = issue_name("dev", NULL, NULL);
	struct buf request AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	reg_start(g, NULL);
	lab_request(g->l, &ask, &request);
	AUTO(cmp_msg) like = lab_parse(buf_bytes(&request));
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct buf body AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
		struct cmp_head h = { .transaction_id =
					  cmp_transaction_id(like) };

		assert_int_equal(cases[i].type == CMP_IR
			? cmp_body_certreq(CMP_IR, g->l->key, name, &body, &e)
			: cmp_body_p10cr(g->l->key, name, &body, &e),
		    0);
		/* The proof of possession ends the body. */
		body.data[body.len - 1] ^= 1;
		assert_int_equal(cmp_build(&h, buf_bytes(&body), g->l->device,
				     NULL, &out, &e),
		    0);
		AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &out);
		reg_expect_refused(
		    "no proof", m, cases[i].answer, CMP_BAD_POP, "");
	}
	assert_int_equal(reg_next_id(g), 1);
}

static void
faults_of_the_header_are_errors(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev", .profile = "substation" };
	struct buf request AUTO_BUF = { 0 }, body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	reg_start(g, NULL);
	lab_request(g->l, &ask, &request);
	AUTO(cmp_msg) a =
	    reg_cmp_at(g, g->l->device, REG_CMP "/p/other", &request);
	reg_expect_refused(
	    "two profiles", a, CMP_ERROR, CMP_BAD_REQUEST, "certProfile");
	AUTO(cmp_msg) like = lab_parse(buf_bytes(&request));
	assert_int_equal(
	    cmp_body_certreq(CMP_IR, g->l->key, cmp_sender(like), &body, &e),
	    0);
	/* A first message answers nothing; a transaction has 16 octets. */
	for (int i = 0; i < 2; i++) {
		struct bytes tid = cmp_transaction_id(like);
		struct buf out AUTO_BUF = { 0 };
		struct cmp_head h = { 0 };

		h.transaction_id = i == 0 ? tid : bytes_of(tid.p, tid.len - 1);
		if (i == 0)
			h.recip_nonce = cmp_sender_nonce(like);
		assert_int_equal(cmp_build(&h, buf_bytes(&body), g->l->device,
				     NULL, &out, &e),
		    0);
		AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &out);
		reg_expect_refused("header", m, CMP_ERROR,
		    i == 0 ? CMP_BAD_RECIPIENT_NONCE : CMP_BAD_DATA_FORMAT, "");
	}
	assert_int_equal(reg_next_id(g), 1);
	AUTO(cmp_msg) same =
	    reg_cmp_at(g, g->l->device, REG_CMP "/p/substation", &request);
	reg_expect_waiting(same, CMP_IP, 0);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, reg_lab_setup, reg_lab_teardown)
	const struct CMUnitTest tests[] = {
		T(cmp_is_served_under_its_labels),
		T(other_paths_are_not_served),
		T(other_methods_types_and_sizes_are_refused),
		T(a_body_has_its_limit),
		T(a_request_waits_and_its_repeat_adds_nothing),
		T(what_is_kept_is_what_came),
		T(a_transaction_has_one_request),
		T(a_newer_request_ends_the_older_and_says_so),
		T(a_device_that_asks_too_often_is_told_when),
		T(polls_are_answered_and_write_nothing),
		T(a_poll_proves_what_it_answers),
		T(what_is_not_there_cannot_be_asked_for),
		T(body_types_not_spoken_are_refused),
		T(a_device_may_tell_an_error),
		T(only_devices_that_may_are_heard),
		T(a_transaction_belongs_to_its_signer),
		T(a_voucher_may_be_asked_for_first),
		T(protection_must_hold),
		T(faults_of_the_body_are_rejections),
		T(faults_of_the_header_are_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
