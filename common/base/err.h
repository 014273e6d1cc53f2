/*
 * Errors: a kind that decides what happens, and one line that says why.
 * One table (err.c) maps the kind to HTTP and CMP status and exit code; no
 * other such table exists.  Functions return 0 or -1 (or NULL) and fill
 * `struct err`; on failure their outputs are untouched.
 */
#ifndef WAYBILL_BASE_ERR_H
#define WAYBILL_BASE_ERR_H

#include <stdint.h>
#include <stdarg.h>
#include "common/base/cleanup.h"

enum err_kind {
	ERR_NONE,
	ERR_INPUT,   /* their bytes are wrong: refuse */
	ERR_POLICY,  /* valid, but not allowed: refuse */
	ERR_TRUST,   /* a signature or a chain does not hold: refuse */
	ERR_RETRY,   /* the world is down or full: keep, try later */
	ERR_LOCAL,   /* our own trouble: alarm */
	ERR_USAGE,   /* a command called wrongly */
	ERR_WAITING, /* not an error of anybody: no answer yet */
	ERR_PEER,    /* the peer cannot be reached */
	ERR_PERM,    /* the caller may not */
	ERR_DAMAGE,  /* the store holds what it must not */
	ERR_CONF,    /* configuration */
	ERR_PARTLY,  /* a command: some of it is done, some is not */
	ERR__MAX
};

#define ERR_MSG_MAX 400

struct err {
	enum err_kind kind;
	uint32_t fail;	       /* PKIFailureInfo bits (1u << bit), 0: by kind */
	char msg[ERR_MSG_MAX]; /* one line, no newline, NUL-terminated */
};

#define ERR_INIT \
	{ \
		ERR_NONE, 0, "" \
	}

/* Sets kind and message (truncated to ERR_MSG_MAX - 1 octets, control
 * characters replaced by '?').  `fail` becomes 0.  Always returns -1, so that
 * `return err_set(...)` reads well.  A NULL `e` is allowed. */
int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
    PRINTF(3, 4);
int err_vset(struct err *e, enum err_kind kind, const char *fmt, va_list ap)
    PRINTF(3, 0);

/* As err_set, with PKIFailureInfo bits (RFC 9810 5.2.3). */
int err_fail(struct err *e, enum err_kind kind, uint32_t fail, const char *fmt,
    ...) PRINTF(4, 5);

/* As err_set, with ": " and strerror(errno) appended. */
int err_errno(struct err *e, enum err_kind kind, const char *fmt, ...)
    PRINTF(3, 4);

/* Puts "what: " in front of the message that stands in `e`; returns -1. */
int err_prefix(struct err *e, const char *fmt, ...) PRINTF(2, 3);

/* "input", "policy", ... */
const char *err_kind_name(enum err_kind kind);

/* What peers are told of this kind. */
int err_http_status(enum err_kind kind);
uint32_t err_cmp_fail(const struct err *e); /* e->fail, or the kind's bit */

/* The exit code of a command (DESIGN: 0 to 9 and 78). */
int err_exit_code(enum err_kind kind);

/* For our own trouble with no way on (memory, random octets): one line on
 * stderr without allocating, then exit 1 at once. */
_Noreturn void err_die(const char *why);

#endif
