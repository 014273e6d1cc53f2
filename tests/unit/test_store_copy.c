/* A store that is copied: upgraded, compacted, sealed anew, backed up and
 * restored.  Whatever is interrupted leaves one of both, whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/queue/audit.h"
#include "common/queue/ends.h"
#include "common/queue/store.h"

#define MAP	 (4u << 20)
#define ROW	 0
#define TX	 1
#define AUDIT	 2
#define BIG	 40000 /* octets: pages of its own */
#define PAGE	 4096
#define OVERFLOW 0x04

static const char *const databases[] = { "row", "tx", "audit", NULL };
static char dir[64], store_dir[80], seal[80];
static struct store_conf conf;

/* ---- the folder ------------------------------------------------------ */

static char *
in_dir(const char *name)
{
	return path_join(dir, name);
}

static char *
in_store(const char *name)
{
	return path_join(store_dir, name);
}

static void
remove_all(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *f;

	if (d == NULL) {
		unlink(path);
		return;
	}
	while ((f = readdir(d)) != NULL) {
		AUTO(char) child = path_join(path, f->d_name);

		if (strcmp(f->d_name, ".") != 0 && strcmp(f->d_name, "..") != 0)
			remove_all(child);
	}
	closedir(d);
	rmdir(path);
}

static int
setup(void **state)
{
	struct buf secret AUTO_SECRET = { 0 };

	(void)state;
	strcpy(dir, "/tmp/test_store_copy.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(store_dir, sizeof(store_dir), "%s/store", dir);
	snprintf(seal, sizeof(seal), "%s/seal.key", dir);
	conf = (struct store_conf){ .dir = store_dir,
		.databases = databases,
		.map_size = MAP,
		.seal = seal };
	log_set_level(LOG_ALARM);
	return store_seal_secret(seal, true, &secret, NULL);
}

static int
teardown(void **state)
{
	(void)state;
	remove_all(dir);
	return 0;
}

static bool
there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static void
is_there(bool want, char *path)
{
	if (there(path) != want)
		fail_msg("%s: %s", path, want ? "is not there" : "is there");
	free(path);
}

static struct buf
contents(const char *path)
{
	struct buf b = { 0 };
	struct err e = ERR_INIT;

	if (file_read(path, 64u << 20, &b, &e) == -1)
		fail_msg("%s", e.msg);
	return b;
}

static void
copy_file(const char *from, const char *to)
{
	struct buf b AUTO_BUF = contents(from);

	assert_int_equal(file_write(to, 0600, buf_bytes(&b), NULL), 0);
}

static struct store *
open_store(void)
{
	struct store *s = NULL;
	struct err e = ERR_INIT;

	if (store_open(&conf, &s, &e) == -1)
		fail_msg("%s", e.msg);
	return s;
}

static void
refused(int rc, const struct err *e, enum err_kind kind, const char *words)
{
	assert_int_equal(rc, -1);
	if (strstr(e->msg, words) == NULL)
		fail_msg("\"%s\" lacks \"%s\"", e->msg, words);
	assert_int_equal(e->kind, kind);
}

static void
refuses_to_open(enum err_kind kind, const char *words)
{
	struct store *s = NULL;
	struct err e = ERR_INIT;
	int rc = store_open(&conf, &s, &e);

	refused(rc, &e, kind, words);
	assert_null(s);
}

/* ---- rows ------------------------------------------------------------ */

struct row {
	unsigned db;
	uint64_t id;
	struct bytes value;
};

static int
put_run(struct store_txn *t, void *arg, struct err *e)
{
	const struct row *r = arg;
	uint8_t k[STORE_KEY_ID_LEN];

	return store_put(t, r->db, store_key_id(k, r->id), r->value, e);
}

static void
put(struct store *s, unsigned db, uint64_t id, const char *value)
{
	struct row r = { db, id, bytes_of(value, strlen(value)) };
	struct err e = ERR_INIT;

	if (store_submit_wait(s, put_run, &r, &e) == -1)
		fail_msg("%s", e.msg);
}

static void
put_big(struct store *s, uint64_t id)
{
	AUTO(void) mem = xcalloc(BIG, 1);
	struct row r = { ROW, id, bytes_of(mem, BIG) };

	assert_int_equal(store_submit_wait(s, put_run, &r, NULL), 0);
}

static int
words_run(struct store_txn *t, void *arg, struct err *e)
{
	struct audit_record r = { .id = 1, .event = "accepted" };

	store_set_user(t, bytes_of(arg, strlen(arg)));
	store_take_id(t);
	return audit_append(t, AUDIT, &r, e);
}

/* Two rows, one elsewhere, an audit record, words, one id taken. */
static void
fill(struct store *s)
{
	struct err e = ERR_INIT;
	char words[] = "words";

	put(s, ROW, 1, "one");
	put(s, ROW, 2, "two");
	put(s, TX, 1, "elsewhere");
	if (store_submit_wait(s, words_run, words, &e) == -1)
		fail_msg("%s", e.msg);
}

struct look {
	struct buf v[3][4]; /* by database and id */
	char user[64];
	uint64_t next;
	uint8_t epoch[STORE_EPOCH_LEN];
	struct store_audit audit;
};

static int
look_run(struct store_txn *t, void *arg, struct err *e)
{
	struct look *l = arg;
	uint8_t k[STORE_KEY_ID_LEN];

	for (unsigned db = 0; db < 3; db++)
		for (uint64_t id = 1; id < 4; id++) {
			buf_reset(&l->v[db][id]);
			if (store_get(t, db, store_key_id(k, id), &l->v[db][id],
				e) == -1)
				return -1;
		}
	memcpy(l->user, store_user(t).p, store_user(t).len);
	l->user[store_user(t).len] = '\0';
	l->next = store_peek_id(t);
	memcpy(l->epoch, store_epoch(t), sizeof(l->epoch));
	l->audit = *store_audit_head(t);
	return 0;
}

static void
look_done(struct look *l)
{
	for (unsigned db = 0; db < 3; db++)
		for (uint64_t id = 1; id < 4; id++)
			buf_done(&l->v[db][id]);
}
#define AUTO_LOOK __attribute__((cleanup(look_done)))

static struct look
look(struct store *s)
{
	struct look l = { .next = 0 };
	struct err e = ERR_INIT;

	if (store_read(s, look_run, &l, &e) == -1)
		fail_msg("%s", e.msg);
	return l;
}

/* Opens it and closes it again. */
static struct look
look_at_it(void)
{
	struct store *s = open_store();
	struct look l = look(s);

	store_close(s);
	return l;
}

static void
same(struct look *a, struct look *b)
{
	for (unsigned db = 0; db < 3; db++)
		for (uint64_t id = 1; id < 4; id++)
			assert_string_equal(
			    buf_cstr(&a->v[db][id]), buf_cstr(&b->v[db][id]));
	assert_string_equal(a->user, b->user);
	assert_int_equal(a->next, b->next);
	assert_memory_equal(a->epoch, b->epoch, STORE_EPOCH_LEN);
	assert_int_equal(a->audit.seq, b->audit.seq);
	assert_true(digest_eq(&a->audit.hash, &b->audit.hash));
}

/* A bit of the big row's octets, in the file. */
static void
spoil_big(const char *file)
{
	struct buf b AUTO_BUF = contents(file);
	size_t at;
	int fd;

	for (at = 0; at + PAGE <= b.len; at += PAGE)
		if (b.data[at + 10] == OVERFLOW && b.data[at + 12] == 10)
			break;
	assert_true(at + PAGE <= b.len);
	assert_int_not_equal(fd = open(file, O_WRONLY), -1);
	b.data[at + 20000] ^= 0x10;
	assert_int_equal(
	    pwrite(fd, &b.data[at + 20000], 1, (off_t)at + 20000), 1);
	close(fd);
}

/* ---- versions -------------------------------------------------------- */

static int
add_two(unsigned db, struct bytes key, struct bytes value, struct buf *ret,
    struct err *e)
{
	(void)e;
	if (db == ROW && store_key_to_id(key) == 2)
		return 0;
	buf_add(ret, value.p, value.len);
	if (db != AUDIT)
		buf_add_str(ret, "+2");
	return 1;
}

static int
add_three(unsigned db, struct bytes key, struct bytes value, struct buf *ret,
    struct err *e)
{
	(void)key, (void)e;
	buf_add(ret, value.p, value.len);
	if (db == TX)
		buf_add_str(ret, "+3");
	return 1;
}

static int
words_three(struct bytes words, struct buf *ret, struct err *e)
{
	(void)e;
	buf_add(ret, words.p, words.len);
	buf_add_str(ret, " of three");
	return 0;
}

static int
refuse_row(unsigned db, struct bytes key, struct bytes value, struct buf *ret,
    struct err *e)
{
	(void)db, (void)key, (void)value, (void)ret;
	return err_set(e, ERR_DAMAGE, "no such row");
}

static const struct store_upgrade upgrades[] = {
	{ 1, add_two, NULL },
	{ 2, add_three, words_three },
	{ 0, NULL, NULL },
};

static void
test_older_version_is_brought_up(void **state)
{
	struct store *s = open_store();
	struct look was AUTO_LOOK = { .next = 0 }, is AUTO_LOOK = { .next = 0 };
	struct store_report r;
	struct err e = ERR_INIT;

	(void)state;
	fill(s);
	was = look(s);
	store_close(s);
	conf.version = 3;
	conf.upgrades = upgrades;
	is = look_at_it();
	assert_string_equal(buf_cstr(&is.v[ROW][1]), "one+2");
	assert_string_equal(buf_cstr(&is.v[ROW][2]), "");
	assert_string_equal(buf_cstr(&is.v[TX][1]), "elsewhere+2+3");
	assert_string_equal(is.user, "words of three");
	assert_int_equal(is.next, was.next);
	assert_memory_equal(is.epoch, was.epoch, STORE_EPOCH_LEN);
	if (store_check(&conf, NULL, &r, &e) == -1)
		fail_msg("%s", e.msg);
	assert_int_equal(r.version, 3);
	assert_int_equal(r.records, 1);
	is_there(false, in_store("next"));
}

static void
test_newer_version_is_refused(void **state)
{
	AUTO(char) file = in_store("data.mdb");
	struct buf was AUTO_BUF = { 0 }, is AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	conf.version = 3;
	store_close(open_store());
	was = contents(file);
	conf.version = 2;
	conf.upgrades = upgrades;
	refuses_to_open(
	    ERR_DAMAGE, "version 3, made by a newer release: this one knows 2");
	assert_int_equal(err_exit_code(ERR_DAMAGE), 9);
	refused(store_check(&conf, NULL, &(struct store_report){ 0 }, &e), &e,
	    ERR_DAMAGE, "version 3, made by a newer release");
	is = contents(file);
	assert_true(bytes_eq(buf_bytes(&was), buf_bytes(&is)));
}

static void
test_upgrade_that_fails_leaves_what_was(void **state)
{
	static const struct store_upgrade none[] = { { 1, refuse_row, NULL },
		{ 2, add_three, NULL }, { 0, NULL, NULL } };
	struct store *s = open_store();
	struct look was AUTO_LOOK = { .next = 0 }, is AUTO_LOOK = { .next = 0 };

	(void)state;
	fill(s);
	was = look(s);
	store_close(s);
	conf.version = 3;
	conf.upgrades = none;
	refuses_to_open(ERR_DAMAGE,
	    "upgrade from version 1: \"row\": row of 1: no such row");
	conf.upgrades = upgrades + 1;
	refuses_to_open(ERR_DAMAGE, "version 1 is too old for this release");
	is_there(false, in_store("next"));
	conf.version = 1;
	is = look_at_it();
	same(&was, &is);
}

static void
test_half_a_copy_is_swept_away(void **state)
{
	AUTO(char) part = in_store("next.mdb");
	AUTO(char) next = in_store("next");
	AUTO(char) half = in_store("next/data.mdb");

	(void)state;
	store_close(open_store());
	assert_int_equal(mkdir(next, 0700), 0);
	assert_int_equal(file_write(part, 0600, bytes_of("half", 4), NULL), 0);
	assert_int_equal(file_write(half, 0600, bytes_of("half", 4), NULL), 0);
	store_close(open_store());
	assert_false(there(part));
	assert_false(there(next));
}

static void
test_damaged_row_stays_behind(void **state)
{
	AUTO(char) file = in_store("data.mdb");
	struct store *s = open_store();
	struct store_report r;
	struct err e = ERR_INIT;
	uint64_t lost = 7;

	(void)state;
	fill(s);
	put_big(s, 3);
	store_close(s);
	spoil_big(file);
	refused(store_check(&conf, NULL, &r, &e), &e, ERR_DAMAGE,
	    "\"row\": the row of 3 does not open");
	assert_int_equal(r.db[ROW].damaged, 1);
	assert_int_equal(r.db[ROW].rows, 3);
	assert_int_equal(r.db[TX].rows, 1);
	assert_int_equal(r.records, 1);
	refused(store_compact(&conf, &lost, &e), &e, ERR_DAMAGE,
	    "\"row\": the row of 3 does not open");
	conf.tolerant = true;
	assert_int_equal(store_compact(&conf, &lost, &e), 0);
	assert_int_equal(lost, 1);
	assert_int_equal(store_check(&conf, NULL, &r, &e), 0);
	assert_int_equal(r.db[ROW].rows, 2);
}

/* ---- compact --------------------------------------------------------- */

static void
test_compact_is_the_same_and_smaller(void **state)
{
	struct look was AUTO_LOOK = { .next = 0 }, is AUTO_LOOK = { .next = 0 };
	struct store *s = open_store();
	AUTO(char) file = in_store("data.mdb");
	uint8_t k[STORE_KEY_ID_LEN];
	struct store_report r;
	struct err e = ERR_INIT;
	uint64_t lost = 7;
	struct stat st;

	(void)state, (void)k;
	fill(s);
	for (uint64_t id = 3; id < 40; id++)
		put_big(s, id);
	for (uint64_t id = 3; id < 40; id++)
		put(s, ROW, id, "small now");
	was = look(s);
	refused(store_compact(&conf, &lost, &e), &e, ERR_LOCAL, "open already");
	store_close(s);
	assert_int_equal(store_compact(&conf, &lost, &e), 0);
	assert_int_equal(lost, 0);
	assert_int_equal(stat(file, &st), 0);
	assert_true(st.st_size < 200000);
	assert_int_equal(store_check(&conf, NULL, &r, &e), 0);
	assert_int_equal(r.db[ROW].rows, 39);
	is = look_at_it();
	same(&was, &is);
}

/* ---- the secret ------------------------------------------------------ */

static void
test_rekey_needs_the_new_secret(void **state)
{
	AUTO(char) old = in_dir("old.key");
	struct look was AUTO_LOOK = { .next = 0 }, is AUTO_LOOK = { .next = 0 };
	struct store *s = open_store();
	struct err e = ERR_INIT;
	uint64_t lost = 7;

	(void)state;
	fill(s);
	was = look(s);
	refused(store_rekey(&conf, &lost, &e), &e, ERR_LOCAL, "open already");
	store_close(s);
	copy_file(seal, old);
	assert_int_equal(store_rekey(&conf, &lost, &e), 0);
	assert_int_equal(lost, 0);
	is_there(false, in_dir("seal.key.next"));
	is = look_at_it();
	same(&was, &is);
	conf.seal = old;
	refuses_to_open(ERR_DAMAGE, "sealed with another key");
}

/* The old secret is in its place, the new one beside; is the file new? */
static void
interrupted(bool file_is_new)
{
	AUTO(char) next = in_dir("seal.key.next");
	AUTO(char) file = in_store("data.mdb");
	AUTO(char) half = in_store("next.mdb");
	struct buf secret AUTO_SECRET = contents(seal);
	struct buf data AUTO_BUF = contents(file);
	struct err e = ERR_INIT;
	uint64_t lost;

	if (store_rekey(&conf, &lost, &e) == -1)
		fail_msg("%s", e.msg);
	assert_int_equal(rename(seal, next), 0);
	assert_int_equal(file_write(seal, 0600, buf_bytes(&secret), NULL), 0);
	if (file_is_new)
		return;
	assert_int_equal(rename(file, half), 0);
	assert_int_equal(file_write(file, 0600, buf_bytes(&data), NULL), 0);
}

static void
test_interrupted_rekey_is_finished(void **state)
{
	struct look was AUTO_LOOK = { .next = 0 };
	struct store *s = open_store();

	(void)state;
	fill(s);
	was = look(s);
	store_close(s);
	for (int turn = 0; turn < 4; turn++) {
		struct buf before AUTO_SECRET = contents(seal);
		struct buf after AUTO_SECRET = { 0 };
		struct look is AUTO_LOOK = { .next = 0 };
		struct store_report r;
		struct err e = ERR_INIT;
		uint64_t lost;

		interrupted(turn % 2 == 0);
		/* Who only looks finishes nothing. */
		if (store_check(&conf, NULL, &r, &e) == -1)
			fail_msg("%s", e.msg);
		is_there(true, in_dir("seal.key.next"));
		/* So does the next rekey, before its own. */
		if (turn >= 2)
			assert_int_equal(store_rekey(&conf, &lost, &e), 0);
		is = look_at_it();
		same(&was, &is);
		is_there(false, in_dir("seal.key.next"));
		is_there(false, in_store("next.mdb"));
		after = contents(seal);
		assert_int_equal(
		    bytes_eq(buf_bytes(&before), buf_bytes(&after)), turn == 1);
	}
}

/* ---- live copies ----------------------------------------------------- */

struct wait {
	struct store_backup b;
	sem_t over;
	bool failed;
	struct err e;
};

static void
post_here(void *to, void (*fn)(void *arg), void *arg)
{
	(void)to;
	fn(arg);
}

static const struct post here = { post_here, NULL };

static void
backup_done(struct store_backup *b, const struct err *e)
{
	struct wait *w = b->user;

	if ((w->failed = e != NULL))
		w->e = *e;
	sem_post(&w->over);
}

static void
backup_ask(struct store *s, struct wait *w, const char *name)
{
	*w = (struct wait){ .b = { .name = name, .user = w } };
	sem_init(&w->over, 0, 0);
	store_backup(s, &w->b, backup_done, here);
}

static void
backup(struct store *s, struct wait *w, const char *name)
{
	backup_ask(s, w, name);
	sem_wait(&w->over);
}

static void
test_backup_is_what_was_then(void **state)
{
	struct look was AUTO_LOOK = { .next = 0 };
	AUTO(char) path = in_store("backup-monday-1.mdb");
	struct store *s = open_store();
	struct store_report r;
	struct wait w, again;
	struct err e = ERR_INIT;

	(void)state;
	fill(s);
	was = look(s);
	backup(s, &w, "monday-1");
	if (w.failed)
		fail_msg("%s", w.e.msg);
	assert_string_equal(w.b.path, path);
	put(s, ROW, 3, "later");
	assert_string_equal(w.b.report.trouble, "");
	assert_int_equal(w.b.report.db[ROW].rows, 2);
	assert_int_equal(w.b.report.db[ROW].expected, 2);
	assert_string_equal(w.b.report.db[AUDIT].name, "audit");
	assert_int_equal(w.b.report.records, 1);
	assert_true(digest_eq(&w.b.report.audit.hash, &was.audit.hash));
	assert_memory_equal(w.b.report.epoch, was.epoch, STORE_EPOCH_LEN);
	assert_int_equal(w.b.report.next_id, was.next);
	/* It can be looked at while the store is open. */
	assert_int_equal(store_check(&conf, path, &r, &e), 0);
	assert_int_equal(r.db[ROW].rows, 2);
	backup(s, &again, "monday-1");
	refused(again.failed ? -1 : 0, &again.e, ERR_INPUT, "there already");
	free(w.b.path);
	store_close(s);
}

static void
test_backup_has_a_plain_name(void **state)
{
	static const char *const names[] = { "", "a/b", "..", "a b", "\xc3\xa9",
		"12345678901234567890123456789012345678901" };
	struct store *s = open_store();

	(void)state;
	for (size_t i = 0; i < NELEMS(names); i++) {
		struct wait w;

		backup(s, &w, names[i]);
		refused(w.failed ? -1 : 0, &w.e, ERR_INPUT, "a name is");
		assert_null(w.b.path);
	}
	store_close(s);
	is_there(false, in_store("next.mdb"));
}

static void
test_one_backup_at_a_time_and_close_waits(void **state)
{
	struct store *s = open_store();
	struct wait w, other;
	struct err e = ERR_INIT;
	struct store_report r;

	(void)state;
	for (uint64_t id = 1; id < 60; id++)
		put_big(s, id);
	backup_ask(s, &w, "first");
	backup(s, &other, "second");
	refused(
	    other.failed ? -1 : 0, &other.e, ERR_RETRY, "one is being made");
	store_close(s);
	assert_int_equal(sem_trywait(&w.over), 0);
	assert_false(w.failed);
	assert_int_equal(store_check(&conf, w.b.path, &r, &e), 0);
	assert_int_equal(r.db[ROW].rows, 59);
	free(w.b.path);
}

static void
test_backup_tells_of_damage(void **state)
{
	AUTO(char) file = in_store("data.mdb");
	struct store *s = open_store();
	struct wait w;

	(void)state;
	fill(s);
	put_big(s, 3);
	store_close(s);
	spoil_big(file);
	s = open_store();
	backup(s, &w, "damaged");
	assert_false(w.failed);
	assert_string_equal(
	    w.b.report.trouble, "\"row\": the row of 3 does not open");
	free(w.b.path);
	store_close(s);
}

/* ---- restore --------------------------------------------------------- */

struct prepare {
	char seen[80];
	bool fail;
};

/* Changes the copy as who restores an outbox does. */
static int
epoch_run(struct store_txn *t, void *arg, struct err *e)
{
	(void)arg, (void)e;
	store_new_epoch(t);
	return 0;
}

static int
prepare(const char *at, void *arg, struct err *e)
{
	struct prepare *p = arg;
	struct store_conf c = conf;
	AUTO(store) s = NULL;

	str_copy(p->seen, sizeof(p->seen), at);
	if (p->fail)
		return err_set(e, ERR_LOCAL, "not this one");
	c.dir = at;
	if (store_open(&c, &s, e) == -1)
		return -1;
	return store_submit_wait(s, epoch_run, NULL, e);
}

/* A backup beside the store, which has gone on since. */
static char *
make_backup(struct look *ret_was, struct look *ret_now)
{
	struct store *s = open_store();
	struct wait w;

	fill(s);
	backup(s, &w, "b");
	assert_false(w.failed);
	*ret_was = look(s);
	put(s, ROW, 3, "later");
	*ret_now = look(s);
	store_close(s);
	return w.b.path;
}

static void
test_restore_takes_the_place(void **state)
{
	struct look was AUTO_LOOK = { .next = 0 }, is AUTO_LOOK = { .next = 0 };
	struct look now AUTO_LOOK = { .next = 0 };
	AUTO(char) file = make_backup(&was, &now);
	AUTO(char) before = in_store("before-x.mdb");
	AUTO(char) place = in_store("next");
	struct prepare p = { .fail = false };
	struct store_report r;
	struct err e = ERR_INIT;
	struct store *s;

	(void)state;
	if (store_restore(&conf, file, "x", prepare, &p, &r, &e) == -1)
		fail_msg("%s", e.msg);
	assert_string_equal(p.seen, place);
	assert_int_equal(r.db[ROW].rows, 2);
	assert_false(there(place));
	is = look_at_it();
	assert_memory_not_equal(is.epoch, was.epoch, STORE_EPOCH_LEN);
	memcpy(is.epoch, was.epoch, STORE_EPOCH_LEN);
	same(&was, &is);
	/* What was there is there, whole, and leads back. */
	assert_int_equal(store_check(&conf, before, &r, &e), 0);
	assert_int_equal(r.db[ROW].rows, 3);
	refused(store_restore(&conf, file, "x", prepare, &p, &r, &e), &e,
	    ERR_INPUT, "there already");
	assert_int_equal(
	    store_restore(&conf, before, "y", NULL, NULL, &r, &e), 0);
	look_done(&is);
	is = look_at_it();
	same(&now, &is);
	s = open_store();
	refused(store_restore(&conf, file, "z", prepare, &p, &r, &e), &e,
	    ERR_LOCAL, "open already");
	store_close(s);
}

static void
test_restore_that_fails_changes_nothing(void **state)
{
	struct look was AUTO_LOOK = { .next = 0 }, is AUTO_LOOK = { .next = 0 };
	struct look now AUTO_LOOK = { .next = 0 };
	AUTO(char) file = make_backup(&was, &now);
	AUTO(char) none = in_dir("none.mdb");
	AUTO(char) cut = in_dir("cut.mdb");
	struct prepare p = { .fail = true };
	struct store_report r;
	struct err e = ERR_INIT;
	struct buf b AUTO_BUF = contents(file);

	(void)state;
	assert_int_equal(
	    file_write(cut, 0600, bytes_of(b.data, b.len / 2), NULL), 0);
	refused(store_restore(&conf, none, "x", prepare, &p, &r, &e), &e,
	    ERR_LOCAL, "none.mdb");
	refused(store_restore(&conf, dir, "x", prepare, &p, &r, &e), &e,
	    ERR_INPUT, "not a regular file");
	refused(store_restore(&conf, cut, "x", prepare, &p, &r, &e), &e,
	    ERR_DAMAGE, "shorter than it says");
	refused(store_restore(&conf, seal, "x", prepare, &p, &r, &e), &e,
	    ERR_DAMAGE, "page 0: cut off");
	assert_string_equal(p.seen, "");
	refused(store_restore(&conf, file, "x", prepare, &p, &r, &e), &e,
	    ERR_LOCAL, "not this one");
	is_there(false, in_store("next"));
	is_there(false, in_store("before-x.mdb"));
	is = look_at_it();
	same(&now, &is);
}

static void
test_restore_brings_back_what_is_gone(void **state)
{
	struct look was AUTO_LOOK = { .next = 0 }, is AUTO_LOOK = { .next = 0 };
	struct look now AUTO_LOOK = { .next = 0 };
	AUTO(char) file = make_backup(&was, &now);
	AUTO(char) gone = in_store("data.mdb");
	struct store_report r;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(unlink(gone), 0);
	refuses_to_open(ERR_DAMAGE, "data.mdb is gone");
	assert_int_equal(
	    store_restore(&conf, file, "x", NULL, NULL, &r, &e), 0);
	is_there(false, in_store("before-x.mdb"));
	is = look_at_it();
	same(&was, &is);
}

/* ---- ends ------------------------------------------------------------ */

static void
note_ends(uint64_t first, unsigned n)
{
	int fd = ends_open(store_dir, true);

	assert_int_not_equal(fd, -1);
	for (unsigned i = 0; i < n; i++)
		ends_note(fd, first + i);
	close(fd);
}

static void
test_three_ends_start_read_only(void **state)
{
	struct look was AUTO_LOOK = { .next = 0 }, is AUTO_LOOK = { .next = 0 };
	struct row r = { ROW, 3, bytes_of("new", 3) };
	AUTO(char) file = in_store("data.mdb");
	struct buf before AUTO_BUF = { 0 }, after AUTO_BUF = { 0 };
	struct store *s = open_store();
	uint64_t now = clock_now().time;
	struct err e = ERR_INIT;
	struct wait w;

	(void)state;
	fill(s);
	was = look(s);
	assert_false(store_read_only(s));
	store_close(s);
	before = contents(file);
	note_ends(now - 3000, 3);
	note_ends(now - 300, 2);
	assert_int_equal(store_ends(store_dir), 2);
	assert_int_equal(store_check_ends(store_dir, &e), 0);
	store_close(s = open_store());
	note_ends(now - 5, 1);
	assert_int_equal(store_ends(store_dir), 3);
	refused(store_check_ends(store_dir, &e), &e, ERR_DAMAGE,
	    "3 commits failed within 10 minutes");
	s = open_store();
	assert_true(store_read_only(s));
	is = look(s);
	same(&was, &is);
	refused(
	    store_submit_wait(s, put_run, &r, &e), &e, ERR_RETRY, "read-only");
	refused(store_submit_wait(s, epoch_run, NULL, &e), &e, ERR_RETRY,
	    "read-only");
	look_done(&is);
	is = look(s);
	same(&was, &is);
	backup(s, &w, "while-read-only");
	assert_false(w.failed);
	free(w.b.path);
	store_close(s);
	after = contents(file);
	assert_true(bytes_eq(buf_bytes(&before), buf_bytes(&after)));
}

static void
test_asked_for_read_only(void **state)
{
	struct row r = { ROW, 1, bytes_of("new", 3) };
	struct err e = ERR_INIT;
	struct store *s;

	(void)state;
	conf.read_only = true;
	refuses_to_open(ERR_LOCAL, "No such file");
	conf.read_only = false;
	store_close(open_store());
	conf.read_only = true;
	s = open_store();
	refused(
	    store_submit_wait(s, put_run, &r, &e), &e, ERR_RETRY, "read-only");
	store_close(s);
	conf.version = 2;
	conf.upgrades = upgrades;
	refuses_to_open(ERR_LOCAL, "nothing may be written");
}

static void
test_failed_commit_is_counted(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	store_close(open_store());
	if ((pid = fork()) == 0) {
		/* The first pages hold the heads, the rest is further on. */
		struct rlimit some = { PAGE, PAGE };
		struct row r = { ROW, 1, bytes_of("new", 3) };
		struct store *s = NULL;

		signal(SIGXFSZ, SIG_IGN);
		if (store_open(&conf, &s, NULL) == -1)
			_exit(1);
		close(STDERR_FILENO); /* the alarm is expected */
		setrlimit(RLIMIT_FSIZE, &some);
		_exit(store_submit_wait(s, put_run, &r, NULL));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 9);
	assert_int_equal(store_ends(store_dir), 1);
}

static void
test_ends_are_counted_around_now(void **state)
{
	static const struct {
		uint64_t now;
		unsigned want;
	} cases[] = {
		{ 10000, 4 },
		{ 10602, 1 },
		{ 10603, 0 },
		{ 9401, 1 },
		{ 9400, 0 },
		{ 0, 0 },
	};
	int fd;

	(void)state;
	assert_int_equal(mkdir(store_dir, 0700), 0);
	assert_int_equal(ends_open(store_dir, false), -1);
	note_ends(10000, 1);
	note_ends(500, 1);
	note_ends(10001, 3); /* the oldest makes room */
	fd = ends_open(store_dir, false);
	for (size_t i = 0; i < NELEMS(cases); i++)
		assert_int_equal(
		    ends_count(fd, cases[i].now, 600), cases[i].want);
	assert_int_equal(ends_count(-1, 10000, 600), 0);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_older_version_is_brought_up),
		TEST(test_newer_version_is_refused),
		TEST(test_upgrade_that_fails_leaves_what_was),
		TEST(test_half_a_copy_is_swept_away),
		TEST(test_damaged_row_stays_behind),
		TEST(test_compact_is_the_same_and_smaller),
		TEST(test_rekey_needs_the_new_secret),
		TEST(test_interrupted_rekey_is_finished),
		TEST(test_backup_is_what_was_then),
		TEST(test_backup_has_a_plain_name),
		TEST(test_one_backup_at_a_time_and_close_waits),
		TEST(test_backup_tells_of_damage),
		TEST(test_restore_takes_the_place),
		TEST(test_restore_that_fails_changes_nothing),
		TEST(test_restore_brings_back_what_is_gone),
		TEST(test_three_ends_start_read_only),
		TEST(test_asked_for_read_only),
		TEST(test_failed_commit_is_counted),
		TEST(test_ends_are_counted_around_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
