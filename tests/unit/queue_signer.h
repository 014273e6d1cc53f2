/* A signer for tests of queue: a P-256 key under a certificate of its own. */
#ifndef WAYBILL_TESTS_QUEUE_SIGNER_H
#define WAYBILL_TESTS_QUEUE_SIGNER_H

#include "common/pki/issue.h"
#include "common/pki/sign.h"

static struct signer *
queue_signer(const char *cn)
{
	struct err e = ERR_INIT;
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(X509_NAME) name = issue_name(cn, "Waybill tests", NULL);
	struct issue_spec spec = { .subject = name,
		.pubkey = key,
		.not_before = 1,
		.not_after = ISSUE_FOREVER,
		.pathlen = -1,
		.key_usage = "critical,digitalSignature" };
	AUTO(X509) cert = issue_cert(&spec, NULL, key, &e);

	if (cert == NULL)
		err_die(e.msg);
	return signer_new(key, cert, NULL);
}

#endif
