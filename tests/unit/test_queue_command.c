/* `waybill queue list|status|hold|release|withdraw|expire`: against a registrar
 * of the test's own making, which holds a thousand and more entries. */
#include "tests/unit/command_lab.h"

#include "common/base/clock.h"
#include "common/sys/control_json.h"

#define ENTRIES 1300

/* What it was asked last, and how often. */
static char query[256], path[64], reason[64];
static atomic_uint lists, acts;
static atomic_size_t most, acted;
/* Every so manieth is refused; 0: none. */
static atomic_uint refuse;

/* ---- the registrar --------------------------------------------------- */

static const char *
state_of(uint64_t n)
{
	return n % 2 == 0 ? "queued" : "custody";
}

static json_t *
entry(uint64_t n)
{
	char id[32];

	snprintf(id, sizeof(id), "7F3K-%05u", (unsigned)n);
	return json_pack("{s:s, s:I, s:i, s:s, s:b, s:b, s:s, s:i, s:s, s:s,"
			 " s:i, s:s}",
	    "id", id, "number", (json_int_t)n, "age", 60, "state", state_of(n),
	    "held", false, "late", false, "kind", "cmp", "step", 0, "device",
	    "WB-1", "changed", "2026-11-22T06:00:00Z", "handouts", 1, "carrier",
	    "link");
}

static void
on_list(struct https_req *q)
{
	uint64_t first = control_query_number(query, "first", UINT64_MAX, 0);
	uint64_t max = control_query_number(query, "max", 1000, 100), n;
	json_t *all = json_array();
	char state[32] = "";

	assert_int_not_equal(
	    control_query_text(query, "state", state, sizeof(state), NULL), -1);
	for (n = first > 0 ? first : 1;
	     n <= ENTRIES && json_array_size(all) < max; n++)
		if (state[0] == '\0' || strcmp(state, state_of(n)) == 0)
			json_array_append_new(all, entry(n));
	control_json(q, 200,
	    json_pack("{s:b, s:o, s:o}", "more", n <= ENTRIES, "next",
		n <= ENTRIES ? json_integer((json_int_t)n) : json_null(),
		"entries", all));
}

static void
on_act(struct https_req *q)
{
	AUTO(json_t) in = json_parse(https_body(q), BODY_MAX, NULL);
	json_t *done = json_array(), *refused = json_array(), *id;
	size_t i;

	str_copy(reason, sizeof(reason),
	    json_string_value(json_object_get(in, "reason")));
	json_array_foreach(json_object_get(in, "ids"), i, id)
	{
		if (++acted % (refuse > 0 ? refuse : SIZE_MAX) != 0)
			json_array_append(done, id);
		else
			json_array_append_new(refused,
			    json_pack("{s:O, s:s}", "id", id, "error",
				"it is delivered"));
	}
	if (i > most)
		most = i;
	acts++;
	control_json(
	    q, 200, json_pack("{s:o, s:o}", "done", done, "refused", refused));
}

static void
on_status(struct https_req *q)
{
	answer(q, 200,
	    "{\"site\":\"depot\",\"states\":{\"queued\":650},"
	    "\"used_percent\":3,\"clock\":\"sync\",\"oldest\":8040,"
	    "\"suspended\":\"restored from an older copy\","
	    "\"read_only\":true,\"services\":[{\"name\":\"ra\","
	    "\"link\":\"down\",\"last_contact\":125,\"usual_gap\":null}]}");
}

static void
on_request(struct https_req *q, void *arg)
{
	(void)arg;
	str_copy(path, sizeof(path), https_path(q));
	if (strcmp(path, "/v1/status") == 0) {
		on_status(q);
		return;
	}
	if (strcmp(path, "/v1/queue") == 0) {
		str_copy(query, sizeof(query), https_query(q));
		lists++;
		on_list(q);
	} else if (https_method(q) == HTTPS_POST) {
		on_act(q);
	} else {
		answer(q, 404, "{\"error\":\"not here\"}");
	}
}

static int
begin(void **state)
{
	(void)state;
	lists = acts = refuse = 0;
	most = acted = 0;
	query[0] = reason[0] = '\0';
	return 0;
}

/* ---- list, status ------------------------------------------------------ */

static unsigned
lines_with(const char *file, const char *part)
{
	struct buf b AUTO_BUF = slurp(file);
	unsigned n = 0;

	for (const char *p = (char *)b.data; (p = strstr(p, part)) != NULL; n++)
		p += strlen(part);
	return n;
}

