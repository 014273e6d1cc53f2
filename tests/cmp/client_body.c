/* Bodies, right and wrong. */
#include "tests/cmp/client.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/rsa.h>

#include "common/base/str.h"
#include "common/pki/issue.h"

#define OID_OLD_CERT  "\x2b\x06\x01\x05\x05\x07\x05\x01\x05"
#define OID_PRIVATE   "\x2b\x06\x01\x04\x01\x81\xfd\x58\x01" /* nobody's */
#define OID_REASON    "\x55\x1d\x15"
#define OID_BASIC     "\x55\x1d\x13"
#define OID_KEY_USAGE "\x55\x1d\x0f"
#define OID_SAN	      "\x55\x1d\x11"

void
add_directory_name(const X509_NAME *name, struct buf *out)
{
	size_t at = out->len;

	if (name != NULL)
		ossl_name_der(name, out);
	else
		der_close(out, at, DER_SEQ);
	der_close(out, at, DER_CTX(4));
}

static void
add_oid(const char *octets, struct buf *out)
{
	der_add(out, DER_OID, bytes_of(octets, strlen(octets)));
}

/* ---- ir, cr, kur ------------------------------------------------------- */

/* Weak ones are made anew, good ones are the client's. */
static EVP_PKEY *
key_asked(const struct client *c)
{
	EVP_PKEY *k = NULL;

	if (wrong_is(c, "key", "rsa1024"))
		k = EVP_RSA_gen(1024);
	else if (wrong_is(c, "key", "secp224r1"))
		k = EVP_EC_gen("P-224");
	else if (wrong_is(c, "key", "secp192r1"))
		k = EVP_EC_gen("P-192");
	else if (wrong_is(c, "key", "x25519"))
		k = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	else if (EVP_PKEY_up_ref(c->new_key) == 1)
		k = c->new_key;
	if (k == NULL)
		err_die("no key");
	return k;
}

/* The signer's own; in the domain a device no longer is its maker's.  Owned. */
static X509_NAME *
subject_asked(const struct client *c, enum cmp_body type)
{
	X509_NAME *name;
	int at;

	if (c->subject != NULL)
		return issue_name(c->subject, NULL, NULL);
	name = wrong_is(c, "subject", "empty")
	    ? X509_NAME_new()
	    : X509_NAME_dup(X509_get_subject_name(c->signer->cert));
	if (type != CMP_IR && type != CMP_P10CR)
		return name;
	at = X509_NAME_get_index_by_NID(name, NID_organizationName, -1);
	X509_NAME_ENTRY_free(X509_NAME_delete_entry(name, at));
	return name;
}

static void
add_subject(const struct client *c, enum cmp_body type, struct buf *out)
{
	AUTO(X509_NAME) asked = subject_asked(c, type);
	size_t at = out->len;

	if (wrong_is(c, "subject", "absent"))
		return;
	ossl_name_der(asked, out);
	der_close(out, at, DER_CTX(5));
}

static void
add_public_key(const struct client *c, EVP_PKEY *key, struct buf *out)
{
	size_t at = out->len;

	if (wrong_is(c, "key", "absent"))
		return;
	ossl_spki_der(key, out);
	if (wrong_is(c, "key", "empty")) {
		out->len = at;
		der_close(out, at, DER_SEQ);
	}
	out->data[at] = DER_CTX(6);
}

static void
add_extension(
    const char *oid, bool critical, struct bytes value, struct buf *out)
{
	size_t at = out->len;

	add_oid(oid, out);
	if (critical)
		der_add(out, 0x01, bytes_of("\xff", 1));
	der_add(out, DER_OCTETS, value);
	der_close(out, at, DER_SEQ);
}

static void
add_extensions(const struct client *c, struct buf *out)
{
	size_t at = out->len;

	if (wrong_is(c, "extension", "ca"))
		add_extension(
		    OID_BASIC, true, bytes_of("\x30\x03\x01\x01\xff", 5), out);
	else if (wrong_is(c, "extension", "unknown"))
		add_extension(OID_PRIVATE, true, bytes_of("\x05\x00", 2), out);
	else if (wrong_is(c, "extension", "usage"))
		add_extension(
		    OID_KEY_USAGE, true, bytes_of("\x03\x02\x07\x80", 4), out);
	else if (wrong_is(c, "extension", "san"))
		add_extension(OID_SAN, false,
		    bytes_of("\x30\x0b\x82\x09pump.test", 13), out);
	else
		return;
	der_close(out, at, DER_SEQ);
	out->data[at] = DER_CTX(9);
}

