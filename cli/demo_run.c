/* `waybill demo`: its life around its steps. */
#include "cli/demo_run.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/programs.h"
#include "common/base/clock.h"

#define POLL_MS 20
#define STOP_MS 9000

static volatile sig_atomic_t interrupted;

static void
on_signal(int signo)
{
	interrupted = signo;
}

void
demo_say(struct demo *d, const char *fmt, ...)
{
	va_list ap;

	printf("%2u  ", ++d->step);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

/* ---- waiting --------------------------------------------------------- */

/* Whatever we wait for, these end it. */
static int
check_life(const struct demo *d, struct err *e)
{
	if (interrupted != 0)
		return err_set(e, ERR_LOCAL, "interrupted");
	if (d->supervisor > 0 && waitpid(d->supervisor, NULL, WNOHANG) != 0)
		return err_set(e, ERR_LOCAL,
		    "the supervisor ended: read %s/supervisor.log",
		    d->folder.dir);
	return 0;
}

int
demo_await(struct demo *d, demo_test test, uint64_t ms, const char *what,
    const char *log, struct err *e)
{
	uint64_t end = clock_mono_ms() + ms;
	int rc;

	while ((rc = test(d, e)) == 0) {
		if (check_life(d, e) == -1)
			return -1;
		if (clock_mono_ms() >= end)
			return err_set(e, ERR_PEER,
			    "%s: not within %llu s: read %s/%s", what,
			    (unsigned long long)ms / 1000, d->folder.dir, log);
		poll(NULL, 0, POLL_MS);
	}
	return rc == 1 ? 0 : -1;
}

/* ---- its life -------------------------------------------------------- */

static int (*const steps[])(struct demo *d, struct err *e) = { demo_step_keys,
	demo_step_start, demo_step_ask, demo_step_kill, demo_step_link,
	demo_step_voucher, demo_step_issue, demo_step_ldevid, demo_step_verify,
	demo_step_audit };

static int
run_steps(struct demo *d, struct err *e)
{
	size_t i;

	for (i = 0; i < NELEMS(steps); i++)
		if (check_life(d, e) == -1 || steps[i](d, e) == -1)
			return -1;
	if (d->keep &&
	    (demo_env_write(&d->folder, &d->ports, e) == -1 ||
		demo_supervisor_keep(d->leash, e) == -1))
		return -1;
	return 0;
}

/* Ends what was started, unless it is to be kept. */
static int
end_processes(struct demo *d, bool keep, struct err *e)
{
	int rc = 0;

	if (d->pledge > 0) {
		rc = program_end(d->pledge, SIGKILL, STOP_MS, e);
		waitpid(d->pledge, NULL, 0);
	}
	if (d->leash != -1)
		close(d->leash);
	if (d->supervisor > 0 && !keep) {
		rc = program_end(d->supervisor, 0, STOP_MS, e);
		if (rc == -1)
			rc = program_end(d->supervisor, SIGKILL, STOP_MS, e);
		waitpid(d->supervisor, NULL, 0);
	}
	return rc;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int
is_member(const struct dirent *d)
{
	return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

/* Also true if there is none yet. */
static bool
is_empty(const char *dir)
{
	struct dirent **found;
	int n = scandir(dir, &found, is_member, NULL), i;

	if (n == -1)
		return errno == ENOENT;
	for (i = 0; i < n; i++)
		free(found[i]);
	free(found);
	return n == 0;
}

static int
open_dir(struct demo *d, const char *dir, struct err *e)
{
	char made[] = "/tmp/waybill-demo-XXXXXX";

	if (dir == NULL) {
		if (mkdtemp(made) == NULL)
			return err_errno(e, ERR_LOCAL, "%s", made);
		d->temporary = !d->keep;
		return folder_open(&d->folder, made, true, e);
	}
	if (!is_empty(dir))
		return err_set(e, ERR_USAGE,
		    "%s is not an empty folder: take another, or end and "
		    "remove it (waybill demo stop --dir %s)",
		    dir, dir);
	return folder_open(&d->folder, dir, true, e);
}

static void
tell_end(const struct demo *d)
{
	uint64_t ms = clock_mono_ms() - d->begun;

	printf("\nDone in %llu.%llu s.", (unsigned long long)(ms / 1000),
	    (unsigned long long)(ms % 1000 / 100));
	if (d->keep)
		printf("  It keeps running:\n"
		       "  . %s/env\n"
		       "  waybill demo link up|down, demo device NAME, demo "
		       "stop: all with --dir %s",
		    d->folder.dir, d->folder.dir);
	else if (!d->temporary)
		printf("  All of it is in %s", d->folder.dir);
	putchar('\n');
}

static void
catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

int
demo_run(const char *dir, bool keep, struct err *e)
{
	struct demo d = { .keep = keep, .leash = -1, .begun = clock_mono_ms() };
	struct err end = ERR_INIT;
	int rc;

	catch_signals();
	if (demo_find_programs(e) == -1 || open_dir(&d, dir, e) == -1)
		return -1;
	rc = run_steps(&d, e);
	if (end_processes(&d, keep && rc == 0, &end) == -1 && rc == 0) {
		*e = end;
		rc = -1;
	}
	/* What failed is to be looked at; what was stopped is not. */
	if (d.temporary && (rc == 0 || interrupted != 0))
		nftw(d.folder.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	else if (rc == -1)
		printf("    what it left is in %s\n", d.folder.dir);
	if (rc == 0)
		tell_end(&d);
	folder_close(&d.folder);
	return rc;
}
