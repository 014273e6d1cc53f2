#include "common/pki/certfacts.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/objects.h>

#include "common/base/cbor.h"
#include "common/base/str.h"

AUTO_DEFINE(GENERAL_NAMES, GENERAL_NAMES, GENERAL_NAMES_free);
AUTO_DEFINE(EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free);
AUTO_DEFINE(ASN1_IA5STRING, ASN1_IA5STRING, ASN1_IA5STRING_free);

#define NAME_SIZE 33 /* of a site or a service, see name_valid */

static CRYPTO_ONCE oids_once = CRYPTO_ONCE_STATIC_INIT;
static int oid_masa_url, oid_hardware_module_name;

/* Later releases of OpenSSL know some of these themselves. */
static int
make_oid(const char *oid, const char *name)
{
	int nid = OBJ_txt2nid(oid);

	if (nid == NID_undef)
		nid = OBJ_create(oid, name, name);
	if (nid == NID_undef)
		err_die("object identifiers cannot be registered");
	return nid;
}

static void
make_oids(void)
{
	oid_masa_url = make_oid("1.3.6.1.5.5.7.1.32", "id-pe-masa-url");
	oid_hardware_module_name =
	    make_oid("1.3.6.1.5.5.7.8.4", "id-on-hardwareModuleName");
}

static void
need_oids(void)
{
	if (CRYPTO_THREAD_run_once(&oids_once, make_oids) != 1)
		err_die("object identifiers cannot be registered");
}

int
nid_masa_url(void)
{
	need_oids();
	return oid_masa_url;
}

int
nid_hardware_module_name(void)
{
	need_oids();
	return oid_hardware_module_name;
}

static bool
is_printable_string(const unsigned char *p, size_t n)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz"
				  "0123456789 '()+,-./:=?";
	size_t i;

	for (i = 0; i < n; i++)
		if (p[i] == '\0' || strchr(set, p[i]) == NULL)
			return false;
	return true;
}

int
cert_subject_serial(X509 *x, char ret[CERT_TEXT_MAX], struct err *e)
{
	const X509_NAME *name = X509_get_subject_name(x);
	int at = X509_NAME_get_index_by_NID(name, NID_serialNumber, -1);
	const ASN1_STRING *s;
	size_t n;

	if (at < 0)
		return err_set(e, ERR_INPUT,
		    "certificate: RFC 8995 2.3.1: no serialNumber in subject");
	if (X509_NAME_get_index_by_NID(name, NID_serialNumber, at) >= 0)
		return err_set(e, ERR_INPUT,
		    "certificate: RFC 8995 2.3.1: two serialNumbers in "
		    "subject");
	s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
	n = (size_t)ASN1_STRING_length(s);
	if (n == 0 || n >= CERT_TEXT_MAX)
		return err_set(e, ERR_INPUT,
		    "certificate: subject serialNumber of %zu octets, limit %d",
		    n, CERT_TEXT_MAX - 1);
	if (!is_printable_string(ASN1_STRING_get0_data(s), n))
		return err_set(e, ERR_INPUT,
		    "certificate: RFC 5280 A.1: subject serialNumber is no "
		    "PrintableString");
	memcpy(ret, ASN1_STRING_get0_data(s), n);
	ret[n] = '\0';
	return 0;
}

/* The one extension of this kind; NULL if there is none, or two. */
static X509_EXTENSION *
only_ext(const X509 *x, int nid)
{
	int at = X509_get_ext_by_NID(x, nid, -1);

	if (at < 0 || X509_get_ext_by_NID(x, nid, at) >= 0)
		return NULL;
	return X509_get_ext(x, at);
}

/* RFC 3986 2: a URI has neither spaces nor control characters. */
static bool
is_graphic(const unsigned char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (p[i] <= 0x20 || p[i] >= 0x7f)
			return false;
	return true;
}

