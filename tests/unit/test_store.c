/* The store: what is committed holds, what is damaged is told, what failed
 * leaves no trace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <lmdb.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/queue/store.h"

#define MAP (4u << 20)

static const char *const databases[] = { "row", "tx", "audit", NULL };
static char dir[64];
static struct store_conf conf;

static int
setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_store.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	conf = (struct store_conf){
		.dir = dir, .databases = databases, .map_size = MAP
	};
	memset(conf.key, 7, sizeof(conf.key));
	return 0;
}

static int
teardown(void **state)
{
	DIR *d = opendir(dir);
	struct dirent *f;

	(void)state;
	while ((f = readdir(d)) != NULL)
		unlinkat(dirfd(d), f->d_name, 0);
	closedir(d);
	return rmdir(dir);
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
refuses_to_open(enum err_kind kind, const char *words)
{
	struct store *s = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(store_open(&conf, &s, &e), -1);
	assert_null(s);
	assert_int_equal(e.kind, kind);
	if (strstr(e.msg, words) == NULL)
		fail_msg("\"%s\" lacks \"%s\"", e.msg, words);
}

/* ---- small jobs ------------------------------------------------------ */

struct op {
	unsigned db;
	uint64_t id;
	const char *value; /* to put; NULL: to delete */
	size_t len;	   /* 0: strlen */
	struct err fail;   /* after the change, if there is a kind */
	unsigned runs;
	uint64_t took;
	bool over, failed;
	struct err e;
};

static int
op_run(struct store_txn *t, void *arg, struct err *e)
{
	struct op *op = arg;
	uint8_t k[STORE_KEY_ID_LEN];
	struct bytes key;
	size_t len = op->len;

	op->runs++;
	if (op->id == 0)
		op->took = store_take_id(t);
	key = store_key_id(k, op->id != 0 ? op->id : op->took);
	if (op->value != NULL && len == 0)
		len = strlen(op->value);
	if ((op->value != NULL
		    ? store_put(t, op->db, key, bytes_of(op->value, len), e)
		    : store_del(t, op->db, key, e)) == -1)
		return -1;
	if (op->fail.kind == ERR_NONE)
		return 0;
	store_set_user(t, bytes_of("wrong", 5));
	store_audit_head(t)->seq = 99;
	*e = op->fail;
	return -1;
}

static void
op_done(void *arg, const struct err *e)
{
	struct op *op = arg;

	assert_false(op->over);
	op->over = true;
	if ((op->failed = e != NULL))
		op->e = *e;
}

static void
post_here(void *to, void (*fn)(void *arg), void *arg)
{
	(void)to;
	fn(arg);
}

static const struct post here = { post_here };

static void
put(struct store *s, unsigned db, uint64_t id, const char *value)
{
	struct op op = { .db = db, .id = id, .value = value };
	struct err e = ERR_INIT;

	if (store_submit_wait(s, op_run, &op, &e) == -1)
		fail_msg("%s", e.msg);
}

static int
nothing(struct store_txn *t, void *arg, struct err *e)
{
	(void)t, (void)arg, (void)e;
	return 0;
}

/* All jobs submitted before are over. */
static void
drain(struct store *s)
{
	assert_int_equal(store_submit_wait(s, nothing, NULL, NULL), 0);
}

struct look {
	unsigned db;
	uint64_t id;
	struct buf value;
	int rc;
	struct err e;
	uint64_t next;
	uint8_t epoch[STORE_EPOCH_LEN];
	char user[STORE_USER_MAX + 1];
	struct store_audit audit;
};

static int
look_run(struct store_txn *t, void *arg, struct err *e)
{
	struct look *l = arg;
	uint8_t k[STORE_KEY_ID_LEN];
	struct bytes user = store_user(t);

	(void)e;
	if (l->id != 0)
		l->rc = store_get(
		    t, l->db, store_key_id(k, l->id), &l->value, &l->e);
	l->next = store_peek_id(t);
	memcpy(l->epoch, store_epoch(t), sizeof(l->epoch));
	memcpy(l->user, user.p, user.len);
	l->user[user.len] = '\0';
	l->audit = *store_audit_head(t);
	return 0;
}

static struct look
look(struct store *s, unsigned db, uint64_t id)
{
	struct look l = { .db = db, .id = id };
	struct err e = ERR_INIT;

	if (store_read(s, look_run, &l, &e) == -1)
		fail_msg("%s", e.msg);
	return l;
}

