#include "manufacturer/masa_judge.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>
#include "common/base/str.h"
#include "common/pki/certfacts.h"

AUTO_DEFINE(AUTHORITY_KEYID, AUTHORITY_KEYID, AUTHORITY_KEYID_free);

/* RFC 8995 5.6: what the registrar is told. */
enum {
	MALFORMED = 400,
	FORBIDDEN = 403, /* not signed correctly, stale, not to be overridden */
	UNKNOWN = 404	 /* no device of this vendor */
};

/* A request while it is judged. */
struct judging {
	const struct masa_vendor *v;
	const struct masa_asked *a;
	struct cms_signed rvr, prior; /* prior.signer NULL: there is none */
	struct vch_request req, pledge;
	struct trust *domain;	/* holds the pin alone */
	X509 *pin;		/* borrowed from rvr */
	STACK_OF(X509) * chain; /* registrar first, pin last */
};

static void
judging_done(struct judging *j)
{
	cms_signed_done(&j->rvr);
	cms_signed_done(&j->prior);
	vch_request_done(&j->req);
	vch_request_done(&j->pledge);
	trust_free(j->domain);
	x509s_free(j->chain);
}
#define AUTO_JUDGING struct judging __attribute__((cleanup(judging_done)))

void
masa_request_done(struct masa_request *r)
{
	buf_done(&r->idevid_issuer);
	buf_done(&r->domain);
	X509_free(r->pin);
	r->pin = NULL;
}

static int PRINTF(3, 4) refuse(struct err *e, int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_vset(e, ERR_POLICY, fmt, ap);
	va_end(ap);
	return status;
}

/* What stands in e already, with its object in front. */
static int
refuse_as(struct err *e, int status, const char *what)
{
	err_prefix(e, "%s", what);
	return status;
}

static uint64_t
judged_time(const struct judging *j)
{
	return j->a->now.quality == CLOCK_NONE ? 0 : j->a->now.time;
}

/* CMS with a voucher request in it, of the registered type or, as RFC 8995's
 * own examples have it, of none (id-data). */
static int
open_request(struct bytes der, const char *what, struct cms_signed *cms,
    struct vch_request *req, struct err *e)
{
	if (cms_open(der, NULL, cms, e) == -1)
		return refuse_as(
		    e, e->kind == ERR_TRUST ? FORBIDDEN : MALFORMED, what);
	if (cms->type != nid_json_voucher() && cms->type != NID_pkcs7_data)
		return refuse(e, MALFORMED,
		    "%s: RFC 8366 5.4: content is of type %s", what,
		    OBJ_nid2sn(cms->type));
	if (vch_request_parse(buf_bytes(&cms->content), req, e) == -1)
		return refuse_as(e, MALFORMED, what);
	return 0;
}

static int
check_signature(struct judging *j, struct err *e)
{
	int status =
	    open_request(j->a->body, "voucher request", &j->rvr, &j->req, e);

	if (status != 0)
		return status;
	if (j->req.serial[0] == '\0' || strlen(j->req.serial) > MASA_SERIAL_MAX)
		return refuse(e, UNKNOWN,
		    "voucher request: RFC 8995 5.5: serial-number of %zu "
		    "characters, wanted 1 to %d",
		    strlen(j->req.serial), MASA_SERIAL_MAX);
	return 0;
}

/* Who certified x, of those; by key, not by name alone. */
static X509 *
issuer_among(X509 *x, const STACK_OF(X509) * certs)
{
	int i;

	for (i = 0; i < sk_X509_num(certs); i++) {
		X509 *by = sk_X509_value(certs, i);
		EVP_PKEY *key = X509_get0_pubkey(by);

		if (X509_check_issued(by, x) == X509_V_OK && key != NULL &&
		    key_check(key, NULL) == 0 && X509_verify(x, key) == 1)
			return by;
	}
	return NULL;
}

/* RFC 8995 5.5.2: the certificate farthest from the registrar's own; the
 * domain's root if it came along. */
static X509 *
topmost(const struct cms_signed *c)
{
	X509 *at = c->signer, *above = NULL;
	int i;

	for (i = 0; i < CMS_CERTS_MAX; i++) {
		if (X509_self_signed(at, 0) == 1 ||
		    (above = issuer_among(at, c->certs)) == NULL)
			break;
		at = above;
	}
	return at;
}

/* RFC 8995 5.5.2, 5.5.3: the domain's CA is an anchor for this request only:
 * its PKI must be in itself consistent. */
static int
check_domain(struct judging *j, struct err *e)
{
	static const char what[] = "voucher request: RFC 8995 5.5.3";
	const char *name;

	j->pin = topmost(&j->rvr);
	j->domain = trust_new();
	if (trust_add_cert(j->domain, "domain", j->pin, e) == -1 ||
	    trust_check(j->domain, j->rvr.signer, j->rvr.certs, judged_time(j),
		&name, &j->chain, e) == -1)
		return refuse_as(e, FORBIDDEN, what);
	return 0;
}

