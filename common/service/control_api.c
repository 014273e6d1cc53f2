#include "common/service/control_api.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/base/limits.h"
#include "common/base/str.h"
#include "common/service/pulls.h"
#include "common/service/reference.h"

#define LIST_MAX LIMIT_SERVICE_LIST

json_t *
control_json_time(uint64_t seconds)
{
	char text[21];

	return seconds == 0 ? json_null()
			    : json_string(clock_format(text, seconds));
}

json_t *
control_body(struct https_req *q, struct err *e)
{
	AUTO(json_t) j = json_parse(https_body(q), LIMIT_SERVICE_BODY, e);

	if (j == NULL)
		return NULL;
	if (json_is_object(j))
		return STEAL(j);
	err_set(e, ERR_INPUT, "control: the body is no object");
	return NULL;
}

void
control_who(const struct https_req *q, char *ret, size_t size)
{
	snprintf(ret, size, "uid %u", (unsigned)https_peer_uid(q));
}

void
control_reply_error(struct https_req *q, const struct err *e)
{
	control_error(q, err_http_status(e->kind), e);
}

/* ---- lists of cases ---------------------------------------------------- */

/* Which are wanted. */
struct filter {
	bool (*keep)(const struct ledger_case *is); /* NULL: all */
	char state[16], site[ENTRY_NAME_MAX];	    /* "": any */
};

/* Collected first, since the ledger cannot be read while it lists. */
struct collect {
	struct ledger_case *v;
	size_t n, max;
	struct filter filter;
};

static bool
is_wanted(const struct filter *f, const struct ledger_case *c)
{
	if (f->keep != NULL && !f->keep(c))
		return false;
	if (f->site[0] != '\0' && strcmp(f->site, c->site) != 0)
		return false;
	return f->state[0] == '\0' ||
	    strcmp(f->state, ledger_state_name(c->state)) == 0 ||
	    (c->confirm == LEDGER_REJECTED &&
		strcmp(f->state, ledger_confirm_name(c->confirm)) == 0);
}

static int
collect_case(const struct ledger_case *is, void *arg)
{
	struct collect *c = arg;

	if (is_wanted(&c->filter, is))
		c->v[c->n++] = *is;
	return c->n == c->max;
}

json_t *
control_json_case(const struct ledger_case *c)
{
	char id[ENTRY_ID_TEXT];

	return json_pack(
	    "{s:I, s:s, s:s, s:s, s:i, s:s, s:o, s:o, s:o, s:o, s:s, s:o, s:o,"
	    " s:b, s:b, s:o, s:o}",
	    "case", (json_int_t)c->id, "site", c->site, "entry",
	    entry_id_format(id, c->epoch, c->site_id), "kind",
	    entry_kind_name(c->kind), "step", (int)c->step, "state",
	    ledger_state_name(c->state), "answer",
	    c->code == 0 ? json_null() : json_string(batch_code_name(c->code)),
	    "reason", json_text(c->reason), "device", json_text(c->device),
	    "serial", json_text(c->serial), "confirm",
	    ledger_confirm_name(c->confirm), "stored",
	    control_json_time(c->stored), "changed",
	    control_json_time(c->changed), "withdrawn", c->withdrawn, "pruned",
	    c->pruned, "same",
	    c->same == 0 ? json_null() : json_integer((json_int_t)c->same),
	    "parent",
	    c->parent == 0 ? json_null() : json_integer((json_int_t)c->parent));
}

static int
collect_from(
    struct service *s, const char *query, struct collect *c, struct err *e)
{
	uint64_t after = control_query_number(query, "after", INT64_MAX, 0);
	struct filter *f = &c->filter;

	if (control_query_text(query, "state", f->state, sizeof(f->state), e) ==
		-1 ||
	    control_query_text(query, "site", f->site, sizeof(f->site), e) ==
		-1)
		return -1;
	/* They have lists of their own, which are short. */
	if (strcmp(f->state, "unknown") == 0)
		return ledger_list_unknown(
		    s->ledger, after + 1, SIZE_MAX, collect_case, c, e);
	if (strcmp(f->state, "open") == 0 || strcmp(f->state, "intent") == 0)
		return ledger_list_open(
		    s->ledger, after + 1, SIZE_MAX, collect_case, c, e);
	return ledger_list(s->ledger, after + 1, SIZE_MAX, collect_case, c, e);
}

