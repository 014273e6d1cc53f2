#include "common/pki/issue.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <limits.h>
#include <string.h>

#include <openssl/asn1t.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/objects.h>

#include "common/base/digest.h"
#include "common/pki/certfacts.h"
#include "common/pki/cmp_der.h"
#include "common/pki/sign.h"

#define SERIAL_LEN    16
#define YEAR_9999_END 253402300799
#define HOST_MAX      253 /* RFC 1035 2.3.4, without the root's dot */
#define LABEL_MAX     63
#define P256_POINT    65 /* 04, x, y */

/* RFC 4108 5: HardwareModuleName. */
typedef struct hw_module {
	ASN1_OBJECT *type;
	ASN1_OCTET_STRING *serial;
} HW_MODULE;

ASN1_SEQUENCE(HW_MODULE) = {
	ASN1_SIMPLE(HW_MODULE, type, ASN1_OBJECT),
	ASN1_SIMPLE(HW_MODULE, serial, ASN1_OCTET_STRING),
} static_ASN1_SEQUENCE_END(HW_MODULE)

static void
hw_module_free(HW_MODULE *m)
{
	ASN1_item_free((ASN1_VALUE *)m, ASN1_ITEM_rptr(HW_MODULE));
}

AUTO_DEFINE(HW_MODULE, HW_MODULE, hw_module_free);
AUTO_DEFINE(ASN1_STRING, ASN1_STRING, ASN1_STRING_free);
AUTO_DEFINE(ASN1_OCTET_STRING, ASN1_OCTET_STRING, ASN1_OCTET_STRING_free);
AUTO_DEFINE(GENERAL_NAME, GENERAL_NAME, GENERAL_NAME_free);
AUTO_DEFINE(GENERAL_NAMES, GENERAL_NAMES, GENERAL_NAMES_free);
AUTO_DEFINE(X509_EXTENSION, X509_EXTENSION, X509_EXTENSION_free);

static inline void
exts_free(STACK_OF(X509_EXTENSION) * s)
{
	sk_X509_EXTENSION_pop_free(s, X509_EXTENSION_free);
}
AUTO_DEFINE(EXTS, STACK_OF(X509_EXTENSION), exts_free);

/* What a certificate is built with: issuer is x itself if self-signed. */
struct build {
	X509 *x;
	X509 *issuer;
	const struct issue_spec *spec;
	bool key_as_octets; /* x's key need not be asked for */
};

static int
set_time(ASN1_TIME *t, uint64_t seconds)
{
	if (seconds == ISSUE_FOREVER)
		seconds = YEAR_9999_END;
	/* OpenSSL would write a year of five digits. */
	if (seconds > YEAR_9999_END)
		return 0;
	return ASN1_TIME_set(t, (time_t)seconds) != NULL;
}

static int
set_serial(X509 *x)
{
	uint8_t b[SERIAL_LEN];

	random_bytes(b, sizeof(b));
	/* RFC 5280 4.1.2.2: positive; and all of one length. */
	b[0] = (b[0] & 0x3f) | 0x40;
	return ASN1_STRING_set(X509_get_serialNumber(x), b, sizeof(b));
}

/* X509_set_pubkey has a key encoded, and decodes it again: twice the price of a
 * signature.  This is for P-256; 0: it is something else. */
static int
set_p256(X509 *x, EVP_PKEY *key)
{
	char group[32] = "";
	uint8_t point[P256_POINT], *own;
	size_t len = 0;

	if (EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1 ||
	    strcmp(group, SN_X9_62_prime256v1) != 0 ||
	    EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point,
		sizeof(point), &len) != 1 ||
	    len != sizeof(point)) {
		ERR_clear_error();
		return 0;
	}
	own = OPENSSL_memdup(point, len);
	if (own == NULL ||
	    X509_PUBKEY_set0_param(X509_get_X509_PUBKEY(x),
		OBJ_nid2obj(NID_X9_62_id_ecPublicKey), V_ASN1_OBJECT,
		OBJ_nid2obj(NID_X9_62_prime256v1), own, (int)len) != 1)
		err_die("out of memory");
	return 1;
}

static int
set_key(const struct build *b)
{
	return (b->key_as_octets && set_p256(b->x, b->spec->pubkey) == 1) ||
	    X509_set_pubkey(b->x, b->spec->pubkey) == 1;
}

