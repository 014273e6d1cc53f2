#include "registrar/control_api.h"

#include <string.h>
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "registrar/control_json.h"
#include "registrar/control_voucher.h"
#include "registrar/roles.h"

#define LIST_MAX    LIMIT_CONTROL_LIST
#define HISTORY_MAX 500

static json_t *
json_entry(const struct registrar *r, const struct outbox_entry *en)
{
	uint64_t now = clock_now().time, since = en->received.time;

	return json_pack("{s:o, s:I, s:s, s:i, s:s, s:b, s:b, s:o, s:o, s:I,"
			 " s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:o}",
	    "id", json_id(r, en->id), "number", (json_int_t)en->id, "kind",
	    entry_kind_name(en->kind), "step", (int)en->step, "state",
	    entry_state_name(en->state), "held", en->held, "late", en->late,
	    "device", json_text(en->label), "received", json_time(since), "age",
	    (json_int_t)(now > since ? now - since : 0), "changed",
	    json_time(en->changed), "deadline", json_time(en->deadline),
	    "handouts", (int)en->handouts, "carrier", json_text(en->carrier),
	    "replaces", json_id(r, en->replaces), "replaced_by",
	    json_id(r, en->replaced_by), "parent", json_id(r, en->parent),
	    "answer",
	    en->answer_code == 0 ? json_null()
				 : json_text(batch_code_name(en->answer_code)),
	    "reason", json_text(en->reason));
}

/* ---- GET /v1/status --------------------------------------------------- */

static json_t *
status_states(const struct outbox_counts *n)
{
	json_t *j = json_object();

	for (int s = ENTRY_RECEIVED; s < ENTRY_STATE__MAX; s++)
		json_object_set_new(j, entry_state_name(s),
		    json_integer((json_int_t)n->by_state[s]));
	return j;
}

static json_t *
status_services(struct registrar *r)
{
	json_t *j = json_array();

	for (size_t i = 0; i < r->n_services; i++)
		json_array_append_new(j,
		    json_pack("{s:s, s:s}", "name", r->services[i].name, "link",
			atomic_load(&r->services[i].contact.up) ? "up"
								: "down"));
	return j;
}

static void
control_status(struct registrar *r, struct https_req *q, const char *rest)
{
	struct outbox_counts n;
	char epoch[2 * ENTRY_EPOCH_LEN + 1];

	(void)rest;
	outbox_count(r->outbox, &n);
	control_json(q, 200,
	    json_pack("{s:s, s:s, s:s, s:I, s:s, s:i, s:I, s:I, s:o, s:o}",
		"site", r->conf.site, "epoch",
		hex_format(epoch, outbox_epoch(r->outbox), ENTRY_EPOCH_LEN),
		"version", WAYBILL_VERSION, "uptime",
		(json_int_t)((clock_mono_ms() - r->started) / 1000), "clock",
		clock_quality_name(clock_now().quality), "used_percent",
		(int)n.used_percent, "held", (json_int_t)n.held, "late",
		(json_int_t)n.late, "services", status_services(r), "states",
		status_states(&n)));
}

/* ---- GET /v1/queue, /v1/queue/ID -------------------------------------- */

struct listing {
	const struct registrar *r;
	json_t *entries;
};

static void
list_entry(const struct outbox_entry *en, void *arg)
{
	struct listing *l = arg;

	json_array_append_new(l->entries, json_entry(l->r, en));
}

static void
control_list(struct registrar *r, struct https_req *q, const char *rest)
{
	struct listing l = { r, json_array() };
	uint64_t max =
	    control_query_number(https_query(q), "max", LIST_MAX, 100);
	uint64_t first =
	    control_query_number(https_query(q), "first", UINT64_MAX, 0);
	struct err e = ERR_INIT;

	(void)rest;
	if (outbox_list(r->outbox, first, max, list_entry, &l, &e) == -1) {
		json_decref(l.entries);
		control_error(q, 500, &e);
		return;
	}
	control_json(q, 200,
	    json_pack("{s:b, s:o}", "more",
		max > 0 && json_array_size(l.entries) == max, "entries",
		l.entries));
}

static void
history_record(const struct audit_record *a, void *arg)
{
	json_array_append_new(arg,
	    json_pack("{s:I, s:o, s:s, s:I, s:s, s:s, s:o}", "seq",
		(json_int_t)a->seq, "time", json_time(a->when.time), "quality",
		clock_quality_name(a->when.quality), "number",
		(json_int_t)a->id, "event", a->event, "who", a->who, "detail",
		json_text(a->detail)));
}

static json_t *
json_facts(const struct facts *f)
{
	static const char *const levels[] = { "claimed", "registrar",
		"end-to-end" };
	json_t *j = json_array();

	for (size_t i = 0; i < f->n; i++)
		json_array_append_new(j,
		    json_pack("{s:s, s:s, s:s}", "name", f->v[i].name, "level",
			levels[f->v[i].level], "value", f->v[i].value));
	return j;
}

