#include "common/pki/voucher.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "common/pki/cmp_der.h"
#include "common/pki/vch_json.h"

#define TOP "ietf-voucher:voucher"

#define MEMBER(n, read, field, must) \
	{ \
		n, "RFC 8366 5.3", read, offsetof(struct vch, field), \
		    sizeof(((struct vch *)NULL)->field), must \
	}

void
vch_done(struct vch *v)
{
	buf_done(&v->idevid_issuer);
	X509_free(v->pin);
	*v = (struct vch){ 0 };
}

int
vch_parse(struct bytes json, struct vch *ret, struct err *e)
{
	static const struct vch_member members[] = {
		MEMBER("created-on", vch_read_text, created_on, true),
		MEMBER("expires-on", vch_read_time, expires_on, false),
		MEMBER("assertion", vch_read_assertion, assertion, true),
		MEMBER("nonce", vch_read_opaque, nonce, false),
		MEMBER("serial-number", vch_read_text, serial, true),
		MEMBER("idevid-issuer", vch_read_octets, idevid_issuer, false),
		MEMBER("pinned-domain-cert", vch_read_cert, pin, true),
	};
	__attribute__((cleanup(vch_done))) struct vch v = { 0 };
	AUTO(json_t) j = NULL;

	if (vch_read_top(json, TOP, "voucher", &j, e) == -1 ||
	    vch_read(j, members, NELEMS(members), "voucher", &v, e) == -1)
		return -1;
	*ret = v;
	v = (struct vch){ 0 };
	return 0;
}

void
vch_format(const struct vch *v, struct buf *out)
{
	struct buf pin AUTO_BUF = { 0 };
	json_t *j = json_object();
	char date[21] = "";

	if (v->expires_on != 0)
		clock_format(date, v->expires_on);
	if (v->pin != NULL)
		ossl_cert_der(v->pin, &pin);
	vch_set_text(j, "created-on", v->created_on);
	vch_set_text(j, "expires-on", date);
	vch_set_assertion(j, v->assertion);
	vch_set_text(j, "nonce", v->nonce);
	vch_set_text(j, "serial-number", v->serial);
	vch_set_octets(j, "idevid-issuer", buf_bytes(&v->idevid_issuer));
	vch_set_octets(j, "pinned-domain-cert", buf_bytes(&pin));
	vch_write_top(TOP, j, out);
}

/* ---- judging ------------------------------------------------------------ */

void
vch_idevid_issuer(X509 *idevid, struct buf *ret)
{
	int at = X509_get_ext_by_NID(idevid, NID_authority_key_identifier, -1);
	const ASN1_OCTET_STRING *value;

	if (at < 0)
		return;
	value = X509_EXTENSION_get_data(X509_get_ext(idevid, at));
	buf_add(ret, ASN1_STRING_get0_data(value),
	    (size_t)ASN1_STRING_length(value));
}

/*
 * RFC 8366 5.3 calls idevid-issuer "the Authority Key Identifier OCTET
 * STRING", which makers read in three ways: the extension's value, that as an
 * element with tag and length, or the keyIdentifier alone.  Each names the
 * same issuer.
 */
static bool
issuer_matches(struct bytes said, X509 *idevid)
{
	const ASN1_OCTET_STRING *id = X509_get0_authority_key_id(idevid);
	struct buf value AUTO_BUF = { 0 };
	struct buf element AUTO_BUF = { 0 };

	vch_idevid_issuer(idevid, &value);
	if (value.len == 0)
		return false;
	der_add(&element, DER_OCTETS, buf_bytes(&value));
	return bytes_eq(said, buf_bytes(&value)) ||
	    bytes_eq(said, buf_bytes(&element)) ||
	    (id != NULL &&
		bytes_eq(said,
		    bytes_of(ASN1_STRING_get0_data(id),
			(size_t)ASN1_STRING_length(id))));
}

/* RFC 8995 5.6.1.  The nonce itself is not for messages. */
static int
check_nonce(const char *said, const char *nonce, struct err *e)
{
	if (said[0] != '\0' && nonce[0] == '\0')
		return err_set(e, ERR_TRUST,
		    "voucher: RFC 8995 5.6.1: nonce, and none was asked for");
	if (said[0] == '\0' && nonce[0] != '\0')
		return err_set(e, ERR_TRUST,
		    "voucher: RFC 8995 5.6.1: no nonce, and one was asked for");
	if (strcmp(said, nonce) != 0)
		return err_set(e, ERR_TRUST,
		    "voucher: RFC 8995 5.6.1: nonce differs from the "
		    "request's");
	return 0;
}

/* RFC 8995 2.3.1, 2.3.2: how an IDevID is known. */
int
vch_check_signer(X509 *signer, struct err *e)
{
	char serial[CERT_TEXT_MAX];

	if (X509_get_ext_by_NID(signer, nid_masa_url(), -1) >= 0 ||
	    cert_subject_serial(signer, serial, NULL) == 0)
		return err_set(e, ERR_TRUST,
		    "signer: a device's certificate, not a MASA's");
	return 0;
}

int
vch_check(const struct vch *v, const char *nonce, const char *serial,
    X509 *idevid, uint64_t now, struct err *e)
{
	char date[21];

	if (check_nonce(v->nonce, nonce, e) == -1)
		return -1;
	if (strcmp(v->serial, serial) != 0)
		return err_set(e, ERR_TRUST,
		    "voucher: RFC 8995 5.6.1: serial-number %s, expected %s",
		    v->serial, serial);
	if (v->expires_on != 0 && now >= v->expires_on)
		return err_set(e, ERR_TRUST,
		    "voucher: RFC 8366 5.3: expires-on: expired at %s",
		    clock_format(date, v->expires_on));
	if (v->idevid_issuer.len > 0 && idevid != NULL &&
	    !issuer_matches(buf_bytes(&v->idevid_issuer), idevid))
		return err_set(e, ERR_TRUST,
		    "voucher: RFC 8366 5.3: idevid-issuer is not the issuer of "
		    "the device's certificate");
	return 0;
}
