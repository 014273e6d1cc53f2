/*
 * make_golden DIR: an outbox as this release writes one, with an entry in each
 * state that its life passes through, and the secret that seals it.  What a
 * release wrote stays in golden/store-N, N its version; test_golden opens all.
 * It asks for nothing that version 1 could not.
 */
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/queue/outbox.h"
#include "golden.h"
#include "queue_signer.h"

#define MAP  (4u << 20)
#define PAGE 4096

static struct outbox *box;
static uint64_t batches;

static void
must(int rc, const struct err *e)
{
	if (rc == -1)
		err_die(e->msg);
}

static void
post_here(void *to, void (*fn)(void *arg), void *arg)
{
	(void)to;
	fn(arg);
}
static const struct post here = { post_here, NULL };

static void
ended(sem_t *over, const struct err *e)
{
	if (e != NULL)
		err_die(e->msg);
	sem_post(over);
}

static void
accepted(struct outbox_accept *a, const struct err *e)
{
	ended(a->user, e);
}

static void
moved(struct outbox_move *m, const struct err *e)
{
	ended(m->user, e);
}

static void
told(struct outbox_batch *b, const struct err *e)
{
	ended(b->user, e);
}

static struct bytes
text(const char *s)
{
	return bytes_of(s, strlen(s));
}

static void
take(const struct golden *g, sem_t *over)
{
	struct outbox_accept a = { .kind = ENTRY_CMP,
		.row = digest_of(g->octets, strlen(g->octets)),
		.device = digest_of(g->label, strlen(g->label)),
		.initial = true,
		.bytes = text(g->octets),
		.label = g->label,
		.received = { GOLDEN_TIME, CLOCK_RTC, 0 },
		.deadline = GOLDEN_TIME + 2592000,
		.user = over };

	outbox_accept(box, &a, accepted, here);
	sem_wait(over);
	if (a.entry.id != g->id)
		err_die("ids are not 1, 2, ...");
}

static void
move(uint64_t id, enum entry_event ev, sem_t *over)
{
	struct outbox_move m = { .event = ev,
		.ids = { id },
		.n = 1,
		.carrier = "link ra",
		.reason = "golden",
		.user = over };

	outbox_move(box, &m, moved, here);
	sem_wait(over);
	if (!m.moved[0])
		err_die("an event was refused");
}

static void
say(const struct golden *g, enum batch_code code, sem_t *over)
{
	bool answer = code != BATCH_STORED;
	struct batch_item item = { .id = g->id,
		.code = code,
		.digest = digest_of(g->octets, strlen(g->octets)),
		.has_answer = answer };
	struct batch batch = {
		.service = "ra", .seq = ++batches, .time = GOLDEN_TIME, .n = 1
	};
	struct bytes octets = answer ? text(g->answer) : text("");
	struct outbox_batch b = {
		.batch = &batch, .answers = &octets, .user = over
	};

	batch.items = &item;
	if (answer)
		item.answer = digest_of(octets.p, octets.len);
	outbox_batch(box, &b, told, here);
	sem_wait(over);
	if (b.moved != 1)
		err_die("a batch was ignored");
}

static void
live(const struct golden *g, sem_t *over)
{
	take(g, over);
	for (const char *step = g->life; *step != '\0'; step++)
		switch (*step) {
		case 'h':
			move(g->id, ENTRY_EV_HANDOUT, over);
			break;
		case 's':
			say(g, BATCH_STORED, over);
			break;
		case 'a':
			say(g, BATCH_ANSWERED, over);
			break;
		case 'r':
			say(g, BATCH_REFUSED, over);
			break;
		case 'd':
			move(g->id, ENTRY_EV_DELIVER, over);
			break;
		case 'c':
			move(g->id, ENTRY_EV_CONFIRM, over);
			break;
		case 'w':
			move(g->id, ENTRY_EV_WITHDRAW, over);
			break;
		default:
			err_die("no such step");
		}
}

/* Without the pages that were only reserved. */
static void
trim(const char *dir)
{
	AUTO(char) path = path_join(dir, "data.mdb");
	struct buf b AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	must(file_read(path, MAP, &b, &e), &e);
	while (b.len > 0 && b.data[b.len - 1] == 0)
		b.len--;
	if (truncate(path, (off_t)((b.len + PAGE - 1) / PAGE * PAGE)) == -1)
		err_die("truncate");
}

static void
forget(const char *dir, const char *name)
{
	AUTO(char) path = path_join(dir, name);

	unlink(path);
}

int
main(int argc, char **argv)
{
	struct signer *signer = queue_signer("golden");
	AUTO(char) seal = argc == 2 ? path_join(argv[1], "seal.key") : NULL;
	struct outbox_conf c = {
		.site = "golden", .signer = signer, .full_percent = 85
	};
	struct buf secret AUTO_SECRET = { 0 };
	struct err e = ERR_INIT;
	sem_t over;

	if (seal == NULL)
		err_die("make_golden DIR");
	log_set_level(LOG_ALARM);
	sem_init(&over, 0, 0);
	must(file_mkdirs(argv[1], 0700, &e), &e);
	must(store_seal_secret(seal, true, &secret, &e), &e);
	c.store.dir = argv[1];
	c.store.map_size = MAP;
	digest_hkdf(buf_bytes(&secret), "waybill-store/1", c.store.key,
	    sizeof(c.store.key));
	must(outbox_open(&c, &box, &e), &e);
	for (size_t i = 0; i < NELEMS(golden); i++)
		live(&golden[i], &over);
	outbox_close(box);
	signer_free(signer);
	trim(argv[1]);
	forget(argv[1], "lock.mdb");
	forget(argv[1], "owner");
	forget(argv[1], "ends");
	return 0;
}
