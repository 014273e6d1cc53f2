/* What an accept puts, as long as it is there, in a store of its own beside the
 * outbox: sealed, committed, told, but no header is signed and nothing is
 * known of entries. */
#include <semaphore.h>
#include <string.h>

#include "common/base/file.h"
#include "common/queue/outbox.h"
#include "tests/bench/store_talk.h"

#define ROW_OCTETS    300 /* of an entry's changing part */
#define HEADER_OCTETS 540 /* of its header with signature */

struct put {
	struct buf octets;
	struct digest name;
};

static struct store *alone;
static sem_t room;

static int
put_job(struct store_txn *t, void *arg, struct err *e)
{
	static const uint8_t row[ROW_OCTETS];
	const struct put *p = arg;
	struct audit_record r = { .event = "accepted", .who = "registrar" };
	uint8_t key[STORE_KEY_ID_LEN + 1];
	uint64_t id = store_take_id(t);
	struct bytes k = store_key_id(key, id);

	snprintf(r.detail, sizeof(r.detail), "cmp 0 SN-%08llu",
	    (unsigned long long)id);
	r.id = id;
	key[STORE_KEY_ID_LEN] = 1;
	if (store_put(t, 0, k, bytes_of(row, sizeof(row)), e) == -1 ||
	    store_put(t, 0, bytes_of(key, sizeof(key)), buf_bytes(&p->octets),
		e) == -1 ||
	    store_put(t, 1, k, bytes_of(p->name.b, DIGEST_LEN), e) == -1)
		return -1;
	return audit_append(t, 2, &r, e);
}

static void
put_over(void *arg, const struct err *e)
{
	(void)arg;
	if (e != NULL)
		bench_fail("store: %s", e->msg);
	sem_post(&room);
}

static void
post_here(void *to, void (*fn)(void *arg), void *arg)
{
	(void)to;
	fn(arg);
}

static void
open_alone(char *const argv[])
{
	AUTO(char) dir = path_join(argv[2], "alone");
	AUTO(char) seal = path_join(argv[3], "site/seal.key");
	struct store_conf c = { .dir = dir,
		.map_size = strtoull(argv[4], NULL, 10) << 20,
		.seal = seal };
	struct err e = ERR_INIT;

	outbox_store_conf(&c);
	sem_init(&room, 0, 0);
	if (store_open(&c, &alone, &e) == -1)
		bench_fail("%s", e.msg);
}

static void
wait_for_room(void)
{
	while (sem_wait(&room) == -1)
		;
}

void
store_alone_put(
    char *const argv[], struct bytes nested, unsigned long n, unsigned at_once)
{
	const struct post here = { post_here, NULL };
	struct put p = { .octets = bytes_dup(nested),
		.name = digest_of("row", 3) };
	unsigned long i;

	if (alone == NULL)
		open_alone(argv);
	memset(buf_grow(&p.octets, HEADER_OCTETS), 'h', HEADER_OCTETS);
	for (i = 0; i < n; i++) {
		if (i >= at_once)
			wait_for_room();
		store_submit(alone, put_job, put_over, &p, here);
	}
	for (i = 0; i < n && i < at_once; i++)
		wait_for_room();
	buf_done(&p.octets);
}

void
store_alone_close(void)
{
	store_close(alone);
}
