/* What a stranger's certificate says. */
#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "common/pki/sign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
printable(const char *s, size_t size)
{
	if (strnlen(s, size) == size)
		abort();
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			abort();
}

static void
read_names(X509 *x)
{
	char text[CERT_TEXT_MAX], name[33];
	struct err e = ERR_INIT;

	if (cert_subject_serial(x, text, &e) == 0)
		printable(text, sizeof(text));
	if (cert_masa_url(x, text, sizeof(text), &e) == 0)
		printable(text, sizeof(text));
	if (cert_site(x, name, &e) == 0 && !name_valid(name))
		abort();
	if (cert_service(x, name, &e) == 0 && !name_valid(name))
		abort();
	printable(cert_subject_text(x, text, sizeof(text)), sizeof(text));
	printable(cert_issuer_text(x, text, sizeof(text)), sizeof(text));
	printable(cert_serial_hex(x, text, sizeof(text)), sizeof(text));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(X509) x = NULL;
	struct err e = ERR_INIT;
	uint64_t from, to;
	EVP_PKEY *key;

	if ((x = ossl_cert_parse(bytes_of(data, size), &e)) == NULL) {
		if (e.kind == ERR_NONE)
			abort();
		return 0;
	}
	read_names(x);
	(void)cert_has_cmcra(x);
	(void)cert_may_sign(x);
	(void)cert_is_ca(x);
	(void)cert_device(x, "");
	(void)cert_ski(x);
	if (cert_validity(x, &from, &to, &e) == -1 && e.kind == ERR_NONE)
		abort();
	if ((key = X509_get0_pubkey(x)) != NULL && key_check(key, &e) == -1 &&
	    e.kind == ERR_NONE)
		abort();
	return 0;
}
