#include "common/pki/vch_json.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/base/str.h"

int
vch_read(const json_t *j, const struct vch_member *table, size_t n,
    const char *what, void *ret, struct err *e)
{
	const struct vch_member *m;
	const json_t *value;
	const char *wrong;

	for (m = table; m < table + n; m++) {
		if ((value = json_object_get(j, m->name)) == NULL) {
			if (!m->required)
				continue;
			return err_set(e, ERR_INPUT, "%s: %s: no %s", what,
			    m->clause, m->name);
		}
		wrong = m->read(value, (char *)ret + m->offset, m->size);
		if (wrong != NULL)
			return err_set(e, ERR_INPUT, "%s: %s: %s: %s", what,
			    m->clause, m->name, wrong);
	}
	return 0;
}

/* ---- text and numbers --------------------------------------------------- */

/* Jansson has seen to it that it is UTF-8 without NUL. */
const char *
vch_read_text(const json_t *j, void *dst, size_t size)
{
	const char *s = json_string_value(j), *p;

	if (s == NULL)
		return "not a string";
	if (*s == '\0')
		return "empty";
	if (strlen(s) >= size)
		return "too long";
	for (p = s; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return "control characters";
	str_copy(dst, size, s);
	return NULL;
}

const char *
vch_read_opaque(const json_t *j, void *dst, size_t size)
{
	static const char alphabets[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					"abcdefghijklmnopqrstuvwxyz"
					"0123456789+/-_=";
	const char *s = json_string_value(j);

	if (s != NULL && s[strspn(s, alphabets)] != '\0')
		return "not base64";
	return vch_read_text(j, dst, size);
}

void
vch_copy_line(char *dst, size_t size, const char *src)
{
	char *p;

	str_copy(dst, size, src);
	for (p = dst; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
			*p = '?';
}

const char *
vch_read_line(const json_t *j, void *dst, size_t size)
{
	if (!json_is_string(j))
		return "not a string";
	vch_copy_line(dst, size, json_string_value(j));
	return NULL;
}

const char *
vch_read_bool(const json_t *j, void *dst, size_t size)
{
	(void)size;
	if (!json_is_boolean(j))
		return "neither true nor false";
	*(bool *)dst = json_is_true(j);
	return NULL;
}

/* RFC 8995 5.8.1 has numbers in its schema, and strings in its example. */
const char *
vch_read_number(const json_t *j, void *dst, size_t size)
{
	uint64_t v;

	(void)size;
	if (json_is_integer(j)) {
		json_int_t i = json_integer_value(j);

		if (i < 0 || i > UINT32_MAX)
			return "out of range";
		v = (uint64_t)i;
	} else if (!json_is_string(j) ||
	    number_parse(json_string_value(j), 0, UINT32_MAX, &v, NULL) == -1) {
		return "not a number";
	}
	*(unsigned *)dst = (unsigned)v;
	return NULL;
}

/* ---- assertions --------------------------------------------------------- */

static const char *const assertions[] = {
	[VCH_NO_ASSERTION] = "none",
	[VCH_VERIFIED] = "verified",
	[VCH_LOGGED] = "logged",
	[VCH_PROXIMITY] = "proximity",
	[VCH_OTHER] = "other",
};

const char *
vch_assertion_name(enum vch_assertion a)
{
	return (unsigned)a < NELEMS(assertions) ? assertions[a] : "other";
}

const char *
vch_read_assertion(const json_t *j, void *dst, size_t size)
{
	const char *s = json_string_value(j);
	enum vch_assertion a;

	(void)size;
	if (s == NULL)
		return "not a string";
	for (a = VCH_VERIFIED; a < VCH_OTHER; a++)
		if (strcmp(s, assertions[a]) == 0)
			break;
	*(enum vch_assertion *)dst = a;
	return NULL;
}

/* ---- octets ------------------------------------------------------------- */

static int
base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* RFC 4648 4; padding may be missing, bits that are left over are zero. */
static const char *
base64_parse(const char *s, struct buf *ret)
{
	size_t n = strcspn(s, "="), pad = strlen(s + n), i;
	uint32_t bits = 0;
	uint8_t octet;

	if (n % 4 == 1 || s[n + strspn(s + n, "=")] != '\0' ||
	    (pad != 0 && (pad > 2 || (n + pad) % 4 != 0)))
		return "not base64";
	for (i = 0; i < n; i++) {
		if (base64_digit(s[i]) == -1)
			return "not base64";
		bits = bits << 6 | (uint32_t)base64_digit(s[i]);
		/* The first of four digits completes no octet. */
		if (i % 4 == 0)
			continue;
		octet = (uint8_t)(bits >> (6 - 2 * (i % 4)));
		buf_add(ret, &octet, 1);
	}
	if ((n % 4 == 2 && (bits & 15) != 0) || (n % 4 == 3 && (bits & 3) != 0))
		return "not base64";
	return NULL;
}

const char *
vch_read_octets(const json_t *j, void *dst, size_t size)
{
	const char *s = json_string_value(j);

	(void)size;
	if (s == NULL)
		return "not a string";
	if (*s == '\0')
		return "empty";
	return base64_parse(s, dst);
}

const char *
vch_read_cert(const json_t *j, void *dst, size_t size)
{
	struct buf der AUTO_BUF = { 0 };
	const char *wrong = vch_read_octets(j, &der, size);

	if (wrong != NULL)
		return wrong;
	*(X509 **)dst = ossl_cert_parse(buf_bytes(&der), NULL);
	return *(X509 **)dst != NULL ? NULL : "not a certificate";
}

/* ---- time --------------------------------------------------------------- */

/* Takes exactly n digits off *s. */
static bool
digits(const char **s, int n, int min, int max, int *ret)
{
	int v = 0;

	for (; n > 0; n--, (*s)++) {
		if (**s < '0' || **s > '9')
			return false;
		v = v * 10 + (**s - '0');
	}
	*ret = v;
	return v >= min && v <= max;
}

static bool
letter(const char **s, const char *set)
{
	if (**s == '\0' || strchr(set, **s) == NULL)
		return false;
	(*s)++;
	return true;
}

/* RFC 3339 5.6: full-date, "T", partial-time without its fraction. */
static bool
date_parse(const char **s, struct tm *ret)
{
	struct tm tm = { 0 }, same;
	time_t at;

	if (!digits(s, 4, 1970, 9999, &tm.tm_year) || !letter(s, "-") ||
	    !digits(s, 2, 1, 12, &tm.tm_mon) || !letter(s, "-") ||
	    !digits(s, 2, 1, 31, &tm.tm_mday) || !letter(s, "Tt ") ||
	    !digits(s, 2, 0, 23, &tm.tm_hour) || !letter(s, ":") ||
	    !digits(s, 2, 0, 59, &tm.tm_min) || !letter(s, ":") ||
	    !digits(s, 2, 0, 60, &tm.tm_sec))
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	*ret = same = tm;
	/* The 30th of February becomes another day. */
	at = timegm(&same);
	return gmtime_r(&at, &same) != NULL &&
	    (tm.tm_sec == 60 || same.tm_mday == tm.tm_mday);
}

/* "Z", "+02:00": seconds ahead of UTC. */
static bool
offset_parse(const char **s, long *ret)
{
	int hours = 0, minutes = 0;
	bool west = **s == '-';

	if (letter(s, "Zz")) {
		*ret = 0;
		return true;
	}
	if (!letter(s, "+-") || !digits(s, 2, 0, 23, &hours) ||
	    !letter(s, ":") || !digits(s, 2, 0, 59, &minutes))
		return false;
	*ret = (west ? -1L : 1L) * (hours * 3600 + minutes * 60);
	return true;
}

const char *
vch_read_time(const json_t *j, void *dst, size_t size)
{
	static const char wrong[] = "not a date of RFC 3339 after 1970";
	const char *s = json_string_value(j);
	struct tm tm;
	long offset;
	time_t at;

	(void)size;
	if (s == NULL)
		return "not a string";
	if (!date_parse(&s, &tm))
		return wrong;
	if (letter(&s, ".") && strspn(s, "0123456789") == 0)
		return wrong;
	s += s[-1] == '.' ? strspn(s, "0123456789") : 0;
	if (!offset_parse(&s, &offset) || *s != '\0')
		return wrong;
	at = timegm(&tm) - offset;
	if (at <= 0)
		return wrong;
	*(uint64_t *)dst = (uint64_t)at;
	return NULL;
}

/* ---- the object around, and writing ------------------------------------- */

int
vch_read_top(struct bytes text, const char *name, const char *what,
    json_t **ret, struct err *e)
{
	AUTO(json_t) j = json_parse(text, VCH_JSON_MAX, e);
	json_t *inner;

	if (j == NULL)
		return err_prefix(e, "%s", what);
	inner = json_object_get(j, name);
	if (!json_is_object(inner))
		return err_set(
		    e, ERR_INPUT, "%s: RFC 7951 4: no object %s", what, name);
	*ret = json_incref(inner);
	return 0;
}

static void
set(json_t *j, const char *name, json_t *value)
{
	if (json_object_set_new(j, name, value) == -1)
		err_die("json: cannot be built");
}

void
vch_set_text(json_t *j, const char *name, const char *s)
{
	if (*s != '\0')
		set(j, name, json_string(s));
}

void
vch_set_octets(json_t *j, const char *name, struct bytes b)
{
	struct buf text AUTO_BUF = { 0 };

	if (b.len == 0)
		return;
	base64_format(&text, b.p, b.len);
	set(j, name, json_string(buf_cstr(&text)));
}

void
vch_set_assertion(json_t *j, enum vch_assertion a)
{
	if (a != VCH_NO_ASSERTION)
		set(j, "assertion", json_string(vch_assertion_name(a)));
}

void
vch_write_top(const char *name, json_t *j, struct buf *out)
{
	AUTO(json_t) top = json_object();

	set(top, name, j);
	json_format(out, top);
}