static void
add_template(
    const struct client *c, enum cmp_body type, EVP_PKEY *key, struct buf *out)
{
	size_t at = out->len;

	if (wrong_is(c, "template", "version"))
		der_add(out, 0x80, bytes_of("\x02", 1));
	if (wrong_is(c, "template", "serial"))
		der_add(out, 0x81, bytes_of("\x05", 1));
	add_subject(c, type, out);
	add_public_key(c, key, out);
	add_extensions(c, out);
	der_close(out, at, DER_SEQ);
}

static void
add_old_cert(const struct client *c, struct buf *out)
{
	X509 *old = c->old != NULL ? c->old : c->signer->cert;
	bool other = wrong_is(c, "oldcert", "wrong");
	size_t at = out->len, value;

	add_oid(OID_OLD_CERT, out);
	value = out->len;
	add_directory_name(X509_get_issuer_name(old), out);
	if (other)
		der_add(out, DER_INTEGER, bytes_of("\x05", 1));
	else
		cmp_add_serial(old, DER_INTEGER, out);
	der_close(out, value, DER_SEQ);
	der_close(out, at, DER_SEQ);
}

static void
add_controls(const struct client *c, enum cmp_body type, struct buf *out)
{
	size_t at = out->len, one;

	if (type == CMP_KUR && !wrong_is(c, "oldcert", "absent"))
		add_old_cert(c, out);
	if (wrong(c, "control") != NULL) {
		one = out->len;
		add_oid(OID_PRIVATE, out);
		der_add(out, DER_UTF8, bytes_of("odd", 3));
		der_close(out, one, DER_SEQ);
	}
	if (out->len > at)
		der_close(out, at, DER_SEQ);
}

/* RFC 4211 4.1, over the CertRequest that stands since `at`. */
static int
add_pop(const struct client *c, EVP_PKEY *key, size_t request, struct buf *out,
    struct err *e)
{
	struct buf signed_part AUTO_BUF =
	    bytes_dup(bytes_of(out->data + request, out->len - request));
	size_t at = out->len;

	if (wrong_is(c, "pop", "absent"))
		return 0;
	if (wrong_is(c, "pop", "raverified")) {
		der_add(out, 0x80, bytes_of("", 0));
		return 0;
	}
	if (wrong_is(c, "pop", "encipherment")) {
		/* subsequentMessage [1]: encrCert 0 */
		der_add(out, 0x81, bytes_of("\0", 1));
		der_close(out, at, DER_CTX(2));
		return 0;
	}
	if (wrong_is(c, "pop", "wrong"))
		signed_part.data[signed_part.len - 1] ^= 1;
	if (wrong_is(c, "pop", "other"))
		key = c->signer->key;
	if (algorithm_of(c->pop_alg, key, out, e) == -1 ||
	    sign_by(c->pop_alg, key, buf_bytes(&signed_part), out, e) == -1)
		return -1;
	der_close(out, at, DER_CTX(1));
	return 0;
}

static int
add_request(
    const struct client *c, enum cmp_body type, struct buf *out, struct err *e)
{
	AUTO(EVP_PKEY) key = key_asked(c);
	size_t at = out->len;

	der_add_long(out, wrong_long(c, "certreqid", 0));
	add_template(c, type, key, out);
	add_controls(c, type, out);
	der_close(out, at, DER_SEQ);
	if (strcmp(wrong(c, "key") != NULL ? wrong(c, "key") : "", "x25519") ==
	    0)
		return 0;
	if (add_pop(c, key, at, out, e) == -1)
		return -1;
	der_close(out, at, DER_SEQ);
	return 0;
}

static int
body_requests(
    const struct client *c, enum cmp_body type, struct buf *out, struct err *e)
{
	long n = wrong_long(c, "requests", 1);
	size_t at = out->len;

	while (n-- > 0)
		if (add_request(c, type, out, e) == -1)
			return -1;
	der_close(out, at, DER_SEQ);
	cmp_close_body(out, at, type);
	return 0;
}

/* ---- p10cr ------------------------------------------------------------- */

static int
body_p10cr(const struct client *c, struct buf *out, struct err *e)
{
	AUTO(EVP_PKEY) key = key_asked(c);
	AUTO(X509_NAME) asked = subject_asked(c, CMP_P10CR);
	int rc = cmp_body_p10cr(key, asked, out, e);

	if (rc == 0)
		rc = csr_sign_by(c->pop_alg, key, out, e);
	if (rc == 0 && wrong(c, "pop") != NULL)
		out->data[out->len - 1] ^= 1;
	return rc;
}

/* ---- rr ---------------------------------------------------------------- */

/* A number in place of the right one; absent, twice, critical and beside are
 * none. */
static long
reason_of(const struct client *c)
{
	const char *value = wrong(c, "reason");

	return value != NULL && value[0] >= '0' && value[0] <= '9'
	    ? strtol(value, NULL, 10)
	    : c->reason;
}

