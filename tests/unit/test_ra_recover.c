/* A real waybill-ra that was put back to an older copy of its ledger, and its
 * site, which remembers more. */
#include "tests/unit/ra_process.h"

/* An entry of the site's, and what it knows of it. */
struct sent {
	uint64_t id;
	struct buf request, answer;
};

static void
sent_done(struct sent *s)
{
	buf_done(&s->request);
	buf_done(&s->answer);
}

/* A device of its own, with a key of its own. */
static struct sent
join(struct site *s, uint64_t id, const char *serial)
{
	AUTO(signer) device = lab_device(&lab->vendor_sub, serial);
	struct lab_ask a = { .device = device, .cn = serial };
	struct sent x = { .id = id };
	char reason[160];

	lab_request(lab, &a, &x.request);
	assert_int_equal(site_put(s, id, &x.request), BATCH_STORED);
	assert_int_equal(site_answer(s, id, &x.answer, reason), BATCH_ANSWERED);
	return x;
}

static json_t *
post(const char *path, json_t *body, int want)
{
	struct err e = ERR_INIT;
	int status = 0;
	json_t *j = control_call(
	    lab_path(lab, "control"), "POST", path, body, &status, &e);

	json_decref(body);
	if (j == NULL)
		fail_msg("%s: %s", path, e.msg);
	if (status != want)
		fail_msg("%s: %d: %s", path, status,
		    json_string_value(json_object_get(j, "error")));
	return j;
}

/* The folder of the stopped RA's ledger. */
static void
copy(const char *from, const char *to)
{
	char cmd[400];

	snprintf(cmd, sizeof(cmd), "rm -rf %s && cp -r %s %s",
	    lab_path(lab, to), lab_path(lab, from), lab_path(lab, to));
	assert_int_equal(system(cmd), 0);
}

/* EVIDENCE; answer may be NULL.  The reply is of this type. */
static void
evidence(
    struct site *s, const struct sent *x, bool answered, enum frame_type type)
{
	struct frame f AUTO_FRAME = { 0 };
	struct buf out AUTO_BUF = { 0 };
	struct lab_entry en;
	struct question q;
	struct frame_evidence ev = { .state = answered ? ENTRY_CONFIRMED
						       : ENTRY_CUSTODY };

	lab_wrap(
	    lab, lab->registrar, s->name, x->id, buf_bytes(&x->request), &en);
	ev.header = buf_bytes(&en.header);
	ev.octets = buf_bytes(&en.octets);
	ev.sig = buf_bytes(&en.sig);
	if (answered)
		ev.answer = buf_bytes(&x->answer);
	frame_evidence(++s->tag, &ev, &out);
	ask(s, &out, type, &q, &f);
	buf_done(&q.reply);
	lab_entry_done(&en);
}

static void
got(struct site *s, uint64_t upto, enum frame_type type)
{
	struct frame f AUTO_FRAME = { 0 };
	struct buf out AUTO_BUF = { 0 };
	struct question q;

	frame_got(++s->tag, s->name, upto, &out);
	ask(s, &out, type, &q, &f);
	buf_done(&q.reply);
}

static void
refused(struct site *s, uint64_t id, const struct buf *octets, const char *why)
{
	struct frame f AUTO_FRAME = { 0 };
	struct buf out AUTO_BUF = { 0 };
	struct question q;

	put_frame(s, id, octets, &out);
	ask(s, &out, FRAME_NACK, &q, &f);
	if (strstr(f.u.nack.reason, why) == NULL)
		fail_msg("%s", f.u.nack.reason);
	buf_done(&q.reply);
}

/* The text that stands under this key of the case's row. */
static char *
case_text(uint64_t id, const char *key)
{
	char path[64];
	AUTO(json_t) j = NULL;
	const char *text;

	snprintf(path, sizeof(path), "/v1/case/%d", (int)id);
	j = control(path);
	text =
	    json_string_value(json_object_get(json_object_get(j, "case"), key));
	return xstrdup(text != NULL ? text : "");
}

static void
expect_case(uint64_t id, const char *key, const char *want)
{
	AUTO(char) text = case_text(id, key);

	assert_string_equal(text, want);
}

/*
 * Two devices joined; then the RA is put back to where only the first had.  The
 * site is connected, and holds `all` batches.
 */
struct history {
	struct sent first, second;
	struct frame_hello at_end; /* how the RA knew itself */
	struct site site;
};

static void
history_open(struct history *h)
{
	service_start(CLOCK);
	site_open(&h->site);
	h->first = join(&h->site, 1, "WB-0101");
	site_close(&h->site);
	assert_int_equal(service_stop(SIGTERM), 0);
	copy("store", "older");

	service_start(CLOCK);
	site_open(&h->site);
	h->second = join(&h->site, 2, "WB-0102");
	h->at_end = site_hello(&h->site);
	site_close(&h->site);
	assert_int_equal(service_stop(SIGTERM), 0);
	copy("older", "store");

	service_start(CLOCK);
	site_dial(&h->site, LAB_SITE);
}

static void
history_close(struct history *h)
{
	site_close(&h->site);
	sent_done(&h->first);
	sent_done(&h->second);
}

