#include "cli/issuer.h"

/* Loads NAME.crt and NAME.key of an issuer. */
static int
load_issuer(const struct folder *f, const char *name, X509 **ret_cert,
    EVP_PKEY **ret_key, struct err *e)
{
	AUTO(char) path = folder_path(f, name, ".key");
	AUTO(EVP_PKEY) key = ossl_load_key(path, e);
	X509 *x;

	if (key == NULL || (x = folder_cert(f, name, e)) == NULL)
		return -1;
	*ret_cert = x;
	*ret_key = STEAL(key);
	return 0;
}

X509 *
issuer_issue(const struct folder *f, const struct profile *p, const char *who,
    const char *san, EVP_PKEY *pubkey, EVP_PKEY *own_key, struct err *e)
{
	AUTO(X509) issuer = NULL;
	AUTO(EVP_PKEY) key = NULL;

	if (p->issuer == NULL)
		return profile_issue(p, who, san, pubkey, NULL, own_key, e);
	if (load_issuer(f, p->issuer, &issuer, &key, e) == -1)
		return NULL;
	return profile_issue(p, who, san, pubkey, issuer, key, e);
}
