/* A store in a folder with its key and room for copies, rows to know it by:
 * what the tests of copies share. */
#ifndef WAYBILL_TESTS_STORE_COPY_LAB_H
#define WAYBILL_TESTS_STORE_COPY_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <semaphore.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/queue/audit.h"
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

static inline char *
in_dir(const char *name)
{
	return path_join(dir, name);
}

static inline char *
in_store(const char *name)
{
	return path_join(store_dir, name);
}

static inline void
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

static inline int
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

static inline int
teardown(void **state)
{
	(void)state;
	remove_all(dir);
	return 0;
}

static inline bool
there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static inline void
is_there(bool want, char *path)
{
	if (there(path) != want)
		fail_msg("%s: %s", path, want ? "is not there" : "is there");
	free(path);
}

static inline struct buf
contents(const char *path)
{
	struct buf b = { 0 };
	struct err e = ERR_INIT;

	if (file_read(path, 64u << 20, &b, &e) == -1)
		fail_msg("%s", e.msg);
	return b;
}

static inline struct store *
open_store(void)
{
	struct store *s = NULL;
	struct err e = ERR_INIT;

	if (store_open(&conf, &s, &e) == -1)
		fail_msg("%s", e.msg);
	return s;
}

static inline void
refused(int rc, const struct err *e, enum err_kind kind, const char *words)
{
	assert_int_equal(rc, -1);
	if (strstr(e->msg, words) == NULL)
		fail_msg("\"%s\" lacks \"%s\"", e->msg, words);
	assert_int_equal(e->kind, kind);
}

static inline void
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

static inline int
put_run(struct store_txn *t, void *arg, struct err *e)
{
	const struct row *r = arg;
	uint8_t k[STORE_KEY_ID_LEN];

	return store_put(t, r->db, store_key_id(k, r->id), r->value, e);
}

static inline void
put(struct store *s, unsigned db, uint64_t id, const char *value)
{
	struct row r = { db, id, bytes_of(value, strlen(value)) };
	struct err e = ERR_INIT;

	if (store_submit_wait(s, put_run, &r, &e) == -1)
		fail_msg("%s", e.msg);
}

static inline void
put_big(struct store *s, uint64_t id)
{
	AUTO(void) mem = xcalloc(BIG, 1);
	struct row r = { ROW, id, bytes_of(mem, BIG) };

	assert_int_equal(store_submit_wait(s, put_run, &r, NULL), 0);
}

static inline int
words_run(struct store_txn *t, void *arg, struct err *e)
{
	struct audit_record r = { .id = 1, .event = "accepted" };

	store_set_user(t, bytes_of(arg, strlen(arg)));
	store_take_id(t);
	return audit_append(t, AUDIT, &r, e);
}

/* Two rows, one elsewhere, an audit record, words, one id taken. */
static inline void
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

static inline int
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

static inline void
look_done(struct look *l)
{
	for (unsigned db = 0; db < 3; db++)
		for (uint64_t id = 1; id < 4; id++)
			buf_done(&l->v[db][id]);
}
#define AUTO_LOOK __attribute__((cleanup(look_done)))

static inline struct look
look(struct store *s)
{
	struct look l = { .next = 0 };
	struct err e = ERR_INIT;

	if (store_read(s, look_run, &l, &e) == -1)
		fail_msg("%s", e.msg);
	return l;
}

/* Opens it and closes it again. */
static inline struct look
look_at_it(void)
{
	struct store *s = open_store();
	struct look l = look(s);

	store_close(s);
	return l;
}

static inline void
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
static inline void
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

static inline int
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

static inline int
add_three(unsigned db, struct bytes key, struct bytes value, struct buf *ret,
    struct err *e)
{
	(void)key, (void)e;
	buf_add(ret, value.p, value.len);
	if (db == TX)
		buf_add_str(ret, "+3");
	return 1;
}

static inline int
words_three(struct bytes words, struct buf *ret, struct err *e)
{
	(void)e;
	buf_add(ret, words.p, words.len);
	buf_add_str(ret, " of three");
	return 0;
}

static const struct store_upgrade upgrades[] = {
	{ 1, add_two, NULL },
	{ 2, add_three, words_three },
	{ 0, NULL, NULL },
};

/* ---- live copies ----------------------------------------------------- */

struct wait {
	struct store_backup b;
	sem_t over;
	bool failed;
	struct err e;
};

static inline void
post_here(void *to, void (*fn)(void *arg), void *arg)
{
	(void)to;
	fn(arg);
}

static const struct post here = { post_here, NULL };

static inline void
backup_done(struct store_backup *b, const struct err *e)
{
	struct wait *w = b->user;

	if ((w->failed = e != NULL))
		w->e = *e;
	sem_post(&w->over);
}

static inline void
backup_ask(struct store *s, struct wait *w, const char *name)
{
	*w = (struct wait){ .b = { .name = name, .user = w } };
	sem_init(&w->over, 0, 0);
	store_backup(s, &w->b, backup_done, here);
}

static inline void
backup(struct store *s, struct wait *w, const char *name)
{
	backup_ask(s, w, name);
	sem_wait(&w->over);
}

/* ---- restore --------------------------------------------------------- */

/* Changes the copy as who restores an outbox does. */
static inline int
epoch_run(struct store_txn *t, void *arg, struct err *e)
{
	(void)arg, (void)e;
	store_new_epoch(t);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
