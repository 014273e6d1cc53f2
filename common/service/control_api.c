#include "common/service/control_api.h"

#include <string.h>
#include <unistd.h>
#include "common/base/limits.h"
#include "common/base/str.h"
#include "common/service/pulls.h"
#include "common/sys/control_json.h"

#define LIST_MAX LIMIT_SERVICE_LIST

static json_t *
json_time(uint64_t seconds)
{
	char text[21];

	return json_string(clock_format(text, seconds));
}

void
control_reply_error(struct https_req *q, const struct err *e)
{
	control_error(q, err_http_status(e->kind), e);
}

/* ---- lists of cases ---------------------------------------------------- */

/* Collected first, since the ledger cannot be read while it lists. */
struct collect {
	struct ledger_case *v;
	size_t n, max;
	bool (*keep)(const struct ledger_case *is); /* NULL: all */
};

static int
collect_case(const struct ledger_case *is, void *arg)
{
	struct collect *c = arg;

	if (c->keep != NULL && !c->keep(is))
		return 0;
	c->v[c->n++] = *is;
	return c->n == c->max;
}

static json_t *
json_case(const struct ledger_case *c)
{
	char id[ENTRY_ID_TEXT];

	return json_pack(
	    "{s:I, s:s, s:s, s:s, s:i, s:s, s:o, s:o, s:o, s:o, s:s, s:o, s:o}",
	    "case", (json_int_t)c->id, "site", c->site, "entry",
	    entry_id_format(id, c->epoch, c->site_id), "kind",
	    entry_kind_name(c->kind), "step", (int)c->step, "state",
	    ledger_state_name(c->state), "answer",
	    c->code == 0 ? json_null() : json_string(batch_code_name(c->code)),
	    "reason", json_text(c->reason), "device", json_text(c->device),
	    "serial", json_text(c->serial), "confirm",
	    ledger_confirm_name(c->confirm), "stored", json_time(c->stored),
	    "changed", json_time(c->changed));
}

static int
list(struct service *s, const char *query, const struct control_list *l,
    json_t *ret, struct err *e)
{
	uint64_t after = control_query_number(query, "after", INT64_MAX, 0);
	struct collect c = { .keep = l->keep };
	AUTO(void) owner = NULL;

	c.max = control_query_number(query, "max", LIST_MAX, LIST_MAX);
	owner = c.v = xcalloc(c.max + 1, sizeof(*c.v));
	if (c.max > 0 &&
	    ledger_list(s->ledger, after + 1, SIZE_MAX, collect_case, &c, e) ==
		-1)
		return -1;
	for (size_t i = 0; i < c.n; i++) {
		json_t *j = json_case(&c.v[i]);

		json_array_append_new(ret, j);
		if (l->add != NULL && l->add(s, &c.v[i], j, e) == -1)
			return -1;
	}
	return 0;
}

void
control_reply_list(
    struct service *s, struct https_req *q, const struct control_list *l)
{
	json_t *v = json_array();
	struct err e = ERR_INIT;

	if (list(s, https_query(q), l, v, &e) == 0) {
		control_json(q, 200, json_pack("{s:o}", l->name, v));
		return;
	}
	json_decref(v);
	control_reply_error(q, &e);
}

static void
get_entries(struct service *s, struct https_req *q)
{
	static const struct control_list all = { .name = "entries" };

	control_reply_list(s, q, &all);
}

/* ---- status ------------------------------------------------------------ */

struct counts {
	json_int_t open, intents;
};

static int
count_open(const struct ledger_case *is, void *arg)
{
	struct counts *n = arg;

	n->open += is->state == LEDGER_OPEN;
	n->intents += is->state == LEDGER_INTENT;
	return 0;
}

static void
get_status(struct service *s, struct https_req *q)
{
	char epoch[2 * ENTRY_EPOCH_LEN + 1];
	struct counts n = { 0, 0 };
	struct err e = ERR_INIT;
	json_t *j;

	if (ledger_list_open(s->ledger, 0, SIZE_MAX, count_open, &n, &e) ==
	    -1) {
		control_reply_error(q, &e);
		return;
	}
	hex_format(epoch, ledger_epoch(s->ledger), ENTRY_EPOCH_LEN);
	j = json_pack("{s:s, s:s, s:s, s:I, s:s, s:i, s:I, s:I, s:I, s:I}",
	    "service", s->conf->name, "epoch", epoch, "version",
	    WAYBILL_VERSION, "uptime",
	    (json_int_t)((clock_mono_ms() - s->started) / 1000), "clock",
	    clock_quality_name(clock_now().quality), "used_percent",
	    (int)ledger_used_percent(s->ledger), "open", n.open, "intents",
	    n.intents, "pulls", (json_int_t)pulls_held(s->pulls), "sites",
	    (json_int_t)sites_count(s->sites));
	if (s->trade->status != NULL)
		s->trade->status(s, j);
	control_json(q, 200, j);
}

/* ---- audit ------------------------------------------------------------- */

static void
add_record(const struct audit_record *a, void *arg)
{
	char hash[2 * DIGEST_LEN + 1];

	json_array_append_new(arg,
	    json_pack("{s:I, s:o, s:s, s:I, s:s, s:s, s:s, s:s}", "seq",
		(json_int_t)a->seq, "time", json_time(a->when.time), "clock",
		clock_quality_name(a->when.quality), "case", (json_int_t)a->id,
		"event", a->event, "who", a->who, "detail", a->detail, "hash",
		hex_format(hash, a->hash.b, DIGEST_LEN)));
}

static void
get_audit(struct service *s, struct https_req *q)
{
	const char *query = https_query(q);
	uint64_t id = control_query_number(query, "case", INT64_MAX, 0);
	uint64_t max = control_query_number(query, "max", LIST_MAX, LIST_MAX);
	json_t *v = json_array();
	struct err e = ERR_INIT;

	if (ledger_audit(s->ledger, id, max, add_record, v, &e) == 0) {
		control_json(q, 200, json_pack("{s:o}", "audit", v));
		return;
	}
	json_decref(v);
	control_reply_error(q, &e);
}

/* ---- routes ------------------------------------------------------------ */

static const struct control_route routes[] = {
	{ "/v1/status", get_status },
	{ "/v1/entries", get_entries },
	{ "/v1/audit", get_audit },
	{ NULL, NULL },
};

static const struct control_route *
find_route(const struct control_route *r, const char *path)
{
	while (r != NULL && r->path != NULL && strcmp(r->path, path) != 0)
		r++;
	return r != NULL && r->path != NULL ? r : NULL;
}

void
control_request(struct https_req *q, void *arg)
{
	const struct control_route *r = find_route(routes, https_path(q));
	struct service *s = arg;
	uid_t uid = https_peer_uid(q);
	struct err e = ERR_INIT;

	if (r == NULL)
		r = find_route(s->trade->routes, https_path(q));
	if (uid != 0 && uid != geteuid()) {
		err_set(&e, ERR_PERM, "control: not for uid %u", uid);
		control_error(q, 403, &e);
	} else if (r == NULL) {
		err_set(&e, ERR_INPUT, "control: no such path");
		control_error(q, 404, &e);
	} else if (https_method(q) != HTTPS_GET) {
		err_set(&e, ERR_INPUT, "control: only GET");
		control_error(q, 405, &e);
	} else {
		r->get(s, q);
	}
}
