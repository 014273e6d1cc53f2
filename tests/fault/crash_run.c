/* The run that is recorded, and what it needs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/pem.h>

#include "common/base/file.h"
#include "common/queue/store.h"
#include "tests/fault/crash_explore.h"
#include "tests/unit/queue_signer.h"

#define SCRIPT_SECONDS 120

_Noreturn void
explore_die(const struct err *e)
{
	fprintf(stderr, "crash_images: %s\n", e->msg);
	exit(EXPLORE_TROUBLE);
}

_Noreturn void
explore_stop(const char *why)
{
	struct err e = ERR_INIT;

	(void)err_set(&e, ERR_LOCAL, "%s", why);
	explore_die(&e);
}

char *
explore_path(const struct explorer *x, const char *name)
{
	return path_join(x->again != NULL ? x->again : x->dir, name);
}

/* ---- the run ------------------------------------------------------------- */

static void
save_signer(struct explorer *x)
{
	AUTO(signer) s = queue_signer("crash");
	AUTO(char) key = explore_path(x, CRASH_KEY);
	AUTO(char) cert = explore_path(x, CRASH_CERT);
	FILE *f;

	if ((f = fopen(key, "w")) == NULL ||
	    PEM_write_PrivateKey(f, s->key, NULL, NULL, 0, NULL, NULL) != 1 ||
	    fclose(f) != 0 || (f = fopen(cert, "w")) == NULL ||
	    PEM_write_X509(f, s->cert) != 1 || fclose(f) != 0)
		explore_stop("no keys");
}

static void
prepare(struct explorer *x)
{
	struct buf secret AUTO_SECRET = { 0 };
	struct err e = ERR_INIT;
	AUTO(char) root = NULL;
	AUTO(char) seal = NULL;

	snprintf(x->dir, sizeof(x->dir), "/dev/shm/waybill-crash-XXXXXX");
	if (mkdtemp(x->dir) == NULL)
		explore_stop("no folder in /dev/shm");
	root = explore_path(x, CRASH_ROOT);
	seal = explore_path(x, CRASH_SEAL);
	save_signer(x);
	if (file_mkdirs(root, 0700, &e) == -1 ||
	    store_seal_secret(seal, true, &secret, &e) == -1)
		explore_die(&e);
}

/* Beside this program, where the build puts it. */
static char *
beside(const char *name)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n <= 0)
		explore_stop("where am I?");
	self[n] = '\0';
	if ((slash = strrchr(self, '/')) != NULL)
		*slash = '\0';
	return path_join(self, name);
}

static _Noreturn void
script_exec(const struct explorer *x)
{
	AUTO(char) program = beside("crash_script");
	AUTO(char) shim = beside("write_record.so");
	AUTO(char) record = explore_path(x, CRASH_RECORD);
	AUTO(char) root = explore_path(x, CRASH_ROOT);
	char operations[16], seed[24];

	snprintf(operations, sizeof(operations), "%u", x->operations);
	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)x->seed);
	setenv("LD_PRELOAD", shim, 1);
	setenv("WRITE_RECORD", record, 1);
	setenv("WRITE_RECORD_DIR", root, 1);
	alarm(SCRIPT_SECONDS);
	execl(program, program, x->mode->name, operations, seed, x->dir,
	    (char *)NULL);
	_exit(127);
}

void
explore_run(struct explorer *x)
{
	int status;
	pid_t pid;

	prepare(x);
	if ((pid = fork()) == 0)
		script_exec(x);
	if (pid == -1 || waitpid(pid, &status, 0) != pid)
		explore_stop("no script");
	if (status != 0) {
		printf("the script ended by itself (status %d)\n", status);
		explore_remove(x->dir);
		exit(1);
	}
}
