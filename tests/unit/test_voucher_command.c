/* `waybill voucher`: against a registrar of the test's own making, which knows
 * four devices: one whose voucher is here, one that waits, one that the MASA
 * refuses, one that is not accepted at all. */
#include "tests/unit/command_lab.h"

/* What stands in the registrar's list, and how often it was asked. */
static const char *_Atomic listed;
static atomic_uint lists, asked;
static atomic_size_t most;

/* Once the list was read so often, what waits is here. */
static atomic_uint comes_at;

#define ROW(id, number, serial, vendor, state, expires, reason) \
	"{\"id\":\"" id "\",\"number\":" #number ",\"serial\":\"" serial \
	"\",\"vendor\":\"" vendor "\",\"state\":\"" state \
	"\",\"expires\":" expires ",\"reason\":" reason "}"
#define HERE \
	ROW("A-1", 1, "here", "acme", "answered", "\"2027-01-01T00:00:00Z\"", \
	    "null")
#define WAITS ROW("A-2", 2, "waits", "acme", "custody", "null", "null")
#define CAME  ROW("A-2", 2, "waits", "acme", "answered", "null", "null")
#define REFUSED \
	ROW("A-3", 3, "refused", "acme", "refused", "null", \
	    "\"the MASA says 403: not yours\"")
#define LIST(rows) "{\"vouchers\":[" rows "]}"

/* ---- the registrar --------------------------------------------------- */

static void
on_prefetch(struct https_req *q, const json_t *in)
{
	static const char *const known[] = { "here", "waits", "refused" };
	AUTO(json_t) out = json_pack("{s:[], s:[]}", "accepted", "failed");
	const json_t *serial;
	struct buf text AUTO_BUF = { 0 };
	char id[] = "A-0";
	size_t i, k;

	atomic_fetch_add(&asked, 1);
	if (json_array_size(json_object_get(in, "serials")) > most)
		most = json_array_size(json_object_get(in, "serials"));
	json_array_foreach(json_object_get(in, "serials"), i, serial)
	{
		const char *s = json_string_value(serial);

		for (k = 0; k < NELEMS(known); k++)
			if (strcmp(s, known[k]) == 0)
				break;
		id[2] = (char)('1' + k);
		if (k < NELEMS(known))
			json_array_append_new(json_object_get(out, "accepted"),
			    json_pack("{s:s, s:s}", "serial", s, "id", id));
		else
			json_array_append_new(json_object_get(out, "failed"),
			    json_pack("{s:s, s:s}", "serial", s, "error",
				"no such device"));
	}
	json_format(&text, out);
	answer(q, 200, buf_cstr(&text));
}

static void
on_import(struct https_req *q, const json_t *in)
{
	const char *text = json_string_value(json_object_get(in, "voucher"));

	if (text != NULL && strcmp(text, "Z29vZA==") == 0)
		answer(q, 200, "{\"id\":\"A-9\"}");
	else
		answer(q, 403,
		    "{\"error\":\"signed by nobody we know\","
		    "\"kind\":\"trust\"}");
}

static void
on_request(struct https_req *q, void *arg)
{
	AUTO(json_t) in = https_body(q).len > 0
	    ? json_parse(https_body(q), BODY_MAX, NULL)
	    : NULL;
	const char *vendor = json_string_value(json_object_get(in, "vendor"));
	const char *path = https_path(q);

	(void)arg;
	if (in != NULL && (vendor == NULL || strcmp(vendor, "acme") != 0))
		answer(q, 400,
		    "{\"error\":\"no such vendor\",\"kind\":\"input\"}");
	else if (strcmp(path, "/v1/voucher/prefetch") == 0)
		on_prefetch(q, in);
	else if (strcmp(path, "/v1/voucher/import") == 0)
		on_import(q, in);
	else if (strcmp(path, "/v1/voucher") == 0)
		answer(q, 200,
		    ++lists >= comes_at ? LIST(HERE "," CAME "," REFUSED)
					: listed);
	else if (strcmp(path, "/v1/voucher/A-1") == 0)
		answer(q, 200,
		    "{\"id\":\"A-1\",\"serial\":\"here\","
		    "\"vendor\":\"acme\",\"voucher\":\"Z29vZA==\"}");
	else if (str_starts(path, "/v1/voucher/A-"))
		answer(q, 200, "{\"id\":\"A\",\"voucher\":null}");
	else
		answer(q, 404, "{\"error\":\"not here\"}");
}

