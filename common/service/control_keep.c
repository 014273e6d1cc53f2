/* The control API's half for the ledger as a whole: its trail, its copies. */
#include "common/service/control_api.h"

#include <stdio.h>
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/str.h"

#define LIST_MAX LIMIT_SERVICE_LIST
#define PAGE	 256

/* ---- GET /v1/audit ----------------------------------------------------- */

json_t *
control_json_record(const struct audit_record *a)
{
	char hash[2 * DIGEST_LEN + 1];

	return json_pack("{s:I, s:o, s:s, s:I, s:s, s:s, s:s, s:s}", "seq",
	    (json_int_t)a->seq, "time", control_json_time(a->when.time),
	    "clock", clock_quality_name(a->when.quality), "case",
	    (json_int_t)a->id, "event", a->event, "who", a->who, "detail",
	    a->detail, "hash", hex_format(hash, a->hash.b, DIGEST_LEN));
}

static void
add_record(const struct audit_record *a, void *arg)
{
	json_array_append_new(arg, control_json_record(a));
}

void
control_audit(struct service *s, struct https_req *q, const char *rest)
{
	const char *query = https_query(q);
	uint64_t id = control_query_number(query, "case", INT64_MAX, 0);
	uint64_t first = control_query_number(query, "first", INT64_MAX, 0);
	uint64_t max = control_query_number(query, "max", LIST_MAX, LIST_MAX);
	AUTO(json_t) v = json_array();
	struct err e = ERR_INIT;
	int rc;

	(void)rest;
	if (id != 0)
		rc = ledger_audit(s->ledger, id, max, add_record, v, &e);
	else
		rc =
		    ledger_audit_page(s->ledger, first, max, add_record, v, &e);
	if (rc == -1)
		control_reply_error(q, &e);
	else
		control_json(q, 200, json_pack("{s:O}", "audit", v));
}

/* ---- GET /v1/audit/verify ---------------------------------------------- */

/* Up to the head of when it was asked for, a page a turn of the loop: sites are
 * served in between. */
struct verify {
	struct service *service;
	struct https_req *q;
	struct store_audit head;
	uint64_t seq;	    /* of the last record that holds */
	struct digest hash; /* its */
	size_t page;	    /* records that came of this page */
	char trouble[200];  /* "" so far */
};

static const char *
record_trouble(const struct verify *v, const struct audit_record *a,
    const struct digest *hash)
{
	if (a->seq != v->seq + 1)
		return "it is missing";
	if (!digest_eq(&a->previous, &v->hash))
		return "it does not follow the one before it";
	return digest_eq(&a->hash, hash) ? NULL : "its hash is another";
}

static void
verify_record(const struct audit_record *a, void *arg)
{
	struct verify *v = arg;
	struct buf text AUTO_BUF = { 0 };
	struct digest hash;
	const char *why;

	v->page++;
	if (v->trouble[0] != '\0' || v->seq == v->head.seq)
		return;
	audit_text(a, &text);
	hash = digest_of(text.data, text.len);
	if ((why = record_trouble(v, a, &hash)) != NULL) {
		snprintf(v->trouble, sizeof(v->trouble),
		    "audit record %llu: %s", (unsigned long long)v->seq + 1,
		    why);
		return;
	}
	v->seq = a->seq;
	v->hash = hash;
}

static void
verify_end(struct verify *v)
{
	char hex[2 * DIGEST_LEN + 1];

	if (v->trouble[0] == '\0' && !digest_eq(&v->hash, &v->head.hash))
		str_copy(v->trouble, sizeof(v->trouble),
		    "audit trail: it does not end in the head's record");
	if (v->trouble[0] != '\0')
		log_event(LOG_ALARM, "audit.broken", "reason", "%s", v->trouble,
		    NULL);
	control_json(v->q, 200,
	    json_pack("{s:b, s:I, s:I, s:s, s:o}", "sound",
		v->trouble[0] == '\0', "records", (json_int_t)v->seq, "head",
		(json_int_t)v->head.seq, "hash",
		hex_format(hex, v->hash.b, DIGEST_LEN), "trouble",
		json_text(v->trouble)));
	free(v);
}

