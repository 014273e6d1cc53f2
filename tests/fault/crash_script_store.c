/*
 * A bare store under the script, and all that changes its file as a whole: it
 * is closed and opened, brought up to a newer version, compacted, sealed anew,
 * backed up and restored.  Its seal lies on the same disk.  Each row stands in
 * two databases, written in one transaction.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/queue/store.h"
#include "tests/fault/crash_script.h"

#define ROWS 24 /* there are; they are replaced over and over */

struct shelf {
	struct script *s;
	struct store_conf conf;
	struct store *store;
	char *dir; /* of the store */
};

static void
shelf_open(struct shelf *h)
{
	struct err e = ERR_INIT;

	if (store_open(&h->conf, &h->store, &e) == -1)
		script_fail("%s", e.msg);
}

static void
shelf_close(struct shelf *h)
{
	store_close(h->store);
	h->store = NULL;
}

/* ---- rows ---------------------------------------------------------------- */

struct writing {
	uint64_t id;
	struct bytes value;
};

static int
write_row(struct store_txn *t, void *arg, struct err *e)
{
	uint8_t key[STORE_KEY_ID_LEN];
	const struct writing *w = arg;
	struct bytes k = store_key_id(key, w->id);

	if (store_put(t, 0, k, w->value, e) == -1 ||
	    store_put(t, 1, k, w->value, e) == -1)
		return -1;
	return 0;
}

static void
do_write(struct shelf *h)
{
	struct buf value AUTO_BUF = { 0 };
	struct writing w = { .id = 1 + script_random(h->s, ROWS) };
	struct mark m = { .what = MARK_ROW, .id = w.id };
	struct err e = ERR_INIT;

	m.op = script_begin(h->s);
	value = script_octets(h->s, "value", 20, 6000);
	w.value = buf_bytes(&value);
	m.hash = digest_of(value.data, value.len);
	if (store_submit_wait(h->store, write_row, &w, &e) == -1)
		script_fail("%s", e.msg);
	script_mark(&m);
	h->s->waiting--;
}

/* ---- the file as a whole ------------------------------------------------- */

static void
do_reopen(struct shelf *h)
{
	script_begin(h->s);
	shelf_close(h);
	h->conf.version = 2;
	shelf_open(h);
	h->s->waiting--;
}

static void
do_copy(struct shelf *h,
    int (*copy)(const struct store_conf *c, uint64_t *ret_lost, struct err *e))
{
	uint64_t lost = 0;
	struct err e = ERR_INIT;

	script_begin(h->s);
	shelf_close(h);
	if (copy(&h->conf, &lost, &e) == -1)
		script_fail("%s", e.msg);
	if (lost != 0)
		script_fail("%llu rows were lost", (unsigned long long)lost);
	shelf_open(h);
	h->s->waiting--;
}

static void
do_compact(struct shelf *h)
{
	do_copy(h, store_compact);
}

static void
do_rekey(struct shelf *h)
{
	do_copy(h, store_rekey);
}

struct kept {
	struct script *s;
	char *path;
};

static void
backed_up(struct store_backup *b, const struct err *e)
{
	struct kept *k = b->user;

	script_done(k->s, e);
	if (b->report.trouble[0] != '\0')
		script_fail("backup: %s", b->report.trouble);
	k->path = b->path;
}

/* Nothing was written since, so whichever of the two is there is right. */
static void
do_restore(struct shelf *h)
{
	struct kept k = { .s = h->s };
	struct store_backup b = { .user = &k };
	struct store_report report;
	struct err e = ERR_INIT;
	char name[24];

	snprintf(name, sizeof(name), "n%u", script_begin(h->s));
	b.name = name;
	store_backup(h->store, &b, backed_up, h->s->here);
	script_wait(h->s);
	script_begin(h->s);
	shelf_close(h);
	if (store_restore(&h->conf, k.path, name, NULL, NULL, &report, &e) ==
	    -1)
		script_fail("%s", e.msg);
	free(k.path);
	shelf_open(h);
	h->s->waiting--;
}

/* ---- the run -------------------------------------------------------------- */

static const struct {
	unsigned weight;
	void (*start)(struct shelf *h);
} calls[] = {
	{ 12, do_write },
	{ 2, do_reopen },
	{ 1, do_compact },
	{ 3, do_rekey },
	{ 1, do_restore },
};

static void
start_one(struct shelf *h)
{
	uint64_t all = 0, pick;
	size_t i;

	for (i = 0; i < NELEMS(calls); i++)
		all += calls[i].weight;
	pick = script_random(h->s, all);
	for (i = 0; pick >= calls[i].weight; i++)
		pick -= calls[i].weight;
	calls[i].start(h);
}

/* The seal beside the store, both on the recorded disk. */
static char *
seal_of(const char *store)
{
	AUTO(char) dir = xstrdup(store);

	*strrchr(dir, '/') = '\0';
	return path_join(dir, CRASH_SEAL);
}

void
script_store(struct script *s)
{
	struct buf secret AUTO_SECRET = { 0 };
	const struct mark opened = { .what = MARK_OPEN };
	AUTO(char) seal = seal_of(s->store);
	struct shelf h = { .s = s };
	struct err e = ERR_INIT;

	script_store_conf(s->store, seal, &h.conf);
	h.conf.version = 1; /* an older release made it */
	if (store_seal_secret(seal, true, &secret, &e) == -1)
		script_fail("%s", e.msg);
	shelf_open(&h);
	script_mark(&opened);
	while (s->op < s->ops)
		start_one(&h);
	shelf_close(&h);
}