static void
no_more_is_asked_for_than_wanted(void **state)
{
	(void)state;
	assert_int_equal(RUN(queue_list_command, "--limit", "100"), 0);
	assert_int_equal(lists, 1);
	assert_string_equal(query, "first=0&max=100");
	assert_int_equal(lines_with("out", "\n7F3K-"), 100);
	assert_said("out", "\n... and others\n650 queued; 3 % full");
	/* More than a page. */
	assert_int_equal(RUN(queue_list_command, "--limit", "600"), 0);
	assert_int_equal(lists, 3);
	assert_string_equal(query, "first=501&max=100");
	assert_int_equal(lines_with("out", "\n7F3K-"), 600);
}

static void
all_are_listed_page_by_page(void **state)
{
	(void)state;
	assert_int_equal(RUN(queue_list_command, NULL), 0);
	assert_int_equal(lists, 3);
	assert_int_equal(lines_with("out", "\n7F3K-"), ENTRIES);
	assert_int_equal(lines_with("out", "others"), 0);
	assert_int_equal(
	    RUN(queue_list_command, "--limit", "1300", "--json"), 0);
	assert_int_equal(lines_with("out", "\"id\":"), ENTRIES);
	assert_int_equal(lines_with("out", "\"more\":false"), 1);
}

static void
what_is_wanted_stands_in_the_query(void **state)
{
	(void)state;
	assert_int_equal(RUN(queue_list_command, "--state", "queued", "--kind",
			     "cmp", "--device", "A b&c=d%", "--older", "2h",
			     "--held", "--late", "--limit", "7"),
	    0);
	assert_string_equal(query,
	    "first=0&max=7&state=queued&kind=cmp&device=A%20b%26c%3Dd%25"
	    "&older=7200&held=1&late=1");
}

static void
status_tells_what_is_wrong(void **state)
{
	(void)state;
	assert_int_equal(RUN(queue_status_command, NULL), 0);
	assert_said("out", "\nsuspended    restored from an older copy\n");
	assert_said("out", "\nread_only    yes\n");
	assert_said("out", "\noldest       2h14m\n");
	assert_said("out", "ra    down  125           -\n");
}

/* ---- acting ------------------------------------------------------------ */

static const struct {
	int (*run)(int argc, char **argv);
	const char *path, *said;
	size_t all; /* how many ALL means */
} verbs[] = {
	{ queue_hold_command, "/v1/queue/hold", " held\n", 650 },
	{ queue_release_command, "/v1/queue/release", " released\n", 650 },
	{ queue_withdraw_command, "/v1/queue/withdraw", " withdrawn\n", 1300 },
	{ queue_expire_command, "/v1/queue/expire", " expired\n", 650 },
};

static void
each_command_has_its_path(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEMS(verbs); i++) {
		begin(NULL);
		assert_int_equal(
		    RUN(verbs[i].run, "7F3K-00001", "2", "--reason", "so"), 0);
		assert_string_equal(path, verbs[i].path);
		assert_string_equal(reason, "so");
		assert_int_equal(acted, 2);
		assert_said("out", verbs[i].said);
	}
}

static void
all_means_those_it_can_be_done_to(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEMS(verbs); i++) {
		begin(NULL);
		assert_int_equal(RUN(verbs[i].run, "ALL", "--yes", "--reason",
				     "so", "--kind", "cmp"),
		    0);
		assert_int_equal(acted, verbs[i].all);
		assert_true(most <= 1000);
		assert_non_null(strstr(query, "&kind=cmp"));
		assert_int_equal(strstr(query, "&held=1") != NULL,
		    verbs[i].run == queue_release_command);
	}
}

static void
what_is_refused_is_told(void **state)
{
	(void)state;
	refuse = 2;
	assert_int_equal(
	    RUN(queue_hold_command, "1", "2", "3", "--reason", "so"), 8);
	assert_said("out", "2 held, 1 refused\n");
	assert_said("err", "2: it is delivered\n");
	refuse = 1;
	assert_int_equal(RUN(queue_hold_command, "1", "--reason", "so"), 4);
	assert_int_equal(
	    RUN(queue_expire_command, "1", "--reason", "so", "--json"), 4);
	assert_said("out", "\"error\":\"it is delivered\"");
	/* Not text: nobody could read why. */
	assert_int_equal(RUN(queue_hold_command, "1", "--reason", "\xff"), 2);
}

#define TEST(f) cmocka_unit_test_setup(f, begin)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(no_more_is_asked_for_than_wanted),
		TEST(all_are_listed_page_by_page),
		TEST(what_is_wanted_stands_in_the_query),
		TEST(status_tells_what_is_wrong),
		TEST(each_command_has_its_path),
		TEST(all_means_those_it_can_be_done_to),
		TEST(what_is_refused_is_told),
	};

	lab_answers = on_request;
	return cmocka_run_group_tests(tests, setup, teardown);
}
