/*
 * Log lines: who decides logs once.  `event=queue.held id=... reason="..."`,
 * one line on stderr each, with time (RFC 3339 with milliseconds), level and
 * program.  Values that need it are quoted and escaped, so peer text can be
 * passed as it came; of a longer value only the
 * first LOG_VALUE_MAX octets are told, then "...".  Never keys, nonces or whole certificates.  Thread-safe.
 */
#ifndef WAYBILL_BASE_LOG_H
#define WAYBILL_BASE_LOG_H

#include "common/base/err.h"

#define LOG_VALUE_MAX 512

enum log_level { LOG_ALARM, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* program is borrowed for ever.  Before this: "waybill", up to LOG_INFO. */
void log_init(const char *program, enum log_level upto);
void log_set_level(enum log_level upto);

/* log_event(LOG_INFO, "queue.accepted", "id", "%s", id, "peer", "%s", sn,
 *     NULL): triples of key, format, one argument of that format.  Formats
 * allowed: "%s" (NULL prints "-"), "%d", "%u", "%llu" (unsigned long long),
 * "%zu". */
void log_event(enum log_level level, const char *event, ...)
    __attribute__((sentinel));
/* The same with error=... from e as last field. */
void log_err(enum log_level level, const char *event, const struct err *e, ...)
    __attribute__((sentinel));

#endif
