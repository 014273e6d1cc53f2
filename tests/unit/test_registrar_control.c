/* What commands may ask of a running registrar over its control socket. */
#include "tests/unit/control_lab.h"

/* ---- status, metrics --------------------------------------------------- */

static void
status_tells_how_it_is(void **state)
{
	struct reg_lab *g = *state;
	char epoch[2 * ENTRY_EPOCH_LEN + 1];
	const json_t *states;

	reg_start(g, NULL);
	enrol(g, 2);
	fwd.key = g->masa_service;
	fwd_ready(&fwd);
	AUTO(json_t) j = get(g, "/v1/status");
	assert_string_equal(text_of(j, "site"), LAB_SITE);
	assert_string_equal(text_of(j, "epoch"),
	    hex_format(epoch, outbox_epoch(g->r.outbox), ENTRY_EPOCH_LEN));
	assert_string_equal(text_of(j, "version"), WAYBILL_VERSION);
	assert_string_equal(text_of(j, "clock"), "rtc");
	assert_in_range(number_of(j, "uptime"), 0, 60);
	assert_in_range(number_of(j, "used_percent"), 0, 84);
	assert_int_equal(number_of(j, "held"), 0);
	assert_int_equal(number_of(j, "late"), 0);
	assert_int_equal(count(j, "services"), 2);
	assert_string_equal(text_of(item(j, "services", 0), "name"), "ra");
	assert_string_equal(text_of(item(j, "services", 0), "link"), "down");
	assert_string_equal(text_of(item(j, "services", 1), "name"), "masa");
	assert_string_equal(text_of(item(j, "services", 1), "link"), "up");
	assert_true(json_is_null(
	    json_object_get(item(j, "services", 0), "last_contact")));
	assert_int_equal(number_of(item(j, "services", 1), "last_contact"), 0);
	assert_int_equal(number_of(j, "open"), 2);
	assert_in_range(number_of(j, "oldest"), 0, 60);
	assert_true(json_is_null(json_object_get(j, "suspended")));
	assert_true(json_is_false(json_object_get(j, "read_only")));
	states = json_object_get(j, "states");
	assert_int_equal(json_object_size(states), ENTRY_STATE__MAX - 1);
	for (int s = ENTRY_RECEIVED; s < ENTRY_STATE__MAX; s++)
		assert_int_equal(number_of(states, entry_state_name(s)),
		    s == ENTRY_QUEUED ? 2 : 0);
}

static void
metrics_count(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask want = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 };

	reg_start(g, NULL);
	expect_text(g, "GET", "/v1/metrics",
	    "Content-Type: text/plain; version=0.0.4\r\n");
	expect_text(g, "GET", "/v1/metrics",
	    "# TYPE waybill_requests_accepted_total counter\n"
	    "waybill_requests_accepted_total 0\n");
	enrol(g, 2);
	lab_request(g->l, &want, &request);
	AUTO(cmp_msg) m = reg_cmp(g, g->sibling, &request);
	reg_expect_refused("other", m, CMP_ERROR, CMP_NOT_AUTHORIZED, "");
	expect_text(
	    g, "GET", "/v1/metrics", "\nwaybill_requests_accepted_total 2\n");
	expect_text(
	    g, "GET", "/v1/metrics", "\nwaybill_requests_refused_total 1\n");
	expect_text(g, "GET", "/v1/metrics",
	    "# TYPE waybill_entries gauge\n"
	    "waybill_entries{state=\"received\"} 0\n"
	    "waybill_entries{state=\"queued\"} 2\n");
}

/* ---- the queue --------------------------------------------------------- */

