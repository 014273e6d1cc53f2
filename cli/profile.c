#include "cli/profile.h"

#include <arpa/inet.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/pki/issue.h"
#include "common/pki/sign.h"

#define DAY	    ((uint64_t)86400)
#define BACKDATE    300 /* for clocks that are a little behind */
#define SIGNS	    "critical,digitalSignature"
#define AGREES	    "critical,keyAgreement"
#define CERTIFIES   "critical,keyCertSign,cRLSign"
#define CMC_RA	    "1.3.6.1.5.5.7.3.28" /* RFC 6402 2.10 */
#define DAYS_ROOT   7300
#define DAYS_CA	    3650
#define DAYS_MEMBER 730

const struct profile profiles_ra[] = {
	{ "domain-root", NULL, "Waybill domain root", true, 1, CERTIFIES, NULL,
	    false, false, DAYS_ROOT },
	{ "domain-ca", "domain-root", "Waybill domain CA", true, 0, CERTIFIES,
	    NULL, false, false, DAYS_CA },
	{ "link-ca", NULL, "Waybill link CA", true, 0, CERTIFIES, NULL, false,
	    false, DAYS_ROOT },
	{ "service", "domain-ca", NULL, false, -1, SIGNS, CMC_RA, false, true,
	    DAYS_MEMBER },
	{ "service-box", "domain-ca", NULL, false, -1, AGREES, NULL, false,
	    true, DAYS_MEMBER },
	{ "link", "link-ca", NULL, false, -1, SIGNS, "serverAuth", true, false,
	    DAYS_MEMBER },
	{ NULL },
};

/* What MASAs see is a key of its own: it travels the Internet, the one that
 * signs answers does not. */
const struct profile profiles_masa[] = {
	{ "masa-service", "domain-ca", NULL, false, -1, SIGNS, CMC_RA, false,
	    true, DAYS_MEMBER },
	{ "masa-box", "domain-ca", NULL, false, -1, AGREES, NULL, false, true,
	    DAYS_MEMBER },
	{ "masa-link", "link-ca", NULL, false, -1, SIGNS, "serverAuth", true,
	    false, DAYS_MEMBER },
	{ "masa-tls", "domain-ca", NULL, false, -1, SIGNS, "clientAuth", false,
	    true, DAYS_MEMBER },
	{ NULL },
};

const struct profile profiles_site[] = {
	{ "registrar", "domain-ca", NULL, false, -1, SIGNS,
	    "serverAuth,clientAuth," CMC_RA, true, true, DAYS_MEMBER },
	{ "box", "domain-ca", NULL, false, -1, AGREES, NULL, false, true,
	    DAYS_MEMBER },
	{ "link", "link-ca", NULL, false, -1, SIGNS, "clientAuth", false, false,
	    DAYS_MEMBER },
	{ NULL },
};

const struct profile *
profile_find(const struct profile *table, const char *name)
{
	for (; table->name != NULL; table++)
		if (strcmp(table->name, name) == 0)
			return table;
	return NULL;
}

/* A CA's name carries a piece of its key's digest: two domains of one machine
 * must not have CAs of the same name. */
static X509_NAME *
subject_of(const struct profile *p, const char *who, EVP_PKEY *pubkey)
{
	struct buf cn AUTO_BUF = { 0 };
	struct digest d = spki_digest(pubkey);

	if (!p->ca)
		return issue_name(who, NULL, NULL);
	buf_printf(&cn, "%s %02X%02X%02X%02X", p->title, d.b[0], d.b[1], d.b[2],
	    d.b[3]);
	return issue_name(buf_cstr(&cn), NULL, NULL);
}

X509 *
profile_issue(const struct profile *p, const char *who, const char *san,
    EVP_PKEY *pubkey, X509 *issuer, EVP_PKEY *issuer_key, struct err *e)
{
	AUTO(X509_NAME) subject = subject_of(p, who, pubkey);
	struct stamp now = clock_now();
	struct issue_spec spec = {
		.subject = subject,
		.pubkey = pubkey,
		.not_before = now.time - BACKDATE,
		.not_after = now.time + p->days * DAY,
		.ca = p->ca,
		.pathlen = p->pathlen,
		.key_usage = p->key_usage,
		.ext_key_usage = p->ext_key_usage,
		.san = san,
	};
	X509 *x;

	if (now.quality == CLOCK_NONE) {
		err_set(e, ERR_LOCAL,
		    "%s.crt: the clock is not set: set it, then try again",
		    p->name);
		return NULL;
	}
	if (subject == NULL) {
		err_set(e, ERR_USAGE, "%s.crt: '%s' is no common name", p->name,
		    who);
		return NULL;
	}
	if ((x = issue_cert(&spec, issuer, issuer_key, e)) == NULL)
		err_prefix(e, "%s.crt", p->name);
	return x;
}

static bool
is_ip(const char *host)
{
	struct in6_addr a;

	return inet_pton(AF_INET, host, &a) == 1 ||
	    inet_pton(AF_INET6, host, &a) == 1;
}

int
profile_san(struct buf *out, const char *kind, const char *name,
    const char *const *hosts, size_t n_hosts, struct err *e)
{
	size_t i;

	buf_printf(out, "URI:urn:waybill:%s:%s", kind, name);
	for (i = 0; i < n_hosts; i++) {
		if (!issue_host_valid(hosts[i]))
			return err_set(e, ERR_USAGE,
			    "--host %s: neither a DNS name nor an IP address",
			    hosts[i]);
		buf_printf(
		    out, ",%s:%s", is_ip(hosts[i]) ? "IP" : "DNS", hosts[i]);
	}
	buf_cstr(out);
	return 0;
}
