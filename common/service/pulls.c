#include "common/service/pulls.h"

#include <string.h>
#include "common/base/log.h"
#include "common/base/str.h"

/* What ANSWERS has besides its batches. */
#define FRAME_ROOM 256
/* DECISIONS 12: a site holds one; the others are of connections that have
 * gone, as far as it knows, and would keep our contexts. */
#define HELD_MAX   2

struct pull {
	struct pull *next;
	struct pulls *all;
	struct wire_req *req;
	struct timer *timer;
	char site[ENTRY_NAME_MAX];
	uint64_t tag, since;
};

struct pulls {
	struct service *service;
	struct pull *first;
};

/* ---- frames ------------------------------------------------------------ */

/* n frame_batches that borrow from v; free them with frames_free. */
static struct frame_batch *
frames_of(const struct ledger_batch *v, size_t n)
{
	struct frame_batch *f = xcalloc(n + 1, sizeof(*f));

	for (size_t i = 0; i < n; i++) {
		f[i].batch = buf_bytes(&v[i].batch);
		f[i].sig = buf_bytes(&v[i].sig);
		f[i].n = v[i].n;
		f[i].answers = xcalloc(v[i].n, sizeof(*f[i].answers));
		for (size_t j = 0; j < v[i].n; j++)
			f[i].answers[j] = buf_bytes(&v[i].answers[j]);
	}
	return f;
}

static void
frames_free(struct frame_batch *f, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(f[i].answers);
	free(f);
}

static void
reply(struct wire_req *req, enum frame_type type, uint64_t tag,
    const struct ledger_batch *v, size_t n)
{
	struct buf out AUTO_BUF = { 0 };
	struct frame_batch *f = frames_of(v, n);

	frame_answers(type, tag, f, n, &out);
	frames_free(f, n);
	wire_reply(req, buf_bytes(&out));
}

void
pulls_reply_stored(
    struct wire_req *req, uint64_t tag, const struct ledger_batch *b)
{
	reply(req, FRAME_STORED, tag, b, 1);
}

/* ---- pulls ------------------------------------------------------------- */

struct pulls *
pulls_new(struct service *s)
{
	struct pulls *p = xcalloc(1, sizeof(*p));

	p->service = s;
	return p;
}

/* Out of the list; the request is the caller's. */
static void
pull_drop(struct pull *p)
{
	struct pull **at = &p->all->first;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	timer_free(p->timer);
	free(p);
}

static void
pull_over(void *arg)
{
	struct pull *p = arg;

	reply(p->req, FRAME_ANSWERS, p->tag, NULL, 0);
	pull_drop(p);
}

void
pulls_free(struct pulls *p)
{
	if (p == NULL)
		return;
	while (p->first != NULL)
		pull_over(p->first);
	free(p);
}

/* How many batches went out; 0 if there are none yet, -1. */
static int
answer(struct service *s, struct wire_req *req, const char *site, uint64_t tag,
    uint64_t since, struct err *e)
{
	struct ledger_batch v[FRAME_BATCHES];
	struct ledger_site known;
	size_t n;
	int rc = ledger_site(s->ledger, site, &known, e);

	if (rc != 1)
		return rc;
	if (ledger_batches(s->ledger, site, known.epoch, since,
		FRAME_MAX - FRAME_ROOM, v, NELEMS(v), &n, e) == -1)
		return -1;
	if (n > 0)
		reply(req, FRAME_ANSWERS, tag, v, n);
	for (size_t i = 0; i < n; i++)
		ledger_batch_done(&v[i]);
	return (int)n;
}

/* Our trouble, not the site's: it asks again, and somebody is called. */
static void
refuse(struct wire_req *req, uint64_t tag, const struct err *e)
{
	struct buf out AUTO_BUF = { 0 };

	log_err(LOG_ALARM, "ledger.unreadable", e, "site", "%s", wire_site(req),
	    NULL);
	frame_nack(tag, 30, "the ledger cannot be read", &out);
	wire_reply(req, buf_bytes(&out));
}

/* The oldest, which stands last, is told that there is nothing. */
static void
pulls_shed(struct pulls *p, const char *site)
{
	struct pull *i, *oldest = NULL;
	size_t n = 0;

	for (i = p->first; i != NULL; i = i->next)
		if (strcmp(i->site, site) == 0) {
			oldest = i;
			n++;
		}
	if (n >= HELD_MAX)
		pull_over(oldest);
}

void
pulls_add(struct pulls *p, struct wire_req *req, const struct frame *f)
{
	struct err e = ERR_INIT;
	const char *site = wire_site(req);
	struct pull *one;
	int n = answer(p->service, req, site, f->tag, f->u.pull.since, &e);

	if (n == -1)
		refuse(req, f->tag, &e);
	if (n != 0)
		return;
	if (f->u.pull.wait == 0) {
		reply(req, FRAME_ANSWERS, f->tag, NULL, 0);
		return;
	}
	pulls_shed(p, site);
	one = xcalloc(1, sizeof(*one));
	one->all = p;
	one->req = req;
	one->tag = f->tag;
	one->since = f->u.pull.since;
	str_copy(one->site, sizeof(one->site), site);
	one->timer = timer_new(p->service->loop, pull_over, one);
	timer_set(one->timer, f->u.pull.wait * 1000ULL);
	one->next = p->first;
	p->first = one;
}

void
pulls_wake(struct pulls *p, const char *site)
{
	struct err e = ERR_INIT;
	struct pull *i, *next;

	for (i = p->first; i != NULL; i = next) {
		int n;

		next = i->next;
		if (strcmp(i->site, site) != 0)
			continue;
		n = answer(p->service, i->req, site, i->tag, i->since, &e);
		if (n == -1)
			refuse(i->req, i->tag, &e);
		if (n != 0)
			pull_drop(i);
	}
}

size_t
pulls_held(const struct pulls *p)
{
	const struct pull *i;
	size_t n = 0;

	for (i = p->first; i != NULL; i = i->next)
		n++;
	return n;
}
