#include "common/base/json.h"

#include <stdbool.h>
#include "common/base/limits.h"

/* Jansson goes down to 2048, on the stack. */
#define DEPTH_MAX LIMIT_JSON_DEPTH

/* Whether brackets outside strings nest deeper; says nothing about the rest,
 * which is the parser's. */
static bool
too_deep(struct bytes text)
{
	bool quoted = false;
	unsigned depth = 0;
	size_t i;

	for (i = 0; i < text.len; i++) {
		uint8_t c = text.p[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '[' || c == '{') &&
		    ++depth > DEPTH_MAX)
			return true;
		else if (!quoted && (c == ']' || c == '}') && depth > 0)
			depth--;
	}
	return false;
}

json_t *
json_parse(struct bytes text, size_t max, struct err *e)
{
	json_error_t je;
	json_t *j;

	if (text.len > max) {
		err_set(
		    e, ERR_INPUT, "json: %zu octets, limit %zu", text.len, max);
		return NULL;
	}
	if (too_deep(text)) {
		err_set(e, ERR_INPUT, "json: nested deeper than %d", DEPTH_MAX);
		return NULL;
	}
	j = json_loadb(text.len > 0 ? (const char *)text.p : "", text.len,
	    JSON_REJECT_DUPLICATES, &je);
	if (j == NULL)
		err_set(e, ERR_INPUT, "json: line %d column %d: %s", je.line,
		    je.column, je.text);
	return j;
}

json_t *
json_text(const char *s)
{
	AUTO(char) plain = NULL;
	json_t *j;

	if (s == NULL || s[0] == '\0')
		return json_null();
	if ((j = json_string(s)) != NULL)
		return j;
	plain = xstrdup(s);
	for (char *p = plain; *p != '\0'; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return json_string(plain);
}

static int
add(const char *p, size_t n, void *arg)
{
	buf_add(arg, p, n);
	return 0;
}

void
json_format(struct buf *out, const json_t *j)
{
	/* What can fail is memory, or a value that contains itself. */
	if (json_dump_callback(j, add, out,
		JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) == -1)
		err_die("json: cannot be written");
	buf_add(out, "\n", 1);
}
