#include "cli/exchange.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "common/base/str.h"

#define PEM_MAX ((size_t)16 * 1024)

const char *
exchange_text(const json_t *j, const char *key, size_t max, struct err *e)
{
	const json_t *v = json_object_get(j, key);
	const char *s = json_string_value(v);

	if (s == NULL || json_string_length(v) > max ||
	    strlen(s) != json_string_length(v)) {
		err_set(e, ERR_INPUT,
		    "%s: a text of at most %zu octets is missing", key, max);
		return NULL;
	}
	return s;
}

json_t *
exchange_object(
    struct bytes text, const char *format, size_t n_keys, struct err *e)
{
	AUTO(json_t) j = json_parse(text, EXCHANGE_FILE_MAX, e);
	const char *got;

	if (j == NULL)
		return NULL;
	if ((got = exchange_text(j, "format", 64, e)) == NULL)
		return NULL;
	if (strcmp(got, format) != 0) {
		err_set(
		    e, ERR_INPUT, "format: '%s', expected '%s'", got, format);
		return NULL;
	}
	/* All keys are asked for by name, so a surplus is an unknown one. */
	if (json_object_size(j) != n_keys) {
		err_set(e, ERR_INPUT, "%zu keys, expected %zu",
		    json_object_size(j), n_keys);
		return NULL;
	}
	return STEAL(j);
}

int
exchange_name(const json_t *j, const char *key, char ret[33], struct err *e)
{
	const char *s = exchange_text(j, key, 32, e);

	if (s == NULL)
		return -1;
	if (!name_valid(s))
		return err_set(e, ERR_INPUT, "%s: '%s' is no name", key, s);
	str_copy(ret, 33, s);
	return 0;
}

void
exchange_set_text(json_t *j, const char *key, const char *value)
{
	if (json_object_set_new(j, key, json_string(value)) == -1)
		err_die("out of memory");
}

void
exchange_set_cert(json_t *j, const char *key, X509 *x)
{
	struct buf pem AUTO_BUF = { 0 };

	ossl_cert_pem(x, &pem);
	exchange_set_text(j, key, buf_cstr(&pem));
}

/* The DER of the one PEM block with this label that a text holds. */
static int
one_block(const char *pem, const char *label, struct buf *ret, struct err *e)
{
	AUTO(BIO) in = BIO_new_mem_buf(pem, -1);
	char *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	long len = 0;
	int rc = 0;

	if (in == NULL)
		err_die("out of memory");
	/* PEM_read_bio would pass over anything that stands before. */
	if (!str_starts(pem, "-----BEGIN ") ||
	    PEM_read_bio(in, &name, &header, &der, &len) != 1)
		rc = err_ossl(e, ERR_INPUT, "not PEM");
	else if (strcmp(name, label) != 0)
		rc = err_set(e, ERR_INPUT, "%s, expected %s", name, label);
	else if (BIO_pending(in) != 0)
		rc = err_set(e, ERR_INPUT, "more than one PEM block");
	else
		buf_add(ret, der, (size_t)len);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	return rc;
}

int
exchange_pem(const json_t *j, const char *key, const char *label,
    struct buf *ret, struct err *e)
{
	const char *pem = exchange_text(j, key, PEM_MAX, e);

	if (pem == NULL)
		return -1;
	if (one_block(pem, label, ret, e) == -1)
		return err_prefix(e, "%s", key);
	return 0;
}

X509 *
exchange_cert(const json_t *j, const char *key, struct err *e)
{
	struct buf der AUTO_BUF = { 0 };
	X509 *x;

	if (exchange_pem(j, key, PEM_STRING_X509, &der, e) == -1)
		return NULL;
	if ((x = ossl_cert_parse(buf_bytes(&der), e)) == NULL)
		err_prefix(e, "%s", key);
	return x;
}
