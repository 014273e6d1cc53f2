/* The control API's half for the ledger as a whole: its trail, its copies. */
#include "common/service/control_api.h"

#include <stdio.h>
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/queue/queue_json.h"

#define LIST_MAX LIMIT_SERVICE_LIST
#define PAGE	 256

/* ---- GET /v1/audit ----------------------------------------------------- */

/* Under the names that services have always had as well. */
json_t *
control_json_record(const struct audit_record *a)
{
	json_t *j = audit_record_json(a);

	json_object_set_new(
	    j, "clock", json_string(clock_quality_name(a->when.quality)));
	json_object_set_new(j, "case", json_integer((json_int_t)a->id));
	json_object_set_new(j, "detail", json_string(a->detail));
	return j;
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
	struct audit_chain chain;
	size_t page; /* records that came of this page */
};

static void
verify_record(const struct audit_record *a, void *arg)
{
	struct verify *v = arg;

	v->page++;
	if (v->chain.seq < v->head.seq)
		audit_follow(&v->chain, a);
}

static void
verify_end(struct verify *v)
{
	audit_follow_end(&v->chain, &v->head);
	if (v->chain.trouble[0] != '\0')
		log_event(LOG_ALARM, "audit.broken", "reason", "%s",
		    v->chain.trouble, NULL);
	control_json(v->q, 200, audit_verdict_json(&v->chain, &v->head));
	free(v);
}

static void
verify_page(void *arg)
{
	struct verify *v = arg;
	struct err e = ERR_INIT;

	if (https_gone(v->q)) {
		https_reply(v->q, &(struct https_answer){ .status = 503 });
		free(v);
		return;
	}
	v->page = 0;
	if (ledger_audit_page(v->service->ledger, v->chain.seq + 1, PAGE,
		verify_record, v, &e) == -1)
		str_copy(v->chain.trouble, sizeof(v->chain.trouble), e.msg);
	if (v->chain.trouble[0] != '\0' || v->page == 0 ||
	    v->chain.seq == v->head.seq)
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

static void
backup_done(struct store_backup *job, const struct err *e)
{
	struct backup *b = job->user;
	json_t *j;

	if (e != NULL) {
		log_err(LOG_ERROR, "ledger.backup-failed", e, NULL);
		control_reply_error(b->q, e);
	} else {
		log_event(
		    LOG_INFO, "ledger.backup", "file", "%s", job->path, NULL);
		j = store_report_json(&job->report);
		json_object_set_new(j, "path", json_string(job->path));
		control_json(b->q, 200, j);
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