static int
set_fields(const struct build *b, struct err *e)
{
	const struct issue_spec *s = b->spec;

	if (s->not_after < s->not_before)
		return err_set(e, ERR_INPUT,
		    "certificate: RFC 5280 4.1.2.5: ends before it begins");
	if (set_time(X509_getm_notBefore(b->x), s->not_before) != 1 ||
	    set_time(X509_getm_notAfter(b->x), s->not_after) != 1)
		return err_ossl(e, ERR_INPUT,
		    "certificate: RFC 5280 4.1.2.5: date out of range");
	if (X509_set_version(b->x, X509_VERSION_3) != 1 ||
	    set_serial(b->x) != 1 ||
	    X509_set_subject_name(b->x, s->subject) != 1 ||
	    X509_set_issuer_name(b->x,
		b->issuer == b->x ? s->subject
				  : X509_get_subject_name(b->issuer)) != 1 ||
	    set_key(b) != 1)
		return err_ossl(e, ERR_LOCAL, "certificate: not built");
	return 0;
}

/* An extension in OpenSSL's words; nothing to do without them. */
static int
add_ext(const struct build *b, int nid, const char *text, struct err *e)
{
	AUTO(X509_EXTENSION) ext = NULL;
	X509V3_CTX ctx;

	if (text == NULL)
		return 0;
	X509V3_set_ctx(&ctx, b->issuer, b->x, NULL, NULL, 0);
	X509V3_set_nconf(&ctx, NULL);
	ext = X509V3_EXT_nconf_nid(NULL, &ctx, nid, text);
	if (ext == NULL || X509_add_ext(b->x, ext, -1) != 1)
		return err_ossl(e, ERR_INPUT, "certificate: %s \"%s\"",
		    OBJ_nid2sn(nid), text);
	return 0;
}

static int
add_ca(const struct build *b, struct err *e)
{
	struct buf text AUTO_BUF = { 0 };

	if (!b->spec->ca)
		return 0;
	buf_add_str(&text, "critical,CA:TRUE");
	if (b->spec->pathlen >= 0)
		buf_printf(&text, ",pathlen:%d", b->spec->pathlen);
	return add_ext(b, NID_basic_constraints, buf_cstr(&text), e);
}

/* The names of a SAN's text; an empty list without one. */
static GENERAL_NAMES *
parse_san(const char *text, struct err *e)
{
	AUTO(X509_EXTENSION) ext = NULL;
	GENERAL_NAMES *names = NULL;
	X509V3_CTX ctx;

	if (text == NULL) {
		if ((names = GENERAL_NAMES_new()) == NULL)
			err_die("out of memory");
		return names;
	}
	X509V3_set_ctx(&ctx, NULL, NULL, NULL, NULL, 0);
	X509V3_set_nconf(&ctx, NULL);
	ext = X509V3_EXT_nconf_nid(NULL, &ctx, NID_subject_alt_name, text);
	if (ext == NULL || (names = X509V3_EXT_d2i(ext)) == NULL)
		err_ossl(
		    e, ERR_INPUT, "certificate: subjectAltName \"%s\"", text);
	return names;
}

/* RFC 4108 5: the hardware's type and serial number as an otherName. */
static GENERAL_NAME *
hw_name(const char *type_oid, struct bytes serial, struct err *e)
{
	AUTO(HW_MODULE) m = NULL;
	AUTO(GENERAL_NAME) name = GENERAL_NAME_new();
	AUTO(ASN1_TYPE) value = NULL;
	ASN1_OBJECT *id = OBJ_nid2obj(nid_hardware_module_name());

	m = (HW_MODULE *)ASN1_item_new(ASN1_ITEM_rptr(HW_MODULE));
	if (m == NULL || name == NULL)
		err_die("out of memory");
	ASN1_OBJECT_free(m->type);
	m->type = OBJ_txt2obj(type_oid, 1);
	if (m->type == NULL) {
		err_ossl(
		    e, ERR_INPUT, "certificate: hardware type %s", type_oid);
		return NULL;
	}
	if (ASN1_OCTET_STRING_set(m->serial, serial.p, (int)serial.len) != 1)
		err_die("out of memory");
	value = ASN1_TYPE_pack_sequence(ASN1_ITEM_rptr(HW_MODULE), m, NULL);
	if (value == NULL || GENERAL_NAME_set0_othername(name, id, value) != 1)
		err_die("out of memory");
	STEAL(value);
	return STEAL(name);
}

static int
add_san(const struct build *b, struct err *e)
{
	const struct issue_spec *s = b->spec;
	AUTO(GENERAL_NAMES) names = NULL;
	GENERAL_NAME *hw;

	if (s->san == NULL && s->hw_type_oid == NULL)
		return 0;
	if ((names = parse_san(s->san, e)) == NULL)
		return -1;
	if (s->hw_type_oid != NULL) {
		hw = hw_name(s->hw_type_oid, s->hw_serial, e);
		if (hw == NULL)
			return -1;
		if (sk_GENERAL_NAME_push(names, hw) == 0)
			err_die("out of memory");
	}
	if (X509_add1_ext_i2d(
		b->x, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) != 1)
		return err_ossl(e, ERR_LOCAL, "certificate: subjectAltName");
	return 0;
}

