#include "registrar/hold.h"

#include "registrar/caps.h"

/* Whether an answer can come before the hold time is over. */
static bool
hold_worth(const struct registrar *r, const struct outbox_entry *en,
    const struct https_req *q)
{
	const struct service *s = registrar_service(r, en->kind);

	return r->conf.cmp.hold > 0 && s != NULL &&
	    atomic_load(&s->contact.up) && en->answer_value == 0 &&
	    !entry_terminal(en->state) && !https_gone(q);
}

static void
hold_end(struct hold *h)
{
	struct hold **p = &h->front->held;

	while (*p != h)
		p = &(*p)->next;
	*p = h->next;
	caps_unhold(h->front->r->caps, https_peer_id(h->req));
	https_on_gone(h->req, NULL, NULL);
	timer_free(h->timer);
	h->timer = NULL;
}

static void
hold_over(void *arg)
{
	struct hold *h = arg;
	struct outbox_entry en;
	struct err e = ERR_INIT;
	int found;

	hold_end(h);
	found = outbox_find(h->front->r->outbox, &h->row, &en, &e);
	if (found == 0)
		err_set(&e, ERR_LOCAL, "the entry is gone");
	h->over(h->owner, found == 1 ? &en : NULL, &e);
}

static void
hold_gone(void *arg)
{
	struct hold *h = arg;

	hold_end(h);
	https_reply(h->req, &(struct https_answer){ .status = 503 });
	h->gone(h->owner);
}

bool
hold_start(struct hold *h, struct front *f, struct https_req *q,
    const struct outbox_entry *en, const struct digest *row)
{
	if (!hold_worth(f->r, en, q) ||
	    !caps_hold(f->r->caps, https_peer_id(q)))
		return false;
	h->front = f;
	h->req = q;
	h->row = *row;
	h->next = f->held;
	f->held = h;
	h->timer = timer_new(f->loop, hold_over, h);
	timer_set(h->timer, f->r->conf.cmp.hold);
	https_on_gone(q, hold_gone, h);
	return true;
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