static void
the_queue_is_listed_in_pieces(void **state)
{
	static const struct {
		const char *query;
		size_t n;
		long long first;
		bool more;
	} cases[] = {
		{ "", 5, 1, false },
		{ "?max=2", 2, 1, true },
		{ "?first=3&max=2", 2, 3, true },
		{ "?max=2&first=4", 2, 4, false },
		{ "?max=5", 5, 1, false },
		{ "?first=5&max=2", 1, 5, false },
		{ "?first=6", 0, 0, false },
		{ "?max=0", 0, 0, false },
		/* What is no number is as if it were not there. */
		{ "?max=x", 5, 1, false },
		{ "?max=1001", 5, 1, false },
		{ "?first=-1", 5, 1, false },
		{ "?maximum=1&xfirst=3", 5, 1, false },
	};
	struct reg_lab *g = *state;
	char path[64];

	reg_start(g, NULL);
	enrol(g, 5);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		snprintf(path, sizeof(path), "/v1/queue%s", cases[i].query);
		AUTO(json_t) j = get(g, path);
		if (count(j, "entries") != cases[i].n ||
		    json_is_true(json_object_get(j, "more")) != cases[i].more)
			fail_msg("%s: %zu", path, count(j, "entries"));
		if (cases[i].n > 0)
			assert_int_equal(
			    number_of(item(j, "entries", 0), "number"),
			    cases[i].first);
	}
}

static void
expect_facts(const json_t *j, const struct facts *want)
{
	assert_int_equal(count(j, "facts"), want->n);
	for (size_t i = 0; i < want->n; i++) {
		const json_t *f = item(j, "facts", i);

		assert_string_equal(text_of(f, "name"), want->v[i].name);
		assert_string_equal(text_of(f, "value"), want->v[i].value);
		assert_string_equal(text_of(f, "level"), "registrar");
	}
}

