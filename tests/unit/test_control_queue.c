/* What people decide about entries over the control socket, and what they may
 * do with the store. */
#include "tests/unit/control_lab.h"

static json_t *
act(struct reg_lab *g, const char *verb, const char *ids, int want)
{
	char path[64], text[256];
	struct err e = ERR_INIT;
	AUTO(json_t) body = NULL;

	snprintf(path, sizeof(path), "/v1/queue/%s", verb);
	snprintf(
	    text, sizeof(text), "{\"ids\":[%s],\"reason\":\"because\"}", ids);
	if ((body = json_parse(bytes_of(text, strlen(text)), 1000, &e)) == NULL)
		fail_msg("%s", e.msg);
	return ask(g, "POST", path, body, want);
}

/* So many are done, so many refused. */
static void
act_on(struct reg_lab *g, const char *verb, const char *ids, size_t done,
    size_t refused)
{
	AUTO(json_t) j = act(g, verb, ids, 200);

	if (count(j, "done") != done || count(j, "refused") != refused)
		fail_msg("%s %s: %zu, %zu", verb, ids, count(j, "done"),
		    count(j, "refused"));
}

static void
expect_refused(
    struct reg_lab *g, const char *verb, const char *ids, const char *why)
{
	AUTO(json_t) j = act(g, verb, ids, 200);
	const char *said = text_of(item(j, "refused", 0), "error");

	if (strstr(said, why) == NULL)
		fail_msg("%s %s: %s", verb, ids, said);
}

/* A record of an entry's trail; what was released may have left meanwhile. */
static void
expect_record(struct reg_lab *g, uint64_t id, const char *event)
{
	char path[64], who[32];
	size_t i = 0, n;

	snprintf(path, sizeof(path), "/v1/audit?id=%u", (unsigned)id);
	AUTO(json_t) j = get(g, path);

	n = count(j, "history");
	while (i < n &&
	    strcmp(text_of(item(j, "history", i), "event"), event) != 0)
		i++;
	if (i == n)
		fail_msg("%s: no record of it", event);
	snprintf(who, sizeof(who), "uid %u", (unsigned)getuid());
	assert_string_equal(text_of(item(j, "history", i), "who"), who);
	assert_non_null(
	    strstr(text_of(item(j, "history", i), "detail"), "because"));
}

/* ---- hold, release ----------------------------------------------------- */

static void
what_is_held_stays(void **state)
{
	struct reg_lab *g = *state;
	struct outbox_entry en;

	fwd.service = "ra";
	fwd.key = g->l->service;
	reg_start(g, NULL);
	enrol(g, 2);
	act_on(g, "hold", "\"1\"", 1, 0);
	en = reg_entry(g, 1);
	assert_true(en.held);
	assert_string_equal(en.held_why, "because");
	expect_record(g, 1, "held");
	AUTO(json_t) shown = get(g, "/v1/queue/1");
	assert_string_equal(
	    text_of(json_object_get(shown, "entry"), "held_why"), "because");
	/* The other leaves, it does not. */
	fwd_ready(&fwd);
	assert_int_equal(fwd_custody(&fwd), 2);
	fwd_settle(&fwd);
	fwd_greet(&fwd);
	assert_int_equal(reg_entry(g, 1).state, ENTRY_QUEUED);
	expect_refused(g, "hold", "\"2\"", "it is custody: it has left");
	expect_refused(g, "expire", "\"1\"", "it is held");
	act_on(g, "release", "\"1\"", 1, 0);
	expect_record(g, 1, "released");
	assert_int_equal(fwd_custody(&fwd), 1);
}

