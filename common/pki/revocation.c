#include "common/pki/revocation.h"

#include <string.h>
#include "common/pki/cmp.h"

struct vendor {
	struct vendor *next;
	char *name;
	struct crls *crls;
	enum revocation_unknown unknown;
};

struct revocation {
	struct vendor *vendors;
};

const char *const revocation_unknowns[] = {
	[REVOCATION_ACCEPT] = "accept",
	[REVOCATION_WAIT] = "wait",
	[REVOCATION_REFUSE] = "refuse",
	NULL,
};

const char *
revocation_name(enum revocation_word w)
{
	return w == REVOCATION_GOOD ? "good" : "unknown";
}

struct revocation *
revocation_new(void)
{
	return xcalloc(1, sizeof(struct revocation));
}

void
revocation_free(struct revocation *r)
{
	struct vendor *v;

	if (r == NULL)
		return;
	while ((v = r->vendors) != NULL) {
		r->vendors = v->next;
		crls_free(v->crls);
		free(v->name);
		free(v);
	}
	free(r);
}

/* ---- issuers ----------------------------------------------------------- */

static bool
is_certified(X509 *x, const STACK_OF(X509) * by)
{
	for (int i = 0; i < sk_X509_num(by); i++) {
		X509 *ca = sk_X509_value(by, i);

		if (X509_check_issued(ca, x) == X509_V_OK &&
		    X509_verify(x, X509_get0_pubkey(ca)) == 1)
			return true;
	}
	return false;
}

/* A sub-CA may stand before the one that certified it. */
static int
add_sub_cas(STACK_OF(X509) * issuers, const char *path, struct err *e)
{
	AUTO(X509S) more = ossl_load_certs(path, e);
	bool moved = true;

	if (more == NULL)
		return -1;
	while (moved) {
		moved = false;
		for (int i = 0; i < sk_X509_num(more); i++) {
			if (!is_certified(sk_X509_value(more, i), issuers))
				continue;
			if (sk_X509_push(issuers, sk_X509_delete(more, i)) == 0)
				err_die("out of memory");
			moved = true;
			break;
		}
	}
	(void)err_ossl(NULL, ERR_TRUST, "sub-ca"); /* those that failed */
	if (sk_X509_num(more) > 0)
		return err_set(e, ERR_CONF,
		    "sub-ca: %s: %d certificates that the anchor did not "
		    "certify",
		    path, sk_X509_num(more));
	return 0;
}

int
revocation_add(
    struct revocation *r, const struct revocation_vendor *v, struct err *e)
{
	AUTO(X509S) issuers = NULL;
	AUTO(crls) crls = NULL;
	struct vendor *n;

	if (v->n == 0)
		return 0;
	if ((issuers = ossl_load_certs(v->anchor, e)) == NULL ||
	    (v->sub_ca != NULL && add_sub_cas(issuers, v->sub_ca, e) == -1))
		return err_prefix(e, "vendors.%s", v->name);
	crls = crls_new();
	for (size_t i = 0; i < v->n; i++)
		if (crls_load(crls, v->lists[i], issuers, e) == -1)
			return err_prefix(e, "vendors.%s.crl", v->name);
	n = xcalloc(1, sizeof(*n));
	n->name = xstrdup(v->name);
	n->crls = STEAL(crls);
	n->unknown = v->unknown;
	n->next = r->vendors;
	r->vendors = n;
	return 0;
}

/* ---- asking ------------------------------------------------------------ */

static const struct vendor *
find(const struct revocation *r, const char *name)
{
	const struct vendor *v = r == NULL ? NULL : r->vendors;

	while (v != NULL && strcmp(v->name, name) != 0)
		v = v->next;
	return v;
}

bool
revocation_asks(const struct revocation *r, const char *vendor)
{
	return find(r, vendor) != NULL;
}

/* What the lists do not tell of the leaf. */
static int
unknown(const struct vendor *v, const char *why, enum revocation_word *ret,
    struct err *e)
{
	if (v->unknown == REVOCATION_REFUSE)
		return err_fail(e, ERR_POLICY, CMP_NOT_AUTHORIZED,
		    "certificate: nobody knows whether it is revoked: %s", why);
	*ret = v->unknown == REVOCATION_WAIT ? REVOCATION_HELD
					     : REVOCATION_UNKNOWN;
	return 0;
}

int
revocation_check(const struct revocation *r, const char *vendor,
    const STACK_OF(X509) * chain, uint64_t now, enum revocation_word *ret,
    struct err *e)
{
	const struct vendor *v = find(r, vendor);
	enum crl_word leaf = CRL_UNKNOWN;
	char why[200], about_leaf[200] = "";

	if (v == NULL) {
		*ret = REVOCATION_NOT_ASKED;
		return 0;
	}
	for (int i = 0; i < sk_X509_num(chain) - 1; i++) {
		enum crl_word w = crls_ask(
		    v->crls, sk_X509_value(chain, i), now, why, sizeof(why));

		if (w == CRL_REVOKED)
			return err_fail(e, ERR_POLICY, CMP_NOT_AUTHORIZED,
			    "certificate: %s%s",
			    i == 0 ? "" : "an authority of it: ", why);
		if (i == 0) {
			leaf = w;
			memcpy(about_leaf, why, sizeof(about_leaf));
		}
	}
	if (leaf != CRL_GOOD)
		return unknown(v, about_leaf, ret, e);
	*ret = REVOCATION_GOOD;
	return 0;
}
