/* How reference data comes: the index of a service, then what is newer in it,
 * part by part; each piece is committed before it is switched on. */
#include "registrar/reference_int.h"

#include <string.h>
#include "common/base/cbor.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "registrar/carry_int.h"

#define NAMES_MAX    LIMIT_REFERENCE_NAMES
#define PATIENCE_MS  60000 /* for one answer, and after a refusal */
#define SOON_MS	     3000
#define RESTARTS_MAX 3	/* of a piece that changes while it comes */
#define FULL_PERCENT 80 /* of the outbox: the rest is for entries */

struct session_ask {
	struct session *s;
	struct timer *timer;
	bool on;	    /* a round is under way */
	bool first;	    /* none of this link is over yet */
	uint64_t round;	    /* its number; commits know theirs by it */
	uint64_t tag, late; /* asked; given up */
	/* What is being asked for. */
	char name[FRAME_DATA_NAME];
	uint64_t have;
	unsigned part, restarts;
	struct frame_manifest m;
	struct buf manifest, sig, octets;
	/* What is left of the index. */
	char wanted[NAMES_MAX][FRAME_DATA_NAME];
	size_t n_wanted;
};

static void ask_next(struct session_ask *a);

static struct registrar *
ask_registrar(const struct session_ask *a)
{
	return session_registrar(a->s);
}

static struct reference *
ask_known(const struct session_ask *a)
{
	return ask_registrar(a)->reference;
}

static const char *
ask_service(const struct session_ask *a)
{
	return a->s->service->name;
}

static void
ask_refused(const struct session_ask *a, const struct err *e)
{
	log_err(LOG_ALARM, "reference.refused", e, "service", "%s",
	    ask_service(a), "name", "%s", a->name, NULL);
}

/* ---- asking ------------------------------------------------------------ */

static void
ask_part(struct session_ask *a, unsigned part)
{
	struct buf out AUTO_BUF = { 0 };

	a->part = part;
	if (part == 0)
		buf_reset(&a->octets);
	a->tag = session_tag(a->s);
	frame_ask(
	    a->tag, ask_registrar(a)->conf.site, a->name, a->have, part, &out);
	carry_send(a->s->conn, buf_bytes(&out));
	timer_set(a->timer, PATIENCE_MS);
}

static void
ask_name(struct session_ask *a, const char *name)
{
	const struct piece *p =
	    reference_find(ask_known(a), ask_service(a), name);

	str_copy(a->name, sizeof(a->name), name);
	a->have = p != NULL ? p->m.version : 0;
	a->restarts = 0;
	ask_part(a, 0);
}

static void
ask_pause(struct session_ask *a, uint64_t ms)
{
	a->on = false;
	a->tag = 0;
	a->n_wanted = 0;
	timer_set(a->timer, ms);
}

/* One connection to a service is enough. */
static bool
ask_elsewhere(const struct session_ask *a)
{
	for (struct carry_conn *k = a->s->conn->carry->conns; k != NULL;
	     k = k->next)
		if (k->session.ask != a && k->session.ask->on &&
		    k->session.service == a->s->service)
			return true;
	return false;
}

/* Time for a round, or nobody answered. */
static void
ask_turn(void *arg)
{
	struct session_ask *a = arg;

	if (a->tag != 0)
		a->late = a->tag;
	ask_pause(a, PATIENCE_MS);
	if (ask_elsewhere(a))
		return;
	a->on = true;
	a->round++;
	ask_name(a, REFERENCE_INDEX);
}

/* ---- the index --------------------------------------------------------- */

struct listed {
	char name[FRAME_DATA_NAME];
	uint64_t version;
};

static int
index_read(struct bytes octets, struct listed v[NAMES_MAX], size_t *ret_n,
    struct err *e)
{
	struct cbor_in in;
	size_t n;

	cbor_read_init(&in, octets, "reference index");
	n = cbor_read_array_upto(&in, 0, NAMES_MAX);
	for (size_t i = 0; i < n; i++) {
		cbor_read_array(&in, 2);
		cbor_read_text(&in, v[i].name, sizeof(v[i].name));
		v[i].version = cbor_read_uint(&in, UINT64_MAX);
		if (in.bad == NULL &&
		    (!frame_data_name(v[i].name) ||
			strcmp(v[i].name, REFERENCE_INDEX) == 0))
			cbor_read_bad(&in, "not a name");
	}
	*ret_n = n;
	return cbor_read_end(&in, e);
}

static bool
is_listed(const struct listed *v, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(v[i].name, name) == 0)
			return true;
	return strcmp(name, REFERENCE_INDEX) == 0;
}

struct gone {
	struct registrar *r;
	char service[ENTRY_NAME_MAX], name[FRAME_DATA_NAME];
	struct outbox_reference x;
};

