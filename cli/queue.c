/* `waybill queue`: what the registrar's control socket tells, for people. */
#include <string.h>
#include <time.h>

#include "cli/queue.h"
#include "cli/table.h"
#include "common/base/clock.h"
#include "common/base/str.h"

struct args {
	struct ask_args ask;
	struct queue_query query;
	const char *id;
	bool wants_id, wants_query;
};

static const struct argp_option list_options[] = {
	{ "state", QUEUE_OPT_STATE, "STATE", 0,
	    "Those in this state: queued, in-flight, custody, ...", 0 },
	QUEUE_OPTIONS_WHICH,
	{ "held", QUEUE_OPT_HELD, NULL, 0, "Those that are held", 0 },
	{ "late", QUEUE_OPT_LATE, NULL, 0,
	    "Those answered after they were withdrawn", 0 },
	{ "limit", QUEUE_OPT_LIMIT, "N", 0, "At most so many", 0 },
	ASK_OPTION_JSON,
	ASK_OPTIONS_WHERE,
	{ 0 },
};

static const struct argp_option options[] = {
	ASK_OPTION_JSON,
	ASK_OPTIONS_WHERE,
	{ 0 },
};

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (!a->wants_id || a->id != NULL)
			argp_error(state, "'%s' is not expected here", arg);
		a->id = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->wants_id && a->id == NULL)
			argp_error(state, "which request?");
		return 0;
	default:
		if (a->wants_query &&
		    queue_option(key, arg, state, &a->query) == 0)
			return 0;
		return ask_option(key, arg, &a->ask);
	}
}

static json_t *
ask_list(const char *socket, const struct queue_query *q, struct err *e)
{
	AUTO(json_t) all = json_array();
	AUTO(json_t) status = ask_get(socket, "/v1/status", e);
	bool more;

	if (status == NULL || queue_ask(socket, q, all, &more, e) == -1)
		return NULL;
	return json_pack(
	    "{s:O, s:b, s:O}", "entries", all, "more", more, "status", status);
}

/* ---- telling --------------------------------------------------------- */

/* "5s ago", of RFC 3339 text. */
static void
ago(char ret[32], const char *when)
{
	uint64_t now = clock_now().time;
	char text[16];
	struct tm tm = { 0 };
	time_t t;

	ret[0] = '\0';
	if (strptime(when, "%Y-%m-%dT%H:%M:%SZ", &tm) == NULL)
		return;
	t = timegm(&tm);
	if (t < 0)
		return;
	duration_format(text, now > (uint64_t)t ? now - (uint64_t)t : 0);
	snprintf(ret, 32, "%s ago", text);
}

static void
add_entry(struct table *t, const json_t *en)
{
	char age[16], copies[24], step[24], last[32], state[64];

	snprintf(state, sizeof(state), "%s%s%s", ask_text(en, "state"),
	    json_is_true(json_object_get(en, "held")) ? " (held)" : "",
	    json_is_true(json_object_get(en, "late")) ? " (late)" : "");
	snprintf(step, sizeof(step), "%llu",
	    (unsigned long long)ask_number(en, "step"));
	snprintf(copies, sizeof(copies), "%llu",
	    (unsigned long long)ask_number(en, "handouts"));
	ago(last, ask_text(en, "changed"));
	table_add(t, ask_text(en, "id"));
	table_add(t, duration_format(age, ask_number(en, "age")));
	table_add(t, state);
	table_add(t, ask_text(en, "kind"));
	table_add(t, ask_text(en, "device"));
	table_add(t, step);
	table_add(t, copies);
	table_add(t, last);
}

static void
print_counts(const json_t *status)
{
	const json_t *service, *n;
	const char *state;
	const char *sep = "";
	size_t i;

	json_object_foreach(
	    (json_t *)(intptr_t)json_object_get(status, "states"), state, n)
	{
		if (json_integer_value(n) == 0)
			continue;
		printf(
		    "%s%lld %s", sep, (long long)json_integer_value(n), state);
		sep = ", ";
	}
	printf("%s%llu %% full", *sep != '\0' ? "; " : "empty; ",
	    (unsigned long long)ask_number(status, "used_percent"));
	json_array_foreach(json_object_get(status, "services"), i, service)
	    printf("; link to %s %s", ask_text(service, "name"),
		ask_text(service, "link"));
	printf("; clock %s\n", ask_text(status, "clock"));
}

static int
print_list(const json_t *j)
{
	static const char *const titles[] = { "ID", "AGE", "STATE", "KIND",
		"DEVICE", "STEP", "COPIES", "LAST" };
	AUTO(table) t = table_new(titles, NELEMS(titles));
	struct buf out AUTO_BUF = { 0 };
	const json_t *en;
	size_t i;

	json_array_foreach(json_object_get(j, "entries"), i, en)
	    add_entry(t, en);
	table_format(t, &out);
	fputs(buf_cstr(&out), stdout);
	if (json_is_true(json_object_get(j, "more")))
		printf("... and others\n");
	print_counts(json_object_get(j, "status"));
	return cli_flush();
}

