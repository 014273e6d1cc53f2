/* A root, a sub-CA, a leaf, and what is believed of them: what the tests of
 * trust share. */
#ifndef WAYBILL_TESTS_TRUST_LAB_H
#define WAYBILL_TESTS_TRUST_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/pki/cmp.h"
#include "common/pki/issue.h"
#include "common/pki/trust.h"

#define NOW  1800000000
#define YEAR 31536000

/* A certificate with its key, to build chains from. */
struct node {
	EVP_PKEY *key;
	X509 *x;
};

static struct node root, sub, leaf;

static inline X509 *
certify(struct issue_spec spec, const char *cn, EVP_PKEY *key,
    const struct node *by)
{
	AUTO(X509_NAME) name = issue_name(cn, "Vendor", NULL);
	struct err e = ERR_INIT;
	X509 *x;

	spec.subject = name;
	spec.pubkey = key;
	if (spec.not_before == 0)
		spec.not_before = NOW - YEAR;
	if (spec.not_after == 0)
		spec.not_after = ISSUE_FOREVER;
	x = issue_cert(
	    &spec, by != NULL ? by->x : NULL, by != NULL ? by->key : key, &e);
	if (x == NULL)
		fail_msg("%s", e.msg);
	return x;
}

static inline struct node
make(const char *cn, const struct node *by, struct issue_spec spec)
{
	struct node n = { ossl_new_key_p256(), NULL };

	n.x = certify(spec, cn, n.key, by);
	return n;
}

#define MAKE(cn, by, ...) make(cn, by, (struct issue_spec){ __VA_ARGS__ })
#define CA		  .ca = true, .pathlen = -1, .key_usage = "critical,keyCertSign"
#define EE		  .key_usage = "critical,digitalSignature"

static inline void
node_done(struct node *n)
{
	EVP_PKEY_free(n->key);
	X509_free(n->x);
}
#define AUTO_NODE struct node __attribute__((cleanup(node_done)))

static inline int
make_chain(void **state)
{
	(void)state;
	root = MAKE("root", NULL, CA);
	sub = MAKE("sub", &root, CA);
	leaf = MAKE("leaf", &sub, EE);
	return 0;
}

static inline int
free_chain(void **state)
{
	(void)state;
	node_done(&root);
	node_done(&sub);
	node_done(&leaf);
	return 0;
}

static inline struct trust *
trust_in(X509 *anchor)
{
	struct trust *t = trust_new();
	struct err e = ERR_INIT;

	if (trust_add_cert(t, "vendor", anchor, &e) == -1)
		fail_msg("%s", e.msg);
	return t;
}

/* An owned stack of references; the list ends with NULL. */
static inline STACK_OF(X509) * stack_of(X509 *first, ...)
{
	STACK_OF(X509) *s = sk_X509_new_null();
	va_list ap;
	X509 *x;

	va_start(ap, first);
	for (x = first; x != NULL; x = va_arg(ap, X509 *)) {
		X509_up_ref(x);
		sk_X509_push(s, x);
	}
	va_end(ap);
	return s;
}

static inline void
assert_believed(const struct trust *t, X509 *x,
    const STACK_OF(X509) * untrusted, uint64_t at)
{
	const char *name = NULL;
	struct err e = ERR_INIT;

	if (trust_check(t, x, untrusted, at, &name, NULL, &e) == -1)
		fail_msg("%s", e.msg);
	assert_string_equal(name, "vendor");
}

#endif
