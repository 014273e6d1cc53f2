#include "common/queue/queue_json.h"

#include <string.h>
#include "common/base/str.h"

static json_t *
json_hex(const uint8_t *p, size_t n)
{
	AUTO(char) text = xmalloc(2 * n + 1);

	return json_string(hex_format(text, p, n));
}

static json_t *
json_databases(const struct store_report *r)
{
	json_t *j = json_array();

	for (unsigned i = 0; i < r->n_dbs; i++)
		json_array_append_new(j,
		    json_pack("{s:s, s:I, s:I, s:I}", "name", r->db[i].name,
			"rows", (json_int_t)r->db[i].rows, "expected",
			(json_int_t)r->db[i].expected, "damaged",
			(json_int_t)r->db[i].damaged));
	return j;
}

json_t *
store_report_json(const struct store_report *r)
{
	return json_pack("{s:o, s:i, s:I, s:I, s:I, s:I, s:o, s:o, s:o}",
	    "epoch", json_hex(r->epoch, STORE_EPOCH_LEN), "version",
	    (int)r->version, "next_id", (json_int_t)r->next_id, "octets",
	    (json_int_t)r->octets, "records", (json_int_t)r->records,
	    "audit_head", (json_int_t)r->audit.seq, "audit_hash",
	    json_hex(r->audit.hash.b, DIGEST_LEN), "databases",
	    json_databases(r), "trouble", json_text(r->trouble));
}

static json_t *
json_time(uint64_t seconds)
{
	char text[21];

	return json_string(clock_format(text, seconds));
}

json_t *
audit_record_json(const struct audit_record *r)
{
	struct buf text AUTO_BUF = { 0 };

	/* What is listed in its place has neither hash nor text. */
	if (strcmp(r->event, AUDIT_DAMAGED) != 0)
		audit_text(r, &text);
	return json_pack("{s:I, s:o, s:s, s:I, s:s, s:s, s:o, s:o, s:o, s:o}",
	    "seq", (json_int_t)r->seq, "time", json_time(r->when.time),
	    "quality", clock_quality_name(r->when.quality), "number",
	    (json_int_t)r->id, "event", r->event, "who", r->who, "detail",
	    json_text(r->detail), "hash", json_hex(r->hash.b, DIGEST_LEN),
	    "previous", json_hex(r->previous.b, DIGEST_LEN), "text",
	    json_hex(text.data, text.len));
}

json_t *
audit_verdict_json(const struct audit_chain *c, const struct store_audit *head)
{
	return json_pack("{s:b, s:I, s:I, s:o, s:o}", "sound",
	    c->trouble[0] == '\0', "records", (json_int_t)c->seq, "head",
	    (json_int_t)head->seq, "hash", json_hex(c->hash.b, DIGEST_LEN),
	    "trouble", json_text(c->trouble));
}
