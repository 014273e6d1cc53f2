/* The registrar's judgement of vouchers and audit logs, without any I/O. */
#include "tests/unit/registrar_lab.h"

#include "registrar/vjudge.h"

#define NONCE  "bm9uY2Ugb2YgdGhlIHBsZWRnZQ=="
#define SERIAL "WB-0001"

/* A second vendor, whose signers must not speak for the first. */
static struct lab_ca rival;

static int
setup(void **state)
{
	struct reg_want want = { 0 };
	char vendors[256];
	struct reg_lab *g;
	int rc = reg_lab_setup(state);

	g = *state;
	rival = lab_ca("Rival root", NULL);
	lab_save(g->l, "rival", NULL, rival.cert, NULL);
	snprintf(vendors, sizeof(vendors),
	    "  - {name: rival, anchor: %s, voucher-anchor: %s}\n",
	    lab_path(g->l, "stranger.crt"), lab_path(g->l, "rival.crt"));
	want.vendors = vendors;
	reg_configure(g, &want);
	return rc;
}

static int
teardown(void **state)
{
	struct reg_lab *g = *state;

	registrar_close(&g->r);
	lab_ca_free(&rival);
	return reg_lab_teardown(state);
}

/* ---- what a MASA makes ------------------------------------------------- */

enum signed_by {
	BY_MASA,
	BY_DEVICE,     /* a stolen device's key */
	BY_SIBLING_CA, /* a leaf below the domain */
	BY_STRANGER,   /* whom nobody knows as a signer of vouchers */
	BY_RIVAL
};

struct made {
	const char *what, *reason;  /* reason NULL: it is good */
	const char *nonce, *serial; /* NULL: the request's; "": none */
	const char *vendor;	    /* of the device; NULL: acme */
	enum signed_by by;
	int pin;	/* 0 root, 1 CA, 2 registrar, 3 stranger, 4 vendor */
	int expires;	/* seconds from now; 0: never */
	bool no_device; /* as for a prefetch: no nonce, no IDevID */
	bool issuer, other_issuer; /* idevid-issuer is there */
	bool spoil;
};

static const struct signer *
signer_of(struct reg_lab *g, enum signed_by by, struct signer **own)
{
	struct lab_want w = { .cn = "vouchers" };

	switch (by) {
	case BY_DEVICE:
		return g->l->device;
	case BY_SIBLING_CA:
		return g->l->registrar;
	case BY_STRANGER:
		return *own = lab_signer(&w, &g->l->stranger);
	case BY_RIVAL:
		return *own = lab_signer(&w, &rival);
	case BY_MASA:
	default:
		return g->masa;
	}
}

static void
make_voucher(struct reg_lab *g, const struct made *m, struct buf *out)
{
	X509 *const pins[] = { g->l->root.cert, g->l->ca.cert,
		g->l->registrar->cert, g->l->stranger.cert, g->l->vendor.cert };
	AUTO(signer) own = NULL;
	struct reg_voucher v = {
		.serial = m->serial != NULL ? m->serial : SERIAL,
		.nonce = m->nonce != NULL || m->no_device ? m->nonce : NONCE,
		.pin = pins[m->pin],
		.issuer_of = m->issuer ? g->l->device->cert
		    : m->other_issuer  ? g->l->registrar->cert
				       : NULL,
		.by = signer_of(g, m->by, &own),
	};

	if (m->expires != 0)
		v.expires = clock_now().time + (uint64_t)m->expires;
	reg_voucher(g, &v, out);
	if (m->spoil)
		out->data[out->len - 1] ^= 1;
}

static void
request_of(const struct made *m, struct vch_request *q)
{
	memset(q, 0, sizeof(*q));
	str_copy(q->serial, sizeof(q->serial), SERIAL);
	if (!m->no_device)
		str_copy(q->nonce, sizeof(q->nonce), NONCE);
}

/* The judgement of what a MASA answered with; 0 or -1. */
static int
judge(struct reg_lab *g, const struct made *m, const struct vch_answer *a,
    struct vjudge *ret)
{
	struct vch_request q;
	struct buf octets AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	int rc;

