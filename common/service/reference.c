#include "common/service/reference.h"

#include <string.h>
#include "common/base/cbor.h"
#include "common/base/log.h"
#include "common/base/str.h"

#define INDEX_MS    100 /* pieces that come at once stand in it at once */
#define CATCH_UP_MS 60000
#define RENEW_MS    3600000 /* whoever needs to be renewed is looked for */

/* One version of a name. */
struct piece {
	struct reference *r;
	struct piece *next; /* of those that are being committed */
	char name[FRAME_DATA_NAME];
	struct ledger_reference is;
	struct buf manifest, sig, octets;
	struct ledger_refer refer;
};

struct name {
	struct name *next;
	char name[FRAME_DATA_NAME];
	struct piece *live;    /* what sites are given; NULL: nothing yet */
	struct piece *pending; /* the newest, if its commit is under way */
	uint64_t caught; /* when it last caught up with a site; monotonic */
};

struct reference {
	struct service *s;
	struct name *names;
	struct piece *committing;
	struct timer *indexing, *renewal;
};

static void
piece_free(struct piece *p)
{
	if (p == NULL)
		return;
	buf_done(&p->manifest);
	buf_done(&p->sig);
	buf_done(&p->octets);
	free(p);
}
AUTO_DEFINE(piece, struct piece, piece_free);

static struct name *
name_find(const struct reference *r, const char *name)
{
	struct name *n = r->names;

	while (n != NULL && strcmp(n->name, name) != 0)
		n = n->next;
	return n;
}

static struct name *
name_get(struct reference *r, const char *name)
{
	struct name *n = name_find(r, name);

	if (n != NULL)
		return n;
	n = xcalloc(1, sizeof(*n));
	str_copy(n->name, sizeof(n->name), name);
	n->next = r->names;
	r->names = n;
	return n;
}

/* ---- versions ---------------------------------------------------------- */

/* Our word on it has been out for half of its term. */
static bool
is_worn(const struct ledger_reference *x)
{
	uint64_t now = clock_judge_time();

	return x->until == 0 && now > x->made &&
	    now - x->made >= REFERENCE_TERM / 2;
}

static uint64_t
version_after(uint64_t last)
{
	uint64_t now = clock_judge_time();

	return now > last ? now : last + 1;
}

/* A clock that nobody believes says no end. */
static uint64_t
piece_until(const struct ledger_reference *x)
{
	if (x->until != 0)
		return x->until;
	return clock_judge_time() != 0 ? x->made + REFERENCE_TERM : 0;
}

static struct piece *
piece_new(struct reference *r, const char *name,
    const struct ledger_reference *is, struct bytes octets, struct err *e)
{
	struct frame_manifest m = { .version = is->version,
		.made = is->made,
		.until = piece_until(is),
		.size = octets.len,
		.digest = is->digest };
	AUTO(piece) p = xcalloc(1, sizeof(*p));

	str_copy(m.service, sizeof(m.service), r->s->conf->name);
	str_copy(m.name, sizeof(m.name), name);
	str_copy(p->name, sizeof(p->name), name);
	p->r = r;
	p->is = *is;
	p->octets = bytes_dup(octets);
	if (frame_manifest_sign(&m, r->s->signer, &p->manifest, &p->sig, e) ==
	    -1)
		return NULL;
	return STEAL(p);
}

static void
piece_live(struct piece *p)
{
	struct reference *r = p->r;
	struct name *n = name_get(r, p->name);

	piece_free(n->live);
	n->live = p;
	log_event(LOG_INFO, "reference.published", "name", "%s", p->name,
	    "version", "%llu", (unsigned long long)p->is.version, "octets",
	    "%zu", p->octets.len, NULL);
	if (strcmp(p->name, REFERENCE_INDEX) != 0)
		timer_set(r->indexing, INDEX_MS);
}

/* Commit, then speak: a version that was told is never used again. */
static void
piece_committed(void *arg, const struct err *failed)
{
	struct ledger_refer *x = arg;
	AUTO(piece) p = x->user;
	struct name *n = name_find(p->r, p->name);
	struct piece **at = &p->r->committing;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	if (n != NULL && n->pending == p)
		n->pending = NULL;
	if (failed != NULL)
		log_err(LOG_ALARM, "reference.not-published", failed, "name",
		    "%s", p->name, NULL);
	else if (n != NULL &&
	    (n->live == NULL || n->live->is.version < p->is.version))
		piece_live(STEAL(p));
}

