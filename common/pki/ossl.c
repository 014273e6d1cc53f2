#include "common/pki/ossl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "common/base/file.h"
#include "common/base/limits.h"

#define CERTS_MAX      LIMIT_PEM_CERTIFICATES
#define CERTS_FILE_MAX ((size_t)LIMIT_PEM_FILE)
#define KEY_FILE_MAX   ((size_t)LIMIT_KEY_FILE)

/* "EVP lib" names where an error passed through, not what was wrong. */
static bool
says_nothing(const char *reason)
{
	size_t n = strlen(reason);

	return n > 4 && strcmp(reason + n - 4, " lib") == 0;
}

int
err_ossl(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	const char *data = "", *reason;
	char msg[ERR_MSG_MAX];
	int flags = 0;
	unsigned long code;
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(msg, sizeof(msg), fmt, ap) < 0)
		msg[0] = '\0';
	va_end(ap);
	code = ERR_peek_last_error_all(NULL, NULL, NULL, &data, &flags);
	reason = ERR_reason_error_string(code);
	if (code == 0 || reason == NULL || says_nothing(reason))
		err_set(e, kind, "%s", msg);
	else if ((flags & ERR_TXT_STRING) != 0 && data[0] != '\0')
		err_set(e, kind, "%s: %s (%s)", msg, reason, data);
	else
		err_set(e, kind, "%s: %s", msg, reason);
	ERR_clear_error();
	return -1;
}

/* Never ask at a terminal for a password nobody will type. */
static int
no_password(char *buf, int size, int rwflag, void *arg)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)arg;
	return -1;
}

/* One block of a PEM file, in OpenSSL's memory. */
struct pem_block {
	char *label, *header;
	unsigned char *data;
	long len;
};

static void
pem_block_done(struct pem_block *b)
{
	OPENSSL_free(b->label);
	OPENSSL_free(b->header);
	OPENSSL_clear_free(b->data, b->len > 0 ? (size_t)b->len : 0);
}

/* 1 and a block, 0 at the end of the file, -1 if it is not PEM. */
static int
pem_next(BIO *in, struct pem_block *ret)
{
	unsigned long code;

	if (PEM_read_bio(in, &ret->label, &ret->header, &ret->data, &ret->len))
		return 1;
	code = ERR_peek_last_error();
	if (ERR_GET_LIB(code) != ERR_LIB_PEM ||
	    ERR_GET_REASON(code) != PEM_R_NO_START_LINE)
		return -1;
	ERR_clear_error();
	return 0;
}

/* Adds the next block to certs if it is a certificate; as pem_next. */
static int
add_next_cert(BIO *in, const char *path, STACK_OF(X509) * certs, struct err *e)
{
	__attribute__((cleanup(pem_block_done))) struct pem_block b = { 0 };
	AUTO(X509) x = NULL;
	int rc = pem_next(in, &b);

	if (rc == -1)
		return err_ossl(e, ERR_CONF, "%s: not PEM", path);
	if (rc == 0 || strcmp(b.label, PEM_STRING_X509) != 0)
		return rc;
	x = ossl_cert_parse(bytes_of(b.data, (size_t)b.len), e);
	if (x == NULL) {
		if (e != NULL)
			e->kind = ERR_CONF;
		return err_prefix(
		    e, "%s: certificate %d", path, sk_X509_num(certs) + 1);
	}
	if (sk_X509_num(certs) == CERTS_MAX)
		return err_set(e, ERR_CONF, "%s: more than %d certificates",
		    path, CERTS_MAX);
	if (sk_X509_push(certs, x) == 0)
		err_die("out of memory");
	STEAL(x);
	return 1;
}

STACK_OF(X509) * ossl_load_certs(const char *path, struct err *e)
{
	struct buf text AUTO_BUF = { 0 };
	AUTO(X509S) certs = sk_X509_new_null();
	AUTO(BIO) in = NULL;
	int rc;

	if (file_read(path, CERTS_FILE_MAX, &text, e) == -1)
		return NULL;
	in = BIO_new_mem_buf(buf_cstr(&text), (int)text.len);
	if (in == NULL || certs == NULL)
		err_die("out of memory");
	while ((rc = add_next_cert(in, path, certs, e)) == 1)
		continue;
	if (rc == -1)
		return NULL;
	if (sk_X509_num(certs) == 0) {
		err_set(e, ERR_CONF, "%s: no certificate in it", path);
		return NULL;
	}
	return STEAL(certs);
}

X509 *
ossl_load_cert(const char *path, struct err *e)
{
	AUTO(X509S) certs = ossl_load_certs(path, e);

	return certs != NULL ? sk_X509_shift(certs) : NULL;
}

EVP_PKEY *
ossl_load_key(const char *path, struct err *e)
{
	struct buf text AUTO_SECRET = { 0 };
	AUTO(BIO) in = NULL;
	EVP_PKEY *key;
	struct stat st;

	if (stat(path, &st) == 0 && (st.st_mode & 077) != 0) {
		err_set(e, ERR_PERM,
		    "%s: mode %04o lets others at the key, wanted 0600", path,
		    (unsigned)st.st_mode & 07777);
		return NULL;
	}
	if (file_read(path, KEY_FILE_MAX, &text, e) == -1)
		return NULL;
	in = BIO_new_mem_buf(text.data, (int)text.len);
	if (in == NULL)
		err_die("out of memory");
	key = PEM_read_bio_PrivateKey(in, NULL, no_password, NULL);
	if (key == NULL)
		err_ossl(e, ERR_CONF, "%s: no unencrypted private key", path);
	/* The decoders leave their failed guesses behind. */
	ERR_clear_error();
	return key;
}

