/* Our other programs: where they are, and how they are run. */
#ifndef WAYBILL_CLI_PROGRAMS_H
#define WAYBILL_CLI_PROGRAMS_H

#include <stdint.h>
#include <sys/types.h>
#include "common/base/err.h"

/* malloc'd path of this very executable. */
char *program_self(struct err *e) WARN_UNUSED;
/* malloc'd path of a program: beside our own executable, in a folder beside
 * its folder (a build tree), or in libexec.  ERR_CONF if it is nowhere. */
char *program_find(const char *name, struct err *e) WARN_UNUSED;

/*
 * Starts argv[0] (in PATH, if it has no slash) with argv.  stdin is /dev/null;
 * stdout and stderr are appended to the file log (NULL: ours).  `signo` (0:
 * none) is sent to it when we end, however.  pass is a descriptor to be
 * inherited as number 3, or -1; no other is.
 */
int program_start(char *const argv[], const char *log, int signo, int pass,
    pid_t *ret, struct err *e) WARN_UNUSED;
/* Waits until it has ended, at most ms milliseconds (ERR_RETRY then); gives
 * its exit code, 128 + number for a signal. */
int program_wait(pid_t pid, uint64_t ms, int *ret, struct err *e) WARN_UNUSED;
/* Sends a signal and waits until it has gone, at most ms milliseconds
 * (ERR_RETRY then).  It need not be a child, nor be there.  0 is no signal. */
int program_end(pid_t pid, int signo, uint64_t ms, struct err *e) WARN_UNUSED;
/* Start and wait, at most 10 s; a code other than 0 is an error of the kind it
 * means, "NAME: exit code N". */
int program_run(char *const argv[], const char *log, struct err *e) WARN_UNUSED;

#endif
