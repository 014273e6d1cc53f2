#include "common/pki/trust.h"

#include <string.h>
#include <strings.h>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "common/base/digest.h"
#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "common/pki/cmp.h"
#include "common/pki/sign.h"
#include "common/pki/trust_memo.h"

#define UNTRUSTED_MAX  LIMIT_CHAIN_GIVEN
#define SECURITY_LEVEL 2 /* 112 bits: RSA 2048 passes, SHA-1 does not */

AUTO_DEFINE(X509_STORE_CTX, X509_STORE_CTX, X509_STORE_CTX_free);

/* A stack whose elements belong to others. */
static inline void
x509s_free_borrowed(STACK_OF(X509) * s)
{
	sk_X509_free(s);
}
AUTO_DEFINE(X509S_BORROWED, STACK_OF(X509), x509s_free_borrowed);

struct trust {
	X509_STORE *store;
	STACK_OF(X509) * anchors;
	char **names; /* of the anchor at the same place */
	STACK_OF(X509) * intermediates;
	struct trust_memo *memo; /* NULL: nothing is remembered */
};

struct trust *
trust_new(void)
{
	struct trust *t = xcalloc(1, sizeof(*t));

	t->store = X509_STORE_new();
	t->anchors = sk_X509_new_null();
	t->intermediates = sk_X509_new_null();
	if (t->store == NULL || t->anchors == NULL || t->intermediates == NULL)
		err_die("out of memory");
	return t;
}

void
trust_free(struct trust *t)
{
	int i;

	if (t == NULL)
		return;
	for (i = 0; i < sk_X509_num(t->anchors); i++)
		free(t->names[i]);
	free(t->names);
	trust_memo_free(t->memo);
	X509_STORE_free(t->store);
	x509s_free(t->anchors);
	x509s_free(t->intermediates);
	free(t);
}

/* Where x stands among the anchors, or -1. */
static int
find_anchor(const struct trust *t, const X509 *x)
{
	int i;

	for (i = 0; i < sk_X509_num(t->anchors); i++)
		if (X509_cmp(sk_X509_value(t->anchors, i), x) == 0)
			return i;
	return -1;
}

static int
cert_key_check(X509 *x, struct err *e)
{
	return key_check(X509_get0_pubkey(x), e);
}

static void
push_ref(STACK_OF(X509) * s, X509 *x)
{
	if (X509_up_ref(x) != 1 || sk_X509_push(s, x) == 0)
		err_die("out of memory");
}

int
trust_add_cert(struct trust *t, const char *name, X509 *anchor, struct err *e)
{
	int at = find_anchor(t, anchor);
	size_t n = (size_t)sk_X509_num(t->anchors);

	/* A policy that asks for the vendor needs one answer. */
	if (at >= 0 && strcmp(t->names[at], name) != 0)
		return err_set(e, ERR_CONF,
		    "anchor %s: the same certificate is anchor %s", name,
		    t->names[at]);
	if (at >= 0)
		return 0;
	if (cert_key_check(anchor, e) == -1)
		return err_prefix(e, "anchor %s", name);
	if (X509_STORE_add_cert(t->store, anchor) != 1)
		return err_ossl(e, ERR_LOCAL, "anchor %s: not added", name);
	t->names = xrealloc(t->names, (n + 1) * sizeof(*t->names));
	t->names[n] = xstrdup(name);
	push_ref(t->anchors, anchor);
	return 0;
}

int
trust_add_file(
    struct trust *t, const char *name, const char *path, struct err *e)
{
	AUTO(X509S) certs = ossl_load_certs(path, e);
	int i;

	if (certs == NULL)
		return -1;
	for (i = 0; i < sk_X509_num(certs); i++)
		if (trust_add_cert(t, name, sk_X509_value(certs, i), e) == -1)
			return err_prefix(e, "%s", path);
	return 0;
}

int
trust_add_intermediate(struct trust *t, X509 *x, struct err *e)
{
	char subject[CERT_TEXT_MAX];

	if (cert_key_check(x, e) == -1)
		return err_prefix(e, "intermediate %s",
		    cert_subject_text(x, subject, sizeof(subject)));
	push_ref(t->intermediates, x);
	return 0;
}

const STACK_OF(X509) * trust_anchors(const struct trust *t)
{
	return t->anchors;
}

void
trust_remember(struct trust *t)
{
	t->memo = trust_memo_new();
}

static int
distrust(struct err *e, X509 *x, const char *why)
{
	char subject[CERT_TEXT_MAX];

	return err_fail(e, ERR_TRUST, CMP_SIGNER_NOT_TRUSTED,
	    "certificate %s: %s",
	    cert_subject_text(x, subject, sizeof(subject)), why);
}

static int
check_number(const STACK_OF(X509) * untrusted, struct err *e)
{
	if (sk_X509_num(untrusted) > UNTRUSTED_MAX)
		return err_fail(e, ERR_TRUST, CMP_SIGNER_NOT_TRUSTED,
		    "chain: %d certificates, limit %d", sk_X509_num(untrusted),
		    UNTRUSTED_MAX);
	return 0;
}

/* Before anything expensive is done with them. */
static int
check_keys(X509 *leaf, const STACK_OF(X509) * untrusted, struct err *e)
{
	struct err why = ERR_INIT;
	int i;

	if (cert_key_check(leaf, &why) == -1)
		return distrust(e, leaf, why.msg);
	for (i = 0; i < sk_X509_num(untrusted); i++)
		if (cert_key_check(sk_X509_value(untrusted, i), &why) == -1)
			return distrust(
			    e, sk_X509_value(untrusted, i), why.msg);
	return 0;
}