static void
an_entry_is_shown_with_facts_and_history(void **state)
{
	static const char *const nulls[] = { "carrier", "replaces",
		"replaced_by", "parent", "answer", "reason" };
	struct reg_lab *g = *state;
	char id[ENTRY_ID_TEXT], path[64];
	const json_t *en;
	struct outbox_octets x = { 0 };
	struct err e = ERR_INIT;

	reg_start(g, NULL);
	enrol(g, 2);
	assert_int_equal(outbox_octets(g->r.outbox, 2, &x, &e), 0);
	entry_id_format(id, outbox_epoch(g->r.outbox), 2);
	snprintf(path, sizeof(path), "/v1/queue/%s", id);
	AUTO(json_t) j = get(g, path);
	en = json_object_get(j, "entry");
	assert_string_equal(text_of(en, "id"), id);
	assert_int_equal(number_of(en, "number"), 2);
	assert_string_equal(text_of(en, "kind"), "cmp");
	assert_string_equal(text_of(en, "state"), "queued");
	assert_string_equal(text_of(en, "device"), "WB-0001");
	assert_int_equal(number_of(en, "handouts"), 0);
	assert_int_equal(strlen(text_of(en, "received")), 20);
	assert_int_equal(strlen(text_of(en, "deadline")), 20);
	for (size_t i = 0; i < NELEMS(nulls); i++)
		assert_true(json_is_null(json_object_get(en, nulls[i])));
	assert_int_equal(number_of(j, "bytes"), x.bytes.len);
	expect_facts(j, &x.facts);
	assert_string_equal(
	    text_of(item(j, "history", 0), "event"), "accepted");
	assert_int_equal(number_of(item(j, "history", 0), "number"), 2);
	outbox_octets_done(&x);
	/* By its bare number, and as a radio operator would type it. */
	AUTO(json_t) bare = get(g, "/v1/queue/2");
	assert_true(json_equal(bare, j) == 1);
	for (char *p = path + strlen("/v1/queue/"); *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p += 'a' - 'A';
	AUTO(json_t) low = get(g, path);
	assert_true(json_equal(low, j) == 1);
}

static void
what_is_not_in_the_queue_is_not_shown(void **state)
{
	struct reg_lab *g = *state;
	char id[ENTRY_ID_TEXT], path[64];
	static const char *const paths[] = { "/v1/queue/99", "/v1/queue/0",
		"/v1/queue/", "/v1/queue/x", "/v1/queue/1/2", "/v1/queue/-1",
		"/v1/queue/99999999999999999999999" };

	reg_start(g, NULL);
	enrol(g, 1);
	for (size_t i = 0; i < NELEMS(paths); i++) {
		AUTO(json_t) j = ask(g, "GET", paths[i], NULL, 404);
		assert_string_equal(text_of(j, "kind"), "input");
		assert_true(strlen(text_of(j, "error")) > 0);
	}
	/* A digit misheard. */
	entry_id_format(id, outbox_epoch(g->r.outbox), 1);
	id[strlen(id) - 1] = '2';
	snprintf(path, sizeof(path), "/v1/queue/%s", id);
	AUTO(json_t) j = ask(g, "GET", path, NULL, 404);
	assert_non_null(strstr(text_of(j, "error"), "check"));
}

static void
the_audit_trail_is_told(void **state)
{
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	enrol(g, 3);
	AUTO(json_t) all = get(g, "/v1/audit");
	assert_int_equal(count(all, "history"), 3);
	for (size_t i = 0; i < 3; i++) {
		const json_t *a = item(all, "history", i);

		assert_int_equal(number_of(a, "seq"), i + 1);
		assert_int_equal(number_of(a, "number"), i + 1);
		assert_string_equal(text_of(a, "event"), "accepted");
		assert_string_equal(text_of(a, "quality"), "rtc");
		assert_int_equal(strlen(text_of(a, "time")), 20);
	}
	AUTO(json_t) one = get(g, "/v1/audit?id=2");
	assert_int_equal(count(one, "history"), 1);
	assert_int_equal(number_of(item(one, "history", 0), "number"), 2);
	AUTO(json_t) none = get(g, "/v1/audit?id=77");
	assert_int_equal(count(none, "history"), 0);
}

/* ---- paths, methods, people -------------------------------------------- */

static void
other_paths_and_methods_are_not_served(void **state)
{
	static const char *const nowhere[] = { "/", "/v1", "/v1/", "/v2/status",
		"/v1/statusx", "/v1/status/", "/v1/metrics/x", "/v1/audits",
		"/v1/vouchers", "/v1/queue/%ff", "/v1/voucher/%c3", REG_CMP };
	static const struct {
		const char *method, *path, *want;
	} cases[] = {
		{ "POST", "/v1/status", "GET is served here" },
		{ "PUT", "/v1/queue", "GET is served here" },
		{ "DELETE", "/v1/queue/1", "GET is served here" },
		{ "POST", "/v1/audit", "GET is served here" },
		{ "POST", "/v1/metrics", "GET is served here" },
		{ "POST", "/v1/audit/verify", "GET is served here" },
		{ "POST", "/v1/voucher", "GET is served here" },
		{ "POST", "/v1/voucher/1", "GET is served here" },
		{ "GET", "/v1/voucher/prefetch", "POST is served here" },
		{ "GET", "/v1/voucher/import", "POST is served here" },
		{ "GET", "/v1/queue/hold", "POST is served here" },
		{ "GET", "/v1/queue/release", "POST is served here" },
		{ "GET", "/v1/queue/withdraw", "POST is served here" },
		{ "GET", "/v1/queue/expire", "POST is served here" },
		{ "GET", "/v1/backup", "POST is served here" },
		{ "GET", "/v1/restore", "POST is served here" },
	};
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	for (size_t i = 0; i < NELEMS(nowhere); i++)
		expect_text(g, "GET", nowhere[i], "HTTP/1.1 404 ");
	for (size_t i = 0; i < NELEMS(cases); i++) {
		expect_text(g, cases[i].method, cases[i].path, "HTTP/1.1 405 ");
		expect_text(g, cases[i].method, cases[i].path, cases[i].want);
	}
}

static void
another_uid_may_not(void **state)
{
	struct reg_lab *g = *state;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	static const char request[] = "GET /v1/status HTTP/1.1\r\n\r\n";
	char got[256] = "";
	AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct stat st;

	reg_start(g, NULL);
	assert_int_equal(stat(g->r.conf.control.socket, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	if (getuid() != 0)
		skip();
	/* Even if somebody opened the door. */
	assert_int_equal(chmod(g->l->dir, 0711), 0);
	assert_int_equal(chmod(g->r.conf.control.socket, 0666), 0);
	str_copy(a.sun_path, sizeof(a.sun_path), g->r.conf.control.socket);
	client_limit(fd);
	assert_int_equal(seteuid(65534), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(seteuid(0), 0);
	assert_true(send(fd, request, strlen(request), 0) > 0);
	assert_true(recv(fd, got, sizeof(got) - 1, 0) > 0);
	assert_non_null(strstr(got, "HTTP/1.1 403 "));
	assert_int_equal(reg_logged(g, "event=control.refused"), 1);
}

/* ---- vouchers on hand -------------------------------------------------- */

static json_t *
import(struct reg_lab *g, const char *vendor, const char *serial,
    const struct buf *voucher, int want)
{
	struct buf text AUTO_BUF = { 0 };

	base64_format(&text, voucher->data, voucher->len);
	AUTO(json_t) body = json_pack("{s:s, s:s, s:s}", "vendor", vendor,
	    "serial", serial, "voucher", buf_cstr(&text));
	return ask(g, "POST", "/v1/voucher/import", body, want);
}

/* It leaves as a registrar's request without nonce and prior. */
static void
expect_nonceless(struct reg_lab *g, const char *serial)
{
	struct vch_request q = { 0 };
	struct cms_signed cms = { 0 };
	struct err e = ERR_INIT;

	fwd_expect(&fwd, FRAME_PUT);
	assert_int_equal(fwd_header(&fwd).kind, ENTRY_VOUCHER);
	assert_int_equal(cms_open(fwd.f.u.put.octets, NULL, &cms, &e), 0);
	assert_int_equal(X509_cmp(cms.signer, g->l->registrar->cert), 0);
	assert_int_equal(vch_request_parse(buf_bytes(&cms.content), &q, &e), 0);
	assert_string_equal(q.serial, serial);
	assert_string_equal(q.nonce, "");
	assert_int_equal(q.prior.len, 0);
	vch_request_done(&q);
	cms_signed_done(&cms);
}

static void
vouchers_are_asked_for_ahead(void **state)
{
	struct reg_lab *g = *state;
	AUTO(json_t) body = json_pack("{s:s, s:[s, s, s]}", "vendor", "acme",
	    "serials", "WB-7", "", "WB-8");
	AUTO(json_t) unknown =
	    json_pack("{s:s, s:[s]}", "vendor", "nobody", "serials", "WB-9");

	reg_start(g, NULL);
	AUTO(json_t) j = ask(g, "POST", "/v1/voucher/prefetch", body, 200);
	assert_int_equal(count(j, "accepted"), 2);
	assert_int_equal(count(j, "failed"), 1);
	assert_string_equal(text_of(item(j, "failed", 0), "serial"), "");
	AUTO(json_t) none =
	    ask(g, "POST", "/v1/voucher/prefetch", unknown, 200);
	assert_int_equal(count(none, "accepted"), 0);
	assert_non_null(
	    strstr(text_of(item(none, "failed", 0), "error"), "nobody"));
	AUTO(json_t) list = get(g, "/v1/voucher");
	assert_int_equal(count(list, "vouchers"), 2);
	for (size_t i = 0; i < 2; i++) {
		const json_t *v = item(list, "vouchers", i);

		assert_string_equal(
		    text_of(v, "serial"), i == 0 ? "WB-7" : "WB-8");
		assert_string_equal(text_of(v, "vendor"), "acme");
		assert_string_equal(text_of(v, "state"), "queued");
		assert_true(json_is_null(json_object_get(v, "expires")));
		assert_string_equal(
		    text_of(v, "id"), text_of(item(j, "accepted", i), "id"));
	}
	fwd.key = g->masa_service;
	fwd_ready(&fwd);
	expect_nonceless(g, "WB-7");
}

static void
a_voucher_fetched_ahead_comes_on_hand(void **state)
{
	struct reg_lab *g = *state;
	struct buf voucher AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
	struct buf text AUTO_BUF = { 0 };
	struct reg_voucher m = { .serial = "WB-7", .expires = 4000000000 };
	struct vch_answer a = { .status = 200 };
	AUTO(json_t) body =
	    json_pack("{s:s, s:[s]}", "vendor", "acme", "serials", "WB-7");

	reg_start(g, NULL);
	AUTO(json_t) asked = ask(g, "POST", "/v1/voucher/prefetch", body, 200);
	assert_int_equal(count(asked, "accepted"), 1);
	fwd.key = g->masa_service;
	fwd_ready(&fwd);
	assert_int_equal(fwd_custody(&fwd), 1);
	AUTO(json_t) not_yet = get(g, "/v1/voucher/1");
	assert_true(json_is_null(json_object_get(not_yet, "voucher")));
	reg_voucher(g, &m, &voucher);
	a.voucher = buf_bytes(&voucher);
	vch_answer_format(&a, &octets);
	fwd_answer(&fwd, 1, BATCH_ANSWERED, buf_bytes(&octets));
	fwd_expect(&fwd, FRAME_GOT);
	reg_await(g, 1, ENTRY_ANSWERED);
	AUTO(json_t) shown = get(g, "/v1/voucher/1");
	base64_format(&text, voucher.data, voucher.len);
	assert_string_equal(text_of(shown, "voucher"), buf_cstr(&text));
	assert_string_equal(text_of(shown, "serial"), "WB-7");
	AUTO(json_t) list = get(g, "/v1/voucher");
	assert_string_equal(text_of(item(list, "vouchers", 0), "expires"),
	    "2096-10-02T07:06:40Z");
}

static void
a_voucher_is_carried_in_by_hand(void **state)
{
	struct reg_lab *g = *state;
	struct buf voucher AUTO_BUF = { 0 }, text AUTO_BUF = { 0 };
	struct reg_voucher m = { .serial = "WB-7" };
	char path[64];

	reg_start(g, NULL);
	reg_voucher(g, &m, &voucher);
	AUTO(json_t) j = import(g, "acme", "WB-7", &voucher, 200);
	snprintf(path, sizeof(path), "/v1/voucher/%s", text_of(j, "id"));
	AUTO(json_t) shown = get(g, path);
	base64_format(&text, voucher.data, voucher.len);
	assert_string_equal(text_of(shown, "voucher"), buf_cstr(&text));
	AUTO(json_t) list = get(g, "/v1/voucher");
	assert_string_equal(
	    text_of(item(list, "vouchers", 0), "state"), "answered");
	AUTO(json_t) audit = get(g, "/v1/audit?id=1");
	assert_string_equal(
	    text_of(item(audit, "history", 1), "event"), "answered");
	/* Nothing of it leaves: it has its answer. */
	fwd.key = g->masa_service;
	fwd_ready(&fwd);
	fwd_link(&fwd, false);
	fwd_link(&fwd, true);
	fwd_expect(&fwd, FRAME_HELLO);
}

static void
a_bad_voucher_is_not_kept(void **state)
{
	struct reg_lab *g = *state;
	const struct {
		const char *what, *vendor, *serial;
		struct reg_voucher m;
		int want;
	} cases[] = {
		{ "serial", "acme", "WB-8", { .serial = "WB-7" }, 403 },
		{ "nonce", "acme", "WB-7",
		    { .serial = "WB-7", .nonce = "bm9uY2U=" }, 403 },
		{ "pin", "acme", "WB-7",
		    { .serial = "WB-7", .pin = g->l->stranger.cert }, 403 },
		{ "signer", "acme", "WB-7",
		    { .serial = "WB-7", .by = g->l->registrar }, 403 },
		{ "a device", "acme", "WB-7",
		    { .serial = "WB-7", .by = g->l->device }, 403 },
		{ "expired", "acme", "WB-7",
		    { .serial = "WB-7", .expires = 1000000000 }, 403 },
		{ "vendor", "nobody", "WB-7", { .serial = "WB-7" }, 400 },
		{ "no serial", "acme", "", { .serial = "WB-7" }, 400 },
	};
	struct buf junk AUTO_BUF = { 0 };

	reg_start(g, NULL);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct buf voucher AUTO_BUF = { 0 };

		reg_voucher(g, &cases[i].m, &voucher);
		AUTO(json_t) j = import(g, cases[i].vendor, cases[i].serial,
		    &voucher, cases[i].want);
		assert_true(strlen(text_of(j, "error")) > 0);
		if (reg_next_id(g) != 1)
			fail_msg("%s: is kept", cases[i].what);
	}
	buf_add_str(&junk, "no CMS at all");
	AUTO(json_t) j = import(g, "acme", "WB-7", &junk, 400);
	assert_string_equal(text_of(j, "kind"), "input");
	AUTO(json_t) list = get(g, "/v1/voucher");
	assert_int_equal(count(list, "vouchers"), 0);
}

static void
bodies_of_another_shape_are_refused(void **state)
{
	static const char *const prefetches[] = { "{}", "[]",
		"{\"vendor\":\"acme\"}", "{\"vendor\":\"acme\",\"serials\":[]}",
		"{\"vendor\":\"acme\",\"serials\":\"WB-1\"}",
		"{\"vendor\":7,\"serials\":[\"WB-1\"]}",
		"{\"vendor\":\"acme\",\"serials\":[7]}",
		"{\"vendor\":\"acme\",\"serials\":[\"WB-1\",null]}" };
	static const char *const imports[] = {
		"{}", "[]", "{\"vendor\":\"acme\",\"serial\":\"WB-1\"}",
		"{\"vendor\":\"acme\",\"serial\":\"WB-1\",\"voucher\":7}",
		"{\"vendor\":\"acme\",\"serial\":\"WB-1\",\"voucher\":\"%%\"}"
	};
	struct reg_lab *g = *state;
	struct err e = ERR_INIT;

	reg_start(g, NULL);
	for (size_t i = 0; i < NELEMS(prefetches) + NELEMS(imports); i++) {
		bool pre = i < NELEMS(prefetches);
		const char *text =
		    pre ? prefetches[i] : imports[i - NELEMS(prefetches)];
		AUTO(json_t) body =
		    json_parse(bytes_of(text, strlen(text)), 1000, &e);
		AUTO(json_t) j = ask(g, "POST",
		    pre ? "/v1/voucher/prefetch" : "/v1/voucher/import", body,
		    400);

		assert_string_equal(text_of(j, "kind"), "input");
	}
	AUTO(json_t) none = ask(g, "POST", "/v1/voucher/import", NULL, 400);
	assert_string_equal(text_of(none, "kind"), "input");
	assert_int_equal(reg_next_id(g), 1);
}

/* Entries of other kinds are no vouchers. */
static void
only_vouchers_are_exported(void **state)
{
	static const char *const paths[] = { "/v1/voucher/1", "/v1/voucher/99",
		"/v1/voucher/", "/v1/voucher/x" };
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	enrol(g, 1);
	for (size_t i = 0; i < NELEMS(paths); i++) {
		AUTO(json_t) j = ask(g, "GET", paths[i], NULL, 404);
		assert_non_null(strstr(text_of(j, "error"), "no voucher"));
	}
	AUTO(json_t) list = get(g, "/v1/voucher");
	assert_int_equal(count(list, "vouchers"), 0);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(status_tells_how_it_is),
		T(metrics_count),
		T(the_queue_is_listed_in_pieces),
		T(an_entry_is_shown_with_facts_and_history),
		T(what_is_not_in_the_queue_is_not_shown),
		T(the_audit_trail_is_told),
		T(other_paths_and_methods_are_not_served),
		T(another_uid_may_not),
		T(vouchers_are_asked_for_ahead),
		T(a_voucher_fetched_ahead_comes_on_hand),
		T(a_voucher_is_carried_in_by_hand),
		T(a_bad_voucher_is_not_kept),
		T(bodies_of_another_shape_are_refused),
		T(only_vouchers_are_exported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
