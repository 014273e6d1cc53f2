#include "registrar/control_keep.h"

#include "common/base/log.h"
#include "common/base/str.h"
#include "common/queue/queue_json.h"
#include "registrar/carry.h"
#include "registrar/control_json.h"

#define LIST_MAX LIMIT_CONTROL_LIST
#define PAGE	 256

/* ---- GET /v1/audit ----------------------------------------------------- */

void
keep_audit(struct registrar *r, struct https_req *q, const char *rest)
{
	const char *query = https_query(q);
	AUTO(json_t) history = json_array();
	uint64_t id = control_query_number(query, "id", UINT64_MAX, 0);
	uint64_t first = control_query_number(query, "first", UINT64_MAX, 0);
	uint64_t max = control_query_number(query, "max", LIST_MAX, LIST_MAX);
	struct err e = ERR_INIT;
	int rc;

	(void)rest;
	if (id != 0)
		rc = outbox_history(
		    r->outbox, id, max, json_record, history, &e);
	else
		rc = outbox_audit_page(
		    r->outbox, first, max, json_record, history, &e);
	if (rc == -1)
		control_error(q, 500, &e);
	else
		control_json(q, 200, json_pack("{s:O}", "history", history));
}

/* ---- GET /v1/audit/verify ---------------------------------------------- */

/* The chain up to its head of when it was asked for, a page at a time: pledges
 * are served in between. */
struct verify {
	struct registrar *r;
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
	if (outbox_audit_page(v->r->outbox, v->chain.seq + 1, PAGE,
		verify_record, v, &e) == -1)
		str_copy(v->chain.trouble, sizeof(v->chain.trouble), e.msg);
	if (v->chain.trouble[0] != '\0' || v->page == 0 ||
	    v->chain.seq == v->head.seq)
		verify_end(v);
	else
		loop_post(https_loop(v->q), verify_page, v);
}

void
keep_verify(struct registrar *r, struct https_req *q, const char *rest)
{
	struct verify *v = xcalloc(1, sizeof(*v));
	struct err e = ERR_INIT;

	(void)rest;
	v->r = r;
	v->q = q;
	if (outbox_audit_head(r->outbox, &v->head, &e) == -1) {
		control_error(q, 500, &e);
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
backup_done(struct store_backup *s, const struct err *e)
{
	struct backup *b = s->user;
	json_t *j;

	if (e != NULL) {
		log_err(LOG_ERROR, "queue.backup-failed", e, NULL);
		control_error(b->q, err_http_status(e->kind), e);
	} else {
		log_event(
		    LOG_INFO, "queue.backup", "file", "%s", s->path, NULL);
		j = store_report_json(&s->report);
		json_object_set_new(j, "path", json_string(s->path));
		control_json(b->q, 200, j);
	}
	free(s->path);
	free(b);
}

void
keep_backup(struct registrar *r, struct https_req *q, const char *rest)
{
	struct err e = ERR_INIT;
	AUTO(json_t) in = json_parse(https_body(q), CONTROL_BODY_MAX, &e);
	const char *name;
	struct backup *b;

	(void)rest;
	if (in == NULL || json_unpack(in, "{s:s}", "name", &name) == -1) {
		err_set(&e, ERR_INPUT, "wanted: {\"name\": TEXT}");
		control_error(q, 400, &e);
		return;
	}
	b = xcalloc(1, sizeof(*b));
	b->q = q;
	str_copy(b->name, sizeof(b->name), name);
	b->job = (struct store_backup){ .name = b->name, .user = b };
	outbox_backup(
	    r->outbox, &b->job, backup_done, loop_poster(https_loop(q)));
}

/* ---- POST /v1/restore -------------------------------------------------- */

struct restore {
	struct registrar *r;
	struct https_req *q;
	char who[32];
};

static void
restore_done(void *user, const struct err *e)
{
	struct restore *p = user;
	char epoch[2 * ENTRY_EPOCH_LEN + 1];

	if (e != NULL) {
		log_err(LOG_ERROR, "queue.not-renewed", e, NULL);
		control_error(p->q, err_http_status(e->kind), e);
	} else {
		carry_renewed(p->r->carry);
		hex_format(epoch, outbox_epoch(p->r->outbox), ENTRY_EPOCH_LEN);
		log_event(LOG_WARN, "queue.renewed", "who", "%s", p->who,
		    "epoch", "%s", epoch, NULL);
		control_json(p->q, 200, json_pack("{s:s}", "epoch", epoch));
	}
	free(p);
}

/* What goes out anew must be meant: the body says so. */
void
keep_restore(struct registrar *r, struct https_req *q, const char *rest)
{
	struct err e = ERR_INIT;
	AUTO(json_t) in = json_parse(https_body(q), CONTROL_BODY_MAX, &e);
	int confirm = 0;
	struct restore *p;

	(void)rest;
	if (in == NULL || json_unpack(in, "{s:b}", "confirm", &confirm) == -1 ||
	    !confirm) {
		err_set(&e, ERR_INPUT, "wanted: {\"confirm\": true}");
		control_error(q, 400, &e);
		return;
	}
	p = xcalloc(1, sizeof(*p));
	p->r = r;
	p->q = q;
	control_who(q, p->who, sizeof(p->who));
	outbox_renew(
	    r->outbox, p->who, restore_done, p, loop_poster(https_loop(q)));
}