static int
begin(void **state)
{
	(void)state;
	listed = LIST(HERE "," WAITS "," REFUSED);
	lists = asked = 0;
	most = 0;
	comes_at = UINT_MAX;
	return 0;
}

/* ---- prefetch -------------------------------------------------------- */

static void
exit_codes_tell_what_is_missing(void **state)
{
	static const struct {
		const char *serials[4];
		const char *wait; /* NULL: no waiting */
		int code;
		const char *said;
	} cases[] = {
		{ { "here" }, NULL, 0, "here    A-1  asked for\n" },
		{ { "here", "waits", "refused" }, NULL, 0, "asked for" },
		{ { "here", "nobody" }, NULL, 8, "nobody  -    no such" },
		{ { "nobody" }, NULL, 4, "no such device" },
		{ { "here" }, "5", 0, "on hand until 2027-01-01T00:00:00Z" },
		{ { "here", "waits" }, "0", 3, "not yet: custody" },
		{ { "waits", "refused" }, "1", 3, "not yet: custody" },
		{ { "here", "refused" }, "5", 8, "403: not yours" },
		{ { "here", "nobody" }, "5", 8, "no such device" },
		{ { "refused" }, "5", 4, "403: not yours" },
	};
	size_t i, k;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		const char *args[ARGS_MAX] = { "--vendor", "acme" };
		size_t n = 2;

		for (k = 0; cases[i].serials[k] != NULL; k++) {
			args[n++] = "--serial";
			args[n++] = cases[i].serials[k];
		}
		if (cases[i].wait != NULL) {
			args[n++] = "--wait";
			args[n++] = cases[i].wait;
		}
		assert_int_equal(
		    run(voucher_prefetch_command, args), cases[i].code);
		assert_said("out", cases[i].said);
	}
}

static void
what_comes_while_it_waits_is_here(void **state)
{
	(void)state;
	comes_at = 3;
	assert_int_equal(RUN(voucher_prefetch_command, "--vendor", "acme",
			     "--serial", "waits", "--wait", "20"),
	    0);
	assert_true(lists >= 3);
	assert_said("out", "waits   A-2  on hand\n");
}

static void
a_list_is_read_line_by_line(void **state)
{
	AUTO(char) path = path_join(dir, "list");

	(void)state;
	put("list",
	    "# ours\n\n  here \r\nwaits,site 7\nhere\n\tgone # later\n");
	assert_int_equal(
	    RUN(voucher_prefetch_command, "--vendor", "acme", "--list", path),
	    8);
	assert_int_equal(most, 3);
	assert_said("out",
	    "SERIAL  ID   RESULT\n"
	    "here    A-1  asked for\n"
	    "waits   A-2  asked for\n"
	    "gone    -    no such device\n");
	put("list", "# nothing\n");
	assert_int_equal(
	    RUN(voucher_prefetch_command, "--vendor", "acme", "--list", path),
	    1);
	assert_int_equal(asked, 1);
}

static void
long_lists_go_in_pieces(void **state)
{
	AUTO(char) path = path_join(dir, "list");
	struct buf text AUTO_BUF = { 0 };
	int i;

	(void)state;
	buf_add_str(&text, "here\n");
	for (i = 0; i < 1200; i++)
		buf_printf(&text, "dev-%d\n", i);
	put("list", buf_cstr(&text));
	assert_int_equal(RUN(voucher_prefetch_command, "--vendor", "acme",
			     "--list", path, "--json"),
	    8);
	assert_int_equal(asked, 3);
	assert_int_equal(most, 500);
	{
		struct buf out AUTO_BUF = slurp("out");
		AUTO(json_t) j = json_parse(buf_bytes(&out), TEXT_MAX, NULL);

		assert_int_equal(
		    json_array_size(json_object_get(j, "vouchers")), 1201);
	}
}

static void
what_the_registrar_refuses_is_told(void **state)
{
	(void)state;
	assert_int_equal(
	    RUN(voucher_prefetch_command, "--vendor", "bolt", "--serial", "x"),
	    1);
	assert_said("err", "waybill: no such vendor\n");
	assert_int_equal(RUN(voucher_prefetch_command, "--vendor", "acme"), 2);
	assert_int_equal(RUN(voucher_prefetch_command, "--serial", "x"), 2);
	assert_int_equal(asked, 0);
}

