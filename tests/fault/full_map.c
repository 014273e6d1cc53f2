/*
 * The map of an outbox is full: nothing new is taken, all that was taken is
 * there, is answered and ends, and when ended entries have been dropped new
 * ones are taken again.  Then a reader that does not end pins every page: what
 * writes is told to try again, nobody dies, and it goes on when the reader has
 * ended.
 *
 *   full_map [--long]
 *
 * 4 MiB, or 64.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "common/queue/outbox_int.h"
#include "tests/fault/lab.h"

#define SHORT_MAP    (4u << 20)
#define LONG_MAP     (64u << 20)
#define REQUEST	     1500 /* octets, as of a CMP message of P-256 */
#define NESTED	     2800
#define ANSWER	     2200
#define FULL_PERCENT 85 /* as the registrar has them */
#define OPEN_ROOM    8192
#define AT_ONCE	     16
#define DAY	     86400

static struct outbox *box;
static unsigned faults;

static void
must(bool ok, const char *what)
{
	if (ok)
		return;
	faults++;
	printf("WRONG: %s\n", what);
}

static struct buf
octets(const char *what, unsigned n, size_t len)
{
	struct buf b = { 0 };

	while (b.len < len)
		buf_printf(&b, "%s %u, ", what, n);
	b.len = len;
	return b;
}

static struct digest
row_of(unsigned n)
{
	return digest_of(&n, sizeof(n));
}

/* ---- calls ------------------------------------------------------------- */

static void
accepted(struct outbox_accept *a, const struct err *e)
{
	lab_wait_over(a->user, e);
}

static void
moved(struct outbox_move *m, const struct err *e)
{
	lab_wait_over(m->user, e);
}

static void
heard(struct outbox_batch *x, const struct err *e)
{
	lab_wait_over(x->user, e);
}

static void
pruned(struct outbox_prune *p, const struct err *e)
{
	lab_wait_over(p->user, e);
}

static struct err
take(unsigned n)
{
	struct buf bytes AUTO_BUF = octets("request", n, REQUEST);
	struct buf wrapped AUTO_BUF = octets("nested", n, NESTED);
	struct facts facts = { .n = 0 };
	struct outbox_accept a = { .kind = ENTRY_CMP,
		.row = row_of(n),
		.device = row_of(n),
		.initial = true,
		.bytes = buf_bytes(&bytes),
		.wrapped = buf_bytes(&wrapped),
		.facts = &facts,
		.label = "WB",
		.received = clock_now(),
		.deadline = clock_now().time + DAY,
		.user = lab_wait_new() };

	outbox_accept(box, &a, accepted, lab_here);
	return lab_wait_for(a.user);
}

static uint64_t
id_of(unsigned n)
{
	struct digest row = row_of(n);
	struct outbox_entry en = { .id = 0 };

	return outbox_find(box, &row, &en, NULL) == 1 ? en.id : 0;
}

static struct err
move(unsigned n, enum entry_event ev)
{
	struct outbox_move m = { .event = ev,
		.ids = { id_of(n) },
		.n = 1,
		.carrier = ev == ENTRY_EV_DELIVER ? "https" : "link ra",
		.user = lab_wait_new() };

	outbox_move(box, &m, moved, lab_here);
	return lab_wait_for(m.user);
}

/* A batch that answers entries n to n + count - 1. */
static struct err
answer(unsigned n, unsigned count)
{
	static uint64_t seq;
	struct batch_item items[AT_ONCE] = { { .id = 0 } };
	struct buf answers[AT_ONCE] = { { 0 } };
	struct bytes borrowed[AT_ONCE];
	struct batch says = { .service = "ra",
		.seq = seq + 1,
		.time = clock_now().time,
		.items = items,
		.n = count };
	struct outbox_batch x = {
		.batch = &says, .answers = borrowed, .user = lab_wait_new()
	};
	struct err e;

	for (unsigned i = 0; i < count; i++) {
		struct buf bytes AUTO_BUF = octets("request", n + i, REQUEST);

		answers[i] = octets("answer", n + i, ANSWER);
		borrowed[i] = buf_bytes(&answers[i]);
		items[i] = (struct batch_item){ .id = id_of(n + i),
			.code = BATCH_ANSWERED,
			.digest = digest_of(bytes.data, bytes.len),
			.has_answer = true,
			.answer = digest_of(answers[i].data, ANSWER) };
	}
	memcpy(says.site_epoch, outbox_epoch(box), ENTRY_EPOCH_LEN);
	outbox_batch(box, &x, heard, lab_here);
	e = lab_wait_for(x.user);
	seq += e.kind == ERR_NONE;
	for (unsigned i = 0; i < count; i++)
		buf_done(&answers[i]);
	return e;
}

