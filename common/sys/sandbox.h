/*
 * What a daemon may still do once its keys, stores and listeners are open:
 * Landlock for its folders, seccomp for its system calls, no capability and no
 * way to new ones.  One row a daemon, one call, before the first octet of a
 * stranger; there is no way back.
 *
 * A call that is not on the list fails with EPERM.  Those that only an intruder
 * makes (another program, another process's memory, mounts, modules, keyrings,
 * odd sockets) end the process by SIGSYS.
 *
 * Threads that run already are reached by SIGRTMIN: whoever blocks signals in a
 * thread of its own leaves that one.
 */
#ifndef WAYBILL_SYS_SANDBOX_H
#define WAYBILL_SYS_SANDBOX_H

#include <stdbool.h>
#include "common/base/buf.h"
#include "common/base/err.h"

/* All may use what they have open, memory, locks, time and random octets. */
enum sandbox_may {
	SANDBOX_SERVE = 1 << 0,	  /* event bases; accept from what listens */
	SANDBOX_THREADS = 1 << 1, /* make threads; never processes */
	SANDBOX_STORE = 1 << 2,	  /* write by position, lock, sync */
	SANDBOX_FILES = 1 << 3,	  /* open, list, remove: where the paths say */
	SANDBOX_DIAL = 1 << 4,	  /* connect */
	SANDBOX_RESOLVE = 1 << 5, /* getaddrinfo: its files, its modules */
};

enum sandbox_access {
	SANDBOX_READ,	/* a file, or a folder and all below */
	SANDBOX_REREAD, /* a file that others replace: its folder is read */
	SANDBOX_WRITE,	/* the same, and make, write, remove files */
	SANDBOX_REMOVE, /* a file may be removed at the end: its folder */
};

#define SANDBOX_PATHS_MAX 64

struct sandbox {
	unsigned may;	/* of enum sandbox_may */
	uint64_t files; /* descriptors it may come to need; 0: not known */
	size_t n;
	struct {
		enum sandbox_access access;
		const char *path;
	} paths[SANDBOX_PATHS_MAX];
};

/* What came of it, for the log. */
struct sandbox_report {
	int landlock;	/* the kernel's version of it; 0: it has none */
	unsigned calls; /* allowed; 0: not confined, for a sanitizer's sake */
	uint64_t files; /* RLIMIT_NOFILE, if that is less than asked for */
};

/* The path is borrowed until the last call with s; NULL is nothing.  What does
 * not exist when the sandbox is entered, or is replaced later by another file,
 * is not allowed; what appears in an allowed folder is. */
void sandbox_allow(
    struct sandbox *s, enum sandbox_access access, const char *path);

/*
 * Confines the process, all threads.  Raises the soft limit of open files
 * towards s->files.  Does without Landlock where the kernel has none, and says
 * so in ret.  A build with a sanitizer is not confined: for its report at exit
 * a process of its own looks into all threads.  ERR_LOCAL: it may be half
 * confined; end.
 */
int sandbox_enter(const struct sandbox *s, struct sandbox_report *ret,
    struct err *e) WARN_UNUSED;

/* No core dumps, and no other process of our uid reads our memory.  Before keys
 * are read. */
void sandbox_hide_memory(void);

/* "sandbox: landlock ABI 5, seccomp 90 calls, read: PATH..., write: PATH...,
 * remove: PATH...", as entering it here would give. */
void sandbox_describe(const struct sandbox *s, struct buf *out);

#endif
