/* A real waybill-ra, whose path is the first argument, and its sites. */
#include "tests/unit/ra_process.h"

#include <errno.h>

#include "common/service/ledger.h"

static void
test_enrolment(void **state)
{
	static const struct lab_ask asks[] = {
		{ .type = CMP_IR, .cn = "pump" },
		{ .type = CMP_P10CR, .cn = "pump" },
	};
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	for (size_t i = 0; i < NELEMS(asks); i++) {
		struct buf request AUTO_BUF = { 0 }, answer AUTO_BUF = { 0 };
		AUTO(X509) cert = enrol(&s, i + 1, &asks[i], &request, &answer);
		char text[CERT_TEXT_MAX];
		uint64_t from, to, now = clock_now().time;
		struct err e = ERR_INIT;

		assert_string_equal(cert_subject_text(cert, text, sizeof(text)),
		    "serialNumber=WB-0001,CN=pump,O=Plant");
		assert_true(cert_may_sign(cert));
		assert_false(cert_is_ca(cert));
		assert_true(cert_has_eku(cert, NID_client_auth));
		assert_int_not_equal(cert_ski(cert).len, 0);
		assert_int_equal(cert_validity(cert, &from, &to, &e), 0);
		assert_true(from <= now - 290 && from >= now - 400);
		/* Not beyond the CA's end, a day ahead. */
		assert_true(to <= now + 86400);
	}
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);
}

/* The batches of a PULL, as they are in its frame. */
static void
pull_all(struct site *s, struct buf *ret)
{
	struct frame f AUTO_FRAME = { 0 };
	struct buf out AUTO_BUF = { 0 };
	struct question q;

	frame_pull(77, s->name, 0, 0, &out);
	ask(s, &out, FRAME_ANSWERS, &q, &f);
	*ret = q.reply;
}

static void
test_repeats_have_one_effect(void **state)
{
	struct lab_ask a = { .type = CMP_IR };
	struct buf request AUTO_BUF = { 0 }, first AUTO_BUF = { 0 };
	struct buf again AUTO_BUF = { 0 }, before AUTO_BUF = { 0 };
	struct buf after AUTO_BUF = { 0 };
	char reason[160];
	struct site s;
	AUTO(X509) cert = NULL;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	cert = enrol(&s, 1, &a, &request, &first);
	assert_int_equal(site_put(&s, 1, &request), BATCH_DUPLICATE);
	assert_int_equal(issued(), 1);
	pull_all(&s, &before);
	site_close(&s);

	/* As if the power had gone. */
	assert_int_equal(service_stop(SIGKILL), -SIGKILL);
	service_start(CLOCK);
	site_open(&s);
	pull_all(&s, &after);
	assert_true(bytes_eq(buf_bytes(&before), buf_bytes(&after)));
	assert_int_equal(site_put(&s, 1, &request), BATCH_DUPLICATE);
	assert_int_equal(site_answer(&s, 1, &again, reason), BATCH_ANSWERED);
	assert_true(bytes_eq(buf_bytes(&first), buf_bytes(&again)));
	assert_int_equal(issued(), 1);
	site_close(&s);
}

static void
test_pull_wakes(void **state)
{
	struct lab_ask a = { .type = CMP_IR };
	struct buf request AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
	struct buf answer AUTO_BUF = { 0 };
	struct frame f AUTO_FRAME = { 0 };
	uint64_t started = clock_mono_ms();
	char reason[160];
	struct question q;
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	frame_pull(++s.tag, s.name, 0, 20, &out);
	send_frame(&s, &out, &q);
	lab_request(lab, &a, &request);
	assert_int_equal(site_put(&s, 1, &request), BATCH_STORED);
	assert_false(q.answered);
	await_reply(&q, FRAME_ANSWERS, &f);
	assert_int_equal(find_answer(&f, 1, &answer, reason), BATCH_ANSWERED);
	assert_true(clock_mono_ms() - started < LIMIT_MS);
	buf_done(&q.reply);
	site_close(&s);
}

/* One more than a site holds by itself: the oldest is let go. */
static void
test_pulls_are_few(void **state)
{
	struct question q[3];
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	for (size_t i = 0; i < NELEMS(q); i++) {
		struct buf out AUTO_BUF = { 0 };

		frame_pull(++s.tag, s.name, 0, 20, &out);
		send_frame(&s, &out, &q[i]);
	}
	{
		struct frame f AUTO_FRAME = { 0 };

		await_reply(&q[0], FRAME_ANSWERS, &f);
		assert_int_equal(f.u.answers.n, 0);
	}
	assert_false(q[1].answered || q[2].answered);
	buf_done(&q[0].reply);
	site_close(&s);
	for (size_t i = 1; i < NELEMS(q); i++)
		buf_done(&q[i].reply);
}

