#include "registrar/hold.h"

bool
hold_worth(const struct registrar *r, const struct outbox_entry *en,
    const struct https_req *q)
{
	const struct service *s = registrar_service(r, en->kind);

	return r->conf.cmp.hold > 0 && s != NULL && atomic_load(&s->link_up) &&
	    en->answer_value == 0 && !entry_terminal(en->state) &&
	    !https_gone(q);
}

static void
hold_end(struct hold *h)
{
	struct hold **p = &h->front->held;

	while (*p != h)
		p = &(*p)->next;
	*p = h->next;
	https_on_gone(h->req, NULL, NULL);
	timer_free(h->timer);
	h->timer = NULL;
}

static void
hold_over(void *arg)
{
	struct hold *h = arg;

	hold_end(h);
	h->over(h);
}

static void
hold_gone(void *arg)
{
	struct hold *h = arg;

	hold_end(h);
	h->gone(h);
}

void
hold_start(struct hold *h, struct front *f, struct https_req *q,
    const struct digest *row)
{
	h->front = f;
	h->req = q;
	h->row = *row;
	h->next = f->held;
	f->held = h;
	h->timer = timer_new(f->loop, hold_over, h);
	timer_set(h->timer, f->r->conf.cmp.hold);
	https_on_gone(q, hold_gone, h);
}

void
hold_wake(struct front *f, const struct digest *row)
{
	struct hold *next;

	for (struct hold *h = f->held; h != NULL; h = next) {
		next = h->next;
		if (digest_eq(&h->row, row))
			hold_over(h);
	}
}
