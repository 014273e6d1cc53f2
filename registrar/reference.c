#include "registrar/reference.h"

#include <pthread.h>
#include <string.h>
#include "common/base/log.h"
#include "common/base/str.h"
#include "registrar/control_json.h"
#include "registrar/reference_int.h"

#define LOOK_MS 60000 /* for what has become stale */

struct reference {
	struct registrar *r;
	struct timer *look;
	pthread_rwlock_t lock; /* of the list; written to on one loop alone */
	struct piece *pieces;
};

void
piece_free(struct piece *p)
{
	if (p == NULL)
		return;
	buf_done(&p->octets);
	denylist_free(p->denied);
	crls_free(p->revoked);
	free(p);
}

/* ---- the list ---------------------------------------------------------- */

static bool
is_piece(const struct piece *p, const char *service, const char *name)
{
	return strcmp(p->m.service, service) == 0 &&
	    strcmp(p->m.name, name) == 0;
}

const struct piece *
reference_find(const struct reference *r, const char *service, const char *name)
{
	const struct piece *p = r->pieces;

	while (p != NULL && !is_piece(p, service, name))
		p = p->next;
	return p;
}

const struct piece *
reference_next(
    const struct reference *r, const struct piece *after, const char *service)
{
	const struct piece *p = after == NULL ? r->pieces : after->next;

	while (p != NULL && strcmp(p->m.service, service) != 0)
		p = p->next;
	return p;
}

size_t
reference_total(
    const struct reference *r, const char *service, const char *name)
{
	size_t n = 0;

	for (const struct piece *p = r->pieces; p != NULL; p = p->next)
		n += is_piece(p, service, name) ? 0 : p->octets.len;
	return n;
}

/* Out of the list, NULL if it is not there. */
static struct piece *
take(struct reference *r, const char *service, const char *name)
{
	struct piece **at = &r->pieces, *p;

	while (*at != NULL && !is_piece(*at, service, name))
		at = &(*at)->next;
	if ((p = *at) != NULL)
		*at = p->next;
	return p;
}

void
reference_switch(struct reference *r, struct piece *p)
{
	struct piece *old;

	pthread_rwlock_wrlock(&r->lock);
	old = take(r, p->m.service, p->m.name);
	p->next = r->pieces;
	r->pieces = p;
	pthread_rwlock_unlock(&r->lock);
	piece_free(old);
}

void
reference_drop(struct reference *r, const char *service, const char *name)
{
	struct piece *old;

	pthread_rwlock_wrlock(&r->lock);
	old = take(r, service, name);
	pthread_rwlock_unlock(&r->lock);
	piece_free(old);
}

/* ---- what a piece must be ---------------------------------------------- */

int
piece_manifest(const struct service *s, const char *name, struct bytes manifest,
    struct bytes sig, struct frame_manifest *ret, struct err *e)
{
	struct digest signer = cert_digest(s->cert);

	if (sign_check(s->cert, FRAME_DATA_LABEL, manifest, sig, e) == -1 ||
	    frame_manifest_parse(manifest, ret, e) == -1)
		return -1;
	if (strcmp(ret->service, s->name) != 0 || strcmp(ret->name, name) != 0)
		return err_set(e, ERR_TRUST, "manifest: %s of service %s",
		    ret->name, ret->service);
	if (!digest_eq(&ret->signer, &signer))
		return err_set(e, ERR_TRUST,
		    "manifest: names another signer than its own");
	return 0;
}

static int
read_denied(const struct registrar *r, struct piece *p, struct err *e)
{
	(void)r;
	p->denied = denylist_parse(buf_bytes(&p->octets), p->m.name, e);
	return p->denied != NULL ? 0 : -1;
}

/* Who may sign a list of the domain's, borrowed. */
static STACK_OF(X509) * list_issuers(const struct registrar *r)
{
	const STACK_OF(X509) *
	    from[] = { r->signer->chain, trust_anchors(r->domain) };
	STACK_OF(X509) *all = sk_X509_new_null();

	for (size_t i = 0; i < NELEMS(from); i++)
		for (int j = 0; j < sk_X509_num(from[i]); j++)
			if (sk_X509_push(all, sk_X509_value(from[i], j)) == 0)
				err_die("out of memory");
	return all;
}

