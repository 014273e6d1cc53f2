/* `waybill status`: how a site is, on a page. */
#include <stdio.h>

#include "cli/ask.h"
#include "cli/table.h"
#include "cli/tell.h"
#include "common/base/str.h"

static const struct argp_option options[] = {
	ASK_OPTION_JSON,
	ASK_OPTIONS_WHERE,
	{ 0 },
};

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	if (key == ARGP_KEY_ARG)
		argp_error(state, "'%s' is not expected here", arg);
	return ask_option(key, arg, state->input);
}

/* ---- telling ----------------------------------------------------------- */

/* "2h14m" of seconds; "-" if they are not known. */
static void
add_duration(struct table *t, const json_t *j, const char *key)
{
	const json_t *v = json_object_get(j, key);
	char text[16];

	table_add(t,
	    json_is_integer(v) ? duration_format(text, ask_number(j, key))
			       : "-");
}

static void
print_table(struct table *t)
{
	struct buf out AUTO_BUF = { 0 };

	table_format(t, &out);
	printf("\n%s", buf_cstr(&out));
}

static void
print_services(const json_t *services)
{
	static const char *const titles[] = { "SERVICE", "LINK", "LAST HEARD" };
	AUTO(table) t = table_new(titles, NELEMS(titles));
	const json_t *s;
	size_t i;

	json_array_foreach(services, i, s)
	{
		table_add(t, ask_text(s, "name"));
		table_add(t, ask_text(s, "link"));
		add_duration(t, s, "last_contact");
	}
	print_table(t);
}

static void
print_reference(const json_t *pieces)
{
	static const char *const titles[] = { "REFERENCE DATA", "OF", "VERSION",
		"AGE", "STALE" };
	AUTO(table) t = table_new(titles, NELEMS(titles));
	char version[24];
	const json_t *p;
	size_t i;

	json_array_foreach(pieces, i, p)
	{
		snprintf(version, sizeof(version), "%llu",
		    (unsigned long long)ask_number(p, "version"));
		table_add(t, ask_text(p, "name"));
		table_add(t, ask_text(p, "service"));
		table_add(t, version);
		add_duration(t, p, "age");
		table_add(t,
		    json_is_true(json_object_get(p, "stale")) ? "yes" : "no");
	}
	print_table(t);
}

static void
print_queue(json_t *states)
{
	const char *state, *sep = "";
	json_t *n;

	printf("%-12s ", "queue");
	json_object_foreach(states, state, n)
	{
		if (json_integer_value(n) == 0)
			continue;
		printf(
		    "%s%lld %s", sep, (long long)json_integer_value(n), state);
		sep = ", ";
	}
	printf("%s\n", sep[0] == '\0' ? "empty" : "");
}

static int
print_status(const json_t *j)
{
	static const char *const fields[] = { "site", "clock", "suspended",
		"read_only" };

	for (size_t i = 0; i < NELEMS(fields); i++)
		tell_value(fields[i], json_object_get(j, fields[i]));
	printf("%-12s %llu %% full\n", "store",
	    (unsigned long long)ask_number(j, "used_percent"));
	print_queue(json_object_get(j, "states"));
	print_services(json_object_get(j, "services"));
	print_reference(json_object_get(j, "reference"));
	return cli_flush();
}

int
status_command(int argc, char **argv)
{
	static const struct argp argp = { options, on_option, "",
		"Shows how a site is: its queue and store, when each service "
		"was last heard, and what is known from them.",
		NULL, NULL, NULL };
	struct ask_args a = { .conf = ASK_CONF_DEFAULT };
	struct err e = ERR_INIT;
	AUTO(char) socket = NULL;
	AUTO(json_t) j = NULL;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if ((socket = ask_socket(&a, &e)) == NULL ||
	    (j = ask_get(socket, "/v1/status", &e)) == NULL)
		return cli_fail(&e);
	return a.json ? ask_print_json(j) : print_status(j);
}
