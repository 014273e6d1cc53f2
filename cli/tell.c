#include "cli/tell.h"

#include <stdio.h>
#include <time.h>

#include "cli/ask.h"
#include "cli/table.h"
#include "common/base/clock.h"
#include "common/base/str.h"

void
tell_value(const char *name, const json_t *v)
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

static void
add_cell(struct table *t, const json_t *object, const char *key)
{
	const json_t *v = json_object_get(object, key);
	char number[24];

	if (!json_is_integer(v)) {
		table_add(t, ask_text(object, key));
		return;
	}
	snprintf(
	    number, sizeof(number), "%lld", (long long)json_integer_value(v));
	table_add(t, number);
}

void
tell_objects(
    const char *title, const json_t *objects, const char *const *keys, size_t n)
{
	AUTO(table) t = table_new(keys, n);
	struct buf out AUTO_BUF = { 0 };
	const json_t *o;
	size_t i, k;

	json_array_foreach(objects, i, o) for (k = 0; k < n; k++)
	    add_cell(t, o, keys[k]);
	table_format(t, &out);
	printf("\n%s\n%s", title, buf_cstr(&out));
}

char *
tell_ago(char ret[32], const char *when)
{
	uint64_t now = clock_now().time;
	char text[16];
	struct tm tm = { 0 };
	time_t t;

	ret[0] = '\0';
	if (strptime(when, "%Y-%m-%dT%H:%M:%SZ", &tm) == NULL)
		return ret;
	t = timegm(&tm);
	if (t < 0)
		return ret;
	duration_format(text, now > (uint64_t)t ? now - (uint64_t)t : 0);
	snprintf(ret, 32, "%s ago", text);
	return ret;
}