static void
expect_confirm(const char *want)
{
	AUTO(json_t) j = control("/v1/entries");
	json_t *first = json_array_get(json_object_get(j, "entries"), 0);

	assert_string_equal(
	    json_string_value(json_object_get(first, "confirm")), want);
}

/* The device's certConf as entry 2, whose parent is entry 1. */
static void
put_certconf(struct site *s, const struct buf *conf)
{
	struct buf out AUTO_BUF = { 0 };
	struct frame f AUTO_FRAME = { 0 };
	struct lab_entry en;
	struct question q;

	lab_wrap(lab, lab->registrar, s->name, 2, buf_bytes(conf), &en);
	en.h.step = 1;
	en.h.parent = 1;
	lab_entry_sign(&en, lab->registrar);
	frame_put(++s->tag, buf_bytes(&en.header), buf_bytes(&en.octets),
	    buf_bytes(&en.sig), &out);
	ask(s, &out, FRAME_STORED, &q, &f);
	buf_done(&q.reply);
	lab_entry_done(&en);
}

static void
certconf(bool accept, const char *want)
{
	struct lab_ask a = { .type = CMP_IR, .no_implicit = true };
	struct buf request AUTO_BUF = { 0 }, answer AUTO_BUF = { 0 };
	struct buf conf AUTO_BUF = { 0 }, pkiconf AUTO_BUF = { 0 };
	AUTO(cmp_msg) ip = NULL, pc = NULL, cm = NULL;
	AUTO(X509) cert = NULL;
	struct err e = ERR_INIT;
	char reason[160];
	struct site s;

	service_start(CLOCK);
	site_open(&s);
	cert = enrol(&s, 1, &a, &request, &answer);
	expect_confirm("unconfirmed");
	ip = lab_parse(buf_bytes(&answer));
	lab_certconf(lab, ip, cert, accept, &conf);
	put_certconf(&s, &conf);
	assert_int_equal(site_answer(&s, 2, &pkiconf, reason), BATCH_ANSWERED);
	pc = lab_parse(buf_bytes(&pkiconf));
	cm = lab_parse(buf_bytes(&conf));
	assert_int_equal(cmp_body(pc), CMP_PKICONF);
	assert_int_equal(cmp_verify(pc, lab->service->cert, &e), 0);
	assert_true(bytes_eq(cmp_recip_nonce(pc), cmp_sender_nonce(cm)));
	expect_confirm(want);
	site_close(&s);
}

static void
test_certconf_accepts(void **state)
{
	(void)state;
	certconf(true, "confirmed");
}

static void
test_certconf_rejects(void **state)
{
	(void)state;
	certconf(false, "rejected");
}

/* A certConf without a certificate of ours behind it. */
static void
test_certconf_of_nothing(void **state)
{
	struct lab_want w = { .cn = "x" };
	struct lab_ask a = { .type = CMP_IR };
	struct buf request AUTO_BUF = { 0 }, conf AUTO_BUF = { 0 };
	struct buf answer AUTO_BUF = { 0 };
	AUTO(X509) cert = lab_cert(&w, lab->key, &lab->ca);
	AUTO(cmp_msg) m = NULL, ans = NULL;
	struct cmp_response r = { 0 };
	struct err e = ERR_INIT;
	char reason[160];
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	lab_request(lab, &a, &request);
	m = lab_parse(buf_bytes(&request));
	lab_certconf(lab, m, cert, true, &conf);
	assert_int_equal(site_put(&s, 1, &conf), BATCH_STORED);
	assert_int_equal(site_answer(&s, 1, &answer, reason), BATCH_REFUSED);
	ans = lab_parse(buf_bytes(&answer));
	assert_int_equal(cmp_read_error(ans, &r, &e), 0);
	assert_int_equal(r.fail, CMP_BAD_REQUEST);
	cmp_response_done(&r);
	site_close(&s);
}