/* It says HELLO, and the RA learns that it forgot. */
static struct frame_hello
say_hello(struct history *h)
{
	return hello_of(
	    &h->site, h->at_end.service_epoch, h->at_end.service_seq);
}

static void
recover(struct history *h)
{
	assert_false(say_hello(h).recover);
	json_decref(
	    post("/v1/recover", json_pack("{s:s}", "site", LAB_SITE), 200));
	assert_true(say_hello(h).recover);
}

static void
expect_standing(const char *want)
{
	AUTO(json_t) j = control("/v1/sites");
	json_t *one = json_array_get(json_object_get(j, "sites"), 0);

	assert_string_equal(
	    json_string_value(json_object_get(one, "standing")), want);
}

/* ---- rollback ---------------------------------------------------------- */

static void
test_nothing_before_hello(void **state)
{
	struct buf none AUTO_BUF = { 0 };
	struct history h;

	(void)state;
	history_open(&h);
	refused(&h.site, 2, &h.second.request, "no HELLO");
	assert_int_equal(issued(), 1);
	history_close(&h);
}

static void
test_suspended_until_told(void **state)
{
	struct history h;
	char line[512];

	(void)state;
	history_open(&h);
	say_hello(&h);
	assert_true(logged("event=link.rolled-back", line, sizeof(line)));
	expect_standing("suspended");
	refused(&h.site, 2, &h.second.request, "waybill ra recover");
	evidence(&h.site, &h.second, true, FRAME_NACK);
	got(&h.site, 4, FRAME_NACK);
	assert_int_equal(issued(), 1);
	json_decref(
	    post("/v1/recover", json_pack("{s:s}", "site", "paris"), 400));
	history_close(&h);
}

/* All is as it was: the same answers, and nothing issued twice. */
static void
test_proven_by_answers(void **state)
{
	struct buf again AUTO_BUF = { 0 };
	struct history h;
	char reason[160];

	(void)state;
	history_open(&h);
	recover(&h);
	evidence(&h.site, &h.first, true, FRAME_PING);
	evidence(&h.site, &h.second, true, FRAME_PING);
	got(&h.site, h.at_end.service_seq, FRAME_PING);
	assert_false(say_hello(&h).recover);
	expect_standing("sound");
	assert_int_equal(issued(), 2);
	expect_case(2, "state", "done");
	expect_case(2, "device", "WB-0102");
	assert_int_equal(
	    site_put(&h.site, 2, &h.second.request), BATCH_DUPLICATE);
	assert_int_equal(
	    site_answer(&h.site, 2, &again, reason), BATCH_ANSWERED);
	assert_true(bytes_eq(buf_bytes(&again), buf_bytes(&h.second.answer)));
	assert_int_equal(issued(), 2);
	history_close(&h);
}

/* An answer that another key signed, or to another request, proves nothing. */
static void
test_no_proof(void **state)
{
	struct history h;
	char line[512];

	(void)state;
	history_open(&h);
	recover(&h);
	buf_reset(&h.second.answer);
	buf_add(&h.second.answer, h.first.answer.data, h.first.answer.len);
	evidence(&h.site, &h.second, true, FRAME_PING);
	assert_true(logged("event=evidence.no-proof", line, sizeof(line)));
	expect_case(2, "state", "unknown");
	assert_int_equal(issued(), 1);
	history_close(&h);
}

static void
test_answer_by_another_key(void **state)
{
	struct buf forged AUTO_BUF = { 0 };
	struct lab_want w = { .cn = "ra",
		.san = "URI:urn:waybill:service:ra",
		.eku = LAB_CMCRA };
	AUTO(signer) other = lab_signer(&w, &lab->ca);
	AUTO(cmp_msg) m = NULL;
	struct history h;
	struct err e = ERR_INIT;
	char line[512];

	(void)state;
	history_open(&h);
	recover(&h);
	m = lab_parse(buf_bytes(&h.second.answer));
	assert_int_equal(cmp_reprotect(m, cmp_recipient(m), cmp_recip_nonce(m),
			     0, other, &forged, &e),
	    0);
	buf_reset(&h.second.answer);
	buf_add(&h.second.answer, forged.data, forged.len);
	evidence(&h.site, &h.second, true, FRAME_PING);
	assert_true(logged("event=evidence.no-proof", line, sizeof(line)));
	expect_case(2, "state", "unknown");
	history_close(&h);
}

/* ---- unknown outcomes -------------------------------------------------- */

/* The second was in custody, its answer never came to the site. */
static void
forget(struct history *h)
{
	history_open(h);
	recover(h);
	evidence(&h->site, &h->first, true, FRAME_PING);
	evidence(&h->site, &h->second, false, FRAME_PING);
	got(&h->site, h->at_end.service_seq, FRAME_PING);
	assert_false(say_hello(h).recover);
	expect_case(2, "state", "unknown");
	expect_case(2, "device", "WB-0102");
	/* Sending it again changes nothing. */
	assert_int_equal(
	    site_put(&h->site, 2, &h->second.request), BATCH_DUPLICATE);
	expect_case(2, "state", "unknown");
	assert_int_equal(issued(), 1);
}