static void
add_revocation(const struct client *c, struct buf *out)
{
	X509 *x = c->old != NULL ? c->old : c->signer->cert;
	size_t at = out->len, part;

	if (wrong_is(c, "serial", "wrong"))
		der_add(out, 0x81, bytes_of("\x05", 1));
	else if (!wrong_is(c, "serial", "absent"))
		cmp_add_serial(x, 0x81, out);
	if (!wrong_is(c, "issuer", "absent")) {
		part = out->len;
		ossl_name_der(wrong(c, "issuer") != NULL
			? X509_get_subject_name(x)
			: X509_get_issuer_name(x),
		    out);
		der_close(out, part, DER_CTX(3));
	}
	der_close(out, at, DER_SEQ);
	part = out->len;
	if (!wrong_is(c, "reason", "absent")) {
		uint8_t code[3] = { 0x0a, 1, (uint8_t)reason_of(c) };
		bool critical = wrong_is(c, "reason", "critical");

		if (critical || wrong_is(c, "reason", "beside"))
			add_extension(OID_PRIVATE, critical,
			    bytes_of("\x05\x00", 2), out);
		add_extension(OID_REASON, false, bytes_of(code, 3), out);
		if (wrong_is(c, "reason", "twice"))
			add_extension(
			    OID_REASON, false, bytes_of(code, 3), out);
		der_close(out, part, DER_SEQ);
	}
	der_close(out, at, DER_SEQ);
}

static void
body_revocation(const struct client *c, struct buf *out)
{
	long n = wrong_long(c, "requests", 1);
	size_t at = out->len;

	while (n-- > 0)
		add_revocation(c, out);
	der_close(out, at, DER_SEQ);
	cmp_close_body(out, at, CMP_RR);
}

/* ---- genm -------------------------------------------------------------- */

static const struct {
	const char *op;
	enum cmp_info_type type;
} infos[] = {
	{ "genm-cacerts", CMP_INFO_CA_CERTS },
	{ "genm-root", CMP_INFO_ROOT_CERT },
	{ "genm-template", CMP_INFO_TEMPLATE },
	{ "genm-crl", CMP_INFO_CRL_STATUS },
	{ "genm-odd", (enum cmp_info_type)99 },
};

static void
info_value(const struct client *c, enum cmp_info_type type, struct buf *out)
{
	if (wrong_is(c, "value", "absent"))
		return;
	if (wrong_is(c, "value", "odd"))
		der_add(out, DER_UTF8, bytes_of("odd", 3));
	else if (type == CMP_INFO_ROOT_CERT)
		ossl_cert_der(c->root, out);
	else if (type == CMP_INFO_CRL_STATUS)
		cmp_info_crl_status(wrong_is(c, "issuer", "other")
			? X509_get_subject_name(c->root)
			: X509_get_issuer_name(c->signer->cert),
		    (uint64_t)wrong_long(c, "since", 0), out);
}

static int
body_info(
    const struct client *c, const char *op, struct buf *out, struct err *e)
{
	struct buf value AUTO_BUF = { 0 }, one AUTO_BUF = { 0 };
	long n = wrong_long(c, "infos", 1);
	size_t i = 0, at = out->len;
	struct der d;

	while (i < NELEMS(infos) && strcmp(infos[i].op, op) != 0)
		i++;
	if (i == NELEMS(infos))
		return err_set(e, ERR_USAGE, "no operation %s", op);
	info_value(c, infos[i].type, &value);
	cmp_body_info(CMP_GENM, infos[i].type, buf_bytes(&value), &one);
	d = der_open(buf_bytes(&one));
	d = der_enter(&d, DER_CTX(CMP_GENM));
	d = der_enter(&d, DER_SEQ);
	while (n-- > 0)
		buf_add(out, d.rest.p, d.rest.len);
	der_close(out, at, DER_SEQ);
	cmp_close_body(out, at, CMP_GENM);
	return 0;
}

/* ---- all --------------------------------------------------------------- */

static const struct {
	const char *op;
	enum cmp_body type, response;
	long id;
} ops[] = {
	{ "ir", CMP_IR, CMP_IP, 0 },
	{ "cr", CMP_CR, CMP_CP, 0 },
	{ "kur", CMP_KUR, CMP_KUP, 0 },
	{ "p10cr", CMP_P10CR, CMP_CP, -1 },
	{ "rr", CMP_RR, CMP_RP, -1 },
	{ "pollreq", CMP_POLLREQ, CMP_ERROR, 0 },
	{ "certconf", CMP_CERTCONF, CMP_PKICONF, 0 },
	{ "error", CMP_ERROR, CMP_PKICONF, 0 },
	{ "pkiconf", CMP_PKICONF, CMP_ERROR, 0 },
	{ "genp", CMP_GENP, CMP_ERROR, 0 },
	{ "ip", CMP_IP, CMP_ERROR, 0 },
	{ "pollrep", CMP_POLLREP, CMP_ERROR, 0 },
};