static void
test_refused_vendor(void **state)
{
	AUTO(signer) other = lab_device(&lab->stranger, "WB-0009");
	struct lab_ask a = { .type = CMP_IR, .device = other };
	struct buf request AUTO_BUF = { 0 }, answer AUTO_BUF = { 0 };
	struct cmp_response r = { 0 };
	struct err e = ERR_INIT;
	char reason[160];
	struct site s;
	AUTO(cmp_msg) m = NULL;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	lab_request(lab, &a, &request);
	assert_int_equal(site_put(&s, 1, &request), BATCH_STORED);
	assert_int_equal(site_answer(&s, 1, &answer, reason), BATCH_REFUSED);
	m = lab_parse(buf_bytes(&answer));
	assert_int_equal(cmp_body(m), CMP_ERROR);
	assert_int_equal(cmp_read_error(m, &r, &e), 0);
	assert_int_equal(r.fail, CMP_SIGNER_NOT_TRUSTED);
	assert_int_equal(issued(), 0);
	cmp_response_done(&r);
	site_close(&s);
}

/* Two requests of a device wait (for a clock): the newer ends the older. */
static void
test_supersede(void **state)
{
	struct lab_ask a = { .type = CMP_IR };
	struct buf one AUTO_BUF = { 0 }, two AUTO_BUF = { 0 };
	struct buf answer AUTO_BUF = { 0 };
	char reason[160];
	struct site s;
	AUTO(cmp_msg) m = NULL;
	AUTO(X509) cert = NULL;

	(void)state;
	service_start(NO_CLOCK);
	site_open(&s);
	lab_request(lab, &a, &one);
	lab_request(lab, &a, &two);
	assert_int_equal(site_put(&s, 1, &one), BATCH_STORED);
	assert_int_equal(site_put(&s, 2, &two), BATCH_STORED);
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);

	service_start(CLOCK);
	site_open(&s);
	assert_int_equal(site_answer(&s, 1, &answer, reason), BATCH_REFUSED);
	assert_string_equal(reason, "superseded");
	m = lab_parse(buf_bytes(&answer));
	assert_int_equal(cmp_body(m), CMP_IP);
	assert_int_equal(site_answer(&s, 2, &answer, reason), BATCH_ANSWERED);
	cert = check_issued(&two, &answer);
	assert_int_equal(issued(), 1);
	site_close(&s);
}

/* An intent as the RA writes it, and then the power goes. */
static void
leave_intent(char serial[LEDGER_SERIAL_MAX])
{
	struct ledger_conf c = { .directory = lab_path(lab, "store"),
		.seal = lab_path(lab, "seal.key"),
		.map_size = 8 << 20,
		.service = "ra",
		.signer = lab->service };
	AUTO(X509_NAME) subject = issue_name("intended", NULL, "WB-0001");
	struct issue_spec spec = { .subject = subject,
		.pubkey = lab->key,
		.not_before = clock_now().time - 60,
		.not_after = clock_now().time + 3600,
		.pathlen = -1,
		.key_usage = "critical,digitalSignature" };
	struct buf tbs AUTO_BUF = { 0 }, der AUTO_BUF = { 0 };
	struct ledger_intend x = { .id = 1, .device = "WB-0001" };
	AUTO(ledger) l = NULL;
	AUTO(X509) cert = NULL;
	struct err e = ERR_INIT;

	if (ledger_open(&c, &l, &e) == -1)
		fail_msg("%s", e.msg);
	cert = issue_tbs(&spec, lab->ca.cert, &tbs, &e);
	assert_non_null(cert);
	ossl_cert_der(cert, &der);
	x.serial = cert_serial_hex(cert, serial, LEDGER_SERIAL_MAX);
	x.tbs = buf_bytes(&tbs);
	x.unsigned_cert = buf_bytes(&der);
	if (ledger_intend_wait(l, &x, &e) == -1)
		fail_msg("%s", e.msg);
	assert_int_equal(x.is, LEDGER_INTENDED);
}

static void
test_crash_after_intent(void **state)
{
	struct lab_ask a = { .type = CMP_IR };
	struct buf request AUTO_BUF = { 0 }, answer AUTO_BUF = { 0 };
	char reason[160], want[LEDGER_SERIAL_MAX], got[LEDGER_SERIAL_MAX];
	struct site s;
	AUTO(X509) cert = NULL;

	(void)state;
	service_start(NO_CLOCK);
	site_open(&s);
	lab_request(lab, &a, &request);
	assert_int_equal(site_put(&s, 1, &request), BATCH_STORED);
	site_close(&s);
	assert_int_equal(service_stop(SIGKILL), -SIGKILL);
	leave_intent(want);

	service_start(CLOCK);
	site_open(&s);
	assert_int_equal(site_answer(&s, 1, &answer, reason), BATCH_ANSWERED);
	cert = check_issued(&request, &answer);
	cert_serial_hex(cert, got, sizeof(got));
	assert_string_equal(got, want);
	assert_int_equal(issued(), 1);
	site_close(&s);
}