static void
holds(struct store *s, unsigned db, uint64_t id, const char *want)
{
	struct look l = look(s, db, id);

	if (l.rc == -1)
		fail_msg("%s", l.e.msg);
	assert_int_equal(l.rc, want != NULL);
	if (want != NULL)
		assert_string_equal(buf_cstr(&l.value), want);
	buf_done(&l.value);
}

static void
is_damaged(struct store *s, unsigned db, uint64_t id)
{
	struct look l = look(s, db, id);

	assert_int_equal(l.rc, -1);
	assert_int_equal(l.e.kind, ERR_DAMAGE);
	assert_int_equal(l.value.len, 0);
	buf_done(&l.value);
}

/* Holds the committer inside a job until it is let go. */
struct gate {
	sem_t in, go;
	struct op op;
};

static int
gate_run(struct store_txn *t, void *arg, struct err *e)
{
	struct gate *g = arg;
	int rc = g->op.value != NULL ? op_run(t, &g->op, e) : 0;

	sem_post(&g->in);
	sem_wait(&g->go);
	return rc;
}

static void
gate_close(struct gate *g, struct store *s)
{
	sem_init(&g->in, 0, 0);
	sem_init(&g->go, 0, 0);
	store_submit(s, gate_run, NULL, g, here);
	sem_wait(&g->in);
}

/* ---- behind the store's back ----------------------------------------- */

struct raw {
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi row, tx;
};