EVP_PKEY *
ossl_new_key_p256(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");

	if (key == NULL)
		err_die("a P-256 key cannot be made");
	return key;
}

EVP_PKEY *
ossl_new_key(const char *kind, struct err *e)
{
	EVP_PKEY *key = NULL;

	if (strcmp(kind, "p256") == 0)
		return ossl_new_key_p256();
	if (strcmp(kind, "p384") == 0)
		key = EVP_EC_gen("P-384");
	else if (strcmp(kind, "p521") == 0)
		key = EVP_EC_gen("P-521");
	else if (strcmp(kind, "rsa") == 0)
		key = EVP_RSA_gen(3072);
	else if (strcmp(kind, "ed25519") == 0)
		key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	else if (strcmp(kind, "ed448") == 0)
		key = EVP_PKEY_Q_keygen(NULL, NULL, "ED448");
	else
		err_set(e, ERR_USAGE,
		    "%s: wanted p256, p384, p521, rsa, ed25519 or ed448", kind);
	if (key == NULL && (e == NULL || e->kind != ERR_USAGE))
		err_ossl(e, ERR_LOCAL, "key of kind %s", kind);
	return key;
}

/* Takes der, which OpenSSL has allocated.  Encoding what was parsed or built
 * fails only for want of memory. */
static void
add_der(struct buf *out, unsigned char *der, int len)
{
	if (len <= 0)
		err_die("DER cannot be written");
	buf_add(out, der, (size_t)len);
	OPENSSL_free(der);
}

void
ossl_cert_der(X509 *x, struct buf *out)
{
	unsigned char *der = NULL;
	int len = i2d_X509(x, &der);

	add_der(out, der, len);
}

void
ossl_name_der(const X509_NAME *n, struct buf *out)
{
	unsigned char *der = NULL;
	int len = i2d_X509_NAME(n, &der);

	add_der(out, der, len);
}

void
ossl_spki_der(EVP_PKEY *k, struct buf *out)
{
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(k, &der);

	add_der(out, der, len);
}

X509 *
ossl_cert_parse(struct bytes der, struct err *e)
{
	struct buf again AUTO_BUF = { 0 };
	AUTO(X509) x = NULL;
	const unsigned char *p = der.p;

	if (der.len == 0 || der.len > CERTS_FILE_MAX) {
		err_set(e, ERR_INPUT, "certificate: %zu octets, limit %zu",
		    der.len, CERTS_FILE_MAX);
		return NULL;
	}
	x = d2i_X509(NULL, &p, (long)der.len);
	if (x == NULL) {
		err_ossl(e, ERR_INPUT, "certificate: not DER");
		return NULL;
	}
	/* An unreadable public key leaves its complaint behind, and key_check
	 * will say it in our words. */
	ERR_clear_error();
	if (p != der.p + der.len) {
		err_set(e, ERR_INPUT, "certificate: %td trailing octets",
		    der.p + der.len - p);
		return NULL;
	}
	/* RFC 5280 4.1: DER.  Around what is signed, OpenSSL reads BER: one
	 * certificate would have many digests. */
	ossl_cert_der(x, &again);
	if (!bytes_eq(buf_bytes(&again), der)) {
		err_set(e, ERR_INPUT, "certificate: BER, not DER");
		return NULL;
	}
	return STEAL(x);
}

/* What stands before the point of a key on P-256 that is not compressed, in a
 * SubjectPublicKeyInfo (RFC 5480 2). */
static const uint8_t p256_head[] = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a,
	0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
	0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04 };

/* A point that is not on the curve is refused here as well. */
static EVP_PKEY *
p256_from_point(struct bytes point)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	char group[] = SN_X9_62_prime256v1;
	OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(
		    OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group) - 1),
		OSSL_PARAM_octet_string(
		    OSSL_PKEY_PARAM_PUB_KEY, (void *)point.p, point.len),
		OSSL_PARAM_END,
	};
	EVP_PKEY *key = NULL;

	if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

EVP_PKEY *
ossl_spki_parse(struct bytes der)
{
	AUTO(EVP_PKEY) key = NULL;
	const size_t n = sizeof(p256_head) - 1; /* 04 begins the point */
	const unsigned char *p = der.p;

	/* OpenSSL's own way asks every decoder that it has. */
	if (der.len == n + 65 && memcmp(der.p, p256_head, n + 1) == 0)
		return p256_from_point(bytes_of(der.p + n, 65));
	key = d2i_PUBKEY(NULL, &p, (long)der.len);
	return key != NULL && p == der.p + der.len ? STEAL(key) : NULL;
}

static BIO *
new_mem_bio(void)
{
	BIO *out = BIO_new(BIO_s_mem());

	if (out == NULL)
		err_die("out of memory");
	return out;
}

/* Appends what PEM_write_* has left in mem; ok is what it returned. */
static void
add_pem(struct buf *out, BIO *mem, int ok)
{
	char *text = NULL;
	long len = BIO_get_mem_data(mem, &text);

	if (ok != 1 || len <= 0)
		err_die("PEM cannot be written");
	buf_add(out, text, (size_t)len);
}

void
ossl_cert_pem(X509 *x, struct buf *out)
{
	AUTO(BIO) mem = new_mem_bio();

	add_pem(out, mem, PEM_write_bio_X509(mem, x));
}

void
ossl_key_pem(EVP_PKEY *k, struct buf *out)
{
	AUTO(BIO) mem = new_mem_bio();

	add_pem(out, mem,
	    PEM_write_bio_PKCS8PrivateKey(mem, k, NULL, NULL, 0, NULL, NULL));
}

void
ossl_req_pem(X509_REQ *r, struct buf *out)
{
	AUTO(BIO) mem = new_mem_bio();

	add_pem(out, mem, PEM_write_bio_X509_REQ(mem, r));
}
