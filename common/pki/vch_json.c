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

const char *
vch_read_octets(const json_t *j, void *dst, size_t size)
{
	const char *s = json_string_value(j);

	(void)size;
	if (s == NULL)
		return "not a string";
	if (*s == '\0')
		return "empty";
	/* RFC 4648 4 alone: octets are not what makers differ in. */
	if (strpbrk(s, "-_") != NULL ||
	    base64_decode(s, VCH_JSON_MAX, dst, NULL) == -1)
		return "not base64";
	return NULL;
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
	struct tm tm = { 0 }, day;

	if (!digits(s, 4, 1970, 9999, &tm.tm_year) || !letter(s, "-") ||
	    !digits(s, 2, 1, 12, &tm.tm_mon) || !letter(s, "-") ||
	    !digits(s, 2, 1, 31, &tm.tm_mday) || !letter(s, "Tt ") ||
	    !digits(s, 2, 0, 23, &tm.tm_hour) || !letter(s, ":") ||
	    !digits(s, 2, 0, 59, &tm.tm_min) || !letter(s, ":") ||
	    !digits(s, 2, 0, 60, &tm.tm_sec))
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	*ret = tm;
	/* The 30th of February becomes another day. */
	day = (struct tm){ .tm_year = tm.tm_year,
		.tm_mon = tm.tm_mon,
		.tm_mday = tm.tm_mday };
	return timegm(&day) != -1 && day.tm_mday == tm.tm_mday;
}

/* ".123", or nothing; smaller than what we count in. */
static bool
fraction_parse(const char **s)
{
	size_t n;

	if (!letter(s, "."))
		return true;
	n = strspn(*s, "0123456789");
	*s += n;
	return n > 0;
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
	if (!date_parse(&s, &tm) || !fraction_parse(&s) ||
	    !offset_parse(&s, &offset) || *s != '\0')
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