static void
index_gone(struct outbox_reference *x, const struct err *e)
{
	struct gone *g = x->user;

	if (e != NULL)
		log_err(LOG_ALARM, "reference.not-stored", e, "name", "%s",
		    g->name, NULL);
	else
		reference_drop(g->r->reference, g->service, g->name);
	free(g);
}

static void
index_give_up(const struct session_ask *a, const char *name)
{
	struct registrar *r = ask_registrar(a);
	struct gone *g = xcalloc(1, sizeof(*g));

	log_event(LOG_WARN, "reference.gone", "service", "%s", ask_service(a),
	    "name", "%s", name, NULL);
	g->r = r;
	str_copy(g->service, sizeof(g->service), ask_service(a));
	str_copy(g->name, sizeof(g->name), name);
	g->x = (struct outbox_reference){
		.service = g->service, .name = g->name, .user = g
	};
	outbox_reference(
	    r->outbox, &g->x, index_gone, loop_poster(a->s->conn->carry->loop));
}

/* What it lists and we have not is asked for; what we have and it does not
 * list is given up. */
static void
index_use(struct session_ask *a)
{
	const struct reference *known = ask_known(a);
	const struct piece *p =
	    reference_find(known, ask_service(a), REFERENCE_INDEX);
	struct listed v[NAMES_MAX];
	struct err e = ERR_INIT;
	size_t n;

	a->n_wanted = 0;
	if (p == NULL)
		return;
	if (index_read(buf_bytes(&p->octets), v, &n, &e) == -1) {
		ask_refused(a, &e);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		p = reference_find(known, ask_service(a), v[i].name);
		if (p == NULL || p->m.version < v[i].version)
			memcpy(a->wanted[a->n_wanted++], v[i].name,
			    sizeof(v[i].name));
	}
	for (p = reference_next(known, NULL, ask_service(a)); p != NULL;
	     p = reference_next(known, p, ask_service(a)))
		if (!is_listed(v, n, p->m.name))
			index_give_up(a, p->m.name);
}

/* A service that has just started is about to publish. */
static uint64_t
ask_again(struct session_ask *a)
{
	uint64_t ms = ask_registrar(a)->conf.reference;
	bool first = a->first;

	a->first = false;
	return first && ms > SOON_MS ? SOON_MS : ms;
}

static void
ask_next(struct session_ask *a)
{
	if (strcmp(a->name, REFERENCE_INDEX) == 0)
		index_use(a);
	if (a->n_wanted > 0)
		ask_name(a, a->wanted[--a->n_wanted]);
	else
		ask_pause(a, ask_again(a));
}

/* ---- a piece that is whole --------------------------------------------- */

/* While it is committed; the session may go meanwhile. */
struct arrival {
	struct carry *carry;
	uint64_t conn, round;
	struct piece *piece;
	struct buf manifest, sig;
	struct outbox_reference x;
};

static void
arrival_free(struct arrival *v)
{
	piece_free(v->piece);
	buf_done(&v->manifest);
	buf_done(&v->sig);
	free(v);
}

static void
arrival_switch(struct arrival *v)
{
	const struct frame_manifest *m = &v->piece->m;
	struct reference *known = v->carry->r->reference;
	const struct piece *old = reference_find(known, m->service, m->name);

	/* Another connection may have been faster. */
	if (old != NULL && old->m.version >= m->version)
		return;
	log_event(LOG_INFO, "reference.new", "service", "%s", m->service,
	    "name", "%s", m->name, "version", "%llu",
	    (unsigned long long)m->version, "octets", "%zu", m->size, NULL);
	reference_switch(known, STEAL(v->piece));
}

static void
arrived(struct outbox_reference *x, const struct err *e)
{
	struct arrival *v = x->user;
	struct carry_conn *k = carry_find(v->carry, v->conn);
	uint64_t round = v->round;

	if (e != NULL)
		log_err(LOG_ALARM, "reference.not-stored", e, "name", "%s",
		    x->name, NULL);
	else
		arrival_switch(v);
	arrival_free(v);
	/* If it began anew meanwhile, it has its own question. */
	if (k != NULL && k->session.ask->on && k->session.ask->round == round)
		ask_next(k->session.ask);
}

static int
check_room(const struct session_ask *a, struct err *e)
{
	struct registrar *r = ask_registrar(a);
	size_t others = reference_total(r->reference, ask_service(a), a->name);
	struct outbox_counts n;

	outbox_count(r->outbox, &n);
	if (others + a->m.size > LIMIT_REFERENCE_TOTAL)
		return err_set(e, ERR_POLICY,
		    "%zu octets, with all others over the limit of %d",
		    a->m.size, LIMIT_REFERENCE_TOTAL);
	if (n.used_percent + a->m.size * 100 / r->conf.store.map_size >=
	    FULL_PERCENT)
		return err_set(e, ERR_RETRY, "the outbox has no room for it");
	return 0;
}