int
cert_masa_url(X509 *x, char *ret, size_t size, struct err *e)
{
	AUTO(ASN1_IA5STRING) url = NULL;
	X509_EXTENSION *ext = only_ext(x, nid_masa_url());
	const ASN1_OCTET_STRING *value;
	const unsigned char *p, *end;
	size_t n;

	if (ext == NULL)
		return err_set(e, ERR_INPUT,
		    "certificate: RFC 8995 2.3.2: not one id-pe-masa-url");
	value = X509_EXTENSION_get_data(ext);
	p = ASN1_STRING_get0_data(value);
	end = p + ASN1_STRING_length(value);
	url = d2i_ASN1_IA5STRING(NULL, &p, end - p);
	if (url == NULL || p != end)
		return err_ossl(e, ERR_INPUT,
		    "certificate: RFC 8995 2.3.2: id-pe-masa-url is no "
		    "IA5String");
	p = ASN1_STRING_get0_data(url);
	n = (size_t)ASN1_STRING_length(url);
	if (n == 0 || n >= size || !is_graphic(p, n))
		return err_set(e, ERR_INPUT,
		    "certificate: RFC 8995 2.3.2: id-pe-masa-url of %zu octets "
		    "is empty, too long, or no URL",
		    n);
	memcpy(ret, p, n);
	ret[n] = '\0';
	return 0;
}

/* What stands behind prefix in a URI SAN, if n is one; len 0 if not. */
static struct bytes
uri_behind(const GENERAL_NAME *n, const char *prefix)
{
	size_t skip = strlen(prefix), len;
	const unsigned char *p;

	if (n->type != GEN_URI)
		return bytes_of(NULL, 0);
	p = ASN1_STRING_get0_data(n->d.uniformResourceIdentifier);
	len = (size_t)ASN1_STRING_length(n->d.uniformResourceIdentifier);
	if (len < skip || memcmp(p, prefix, skip) != 0)
		return bytes_of(NULL, 0);
	/* The bare prefix is one of ours as well, with a name of "?". */
	return len > skip ? bytes_of(p + skip, len - skip) : bytes_of("?", 1);
}

static int
urn_name(X509 *x, const char *prefix, char ret[NAME_SIZE], struct err *e)
{
	AUTO(GENERAL_NAMES) names = NULL;
	char name[NAME_SIZE] = "";
	struct bytes found;
	int i, seen = 0;

	names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	ERR_clear_error();
	for (i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		found = uri_behind(sk_GENERAL_NAME_value(names, i), prefix);
		if (found.len == 0)
			continue;
		seen++;
		/* Too long, or with a NUL inside: "" stays, and is invalid. */
		name[0] = '\0';
		if (found.len < sizeof(name) &&
		    memchr(found.p, '\0', found.len) == NULL)
			snprintf(name, sizeof(name), "%.*s", (int)found.len,
			    (const char *)found.p);
	}
	if (seen != 1)
		return err_set(e, ERR_TRUST,
		    "certificate: %d SANs of URI:%sNAME, wanted one", seen,
		    prefix);
	if (!name_valid(name))
		return err_set(e, ERR_TRUST,
		    "certificate: name behind URI:%s is not valid", prefix);
	str_copy(ret, NAME_SIZE, name);
	return 0;
}

int
cert_site(X509 *x, char ret[NAME_SIZE], struct err *e)
{
	return urn_name(x, "urn:waybill:site:", ret, e);
}

int
cert_service(X509 *x, char ret[NAME_SIZE], struct err *e)
{
	return urn_name(x, "urn:waybill:service:", ret, e);
}

bool
cert_has_eku(X509 *x, int nid)
{
	AUTO(EXTENDED_KEY_USAGE) usages = NULL;
	int i;

	usages = X509_get_ext_d2i(x, NID_ext_key_usage, NULL, NULL);
	ERR_clear_error();
	for (i = 0; i < sk_ASN1_OBJECT_num(usages); i++)
		if (OBJ_obj2nid(sk_ASN1_OBJECT_value(usages, i)) == nid)
			return true;
	return false;
}