/* The peer's certificates, then ours; the elements stay theirs. */
static STACK_OF(X509) *
    gather(const struct trust *t, const STACK_OF(X509) * untrusted)
{
	STACK_OF(X509) *all = sk_X509_dup(t->intermediates);
	int i;

	if (all == NULL)
		err_die("out of memory");
	for (i = 0; i < sk_X509_num(untrusted); i++)
		if (sk_X509_unshift(all, sk_X509_value(untrusted, i)) == 0)
			err_die("out of memory");
	return all;
}

/* No purpose: which usages are wanted is for the caller to say. */
static void
set_rules(X509_STORE_CTX *ctx, uint64_t at)
{
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
	/* An anchor need not be self-signed: the vendor's sub-CA may be one. */
	unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN;

	if (at == 0)
		flags |= X509_V_FLAG_NO_CHECK_TIME;
	else
		X509_VERIFY_PARAM_set_time(param, (time_t)at);
	if (X509_VERIFY_PARAM_set_flags(param, flags) != 1 ||
	    X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_ANY) != 1)
		err_die("chain rules cannot be set");
	X509_VERIFY_PARAM_set_depth(param, TRUST_DEPTH);
	X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
}

/* The reason and the certificate it was found at. */
static int
say_why(X509_STORE_CTX *ctx, X509 *leaf, struct err *e)
{
	X509 *at = X509_STORE_CTX_get_current_cert(ctx);
	int code = X509_STORE_CTX_get_error(ctx);

	/* The reason is in the context; the queue has only its echo. */
	ERR_clear_error();
	return distrust(e, at != NULL ? at : leaf,
	    code == X509_V_OK ? "chain cannot be verified"
			      : X509_verify_cert_error_string(code));
}

/* Into those that are there in order, once. */
static void
insert(struct digest *all, size_t *n, const struct digest *d)
{
	size_t i = *n;
	int differ = 1;

	while (i > 0 && (differ = memcmp(d->b, all[i - 1].b, sizeof(d->b))) < 0)
		i--;
	if (i > 0 && differ == 0)
		return;
	memmove(&all[i + 1], &all[i], (*n - i) * sizeof(*all));
	all[i] = *d;
	(*n)++;
}

/* Of all that the peer handed in: TLS, CMS and CMP give the same certificates,
 * some twice, in another order. */
static struct digest
asked_of(X509 *leaf, const STACK_OF(X509) * untrusted)
{
	struct digest all[2 + UNTRUSTED_MAX], d = cert_digest(leaf);
	size_t n = 0;
	int i;

	insert(&all[1], &n, &d);
	all[0] = d;
	for (i = 0; i < sk_X509_num(untrusted); i++) {
		if (sk_X509_value(untrusted, i) == leaf)
			continue;
		d = cert_digest(sk_X509_value(untrusted, i));
		insert(&all[1], &n, &d);
	}
	return digest_of(all, sizeof(all[0]) * (1 + n));
}

/* Nothing in it ends while it is remembered. */
static bool
outlasts_memo(const STACK_OF(X509) * chain, uint64_t at)
{
	time_t end = (time_t)(at + LIMIT_CHAIN_REMEMBERED);
	int i;

	for (i = 0; at != 0 && i < sk_X509_num(chain); i++)
		if (X509_cmp_time(
			X509_get0_notAfter(sk_X509_value(chain, i)), &end) != 1)
			return false;
	return true;
}

/* The anchor's place, or -1 with the reason. */
static int
verify(const struct trust *t, X509 *leaf, const STACK_OF(X509) * untrusted,
    uint64_t at, STACK_OF(X509) * *ret_chain, struct err *e)
{
	AUTO(X509S_BORROWED) all = NULL;
	AUTO(X509_STORE_CTX) ctx = NULL;
	STACK_OF(X509) * chain;
	struct digest asked;
	int anchor;

	all = gather(t, untrusted);
	ctx = X509_STORE_CTX_new();
	if (ctx == NULL || X509_STORE_CTX_init(ctx, t->store, leaf, all) != 1)
		err_die("out of memory");
	set_rules(ctx, at);
	if (X509_verify_cert(ctx) != 1)
		return say_why(ctx, leaf, e);
	chain = X509_STORE_CTX_get0_chain(ctx);
	if (!cert_may_sign(leaf))
		return distrust(
		    e, leaf, "RFC 9483 3.5: keyUsage without digitalSignature");
	anchor = find_anchor(t, sk_X509_value(chain, sk_X509_num(chain) - 1));
	if (anchor == -1)
		return distrust(e, leaf, "chain ends at no anchor");
	if (t->memo != NULL && outlasts_memo(chain, at)) {
		asked = asked_of(leaf, untrusted);
		trust_memo_keep(t->memo, &asked, at, anchor);
	}
	if (ret_chain != NULL)
		*ret_chain = X509_STORE_CTX_get1_chain(ctx);
	return anchor;
}

int
trust_check(const struct trust *t, X509 *leaf, const STACK_OF(X509) * untrusted,
    uint64_t at, const char **ret_name, STACK_OF(X509) * *ret_chain,
    struct err *e)
{
	struct digest asked;
	int anchor;

	if (check_number(untrusted, e) == -1)
		return -1;
	if (t->memo != NULL && ret_chain == NULL) {
		asked = asked_of(leaf, untrusted);
		if (trust_memo_find(t->memo, &asked, at, &anchor)) {
			*ret_name = t->names[anchor];
			return 0;
		}
	}
	if (check_keys(leaf, untrusted, e) == -1 ||
	    (anchor = verify(t, leaf, untrusted, at, ret_chain, e)) == -1)
		return -1;
	*ret_name = t->names[anchor];
	return 0;
}