static void
each_id_is_done_or_refused(void **state)
{
	static const struct {
		const char *ids;
		size_t done, refused;
	} cases[] = {
		{ "\"1\"", 1, 0 },
		{ "\"1\",\"1\"", 2, 0 }, /* it is held already: so be it */
		{ "\"1\",\"99\",\"2\"", 2, 1 },
		{ "\"x\"", 0, 1 },
		{ "\"0\"", 0, 1 },
		{ "\"9999-00001\",\"2\"", 1, 1 },
	};
	struct reg_lab *g = *state;
	struct buf many AUTO_BUF = { 0 };
	char id[ENTRY_ID_TEXT];

	reg_start(g, NULL);
	enrol(g, 50);
	for (size_t i = 0; i < NELEMS(cases); i++)
		act_on(
		    g, "hold", cases[i].ids, cases[i].done, cases[i].refused);
	expect_refused(g, "hold", "\"99\"", "there is none");
	/* More than one portion; as people write them. */
	for (uint64_t i = 1; i <= 50; i++)
		buf_printf(&many, "%s\"%s\"", i > 1 ? "," : "",
		    entry_id_format(id, outbox_epoch(g->r.outbox), i));
	AUTO(json_t) ids = NULL;
	AUTO(json_t) body = NULL;
	struct buf text AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	buf_printf(&text, "[%s]", buf_cstr(&many));
	ids = json_parse(buf_bytes(&text), 10000, &e);
	body = json_pack("{s:O, s:s}", "ids", ids, "reason", "all");
	AUTO(json_t) j = ask(g, "POST", "/v1/queue/hold", body, 200);
	assert_int_equal(count(j, "done"), 50);
	AUTO(json_t) held = get(g, "/v1/queue?held=1&max=1000");
	assert_int_equal(count(held, "entries"), 50);
}

static void
bodies_of_another_shape_are_refused(void **state)
{
	static const char *const texts[] = { "{}", "[]", "{\"ids\":[\"1\"]}",
		"{\"ids\":[\"1\"],\"reason\":\"\"}",
		"{\"ids\":[],\"reason\":\"so\"}",
		"{\"ids\":\"1\",\"reason\":\"so\"}",
		"{\"ids\":[1],\"reason\":\"so\"}",
		"{\"ids\":[\"1\",null],\"reason\":\"so\"}",
		"{\"ids\":[\"1\"],\"reason\":7}" };
	static const char *const verbs[] = { "/v1/queue/hold",
		"/v1/queue/release", "/v1/queue/withdraw", "/v1/queue/expire",
		"/v1/backup", "/v1/restore" };
	struct reg_lab *g = *state;
	struct err e = ERR_INIT;

	reg_start(g, NULL);
	enrol(g, 1);
	for (size_t v = 0; v < NELEMS(verbs); v++)
		for (size_t i = 0; i < NELEMS(texts); i++) {
			AUTO(json_t) body = json_parse(
			    bytes_of(texts[i], strlen(texts[i])), 1000, &e);
			AUTO(json_t) j = ask(g, "POST", verbs[v], body, 400);

			assert_string_equal(text_of(j, "kind"), "input");
		}
	assert_false(reg_entry(g, 1).held);
	assert_int_equal(reg_entry(g, 1).state, ENTRY_QUEUED);
}

/* ---- withdraw, expire -------------------------------------------------- */

/* What a poll of entry 1's device is told. */
static void
expect_told(struct reg_lab *g, const struct cmp_msg *last, uint32_t fail,
    const char *text)
{
	struct buf poll AUTO_BUF = { 0 };

	reg_pollreq(last, g->l->device, 0, &poll);
	AUTO(cmp_msg) m = reg_cmp(g, g->l->device, &poll);
	reg_expect_refused(text, m, CMP_IP, fail, text);
}

static struct cmp_msg *
enrol_one(struct reg_lab *g)
{
	struct lab_ask want = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 };

	lab_request(g->l, &want, &request);
	return reg_cmp(g, g->l->device, &request);
}