static size_t
prune(void)
{
	struct outbox_prune p = { .before = clock_now().time + DAY,
		.max = 1000, /* more than a full map lets go at once */
		.user = lab_wait_new() };

	outbox_prune(box, &p, pruned, lab_here);
	return lab_wait_for(p.user).kind == ERR_NONE ? p.n : 0;
}

/* ---- the map is full --------------------------------------------------- */

static unsigned
fill(unsigned from)
{
	struct err e;
	unsigned n = from;

	while ((e = take(n)).kind == ERR_NONE)
		n++;
	must(e.kind == ERR_RETRY, e.msg);
	return n;
}

static bool
intact(unsigned n)
{
	struct buf want AUTO_BUF = octets("request", n, REQUEST);
	struct outbox_octets x;
	bool same;

	if (outbox_octets(box, id_of(n), &x, NULL) == -1)
		return false;
	same = bytes_eq(buf_bytes(&x.bytes), buf_bytes(&want));
	outbox_octets_done(&x);
	return same;
}

static void
full(unsigned all)
{
	unsigned kept = 0, answered = 0, ended = 0, i, n;
	struct err e = ERR_INIT;

	for (i = 0; i < all; i++)
		kept += intact(i);
	must(kept == all, "what was taken is not there");
	for (i = 0; i < all; i++)
		must(move(i, ENTRY_EV_HANDOUT).kind == ERR_NONE, "hand-out");
	for (i = 0; i < all; i += n) {
		n = all - i < AT_ONCE ? all - i : AT_ONCE;
		if ((e = answer(i, n)).kind != ERR_NONE)
			break;
		answered += n;
	}
	if (answered != all)
		printf("at %u %% used: %s\n", store_used_percent(box->store),
		    e.msg);
	must(answered == all, "an answer finds no room");
	for (i = 0; i < answered; i++)
		ended += move(i, ENTRY_EV_DELIVER).kind == ERR_NONE &&
		    move(i, ENTRY_EV_CONFIRM).kind == ERR_NONE;
	must(ended == answered, "an entry cannot end");
	printf("figure: taken-until-full %u\n", all);
	printf("figure: kept %u\n", kept);
	printf("figure: answered-while-full %u\n", answered);
	printf("figure: ended-while-full %u\n", ended);
}

/* ---- a reader that does not end ---------------------------------------- */

static sem_t reads, may_end;

static int
hold_on(struct store_txn *t, void *arg, struct err *e)
{
	(void)t, (void)arg, (void)e;
	sem_post(&reads);
	sem_wait(&may_end);
	return 0;
}

static void *
reader(void *arg)
{
	(void)arg;
	must(store_read(box->store, hold_on, NULL, NULL) == 0, "the reader");
	return NULL;
}

static void
pinned(unsigned from)
{
	unsigned n, written = 0;
	pthread_t thread;
	struct err e;

	sem_init(&reads, 0, 0);
	sem_init(&may_end, 0, 0);
	if (pthread_create(&thread, NULL, reader, NULL) != 0)
		err_die("no thread");
	sem_wait(&reads);
	while ((e = move(from, ENTRY_EV_HANDOUT)).kind == ERR_NONE)
		written++;
	must(e.kind == ERR_RETRY, e.msg);
	must(take(UINT32_MAX).kind == ERR_RETRY, "a request is taken");
	must(intact(from), "what was taken cannot be read");
	sem_post(&may_end);
	pthread_join(thread, NULL);
	/* Pages come free with the next commit but one. */
	for (n = 0; n < 3 && (e = move(from, ENTRY_EV_DIE)).kind != ERR_NONE;)
		n++;
	must(e.kind == ERR_NONE, "it does not go on after the reader");
	printf("figure: writes-beside-a-pinned-reader %u\n", written);
}

int
main(int argc, char **argv)
{
	bool longer = argc > 1 && strcmp(argv[1], "--long") == 0;
	unsigned all, again, n;
	struct err e = ERR_INIT;
	struct outbox_conf c = { .site = "berlin",
		.full_percent = FULL_PERCENT,
		.open_room = OPEN_ROOM };
	struct lab l;

	lab_init(&l);
	c.signer = l.signer;
	c.store = (struct store_conf){ .dir = l.store,
		.seal = l.seal,
		.map_size = longer ? LONG_MAP : SHORT_MAP };
	if (outbox_open(&c, &box, &e) == -1)
		err_die(e.msg);
	all = fill(0);
	full(all);
	for (n = 0; n < all && prune() > 0; n++)
		;
	again = fill(all);
	must(again > all + all / 2, "room does not come back");
	printf("figure: taken-after-pruning %u\n", again - all);
	pinned(again - 1);
	outbox_close(box);
	if (outbox_open(&c, &box, &e) == -1)
		must(false, e.msg);
	else
		must(id_of(again - 1) != 0, "an entry is lost");
	outbox_close(box);
	lab_done(&l);
	printf("figure: wrong %u\n", faults);
	return faults != 0;
}