static int
list(struct service *s, const char *query, const struct control_list *l,
    json_t *ret, struct err *e)
{
	struct collect c = { .filter.keep = l->keep };
	AUTO(void) owner = NULL;

	c.max = control_query_number(query, "max", LIST_MAX, LIST_MAX);
	owner = c.v = xcalloc(c.max + 1, sizeof(*c.v));
	if (c.max > 0 && collect_from(s, query, &c, e) == -1)
		return -1;
	for (size_t i = 0; i < c.n; i++) {
		json_t *j = control_json_case(&c.v[i]);

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
get_entries(struct service *s, struct https_req *q, const char *rest)
{
	static const struct control_list all = { .name = "entries" };

	(void)rest;
	control_reply_list(s, q, &all);
}

/* ---- status ------------------------------------------------------------ */

struct counts {
	json_int_t open, intents, unknown, unsound;
};

static int
count_case(const struct ledger_case *is, void *arg)
{
	struct counts *n = arg;

	n->open += is->state == LEDGER_OPEN;
	n->intents += is->state == LEDGER_INTENT;
	n->unknown += is->state == LEDGER_UNKNOWN;
	return 0;
}

static int
count_site(const struct ledger_site *is, void *arg)
{
	struct counts *n = arg;

	n->unsound += is->standing != LEDGER_SOUND;
	return 0;
}

static int
count(struct service *s, struct counts *n, struct err *e)
{
	if (ledger_list_open(s->ledger, 0, SIZE_MAX, count_case, n, e) == -1 ||
	    ledger_list_unknown(s->ledger, 0, SIZE_MAX, count_case, n, e) == -1)
		return -1;
	return ledger_list_sites(s->ledger, count_site, n, e);
}

static void
get_status(struct service *s, struct https_req *q, const char *rest)
{
	char epoch[2 * ENTRY_EPOCH_LEN + 1];
	struct counts n = { .open = 0 };
	struct err e = ERR_INIT;
	json_t *j;

	(void)rest;
	if (count(s, &n, &e) == -1) {
		control_reply_error(q, &e);
		return;
	}
	hex_format(epoch, ledger_epoch(s->ledger), ENTRY_EPOCH_LEN);
	j = json_pack("{s:s, s:s, s:s, s:I, s:s, s:i, s:I, s:I, s:I, s:I, s:I,"
		      " s:I, s:b}",
	    "service", s->conf->name, "epoch", epoch, "version",
	    WAYBILL_VERSION, "uptime",
	    (json_int_t)((clock_mono_ms() - s->started) / 1000), "clock",
	    clock_quality_name(clock_now().quality), "used_percent",
	    (int)ledger_used_percent(s->ledger), "open", n.open, "intents",
	    n.intents, "unknown", n.unknown, "pulls",
	    (json_int_t)pulls_held(s->pulls), "sites",
	    (json_int_t)sites_count(s->sites), "unsound", n.unsound,
	    "read_only", ledger_read_only(s->ledger));
	json_object_set_new(j, "reference", reference_json(s->reference));
	if (s->trade->status != NULL)
		s->trade->status(s, j);
	control_json(q, 200, j);
}

/* ---- routes ------------------------------------------------------------ */

static const struct control_route routes[] = {
	{ "/v1/status", HTTPS_GET, get_status },
	{ "/v1/entries", HTTPS_GET, get_entries },
	{ "/v1/case/", HTTPS_GET, control_case },
	{ "/v1/sites", HTTPS_GET, control_sites },
	{ "/v1/audit", HTTPS_GET, control_audit },
	{ "/v1/audit/verify", HTTPS_GET, control_verify },
	{ "/v1/recover", HTTPS_POST, control_recover },
	{ "/v1/resolve", HTTPS_POST, control_resolve },
	{ "/v1/backup", HTTPS_POST, control_backup },
	{ .path = NULL },
};

static bool
route_matches(const char *route, const char *path)
{
	size_t n = strlen(route);

	return route[n - 1] == '/' ? str_starts(path, route)
				   : strcmp(path, route) == 0;
}

static const struct control_route *
find_route(const struct control_route *r, const char *path)
{
	while (r != NULL && r->path != NULL && !route_matches(r->path, path))
		r++;
	return r != NULL && r->path != NULL ? r : NULL;
}

void
control_request(struct https_req *q, void *arg)
{
	const char *path = https_path(q);
	const struct control_route *r = find_route(routes, path);
	struct service *s = arg;
	uid_t uid = https_peer_uid(q);
	struct err e = ERR_INIT;

	if (r == NULL)
		r = find_route(s->trade->routes, path);
	if (uid != 0 && uid != geteuid()) {
		err_set(&e, ERR_PERM, "control: not for uid %u", uid);
		control_error(q, 403, &e);
	} else if (r == NULL) {
		err_set(&e, ERR_INPUT, "control: no such path");
		control_error(q, 404, &e);
	} else if (https_method(q) != r->method) {
		err_set(&e, ERR_INPUT, "control: only %s",
		    r->method == HTTPS_GET ? "GET" : "POST");
		control_error(q, 405, &e);
	} else {
		r->run(s, q, path + strlen(r->path));
	}
}