/* RFC 8995 2.3.2. */
static int
add_masa_url(const struct build *b, struct err *e)
{
	AUTO(ASN1_STRING) url = ASN1_STRING_type_new(V_ASN1_IA5STRING);
	AUTO(ASN1_OCTET_STRING) value = ASN1_OCTET_STRING_new();
	AUTO(X509_EXTENSION) ext = NULL;
	unsigned char *der = NULL;
	int len;

	if (b->spec->masa_url == NULL)
		return 0;
	if (url == NULL || value == NULL ||
	    ASN1_STRING_set(url, b->spec->masa_url, -1) != 1 ||
	    (len = i2d_ASN1_IA5STRING(url, &der)) <= 0)
		err_die("out of memory");
	ASN1_STRING_set0(value, der, len);
	ext = X509_EXTENSION_create_by_NID(NULL, nid_masa_url(), 0, value);
	if (ext == NULL || X509_add_ext(b->x, ext, -1) != 1)
		return err_ossl(e, ERR_LOCAL, "certificate: id-pe-masa-url");
	return 0;
}

/* Everything but the signature.  The order matters: a self-signed
 * certificate's AKI is taken from its SKI. */
static X509 *
build(const struct issue_spec *spec, X509 *issuer, bool key_as_octets,
    struct err *e)
{
	AUTO(X509) x = X509_new();
	struct build b = { x, issuer != NULL ? issuer : x, spec,
		key_as_octets };

	if (x == NULL)
		err_die("out of memory");
	if (set_fields(&b, e) == -1 || add_ca(&b, e) == -1 ||
	    add_ext(&b, NID_key_usage, spec->key_usage, e) == -1 ||
	    add_ext(&b, NID_ext_key_usage, spec->ext_key_usage, e) == -1 ||
	    add_ext(&b, NID_subject_key_identifier, "hash", e) == -1 ||
	    add_ext(&b, NID_authority_key_identifier, "keyid:always", e) ==
		-1 ||
	    add_san(&b, e) == -1 || add_masa_url(&b, e) == -1)
		return NULL;
	return STEAL(x);
}

X509 *
issue_cert(const struct issue_spec *spec, X509 *issuer, EVP_PKEY *issuer_key,
    struct err *e)
{
	AUTO(X509) x = build(spec, issuer, false, e);

	if (x == NULL)
		return NULL;
	if (X509_check_private_key(issuer != NULL ? issuer : x, issuer_key) !=
	    1) {
		err_ossl(e, ERR_LOCAL, "certificate: not the issuer's key");
		return NULL;
	}
	/* X509_sign returns the signature's length. */
	if (X509_sign(x, issuer_key, sign_md(issuer_key)) <= 0) {
		err_ossl(e, ERR_LOCAL, "certificate: cannot sign");
		return NULL;
	}
	return STEAL(x);
}

/* RFC 5758 3.2, RFC 4055 5, RFC 8410 3: what sign_md means in a certificate. */
static int
set_algorithm(const X509_ALGOR *alg, EVP_PKEY *key)
{
	static const struct {
		int key, nid, param;
	} algs[] = {
		{ EVP_PKEY_EC, NID_ecdsa_with_SHA256, V_ASN1_UNDEF },
		{ EVP_PKEY_RSA, NID_sha256WithRSAEncryption, V_ASN1_NULL },
		{ EVP_PKEY_ED25519, NID_ED25519, V_ASN1_UNDEF },
		{ EVP_PKEY_ED448, NID_ED448, V_ASN1_UNDEF },
	};
	int id = key != NULL ? EVP_PKEY_get_base_id(key) : EVP_PKEY_NONE;
	size_t i;

	/* There is no setter for a certificate's own field. */
	for (i = 0; i < NELEMS(algs); i++)
		if (algs[i].key == id)
			return X509_ALGOR_set0((X509_ALGOR *)alg,
			    OBJ_nid2obj(algs[i].nid), algs[i].param, NULL);
	return 0;
}

X509 *
issue_tbs(
    const struct issue_spec *spec, X509 *issuer, struct buf *tbs, struct err *e)
{
	AUTO(X509) x = build(spec, issuer, true, e);
	EVP_PKEY *key = X509_get0_pubkey(issuer);
	const X509_ALGOR *outer;
	unsigned char *der = NULL;
	int len;

	if (x == NULL)
		return NULL;
	X509_get0_signature(NULL, &outer, x);
	if (set_algorithm(X509_get0_tbs_sigalg(x), key) != 1 ||
	    set_algorithm(outer, key) != 1) {
		err_ossl(e, ERR_LOCAL, "certificate: issuer's kind of key");
		return NULL;
	}
	if ((len = i2d_re_X509_tbs(x, &der)) <= 0) {
		err_ossl(e, ERR_LOCAL, "certificate: not encoded");
		return NULL;
	}
	buf_add(tbs, der, (size_t)len);
	OPENSSL_free(der);
	return STEAL(x);
}

