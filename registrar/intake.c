/*
 * Batches of a service: signature, names, epochs and every answer are checked
 * here, before the outbox commits any of it (rule 10).
 */
#include "registrar/carry_int.h"

#include <string.h>
#include "common/base/log.h"
#include "common/pki/voucher.h"
#include "registrar/verify.h"

/* One frame's batches while they are being committed. */
struct take {
	struct carry *carry;
	uint64_t conn;
	enum frame_type type;
	struct buf octets;  /* what the frame borrows from */
	struct frame frame; /* STORED or ANSWERS */
	struct batch *batches;
	struct outbox_batch *jobs;
	bool (*skips)[BATCH_ITEMS_MAX];
	size_t pending;
};

static void
take_free(struct take *t)
{
	for (size_t i = 0; i < t->frame.u.answers.n; i++)
		batch_done(&t->batches[i]);
	free(t->batches);
	free(t->jobs);
	free(t->skips);
	frame_done(&t->frame);
	buf_done(&t->octets);
	free(t);
}

static void
take_finished(struct take *t)
{
	struct carry_conn *k = carry_find(t->carry, t->conn);
	enum frame_type type = t->type;

	take_free(t);
	if (k == NULL)
		return;
	k->session.taking--;
	session_taken(&k->session, type);
	carry_drain(k);
}

static void
take_progress(struct session *s, const struct outbox_batch *b)
{
	if (b->seq_high > s->seq)
		s->seq = b->seq_high;
	if (b->moved > 0)
		s->progress_at = clock_mono_ms();
}

static void
take_committed(struct outbox_batch *b, const struct err *e)
{
	struct take *t = b->user;
	struct carry_conn *k = carry_find(t->carry, t->conn);

	if (e != NULL)
		log_err(LOG_ERROR, "link.batch-failed", e, NULL);
	else if (k != NULL)
		take_progress(&k->session, b);
	if (--t->pending == 0)
		take_finished(t);
}

/* The service's word, for this site as it is now. */
static int
take_check(const struct registrar *r, const struct session *s,
    const struct frame_batch *fb, struct batch *b, struct err *e)
{
	const struct service *v = s->service;

	if (sign_check(v->cert, BATCH_LABEL, fb->batch, fb->sig, e) == -1 ||
	    batch_parse(fb->batch, b, e) == -1)
		return -1;
	if (strcmp(b->service, v->name) != 0)
		return err_set(
		    e, ERR_TRUST, "batch: of service %s", b->service);
	if (strcmp(b->site, r->conf.site) != 0 ||
	    memcmp(b->site_epoch, outbox_epoch(r->outbox), ENTRY_EPOCH_LEN) !=
		0)
		return err_set(e, ERR_TRUST,
		    "batch: for another site or epoch (%s)", b->site);
	if (b->n != fb->n)
		return err_set(
		    e, ERR_INPUT, "batch: %zu items, %zu answers", b->n, fb->n);
	return 0;
}

/* What the signature names, no more and no less.  Other octets were put in on
 * the way: with them the batch must not count as seen, or the service would
 * never send the true ones. */
static int
take_check_octets(
    const struct frame_batch *fb, const struct batch *b, struct err *e)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct batch_item *it = &b->items[i];
		struct bytes answer = fb->answers[i];
		struct digest d = digest_of(answer.p, answer.len);

		if (it->has_answer != (answer.len > 0) ||
		    (it->has_answer && !digest_eq(&d, &it->answer)))
			return err_set(e, ERR_TRUST,
			    "batch %llu: octets of entry %llu are not those "
			    "that were signed for",
			    (unsigned long long)b->seq,
			    (unsigned long long)it->id);
	}
	return 0;
}