static int
show_entry(struct registrar *r, const char *text, json_t **ret, struct err *e)
{
	struct outbox_entry en;
	struct outbox_octets x = { 0 };
	AUTO(json_t) history = json_array();
	uint64_t id;
	int found;

	if (entry_id_parse(text, outbox_epoch(r->outbox), &id, e) == -1)
		return -1;
	found = outbox_get(r->outbox, id, &en, e);
	if (found == 0)
		return err_set(e, ERR_INPUT, "no entry %s", text);
	if (found == -1 || outbox_octets(r->outbox, id, &x, e) == -1)
		return -1;
	if (outbox_history(
		r->outbox, id, HISTORY_MAX, history_record, history, e) == 0)
		*ret = json_pack("{s:o, s:o, s:O, s:I}", "entry",
		    json_entry(r, &en), "facts", json_facts(&x.facts),
		    "history", history, "bytes", (json_int_t)x.bytes.len);
	outbox_octets_done(&x);
	return *ret != NULL ? 0 : -1;
}

static void
control_show(struct registrar *r, struct https_req *q, const char *rest)
{
	struct err e = ERR_INIT;
	json_t *j = NULL;

	if (show_entry(r, rest, &j, &e) == -1)
		control_error(q, e.kind == ERR_INPUT ? 404 : 500, &e);
	else
		control_json(q, 200, j);
}

static void
control_audit(struct registrar *r, struct https_req *q, const char *rest)
{
	AUTO(json_t) history = json_array();
	uint64_t id = control_query_number(https_query(q), "id", UINT64_MAX, 0);
	struct err e = ERR_INIT;

	(void)rest;
	if (outbox_history(
		r->outbox, id, LIST_MAX, history_record, history, &e) == -1)
		control_error(q, 500, &e);
	else
		control_json(q, 200, json_pack("{s:O}", "history", history));
}

/* ---- GET /v1/metrics -------------------------------------------------- */

/* Prometheus text exposition 0.0.4. */
static void
control_metrics(struct registrar *r, struct https_req *q, const char *rest)
{
	struct metrics *m = &r->metrics;
	const struct {
		const char *name;
		atomic_ullong *value;
	} counters[] = {
		{ "requests_accepted", &m->accepted },
		{ "requests_refused", &m->refused },
		{ "vouchers_delivered", &m->vouchers_issued },
		{ "vouchers_withheld", &m->vouchers_withheld },
		{ "voucher_status_failures", &m->voucher_status_failed },
		{ "enrol_status_failures", &m->enrol_status_failed },
		{ "connections_over_share", &m->connections_over },
		{ "requests_over_share", &m->requests_over },
	};
	struct buf out AUTO_BUF = { 0 };
	struct outbox_counts n;

	(void)rest;
	for (size_t i = 0; i < NELEMS(counters); i++)
		buf_printf(&out,
		    "# TYPE waybill_%s_total counter\nwaybill_%s_total %llu\n",
		    counters[i].name, counters[i].name,
		    (unsigned long long)atomic_load(counters[i].value));
	outbox_count(r->outbox, &n);
	buf_add_str(&out, "# TYPE waybill_entries gauge\n");
	for (int s = ENTRY_RECEIVED; s < ENTRY_STATE__MAX; s++)
		buf_printf(&out, "waybill_entries{state=\"%s\"} %llu\n",
		    entry_state_name(s), (unsigned long long)n.by_state[s]);
	https_reply(q,
	    &(struct https_answer){ .status = 200,
		.type = "text/plain; version=0.0.4",
		.body = buf_bytes(&out) });
}

/* ---- routes ----------------------------------------------------------- */

static const struct {
	const char *path; /* ending in '/': a prefix */
	enum https_method method;
	enum role role; /* the least that may */
	void (*run)(struct registrar *r, struct https_req *q, const char *rest);
} routes[] = {
	{ "/v1/status", HTTPS_GET, ROLE_VIEWER, control_status },
	{ "/v1/metrics", HTTPS_GET, ROLE_VIEWER, control_metrics },
	{ "/v1/queue", HTTPS_GET, ROLE_VIEWER, control_list },
	{ "/v1/queue/", HTTPS_GET, ROLE_VIEWER, control_show },
	{ "/v1/audit", HTTPS_GET, ROLE_VIEWER, control_audit },
	{ "/v1/voucher", HTTPS_GET, ROLE_VIEWER, voucher_list },
	{ "/v1/voucher/prefetch", HTTPS_POST, ROLE_FIELD, voucher_prefetch },
	{ "/v1/voucher/import", HTTPS_POST, ROLE_FIELD, voucher_import },
	{ "/v1/voucher/", HTTPS_GET, ROLE_FIELD, voucher_show },
};

static bool
route_matches(const char *route, const char *path)
{
	size_t n = strlen(route);

	return route[n - 1] == '/' ? str_starts(path, route)
				   : strcmp(path, route) == 0;
}

void
control_request(struct https_req *q, void *arg)
{
	struct registrar *r = arg;
	const char *path = https_path(q);
	uid_t uid = https_peer_uid(q);
	enum role role = role_of(&r->conf, uid);

	if (role == ROLE_NONE) {
		log_event(LOG_ALARM, "control.refused", "uid", "%u",
		    (unsigned)uid, NULL);
		https_reply_text(q, 403, "this uid may not");
		return;
	}
	for (size_t i = 0; i < NELEMS(routes); i++) {
		if (!route_matches(routes[i].path, path))
			continue;
		if (https_method(q) != routes[i].method)
			https_reply_text(q, 405, "%s is served here",
			    routes[i].method == HTTPS_GET ? "GET" : "POST");
		else if (role < routes[i].role)
			https_reply_text(q, 403, "a %s may not, a %s may",
			    role_name(role), role_name(routes[i].role));
		else
			routes[i].run(r, q, path + strlen(routes[i].path));
		return;
	}
	https_reply_text(q, 404, "nothing is served here");
}
