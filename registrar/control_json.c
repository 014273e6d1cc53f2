#include "registrar/control_json.h"

json_t *
json_id(const struct registrar *r, uint64_t id)
{
	char text[ENTRY_ID_TEXT];

	return id == 0
	    ? json_null()
	    : json_string(entry_id_format(text, outbox_epoch(r->outbox), id));
}

json_t *
json_time(uint64_t seconds)
{
	char text[21];

	return seconds == 0 ? json_null()
			    : json_string(clock_format(text, seconds));
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
