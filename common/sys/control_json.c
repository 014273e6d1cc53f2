#include "common/sys/control_json.h"

#include <string.h>
#include "common/base/str.h"

/* The next value of a key, still escaped, and what stands behind it in *query;
 * NULL p if there is no other. */
static struct bytes
query_next(const char **query, const char *key)
{
	const char *q = *query;
	size_t n = strlen(key), len;

	while (q != NULL && *q != '\0') {
		len = strcspn(q, "&");
		*query = q + len + (q[len] == '&');
		if (len > n && strncmp(q, key, n) == 0 && q[n] == '=')
			return bytes_of(q + n + 1, len - n - 1);
		q = *query;
	}
	return bytes_of(NULL, 0);
}

uint64_t
control_query_number(
    const char *query, const char *key, uint64_t max, uint64_t def)
{
	struct bytes v;
	char text[24];
	uint64_t n;

	while ((v = query_next(&query, key)).p != NULL) {
		if (v.len >= sizeof(text))
			continue;
		memcpy(text, v.p, v.len);
		text[v.len] = '\0';
		if (number_parse(text, 0, max, &n, NULL) == 0)
			return n;
	}
	return def;
}

/* One octet of a query's value; how many it took there, 0: it is none. */
static size_t
query_octet(struct bytes v, uint8_t *ret)
{
	char hex[3];

	*ret = v.p[0];
	if (v.p[0] != '%')
		return 1;
	if (v.len < 3)
		return 0;
	memcpy(hex, v.p + 1, 2);
	hex[2] = '\0';
	return hex_parse(hex, ret, 1, NULL) == 0 && *ret != '\0' ? 3 : 0;
}

int
control_query_text(
    const char *query, const char *key, char *ret, size_t size, struct err *e)
{
	struct bytes v = query_next(&query, key);
	struct buf text AUTO_BUF = { 0 };
	uint8_t octet;
	size_t n;

	if (v.p == NULL)
		return 0;
	for (; v.len > 0; v = bytes_of(v.p + n, v.len - n)) {
		if ((n = query_octet(v, &octet)) == 0)
			return err_set(e, ERR_INPUT, "%s: no text", key);
		buf_add(&text, &octet, 1);
	}
	if (text.len >= size || !utf8_valid(text.data, text.len))
		return err_set(
		    e, ERR_INPUT, "%s: no text of at most %zu", key, size - 1);
	str_copy(ret, size, buf_cstr(&text));
	return 1;
}

void
control_query_escape(struct buf *out, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

	for (; *text != '\0'; text++)
		if (strchr(plain, *text) != NULL)
			buf_add(out, text, 1);
		else
			buf_printf(out, "%%%02X", (unsigned char)*text);
}

void
control_json(struct https_req *q, int status, json_t *j)
{
	struct buf out AUTO_BUF = { 0 };

	/* Some value in it was none: no reason to end. */
	if (j == NULL) {
		https_reply_text(q, 500, "this cannot be told in JSON");
		return;
	}
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
	    json_pack("{s:o, s:s}", "error", json_text(e->msg), "kind",
		err_kind_name(e->kind)));
}
