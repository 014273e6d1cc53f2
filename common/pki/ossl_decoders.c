#include "common/pki/ossl_decoders.h"

#include <string.h>
#include <openssl/core_dispatch.h>
#include <openssl/crypto.h>
#include <openssl/provider.h>
#include "common/base/err.h"
#include "common/base/str.h"

#define DECODERS_MAX 64
#define PROVIDER     "waybill"

/*
 * A provider that is OpenSSL's default one but for its decoders.  That one is
 * loaded in a library context of its own, and what it can do is handed on; so
 * its functions get the context that it made for itself.
 */
static OSSL_PROVIDER *whole, *few;
static OSSL_ALGORITHM decoders[DECODERS_MAX + 1]; /* ends with zeros */

/* Of the decoders' names; DER leads from PEM and envelopes to the others. */
static const char *const kinds[] = { "EC", "RSA", "RSA-PSS", "ED25519", "ED448",
	"DER" };

static bool
decoder_wanted(const OSSL_ALGORITHM *a)
{
	size_t n = strcspn(a->algorithm_names, ":");

	/* Microsoft's formats of private keys. */
	if (strstr(a->property_definition, "input=msblob") != NULL ||
	    strstr(a->property_definition, "input=pvk") != NULL)
		return false;
	for (size_t i = 0; i < NELEMS(kinds); i++)
		if (strlen(kinds[i]) == n &&
		    strncmp(a->algorithm_names, kinds[i], n) == 0)
			return true;
	return false;
}

static void
choose_decoders(void)
{
	const OSSL_ALGORITHM *a;
	size_t n = 0;
	int no_cache = 0;

	a = OSSL_PROVIDER_query_operation(whole, OSSL_OP_DECODER, &no_cache);
	for (; a != NULL && a->algorithm_names != NULL; a++) {
		if (!decoder_wanted(a))
			continue;
		if (n == DECODERS_MAX)
			err_die("libcrypto: too many decoders");
		decoders[n++] = *a;
	}
	if (n == 0)
		err_die("libcrypto: no decoders");
}

static const OSSL_ALGORITHM *
query_operation(void *ctx, int operation, int *no_cache)
{
	(void)ctx;
	*no_cache = 0;
	if (operation == OSSL_OP_DECODER)
		return decoders;
	return OSSL_PROVIDER_query_operation(whole, operation, no_cache);
}

/* TLS asks for the groups here. */
static int
get_capabilities(
    void *ctx, const char *capability, OSSL_CALLBACK *cb, void *arg)
{
	(void)ctx;
	return OSSL_PROVIDER_get_capabilities(whole, capability, cb, arg);
}

static int
provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
    const OSSL_DISPATCH **out, void **ctx)
{
	static const OSSL_DISPATCH functions[] = {
		{ OSSL_FUNC_PROVIDER_QUERY_OPERATION,
		    (void (*)(void))query_operation },
		{ OSSL_FUNC_PROVIDER_GET_CAPABILITIES,
		    (void (*)(void))get_capabilities },
		{ 0, NULL },
	};

	(void)handle, (void)in;
	*ctx = OSSL_PROVIDER_get0_provider_ctx(whole);
	*out = functions;
	return 1;
}

static void
let_go(void)
{
	OSSL_PROVIDER_unload(few);
}

void
ossl_decoders_few(void)
{
	OSSL_LIB_CTX *own;

	if (few != NULL)
		return;
	if ((own = OSSL_LIB_CTX_new()) == NULL ||
	    (whole = OSSL_PROVIDER_load(own, "default")) == NULL)
		err_die("libcrypto: no default provider");
	choose_decoders();
	if (OSSL_PROVIDER_add_builtin(NULL, PROVIDER, provider_init) != 1 ||
	    (few = OSSL_PROVIDER_load(NULL, PROVIDER)) == NULL ||
	    OPENSSL_atexit(let_go) != 1)
		err_die("libcrypto: takes no provider of ours");
}