static void
what_has_not_left_is_withdrawn_and_that_is_all(void **state)
{
	struct reg_lab *g = *state;
	struct outbox_entry en;

	reg_start(g, NULL);
	AUTO(cmp_msg) a = enrol_one(g);
	act_on(g, "withdraw", "\"1\"", 1, 0);
	en = reg_entry(g, 1);
	assert_int_equal(en.state, ENTRY_WITHDRAWN);
	assert_int_equal(en.answer_code, BATCH_REFUSED);
	expect_record(g, 1, "withdrawn");
	expect_told(g, a, CMP_BAD_REQUEST, "withdrawn: because");
	AUTO(json_t) told = get(g, "/v1/queue?kind=withdraw");
	assert_int_equal(count(told, "entries"), 0);
	expect_refused(g, "withdraw", "\"1\"", "it is withdrawn");
	expect_refused(g, "expire", "\"1\"", "it is withdrawn");
	expect_refused(g, "hold", "\"1\"", "it is withdrawn");
}

static void
of_what_has_left_the_service_is_told(void **state)
{
	struct reg_lab *g = *state;
	char id[ENTRY_ID_TEXT + 2];

	fwd.service = "ra";
	fwd.key = g->l->service;
	reg_start(g, NULL);
	fwd_ready(&fwd);
	AUTO(cmp_msg) a = enrol_one(g);
	assert_int_equal(fwd_custody(&fwd), 1);
	act_on(g, "withdraw", "\"1\"", 1, 0);
	assert_int_equal(reg_entry(g, 1).state, ENTRY_WITHDRAWN);
	expect_told(g, a, CMP_BAD_REQUEST, "withdrawn: because");
	fwd_expect(&fwd, FRAME_PUT);
	assert_int_equal(fwd_header(&fwd).kind, ENTRY_WITHDRAW);
	assert_int_equal(fwd_header(&fwd).parent, 1);
	/* It must go on: nobody may give up the giving up. */
	AUTO(json_t) list = get(g, "/v1/queue?kind=withdraw");
	snprintf(
	    id, sizeof(id), "\"%s\"", text_of(item(list, "entries", 0), "id"));
	expect_refused(g, "withdraw", id, "it gives up another");
}

static void
what_has_not_left_is_made_to_expire(void **state)
{
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	AUTO(cmp_msg) a = enrol_one(g);
	act_on(g, "expire", "\"1\"", 1, 0);
	assert_int_equal(reg_entry(g, 1).state, ENTRY_EXPIRED);
	expect_record(g, 1, "expired");
	expect_told(g, a, CMP_BAD_TIME, "expired: because");
}

/* ---- lists ------------------------------------------------------------- */

static void
lists_are_filtered(void **state)
{
	static const struct {
		const char *query;
		size_t n;
	} cases[] = {
		{ "?state=queued", 3 },
		{ "?state=withdrawn", 1 },
		{ "?state=queued&max=2", 2 },
		{ "?kind=cmp", 4 },
		{ "?kind=voucher", 0 },
		{ "?kind=cmp&state=withdrawn", 1 },
		{ "?device=WB-0001", 4 },
		{ "?device=WB%2D0001", 4 },
		{ "?device=WB-00", 0 },
		{ "?device=", 0 },
		{ "?older=3600", 0 },
		{ "?older=0", 4 },
		{ "?held=1", 1 },
		{ "?held=0", 4 },
		{ "?late=1", 0 },
	};
	static const char *const bad[] = { "?state=waiting",
		"?state=", "?kind=x", "?device=%", "?device=%00", "?device=%ff",
		"?device=%2" };
	struct reg_lab *g = *state;
	char path[64];

	reg_start(g, NULL);
	enrol(g, 4);
	act_on(g, "hold", "\"2\"", 1, 0);
	act_on(g, "withdraw", "\"4\"", 1, 0);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		snprintf(path, sizeof(path), "/v1/queue%s", cases[i].query);
		AUTO(json_t) j = get(g, path);
		if (count(j, "entries") != cases[i].n)
			fail_msg("%s: %zu", path, count(j, "entries"));
	}
	for (size_t i = 0; i < NELEMS(bad); i++) {
		snprintf(path, sizeof(path), "/v1/queue%s", bad[i]);
		AUTO(json_t) j = ask(g, "GET", path, NULL, 400);
		assert_string_equal(text_of(j, "kind"), "input");
	}
	AUTO(json_t) page = get(g, "/v1/queue?state=queued&max=2");
	assert_int_equal(number_of(page, "next"), 3);
	AUTO(json_t) rest = get(g, "/v1/queue?state=queued&max=2&first=3");
	assert_true(json_is_null(json_object_get(rest, "next")));
}

