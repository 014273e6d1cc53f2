#include "registrar/control_queue.h"

#include <string.h>
#include "registrar/control_json.h"

#define LIST_MAX    LIMIT_CONTROL_LIST
#define HISTORY_MAX 500

/* ---- GET /v1/queue ----------------------------------------------------- */

struct listing {
	const struct registrar *r;
	json_t *entries;
	struct outbox_filter filter;
	char device[sizeof(((struct outbox_entry *)NULL)->label)];
};

static void
list_entry(const struct outbox_entry *en, void *arg)
{
	struct listing *l = arg;

	json_array_append_new(l->entries, json_entry(l->r, en));
}

/* name=WORD of a query becomes a bit of a mask, WORD being one of these. */
static int
list_mask(const char *query, const char *name, int from, int to,
    const char *(*word)(int i), unsigned *ret, struct err *e)
{
	char text[32];
	int there = control_query_text(query, name, text, sizeof(text), e);

	if (there != 1)
		return there;
	for (int i = from; i < to; i++)
		if (strcmp(word(i), text) == 0) {
			*ret = 1u << i;
			return 0;
		}
	return err_set(e, ERR_INPUT, "no %s '%s'", name, text);
}

static const char *
list_state(int i)
{
	return entry_state_name((enum entry_state)i);
}

static const char *
list_kind(int i)
{
	return entry_kind_name((enum entry_kind)i);
}

static int
list_filter(struct listing *l, const char *query, struct err *e)
{
	uint64_t now = clock_now().time;
	uint64_t older = control_query_number(query, "older", now, 0);
	int there;

	if (list_mask(query, "state", ENTRY_RECEIVED, ENTRY_STATE__MAX,
		list_state, &l->filter.states, e) == -1 ||
	    list_mask(query, "kind", ENTRY_CMP, ENTRY_KIND__MAX, list_kind,
		&l->filter.kinds, e) == -1)
		return -1;
	there = control_query_text(
	    query, "device", l->device, sizeof(l->device), e);
	if (there == -1)
		return -1;
	l->filter.label = there == 1 ? l->device : NULL;
	l->filter.older = older > 0 ? now - older : 0;
	l->filter.held = control_query_number(query, "held", 1, 0) == 1;
	l->filter.late = control_query_number(query, "late", 1, 0) == 1;
	return 0;
}

void
queue_list(struct registrar *r, struct https_req *q, const char *rest)
{
	const char *query = https_query(q);
	uint64_t max = control_query_number(query, "max", LIST_MAX, 100);
	uint64_t first = control_query_number(query, "first", UINT64_MAX, 0);
	struct listing l = { .r = r };
	uint64_t next = 0;
	struct err e = ERR_INIT;

	(void)rest;
	if (list_filter(&l, query, &e) == -1) {
		control_error(q, 400, &e);
		return;
	}
	l.entries = json_array();
	if (outbox_select(r->outbox, &l.filter, first, max, list_entry, &l,
		&next, &e) == -1) {
		json_decref(l.entries);
		control_error(q, 500, &e);
		return;
	}
	control_json(q, 200,
	    json_pack("{s:b, s:o, s:o}", "more", next != 0, "next",
		next != 0 ? json_integer((json_int_t)next) : json_null(),
		"entries", l.entries));
}

/* ---- GET /v1/queue/ID -------------------------------------------------- */

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
	if (found == -1 ||
	    (!en.pruned && outbox_octets(r->outbox, id, &x, e) == -1))
		return -1;
	if (outbox_history(
		r->outbox, id, HISTORY_MAX, json_record, history, e) == 0)
		*ret = json_pack("{s:o, s:o, s:O, s:I}", "entry",
		    json_entry(r, &en), "facts", json_facts(&x.facts),
		    "history", history, "bytes", (json_int_t)x.bytes.len);
	outbox_octets_done(&x);
	return *ret != NULL ? 0 : -1;
}

void
queue_show(struct registrar *r, struct https_req *q, const char *rest)
{
	struct err e = ERR_INIT;
	json_t *j = NULL;

	if (show_entry(r, rest, &j, &e) == -1)
		control_error(q, e.kind == ERR_INPUT ? 404 : 500, &e);
	else
		control_json(q, 200, j);
}
