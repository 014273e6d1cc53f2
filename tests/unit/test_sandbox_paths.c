/* Which paths, ports and threads a sandbox leaves, and what each daemon's own
 * leaves to it. */
#include "sandbox_lab.h"

#include "forwarder/forwarder.h"
#include "masa-client/masa_conf.h"
#include "ra/ca.h"
#include "registrar/reg_conf.h"

/* ---- acts: 0 or an errno ----------------------------------------------- */

static int
act_make(const char *path)
{
	AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	return result(fd);
}

static int
act_remove(const char *path)
{
	return result(unlink(path));
}

static int
act_truncate(const char *path)
{
	AUTO_FD fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	return result(fd);
}

static int
act_list(const char *path)
{
	AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return result(fd);
}

static int
act_bind(const char *unused)
{
	AUTO_FD fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = { .sin_family = AF_INET };

	(void)unused;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd == -1)
		return errno;
	return result(bind(fd, (struct sockaddr *)&a, sizeof(a)));
}

static int
act_connect(const char *unused)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(9) };

	(void)unused;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return result(connect(socket_before, (struct sockaddr *)&a, sizeof(a)));
}

/* ---- paths ------------------------------------------------------------- */

static const struct {
	const char *what;
	int (*fn)(const char *);
	const char *name; /* with '/' in front: as it stands */
	int want;
} paths[] = {
	{ "read outside", act_read, "/etc/passwd", EACCES },
	{ "read a key", act_read, "key", EACCES },
	{ "write over a key", act_truncate, "key", EACCES },
	{ "write outside", act_make, "new", EACCES },
	{ "list outside", act_list, "/", EACCES },
	{ "read by way of inside", act_read, "store/../key", EACCES },
	{ "read inside", act_read, "store/data", 0 },
	{ "write inside", act_make, "store/new", 0 },
	{ "truncate inside", act_truncate, "store/data", 0 },
	{ "remove inside", act_remove, "store/new", 0 },
	{ "read what is read only", act_read, "sites/a.pem", 0 },
	{ "list what is read only", act_list, "sites", 0 },
	{ "write what is read only", act_truncate, "sites/a.pem", EACCES },
	{ "make where is read only", act_make, "sites/b.pem", EACCES },
	{ "remove where is read only", act_remove, "sites/a.pem", EACCES },
	{ "read beside a socket", act_read, "run/sock", EACCES },
	{ "make beside a socket", act_make, "run/other", EACCES },
	{ "remove a socket", act_remove, "run/sock", 0 },
	{ "open a port", act_bind, "", EACCES },
};

static void
paths_open_where_the_rules_say(void **state)
{
	struct sandbox s;

	(void)state;
	if (NO_LANDLOCK || sandbox_landlock() < 4)
		skip();
	allow_some(&s);
	for (size_t i = 0; i < NELEMS(paths); i++) {
		const char *path = paths[i].name[0] == '/'
		    ? paths[i].name
		    : in_dir(paths[i].name);
		int got = confined(&s, (struct act){ paths[i].fn, path });

		if (got != paths[i].want)
			fail_msg("%s: %d, wanted %d", paths[i].what, got,
			    paths[i].want);
	}
}

static void
who_does_not_dial_connects_nowhere(void **state)
{
	struct sandbox serves = { .may = ALL & ~(unsigned)SANDBOX_DIAL };
	struct sandbox dials = { .may = ALL };

	(void)state;
	if (NO_LANDLOCK || sandbox_landlock() < 4)
		skip();
	assert_int_equal(
	    confined(&serves, (struct act){ act_connect, NULL }), EPERM);
	assert_int_equal(
	    confined(&dials, (struct act){ act_connect, NULL }), ECONNREFUSED);
}

/* Its parent replaces the file once it is confined. */
static int
after_replacement(enum sandbox_access access)
{
	struct sandbox s = { .may = SANDBOX_FILES };
	const char *path = in_dir("other/deny");
	struct sandbox_report r;
	struct err e = ERR_INIT;
	int p[2], q[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe2(p, O_CLOEXEC) + pipe2(q, O_CLOEXEC), 0);
	sandbox_allow(&s, access, path);
	if ((pid = fork()) == 0) {
		alarm(10);
		if (sandbox_enter(&s, &r, &e) == -1 || act_read(path) != 0 ||
		    write(p[1], "", 1) != 1 || read(q[0], &c, 1) != 1)
			_exit(NOT_ENTERED);
		_exit(act_read(path));
	}
	assert_int_equal(read(p[0], &c, 1), 1);
	put_file(path, "another");
	assert_int_equal(write(q[1], "", 1), 1);
	close(p[0]);
	close(p[1]);
	close(q[0]);
	close(q[1]);
	return ended(pid);
}

