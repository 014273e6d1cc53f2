/* Text: bounded copies, hexadecimal, base64, durations and sizes typed by
 * people, escaping of what peers sent. */
#ifndef WAYBILL_BASE_STR_H
#define WAYBILL_BASE_STR_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "common/base/err.h"

/* Copies with truncation; always terminates.  Returns strlen(src). */
size_t str_copy(char *dst, size_t size, const char *src);
bool str_starts(const char *s, const char *prefix);
/* Exactly `n` octets of lower or upper case hex; nothing else. */
int hex_parse(const char *s, uint8_t *ret, size_t n, struct err *e) WARN_UNUSED;
/* dst needs 2 * n + 1; returns dst. */
char *hex_format(char *dst, const uint8_t *p, size_t n);
/* Appends base64 (RFC 4648 section 4) without line breaks. */
void base64_format(struct buf *out, const void *p, size_t n);
/* Appends the octets of base64 text (either alphabet of RFC 4648, padding
 * optional, no white space), at most max of them. */
int base64_decode(
    const char *s, size_t max, struct buf *ret, struct err *e) WARN_UNUSED;
/* "250ms", "30s", "5m", "12h", "30d": a number and a unit, nothing else. */
int duration_parse(const char *s, uint64_t *ret_ms, struct err *e) WARN_UNUSED;
/* "512", "64KiB", "16MiB", "1GiB", "1TiB": octets. */
int size_parse(const char *s, uint64_t *ret, struct err *e) WARN_UNUSED;
/* "2h14m", "45s", "3d4h": the two largest units, for tables; buf of 16. */
char *duration_format(char buf[16], uint64_t seconds);
/* Whole decimal number, to the last character: no sign, no space; leading
 * zeros are fine. */
int number_parse(const char *s, uint64_t min, uint64_t max, uint64_t *ret,
    struct err *e) WARN_UNUSED;
/* Appends s with control characters, double quotes, backslashes and non-ASCII
 * octets as \xNN, so that a line stays a line and a quoted value quoted. */
void str_escape(struct buf *out, const char *s, size_t n);
/* RFC 3629: shortest forms, no surrogates, nothing over U+10FFFF. */
bool utf8_valid(const void *p, size_t n);
/* 1 to 32 characters of [a-z0-9-], starting with a letter: names of sites,
 * services, vendors, devices. */
bool name_valid(const char *s);
/* "host:port", "[v6%scope]:port" (port 0 to 65535).  host, without brackets,
 * and port, without leading zeros, NUL-terminated on success. */
int hostport_parse(
    const char *s, char host[64], char port[6], struct err *e) WARN_UNUSED;

#endif