static int
check_registrar(struct judging *j, struct err *e)
{
	/* RFC 8995 5.5.4: MUST */
	if (!cert_has_cmcra(j->rvr.signer))
		return refuse(e, FORBIDDEN,
		    "voucher request: RFC 8995 5.5.4: its signer's certificate "
		    "is without id-kp-cmcRA");
	return 0;
}

/* RFC 3339 5.6. */
static int
parse_time(const char *s, uint64_t *ret)
{
	struct tm tm = { 0 };
	const char *p = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	unsigned h, m;
	time_t t;

	if (p == NULL || (t = timegm(&tm)) < 86400)
		return -1;
	if (*p == '.')
		p += 1 + strspn(p + 1, "0123456789");
	if (strcmp(p, "Z") != 0 && strcmp(p, "z") != 0) {
		if ((*p != '+' && *p != '-') || strlen(p) != 6 ||
		    sscanf(p + 1, "%2u:%2u", &h, &m) != 2 || h > 23 || m > 59)
			return -1;
		t += (*p == '+' ? -1 : 1) * (time_t)(h * 3600 + m * 60);
	}
	*ret = (uint64_t)t;
	return 0;
}

/* RFC 8995 5.5: created-on; 5.6: a stale request is 403.  With a nonce its
 * absence is borne: a registrar may have no clock. */
static int
check_fresh(struct judging *j, struct err *e)
{
	const char *text = j->req.created_on;
	uint64_t made, now = judged_time(j);

	if (text[0] == '\0' && j->req.nonce[0] != '\0')
		return 0;
	if (text[0] == '\0')
		return refuse(e, FORBIDDEN,
		    "voucher request: RFC 8995 5.5: neither nonce nor "
		    "created-on");
	if (parse_time(text, &made) == -1)
		return refuse(e, MALFORMED,
		    "voucher request: RFC 8995 5.5: created-on is no date");
	if (now == 0 || j->a->again)
		return 0;
	if (made > now + MASA_AHEAD_MAX)
		return refuse(e, FORBIDDEN,
		    "voucher request: RFC 8995 5.5: created-on %s is in the "
		    "future",
		    text);
	if (made + MASA_AGE_MAX < now)
		return refuse(e, FORBIDDEN,
		    "voucher request: RFC 8995 5.6: created-on %s is stale",
		    text);
	return 0;
}

/* RFC 8995 5.5.5.  Only a nonceless request may come without what the pledge
 * signed (3.1). */
static int
check_prior(struct judging *j, struct err *e)
{
	if (j->req.prior.len > 0)
		return open_request(buf_bytes(&j->req.prior),
		    "prior-signed-voucher-request", &j->prior, &j->pledge, e);
	if (j->req.nonce[0] != '\0')
		return refuse(e, FORBIDDEN,
		    "voucher request: RFC 8995 5.5.5: a nonce without "
		    "prior-signed-voucher-request");
	return 0;
}

static int
check_device(struct judging *j, struct err *e)
{
	static const char what[] = "prior-signed-voucher-request: its signer";
	char serial[CERT_TEXT_MAX];
	X509 *idevid = j->prior.signer;
	const char *name;

	if (idevid == NULL)
		return 0;
	if (trust_check(j->v->devices, idevid, j->prior.certs, judged_time(j),
		&name, NULL, e) == -1 ||
	    cert_subject_serial(idevid, serial, e) == -1)
		return refuse_as(e, UNKNOWN, what);
	if (cert_is_ca(idevid))
		return refuse(e, UNKNOWN, "%s is no device", what);
	/* RFC 8995 5.5.5: MUST match */
	if (strcmp(j->req.serial, serial) != 0)
		return refuse(e, FORBIDDEN,
		    "voucher request: RFC 8995 5.5.5: serial-number is not "
		    "that of the pledge's certificate");
	if (strcmp(j->pledge.serial, serial) != 0)
		return refuse(e, FORBIDDEN,
		    "prior-signed-voucher-request: RFC 8995 5.2: serial-number "
		    "is not that of its signer");
	return 0;
}

/* RFC 8995 5.5.6. */
static int
check_nonce(struct judging *j, struct err *e)
{
	if (j->req.nonce[0] != '\0' &&
	    strcmp(j->req.nonce, j->pledge.nonce) != 0)
		return refuse(e, FORBIDDEN,
		    "voucher request: RFC 8995 5.5.6: nonce differs from the "
		    "pledge's");
	return 0;
}

/* What a certificate by this CA has as its AKI. */
static void
aki_of_children(X509 *ca, struct buf *ret)
{
	struct bytes ski = cert_ski(ca);
	AUTO(AUTHORITY_KEYID) aki = AUTHORITY_KEYID_new();
	unsigned char *p;
	int n;

	if (aki == NULL || (aki->keyid = ASN1_OCTET_STRING_new()) == NULL ||
	    ASN1_OCTET_STRING_set(aki->keyid, ski.p, (int)ski.len) != 1 ||
	    (n = i2d_AUTHORITY_KEYID(aki, NULL)) <= 0)
		err_die("out of memory");
	p = buf_grow(ret, (size_t)n);
	i2d_AUTHORITY_KEYID(aki, &p);
}