/* ---- list, export, import --------------------------------------------- */

static void
a_list_is_a_table(void **state)
{
	(void)state;
	listed = LIST(HERE "," REFUSED);
	assert_int_equal(RUN(voucher_list_command, NULL), 0);
	assert_said("out",
	    "ID   SERIAL   VENDOR  STATE     EXPIRES               REASON\n"
	    "A-1  here     acme    answered  2027-01-01T00:00:00Z  -\n"
	    "A-3  refused  acme    refused   -                     "
	    "the MASA says 403: not yours\n");
	assert_int_equal(RUN(voucher_list_command, "--json"), 0);
	assert_said("out", "{\"vouchers\":[{\"expires\":");
}

static void
export_finds_the_one_that_is_meant(void **state)
{
	static const struct {
		const char *list, *by, *what, *vendor;
		int code;
		const char *err;
	} cases[] = {
		{ LIST(HERE), "id", "A-1", NULL, 0, "" },
		{ LIST(HERE), "serial", "here", NULL, 0, "" },
		{ LIST(HERE "," ROW(
		      "A-4", 4, "here", "acme", "queued", "null", "null")),
		    "serial", "here", NULL, 0, "" },
		{ LIST(HERE "," ROW(
		      "A-4", 4, "here", "bolt", "queued", "null", "null")),
		    "serial", "here", NULL, 2, "give --vendor" },
		{ LIST(HERE "," ROW(
		      "A-4", 4, "here", "bolt", "queued", "null", "null")),
		    "serial", "here", "acme", 0, "" },
		{ LIST(HERE), "serial", "gone", NULL, 1, "asked for under" },
		{ LIST(HERE), "id", "../status", NULL, 1, "asked for under" },
		{ LIST(WAITS), "serial", "waits", NULL, 3, "not here yet" },
		{ LIST(REFUSED), "id", "A-3", NULL, 4, "403: not yours" },
	};
	AUTO(char) path = path_join(dir, "voucher");
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		const char *args[ARGS_MAX] = { "--out", path };
		size_t n = 2;

		if (strcmp(cases[i].by, "serial") == 0)
			args[n++] = "--serial";
		args[n++] = cases[i].what;
		if (cases[i].vendor != NULL) {
			args[n++] = "--vendor";
			args[n++] = cases[i].vendor;
		}
		unlink(path);
		listed = cases[i].list;
		if (run(voucher_export_command, args) != cases[i].code)
			fail_msg("case %zu", i);
		if (cases[i].code == 0)
			assert_said("voucher", "good");
		else
			assert_int_equal(access(path, F_OK), -1);
		assert_said("err", cases[i].err);
	}
}

static void
import_hands_in_the_octets(void **state)
{
	AUTO(char) path = path_join(dir, "voucher");

	(void)state;
	put("voucher", "good");
	assert_int_equal(RUN(voucher_import_command, path, "--vendor", "acme",
			     "--serial", "x"),
	    0);
	assert_said("out", "A-9\n");
	put("voucher", "bad");
	assert_int_equal(RUN(voucher_import_command, path, "--vendor", "acme",
			     "--serial", "x"),
	    6);
	assert_said("err", "signed by nobody we know");
	assert_int_equal(
	    RUN(voucher_import_command, path, "--vendor", "acme"), 2);
}

static void
without_a_registrar_it_is_told(void **state)
{
	char *old = sock;

	(void)state;
	sock = (char *)(intptr_t) "/nonexistent/socket";
	assert_int_equal(RUN(voucher_list_command, NULL), 5);
	sock = old;
}

#define TEST(f) cmocka_unit_test_setup(f, begin)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(exit_codes_tell_what_is_missing),
		TEST(what_comes_while_it_waits_is_here),
		TEST(a_list_is_read_line_by_line),
		TEST(long_lists_go_in_pieces),
		TEST(what_the_registrar_refuses_is_told),
		TEST(a_list_is_a_table),
		TEST(export_finds_the_one_that_is_meant),
		TEST(import_hands_in_the_octets),
		TEST(without_a_registrar_it_is_told),
	};

	lab_answers = on_request;
	return cmocka_run_group_tests(tests, setup, teardown);
}