/* One that is by another authority is told to who asks for it, and no more. */
static int
read_revoked(const struct registrar *r, struct piece *p, struct err *e)
{
	AUTO(X509_CRL) crl = crl_parse(buf_bytes(&p->octets), e);
	AUTO(crls) list = crls_new();
	STACK_OF(X509) * issuers;
	struct err why = ERR_INIT;

	if (crl == NULL)
		return -1;
	issuers = list_issuers(r);
	if (crls_add(list, buf_bytes(&p->octets), issuers, &why) == 1)
		p->revoked = STEAL(list);
	else
		log_err(LOG_WARN, "reference.crl-not-asked", &why, "service",
		    "%s", p->m.service, NULL);
	sk_X509_free(issuers);
	return 0;
}

/* What is more to us than octets.  One that cannot be read must not take the
 * place of one that can. */
static const struct {
	const char *name;
	int (*read)(const struct registrar *r, struct piece *p, struct err *e);
} readers[] = {
	{ REFERENCE_DENY, read_denied },
	{ REFERENCE_CRL, read_revoked },
};

static int
piece_read(const struct registrar *r, struct piece *p, struct err *e)
{
	for (size_t i = 0; i < NELEMS(readers); i++)
		if (strcmp(p->m.name, readers[i].name) == 0)
			return readers[i].read(r, p, e);
	return 0;
}

struct piece *
piece_new(const struct registrar *r, const struct frame_manifest *m,
    struct buf *octets, struct err *e)
{
	struct digest d = digest_of(octets->data, octets->len);
	AUTO(piece) p = NULL;

	if (octets->len != m->size || !digest_eq(&d, &m->digest)) {
		err_set(e, ERR_TRUST, "%s: its digest does not hold", m->name);
		return NULL;
	}
	p = xcalloc(1, sizeof(*p));
	p->m = *m;
	p->octets = *octets;
	*octets = (struct buf){ 0 };
	return piece_read(r, p, e) == -1 ? NULL : STEAL(p);
}

/* ---- at start ---------------------------------------------------------- */

static const struct service *
find_service(const struct registrar *r, const char *name)
{
	for (size_t i = 0; i < r->n_services; i++)
		if (strcmp(r->services[i].name, name) == 0)
			return &r->services[i];
	return NULL;
}

static struct piece *
load_piece(
    const struct registrar *r, const struct outbox_reference *x, struct err *e)
{
	const struct service *s = find_service(r, x->service);
	struct buf octets AUTO_BUF = bytes_dup(x->octets);
	struct frame_manifest m;

	if (s == NULL) {
		err_set(e, ERR_TRUST, "service %s is none of ours", x->service);
		return NULL;
	}
	return piece_manifest(s, x->name, x->manifest, x->sig, &m, e) == -1
	    ? NULL
	    : piece_new(r, &m, &octets, e);
}

static void
load(const struct outbox_reference *x, void *arg)
{
	struct reference *r = arg;
	struct err e = ERR_INIT;
	struct piece *p = load_piece(r->r, x, &e);

	if (p != NULL)
		reference_switch(r, p);
	else
		log_err(LOG_ALARM, "reference.not-loaded", &e, "service", "%s",
		    x->service, "name", "%s", x->name, NULL);
}

/* ---- age --------------------------------------------------------------- */

static uint64_t
piece_age(const struct piece *p)
{
	uint64_t now = clock_judge_time();

	if (now == 0)
		return REFERENCE_AGE_UNKNOWN;
	return now > p->m.made ? now - p->m.made : 0;
}

static bool
is_stale(const struct piece *p)
{
	uint64_t now = clock_judge_time();

	return now != 0 && p->m.until != 0 && now > p->m.until;
}

/* Once a version. */
static void
look(void *arg)
{
	struct reference *r = arg;

	timer_set(r->look, LOOK_MS);
	for (struct piece *p = r->pieces; p != NULL; p = p->next) {
		if (p->told || !is_stale(p))
			continue;
		p->told = true;
		log_event(LOG_WARN, "reference.stale", "service", "%s",
		    p->m.service, "name", "%s", p->m.name, "version", "%llu",
		    (unsigned long long)p->m.version, "age", "%llu",
		    (unsigned long long)piece_age(p), NULL);
	}
}

/* ---- its life ---------------------------------------------------------- */

int
reference_open(
    struct registrar *r, struct loop *l, struct reference **ret, struct err *e)
{
	struct reference *n = xcalloc(1, sizeof(*n));

	n->r = r;
	pthread_rwlock_init(&n->lock, NULL);
	*ret = n;
	if (outbox_references(r->outbox, load, n, e) == -1)
		return -1;
	n->look = timer_new(l, look, n);
	look(n);
	return 0;
}