	request_of(m, &q);
	vch_answer_format(a, &octets);
	rc = vjudge_answer(&g->r, buf_bytes(&octets), &q,
	    m->no_device ? NULL : g->l->device->cert,
	    m->vendor != NULL ? m->vendor : "acme", ret, &e);
	ret->voucher = bytes_of(NULL, 0); /* went with the octets */
	return rc;
}

/* ---- vouchers ---------------------------------------------------------- */

static const struct made vouchers[] = {
	{ "right", NULL },
	{ "pins the issuing CA", NULL, .pin = 1 },
	{ "pins the registrar", NULL, .pin = 2 },
	{ "names the issuer", NULL, .issuer = true },
	{ "not expired yet", NULL, .expires = 60 },
	{ "nonceless, prefetched", NULL, .no_device = true },
	{ "of the rival, for its device", NULL, .vendor = "rival",
	    .by = BY_RIVAL },
	{ "another nonce", "nonce", .nonce = "YW5vdGhlciBub25jZQ==" },
	{ "no nonce", "nonce", .nonce = "" },
	{ "a nonce that nobody sent", "nonce", .nonce = NONCE,
	    .no_device = true },
	{ "another serial", "serial-number", .serial = "WB-0002" },
	{ "another serial, prefetched", "serial-number", .serial = "WB-0002",
	    .no_device = true },
	{ "another issuer", "idevid-issuer", .other_issuer = true },
	{ "expired", "expired at", .expires = -60 },
	{ "pins a stranger", "pinned-domain-cert", .pin = 3 },
	{ "pins the vendor", "pinned-domain-cert", .pin = 4 },
	{ "by the device itself", "signer", .by = BY_DEVICE },
	{ "by ourselves", "its signer", .by = BY_SIBLING_CA },
	{ "by a stranger", "its signer", .by = BY_STRANGER },
	/* Its devices are below this root, its vouchers are not. */
	{ "by the root of devices", "its signer", .by = BY_STRANGER,
	    .vendor = "rival" },
	{ "by another vendor", "signed for vendor rival", .by = BY_RIVAL },
	{ "by us for a rival's", "signed for vendor acme", .vendor = "rival" },
	{ "a bit is spoilt", "voucher", .spoil = true },
};

static void
vouchers_are_judged(void **state)
{
	struct reg_lab *g = *state;

	for (size_t i = 0; i < NELEMS(vouchers); i++) {
		const struct made *m = &vouchers[i];
		struct vch_answer a = { .status = 200 };
		struct buf voucher AUTO_BUF = { 0 };
		struct vjudge j = { 0 };

		make_voucher(g, m, &voucher);
		a.voucher = buf_bytes(&voucher);
		assert_int_equal(judge(g, m, &a, &j), 0);
		if (j.withhold != (m->reason != NULL))
			fail_msg("%s: %s", m->what,
			    j.withhold ? j.reason : "is passed on");
		if (m->reason != NULL && strstr(j.reason, m->reason) == NULL)
			fail_msg("%s: %s", m->what, j.reason);
		assert_false(j.log_known);
	}
}

/* The same by vjudge_voucher, which import and prefetch ask. */
static void
a_voucher_alone_is_judged_alike(void **state)
{
	struct reg_lab *g = *state;

	for (size_t i = 0; i < NELEMS(vouchers); i++) {
		const struct made *m = &vouchers[i];
		struct buf voucher AUTO_BUF = { 0 };
		struct vch_request q;
		struct err e = ERR_INIT;
		int rc;

		make_voucher(g, m, &voucher);
		request_of(m, &q);
		rc = vjudge_voucher(&g->r, buf_bytes(&voucher), &q,
		    m->no_device ? NULL : g->l->device->cert,
		    m->vendor != NULL ? m->vendor : "acme", &e);
		if (rc != (m->reason != NULL ? -1 : 0))
			fail_msg("%s: %s", m->what, e.msg);
	}
}

