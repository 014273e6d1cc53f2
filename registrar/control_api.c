#include "registrar/control_api.h"

#include <string.h>
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "registrar/control_json.h"
#include "registrar/control_keep.h"
#include "registrar/control_queue.h"
#include "registrar/control_voucher.h"
#include "registrar/reference.h"
#include "registrar/roles.h"

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
	uint64_t now = clock_mono_ms(), ms;

	for (size_t i = 0; i < r->n_services; i++) {
		const struct contact *c = &r->services[i].contact;
		uint64_t gap = atomic_load(&c->gap);

		json_array_append_new(j,
		    json_pack("{s:s, s:s, s:o, s:o}", "name",
			r->services[i].name, "link",
			atomic_load(&c->up) ? "up" : "down", "last_contact",
			contact_last(c, now, &ms)
			    ? json_integer((json_int_t)(ms / 1000))
			    : json_null(),
			"usual_gap",
			gap > 0 ? json_integer((json_int_t)(gap / 1000))
				: json_null()));
	}
	return j;
}

static void
status_oldest(const struct outbox_entry *en, void *arg)
{
	*(uint64_t *)arg = en->received.time;
}

/* Seconds that the oldest request has waited; null if none does. */
static json_t *
status_waiting(struct registrar *r)
{
	struct outbox_filter open = {
		.states = 1u << ENTRY_RECEIVED | 1u << ENTRY_QUEUED |
		    1u << ENTRY_INFLIGHT | 1u << ENTRY_CUSTODY,
	};
	uint64_t now = clock_now().time, since = 0;
	struct err e = ERR_INIT;

	if (outbox_select(
		r->outbox, &open, 0, 1, status_oldest, &since, NULL, &e) == -1)
		log_err(LOG_ERROR, "control.status", &e, NULL);
	return since == 0
	    ? json_null()
	    : json_integer((json_int_t)(now > since ? now - since : 0));
}

static void
control_status(struct registrar *r, struct https_req *q, const char *rest)
{
	struct outbox_counts n;
	char epoch[2 * ENTRY_EPOCH_LEN + 1], why[OUTBOX_WHY_MAX] = "";
	json_t *j;

	(void)rest;
	outbox_count(r->outbox, &n);
	outbox_suspended(r->outbox, why);
	j = json_pack("{s:s, s:s, s:s, s:I, s:s, s:i, s:I, s:I, s:o, s:o}",
	    "site", r->conf.site, "epoch",
	    hex_format(epoch, outbox_epoch(r->outbox), ENTRY_EPOCH_LEN),
	    "version", WAYBILL_VERSION, "uptime",
	    (json_int_t)((clock_mono_ms() - r->started) / 1000), "clock",
	    clock_quality_name(clock_now().quality), "used_percent",
	    (int)n.used_percent, "held", (json_int_t)n.held, "late",
	    (json_int_t)n.late, "services", status_services(r), "states",
	    status_states(&n));
	json_object_set_new(j, "open", json_integer((json_int_t)n.open));
	json_object_set_new(j, "resend", json_integer((json_int_t)n.resend));
	json_object_set_new(j, "reference", reference_json(r));
	json_object_set_new(j, "oldest", status_waiting(r));
	json_object_set_new(j, "suspended", json_text(why));
	json_object_set_new(
	    j, "read_only", json_boolean(outbox_read_only(r->outbox)));
	control_json(q, 200, j);
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
	reference_metrics(r, &out);
	https_reply(q,
	    &(struct https_answer){ .status = 200,
		.type = "text/plain; version=0.0.4",
		.body = buf_bytes(&out) });
}

/* ---- GET /v1/reference/NAME ------------------------------------------- */

/* As the service gave it. */
static void
control_reference(struct registrar *r, struct https_req *q, const char *rest)
{
	struct buf octets AUTO_BUF = { 0 };

	if (reference_get(r, rest, &octets, NULL))
		https_reply(q,
		    &(struct https_answer){ .status = 200,
			.type = "application/octet-stream",
			.body = buf_bytes(&octets) });
	else
		https_reply_text(q, 404, "nothing of this name is known");
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
	{ "/v1/queue", HTTPS_GET, ROLE_VIEWER, queue_list },
	{ "/v1/queue/hold", HTTPS_POST, ROLE_FIELD, queue_hold },
	{ "/v1/queue/release", HTTPS_POST, ROLE_FIELD, queue_release },
	{ "/v1/queue/withdraw", HTTPS_POST, ROLE_ADMIN, queue_withdraw },
	{ "/v1/queue/expire", HTTPS_POST, ROLE_ADMIN, queue_expire },
	{ "/v1/queue/", HTTPS_GET, ROLE_VIEWER, queue_show },
	{ "/v1/audit", HTTPS_GET, ROLE_VIEWER, keep_audit },
	{ "/v1/audit/verify", HTTPS_GET, ROLE_VIEWER, keep_verify },
	{ "/v1/reference/", HTTPS_GET, ROLE_VIEWER, control_reference },
	{ "/v1/backup", HTTPS_POST, ROLE_ADMIN, keep_backup },
	{ "/v1/restore", HTTPS_POST, ROLE_ADMIN, keep_restore },
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
