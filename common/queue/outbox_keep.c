/* What the outbox's store can do for people. */
#include "common/queue/outbox_int.h"

#define PAGE_MAX 1000

struct page {
	uint64_t first;
	size_t max, n;
	struct audit_record *v;
};

static void
page_add(const struct audit_record *r, void *arg)
{
	struct page *p = arg;

	p->v[p->n++] = *r;
}

static int
page_job(struct store_txn *t, void *arg, struct err *e)
{
	struct page *p = arg;

	p->n = 0;
	return audit_page(t, DB_AUDIT, p->first, p->max, page_add, p, e);
}

int
outbox_audit_page(struct outbox *o, uint64_t first, size_t max, audit_visit fn,
    void *arg, struct err *e)
{
	struct page p = { .first = first, .max = max };
	AUTO(void) mem = NULL;

	if (p.max > PAGE_MAX)
		p.max = PAGE_MAX;
	mem = p.v = xcalloc(p.max, sizeof(*p.v));
	if (store_read(o->store, page_job, &p, e) == -1)
		return -1;
	for (size_t i = 0; i < p.n; i++)
		fn(&p.v[i], arg);
	return 0;
}

bool
outbox_read_only(const struct outbox *o)
{
	return store_read_only(o->store);
}

void
outbox_backup(struct outbox *o, struct store_backup *b,
    void (*done)(struct store_backup *b, const struct err *e), struct post to)
{
	store_backup(o->store, b, done, to);
}