void
reference_stop(struct reference *r)
{
	if (r != NULL)
		timer_free(STEAL(r->look));
}

void
reference_free(struct reference *r)
{
	struct piece *p;

	if (r == NULL)
		return;
	reference_stop(r);
	while ((p = r->pieces) != NULL) {
		r->pieces = p->next;
		piece_free(p);
	}
	pthread_rwlock_destroy(&r->lock);
	free(r);
}

/* ---- what it is asked -------------------------------------------------- */

/* In the order of the services. */
static const struct piece *
first_piece(const struct registrar *r, const char *name)
{
	const struct piece *p = NULL;

	for (size_t i = 0; i < r->n_services && p == NULL; i++)
		p = reference_find(r->reference, r->services[i].name, name);
	return p;
}

bool
reference_get(const struct registrar *r, const char *name, struct buf *ret,
    uint64_t *ret_age)
{
	const struct piece *p;

	if (r->reference == NULL)
		return false;
	pthread_rwlock_rdlock(&r->reference->lock);
	if ((p = first_piece(r, name)) != NULL) {
		buf_add(ret, p->octets.data, p->octets.len);
		if (ret_age != NULL)
			*ret_age = piece_age(p);
	}
	pthread_rwlock_unlock(&r->reference->lock);
	return p != NULL;
}

int
reference_denied(const struct registrar *r, X509 *x, struct err *e)
{
	int rc = denylist_check(r->denied, x, e);

	if (r->reference == NULL || rc == -1)
		return rc;
	pthread_rwlock_rdlock(&r->reference->lock);
	for (const struct piece *p = r->reference->pieces; p != NULL && rc == 0;
	     p = p->next)
		rc = denylist_check(p->denied, x, e);
	pthread_rwlock_unlock(&r->reference->lock);
	return rc;
}

/* Of several lists the worse news count, then good ones. */
bool
reference_revoked(const struct registrar *r, X509 *x, enum crl_word *ret,
    char *why, size_t size)
{
	uint64_t now = clock_judge_time();
	bool asked = false;

	*ret = CRL_UNKNOWN;
	if (r->reference == NULL)
		return false;
	pthread_rwlock_rdlock(&r->reference->lock);
	for (const struct piece *p = r->reference->pieces;
	     p != NULL && *ret != CRL_REVOKED; p = p->next) {
		enum crl_word w;

		if (p->revoked == NULL || (asked && *ret == CRL_GOOD))
			continue;
		asked = true;
		w = crls_ask(p->revoked, x, now, why, size);
		if (w != CRL_UNKNOWN)
			*ret = w;
	}
	pthread_rwlock_unlock(&r->reference->lock);
	return asked;
}

json_t *
reference_json(const struct registrar *r)
{
	json_t *j = json_array();

	pthread_rwlock_rdlock(&r->reference->lock);
	for (const struct piece *p = r->reference->pieces; p != NULL;
	     p = p->next) {
		uint64_t age = piece_age(p);

		json_array_append_new(j,
		    json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:b}",
			"service", p->m.service, "name", p->m.name, "version",
			(json_int_t)p->m.version, "octets",
			(json_int_t)p->m.size, "made", json_time(p->m.made),
			"until", json_time(p->m.until), "age",
			age == REFERENCE_AGE_UNKNOWN
			    ? json_null()
			    : json_integer((json_int_t)age),
			"stale", is_stale(p)));
	}
	pthread_rwlock_unlock(&r->reference->lock);
	return j;
}

static void
metric(const struct registrar *r, const char *name,
    uint64_t (*value)(const struct piece *p), struct buf *out)
{
	buf_printf(out, "# TYPE waybill_reference_%s gauge\n", name);
	for (const struct piece *p = r->reference->pieces; p != NULL;
	     p = p->next) {
		uint64_t v = value(p);

		if (v != REFERENCE_AGE_UNKNOWN)
			buf_printf(out,
			    "waybill_reference_%s{service=\"%s\","
			    "name=\"%s\"} %llu\n",
			    name, p->m.service, p->m.name,
			    (unsigned long long)v);
	}
}

static uint64_t
piece_version(const struct piece *p)
{
	return p->m.version;
}

void
reference_metrics(const struct registrar *r, struct buf *out)
{
	pthread_rwlock_rdlock(&r->reference->lock);
	metric(r, "version", piece_version, out);
	metric(r, "age_seconds", piece_age, out);
	pthread_rwlock_unlock(&r->reference->lock);
}