static void
test_links_speak_for_their_site(void **state)
{
	struct lab_ask a = { .type = CMP_IR };
	struct buf request AUTO_BUF = { 0 }, put AUTO_BUF = { 0 };
	struct buf hello AUTO_BUF = { 0 }, pull AUTO_BUF = { 0 };
	struct buf *frames[] = { &hello, &put, &pull };
	struct site berlin, paris;
	char line[512];

	(void)state;
	service_start(CLOCK);
	site_open(&berlin);
	site_dial(&paris, "paris");
	lab_request(lab, &a, &request);
	hello_frame(&berlin, lab->registrar, &hello);
	put_frame(&berlin, 1, &request, &put);
	frame_pull(9, LAB_SITE, 0, 0, &pull);
	for (size_t i = 0; i < NELEMS(frames); i++) {
		struct frame f AUTO_FRAME = { 0 };
		struct question q;

		ask(&paris, frames[i], FRAME_NACK, &q, &f);
		buf_done(&q.reply);
	}
	assert_true(logged("event=link.wrong-site site=paris claims=berlin",
	    line, sizeof(line)));
	assert_int_equal(issued(), 0);
	/* The same from berlin is taken. */
	assert_int_equal(site_put(&berlin, 1, &request), BATCH_STORED);
	site_close(&berlin);
	site_close(&paris);
}

/* Without an authentic header nothing is told for good, or stored. */
static void
test_not_authentic(void **state)
{
	AUTO(signer) other = lab_registrar(lab, LAB_SAN, LAB_REG_EKU);
	struct lab_ask a = { .type = CMP_IR };
	struct buf request AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
	struct frame f AUTO_FRAME = { 0 };
	struct lab_entry en;
	struct question q;
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	lab_request(lab, &a, &request);
	lab_wrap(lab, other, LAB_SITE, 1, buf_bytes(&request), &en);
	frame_put(++s.tag, buf_bytes(&en.header), buf_bytes(&en.octets),
	    buf_bytes(&en.sig), &out);
	ask(&s, &out, FRAME_NACK, &q, &f);
	buf_done(&q.reply);
	lab_entry_done(&en);
	assert_int_equal(site_hello(&s).service_seq, 0);
	site_close(&s);
}

/* Who finds the other ahead of its own memory has been rolled back. */
static void
rolled_back(bool strange, uint64_t seq, const char *why)
{
	static const uint8_t other[ENTRY_EPOCH_LEN] = { 1 };
	struct frame_hello w;
	char line[512];
	struct site s;

	service_start(CLOCK);
	site_dial(&s, LAB_SITE);
	w = site_hello(&s);
	hello_of(&s, w.service_epoch, w.service_seq);
	assert_false(logged(" alarm ", line, sizeof(line)));
	hello_of(&s, strange ? other : w.service_epoch, seq);
	assert_true(logged("event=link.rolled-back", line, sizeof(line)));
	assert_non_null(strstr(line, why));
	site_close(&s);
}

static void
test_rollback_is_an_alarm(void **state)
{
	(void)state;
	rolled_back(false, 1, "it holds our batch 1, we remember up to 0");
}

static void
test_strange_epoch_is_an_alarm(void **state)
{
	(void)state;
	rolled_back(true, 0, "it knows us in an epoch that is not ours");
}

static void
test_wrong_digest_ends_the_entry(void **state)
{
	struct lab_ask a = { .type = CMP_IR };
	struct buf request AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
	struct frame f AUTO_FRAME = { 0 };
	struct batch b AUTO_BATCH = { 0 };
	struct lab_entry en;
	struct question q;
	struct err e = ERR_INIT;
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	lab_request(lab, &a, &request);
	lab_wrap(lab, lab->registrar, LAB_SITE, 1, buf_bytes(&request), &en);
	en.h.digest.b[0] ^= 1;
	lab_entry_sign(&en, lab->registrar);
	frame_put(++s.tag, buf_bytes(&en.header), buf_bytes(&en.octets),
	    buf_bytes(&en.sig), &out);
	ask(&s, &out, FRAME_STORED, &q, &f);
	assert_int_equal(batch_parse(f.u.answers.v[0].batch, &b, &e), 0);
	assert_int_equal(b.items[0].code, BATCH_BAD_SCHEMA);
	assert_true(digest_eq(&b.items[0].digest, &en.h.digest));
	lab_entry_done(&en);
	buf_done(&q.reply);
	site_close(&s);
}