/* ---- the store --------------------------------------------------------- */

static void
the_trail_is_verified(void **state)
{
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	AUTO(json_t) none = get(g, "/v1/audit/verify");
	assert_true(json_is_true(json_object_get(none, "sound")));
	/* More than one page. */
	for (int i = 0; i < 6; i++) {
		if (i == 0)
			enrol(g, 60);
		act_on(g, i % 2 == 0 ? "hold" : "release", "\"1\"", 1, 0);
	}
	AUTO(json_t) all = get(g, "/v1/audit?max=1000");
	AUTO(json_t) j = get(g, "/v1/audit/verify");
	assert_true(json_is_true(json_object_get(j, "sound")));
	assert_int_equal(number_of(j, "records"), count(all, "history"));
	assert_int_equal(number_of(j, "head"), count(all, "history"));
	assert_string_equal(text_of(j, "hash"),
	    text_of(item(all, "history", count(all, "history") - 1), "hash"));
	AUTO(json_t) page = get(g, "/v1/audit?first=3&max=2");
	assert_int_equal(count(page, "history"), 2);
	assert_int_equal(number_of(item(page, "history", 0), "seq"), 3);
}

static void
a_backup_is_made_and_verified(void **state)
{
	struct reg_lab *g = *state;
	AUTO(json_t) name = json_pack("{s:s}", "name", "monday");
	AUTO(json_t) bad = json_pack("{s:s}", "name", "../monday");
	struct stat st;

	reg_start(g, NULL);
	enrol(g, 3);
	AUTO(json_t) j = ask(g, "POST", "/v1/backup", name, 200);
	assert_int_equal(stat(text_of(j, "path"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(number_of(j, "next_id"), 4);
	assert_int_equal(number_of(j, "records"), number_of(j, "audit_head"));
	assert_true(json_is_null(json_object_get(j, "trouble")));
	assert_true(count(j, "databases") >= 3);
	/* Nothing is overwritten. */
	AUTO(json_t) again = ask(g, "POST", "/v1/backup", name, 400);
	assert_string_equal(text_of(again, "kind"), "input");
	AUTO(json_t) path = ask(g, "POST", "/v1/backup", bad, 400);
	assert_string_equal(text_of(path, "kind"), "input");
}

static void
ignore(void *user, const struct err *e)
{
	(void)user;
	(void)e;
}

static void
a_restored_site_begins_anew(void **state)
{
	struct reg_lab *g = *state;
	AUTO(json_t) confirm = json_pack("{s:b}", "confirm", true);
	AUTO(json_t) not = json_pack("{s:b}", "confirm", false);
	struct lab_ask want = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 };
	struct reg_http h = {
		.client = g->l->device, .path = REG_CMP, .type = REG_CMP_TYPE
	};
	struct reg_reply p AUTO_REPLY = { 0 };
	char epoch[2 * ENTRY_EPOCH_LEN + 1];

	fwd.service = "ra";
	fwd.key = g->l->service;
	reg_start(g, NULL);
	fwd_ready(&fwd);
	enrol(g, 1);
	assert_int_equal(fwd_custody(&fwd), 1);
	hex_format(epoch, outbox_epoch(g->r.outbox), ENTRY_EPOCH_LEN);
	outbox_suspend(g->r.outbox, "restored from an older copy", ignore, NULL,
	    loop_poster(g->r.loops[0]));
	outbox_flush(g->r.outbox);
	AUTO(json_t) status = get(g, "/v1/status");
	assert_non_null(strstr(text_of(status, "suspended"), "older copy"));
	lab_request(g->l, &want, &request);
	h.body = buf_bytes(&request);
	reg_http(g, &h, &p);
	assert_int_equal(p.status, 503);
	assert_true(reg_reply_has(&p, "Retry-After: "));
	assert_true(reg_reply_has(&p, "older copy"));
	AUTO(json_t) no = ask(g, "POST", "/v1/restore", not, 400);
	AUTO(json_t) j = ask(g, "POST", "/v1/restore", confirm, 200);
	assert_string_not_equal(text_of(j, "epoch"), epoch);
	AUTO(json_t) after = get(g, "/v1/status");
	assert_true(json_is_null(json_object_get(after, "suspended")));
	assert_int_equal(number_of(after, "resend"), 1);
	/* The service is greeted anew, by the new epoch. */
	while (fwd_next(&fwd) != FRAME_HELLO)
		assert_int_not_equal(fwd.f.type, 0);
}

/* ---- who may ----------------------------------------------------------- */

/* As another user of this machine. */
static void
ask_as(struct reg_lab *g, uid_t uid, const char *request, struct buf *out)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ssize_t n;

	str_copy(a.sun_path, sizeof(a.sun_path), g->r.conf.control.socket);
	client_limit(fd);
	assert_int_equal(seteuid(uid), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(seteuid(0), 0);
	assert_true(send(fd, request, strlen(request), 0) > 0);
	n = recv(fd, buf_grow(out, 4096), 4096, 0);
	out->len -= 4096 - (n > 0 ? (size_t)n : 0);
}

static void
roles_decide(void **state)
{
	static const struct {
		const char *path;
		uid_t uid;
		const char *want;
	} cases[] = {
		{ "/v1/queue/hold", 65001, " 403 " },
		{ "/v1/queue/hold", 65002, " 400 " },
		{ "/v1/queue/release", 65002, " 400 " },
		{ "/v1/queue/withdraw", 65002, " 403 " },
		{ "/v1/queue/expire", 65002, " 403 " },
		{ "/v1/backup", 65002, " 403 " },
		{ "/v1/restore", 65002, " 403 " },
		{ "/v1/queue/withdraw", 65003, " 400 " },
		{ "/v1/queue/expire", 65003, " 400 " },
		{ "/v1/backup", 65003, " 400 " },
		{ "/v1/restore", 65003, " 400 " },
	};
	struct reg_want want = {
		.control =
		    ", viewers: [65001], field: [65002], admins: [65003]",
	};
	struct reg_lab *g = *state;

	if (getuid() != 0)
		skip();
	reg_start(g, &want);
	assert_int_equal(chmod(g->l->dir, 0711), 0);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct buf got AUTO_BUF = { 0 };
		char request[256];

		snprintf(request, sizeof(request),
		    "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
		    "{}",
		    cases[i].path);
		ask_as(g, cases[i].uid, request, &got);
		if (strstr(buf_cstr(&got), cases[i].want) == NULL)
			fail_msg("%s by %u: %s", cases[i].path,
			    (unsigned)cases[i].uid, buf_cstr(&got));
	}
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_is_held_stays),
		T(each_id_is_done_or_refused),
		T(bodies_of_another_shape_are_refused),
		T(what_has_not_left_is_withdrawn_and_that_is_all),
		T(of_what_has_left_the_service_is_told),
		T(what_has_not_left_is_made_to_expire),
		T(lists_are_filtered),
		T(the_trail_is_verified),
		T(a_backup_is_made_and_verified),
		T(a_restored_site_begins_anew),
		T(roles_decide),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
