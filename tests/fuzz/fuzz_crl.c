/* A maker's list of revoked devices: as it came, which our CA has not signed,
 * and with our CA's name and signature on whatever it says. */
#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"
#include "common/pki/crl.h"
#include "common/pki/issue.h"

#define NOW 1800000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static EVP_PKEY *key;
static STACK_OF(X509) * issuers;

static void
make_ca(void)
{
	AUTO(X509_NAME) name = issue_name("maker", "fuzz", NULL);
	struct issue_spec spec = { .subject = name,
		.pubkey = key = ossl_new_key_p256(),
		.not_before = NOW - 1,
		.not_after = NOW + 1,
		.ca = true,
		.pathlen = -1,
		.key_usage = "critical,cRLSign" };
	struct err e = ERR_INIT;
	X509 *ca = issue_cert(&spec, NULL, key, &e);

	issuers = sk_X509_new_null();
	if (ca == NULL || sk_X509_push(issuers, ca) == 0)
		abort();
}

static void
read_name(const X509_CRL *crl)
{
	struct buf name AUTO_BUF = { 0 };

	ossl_name_der(X509_CRL_get_issuer(crl), &name);
	if (!crl_is_by(crl, buf_bytes(&name)) ||
	    crl_is_by(crl, bytes_of(name.data, name.len - 1)) ||
	    crl_is_by(crl, bytes_of(NULL, 0)))
		abort();
}

/* A certificate of our CA, whose number is the one revoked first. */
static X509 *
revoked(X509_CRL *crl)
{
	STACK_OF(X509_REVOKED) *list = X509_CRL_get_REVOKED(crl);
	const X509_REVOKED *first = sk_X509_REVOKED_value(list, 0);
	X509 *x = X509_dup(sk_X509_value(issuers, 0));

	if (x == NULL ||
	    (first != NULL &&
		X509_set_serialNumber(x,
		    (ASN1_INTEGER *)(uintptr_t)X509_REVOKED_get0_serialNumber(
			first)) != 1))
		abort();
	return x;
}

static void
ask(const struct crls *c, X509 *x)
{
	static const uint64_t times[] = { 0, 1, NOW, UINT64_MAX };
	char why[64];

	for (size_t i = 0; i < NELEMS(times); i++) {
		enum crl_word word = crls_ask(c, x, times[i], why, sizeof(why));

		if (strnlen(why, sizeof(why)) == sizeof(why) ||
		    (word == CRL_GOOD && times[i] == 0) ||
		    crls_ask(c, x, times[i], NULL, 0) != word)
			abort();
	}
}

static void
add_signed(X509_CRL *crl)
{
	X509 *ca = sk_X509_value(issuers, 0);
	AUTO(X509) x = revoked(crl);
	AUTO(crls) c = crls_new();
	struct err e = ERR_INIT;
	uint8_t *der = NULL;
	int len, rc;

	if (X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)) != 1 ||
	    X509_CRL_sign(crl, key, EVP_sha256()) <= 0 ||
	    (len = i2d_X509_CRL(crl, &der)) <= 0)
		return;
	rc = crls_add(c, bytes_of(der, (size_t)len), issuers, &e);
	if (rc == 0 || (rc == -1 && e.kind != ERR_INPUT) ||
	    (rc == 1 &&
		crls_add(c, bytes_of(der, (size_t)len), issuers, &e) != 0))
		abort();
	OPENSSL_free(der);
	ask(c, x);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(X509_CRL) crl = NULL;
	AUTO(crls) none = crls_new();
	struct err e = ERR_INIT;

	if (key == NULL)
		make_ca();
	/* Nobody but our CA can have signed it. */
	if (crls_add(none, bytes_of(data, size), issuers, &e) != -1 ||
	    (e.kind != ERR_INPUT && e.kind != ERR_TRUST))
		abort();
	if ((crl = crl_parse(bytes_of(data, size), &e)) == NULL)
		return 0;
	read_name(crl);
	add_signed(crl);
	return 0;
}
