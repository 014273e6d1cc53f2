#include "common/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/str.h"

static const char *const names[] = {
	[LOG_ALARM] = "alarm",
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

static const char *_Atomic name = "waybill";
static _Atomic int limit = LOG_INFO;

void
log_init(const char *program, enum log_level upto)
{
	atomic_store(&name, program);
	log_set_level(upto);
}

void
log_set_level(enum log_level upto)
{
	atomic_store(&limit, (int)upto);
}

static void
add_start(struct buf *line, enum log_level level, const char *event)
{
	struct timespec ts;
	char when[21];

	clock_gettime(CLOCK_REALTIME, &ts);
	clock_format(when, ts.tv_sec > 0 ? (uint64_t)ts.tv_sec : 0);
	buf_printf(line, "%.19s.%03ldZ %s %s event=%s", when,
	    ts.tv_nsec / 1000000, names[level], atomic_load(&name), event);
}

/* Whether a value can stand without quotes. */
static bool
is_plain(const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (s[i] <= ' ' || s[i] >= 0x7f ||
		    strchr("\"=\\", s[i]) != NULL)
			return false;
	return n > 0;
}

static void
add_field(struct buf *line, const char *key, const char *value)
{
	size_t n = strnlen(value, LOG_VALUE_MAX + 1);
	bool cut = n > LOG_VALUE_MAX, quote;

	if (cut)
		n = LOG_VALUE_MAX;
	quote = !is_plain(value, n);
	buf_printf(line, " %s=%s", key, quote ? "\"" : "");
	str_escape(line, value, n);
	buf_printf(line, "%s%s", cut ? "..." : "", quote ? "\"" : "");
}

/* The format picks the type of the argument; never used to print with, so
 * that no format is ever taken from a variable. */
static void
add_fields(struct buf *line, va_list ap)
{
	const char *key, *fmt, *s;
	char num[24];

	while ((key = va_arg(ap, const char *)) != NULL) {
		fmt = va_arg(ap, const char *);
		s = num;
		if (strcmp(fmt, "%s") == 0)
			s = va_arg(ap, const char *);
		else if (strcmp(fmt, "%d") == 0)
			snprintf(num, sizeof(num), "%d", va_arg(ap, int));
		else if (strcmp(fmt, "%u") == 0)
			snprintf(num, sizeof(num), "%u", va_arg(ap, unsigned));
		else if (strcmp(fmt, "%llu") == 0)
			snprintf(num, sizeof(num), "%llu",
			    va_arg(ap, unsigned long long));
		else if (strcmp(fmt, "%zu") == 0)
			snprintf(num, sizeof(num), "%zu", va_arg(ap, size_t));
		else {
			/* Of what follows not even the types are known. */
			add_field(line, "log.bad_format", key);
			return;
		}
		add_field(line, key, s != NULL ? s : "-");
	}
}

/* One write a line, so that lines of several threads do not mix. */
static void
put_line(struct buf *line)
{
	ssize_t n;

	buf_add(line, "\n", 1);
	do
		n = write(STDERR_FILENO, line->data, line->len);
	while (n == -1 && errno == EINTR);
}

void
log_event(enum log_level level, const char *event, ...)
{
	struct buf line AUTO_BUF = { 0 };
	va_list ap;

	if ((int)level > atomic_load(&limit))
		return;
	add_start(&line, level, event);
	va_start(ap, event);
	add_fields(&line, ap);
	va_end(ap);
	put_line(&line);
}

void
log_err(enum log_level level, const char *event, const struct err *e, ...)
{
	struct buf line AUTO_BUF = { 0 };
	va_list ap;

	if ((int)level > atomic_load(&limit))
		return;
	add_start(&line, level, event);
	va_start(ap, e);
	add_fields(&line, ap);
	va_end(ap);
	add_field(&line, "error", e->msg);
	put_line(&line);
}
