#include "ra/info.h"

#include <string.h>
#include "common/pki/crl.h"

/* ---- values ------------------------------------------------------------ */

/* RFC 9483 4.3.1: what chains are built from; roots come by another way. */
void
info_ca_certs(const struct ra *r, struct buf *ret)
{
	cmp_info_certs(r->issuers, ret);
}

void
info_root_update(const struct ra *r, struct buf *ret)
{
	if (r->new_root != NULL)
		cmp_info_root_update(
		    r->new_root, r->new_with_old, r->old_with_new, ret);
}

/* An attribute: NULL: not in the subject; "": for the device to fill in. */
static void
add_attribute(X509_NAME *n, int nid, const char *text)
{
	if (text != NULL &&
	    X509_NAME_add_entry_by_NID(n, nid,
		nid == NID_serialNumber ? V_ASN1_PRINTABLESTRING
					: V_ASN1_UTF8STRING,
		(const unsigned char *)text, (int)strlen(text), -1, 0) != 1)
		err_die("out of memory");
}

static X509_NAME *
template_subject(const struct profile *p)
{
	X509_NAME *n = X509_NAME_new();

	if (n == NULL)
		err_die("out of memory");
	add_attribute(n, NID_organizationName, p->organization);
	add_attribute(n, NID_organizationalUnitName, p->unit);
	add_attribute(
	    n, NID_commonName, p->cn == PROFILE_CN_FIXED ? p->common_name : "");
	/* In all we certify: who asks for it gets what it asked for. */
	add_attribute(n, NID_serialNumber, "");
	return n;
}

static void
add_extension(STACK_OF(X509_EXTENSION) * s, int nid, const char *text)
{
	X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, NULL, nid, text);

	/* The texts were checked with the configuration. */
	if (x != NULL && sk_X509_EXTENSION_push(s, x) == 0)
		err_die("out of memory");
}

void
info_template(const struct profile *p, struct buf *ret)
{
	STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
	AUTO(X509_NAME) subject = template_subject(p);
	struct buf usage AUTO_BUF = { 0 }, purposes AUTO_BUF = { 0 };

	if (extensions == NULL)
		err_die("out of memory");
	buf_printf(&usage, "critical,%s", p->key_usage);
	add_extension(extensions, NID_key_usage, buf_cstr(&usage));
	profile_ext_key_usage(p, &purposes);
	if (purposes.len > 0)
		add_extension(
		    extensions, NID_ext_key_usage, buf_cstr(&purposes));
	cmp_info_template(subject, extensions, (const char *const *)p->keys.v,
	    p->keys.n, ret);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}

/* ---- answers ----------------------------------------------------------- */

/* RFC 9483 4.3.2: nothing for who has the new one. */
static int
answer_root(
    const struct ra *r, struct bytes asked, struct buf *ret, struct err *e)
{
	AUTO(X509) theirs = NULL;

	if (asked.len > 0 && (theirs = cmp_info_read_root(asked, e)) == NULL)
		return -1;
	if (theirs == NULL || r->new_root == NULL ||
	    X509_cmp(theirs, r->new_root) != 0)
		info_root_update(r, ret);
	return 0;
}

/* RFC 9483 4.3.3. */
static int
answer_template(
    const struct ra *r, const char *name, struct buf *ret, struct err *e)
{
	const struct profile *p =
	    profile_find(&r->conf.profiles, &r->plain, name, e);

	if (p == NULL)
		return -1;
	info_template(p, ret);
	return 0;
}

/* RFC 9483 4.3.4: the list, if it is of the issuer that is named and newer than
 * theirs. */
static int
answer_crl(
    const struct ra *r, struct bytes asked, struct buf *ret, struct err *e)
{
	struct bytes have = buf_bytes(&r->crl);
	AUTO(X509_CRL) crl = NULL;
	uint64_t theirs, from, to;

	if (cmp_info_read_crl_status(asked, &theirs, e) == -1)
		return -1;
	if (have.len == 0)
		return 0;
	if ((crl = crl_parse(have, e)) == NULL ||
	    crl_dates(crl, &from, &to, e) == -1)
		return -1;
	if (from > theirs && crl_is_by(crl, cmp_info_crl_issuer(asked)))
		cmp_info_crls(&have, 1, ret);
	return 0;
}

int
info_answer(const struct ra *r, const struct cmp_info *asked,
    const char *profile, struct buf *ret, struct err *e)
{
	switch ((int)asked->type) {
	case CMP_INFO_CA_CERTS:
		info_ca_certs(r, ret);
		return 0;
	case CMP_INFO_ROOT_CERT:
		return answer_root(r, asked->value, ret, e);
	case CMP_INFO_TEMPLATE:
		return answer_template(r, profile, ret, e);
	case CMP_INFO_CRL_STATUS:
		return answer_crl(r, asked->value, ret, e);
	default:
		return err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
		    "genm: RFC 9483 4.3: this is not told here");
	}
}
