#include "cli/limits_command.h"

#include <stdio.h>

#include "cli/ask.h"
#include "cli/table.h"
#include "common/base/limits.h"

void
limits_format(struct buf *out)
{
	static const char *const titles[] = { "LIMIT", "MOST", "OF WHAT",
		"BEYOND IT", "WHERE" };
	AUTO(table) t = table_new(titles, NELEMS(titles));
	char value[24];

	for (size_t i = 0; i < limit_count; i++) {
		const struct limit *l = &limit_table[i];

		snprintf(value, sizeof(value), "%lu", l->value);
		table_add(t, l->name);
		table_add(t, value);
		table_add(t, l->unit);
		table_add(t, l->beyond);
		table_add(t, l->where);
	}
	table_format(t, out);
}

json_t *
limits_json(void)
{
	json_t *all = json_array();

	for (size_t i = 0; i < limit_count; i++) {
		const struct limit *l = &limit_table[i];

		json_array_append_new(all,
		    json_pack("{s:s, s:I, s:s, s:s, s:s}", "name", l->name,
			"value", (json_int_t)l->value, "unit", l->unit,
			"beyond", l->beyond, "where", l->where));
	}
	return json_pack("{s:o}", "limits", all);
}

static const struct argp_option options[] = {
	ASK_OPTION_JSON,
	{ 0 },
};

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct ask_args *a = state->input;

	(void)arg;
	if (key != ASK_OPT_JSON)
		return ARGP_ERR_UNKNOWN;
	a->json = true;
	return 0;
}

int
limits_command(int argc, char **argv)
{
	struct argp argp = { options, on_option, NULL,
		"Shows every limit on what strangers, peers and files may hand "
		"in, and what happens beyond it." };
	struct buf text AUTO_BUF = { 0 };
	AUTO(json_t) j = NULL;
	struct ask_args a = { 0 };

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (a.json) {
		j = limits_json();
		return ask_print_json(j);
	}
	limits_format(&text);
	fputs(buf_cstr(&text), stdout);
	return cli_flush();
}
