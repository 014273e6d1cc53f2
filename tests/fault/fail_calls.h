/*
 * Fails one of this process's system calls, or all from then on.  The functions
 * of libc stand in fail_calls.c as well, so whoever is linked with it, and its
 * libraries, call those; an own program rather than strace -e inject, since a
 * run takes milliseconds, one thread's call is like another's, and a write can
 * be cut short.
 */
#ifndef WAYBILL_TESTS_FAIL_CALLS_H
#define WAYBILL_TESTS_FAIL_CALLS_H

#include <stdbool.h>

enum fail_call {
	FAIL_OPEN, /* open and openat */
	FAIL_MMAP,
	FAIL_FTRUNCATE,
	FAIL_FALLOCATE,
	FAIL_READ, /* read and pread */
	FAIL_WRITE,
	FAIL_PWRITE,
	FAIL_WRITEV, /* writev and pwritev */
	FAIL_FDATASYNC,
	FAIL_FSYNC,
	FAIL_RENAME,
	FAIL_MKDIR,
	FAIL_LOCK, /* flock, and fcntl that locks */
	FAIL_CALL__MAX
};
const char *fail_call_name(enum fail_call c);

#define FAIL_SHORT (-1) /* half of the octets, and no error */

struct fail_plan {
	enum fail_call call;
	unsigned nth;  /* 1: the first after fail_arm; 0: none, they are counted
			 alone */
	bool for_good; /* and all after it */
	int error;     /* errno, or FAIL_SHORT */
};

/* Counts from now on, in all threads. */
void fail_arm(const struct fail_plan *p);
/* How many of each were made since; the counting goes on. */
unsigned fail_counted(enum fail_call c);
void fail_disarm(void);
/* Whether a call has been failed since fail_arm. */
bool fail_happened(void);

#endif
