/* Keys and certificates of a link for tests, as PEM files in a folder of
 * their own: "ca.pem", and NAME.key and NAME.pem by link_pki_add. */
#ifndef WAYBILL_TESTS_LINK_PKI_H
#define WAYBILL_TESTS_LINK_PKI_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/str.h"
#include "common/pki/issue.h"

struct link_pki {
	char dir[64];
	EVP_PKEY *root_key, *sub_key, *other_key;
	X509 *root, *sub, *other;
};

/* In one of a few static buffers. */
static inline const char *
link_pki_path(const struct link_pki *p, const char *name)
{
	static char paths[16][128];
	static unsigned next;
	char *ret = paths[next++ % 16];

	snprintf(ret, sizeof(paths[0]), "%s/%s", p->dir, name);
	return ret;
}

static inline void
link_pki_write(const struct link_pki *p, const char *name, const char *suffix,
    struct bytes text)
{
	struct err e = ERR_INIT;
	char file[64];

	snprintf(file, sizeof(file), "%s%s", name, suffix);
	if (file_write(link_pki_path(p, file), 0600, text, &e) == -1)
		fail_msg("%s", e.msg);
}

static inline X509 *
link_pki_issue(const char *cn, EVP_PKEY *pub, const char *san, bool ca,
    X509 *issuer, EVP_PKEY *key)
{
	AUTO(X509_NAME) subject = issue_name(cn, "Test", NULL);
	uint64_t now = (uint64_t)time(NULL);
	struct issue_spec spec = { .subject = subject,
		.pubkey = pub,
		.not_before = now - 60,
		.not_after = now + 3600,
		.ca = ca,
		.pathlen = -1,
		.key_usage =
		    ca ? "critical,keyCertSign" : "critical,digitalSignature",
		.ext_key_usage = ca ? NULL : "serverAuth,clientAuth",
		.san = san };
	struct err e = ERR_INIT;
	X509 *x = issue_cert(&spec, issuer, key, &e);

	if (x == NULL)
		fail_msg("%s", e.msg);
	return x;
}

static inline void
link_pki_init(struct link_pki *p)
{
	struct buf pem AUTO_BUF = { 0 };

	str_copy(p->dir, sizeof(p->dir), "/tmp/waybill-link-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	p->root_key = ossl_new_key_p256();
	p->sub_key = ossl_new_key_p256();
	p->other_key = ossl_new_key_p256();
	p->root =
	    link_pki_issue("root", p->root_key, NULL, true, NULL, p->root_key);
	p->sub =
	    link_pki_issue("sub", p->sub_key, NULL, true, p->root, p->root_key);
	p->other = link_pki_issue(
	    "other", p->other_key, NULL, true, NULL, p->other_key);
	ossl_cert_pem(p->root, &pem);
	link_pki_write(p, "ca", ".pem", buf_bytes(&pem));
}

/* A key and its certificate by a sub-CA that is sent along, or by a CA that
 * nobody knows. */
static inline void
link_pki_add(
    const struct link_pki *p, const char *name, const char *san, bool known)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(X509) x = link_pki_issue(name, key, san, false,
	    known ? p->sub : p->other, known ? p->sub_key : p->other_key);
	struct buf pem AUTO_BUF = { 0 }, secret AUTO_SECRET = { 0 };

	ossl_cert_pem(x, &pem);
	if (known)
		ossl_cert_pem(p->sub, &pem);
	ossl_key_pem(key, &secret);
	link_pki_write(p, name, ".pem", buf_bytes(&pem));
	link_pki_write(p, name, ".key", buf_bytes(&secret));
}

static inline void
link_pki_done(struct link_pki *p)
{
	char cmd[96];

	EVP_PKEY_free(p->root_key);
	EVP_PKEY_free(p->sub_key);
	EVP_PKEY_free(p->other_key);
	X509_free(p->root);
	X509_free(p->sub);
	X509_free(p->other);
	snprintf(cmd, sizeof(cmd), "rm -r %s", p->dir);
	if (system(cmd) != 0)
		fprintf(stderr, "%s failed\n", cmd);
}

#endif