/* Octets that a service may give for an entry of this kind. */
static int
take_check_content(const struct registrar *r, const struct service *v,
    const struct outbox_entry *en, struct bytes answer, struct err *e)
{
	struct outbox_octets x = { 0 };
	struct vch_answer voucher;
	int rc = -1;

	switch ((int)en->kind) {
	case ENTRY_AUDIT:
	case ENTRY_WITHDRAW:
		return verify_done(answer, e);
	case ENTRY_VOUCHER:
		/* What is in it is judged when it is there (vwatch.c): a MASA's
		 * mistake ends an entry, it is not the service's. */
		return vch_answer_parse(answer, &voucher, e);
	case ENTRY_CMP:
		break;
	default:
		return err_set(
		    e, ERR_INPUT, "answer: to a %s", entry_kind_name(en->kind));
	}
	if (outbox_octets(r->outbox, en->id, &x, e) == 0)
		rc = verify_cmp_answer(r, v, buf_bytes(&x.bytes), answer, e);
	outbox_octets_done(&x);
	return rc;
}

/* No service has a word in what is another's to answer. */
static int
take_check_item(const struct session *s, const struct batch_item *it,
    struct bytes answer, struct err *e)
{
	const struct registrar *r = session_registrar(s);
	struct outbox_entry en;
	int found;

	if ((found = outbox_get(r->outbox, it->id, &en, e)) == -1)
		return -1;
	if (found == 0)
		return err_set(e, ERR_TRUST, "answer: no entry %llu",
		    (unsigned long long)it->id);
	if ((s->service->kinds & (1U << en.route)) == 0)
		return err_set(e, ERR_TRUST, "answer: %s is not its kind",
		    entry_kind_name(en.route));
	return it->has_answer
	    ? take_check_content(r, s->service, &en, answer, e)
	    : 0;
}

static bool
take_prepare(struct take *t, const struct session *s, size_t i)
{
	const struct registrar *r = t->carry->r;
	const struct frame_batch *fb = &t->frame.u.answers.v[i];
	struct batch *b = &t->batches[i];
	struct err e = ERR_INIT;

	if (take_check(r, s, fb, b, &e) == -1 ||
	    take_check_octets(fb, b, &e) == -1) {
		log_err(LOG_ALARM, "carry.forged", &e, "service", "%s",
		    s->service->name, NULL);
		return false;
	}
	clock_confirm(b->time);
	for (size_t j = 0; j < b->n; j++) {
		if (take_check_item(s, &b->items[j], fb->answers[j], &e) == 0)
			continue;
		t->skips[i][j] = true;
		log_err(LOG_ALARM, "link.bad-answer", &e, "service", "%s",
		    s->service->name, "entry", "%llu",
		    (unsigned long long)b->items[j].id, NULL);
	}
	t->jobs[i] = (struct outbox_batch){ .batch = b,
		.answers = fb->answers,
		.skip = t->skips[i],
		.user = t };
	return true;
}

static struct take *
take_new(struct session *s, struct bytes octets, const struct frame *f)
{
	struct take *t = xcalloc(1, sizeof(*t));
	struct err e = ERR_INIT;
	size_t n;

	t->carry = s->conn->carry;
	t->conn = s->conn->number;
	t->type = f->type;
	t->octets = bytes_dup(octets);
	if (frame_parse(buf_bytes(&t->octets), &t->frame, &e) == -1)
		abort(); /* the same octets parsed a moment ago */
	n = t->frame.u.answers.n;
	t->batches = xcalloc(n, sizeof(*t->batches));
	t->jobs = xcalloc(n, sizeof(*t->jobs));
	t->skips = xcalloc(n, sizeof(*t->skips));
	return t;
}

void
session_take(struct session *s, struct bytes octets, struct frame *f)
{
	struct take *t = take_new(s, octets, f);
	size_t n = t->frame.u.answers.n;

	s->receipts = f->type == FRAME_STORED;
	s->taking++;
	t->pending = 1; /* our own, so that none of them finishes it early */
	for (size_t i = 0; i < n; i++) {
		if (!take_prepare(t, s, i))
			continue;
		t->pending++;
		outbox_batch(t->carry->r->outbox, &t->jobs[i], take_committed,
		    loop_poster(t->carry->loop));
	}
	if (--t->pending > 0)
		return;
	/* Nothing in it was genuine: ask again, but not in a hurry. */
	s->taking--;
	session_later(s);
	take_free(t);
}