bool
cert_has_cmcra(X509 *x)
{
	return cert_has_eku(x, NID_cmcRA);
}

bool
cert_may_sign(X509 *x)
{
	/* All bits if absent, none if the extensions cannot be read. */
	return (X509_get_key_usage(x) & KU_DIGITAL_SIGNATURE) != 0;
}

bool
cert_may_be_client(X509 *x)
{
	/* All bits if absent. */
	return (X509_get_extended_key_usage(x) &
		   (XKU_SSL_CLIENT | XKU_ANYEKU)) != 0;
}

bool
cert_is_ca(X509 *x)
{
	/* The other values stand for guesses from before basicConstraints. */
	return X509_check_ca(x) == 1;
}

static struct bytes
serial_octets(X509 *x)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(x);

	return bytes_of(
	    ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial));
}

struct digest
cert_device(X509 *x, const char *profile)
{
	struct buf parts AUTO_BUF = { 0 };
	struct buf issuer AUTO_BUF = { 0 };
	struct bytes serial = serial_octets(x);

	ossl_name_der(X509_get_issuer_name(x), &issuer);
	cbor_write_array(&parts, 3);
	cbor_write_bytes(&parts, issuer.data, issuer.len);
	cbor_write_bytes(&parts, serial.p, serial.len);
	cbor_write_text(&parts, profile);
	return digest_of(parts.data, parts.len);
}

static char *
name_text(const X509_NAME *name, char *ret, size_t size)
{
	AUTO(BIO) mem = BIO_new(BIO_s_mem());
	char *text = NULL;
	long len;

	if (mem == NULL)
		err_die("out of memory");
	/* This form escapes all that is not printable ASCII. */
	if (X509_NAME_print_ex(mem, name, 0, XN_FLAG_RFC2253) < 0) {
		ERR_clear_error();
		str_copy(ret, size, "?");
		return ret;
	}
	len = BIO_get_mem_data(mem, &text);
	snprintf(ret, size, "%.*s", (int)len, len > 0 ? text : "");
	return ret;
}

char *
cert_subject_text(X509 *x, char *ret, size_t size)
{
	return name_text(X509_get_subject_name(x), ret, size);
}

char *
cert_issuer_text(X509 *x, char *ret, size_t size)
{
	return name_text(X509_get_issuer_name(x), ret, size);
}

char *
cert_serial_hex(X509 *x, char *ret, size_t size)
{
	struct bytes serial = serial_octets(x);
	size_t n = (size - 1) / 2;

	assert(size > 0);
	return hex_format(ret, serial.p, serial.len < n ? serial.len : n);
}

struct bytes
cert_ski(X509 *x)
{
	const ASN1_OCTET_STRING *ski = X509_get0_subject_key_id(x);

	if (ski == NULL)
		return bytes_of(NULL, 0);
	return bytes_of(
	    ASN1_STRING_get0_data(ski), (size_t)ASN1_STRING_length(ski));
}

static int
seconds_of(const ASN1_TIME *t, const char *what, uint64_t *ret, struct err *e)
{
	struct tm tm;
	time_t at;

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return err_ossl(e, ERR_INPUT,
		    "certificate: RFC 5280 4.1.2.5: %s is no time", what);
	at = timegm(&tm);
	if (at < 0)
		return err_set(
		    e, ERR_INPUT, "certificate: %s before 1970", what);
	*ret = (uint64_t)at;
	return 0;
}

int
cert_validity(X509 *x, uint64_t *ret_from, uint64_t *ret_to, struct err *e)
{
	uint64_t from = 0, to = 0;

	if (seconds_of(X509_get0_notBefore(x), "notBefore", &from, e) == -1 ||
	    seconds_of(X509_get0_notAfter(x), "notAfter", &to, e) == -1)
		return -1;
	*ret_from = from;
	*ret_to = to;
	return 0;
}
