/* Deny lists: their lines, and a certificate against them. */
#include "common/pki/trust.h"

#include <ctype.h>
#include <string.h>

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "common/pki/sign.h"

#define DENYLIST_MAX	((size_t)LIMIT_DENY_FILE)
#define DENY_LINE_MAX	256
#define SERIAL_HEX_SIZE 129

/* Lines in one spelling, sorted. */
struct denylist {
	char **lines;
	size_t n;
};

void
denylist_free(struct denylist *d)
{
	size_t i;

	if (d == NULL)
		return;
	for (i = 0; i < d->n; i++)
		free(d->lines[i]);
	free(d->lines);
	free(d);
}

static int
compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "00A0" and "a0" are one number. */
static const char *
without_zeros(const char *hex)
{
	while (hex[0] == '0' && hex[1] != '\0')
		hex++;
	return hex;
}

static bool
is_digest(const char *s)
{
	return strlen(s) == (size_t)2 * DIGEST_LEN &&
	    s[strspn(s, "0123456789abcdef")] == '\0';
}

static bool
is_serial(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n < SERIAL_HEX_SIZE &&
	    s[strspn(s, "0123456789abcdef")] == '\0';
}

static void
lower(char *s)
{
	for (; *s != '\0'; s++)
		*s = (char)tolower((unsigned char)*s);
}

/* Each takes what stands behind its word, and appends the one spelling or
 * says what is wrong. */
static const char *
parse_serial(char *rest, struct buf *out)
{
	char *hex = rest + strcspn(rest, " \t");

	if (*hex != '\0')
		*hex++ = '\0';
	hex += strspn(hex, " \t");
	lower(rest);
	lower(hex);
	if (!is_digest(rest))
		return "the issuer's SHA-256 has 64 hexadecimal digits";
	if (!is_serial(hex))
		return "the serial number is 1 to 128 hexadecimal digits";
	buf_printf(out, "serial %s %s", rest, without_zeros(hex));
	return NULL;
}

static const char *
parse_subject_serial(char *rest, struct buf *out)
{
	if (strlen(rest) >= CERT_TEXT_MAX)
		return "the subject's serialNumber is too long";
	buf_printf(out, "subject-serial %s", rest);
	return NULL;
}

static const char *
parse_spki(char *rest, struct buf *out)
{
	lower(rest);
	if (!is_digest(rest))
		return "the key's SHA-256 has 64 hexadecimal digits";
	buf_printf(out, "spki %s", rest);
	return NULL;
}

/* A line without comment and surrounding space, not empty. */
static const char *
parse_line(char *line, struct buf *out)
{
	static const struct {
		const char *word;
		const char *(*parse)(char *rest, struct buf *out);
	} words[] = {
		{ "serial", parse_serial },
		{ "subject-serial", parse_subject_serial },
		{ "spki", parse_spki },
	};
	char *rest = line + strcspn(line, " \t");
	size_t i;

	if (*rest != '\0')
		*rest++ = '\0';
	rest += strspn(rest, " \t");
	for (i = 0; i < NELEMS(words); i++) {
		if (strcmp(line, words[i].word) != 0)
			continue;
		if (*rest == '\0')
			return "nothing behind the word";
		return words[i].parse(rest, out);
	}
	return "neither serial, subject-serial nor spki";
}

/* Cuts the comment and the space around; returns the start. */
static char *
trim(char *line)
{
	size_t n;

	line[strcspn(line, "#")] = '\0';
	line += strspn(line, " \t");
	for (n = strlen(line); n > 0 && isspace((unsigned char)line[n - 1]);)
		line[--n] = '\0';
	return line;
}

static const char *
add_line(struct denylist *d, char *line)
{
	struct buf one AUTO_BUF = { 0 };
	const char *why;

	if (strlen(line) >= DENY_LINE_MAX)
		return "line too long";
	line = trim(line);
	if (*line == '\0')
		return NULL;
	if ((why = parse_line(line, &one)) != NULL)
		return why;
	/* Grows at powers of two. */
	if ((d->n & (d->n - 1)) == 0)
		d->lines = xrealloc(
		    d->lines, (d->n > 0 ? d->n * 2 : 1) * sizeof(*d->lines));
	d->lines[d->n++] = xstrdup(buf_cstr(&one));
	return NULL;
}

struct denylist *
denylist_parse(struct bytes octets, const char *what, struct err *e)
{
	struct buf text AUTO_BUF = bytes_dup(octets);
	AUTO(denylist) d = xcalloc(1, sizeof(*d));
	const char *why;
	char *line, *next;
	unsigned number;

	if (memchr(buf_cstr(&text), '\0', text.len) != NULL) {
		err_set(e, ERR_CONF, "%s:1: not a text file", what);
		return NULL;
	}
	next = (char *)text.data;
	for (number = 1; (line = strsep(&next, "\n")) != NULL; number++) {
		if ((why = add_line(d, line)) != NULL) {
			err_set(e, ERR_CONF, "%s:%u: %s", what, number, why);
			return NULL;
		}
	}
	if (d->n > 0)
		qsort(d->lines, d->n, sizeof(*d->lines), compare_lines);
	return STEAL(d);
}

struct denylist *
denylist_load(const char *path, struct err *e)
{
	struct buf text AUTO_BUF = { 0 };

	return file_read(path, DENYLIST_MAX, &text, e) == -1
	    ? NULL
	    : denylist_parse(buf_bytes(&text), path, e);
}

static int
deny(const struct denylist *d, struct buf *line, struct err *e)
{
	const char *key = buf_cstr(line);

	if (d->n == 0 ||
	    bsearch(&key, d->lines, d->n, sizeof(*d->lines), compare_lines) ==
		NULL)
		return 0;
	return err_set(e, ERR_POLICY, "certificate: on the deny list: %s", key);
}

int
denylist_check(const struct denylist *d, X509 *x, struct err *e)
{
	struct buf by_serial AUTO_BUF = { 0 }, by_subject AUTO_BUF = { 0 };
	struct buf by_key AUTO_BUF = { 0 }, issuer AUTO_BUF = { 0 };
	char hex[2 * DIGEST_LEN + 1], serial[SERIAL_HEX_SIZE];
	char subject[CERT_TEXT_MAX] = "";
	EVP_PKEY *key = X509_get0_pubkey(x);
	struct digest md;

	if (d == NULL)
		return 0;
	ossl_name_der(X509_get_issuer_name(x), &issuer);
	md = digest_of(issuer.data, issuer.len);
	buf_printf(&by_serial, "serial %s %s",
	    hex_format(hex, md.b, sizeof(md.b)),
	    without_zeros(cert_serial_hex(x, serial, sizeof(serial))));
	/* Not all certificates have one, so its absence is no answer. */
	if (cert_subject_serial(x, subject, NULL) == 0)
		buf_printf(&by_subject, "subject-serial %s", subject);
	if (key != NULL) {
		md = spki_digest(key);
		buf_printf(
		    &by_key, "spki %s", hex_format(hex, md.b, sizeof(md.b)));
	}
	if (deny(d, &by_serial, e) == -1 || deny(d, &by_subject, e) == -1 ||
	    deny(d, &by_key, e) == -1)
		return -1;
	return 0;
}