static void
piece_commit(struct piece *p)
{
	struct name *n = name_get(p->r, p->name);

	n->pending = p;
	p->next = p->r->committing;
	p->r->committing = p;
	p->refer =
	    (struct ledger_refer){ .name = p->name, .is = p->is, .user = p };
	ledger_refer(p->r->s->ledger, &p->refer, piece_committed,
	    loop_poster(p->r->s->loop));
}

/* The newest that there is of a name, committed or about to be: 1, 0, -1. */
static int
newest(struct reference *r, const char *name, struct ledger_reference *ret,
    struct err *e)
{
	const struct name *n = name_find(r, name);
	const struct piece *p = n == NULL ? NULL
	    : n->pending != NULL	  ? n->pending
					  : n->live;

	if (p == NULL)
		return ledger_reference(r->s->ledger, name, ret, e);
	*ret = p->is;
	return 1;
}

/* least: the version is higher than this. */
static int
publish(struct reference *r, const char *name, struct bytes octets,
    uint64_t until, uint64_t least, struct err *e)
{
	struct ledger_reference last = { .version = 0 }, is;
	struct name *n = name_find(r, name);
	struct piece *p;
	int found = newest(r, name, &last, e);
	bool same;

	if (found == -1)
		return -1;
	is = (struct ledger_reference){ .made = clock_now().time,
		.until = until,
		.digest = digest_of(octets.p, octets.len) };
	same = found == 1 && digest_eq(&is.digest, &last.digest) &&
	    until == last.until && !is_worn(&last) && last.version > least;
	if (same && n != NULL && (n->live != NULL || n->pending != NULL))
		return 0;
	if (same)
		is = last;
	else
		is.version =
		    version_after(last.version > least ? last.version : least);
	if ((p = piece_new(r, name, &is, octets, e)) == NULL)
		return -1;
	if (same)
		piece_live(p);
	else
		piece_commit(p);
	return 0;
}

/* ---- the index, and renewal -------------------------------------------- */

static size_t
count_listed(const struct reference *r)
{
	size_t n = 0;

	for (const struct name *x = r->names; x != NULL; x = x->next)
		n += x->live != NULL && strcmp(x->name, REFERENCE_INDEX) != 0;
	return n;
}

static void
make_index(void *arg)
{
	struct reference *r = arg;
	struct buf text AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	cbor_write_array(&text, count_listed(r));
	for (const struct name *x = r->names; x != NULL; x = x->next) {
		if (x->live == NULL || strcmp(x->name, REFERENCE_INDEX) == 0)
			continue;
		cbor_write_array(&text, 2);
		cbor_write_text(&text, x->name);
		cbor_write_uint(&text, x->live->is.version);
	}
	if (publish(r, REFERENCE_INDEX, buf_bytes(&text), 0, 0, &e) == -1)
		log_err(LOG_ALARM, "reference.not-published", &e, "name", "%s",
		    REFERENCE_INDEX, NULL);
}

/* publish() sees what is worn. */
static void
renew(void *arg)
{
	struct reference *r = arg;
	struct err e = ERR_INIT;

	timer_set(r->renewal, RENEW_MS);
	for (struct name *n = r->names; n != NULL; n = n->next)
		if (n->live != NULL && n->pending == NULL &&
		    publish(r, n->name, buf_bytes(&n->live->octets),
			n->live->is.until, 0, &e) == -1)
			log_err(LOG_ALARM, "reference.not-published", &e,
			    "name", "%s", n->name, NULL);
}

/* ---- what callers call ------------------------------------------------- */

struct reference *
reference_new(struct service *s)
{
	struct reference *r = xcalloc(1, sizeof(*r));

	r->s = s;
	r->indexing = timer_new(s->loop, make_index, r);
	r->renewal = timer_new(s->loop, renew, r);
	timer_set(r->indexing, INDEX_MS);
	timer_set(r->renewal, RENEW_MS);
	return r;
}