X509 *
issue_finish(struct bytes unsigned_cert, X509 *issuer, struct bytes signature,
    struct err *e)
{
	struct der top = der_open(unsigned_cert);
	struct der d = der_enter(&top, DER_SEQ);
	struct bytes tbs = der_whole(&d, DER_SEQ), alg = der_whole(&d, DER_SEQ);
	struct buf der AUTO_BUF = { 0 };
	AUTO(X509) x = NULL;
	size_t at;

	if (d.bad || signature.len == 0) {
		err_set(e, ERR_TRUST, "certificate: signature of %zu octets",
		    signature.len);
		return NULL;
	}
	buf_add(&der, tbs.p, tbs.len);
	buf_add(&der, alg.p, alg.len);
	at = der.len;
	buf_add(&der, "", 1); /* no unused bits */
	buf_add(&der, signature.p, signature.len);
	der_close(&der, at, DER_BITS);
	der_close(&der, 0, DER_SEQ);
	/* What goes out is what a reader of these octets sees. */
	if ((x = ossl_cert_parse(buf_bytes(&der), e)) == NULL)
		return NULL;
	if (X509_verify(x, X509_get0_pubkey(issuer)) != 1) {
		err_ossl(
		    e, ERR_TRUST, "certificate: signature is not the issuer's");
		return NULL;
	}
	return STEAL(x);
}

X509_NAME *
issue_name(const char *cn, const char *o, const char *serial_number)
{
	const struct {
		int nid;
		const char *text;
	} parts[] = {
		{ NID_organizationName, o },
		{ NID_commonName, cn },
		{ NID_serialNumber, serial_number },
	};
	AUTO(X509_NAME) name = X509_NAME_new();
	size_t i;

	if (name == NULL)
		err_die("out of memory");
	for (i = 0; i < NELEMS(parts); i++) {
		if (parts[i].text == NULL)
			continue;
		if (X509_NAME_add_entry_by_NID(name, parts[i].nid,
			MBSTRING_UTF8, (const unsigned char *)parts[i].text, -1,
			-1, 0) != 1) {
			ERR_clear_error();
			return NULL;
		}
	}
	return STEAL(name);
}

static int
add_request_san(X509_REQ *r, const char *san, struct err *e)
{
	AUTO(EXTS) exts = NULL;
	AUTO(GENERAL_NAMES) names = NULL;

	if (san == NULL)
		return 0;
	if ((names = parse_san(san, e)) == NULL)
		return -1;
	if (X509V3_add1_i2d(&exts, NID_subject_alt_name, names, 0,
		X509V3_ADD_DEFAULT) != 1 ||
	    X509_REQ_add_extensions(r, exts) != 1)
		return err_ossl(e, ERR_LOCAL, "request: subjectAltName");
	return 0;
}

X509_REQ *
issue_request(
    EVP_PKEY *key, const X509_NAME *subject, const char *san, struct err *e)
{
	AUTO(X509_REQ) r = X509_REQ_new();

	if (r == NULL)
		err_die("out of memory");
	if (X509_REQ_set_version(r, X509_REQ_VERSION_1) != 1 ||
	    X509_REQ_set_subject_name(r, subject) != 1 ||
	    X509_REQ_set_pubkey(r, key) != 1) {
		err_ossl(e, ERR_LOCAL, "request: not built");
		return NULL;
	}
	if (add_request_san(r, san, e) == -1)
		return NULL;
	/* The signature's length. */
	if (X509_REQ_sign(r, key, sign_md(key)) <= 0) {
		err_ossl(e, ERR_LOCAL, "request: cannot sign");
		return NULL;
	}
	return STEAL(r);
}

static bool
is_ip(const char *host)
{
	struct in6_addr addr;

	return inet_pton(AF_INET, host, &addr) == 1 ||
	    inet_pton(AF_INET6, host, &addr) == 1;
}

static bool
is_label(const char *p, size_t n)
{
	size_t i;

	if (n == 0 || n > LABEL_MAX || p[0] == '-' || p[n - 1] == '-')
		return false;
	for (i = 0; i < n; i++)
		if (p[i] != '-' &&
		    (!isalnum((unsigned char)p[i]) || (p[i] & 0x80) != 0))
			return false;
	return true;
}

bool
issue_host_valid(const char *host)
{
	const char *p, *dot;

	if (is_ip(host))
		return true;
	if (strlen(host) > HOST_MAX)
		return false;
	for (p = host; (dot = strchr(p, '.')) != NULL; p = dot + 1)
		if (!is_label(p, (size_t)(dot - p)))
			return false;
	/* RFC 3696 2: the last label is not all digits, or "1.2.3" and
	 * "10.0.0.256" would be names. */
	return is_label(p, strlen(p)) && p[strspn(p, "0123456789")] != '\0';
}