static void
what_is_judged_is_passed_on_unchanged(void **state)
{
	struct reg_lab *g = *state;
	struct vch_answer a = { .status = 200 };
	struct buf voucher AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
	struct vch_request q;
	struct vjudge j = { 0 };
	struct err e = ERR_INIT;

	make_voucher(g, &vouchers[0], &voucher);
	request_of(&vouchers[0], &q);
	a.voucher = buf_bytes(&voucher);
	vch_answer_format(&a, &octets);
	assert_int_equal(vjudge_answer(&g->r, buf_bytes(&octets), &q,
			     g->l->device->cert, "acme", &j, &e),
	    0);
	assert_true(bytes_eq(j.voucher, buf_bytes(&voucher)));
	assert_string_equal(j.reason, "");
}

/* brski.verify-voucher: false: the pledge judges alone (RFC 8995 5.6.2), but a
 * log is read all the same. */
static void
vouchers_may_be_left_to_the_pledge(void **state)
{
	static const char foreign[] =
	    "{\"version\":1,\"events\":[{\"date\":\"2026-01-01T00:00:00Z\","
	    "\"domainID\":\"Zm9yZWlnbg==\",\"nonce\":\"x\"}]}";
	struct reg_lab *g = *state;
	struct vch_answer a = { .status = 200 };

	g->r.conf.brski.verify_voucher = false;
	for (size_t i = 0; i < NELEMS(vouchers); i++) {
		struct buf voucher AUTO_BUF = { 0 };
		struct vjudge j = { 0 };

		make_voucher(g, &vouchers[i], &voucher);
		a.voucher = buf_bytes(&voucher);
		assert_int_equal(judge(g, &vouchers[i], &a, &j), 0);
		assert_false(j.withhold);
		a.log_status = 200;
		a.log = bytes_of(foreign, strlen(foreign));
		assert_int_equal(judge(g, &vouchers[i], &a, &j), 0);
		assert_true(j.withhold);
		a.log_status = 0;
		a.log = bytes_of(NULL, 0);
	}
	g->r.conf.brski.verify_voucher = true;
}

/* While the clock is unknown nothing expires (rule 9). */
static void
nothing_expires_while_the_clock_is_unknown(void **state)
{
	static const struct made old = { "old", NULL, .expires = -60 };
	struct reg_lab *g = *state;
	struct vch_answer a = { .status = 200 };
	struct buf voucher AUTO_BUF = { 0 };
	struct vjudge j = { 0 };

	make_voucher(g, &old, &voucher);
	a.voucher = buf_bytes(&voucher);
	setenv("WAYBILL_CLOCK", "none", 1);
	assert_int_equal(judge(g, &old, &a, &j), 0);
	setenv("WAYBILL_CLOCK", "rtc", 1);
	assert_false(j.withhold);
	assert_int_equal(judge(g, &old, &a, &j), 0);
	assert_true(j.withhold);
}

/* ---- audit logs -------------------------------------------------------- */

#define EVENT(domain, nonce) \
	"{\"date\":\"2026-01-02T03:04:05Z\",\"domainID\":\"" domain \
	"\",\"nonce\":" nonce ",\"assertion\":\"logged\"}"
#define LOG(events) "{\"version\":1,\"events\":[" events "]}"
#define LOG_CUT(counts) \
	"{\"version\":1,\"events\":[],\"truncation\":{" counts "}}"

/* %O becomes our domainID, %I that of our issuing CA. */
static const struct {
	const char *what, *log;
	unsigned status;
	bool known, nonceless, truncated;
	const char *reason; /* NULL: passed on */
} logs[] = {
	{ "empty", LOG(""), 200, true },
	{ "ours", LOG(EVENT("%O", "\"abc\"")), 200, true },
	{ "our issuing CA's", LOG(EVENT("%I", "\"abc\"")), 200, true },
	{ "ours, nonceless", LOG(EVENT("%O", "null")), 200, true,
	    .nonceless = true },
	{ "truncated", LOG_CUT("\"nonced duplicates\":3"), 200, true,
	    .truncated = true },
	{ "not truncated", LOG_CUT("\"nonced duplicates\":0"), 200, true },
	{ "foreign", LOG(EVENT("Zm9yZWlnbg==", "\"abc\"")), 200, true,
	    .reason = "RFC 8995 5.8.3: owned by another domain "
		      "(Zm9yZWlnbg==) at 2026-01-02T03:04:05Z" },
	{ "ours, then foreign, then ours",
	    LOG(EVENT("%O", "\"a\"") "," EVENT(
		"Zm9yZWlnbg==", "null") "," EVENT("%O", "\"b\"")),
	    200, true, .nonceless = true, .reason = "another domain" },
	/* What cannot be read is unknown, and unknown passes. */
	{ "cut", "{\"version\":1,\"events\":[", 200, false },
	{ "nobody's", LOG(EVENT("", "\"abc\"")), 200, false },
	{ "no events", "{\"version\":1}", 200, false },
	{ "foreign, by the wrong status", LOG(EVENT("Zm9yZWlnbg==", "\"abc\"")),
	    404, false },
	{ "none", "", 404, false },
	{ "out of reach", "", 0, false },
};

