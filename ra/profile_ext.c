/* Extensions that a request asks for, held against its profile. */
#include "ra/profile_int.h"

#include <arpa/inet.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <openssl/err.h>
#include "common/base/str.h"
#include "common/pki/issue.h"

#define SAN_NAMES 16 /* that are copied at most */
#define SAN_TEXT  256

static bool
uri_plain(const char *s)
{
	return s[0] != '\0' &&
	    s[strspn(s,
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		"0123456789-._~:/?#@!&()*+=%")] == '\0';
}

/* "DNS:host", "IP:address", "URI:uri"; false for any other name, or if it
 * holds what would be read as something else. */
static bool
san_text(const GENERAL_NAME *n, char *ret, size_t size)
{
	int type;
	const ASN1_STRING *s = GENERAL_NAME_get0_value(n, &type);
	const char *kind = type == GEN_DNS ? "DNS:" : "URI:";
	char text[SAN_TEXT];
	int len;

	if (type == GEN_IPADD) {
		len = ASN1_STRING_length(s);
		if (inet_ntop(len == 4 ? AF_INET : AF_INET6,
			ASN1_STRING_get0_data(s), text, sizeof(text)) == NULL ||
		    (len != 4 && len != 16))
			return false;
		snprintf(ret, size, "IP:%s", text);
		return true;
	}
	if ((type != GEN_DNS && type != GEN_URI) ||
	    (len = ASN1_STRING_length(s)) < 1 || len >= SAN_TEXT)
		return false;
	memcpy(text, ASN1_STRING_get0_data(s), (size_t)len);
	text[len] = '\0';
	if (strlen(text) != (size_t)len ||
	    !(type == GEN_DNS ? issue_host_valid(text) : uri_plain(text)))
		return false;
	snprintf(ret, size, "%s%s", kind, text);
	return true;
}

static bool
san_allowed(const struct profile *p, const char *text)
{
	for (size_t i = 0; i < p->san_allowed.n; i++)
		if (fnmatch(p->san_allowed.v[i], text, FNM_NOESCAPE) == 0)
			return true;
	return false;
}

/* Whether all of it may be copied; then it is. */
static bool
copy_san(const struct profile *p, X509_EXTENSION *x, struct buf *san)
{
	GENERAL_NAMES *names = X509V3_EXT_d2i(x);
	int n = names != NULL ? sk_GENERAL_NAME_num(names) : 0;
	char text[SAN_TEXT + 8];
	bool ok = n > 0 && n <= SAN_NAMES && p->san == PROFILE_SAN_COPY &&
	    san->len == 0;

	for (int i = 0; ok && i < n; i++) {
		ok = san_text(
			 sk_GENERAL_NAME_value(names, i), text, sizeof(text)) &&
		    san_allowed(p, text);
		if (ok)
			buf_printf(san, "%s%s", i > 0 ? "," : "", text);
	}
	if (!ok)
		buf_reset(san);
	GENERAL_NAMES_free(names);
	return ok;
}

static bool
usage_allowed(const struct profile *p, X509_EXTENSION *x)
{
	ASN1_BIT_STRING *bits = X509V3_EXT_d2i(x);
	uint32_t asked = 0;
	bool ok = bits != NULL && bits->length > 0;

	if (ok)
		asked = bits->data[0] |
		    (bits->length > 1 ? (uint32_t)bits->data[1] << 8 : 0);
	ASN1_BIT_STRING_free(bits);
	return ok && (asked & ~profile_usage_bits(p->key_usage)) == 0;
}

static bool
purpose_allowed(const struct profile *p, const ASN1_OBJECT *asked)
{
	for (size_t i = 0; i < p->ext_key_usage.n; i++) {
		ASN1_OBJECT *o = OBJ_txt2obj(p->ext_key_usage.v[i], 0);
		bool same = o != NULL && OBJ_cmp(o, asked) == 0;

		ASN1_OBJECT_free(o);
		if (same)
			return true;
	}
	return false;
}

static bool
purposes_allowed(const struct profile *p, X509_EXTENSION *x)
{
	EXTENDED_KEY_USAGE *asked = X509V3_EXT_d2i(x);
	bool ok = asked != NULL;

	for (int i = 0; ok && i < sk_ASN1_OBJECT_num(asked); i++)
		ok = purpose_allowed(p, sk_ASN1_OBJECT_value(asked, i));
	EXTENDED_KEY_USAGE_free(asked);
	return ok;
}

static bool
is_no_ca(X509_EXTENSION *x)
{
	BASIC_CONSTRAINTS *b = X509V3_EXT_d2i(x);
	bool ok = b != NULL && b->ca == 0;

	BASIC_CONSTRAINTS_free(b);
	return ok;
}

/* Whether the certificate will do what this extension asks for. */
static bool
extension_allowed(
    const struct profile *p, X509_EXTENSION *x, struct profile_grant *g)
{
	switch (OBJ_obj2nid(X509_EXTENSION_get_object(x))) {
	case NID_subject_alt_name:
		return copy_san(p, x, &g->san);
	case NID_key_usage:
		return usage_allowed(p, x);
	case NID_ext_key_usage:
		return purposes_allowed(p, x);
	case NID_basic_constraints:
		return is_no_ca(x);
	case NID_subject_key_identifier:
		return true; /* they all have one */
	default:
		return false;
	}
}

static int
refuse_extension(
    const struct profile *p, const X509_EXTENSION *x, struct err *e)
{
	char name[64];

	OBJ_obj2txt(name, sizeof(name),
	    X509_EXTENSION_get_object((X509_EXTENSION *)x), 0);
	return err_fail(e, ERR_POLICY, CMP_BAD_CERT_TEMPLATE,
	    "extension: profile '%s' does not grant this %s",
	    p->name != NULL ? p->name : "", name);
}

int
profile_extensions(const struct profile *p, const struct cmp_request *r,
    struct profile_grant *g, struct err *e)
{
	STACK_OF(X509_EXTENSION) * asked;
	int rc = 0;

	if (r->extensions.len == 0)
		return 0;
	if ((asked = cmp_request_extensions(r, e)) == NULL)
		return -1;
	for (int i = 0; rc == 0 && i < sk_X509_EXTENSION_num(asked); i++) {
		X509_EXTENSION *x = sk_X509_EXTENSION_value(asked, i);

		if (extension_allowed(p, x, g))
			continue;
		if (p->others == PROFILE_OTHERS_REFUSE)
			rc = refuse_extension(p, x, e);
		g->modified |= p->others == PROFILE_OTHERS_DROP;
	}
	sk_X509_EXTENSION_pop_free(asked, X509_EXTENSION_free);
	ERR_clear_error(); /* what could not be read was told in our words */
	return rc;
}
