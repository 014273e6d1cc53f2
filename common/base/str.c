#include "common/base/str.h"

#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

size_t
str_copy(char *dst, size_t size, const char *src)
{
	size_t len = strlen(src), n;

	assert(size > 0);
	n = len < size ? len : size - 1;
	memcpy(dst, src, n);
	dst[n] = '\0';
	return len;
}

bool
str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
hex_parse(const char *s, uint8_t *ret, size_t n, struct err *e)
{
	size_t i, len = strlen(s);

	if (len != 2 * n)
		return err_set(e, ERR_INPUT,
		    "hexadecimal: %zu characters, expected %zu", len, 2 * n);
	for (i = 0; i < len; i++)
		if (hex_digit(s[i]) == -1)
			return err_set(e, ERR_INPUT,
			    "hexadecimal: character %zu is not a digit", i + 1);
	for (i = 0; i < n; i++)
		ret[i] = (uint8_t)(hex_digit(s[2 * i]) << 4 |
		    hex_digit(s[2 * i + 1]));
	return 0;
}

char *
hex_format(char *dst, const uint8_t *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < n; i++) {
		dst[2 * i] = digits[p[i] >> 4];
		dst[2 * i + 1] = digits[p[i] & 15];
	}
	dst[2 * n] = '\0';
	return dst;
}

void
base64_format(struct buf *out, const void *p, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *in = p;
	uint8_t *dst;
	uint32_t v;
	size_t i;

	if (n == 0)
		return;
	dst = buf_grow(out, (n + 2) / 3 * 4);
	for (i = 0; i < n; i += 3, dst += 4) {
		v = (uint32_t)in[i] << 16;
		v |= i + 1 < n ? (uint32_t)in[i + 1] << 8 : 0;
		v |= i + 2 < n ? in[i + 2] : 0;
		dst[0] = (uint8_t)digits[v >> 18];
		dst[1] = (uint8_t)digits[v >> 12 & 63];
		dst[2] = i + 1 < n ? (uint8_t)digits[v >> 6 & 63] : '=';
		dst[3] = i + 2 < n ? (uint8_t)digits[v & 63] : '=';
	}
}

static int
base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	return c == '/' || c == '_' ? 63 : -1;
}

/* Digits without padding; a last group of one digit holds no octet. */
static bool
base64_digits(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (base64_digit(s[i]) == -1)
			return false;
	return n % 4 != 1;
}

int
base64_decode(const char *s, size_t max, struct buf *ret, struct err *e)
{
	size_t len = strlen(s), n = len;
	uint32_t bits = 0;
	uint8_t *dst;

	while (n > 0 && len - n < 2 && s[n - 1] == '=')
		n--;
	if (!base64_digits(s, n) || (n < len && len % 4 != 0))
		return err_set(e, ERR_INPUT, "not base64");
	if (n / 4 * 3 + n % 4 * 3 / 4 > max)
		return err_set(
		    e, ERR_INPUT, "base64: more than %zu octets", max);
	dst = buf_grow(ret, n / 4 * 3 + n % 4 * 3 / 4);
	for (size_t i = 0; i < n; i++) {
		bits = bits << 6 | (uint32_t)base64_digit(s[i]);
		if (i % 4 > 0)
			*dst++ = (uint8_t)(bits >> (6 - 2 * (i % 4)));
	}
	return 0;
}

/* Digits at *s; moves *s behind them.  False if none or more than 64 bits. */
static bool
digits(const char **s, uint64_t *ret)
{
	const char *p = *s;
	uint64_t v = 0;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return false;
	if (p == *s)
		return false;
	*s = p;
	*ret = v;
	return true;
}

struct unit {
	const char *name;
	uint64_t factor;
};

/* A number and one of the units, nothing else. */
static int
quantity_parse(const char *what, const char *form, const struct unit *units,
    const char *s, uint64_t *ret, struct err *e)
{
	const char *p = s;
	uint64_t v;

	if (!digits(&p, &v))
		return err_set(e, ERR_INPUT, "%s %s: no number, expected %s",
		    what, s, form);
	for (; units->name != NULL; units++)
		if (strcmp(units->name, p) == 0)
			break;
	if (units->name == NULL)
		return err_set(e, ERR_INPUT, "%s %s: unit unknown, expected %s",
		    what, s, form);
	if (__builtin_mul_overflow(v, units->factor, &v))
		return err_set(e, ERR_INPUT, "%s %s: too large", what, s);
	*ret = v;
	return 0;
}

int
duration_parse(const char *s, uint64_t *ret_ms, struct err *e)
{
	static const struct unit units[] = {
		{ "ms", 1 },
		{ "s", 1000 },
		{ "m", 60 * 1000 },
		{ "h", 3600 * 1000 },
		{ "d", 24 * 3600 * 1000 },
		{ NULL, 0 },
	};

	return quantity_parse(
	    "duration", "e.g. 250ms, 30s, 5m, 12h or 30d", units, s, ret_ms, e);
}

