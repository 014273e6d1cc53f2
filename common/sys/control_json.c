#include "common/sys/control_json.h"

#include <string.h>
#include "common/base/str.h"

uint64_t
control_query_number(
    const char *query, const char *key, uint64_t max, uint64_t def)
{
	size_t n = strlen(key), len;
	char text[24];
	uint64_t v;

	for (; query != NULL; query = strchr(query, '&')) {
		query += *query == '&';
		if (strncmp(query, key, n) != 0 || query[n] != '=')
			continue;
		len = strcspn(query + n + 1, "&");
		if (len >= sizeof(text))
			continue;
		str_copy(text, len + 1, query + n + 1);
		if (number_parse(text, 0, max, &v, NULL) == 0)
			return v;
	}
	return def;
}

json_t *
json_text(const char *s)
{
	return s == NULL || s[0] == '\0' ? json_null() : json_string(s);
}

void
control_json(struct https_req *q, int status, json_t *j)
{
	struct buf out AUTO_BUF = { 0 };

	json_format(&out, j);
	json_decref(j);
	https_reply(q,
	    &(struct https_answer){ .status = status,
		.type = "application/json",
		.body = buf_bytes(&out) });
}

void
control_error(struct https_req *q, int status, const struct err *e)
{
	control_json(q, status,
	    json_pack(
		"{s:s, s:s}", "error", e->msg, "kind", err_kind_name(e->kind)));
}