static void
ask_store(struct session_ask *a)
{
	struct arrival *v = xcalloc(1, sizeof(*v));
	struct err e = ERR_INIT;

	v->carry = a->s->conn->carry;
	v->conn = a->s->conn->number;
	v->round = a->round;
	if ((v->piece = piece_new(ask_registrar(a), &a->m, &a->octets, &e)) ==
	    NULL) {
		ask_refused(a, &e);
		arrival_free(v);
		ask_next(a);
		return;
	}
	v->manifest = bytes_dup(buf_bytes(&a->manifest));
	v->sig = bytes_dup(buf_bytes(&a->sig));
	v->x = (struct outbox_reference){ .service = v->piece->m.service,
		.name = v->piece->m.name,
		.manifest = buf_bytes(&v->manifest),
		.sig = buf_bytes(&v->sig),
		.octets = buf_bytes(&v->piece->octets),
		.user = v };
	outbox_reference(ask_registrar(a)->outbox, &v->x, arrived,
	    loop_poster(v->carry->loop));
}

/* ---- parts ------------------------------------------------------------- */

static size_t
part_size(const struct frame_manifest *m, unsigned part)
{
	size_t left = m->size - (size_t)part * FRAME_PART;

	return left < FRAME_PART ? left : FRAME_PART;
}

/* The first part of a version, whose manifest is not known yet. */
static int
take_manifest(struct session_ask *a, const struct frame *f, struct err *e)
{
	struct frame_manifest m;

	if (piece_manifest(a->s->service, a->name, f->u.data.manifest,
		f->u.data.sig, &m, e) == -1)
		return -1;
	if (m.version <= a->have)
		return err_set(e, ERR_TRUST, "version %llu, ours is %llu",
		    (unsigned long long)m.version, (unsigned long long)a->have);
	a->m = m;
	buf_reset(&a->manifest);
	buf_add(&a->manifest, f->u.data.manifest.p, f->u.data.manifest.len);
	buf_reset(&a->sig);
	buf_add(&a->sig, f->u.data.sig.p, f->u.data.sig.len);
	return check_room(a, e);
}

/* 1: it was taken; 0: the piece has changed, so it begins anew; -1. */
static int
take_part(struct session_ask *a, const struct frame *f, struct err *e)
{
	bool same = a->part > 0 &&
	    bytes_eq(f->u.data.manifest, buf_bytes(&a->manifest));

	if (a->part > 0 && !same) {
		if (++a->restarts > RESTARTS_MAX)
			return err_set(e, ERR_RETRY,
			    "it changed %d times while it came", RESTARTS_MAX);
		return 0;
	}
	if (!same && take_manifest(a, f, e) == -1)
		return -1;
	if (f->u.data.part != a->part ||
	    f->u.data.octets.len != part_size(&a->m, a->part))
		return err_set(e, ERR_INPUT, "part %u of %zu octets",
		    f->u.data.part, f->u.data.octets.len);
	buf_add(&a->octets, f->u.data.octets.p, f->u.data.octets.len);
	return 1;
}

static void
ask_taken(struct session_ask *a, const struct frame *f)
{
	struct err e = ERR_INIT;
	int rc = take_part(a, f, &e);

	if (rc == -1) {
		ask_refused(a, &e);
		ask_next(a);
	} else if (rc == 0) {
		ask_part(a, 0);
	} else if (a->part + 1 < a->m.parts) {
		ask_part(a, a->part + 1);
	} else {
		ask_store(a);
	}
}

bool
reference_ask_data(struct session_ask *a, const struct frame *f)
{
	if (f->tag == 0 || f->tag != a->tag)
		return f->tag != 0 && f->tag == a->late;
	a->tag = 0;
	if (f->u.data.manifest.len == 0)
		ask_next(a);
	else
		ask_taken(a, f);
	return true;
}

bool
reference_ask_nack(struct session_ask *a, uint64_t tag)
{
	if (tag == 0 || tag != a->tag)
		return tag != 0 && tag == a->late;
	ask_pause(a, PATIENCE_MS);
	return true;
}

/* ---- its life ---------------------------------------------------------- */

struct session_ask *
reference_ask_new(struct session *s)
{
	struct session_ask *a = xcalloc(1, sizeof(*a));

	a->s = s;
	a->timer = timer_new(s->conn->carry->loop, ask_turn, a);
	return a;
}

void
reference_ask_free(struct session_ask *a)
{
	if (a == NULL)
		return;
	timer_free(a->timer);
	buf_done(&a->manifest);
	buf_done(&a->sig);
	buf_done(&a->octets);
	free(a);
}

void
reference_ask_begin(struct session_ask *a)
{
	const struct registrar *r = ask_registrar(a);

	a->first = true;
	if (r->reference != NULL && r->conf.reference > 0)
		ask_turn(a);
}

void
reference_ask_stop(struct session_ask *a)
{
	ask_pause(a, 0);
	timer_clear(a->timer);
}
