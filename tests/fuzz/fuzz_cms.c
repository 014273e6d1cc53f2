/* SignedData from anybody: structure, certificates, signature. */
#include <stdlib.h>

#include <openssl/err.h>

#include "common/pki/cms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_refusal(const struct cms_signed *c, const struct err *e)
{
	if (e->kind != ERR_INPUT && e->kind != ERR_TRUST)
		abort();
	if (c->signer != NULL || c->certs != NULL || c->content.data != NULL)
		abort();
}

static void
check_opened(struct bytes der, const struct cms_signed *c)
{
	struct err e = ERR_INIT;

	if (c->content.len >= der.len || c->signer == NULL ||
	    sk_X509_num(c->certs) > CMS_CERTS_MAX ||
	    key_check(X509_get0_pubkey(c->signer), &e) == -1)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes der = bytes_of(data, size);
	struct cms_signed c = { 0 };
	struct err e = ERR_INIT;

	if (cms_open(der, NULL, &c, &e) == -1)
		check_refusal(&c, &e);
	else
		check_opened(der, &c);
	cms_signed_done(&c);
	if (ERR_peek_error() != 0)
		abort();
	return 0;
}