enum cmp_body
op_response(const char *op)
{
	for (size_t i = 0; i < NELEMS(ops); i++)
		if (strcmp(ops[i].op, op) == 0)
			return ops[i].response;
	return CMP_GENP;
}

long
op_id(const char *op)
{
	for (size_t i = 0; i < NELEMS(ops); i++)
		if (strcmp(ops[i].op, op) == 0)
			return ops[i].id;
	return -1;
}

void
body_of_poll(const struct client *c, struct buf *out)
{
	struct buf one AUTO_BUF = { 0 };
	long n = wrong_long(c, "requests", 1);
	size_t at = out->len;
	struct der d;

	cmp_body_pollreq(wrong_long(c, "certreqid", c->poll_id), &one);
	d = der_open(buf_bytes(&one));
	d = der_enter(&d, DER_CTX(CMP_POLLREQ));
	d = der_enter(&d, DER_SEQ);
	while (n-- > 0)
		buf_add(out, d.rest.p, d.rest.len);
	der_close(out, at, DER_SEQ);
	cmp_close_body(out, at, CMP_POLLREQ);
}

/* certConf, RFC 9810 5.3.18 */
void
body_of_confirm(const struct client *c, X509 *cert, struct buf *out)
{
	bool refuse = c->outcome != NULL && strcmp(c->outcome, "reject") == 0;
	struct buf one AUTO_BUF = { 0 };
	size_t at = out->len;
	struct der d;
	long n = wrong_long(c, "requests", 1);

	cmp_body_certconf(wrong_long(c, "certreqid", op_id(c->op)),
	    wrong_is(c, "hash", "other") ? c->root : cert, !refuse,
	    refuse ? "not what was asked for" : NULL, &one);
	d = der_open(buf_bytes(&one));
	d = der_enter(&d, DER_CTX(CMP_CERTCONF));
	d = der_enter(&d, DER_SEQ);
	while (n-- > 0)
		buf_add(out, d.rest.p, d.rest.len);
	der_close(out, at, DER_SEQ);
	cmp_close_body(out, at, CMP_CERTCONF);
}

static int
body_other(const struct client *c, enum cmp_body type, struct buf *out)
{
	switch ((int)type) {
	case CMP_POLLREQ:
		body_of_poll(c, out);
		break;
	case CMP_CERTCONF:
		body_of_confirm(c, c->signer->cert, out);
		break;
	case CMP_ERROR:
		cmp_body_error(CMP_REJECTION, CMP_BAD_REQUEST, "no", out);
		break;
	case CMP_PKICONF:
		cmp_body_pkiconf(out);
		break;
	case CMP_IP:
		cmp_body_waiting(CMP_IR, 0, out);
		break;
	case CMP_POLLREP:
		cmp_body_pollrep(0, 1, out);
		break;
	default:
		cmp_body_info(
		    CMP_GENP, CMP_INFO_CA_CERTS, bytes_of(NULL, 0), out);
	}
	return 0;
}

/* "empty": an empty SEQUENCE; "malformed": an INTEGER; a number: that type. */
static void
spoil_whole(const struct client *c, enum cmp_body type, struct buf *out)
{
	const char *value = wrong(c, "body");
	size_t at = 0;

	if (value == NULL)
		return;
	buf_reset(out);
	if (strcmp(value, "malformed") == 0)
		der_add_long(out, 7);
	else
		der_close(out, at, DER_SEQ);
	if (value[0] >= '0' && value[0] <= '9')
		type = (enum cmp_body)strtol(value, NULL, 10);
	cmp_close_body(out, at, type);
}

int
body_of_op(
    const struct client *c, const char *op, struct buf *out, struct err *e)
{
	enum cmp_body type = CMP_GENM;
	int rc;

	for (size_t i = 0; i < NELEMS(ops); i++)
		if (strcmp(ops[i].op, op) == 0)
			type = ops[i].type;
	if (type == CMP_IR || type == CMP_CR || type == CMP_KUR)
		rc = body_requests(c, type, out, e);
	else if (type == CMP_P10CR)
		rc = body_p10cr(c, out, e);
	else if (type == CMP_GENM)
		rc = body_info(c, op, out, e);
	else if (type == CMP_RR)
		body_revocation(c, out), rc = 0;
	else
		rc = body_other(c, type, out);
	if (rc == 0)
		spoil_whole(c, type, out);
	return rc;
}