static void
a_file_that_is_replaced_needs_its_folder(void **state)
{
	(void)state;
	if (NO_LANDLOCK)
		skip();
	assert_int_equal(after_replacement(SANDBOX_READ), EACCES);
	assert_int_equal(after_replacement(SANDBOX_REREAD), 0);
}

/* ---- threads ----------------------------------------------------------- */

/* Runs before the sandbox, acts in it. */
struct worker {
	struct act act;
	int signal; /* blocked; -1: all but SIGRTMIN, 0: none */
	int go[2], done;
	pthread_t thread;
};

static void *
work(void *arg)
{
	struct worker *w = arg;
	sigset_t set;
	char c;

	sigemptyset(&set);
	if (w->signal == -1) {
		sigfillset(&set);
		sigdelset(&set, SIGRTMIN);
	} else if (w->signal != 0) {
		sigaddset(&set, w->signal);
	}
	pthread_sigmask(SIG_SETMASK, &set, NULL);
	if (write(w->go[1], "", 1) != 1)
		return NULL;
	while (read(w->done, &c, 1) == -1 && errno == EINTR)
		;
	return (void *)(intptr_t)w->act.fn(w->act.path);
}

static int
start_worker(struct worker *w)
{
	int p[2];
	char c;

	if (pipe2(w->go, O_CLOEXEC) == -1 || pipe2(p, O_CLOEXEC) == -1)
		return -1;
	w->done = p[0];
	if (pthread_create(&w->thread, NULL, work, w) != 0 ||
	    read(w->go[0], &c, 1) != 1)
		return -1;
	return p[1];
}

/* What a thread that ran before met, or NOT_ENTERED. */
static int
confined_thread(int signo, struct act a)
{
	struct worker w = { .act = a, .signal = signo };
	struct sandbox s = { .may = ALL };
	struct sandbox_report r;
	struct err e = ERR_INIT;
	void *rc;
	int fd;
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid > 0)
		return ended(pid);
	alarm(10);
	if ((fd = start_worker(&w)) == -1)
		_exit(NOT_ENTERED + 1);
	if (sandbox_enter(&s, &r, &e) == -1)
		_exit(
		    strstr(e.msg, "blocks signal") != NULL ? NOT_ENTERED : 255);
	if (write(fd, "", 1) != 1 || pthread_join(w.thread, &rc) != 0)
		_exit(NOT_ENTERED + 2);
	_exit((int)(intptr_t)rc);
}

static void
threads_that_run_already_are_confined(void **state)
{
	const struct act passwd = { act_read, "/etc/passwd" };
	const struct act program = { act_execve, "/bin/true" };

	(void)state;
	if (!NO_LANDLOCK) {
		assert_int_equal(confined_thread(0, passwd), EACCES);
		assert_int_equal(confined_thread(-1, passwd), EACCES);
	}
	if (!SANDBOX_SANITIZED)
		assert_int_equal(confined_thread(0, program), DEADLY);
}

static void
a_thread_that_cannot_be_reached_ends_it(void **state)
{
	const struct act passwd = { act_read, "/etc/passwd" };

	(void)state;
	if (SANDBOX_SANITIZED)
		skip();
	assert_int_equal(confined_thread(SIGRTMIN, passwd), NOT_ENTERED);
}

/* ---- the daemons' own rows --------------------------------------------- */

static void
expect(const struct sandbox *s, int (*fn)(const char *), const char *name,
    int want)
{
	const char *path = name[0] == '/' ? name : in_dir(name);
	int got = confined(s, (struct act){ fn, path });

	if (got != want)
		fail_msg("%s: %d, wanted %d", path, got, want);
}

