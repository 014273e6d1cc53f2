#include "tests/fault/lab.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/base/file.h"
#include "common/queue/store.h"
#include "tests/unit/queue_signer.h"

/* ---- a folder --------------------------------------------------------- */

static void
must(int rc, const struct err *e)
{
	if (rc == -1)
		err_die(e->msg);
}

/* All files of a folder without folders. */
static void
empty(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *f;

	while (d != NULL && (f = readdir(d)) != NULL)
		if (f->d_name[0] != '.')
			unlinkat(dirfd(d), f->d_name, 0);
	if (d != NULL)
		closedir(d);
}

void
lab_clear(const struct lab *l)
{
	empty(l->store);
}

void
lab_init(struct lab *l)
{
	struct buf secret AUTO_SECRET = { 0 };
	struct err e = ERR_INIT;
	struct stat st;

	*l = (struct lab){ .dir = "/tmp/wbf.XXXXXX" };
	if (stat("/dev/shm", &st) == 0 && access("/dev/shm", W_OK) == 0)
		strcpy(l->dir, "/dev/shm/wbf.XXXXXX");
	if (mkdtemp(l->dir) == NULL)
		err_die("no folder");
	snprintf(l->store, sizeof(l->store), "%s/store", l->dir);
	snprintf(l->seal, sizeof(l->seal), "%s/seal", l->dir);
	must(file_mkdirs(l->store, 0700, &e), &e);
	must(store_seal_secret(l->seal, true, &secret, &e), &e);
	l->signer = queue_signer("fault");
}

void
lab_done(struct lab *l)
{
	empty(l->store);
	rmdir(l->store);
	empty(l->dir);
	rmdir(l->dir);
	signer_free(l->signer);
}

void *
lab_shared(size_t n)
{
	void *p = mmap(
	    NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err_die("no shared memory");
	return p;
}

/* ---- children --------------------------------------------------------- */

static void
hear(int fd, struct buf *said)
{
	ssize_t n;

	do {
		size_t at = said->len;

		n = read(fd, buf_grow(said, 4096), 4096);
		said->len = at + (n > 0 ? (size_t)n : 0);
	} while (n > 0 || (n == -1 && errno == EINTR));
}

struct lab_end
lab_child(int (*fn)(void *arg), void *arg, unsigned seconds)
{
	struct lab_end end = { .code = -1 };
	int fds[2], status = 0;
	pid_t pid;

	if (pipe(fds) == -1 || (pid = fork()) == -1)
		err_die("no child");
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		alarm(seconds);
		_exit(fn(arg));
	}
	close(fds[1]);
	hear(fds[0], &end.said);
	close(fds[0]);
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	if (WIFEXITED(status))
		end.code = WEXITSTATUS(status);
	else
		end.signal = WTERMSIG(status);
	return end;
}

void
lab_end_done(struct lab_end *end)
{
	buf_done(&end->said);
}

/* ---- waiting ---------------------------------------------------------- */

static void
post_here(void *to, void (*fn)(void *arg), void *arg)
{
	(void)to;
	fn(arg);
}

const struct post lab_here = { post_here, NULL };

struct lab_wait {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool over;
	struct err e;
};

struct lab_wait *
lab_wait_new(void)
{
	struct lab_wait *w = xcalloc(1, sizeof(*w));

	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->cond, NULL);
	return w;
}

void
lab_wait_over(struct lab_wait *w, const struct err *e)
{
	pthread_mutex_lock(&w->lock);
	if (e != NULL)
		w->e = *e;
	w->over = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

struct err
lab_wait_for(struct lab_wait *w)
{
	struct err e;

	pthread_mutex_lock(&w->lock);
	while (!w->over)
		pthread_cond_wait(&w->cond, &w->lock);
	pthread_mutex_unlock(&w->lock);
	e = w->e;
	pthread_cond_destroy(&w->cond);
	pthread_mutex_destroy(&w->lock);
	free(w);
	return e;
}

/* ---- chance ----------------------------------------------------------- */

static uint64_t state;

void
lab_seed(uint64_t seed)
{
	state = seed;
}

/* splitmix64 */
uint64_t
lab_random(uint64_t n)
{
	uint64_t z = state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (z ^ (z >> 31)) % n;
}