static void
device_issuer(const struct judging *j, struct buf *ret)
{
	if (j->prior.signer != NULL)
		vch_idevid_issuer(j->prior.signer, ret);
	else
		aki_of_children(j->v->sub, ret);
}

/* RFC 8995 5.5: need not be there; if it is, it tells which device is meant. */
static int
check_issuer(struct judging *j, struct err *e)
{
	struct buf want AUTO_BUF = { 0 };

	if (j->req.idevid_issuer.len == 0)
		return 0;
	device_issuer(j, &want);
	if (!bytes_eq(buf_bytes(&want), buf_bytes(&j->req.idevid_issuer)))
		return refuse(e, j->prior.signer != NULL ? FORBIDDEN : UNKNOWN,
		    "voucher request: RFC 8995 5.5: idevid-issuer is not the "
		    "device's");
	return 0;
}

static bool
key_in_chain(X509 *x, const STACK_OF(X509) * chain)
{
	EVP_PKEY *key = X509_get0_pubkey(x);
	struct digest want, have;
	int i;

	if (key == NULL)
		return false;
	want = spki_digest(key);
	for (i = 0; i < sk_X509_num(chain); i++) {
		have = spki_digest(X509_get0_pubkey(sk_X509_value(chain, i)));
		if (digest_eq(&want, &have))
			return true;
	}
	return false;
}

/* RFC 8995 5.5.5: the registrar that the pledge saw is the one that asks:
 * MUST, by SPKI. */
static int
check_proximity(struct judging *j, struct err *e)
{
	AUTO(X509) seen = NULL;

	if (j->prior.signer == NULL)
		return 0;
	if (j->pledge.proximity.len == 0)
		return refuse(e, FORBIDDEN,
		    "prior-signed-voucher-request: RFC 8995 5.5.5: no "
		    "proximity-registrar-cert");
	seen = ossl_cert_parse(buf_bytes(&j->pledge.proximity), e);
	if (seen == NULL)
		return refuse_as(e, MALFORMED, "proximity-registrar-cert");
	if (!key_in_chain(seen, j->chain))
		return refuse(e, FORBIDDEN,
		    "prior-signed-voucher-request: RFC 8995 5.5.5: the key of "
		    "proximity-registrar-cert is not in the registrar's chain");
	return 0;
}

/* RFC 8995 5.5.4: for a nonceless request the registrar MUST be
 * authenticated. */
static int
check_client(struct judging *j, struct err *e)
{
	static const char what[] = "nonceless voucher request: RFC 8995 5.5.4: "
				   "TLS client certificate";
	const struct trust *by =
	    j->v->registrars != NULL ? j->v->registrars : j->domain;
	const char *name;
	int i;

	if (j->req.nonce[0] != '\0')
		return 0;
	if (j->a->peer == NULL)
		return refuse(e, FORBIDDEN, "%s: none", what);
	for (i = 0; i < sk_X509_num(j->chain); i++)
		if (trust_add_intermediate(
			j->domain, sk_X509_value(j->chain, i), e) == -1)
			return refuse_as(e, FORBIDDEN, what);
	if (trust_check(by, j->a->peer, j->a->peer_chain, judged_time(j), &name,
		NULL, e) == -1)
		return refuse_as(e, FORBIDDEN, what);
	return 0;
}

static void
conclude(struct judging *j, struct masa_request *ret)
{
	struct masa_request r = { 0 };

	r.digest = digest_of(j->a->body.p, j->a->body.len);
	str_copy(r.serial, sizeof(r.serial), j->req.serial);
	str_copy(r.nonce, sizeof(r.nonce), j->req.nonce);
	device_issuer(j, &r.idevid_issuer);
	X509_up_ref(j->pin);
	r.pin = j->pin;
	vch_domain_id(j->pin, &r.domain);
	r.assertion =
	    j->pledge.assertion == VCH_PROXIMITY ? VCH_PROXIMITY : VCH_LOGGED;
	*ret = r;
}

int
masa_judge(const struct masa_vendor *v, const struct masa_asked *a,
    struct masa_request *ret, struct err *e)
{
	static int (*const checks[])(struct judging * j, struct err * e) = {
		check_signature,
		check_domain,
		check_registrar,
		check_fresh,
		check_prior,
		check_device,
		check_nonce,
		check_issuer,
		check_proximity,
		check_client,
	};
	AUTO_JUDGING j = { .v = v, .a = a };
	int status;
	size_t i;

	for (i = 0; i < NELEMS(checks); i++)
		if ((status = checks[i](&j, e)) != 0)
			return status;
	conclude(&j, ret);
	return 0;
}
