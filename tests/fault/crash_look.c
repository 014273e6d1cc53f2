/* Makes images and has them looked at, each in a process of its own. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/str.h"
#include "tests/fault/crash_explore.h"

#define LOOK_SECONDS 20
#define BAD_SHOWN    5
#define GO_ON_EVERY  8 /* states */

/* ---- looking ------------------------------------------------------------- */

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where;
	return remove(path);
}

void
explore_remove(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* In a process of its own, with what it says in `said`. */
static _Noreturn void
look(struct explorer *x, const struct state *s, const char *image, int said)
{
	AUTO(char) store = path_join(image, CRASH_STORE);
	AUTO(char) seal = explore_path(x, CRASH_SEAL);
	const struct witness w = { .store = store,
		.seal = seal,
		.signer = x->signer,
		.random = s->seed ^ s->number,
		.on = s->number % GO_ON_EVERY == 0 };
	struct err e = ERR_INIT;

	alarm(LOOK_SECONDS);
	if (said != -1 && dup2(said, STDERR_FILENO) == -1)
		_exit(2);
	truth_cut(&x->truth, s->cut);
	if (x->mode->check(&x->truth, &w, &e) == 0)
		_exit(0);
	dprintf(STDERR_FILENO, "%s\n", e.msg);
	_exit(1);
}

/* The last line of what was said; "" if nothing was. */
static void
last_line(int said, char ret[256])
{
	char text[4096], *line;
	off_t size = lseek(said, 0, SEEK_END);
	off_t from =
	    size > (off_t)sizeof(text) - 1 ? size - (off_t)sizeof(text) + 1 : 0;
	ssize_t n = pread(said, text, sizeof(text) - 1, from);

	n = n < 0 ? 0 : n;
	while (n > 0 && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	line = strrchr(text, '\n');
	str_copy(ret, 256, line == NULL ? text : line + 1);
}

static void
tell_bad(struct explorer *x, const struct state *s, int status, int said)
{
	size_t bad = ++x->counts->bad;
	char line[256];

	if (bad > BAD_SHOWN)
		return;
	last_line(said, line);
	if (WIFSIGNALED(status))
		snprintf(
		    line, sizeof(line), "ended by signal %d", WTERMSIG(status));
	printf("BAD state %zu: event %zu, %s %zu: %s\n", s->number, s->cut,
	    disk_mode_name(s->mode), s->which, line);
	fflush(stdout);
}

static void
see(struct explorer *x, const struct state *s, const char *image, int said)
{
	struct err e = ERR_INIT;
	int status;
	pid_t pid;

	disk_seek(x->disk, s->cut);
	if (disk_image(x->disk, s->mode, s->which, s->seed, image, &e) == -1)
		explore_die(&e);
	if (said != -1 &&
	    (ftruncate(said, 0) == -1 || lseek(said, 0, SEEK_SET) == -1))
		explore_stop("what was said");
	if ((pid = fork()) == 0)
		look(x, s, image, said);
	if (pid == -1 || waitpid(pid, &status, 0) != pid)
		explore_stop("fork");
	x->counts->seen++;
	if (status != 0)
		tell_bad(x, s, status, said);
}

static void
worker(struct explorer *x, unsigned me)
{
	int said = memfd_create("said", MFD_CLOEXEC);
	char image[128];

	snprintf(image, sizeof(image), "%s/image%u", x->dir, me);
	for (size_t i = me; i < x->n; i += x->jobs) {
		if (x->first && x->counts->bad > 0)
			break;
		see(x, &x->states[i], image, said);
		explore_remove(image);
	}
	_exit(0);
}

bool
explore_all(struct explorer *x)
{
	bool fine = true;
	int status;

	for (unsigned i = 0; i < x->jobs; i++)
		if (fork() == 0)
			worker(x, i);
	for (unsigned i = 0; i < x->jobs; i++)
		fine = wait(&status) != -1 && status == 0 && fine;
	return fine;
}

/* ---- one again ----------------------------------------------------------- */

int
explore_again(struct explorer *x)
{
	char image[] = "/dev/shm/waybill-crash-XXXXXX", store[64];
	size_t i = 0;

	while (i < x->n && x->states[i].number != x->only)
		i++;
	if (i == x->n)
		explore_stop("no state of this number");
	printf("state %zu of %zu: event %zu of %zu, %s %zu\n", x->only, x->n,
	    x->states[i].cut, disk_events(x->disk),
	    disk_mode_name(x->states[i].mode), x->states[i].which);
	fflush(stdout);
	if (x->image != NULL) {
		struct err e = ERR_INIT;

		disk_seek(x->disk, x->states[i].cut);
		if (disk_image(x->disk, x->states[i].mode, x->states[i].which,
			x->states[i].seed, x->image, &e) == -1)
			explore_die(&e);
		return 0;
	}
	if (mkdtemp(image) == NULL)
		explore_stop("no folder in /dev/shm");
	snprintf(store, sizeof(store), "%s/image", image);
	see(x, &x->states[i], store, -1);
	explore_remove(image);
	return x->counts->bad == 0 ? 0 : 1;
}