static X509 *
certificate_of(const struct sent *x)
{
	AUTO(cmp_msg) m = lab_parse(buf_bytes(&x->answer));
	struct cmp_response r = { 0 };
	struct err e = ERR_INIT;
	X509 *cert;

	assert_int_equal(cmp_read_response(m, &r, &e), 0);
	cert = r.cert;
	r.cert = NULL;
	cmp_response_done(&r);
	return cert;
}

static json_t *
resolve_body(X509 *cert)
{
	struct buf der AUTO_BUF = { 0 }, text AUTO_BUF = { 0 };

	if (cert == NULL)
		return json_pack("{s:i, s:s, s:b}", "case", 2, "reason",
		    "CA's journal", "not_issued", 1);
	ossl_cert_der(cert, &der);
	base64_format(&text, der.data, der.len);
	return json_pack("{s:i, s:s, s:s}", "case", 2, "reason", "CA's journal",
	    "issued", buf_cstr(&text));
}

/* The last batch that the site holds, before it pulls. */
static X509 *
pull_certificate(struct history *h, uint64_t id)
{
	struct sent x = { .id = id };
	char reason[160];
	X509 *cert;

	assert_int_equal(
	    site_answer(&h->site, id, &x.answer, reason), BATCH_ANSWERED);
	cert = check_issued(&h->second.request, &x.answer);
	sent_done(&x);
	return cert;
}

static void
test_resolved_as_issued(void **state)
{
	AUTO(X509) cert = NULL;
	AUTO(X509) other = NULL;
	AUTO(X509) told = NULL;
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	struct lab_ca namesake = lab_ca("Domain CA", &lab->root);
	struct lab_want w = { .cn = "x", .serial = "WB-0102" };
	struct history h;

	(void)state;
	forget(&h);
	cert = certificate_of(&h.second);
	/* Of another device; by others of that name; of another key. */
	other = certificate_of(&h.first);
	json_decref(post("/v1/resolve", resolve_body(other), 403));
	for (size_t i = 0; i < 3; i++) {
		X509_free(STEAL(other));
		other = lab_cert(&w, i == 2 ? key : lab->key,
		    i == 0	 ? &lab->stranger
			: i == 1 ? &namesake
				 : &lab->ca);
		json_decref(post("/v1/resolve", resolve_body(other), 403));
	}
	lab_ca_free(&namesake);
	json_decref(post("/v1/resolve",
	    json_pack("{s:i, s:s}", "case", 2, "reason", "?"), 400));
	json_decref(post("/v1/resolve",
	    json_pack("{s:i, s:s, s:b, s:b}", "case", 2, "reason", "?",
		"not_issued", 1, "revoked", 1),
	    400));
	json_decref(post("/v1/resolve",
	    json_pack(
		"{s:i, s:s, s:b}", "case", 2, "reason", "?", "revoked", 1),
	    403));
	expect_case(2, "state", "unknown");

	json_decref(post("/v1/resolve", resolve_body(cert), 200));
	expect_case(2, "state", "done");
	told = pull_certificate(&h, 2);
	assert_int_equal(X509_cmp(cert, told), 0);
	assert_int_equal(issued(), 2);
	/* Once. */
	json_decref(post("/v1/resolve", resolve_body(NULL), 403));
	history_close(&h);
}

static void
test_resolved_as_not_issued(void **state)
{
	AUTO(X509) told = NULL;
	struct history h;

	(void)state;
	forget(&h);
	json_decref(post("/v1/resolve", resolve_body(NULL), 200));
	told = pull_certificate(&h, 2);
	assert_int_equal(issued(), 2);
	expect_case(2, "state", "done");
	history_close(&h);
}

/* ---- what is kept in copies -------------------------------------------- */

static void
test_backup(void **state)
{
	AUTO(json_t) j = NULL;
	AUTO(json_t) v = NULL;
	struct sent x;
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	x = join(&s, 1, "WB-0101");
	j = post("/v1/backup", json_pack("{s:s}", "name", "monday"), 200);
	assert_non_null(
	    strstr(json_string_value(json_object_get(j, "path")), "monday"));
	assert_true(json_is_null(json_object_get(j, "trouble")));
	assert_true(json_integer_value(json_object_get(j, "records")) >= 3);
	json_decref(
	    post("/v1/backup", json_pack("{s:s}", "name", "../x"), 400));
	v = control("/v1/audit/verify");
	assert_true(json_is_true(json_object_get(v, "sound")));
	assert_int_equal(json_integer_value(json_object_get(v, "records")),
	    json_integer_value(json_object_get(v, "head")));
	sent_done(&x);
	site_close(&s);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_before_hello),
		TEST(test_suspended_until_told),
		TEST(test_proven_by_answers),
		TEST(test_no_proof),
		TEST(test_answer_by_another_key),
		TEST(test_resolved_as_issued),
		TEST(test_resolved_as_not_issued),
		TEST(test_backup),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: test_ra_recover WAYBILL-RA\n");
		return 2;
	}
	program = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