static void
raw_open(struct raw *r)
{
	assert_int_equal(mdb_env_create(&r->env), 0);
	mdb_env_set_maxdbs(r->env, STORE_DB_MAX);
	assert_int_equal(mdb_env_open(r->env, dir, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(r->env, NULL, 0, &r->txn), 0);
	assert_int_equal(mdb_dbi_open(r->txn, "row", 0, &r->row), 0);
	assert_int_equal(mdb_dbi_open(r->txn, "tx", 0, &r->tx), 0);
}

static void
raw_close(struct raw *r)
{
	assert_int_equal(mdb_txn_commit(r->txn), 0);
	mdb_env_close(r->env);
}

static struct buf
raw_get(struct raw *r, MDB_dbi dbi, uint64_t id)
{
	uint8_t k[STORE_KEY_ID_LEN];
	MDB_val key = { sizeof(k), k }, v;

	store_key_id(k, id);
	assert_int_equal(mdb_get(r->txn, dbi, &key, &v), 0);
	return bytes_dup(bytes_of(v.mv_data, v.mv_size));
}

static void
raw_put(struct raw *r, MDB_dbi dbi, uint64_t id, const struct buf *value)
{
	uint8_t k[STORE_KEY_ID_LEN];
	MDB_val key = { sizeof(k), k }, v = { value->len, value->data };

	store_key_id(k, id);
	assert_int_equal(mdb_put(r->txn, dbi, &key, &v, 0), 0);
}

static void
raw_del(struct raw *r, MDB_dbi dbi, uint64_t id)
{
	uint8_t k[STORE_KEY_ID_LEN];
	MDB_val key = { sizeof(k), k };

	store_key_id(k, id);
	assert_int_equal(mdb_del(r->txn, dbi, &key, NULL), 0);
}

static size_t
commits(void)
{
	MDB_envinfo info;
	struct raw r;

	raw_open(&r);
	mdb_env_info(r.env, &info);
	mdb_txn_abort(r.txn);
	mdb_env_close(r.env);
	return info.me_last_txnid;
}

/* Flips one bit in the middle of a row's octets in the file. */
static void
raw_flip(uint64_t id)
{
	struct buf file AUTO_BUF = { 0 };
	AUTO(char) path = path_join(dir, "data.mdb");
	struct buf sealed;
	struct raw r;
	uint8_t *p, octet;
	int fd;

	raw_open(&r);
	sealed = raw_get(&r, r.row, id);
	raw_close(&r);
	assert_int_equal(file_read(path, MAP, &file, NULL), 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	for (p = file.data; (p = memmem(p, file.len - (size_t)(p - file.data),
				 sealed.data, sealed.len)) != NULL;
	     p++) {
		octet = p[sealed.len / 2] ^ 0x10;
		assert_int_equal(pwrite(fd, &octet, 1,
				     p - file.data + (off_t)sealed.len / 2),
		    1);
	}
	close(fd);
	buf_done(&sealed);
}

/* ---- tests ----------------------------------------------------------- */

static int
fill_head(struct store_txn *t, void *arg, struct err *e)
{
	(void)arg, (void)e;
	store_set_user(t, bytes_of("high water 12", 13));
	store_audit_head(t)->seq = 3;
	assert_int_equal(store_take_id(t), 1);
	assert_int_equal(store_take_id(t), 2);
	assert_int_equal(store_peek_id(t), 3);
	return 0;
}

static void
test_reopened_store_is_the_same(void **state)
{
	struct store *s = open_store();
	struct look before, after;

	(void)state;
	put(s, 0, 1, "one");
	put(s, 1, 1, "");
	put(s, 0, 1, "one again");
	assert_int_equal(store_submit_wait(s, fill_head, NULL, NULL), 0);
	before = look(s, 0, 0);
	store_close(s);

	s = open_store();
	holds(s, 0, 1, "one again");
	holds(s, 1, 1, "");
	holds(s, 2, 1, NULL);
	after = look(s, 0, 0);
	assert_memory_equal(before.epoch, after.epoch, STORE_EPOCH_LEN);
	assert_string_equal(after.user, "high water 12");
	assert_int_equal(after.next, 3);
	assert_int_equal(after.audit.seq, 3);
	store_close(s);
}

static void
test_file_is_reserved_and_private(void **state)
{
	AUTO(char) path = path_join(dir, "data.mdb");
	struct stat st;

	(void)state;
	store_close(open_store());
	assert_int_equal(stat(path, &st), 0);
	assert_true((uint64_t)st.st_blocks * 512 >= MAP);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* A copy has lost its blocks. */
	assert_int_equal(truncate(path, MAP / 4), 0);
	store_close(open_store());
	assert_int_equal(stat(path, &st), 0);
	assert_true((uint64_t)st.st_blocks * 512 >= MAP);
}

static void
test_second_opener_is_refused(void **state)
{
	struct store *s = open_store();

	(void)state;
	refuses_to_open(ERR_LOCAL, "open already");
	put(s, 0, 1, "still works");
	store_close(s);
	s = open_store();
	holds(s, 0, 1, "still works");
	store_close(s);
}

static void
test_wrong_key_is_refused(void **state)
{
	struct store *s = open_store();

	(void)state;
	put(s, 0, 1, "one");
	store_close(s);
	conf.key[31] ^= 1;
	refuses_to_open(ERR_DAMAGE, "head row does not open");
	conf.key[31] ^= 1;
	s = open_store();
	holds(s, 0, 1, "one");
	store_close(s);
}

static void
test_later_databases_are_added(void **state)
{
	static const char *const more[] = { "row", "tx", "audit", "new", NULL };
	struct store *s = open_store();

	(void)state;
	put(s, 2, 1, "one");
	store_close(s);
	conf.databases = more;
	s = open_store();
	put(s, 3, 1, "two");
	store_close(s);
	s = open_store();
	holds(s, 2, 1, "one");
	holds(s, 3, 1, "two");
	store_close(s);
	/* The older program does not touch what it does not know. */
	conf.databases = databases;
	refuses_to_open(ERR_DAMAGE, "store head");
}

static void *
producer(void *arg)
{
	struct store *s = arg;

	for (int i = 0; i < 25; i++) {
		struct op op = { .value = "produced" };
		struct err e = ERR_INIT;

		if (store_submit_wait(s, op_run, &op, &e) == -1)
			fail_msg("%s", e.msg);
		holds(s, 0, op.took, "produced");
	}
	return NULL;
}

static void
test_eight_threads_commit_in_groups(void **state)
{
	struct store *s = open_store();
	pthread_t threads[8];

	(void)state;
	for (size_t i = 0; i < NELEMS(threads); i++)
		pthread_create(&threads[i], NULL, producer, s);
	for (size_t i = 0; i < NELEMS(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(look(s, 0, 0).next, 201);
	store_close(s);
	assert_true(commits() < 201);
	store_close(open_store()); /* counts the rows */
}

static void
test_what_waits_is_one_commit(void **state)
{
	struct store *s = open_store();
	struct gate gate = { .op = { .id = 1000, .value = "gate" } };
	struct op ops[100] = { 0 };
	size_t before;

	(void)state;
	store_close(s);
	before = commits();
	s = open_store();
	gate_close(&gate, s);
	/* Nobody sees what is not committed. */
	holds(s, 0, 1000, NULL);
	for (size_t i = 0; i < NELEMS(ops); i++) {
		ops[i].value = "x";
		store_submit(s, op_run, op_done, &ops[i], here);
	}
	sem_post(&gate.go);
	drain(s);
	holds(s, 0, 1000, "gate");
	for (size_t i = 0; i < NELEMS(ops); i++) {
		assert_true(ops[i].over && !ops[i].failed);
		assert_int_equal(ops[i].runs, 1);
		assert_int_equal(ops[i].took, i + 1);
	}
	/* Jobs that write nothing do not make one. */
	drain(s);
	store_close(s);
	assert_int_equal(commits(), before + 2);
}

static void
test_closing_runs_what_is_queued(void **state)
{
	struct store *s = open_store();
	struct gate gate = { 0 };
	struct op ops[600] = { 0 };

	(void)state;
	gate_close(&gate, s);
	for (size_t i = 0; i < NELEMS(ops); i++) {
		ops[i].value = "x";
		store_submit(s, op_run, op_done, &ops[i], here);
	}
	sem_post(&gate.go);
	store_close(s);
	for (size_t i = 0; i < NELEMS(ops); i++)
		assert_true(ops[i].over && !ops[i].failed);
	s = open_store();
	holds(s, 0, 600, "x");
	store_close(s);
}

static void
test_failed_job_fails_alone(void **state)
{
	struct store *s = open_store();
	struct gate gate = { 0 };
	struct op ops[5] = { 0 };

	(void)state;
	gate_close(&gate, s);
	for (size_t i = 0; i < NELEMS(ops); i++) {
		ops[i].value = "held";
		if (i == 2)
			err_set(&ops[i].fail, ERR_POLICY, "not this one");
		store_submit(s, op_run, op_done, &ops[i], here);
	}
	sem_post(&gate.go);
	drain(s);
	for (size_t i = 0; i < NELEMS(ops); i++) {
		assert_true(ops[i].over);
		assert_int_equal(ops[i].failed, i == 2);
		assert_int_equal(ops[i].runs, i <= 2 ? 2 : 1);
		if (i != 2)
			assert_int_equal(ops[i].took, i < 2 ? i + 1 : i);
	}
	assert_int_equal(ops[2].e.kind, ERR_POLICY);
	assert_string_equal(ops[2].e.msg, "not this one");
	/* Nothing of it is left in the head. */
	assert_int_equal(look(s, 0, 0).next, 5);
	assert_string_equal(look(s, 0, 0).user, "");
	assert_int_equal(look(s, 0, 0).audit.seq, 0);
	store_close(s);
	s = open_store();
	holds(s, 0, 4, "held");
	holds(s, 0, 5, NULL);
	store_close(s);
}

/* What the callbacks said, in their order. */
static char told[64];

struct teller {
	char name;
	bool fail;
};

static void
tell(char c)
{
	size_t n = strlen(told);

	assert_true(n + 1 < sizeof(told));
	told[n] = c;
	told[n + 1] = '\0';
}

static void
teller_after(void *arg, bool committed)
{
	const struct teller *w = arg;

	tell(committed ? '+' : '-');
	tell(w->name);
}

static int
teller_run(struct store_txn *t, void *arg, struct err *e)
{
	struct teller *w = arg;

	store_after(t, teller_after, w);
	store_take_id(t);
	return w->fail ? err_set(e, ERR_POLICY, "no") : 0;
}

static void
teller_done(void *arg, const struct err *e)
{
	const struct teller *w = arg;

	tell(e == NULL ? '=' : '!');
	tell(w->name);
}

static void
test_callbacks_come_before_done(void **state)
{
	struct store *s = open_store();
	struct teller a = { 'a', false }, b = { 'b', false }, c = { 'c', true };
	struct gate gate = { 0 };

	(void)state;
	told[0] = '\0';
	gate_close(&gate, s);
	store_submit(s, teller_run, teller_done, &a, here);
	store_submit(s, teller_run, teller_done, &b, here);
	sem_post(&gate.go);
	drain(s);
	assert_string_equal(told, "+a+b=a=b");

	told[0] = '\0';
	sem_destroy(&gate.in);
	gate_close(&gate, s);
	store_submit(s, teller_run, teller_done, &a, here);
	store_submit(s, teller_run, teller_done, &b, here);
	store_submit(s, teller_run, teller_done, &c, here);
	sem_post(&gate.go);
	drain(s);
	assert_string_equal(told, "-c-b-a+a=a+b=b-c!c");
	store_close(s);
}

static int
overlook(struct store_txn *t, void *arg, struct err *e)
{
	static uint8_t big[STORE_VALUE_MAX];
	uint8_t k[STORE_KEY_ID_LEN];
	unsigned n = 0;

	(void)arg, (void)e;
	while (store_put(t, 0, store_key_id(k, ++n), bytes_of(big, sizeof(big)),
		   NULL) == 0)
		assert_true(n < 10);
	return 0;
}

static void
test_overlooked_failure_is_one(void **state)
{
	struct store *s = open_store();
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(store_submit_wait(s, overlook, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_RETRY);
	holds(s, 0, 1, NULL);
	put(s, 0, 1, "goes on");
	holds(s, 0, 1, "goes on");
	store_close(s);
}

/* ---- crashes --------------------------------------------------------- */

static _Noreturn void
crash_child(int fd)
{
	struct store *s = NULL;
	struct err e = ERR_INIT;

	if (store_open(&conf, &s, &e) == -1)
		_exit(1);
	for (;;) {
		struct op op = { .value = "acknowledged" };

		if (store_submit_wait(s, op_run, &op, &e) == -1)
			_exit(1);
		if (write(fd, &op.took, sizeof(op.took)) == -1)
			_exit(1);
	}
}

static void
test_killed_process_loses_nothing(void **state)
{
	struct store *s;
	uint64_t id = 0;
	int fds[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	if ((pid = fork()) == 0)
		crash_child(fds[1]);
	close(fds[1]);
	while (id < 40)
		assert_int_equal(read(fds[0], &id, sizeof(id)), sizeof(id));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	while (read(fds[0], &id, sizeof(id)) == sizeof(id))
		;
	close(fds[0]);
	assert_true(WIFSIGNALED(status));
	s = open_store();
	for (uint64_t i = 1; i <= id; i++)
		holds(s, 0, i, "acknowledged");
	store_close(s);
}

static void
spoken(void *arg, const struct err *e)
{
	(void)arg, (void)e;
	_exit(42);
}

static void
test_failed_commit_ends_the_process(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if ((pid = fork()) == 0) {
		struct rlimit none = { 0, 0 };
		struct op op = { .value = "lost" };
		struct store *s = NULL;

		log_set_level(LOG_ALARM);
		signal(SIGXFSZ, SIG_IGN);
		if (store_open(&conf, &s, NULL) == -1)
			_exit(1);
		close(STDERR_FILENO); /* the alarm is expected */
		setrlimit(RLIMIT_FSIZE, &none);
		store_submit(s, op_run, spoken, &op, here);
		for (;;)
			pause();
	}
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 9);
	store_close(open_store());
}

/* ---- damage ---------------------------------------------------------- */

static void
three_rows(void)
{
	struct store *s = open_store();

	put(s, 0, 1, "the first row of three");
	put(s, 0, 2, "the second row of three");
	put(s, 0, 3, "the third row of three");
	put(s, 1, 1, "the first row elsewhere");
	store_close(s);
}

static void
test_flipped_bit_is_damage(void **state)
{
	struct store *s;

	(void)state;
	three_rows();
	raw_flip(2);
	s = open_store();
	holds(s, 0, 1, "the first row of three");
	is_damaged(s, 0, 2);
	holds(s, 0, 3, "the third row of three");
	/* It can be replaced. */
	put(s, 0, 2, "healed");
	holds(s, 0, 2, "healed");
	store_close(s);
}

static void
test_swapped_rows_are_damage(void **state)
{
	struct store *s;
	struct buf one, two;
	struct raw r;

	(void)state;
	three_rows();
	raw_open(&r);
	one = raw_get(&r, r.row, 1);
	two = raw_get(&r, r.row, 2);
	raw_put(&r, r.row, 1, &two);
	raw_put(&r, r.row, 2, &one);
	raw_put(&r, r.tx, 1, &one);
	raw_close(&r);
	buf_done(&one);
	buf_done(&two);
	s = open_store();
	is_damaged(s, 0, 1);
	is_damaged(s, 0, 2);
	is_damaged(s, 1, 1);
	holds(s, 0, 3, "the third row of three");
	store_close(s);
}

static void
test_row_of_another_store_is_damage(void **state)
{
	AUTO(char) path = path_join(dir, "data.mdb");
	AUTO(char) owner = path_join(dir, "owner");
	struct buf mine;
	struct store *s;
	struct raw r;

	(void)state;
	three_rows();
	raw_open(&r);
	mine = raw_get(&r, r.row, 1);
	raw_close(&r);
	assert_int_equal(unlink(path), 0);
	refuses_to_open(ERR_DAMAGE, "data.mdb is gone");
	assert_int_equal(unlink(owner), 0);
	three_rows(); /* the same key, another id */
	raw_open(&r);
	raw_put(&r, r.row, 1, &mine);
	raw_close(&r);
	buf_done(&mine);
	s = open_store();
	is_damaged(s, 0, 1);
	store_close(s);
}

static void
test_vanished_row_is_found(void **state)
{
	struct raw r;

	(void)state;
	three_rows();
	raw_open(&r);
	raw_del(&r, r.row, 1);
	raw_del(&r, r.row, 2);
	raw_close(&r);
	refuses_to_open(ERR_DAMAGE, "2 rows of \"row\" vanished");
	/* Still, and it changed nothing. */
	refuses_to_open(ERR_DAMAGE, "2 rows of \"row\" vanished");
}

static void
test_tolerant_store_goes_on(void **state)
{
	struct store *s;
	struct raw r;

	(void)state;
	three_rows();
	raw_open(&r);
	raw_del(&r, r.row, 2);
	raw_close(&r);
	log_init("test_store", LOG_ALARM);
	conf.tolerant = true;
	s = open_store();
	holds(s, 0, 1, "the first row of three");
	holds(s, 0, 2, NULL);
	put(s, 1, 9, "a commit");
	store_close(s);
	conf.tolerant = false;
	store_close(open_store());
}

static void
test_added_row_is_found(void **state)
{
	struct buf one;
	struct raw r;

	(void)state;
	three_rows();
	raw_open(&r);
	one = raw_get(&r, r.row, 1);
	raw_put(&r, r.tx, 77, &one);
	raw_close(&r);
	buf_done(&one);
	refuses_to_open(ERR_DAMAGE, "1 rows of \"tx\" appeared");
}

static void
test_lost_head_is_no_new_store(void **state)
{
	struct raw r;
	MDB_val k = { 13, (void *)(uintptr_t) "waybill-store" };

	(void)state;
	three_rows();
	raw_open(&r);
	raw_del(&r, r.row, 0);
	raw_close(&r);
	refuses_to_open(ERR_DAMAGE, "head row vanished");
	raw_open(&r);
	assert_int_equal(mdb_del(r.txn, 1, &k, NULL), 0);
	raw_close(&r);
	refuses_to_open(ERR_DAMAGE, "plain row is missing");
}

/* ---- room ------------------------------------------------------------ */

static char big[2 << 20];

/* Adds rows of len octets until there is no room; returns how many. */
static uint64_t
fill(struct store *s, size_t len)
{
	struct op op = { .value = big, .len = len };
	struct err e = ERR_INIT;

	while (store_submit_wait(s, op_run, &op, &e) == 0)
		;
	assert_int_equal(e.kind, ERR_RETRY);
	assert_true(store_used_percent(s) > 80);
	assert_int_equal(look(s, 0, 0).next, op.took);
	return op.took - 1;
}

/* One by one; with a len of 0 they are deleted. */
static void
change_all(struct store *s, uint64_t last, size_t len)
{
	for (uint64_t id = 1; id <= last; id++) {
		struct op op = { .id = id, .len = len };
		struct err e = ERR_INIT;

		op.value = len > 0 ? big : NULL;
		if (store_submit_wait(s, op_run, &op, &e) == -1)
			fail_msg("row %u: %s", (unsigned)id, e.msg);
	}
}

static void
full_map(size_t len)
{
	struct store *s;
	uint64_t last;

	conf.map_size = 1 << 20;
	s = open_store();
	assert_true(store_used_percent(s) < 5);
	last = fill(s, len);
	change_all(s, last, len);
	change_all(s, last, 0);
	assert_true(store_used_percent(s) < 10);
	assert_int_equal(fill(s, len), 2 * last);
	store_close(s);
	s = open_store();
	assert_true(store_used_percent(s) > 80);
	store_close(s);
}

static void
test_full_map_of_small_rows_can_be_emptied(void **state)
{
	(void)state;
	full_map(1000);
}

static void
test_full_map_of_large_rows_can_be_emptied(void **state)
{
	(void)state;
	full_map(20000);
}

static int
change_run(struct store_txn *t, void *arg, struct err *e)
{
	const uint64_t *upto = arg;
	uint8_t k[STORE_KEY_ID_LEN];

	for (uint64_t id = 1; id <= *upto; id++)
		if (store_put(t, 0, store_key_id(k, id), bytes_of(big, 3000),
			e) == -1)
			return -1;
	return 0;
}

static void
test_commit_without_room_is_retry(void **state)
{
	struct err e = ERR_INIT;
	struct store *s;
	uint64_t last, upto;
	unsigned failed = 0, at_commit = 0;

	(void)state;
	conf.map_size = 1 << 20;
	s = open_store();
	last = fill(s, 3000);
	/* Two small commits set free what the last one replaced: so each
	 * needs a page more than the one before, until the changes fit and
	 * the commit itself does not. */
	for (upto = 1; upto <= last && failed < 10; upto++) {
		put(s, 0, last, "small");
		put(s, 0, last, "small");
		if (store_submit_wait(s, change_run, &upto, &e) == 0)
			continue;
		assert_int_equal(e.kind, ERR_RETRY);
		failed++;
		at_commit += strstr(e.msg, "commit") != NULL;
	}
	assert_true(at_commit > 0);
	assert_int_equal(failed, 10);
	change_all(s, last, 3000);
	store_close(s);
}

static void
test_full_map_fails_one_job_of_many(void **state)
{
	struct store *s = open_store();
	struct gate gate = { 0 };
	struct op ops[6] = { 0 };
	unsigned failed = 0;

	(void)state;
	gate_close(&gate, s);
	for (size_t i = 0; i < NELEMS(ops); i++) {
		ops[i].value = big;
		ops[i].len = 900 * 1024;
		if (i == 5)
			ops[i].len = 10;
		store_submit(s, op_run, op_done, &ops[i], here);
	}
	sem_post(&gate.go);
	drain(s);
	for (size_t i = 0; i < NELEMS(ops); i++) {
		failed += ops[i].failed;
		if (ops[i].failed)
			assert_int_equal(ops[i].e.kind, ERR_RETRY);
	}
	assert_int_equal(failed, 1);
	assert_true(ops[4].failed);
	store_close(s);
	store_close(open_store());
}

/* ---- walks ----------------------------------------------------------- */

struct walk {
	unsigned db;
	uint64_t from, stop;
	struct store_txn *delete_in;
	char seen[64];
};

static int
walk_visit(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct walk *w = arg;
	uint64_t id = store_key_to_id(key);
	size_t n = strlen(w->seen);

	assert_int_equal(key.len, STORE_KEY_ID_LEN);
	assert_int_equal(value.len == 0, damaged);
	if (id == 13)
		return err_set(e, ERR_INPUT, "thirteen");
	snprintf(w->seen + n, sizeof(w->seen) - n, "%s%llu",
	    damaged ? "!" : " ", (unsigned long long)id);
	if (w->delete_in != NULL &&
	    store_del(w->delete_in, w->db, key, e) == -1)
		return -1;
	return id == w->stop;
}

static int
walk_run(struct store_txn *t, void *arg, struct err *e)
{
	struct walk *w = arg;
	uint8_t k[STORE_KEY_ID_LEN];
	struct bytes from = { 0 };

	w->seen[0] = '\0';
	if (w->from != 0)
		from = store_key_id(k, w->from);
	if (w->delete_in != NULL)
		w->delete_in = t;
	return store_walk(t, w->db, from, walk_visit, w, e);
}

static void
test_walk_meets_every_row_once(void **state)
{
	struct walk w = { 0 };
	struct store_txn *later = (void *)&w; /* set when the walk begins */
	struct err e = ERR_INIT;
	struct store *s;

	(void)state;
	three_rows();
	raw_flip(2);
	s = open_store();
	assert_int_equal(store_read(s, walk_run, &w, &e), 0);
	assert_string_equal(w.seen, " 1!2 3");
	w.from = 2;
	assert_int_equal(store_read(s, walk_run, &w, &e), 0);
	assert_string_equal(w.seen, "!2 3");
	w.stop = 2;
	assert_int_equal(store_read(s, walk_run, &w, &e), 0);
	assert_string_equal(w.seen, "!2");
	w = (struct walk){ .db = 2 };
	assert_int_equal(store_read(s, walk_run, &w, &e), 0);
	assert_string_equal(w.seen, "");
	put(s, 0, 13, "thirteen");
	w = (struct walk){ .db = 0 };
	assert_int_equal(store_read(s, walk_run, &w, &e), -1);
	assert_string_equal(e.msg, "thirteen");
	/* Deleting while walking. */
	w = (struct walk){ .stop = 3, .delete_in = later };
	assert_int_equal(store_submit_wait(s, walk_run, &w, &e), 0);
	assert_string_equal(w.seen, " 1!2 3");
	holds(s, 0, 1, NULL);
	holds(s, 0, 13, "thirteen");
	store_close(s);
	store_close(open_store());
}

static int
delete_two_of_three(struct bytes key, struct bytes value, bool damaged,
    void *arg, struct err *e)
{
	struct walk *w = arg;

	(void)value, (void)damaged;
	assert_int_equal(store_key_to_id(key), ++w->from);
	return w->from % 3 != 0 ? store_del(w->delete_in, 0, key, e) : 0;
}

static int
prune_run(struct store_txn *t, void *arg, struct err *e)
{
	struct walk *w = arg;

	w->delete_in = t;
	w->from = 0;
	return store_walk(t, 0, bytes_of(NULL, 0), delete_two_of_three, w, e);
}

static int
many_run(struct store_txn *t, void *arg, struct err *e)
{
	static const uint8_t value[700];
	uint8_t k[STORE_KEY_ID_LEN];

	(void)arg;
	for (uint64_t id = 1; id <= 900; id++)
		if (store_put(t, 0, store_key_id(k, id),
			bytes_of(value, id % 700 + 1), e) == -1)
			return -1;
	return 0;
}

static void
test_walk_may_delete_as_it_goes(void **state)
{
	struct store *s = open_store();
	struct walk w = { 0 };

	(void)state;
	assert_int_equal(store_submit_wait(s, many_run, NULL, NULL), 0);
	assert_int_equal(store_submit_wait(s, prune_run, &w, NULL), 0);
	assert_int_equal(w.from, 900);
	store_close(s);
	store_close(open_store());
}

/* ---- keys and secrets ------------------------------------------------ */

static void
test_id_keys_sort_as_numbers(void **state)
{
	uint8_t a[STORE_KEY_ID_LEN], b[STORE_KEY_ID_LEN];

	(void)state;
	store_key_id(a, 255);
	store_key_id(b, 256);
	assert_true(memcmp(a, b, sizeof(a)) < 0);
	assert_int_equal(store_key_to_id(bytes_of(b, sizeof(b))), 256);
	assert_true(store_key_to_id(store_key_id(a, UINT64_MAX)) == UINT64_MAX);
	assert_int_equal(store_key_to_id(bytes_of(b, 7)), 0);
}

static void
test_seal_secret_is_made_once(void **state)
{
	AUTO(char) path = path_join(dir, "secret");
	struct buf a AUTO_SECRET = { 0 }, b AUTO_SECRET = { 0 };
	struct err e = ERR_INIT;
	struct stat st;

	(void)state;
	assert_int_equal(store_seal_secret(path, false, &a, &e), -1);
	assert_int_equal(store_seal_secret(path, true, &a, &e), 0);
	assert_int_equal(a.len, 32);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(store_seal_secret(path, true, &b, &e), 0);
	assert_true(bytes_eq(buf_bytes(&a), buf_bytes(&b)));

	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(store_seal_secret(path, true, &b, &e), -1);
	assert_int_equal(e.kind, ERR_CONF);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(truncate(path, 31), 0);
	assert_int_equal(store_seal_secret(path, true, &b, &e), -1);
	assert_int_equal(e.kind, ERR_CONF);
	assert_int_equal(b.len, 32);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_reopened_store_is_the_same),
		TEST(test_file_is_reserved_and_private),
		TEST(test_second_opener_is_refused),
		TEST(test_wrong_key_is_refused),
		TEST(test_later_databases_are_added),
		TEST(test_eight_threads_commit_in_groups),
		TEST(test_what_waits_is_one_commit),
		TEST(test_closing_runs_what_is_queued),
		TEST(test_failed_job_fails_alone),
		TEST(test_callbacks_come_before_done),
		TEST(test_overlooked_failure_is_one),
		TEST(test_killed_process_loses_nothing),
		TEST(test_failed_commit_ends_the_process),
		TEST(test_flipped_bit_is_damage),
		TEST(test_swapped_rows_are_damage),
		TEST(test_row_of_another_store_is_damage),
		TEST(test_vanished_row_is_found),
		TEST(test_tolerant_store_goes_on),
		TEST(test_added_row_is_found),
		TEST(test_lost_head_is_no_new_store),
		TEST(test_full_map_of_small_rows_can_be_emptied),
		TEST(test_full_map_of_large_rows_can_be_emptied),
		TEST(test_commit_without_room_is_retry),
		TEST(test_full_map_fails_one_job_of_many),
		TEST(test_walk_meets_every_row_once),
		TEST(test_walk_may_delete_as_it_goes),
		TEST(test_id_keys_sort_as_numbers),
		TEST(test_seal_secret_is_made_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