void
reference_free(struct reference *r)
{
	struct name *n;
	struct piece *p;

	if (r == NULL)
		return;
	while ((p = r->committing) != NULL) {
		r->committing = p->next;
		piece_free(p);
	}
	while ((n = r->names) != NULL) {
		r->names = n->next;
		piece_free(n->live);
		free(n);
	}
	timer_free(r->indexing);
	timer_free(r->renewal);
	free(r);
}

int
reference_publish(struct service *s, const char *name, struct bytes octets,
    uint64_t until, struct err *e)
{
	struct reference *r = s->reference;

	if (!frame_data_name(name) || strcmp(name, REFERENCE_INDEX) == 0)
		return err_set(e, ERR_INPUT, "reference: no name: %s", name);
	if (octets.len == 0 || octets.len > FRAME_DATA_MAX)
		return err_set(e, ERR_INPUT,
		    "reference %s: %zu octets, limit %d", name, octets.len,
		    FRAME_DATA_MAX);
	if (name_find(r, name) == NULL &&
	    count_listed(r) >= REFERENCE_NAMES_MAX)
		return err_set(e, ERR_INPUT, "reference %s: over %d names",
		    name, REFERENCE_NAMES_MAX);
	return publish(r, name, octets, until, 0, e);
}

void
reference_withdraw(struct service *s, const char *name)
{
	struct reference *r = s->reference;
	struct name **at = &r->names, *n;

	while (*at != NULL && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	if ((n = *at) == NULL)
		return;
	*at = n->next;
	/* What is being committed will find no name, and go. */
	piece_free(n->live);
	free(n);
	timer_set(r->indexing, INDEX_MS);
}

/* ---- what sites ask ---------------------------------------------------- */

/* It was told of a version that we have forgotten: an older ledger of ours was
 * put back.  A number that is no time yet is nobody's but a liar's. */
static void
catch_up(struct reference *r, struct name *n, uint64_t have)
{
	const struct piece *p = n->live;
	uint64_t now = clock_mono_ms();
	struct err e = ERR_INIT;

	/* Not as often as a site likes. */
	if (n->caught != 0 && now - n->caught < CATCH_UP_MS)
		return;
	n->caught = now;
	log_event(LOG_WARN, "reference.forgotten", "name", "%s", p->name,
	    "version", "%llu", (unsigned long long)p->is.version, "known",
	    "%llu", (unsigned long long)have, NULL);
	if (have < clock_judge_time() &&
	    publish(r, p->name, buf_bytes(&p->octets), p->is.until, have, &e) ==
		-1)
		log_err(LOG_ALARM, "reference.not-published", &e, "name", "%s",
		    p->name, NULL);
}

static struct bytes
part_of(const struct buf *all, unsigned part)
{
	size_t from = (size_t)part * FRAME_PART;
	size_t left = all->len - from;

	return bytes_of(
	    all->data + from, left < FRAME_PART ? left : FRAME_PART);
}

void
reference_answer(struct reference *r, const struct frame *ask, struct buf *out)
{
	static const struct bytes none = { NULL, 0 };
	struct name *n = name_find(r, ask->u.ask.name);
	struct piece *p = n == NULL ? NULL : n->live;
	unsigned part = ask->u.ask.part;

	if (p != NULL && ask->u.ask.have > p->is.version && n->pending == NULL)
		catch_up(r, n, ask->u.ask.have);
	if (p == NULL || ask->u.ask.have >= p->is.version) {
		frame_data(ask->tag, none, none, 0, none, out);
		return;
	}
	if (part >= frame_parts(p->octets.len))
		part = 0;
	frame_data(ask->tag, buf_bytes(&p->manifest), buf_bytes(&p->sig), part,
	    part_of(&p->octets, part), out);
}

json_t *
reference_json(const struct reference *r)
{
	json_t *j = json_array();
	char made[21], until[21];

	for (const struct name *n = r->names; n != NULL; n = n->next) {
		const struct piece *p = n->live;

		if (p == NULL)
			continue;
		json_array_append_new(j,
		    json_pack("{s:s, s:I, s:I, s:s, s:s}", "name", n->name,
			"version", (json_int_t)p->is.version, "octets",
			(json_int_t)p->octets.len, "made",
			clock_format(made, p->is.made), "until",
			clock_format(until, piece_until(&p->is))));
	}
	return j;
}
