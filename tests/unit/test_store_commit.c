/* Jobs that are committed together, and those that fail: what is committed
 * holds, what failed leaves no trace. */
#include "store_lab.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common/base/log.h"

/* ---- behind the store's back ----------------------------------------- */

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

/* ---- tests ----------------------------------------------------------- */

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

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_eight_threads_commit_in_groups),
		TEST(test_what_waits_is_one_commit),
		TEST(test_closing_runs_what_is_queued),
		TEST(test_failed_job_fails_alone),
		TEST(test_callbacks_come_before_done),
		TEST(test_overlooked_failure_is_one),
		TEST(test_killed_process_loses_nothing),
		TEST(test_failed_commit_ends_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