static void
verify_page(void *arg)
{
	struct verify *v = arg;
	struct err e = ERR_INIT;

	v->page = 0;
	if (https_gone(v->q))
		str_copy(v->trouble, sizeof(v->trouble), "nobody waits");
	else if (ledger_audit_page(v->service->ledger, v->seq + 1, PAGE,
		     verify_record, v, &e) == -1)
		str_copy(v->trouble, sizeof(v->trouble), e.msg);
	else if (v->page == 0 && v->seq < v->head.seq)
		snprintf(v->trouble, sizeof(v->trouble),
		    "audit record %llu: it is missing",
		    (unsigned long long)v->seq + 1);
	if (v->trouble[0] != '\0' || v->seq == v->head.seq)
		verify_end(v);
	else
		loop_post(v->service->loop, verify_page, v);
}

void
control_verify(struct service *s, struct https_req *q, const char *rest)
{
	struct verify *v = xcalloc(1, sizeof(*v));
	struct err e = ERR_INIT;

	(void)rest;
	v->service = s;
	v->q = q;
	if (ledger_audit_head(s->ledger, &v->head, &e) == -1) {
		control_reply_error(q, &e);
		free(v);
		return;
	}
	verify_page(v);
}

/* ---- POST /v1/backup --------------------------------------------------- */

struct backup {
	struct https_req *q;
	char name[64];
	struct store_backup job;
};

static json_t *
json_databases(const struct store_report *p)
{
	json_t *j = json_array();

	for (unsigned i = 0; i < p->n_dbs; i++)
		json_array_append_new(j,
		    json_pack("{s:s, s:I, s:I, s:I}", "name", p->db[i].name,
			"rows", (json_int_t)p->db[i].rows, "expected",
			(json_int_t)p->db[i].expected, "damaged",
			(json_int_t)p->db[i].damaged));
	return j;
}

static json_t *
json_backup(const struct store_backup *b)
{
	char epoch[2 * STORE_EPOCH_LEN + 1], hash[2 * DIGEST_LEN + 1];
	const struct store_report *p = &b->report;

	return json_pack("{s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:s, s:o, s:o}",
	    "path", b->path, "epoch",
	    hex_format(epoch, p->epoch, STORE_EPOCH_LEN), "version",
	    (int)p->version, "next_id", (json_int_t)p->next_id, "octets",
	    (json_int_t)p->octets, "records", (json_int_t)p->records,
	    "audit_head", (json_int_t)p->audit.seq, "audit_hash",
	    hex_format(hash, p->audit.hash.b, DIGEST_LEN), "databases",
	    json_databases(p), "trouble", json_text(p->trouble));
}

static void
backup_done(struct store_backup *job, const struct err *e)
{
	struct backup *b = job->user;

	if (e != NULL) {
		log_err(LOG_ERROR, "ledger.backup-failed", e, NULL);
		control_reply_error(b->q, e);
	} else {
		log_event(
		    LOG_INFO, "ledger.backup", "file", "%s", job->path, NULL);
		control_json(b->q, 200, json_backup(job));
	}
	free(job->path);
	free(b);
}

void
control_backup(struct service *s, struct https_req *q, const char *rest)
{
	struct err e = ERR_INIT;
	AUTO(json_t) in = control_body(q, &e);
	const char *name;
	struct backup *b;

	(void)rest;
	if (in == NULL || json_unpack(in, "{s:s}", "name", &name) == -1) {
		err_set(&e, ERR_INPUT, "wanted: {\"name\": TEXT}");
		control_reply_error(q, &e);
		return;
	}
	b = xcalloc(1, sizeof(*b));
	b->q = q;
	str_copy(b->name, sizeof(b->name), name);
	b->job = (struct store_backup){ .name = b->name, .user = b };
	ledger_backup(s->ledger, &b->job, backup_done, loop_poster(s->loop));
}