static void
test_other_kinds_are_refused(void **state)
{
	struct lab_ask a = { .type = CMP_IR };
	struct buf request AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
	struct frame f AUTO_FRAME = { 0 };
	struct batch b AUTO_BATCH = { 0 };
	struct lab_entry en;
	struct question q;
	struct err e = ERR_INIT;
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	lab_request(lab, &a, &request);
	lab_wrap(lab, lab->registrar, LAB_SITE, 1, buf_bytes(&request), &en);
	en.h.kind = ENTRY_VOUCHER;
	lab_entry_sign(&en, lab->registrar);
	frame_put(++s.tag, buf_bytes(&en.header), buf_bytes(&en.octets),
	    buf_bytes(&en.sig), &out);
	ask(&s, &out, FRAME_STORED, &q, &f);
	assert_int_equal(batch_parse(f.u.answers.v[0].batch, &b, &e), 0);
	assert_int_equal(b.items[0].code, BATCH_NOT_AUTHORISED);
	assert_non_null(strstr(b.items[0].reason, "not ours"));
	lab_entry_done(&en);
	buf_done(&q.reply);
	site_close(&s);
}

static void
test_got_is_remembered(void **state)
{
	struct buf out AUTO_BUF = { 0 };
	struct frame f AUTO_FRAME = { 0 };
	struct question q;
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	frame_got(++s.tag, s.name, 0, &out);
	ask(&s, &out, FRAME_PING, &q, &f);
	buf_done(&q.reply);
	site_close(&s);
}

static void
test_status_and_audit(void **state)
{
	struct lab_ask a = { .type = CMP_IR };
	struct buf request AUTO_BUF = { 0 }, answer AUTO_BUF = { 0 };
	static const char *const steps[] = { "seen", "intent", "issued" };
	AUTO(json_t) status = NULL, audit = NULL, list = NULL;
	AUTO(X509) cert = NULL;
	json_t *records, *one;
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	cert = enrol(&s, 1, &a, &request, &answer);
	status = control("/v1/status");
	assert_string_equal(
	    json_string_value(json_object_get(status, "service")), "ra");
	assert_int_equal(
	    json_integer_value(json_object_get(status, "open")), 0);
	audit = control("/v1/audit?case=1");
	records = json_object_get(audit, "audit");
	assert_int_equal(json_array_size(records), NELEMS(steps));
	for (size_t i = 0; i < NELEMS(steps); i++)
		assert_string_equal(json_string_value(json_object_get(
					json_array_get(records, i), "event")),
		    steps[i]);
	list = control("/v1/issued");
	one = json_array_get(json_object_get(list, "issued"), 0);
	assert_string_equal(
	    json_string_value(json_object_get(one, "device")), "WB-0001");
	assert_non_null(
	    strstr(json_string_value(json_object_get(one, "certificate")),
		"BEGIN CERTIFICATE"));
	site_close(&s);
}

/* Its one child is the CA. */
static pid_t
ca_child(void)
{
	char path[64];
	int pid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", service.pid,
	    service.pid);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &pid), 1);
	fclose(f);
	return pid;
}

static void
test_ends_with_its_ca(void **state)
{
	pid_t pid;
	int rc;

	(void)state;
	service_start(CLOCK);
	kill(ca_child(), SIGKILL);
	pid = service.pid;
	service.pid = 0;
	rc = ended(pid);
	assert_true(rc > 0);
}

static void
test_check(void **state)
{
	(void)state;
	assert_int_equal(ended(spawn(CLOCK, "--check")), 0);
	/* Some other key. */
	configure("service.key");
	assert_int_equal(ended(spawn(CLOCK, "--check")), 78);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_enrolment),
		TEST(test_repeats_have_one_effect),
		TEST(test_pull_wakes),
		TEST(test_pulls_are_few),
		TEST(test_certconf_accepts),
		TEST(test_certconf_rejects),
		TEST(test_certconf_of_nothing),
		TEST(test_refused_vendor),
		TEST(test_supersede),
		TEST(test_crash_after_intent),
		TEST(test_links_speak_for_their_site),
		TEST(test_not_authentic),
		TEST(test_rollback_is_an_alarm),
		TEST(test_strange_epoch_is_an_alarm),
		TEST(test_wrong_digest_ends_the_entry),
		TEST(test_other_kinds_are_refused),
		TEST(test_got_is_remembered),
		TEST(test_status_and_audit),
		TEST(test_ends_with_its_ca),
		TEST(test_check),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: test_ra_process WAYBILL-RA\n");
		return 2;
	}
	program = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