static void
print_value(const char *name, const json_t *v)
{
	struct buf out AUTO_BUF = { 0 };

	if (json_is_string(v))
		str_escape(&out, json_string_value(v), json_string_length(v));
	else if (json_is_integer(v))
		buf_printf(&out, "%lld", (long long)json_integer_value(v));
	else if (json_is_true(v))
		buf_add_str(&out, "yes");
	else
		return;
	printf("%-12s %s\n", name, buf_cstr(&out));
}

/* A table of these members of each object, after a title. */
static void
print_objects(
    const char *title, const json_t *objects, const char *const *keys, size_t n)
{
	AUTO(table) t = table_new(keys, n);
	struct buf out AUTO_BUF = { 0 };
	const json_t *o;
	char number[24];
	size_t i, k;

	json_array_foreach(objects, i, o) for (k = 0; k < n; k++)
	{
		snprintf(number, sizeof(number), "%llu",
		    (unsigned long long)ask_number(o, keys[k]));
		table_add(t,
		    json_is_integer(json_object_get(o, keys[k]))
			? number
			: ask_text(o, keys[k]));
	}
	table_format(t, &out);
	printf("\n%s\n%s", title, buf_cstr(&out));
}

static int
print_show(const json_t *j)
{
	static const char *const fields[] = { "id", "kind", "step", "state",
		"held", "held_who", "held_why", "held_since", "late", "resend",
		"pruned", "device", "vendor", "received", "changed", "deadline",
		"handouts", "carrier", "parent", "replaces", "replaced_by",
		"answer", "reason" };
	static const char *const facts[] = { "name", "level", "value" };
	static const char *const history[] = { "time", "quality", "event",
		"who", "detail" };
	const json_t *en = json_object_get(j, "entry");
	size_t i;

	for (i = 0; i < NELEMS(fields); i++)
		print_value(fields[i], json_object_get(en, fields[i]));
	print_objects(
	    "Facts", json_object_get(j, "facts"), facts, NELEMS(facts));
	print_objects(
	    "History", json_object_get(j, "history"), history, NELEMS(history));
	return cli_flush();
}

static void
print_duration(
    const char *name, const json_t *j, const char *key, const char *otherwise)
{
	const json_t *v = json_object_get(j, key);
	char text[16];

	printf("%-12s %s\n", name,
	    json_is_integer(v) ? duration_format(text, ask_number(j, key))
			       : otherwise);
}

static int
print_status(const json_t *j)
{
	static const char *const services[] = { "name", "link", "last_contact",
		"usual_gap" };
	static const char *const fields[] = { "site", "epoch", "version",
		"clock", "open", "held", "late", "resend", "used_percent",
		"suspended", "read_only" };
	size_t i;

	for (i = 0; i < NELEMS(fields); i++)
		print_value(fields[i], json_object_get(j, fields[i]));
	print_duration("up", j, "uptime", "-");
	print_duration("oldest", j, "oldest", "nothing waits");
	print_objects("Services, times in seconds",
	    json_object_get(j, "services"), services, NELEMS(services));
	printf("\n");
	print_counts(j);
	return cli_flush();
}

/* ---- commands -------------------------------------------------------- */

int
queue_list_command(int argc, char **argv)
{
	struct argp argp = { list_options, on_option, "",
		"Shows the requests that the site holds, oldest first." };
	struct args a = { .ask.conf = ASK_CONF_DEFAULT, .wants_query = true };
	struct err e = ERR_INIT;
	AUTO(char) socket = NULL;
	AUTO(json_t) j = NULL;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if ((socket = ask_socket(&a.ask, &e)) == NULL ||
	    (j = ask_list(socket, &a.query, &e)) == NULL)
		return cli_fail(&e);
	return a.ask.json ? ask_print_json(j) : print_list(j);
}

int
queue_show_command(int argc, char **argv)
{
	struct argp argp = { options, on_option, "ID",
		"Shows all that is known of one request: what stands in it, "
		"who judged what, and its history." };
	struct args a = { .ask.conf = ASK_CONF_DEFAULT, .wants_id = true };
	struct err e = ERR_INIT;
	AUTO(char) socket = NULL;
	AUTO(json_t) j = NULL;
	char path[64];

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (ask_check_id(a.id, &e) == -1)
		return cli_fail(&e);
	snprintf(path, sizeof(path), "/v1/queue/%s", a.id);
	if ((socket = ask_socket(&a.ask, &e)) == NULL ||
	    (j = ask_get(socket, path, &e)) == NULL)
		return cli_fail(&e);
	return a.ask.json ? ask_print_json(j) : print_show(j);
}

int
queue_status_command(int argc, char **argv)
{
	struct argp argp = { options, on_option, "",
		"Shows how the site is: what waits, since when, and when its "
		"services were last heard." };
	struct args a = { .ask.conf = ASK_CONF_DEFAULT };
	struct err e = ERR_INIT;
	AUTO(char) socket = NULL;
	AUTO(json_t) j = NULL;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if ((socket = ask_socket(&a.ask, &e)) == NULL ||
	    (j = ask_get(socket, "/v1/status", &e)) == NULL)
		return cli_fail(&e);
	return a.ask.json ? ask_print_json(j) : print_status(j);
}
