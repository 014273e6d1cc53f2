/* Shared by the files of sandbox alone. */
#ifndef WAYBILL_SYS_SANDBOX_INT_H
#define WAYBILL_SYS_SANDBOX_INT_H

#include "common/sys/sandbox.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANDBOX_SANITIZED true
#endif
#endif
#ifndef SANDBOX_SANITIZED
#define SANDBOX_SANITIZED false
#endif

/* ---- paths (Landlock) -------------------------------------------------- */

/* 0: the kernel has none, or it is switched off. */
int sandbox_landlock(void);
/* What getaddrinfo reads; ends with NULL. */
extern const char *const sandbox_resolver_files[];
/* A descriptor of the rules, for sandbox_threads; landlock > 0. */
int sandbox_rules(const struct sandbox *s, int landlock, int *ret_fd,
    struct err *e) WARN_UNUSED;

/* ---- threads ----------------------------------------------------------- */

/* Every thread, this one last: no new privileges, no capabilities, and these
 * rules (-1: none). */
int sandbox_threads(int rules, struct err *e) WARN_UNUSED;

/* ---- calls (seccomp) --------------------------------------------------- */

/* How many s may make. */
unsigned sandbox_count_calls(const struct sandbox *s);
/* From here on for all threads; each has no new privileges already. */
int sandbox_filter(const struct sandbox *s, struct err *e) WARN_UNUSED;

#endif