int
size_parse(const char *s, uint64_t *ret, struct err *e)
{
	static const struct unit units[] = {
		{ "", 1 },
		{ "KiB", UINT64_C(1) << 10 },
		{ "MiB", UINT64_C(1) << 20 },
		{ "GiB", UINT64_C(1) << 30 },
		{ "TiB", UINT64_C(1) << 40 },
		{ NULL, 0 },
	};

	return quantity_parse(
	    "size", "e.g. 512, 64KiB, 16MiB or 1GiB", units, s, ret, e);
}

char *
duration_format(char buf[16], uint64_t seconds)
{
	static const struct {
		char name;
		uint32_t seconds;
	} units[] = { { 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 } };
	uint32_t n, rest;
	size_t i = 0;

	if (seconds / 86400 > 99999)
		return strcpy(buf, ">99999d");
	while (i < NELEMS(units) - 1 && seconds < units[i].seconds)
		i++;
	n = (uint32_t)(seconds / units[i].seconds);
	rest = (uint32_t)(seconds % units[i].seconds);
	if (i + 1 < NELEMS(units))
		rest /= units[i + 1].seconds;
	if (rest == 0)
		snprintf(buf, 16, "%" PRIu32 "%c", n, units[i].name);
	else
		snprintf(buf, 16, "%" PRIu32 "%c%" PRIu32 "%c", n,
		    units[i].name, rest, units[i + 1].name);
	return buf;
}

int
number_parse(
    const char *s, uint64_t min, uint64_t max, uint64_t *ret, struct err *e)
{
	const char *p = s;
	uint64_t v;

	if (!digits(&p, &v) || *p != '\0' || v < min || v > max)
		return err_set(e, ERR_INPUT,
		    "number %s: expected %" PRIu64 " to %" PRIu64, s, min, max);
	*ret = v;
	return 0;
}

void
str_escape(struct buf *out, const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
			buf_printf(out, "\\x%02x", c);
		else
			buf_add(out, &c, 1);
	}
}

/* The length of the UTF-8 character at p, 0 if it is none (RFC 3629 4). */
static size_t
utf8_char(const uint8_t *p, size_t n)
{
	static const struct {
		uint8_t lead_min, lead_max, second_min, second_max;
		size_t len;
	} forms[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	size_t i, k;

	if (p[0] < 0x80)
		return 1;
	for (i = 0; i < NELEMS(forms); i++)
		if (p[0] >= forms[i].lead_min && p[0] <= forms[i].lead_max)
			break;
	if (i == NELEMS(forms) || n < forms[i].len ||
	    p[1] < forms[i].second_min || p[1] > forms[i].second_max)
		return 0;
	for (k = 2; k < forms[i].len; k++)
		if ((p[k] & 0xc0) != 0x80)
			return 0;
	return forms[i].len;
}

bool
utf8_valid(const void *p, size_t n)
{
	const uint8_t *s = p;
	size_t len;

	for (; n > 0; s += len, n -= len)
		if ((len = utf8_char(s, n)) == 0)
			return false;
	return true;
}

/* Whether s consists of 1 to max characters of letters, digits and more. */
static bool
made_of(const char *s, size_t n, size_t max, const char *more)
{
	size_t i;

	if (n == 0 || n > max)
		return false;
	for (i = 0; i < n; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') ||
			(s[i] >= 'A' && s[i] <= 'Z') ||
			(s[i] >= '0' && s[i] <= '9') ||
			(s[i] != '\0' && strchr(more, s[i]) != NULL)))
			return false;
	return true;
}

bool
name_valid(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n >= 1 && n <= 32 && s[n] == '\0' && s[0] >= 'a' && s[0] <= 'z';
}

/* RFC 4007 11: address, or address%zone. */
static bool
ip6_valid(const char *s, size_t n)
{
	const char *zone = memchr(s, '%', n);
	size_t len = zone == NULL ? n : (size_t)(zone - s);
	char text[INET6_ADDRSTRLEN];
	struct in6_addr addr;

	if (len >= sizeof(text))
		return false;
	memcpy(text, s, len);
	text[len] = '\0';
	if (inet_pton(AF_INET6, text, &addr) != 1)
		return false;
	return zone == NULL ||
	    made_of(zone + 1, n - len - 1, IF_NAMESIZE - 1, ".-_");
}

int
hostport_parse(const char *s, char host[64], char port[6], struct err *e)
{
	bool v6 = s[0] == '[';
	const char *from = v6 ? s + 1 : s;
	size_t n = strcspn(from, v6 ? "]" : ":");
	const char *colon = from + n + (v6 && from[n] == ']' ? 1 : 0);
	uint64_t number;

	if (n >= 64 || !(v6 ? ip6_valid(from, n) : made_of(from, n, 63, ".-_")))
		return err_set(e, ERR_INPUT,
		    "address %s: host is neither a name nor an address", s);
	if (*colon != ':' ||
	    number_parse(colon + 1, 0, UINT16_MAX, &number, NULL) == -1)
		return err_set(e, ERR_INPUT,
		    "address %s: expected host:port or [v6]:port", s);
	memcpy(host, from, n);
	host[n] = '\0';
	snprintf(port, 6, "%u", (unsigned)(uint16_t)number);
	return 0;
}