static void
a_registrar_opens_its_outbox_alone(void **state)
{
	struct reg_conf c = { .limits.connections = 10 };
	struct sandbox s;

	(void)state;
	if (NO_LANDLOCK)
		skip();
	c.key = in_dir("key");
	c.store.directory = in_dir("store");
	c.control.socket = in_dir("run/control");
	reg_conf_sandbox(&c, &s);
	expect(&s, act_read, "key", EACCES);
	expect(&s, act_read, "/etc/passwd", EACCES);
	expect(&s, act_make, "other/new", EACCES);
	expect(&s, act_read, "store/data", 0);
	expect(&s, act_truncate, "store/data", 0);
	expect(&s, act_execve, "/bin/true", DEADLY);
	expect(&s, act_tcp, "", EPERM);
	expect(&s, act_netlink, "", DEADLY);
	expect(&s, act_map_code, "", EPERM);
}

static void
service_conf_fill(struct service_conf *c)
{
	static char *listen[] = { NULL };

	listen[0] = in_dir("run/link");
	c->key = c->link.key = c->store.seal = in_dir("key");
	c->sites = in_dir("sites");
	c->store.directory = in_dir("store");
	c->control.socket = in_dir("run/control");
	c->listen.v = listen;
	c->listen.n = 1;
}

static void
an_ra_reads_sites_and_its_deny_list(void **state)
{
	struct ra_conf c = { .deny_list = in_dir("other/deny") };
	struct sandbox s;

	(void)state;
	if (NO_LANDLOCK)
		skip();
	service_conf_fill(&c.service);
	c.ca.key = in_dir("key");
	ra_conf_sandbox(&c, &s);
	expect(&s, act_read, "sites/a.pem", 0);
	expect(&s, act_truncate, "sites/a.pem", EACCES);
	expect(&s, act_read, "other/deny", 0);
	expect(&s, act_read, "key", EACCES);
	/* A folder with keys is not opened for a deny list's sake. */
	put_file(in_dir("deny"), "here");
	c.deny_list = in_dir("deny");
	ra_conf_sandbox(&c, &s);
	expect(&s, act_read, "deny", 0);
	expect(&s, act_read, "key", EACCES);
}

static void
a_masa_client_reads_sites_and_resolves(void **state)
{
	struct masa_vendor v = { .tls_anchor = in_dir("other/deny") };
	struct masa_conf c = { .vendors = { .v = &v, .n = 1 } };
	struct sandbox s;

	(void)state;
	if (NO_LANDLOCK)
		skip();
	service_conf_fill(&c.service);
	masa_conf_sandbox(&c, &s);
	expect(&s, act_read, "sites/a.pem", 0);
	expect(&s, act_read, "key", EACCES);
	expect(&s, act_read, "/etc/passwd", EACCES);
	expect(&s, act_list, "/etc/ssl/certs", EACCES);
	expect(&s, act_resolve, "", 0);
	v.tls_anchor = NULL;
	masa_conf_sandbox(&c, &s);
	expect(&s, act_list, "/etc/ssl/certs", 0);
	expect(&s, act_read, "/etc/passwd", EACCES);
}

static void
a_forwarder_and_a_ca_open_nothing(void **state)
{
	(void)state;
	if (SANDBOX_SANITIZED)
		skip();
	if (!NO_LANDLOCK) {
		expect(&fwd_sandbox, act_read, "key", EACCES);
		expect(&fwd_sandbox, act_make, "store/new", EACCES);
		expect(&fwd_sandbox, act_resolve, "", 0);
	}
	expect(&ca_sandbox, act_read, "key", EPERM);
	expect(&ca_sandbox, act_unix, "", EPERM);
	expect(&ca_sandbox, act_connect, "", EPERM);
	expect(&ca_sandbox, act_thread, "", EPERM);
	expect(&ca_sandbox, act_compute, "", 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_open_where_the_rules_say),
		cmocka_unit_test(who_does_not_dial_connects_nowhere),
		cmocka_unit_test(a_file_that_is_replaced_needs_its_folder),
		cmocka_unit_test(threads_that_run_already_are_confined),
		cmocka_unit_test(a_thread_that_cannot_be_reached_ends_it),
		cmocka_unit_test(a_registrar_opens_its_outbox_alone),
		cmocka_unit_test(an_ra_reads_sites_and_its_deny_list),
		cmocka_unit_test(a_masa_client_reads_sites_and_resolves),
		cmocka_unit_test(a_forwarder_and_a_ca_open_nothing),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
