#include "common/base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* RFC 9810 5.2.3, only those that a kind alone can tell. */
#define FAIL_BAD_DATA_FORMAT	(1u << 5)
#define FAIL_SIGNER_NOT_TRUSTED (1u << 20)
#define FAIL_NOT_AUTHORIZED	(1u << 23)
#define FAIL_SYSTEM_UNAVAIL	(1u << 24)
#define FAIL_SYSTEM_FAILURE	(1u << 25)

static const struct {
	const char *name;
	int http;
	uint32_t fail;
	int exit;
} kinds[ERR__MAX] = {
	[ERR_NONE] = { "none", 200, 0, 0 },
	[ERR_INPUT] = { "input", 400, FAIL_BAD_DATA_FORMAT, 1 },
	[ERR_POLICY] = { "policy", 403, FAIL_NOT_AUTHORIZED, 4 },
	[ERR_TRUST] = { "trust", 403, FAIL_SIGNER_NOT_TRUSTED, 6 },
	[ERR_RETRY] = { "retry", 503, FAIL_SYSTEM_UNAVAIL, 5 },
	[ERR_LOCAL] = { "local", 500, FAIL_SYSTEM_FAILURE, 1 },
	[ERR_USAGE] = { "usage", 400, FAIL_SYSTEM_FAILURE, 2 },
	[ERR_WAITING] = { "waiting", 503, FAIL_SYSTEM_FAILURE, 3 },
	[ERR_PEER] = { "peer", 503, FAIL_SYSTEM_FAILURE, 5 },
	[ERR_PERM] = { "permission", 403, FAIL_SYSTEM_FAILURE, 7 },
	[ERR_DAMAGE] = { "damage", 500, FAIL_SYSTEM_FAILURE, 9 },
	[ERR_CONF] = { "configuration", 500, FAIL_SYSTEM_FAILURE, 78 },
	[ERR_PARTLY] = { "partly", 500, FAIL_SYSTEM_FAILURE, 8 },
};

/* Formats aside first: the arguments may point into e->msg. */
static void
format(char msg[ERR_MSG_MAX], const char *fmt, va_list ap)
{
	if (vsnprintf(msg, ERR_MSG_MAX, fmt, ap) < 0)
		msg[0] = '\0';
}

/* Appends what fits. */
static void
append(char msg[ERR_MSG_MAX], const char *tail)
{
	size_t n = strlen(msg);

	snprintf(msg + n, ERR_MSG_MAX - n, "%s", tail);
}

/* One line, whatever a peer had put into it. */
static void
store(struct err *e, const char *msg)
{
	size_t i;

	for (i = 0; i < ERR_MSG_MAX - 1 && msg[i] != '\0'; i++)
		e->msg[i] = (unsigned char)msg[i] < 0x20 || msg[i] == 0x7f
		    ? '?'
		    : msg[i];
	e->msg[i] = '\0';
}

static int
set(struct err *e, enum err_kind kind, uint32_t fail, const char *msg)
{
	assert(kind > ERR_NONE && kind < ERR__MAX);
	e->kind = kind;
	e->fail = fail;
	store(e, msg);
	return -1;
}

int
err_vset(struct err *e, enum err_kind kind, const char *fmt, va_list ap)
{
	char msg[ERR_MSG_MAX];

	if (e == NULL)
		return -1;
	format(msg, fmt, ap);
	return set(e, kind, 0, msg);
}

int
err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_vset(e, kind, fmt, ap);
	va_end(ap);
	return -1;
}

int
err_fail(struct err *e, enum err_kind kind, uint32_t fail, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_vset(e, kind, fmt, ap);
	va_end(ap);
	if (e != NULL)
		e->fail = fail;
	return -1;
}

int
err_errno(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	char msg[ERR_MSG_MAX], text[128];
	int saved = errno;
	va_list ap;

	if (e == NULL)
		return -1;
	va_start(ap, fmt);
	format(msg, fmt, ap);
	va_end(ap);
	append(msg, ": ");
	append(msg, strerror_r(saved, text, sizeof(text)));
	return set(e, kind, 0, msg);
}

int
err_prefix(struct err *e, const char *fmt, ...)
{
	char msg[ERR_MSG_MAX];
	va_list ap;

	if (e == NULL)
		return -1;
	va_start(ap, fmt);
	format(msg, fmt, ap);
	va_end(ap);
	append(msg, ": ");
	append(msg, e->msg);
	store(e, msg);
	return -1;
}

static enum err_kind
known(enum err_kind kind)
{
	return (unsigned)kind < ERR__MAX ? kind : ERR_LOCAL;
}

const char *
err_kind_name(enum err_kind kind)
{
	return kinds[known(kind)].name;
}

int
err_http_status(enum err_kind kind)
{
	return kinds[known(kind)].http;
}

uint32_t
err_cmp_fail(const struct err *e)
{
	return e->fail != 0 ? e->fail : kinds[known(e->kind)].fail;
}

int
err_exit_code(enum err_kind kind)
{
	return kinds[known(kind)].exit;
}

void
err_die(const char *why)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "waybill: fatal: %s\n", why);

	if (n >= (int)sizeof(line))
		n = sizeof(line) - 1;
	/* Nothing is left to do if even this fails. */
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) == -1)
		_exit(1);
	_exit(1);
}
