#include "ra/profile_int.h"

#include <string.h>
#include "common/base/str.h"
#include "common/pki/issue.h"

/* ---- which, and which keys --------------------------------------------- */

const struct profile *
profile_find(const struct conf_list *list, const struct profile *plain,
    const char *name, struct err *e)
{
	const struct profile *v = list != NULL ? list->v : NULL;

	if (name[0] == '\0')
		return plain;
	for (size_t i = 0; v != NULL && i < list->n; i++)
		if (strcmp(v[i].name, name) == 0)
			return &v[i];
	err_fail(e, ERR_POLICY, CMP_BAD_REQUEST,
	    "certProfile: there is no profile '%s'", name);
	return NULL;
}

static const char *
curve_kind(EVP_PKEY *key)
{
	char name[32] = "";

	EVP_PKEY_get_group_name(key, name, sizeof(name), NULL);
	switch (OBJ_txt2nid(name)) {
	case NID_X9_62_prime256v1:
		return "p256";
	case NID_secp384r1:
		return "p384";
	case NID_secp521r1:
		return "p521";
	default:
		return "?";
	}
}

const char *
profile_key_kind(EVP_PKEY *key)
{
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_EC:
		return curve_kind(key);
	case EVP_PKEY_RSA:
		return "rsa";
	case EVP_PKEY_ED25519:
		return "ed25519";
	case EVP_PKEY_ED448:
		return "ed448";
	default:
		return "?";
	}
}

static int
apply_key(const struct profile *p, EVP_PKEY *key, struct err *e)
{
	const char *kind = profile_key_kind(key);

	for (size_t i = 0; i < p->keys.n; i++)
		if (strcmp(p->keys.v[i], kind) == 0)
			return 0;
	if (p->keys.n == 0)
		return 0;
	return err_fail(e, ERR_POLICY, CMP_BAD_ALG | CMP_BAD_CERT_TEMPLATE,
	    "key: profile '%s' takes none of kind %s",
	    p->name != NULL ? p->name : "", kind);
}

/* ---- subject ----------------------------------------------------------- */

static int
bad_template(struct err *e, const char *why)
{
	return err_fail(
	    e, ERR_POLICY, CMP_BAD_CERT_TEMPLATE, "subject: %s", why);
}

/* The one value of an attribute as UTF-8 (owned); NULL and 0 if it is not
 * there; -1 if it is there twice or is no text. */
static int
name_value(const X509_NAME *n, int nid, char **ret, struct err *e)
{
	int at = n == NULL ? -1 : X509_NAME_get_index_by_NID(n, nid, -1), len;
	unsigned char *text = NULL;
	char *copy;

	*ret = NULL;
	if (at < 0)
		return 0;
	if (X509_NAME_get_index_by_NID(n, nid, at) >= 0)
		return bad_template(e, "an attribute stands in it twice");
	len = ASN1_STRING_to_UTF8(
	    &text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(n, at)));
	if (len < 0)
		return bad_template(e, "a value is no text");
	copy = xcalloc((size_t)len + 1, 1);
	memcpy(copy, text, (size_t)len);
	OPENSSL_free(text);
	if (strlen(copy) != (size_t)len || !utf8_valid(copy, (size_t)len)) {
		free(copy);
		return bad_template(e, "a value is no text");
	}
	*ret = copy;
	return 0;
}

static bool
has_control(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return true;
	return false;
}

static const char *
common_name(const struct profile *p, const char *asked, const char *serial)
{
	switch ((enum profile_cn)p->cn) {
	case PROFILE_CN_REQUEST:
		return asked != NULL ? asked : serial;
	case PROFILE_CN_SERIAL:
		return serial;
	case PROFILE_CN_FIXED:
		return p->common_name;
	}
	return serial;
}

/* O, OU, CN, serialNumber. */
static X509_NAME *
make_name(const struct profile *p, const char *cn, const char *serial)
{
	AUTO(X509_NAME) n = issue_name(cn, p->organization, serial);

	if (n == NULL || p->unit == NULL)
		return STEAL(n);
	if (X509_NAME_add_entry_by_NID(n, NID_organizationalUnitName,
		MBSTRING_UTF8, (const unsigned char *)p->unit, -1,
		p->organization != NULL ? 1 : 0, 0) != 1)
		return NULL;
	return STEAL(n);
}

/* RFC 9483 5.1.1: the subject answers to the device's proven identity: its
 * serialNumber is the IDevID's, its common name the device's wish. */
static int
apply_subject(const struct profile *p, const struct cmp_request *r,
    const char *serial, struct profile_grant *g, struct err *e)
{
	AUTO(char) cn = NULL, number = NULL;

	if (name_value(r->subject, NID_commonName, &cn, e) == -1 ||
	    name_value(r->subject, NID_serialNumber, &number, e) == -1)
		return -1;
	if (number != NULL && strcmp(number, serial) != 0)
		return bad_template(
		    e, "serialNumber is not the IDevID's serialNumber");
	if (cn != NULL && (cn[0] == '\0' || has_control(cn)))
		return bad_template(e, "common name is empty or not printable");
	g->subject = make_name(p, common_name(p, cn, serial), serial);
	if (g->subject == NULL)
		return bad_template(e, "it is too long or cannot be encoded");
	/* RFC 9483 4.1.1: the NULL-DN leaves it to us. */
	g->modified = p->others != PROFILE_OTHERS_IGNORE &&
	    r->subject != NULL && X509_NAME_cmp(r->subject, g->subject) != 0;
	return 0;
}

/* RFC 9483 4.1.3: a key update changes the key alone. */
static int
keep_subject(const struct cmp_request *r, const X509_NAME *subject,
    struct profile_grant *g, struct err *e)
{
	if (r->subject != NULL && X509_NAME_cmp(r->subject, subject) != 0)
		return bad_template(e,
		    "RFC 9483 4.1.3: not that of the certificate to be "
		    "updated");
	if ((g->subject = X509_NAME_dup(subject)) == NULL)
		err_die("out of memory");
	return 0;
}

/* ---- all of it --------------------------------------------------------- */

void
profile_grant_done(struct profile_grant *g)
{
	X509_NAME_free(g->subject);
	buf_done(&g->san);
	*g = (struct profile_grant){ .subject = NULL };
}

int
profile_apply(const struct profile *p, const struct cmp_request *r,
    const char *serial, const X509_NAME *subject, struct profile_grant *ret,
    struct err *e)
{
	struct profile_grant g = { .subject = NULL };
	int rc = subject != NULL ? keep_subject(r, subject, &g, e)
				 : apply_subject(p, r, serial, &g, e);

	if (rc == -1 || apply_key(p, r->pubkey, e) == -1 ||
	    profile_extensions(p, r, &g, e) == -1) {
		profile_grant_done(&g);
		return -1;
	}
	*ret = g;
	return 0;
}

void
profile_ext_key_usage(const struct profile *p, struct buf *out)
{
	for (size_t i = 0; i < p->ext_key_usage.n; i++)
		buf_printf(
		    out, "%s%s", i > 0 ? "," : "", p->ext_key_usage.v[i]);
}