static void
fill_in(struct reg_lab *g, const char *log, struct buf *out)
{
	for (; *log != '\0'; log++) {
		if (*log != '%') {
			buf_add(out, log, 1);
			continue;
		}
		vch_domain_id(
		    *++log == 'O' ? g->l->root.cert : g->l->ca.cert, out);
	}
}

static void
audit_logs_are_read(void **state)
{
	struct reg_lab *g = *state;
	struct buf voucher AUTO_BUF = { 0 };

	make_voucher(g, &vouchers[0], &voucher);
	for (size_t i = 0; i < NELEMS(logs); i++) {
		struct buf log AUTO_BUF = { 0 };
		struct vch_answer a = { .status = 200,
			.voucher = buf_bytes(&voucher),
			.log_status = logs[i].status };
		struct vjudge j = { 0 };

		fill_in(g, logs[i].log, &log);
		a.log = buf_bytes(&log);
		assert_int_equal(judge(g, &vouchers[0], &a, &j), 0);
		if (j.withhold != (logs[i].reason != NULL) ||
		    j.log_known != logs[i].known ||
		    j.nonceless != logs[i].nonceless ||
		    j.truncated != logs[i].truncated)
			fail_msg("%s: %d %d %d %d, %s", logs[i].what,
			    j.withhold, j.log_known, j.nonceless, j.truncated,
			    j.reason);
		if (logs[i].reason != NULL &&
		    strstr(j.reason, logs[i].reason) == NULL)
			fail_msg("%s: %s", logs[i].what, j.reason);
	}
}

/* ---- refusals ---------------------------------------------------------- */

static void
a_refusal_of_the_masa_is_told(void **state)
{
	struct reg_lab *g = *state;
	struct vch_answer a = { .status = 403, .reason = "not sold to you" };
	struct vjudge j = { 0 };

	assert_int_equal(judge(g, &vouchers[0], &a, &j), 0);
	assert_true(j.withhold);
	assert_string_equal(j.reason, "MASA: 403 not sold to you");
}

static void
what_is_no_answer_is_not_judged(void **state)
{
	struct reg_lab *g = *state;
	struct buf voucher AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
	struct vch_answer a = { .status = 200 };
	struct vch_request q;
	struct vjudge j;
	struct err e = ERR_INIT;

	make_voucher(g, &vouchers[0], &voucher);
	request_of(&vouchers[0], &q);
	a.voucher = buf_bytes(&voucher);
	vch_answer_format(&a, &octets);
	memset(&j, 0x55, sizeof(j));
	for (size_t n = 0; n < octets.len; n += n < 40 ? 1 : 97) {
		assert_int_equal(vjudge_answer(&g->r, bytes_of(octets.data, n),
				     &q, g->l->device->cert, "acme", &j, &e),
		    -1);
		assert_int_equal(((uint8_t *)&j)[sizeof(j) - 1], 0x55);
		assert_int_equal(((uint8_t *)&j)[0], 0x55);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vouchers_are_judged),
		cmocka_unit_test(a_voucher_alone_is_judged_alike),
		cmocka_unit_test(what_is_judged_is_passed_on_unchanged),
		cmocka_unit_test(vouchers_may_be_left_to_the_pledge),
		cmocka_unit_test(nothing_expires_while_the_clock_is_unknown),
		cmocka_unit_test(audit_logs_are_read),
		cmocka_unit_test(a_refusal_of_the_masa_is_told),
		cmocka_unit_test(what_is_no_answer_is_not_judged),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
