/*
 * Certificate profiles: what a request that names one may ask for, and what
 * its certificate holds.  No I/O, no state.
 */
#ifndef WAYBILL_RA_PROFILE_H
#define WAYBILL_RA_PROFILE_H

#include "common/pki/cmp.h"
#include "common/sys/conf.h"

enum profile_cn {
	PROFILE_CN_REQUEST, /* the device's wish, else its serialNumber */
	PROFILE_CN_SERIAL,
	PROFILE_CN_FIXED
};
enum profile_san { PROFILE_SAN_NONE, PROFILE_SAN_COPY };
enum profile_others {
	PROFILE_OTHERS_IGNORE, /* left out, not mentioned */
	PROFILE_OTHERS_DROP,   /* left out: grantedWithMods */
	PROFILE_OTHERS_REFUSE
};
/* What is published of a profile is "template/NAME" (reference.h). */
#define PROFILE_TEMPLATE "template/"

struct profile {
	char *name;		      /* certProfile of the header */
	int cn;			      /* enum profile_cn */
	char *common_name;	      /* PROFILE_CN_FIXED */
	char *organization, *unit;    /* NULL: none */
	int san;		      /* enum profile_san */
	struct conf_strs san_allowed; /* "DNS:*.example", "IP:10.*", "URI:*" */
	char *key_usage;	      /* "digitalSignature,keyAgreement" */
	struct conf_strs ext_key_usage; /* "clientAuth" or an OID */
	struct conf_strs keys;		/* of key kinds; empty: all we take */
	int others; /* enum profile_others: what is asked for beyond all this */
	uint64_t lifetime;     /* milliseconds */
	uint64_t max_live;     /* certificates of a device; 0: no limit */
	bool implicit_confirm; /* granted if asked for */
	bool ca_pubs;	       /* the root goes along in ip */
};
extern const struct conf_item profile_table[];
/* What the table cannot say: names twice or under which nothing can be
 * published, fixed text missing.  ERR_CONF. */
int profile_check(const struct conf_list *list, struct err *e) WARN_UNUSED;

/* "p256", "p384", "p521", "rsa", "ed25519", "ed448"; "?" for any other. */
const char *profile_key_kind(EVP_PKEY *key);

/* By name; "" is `plain`.  NULL with ERR_POLICY, badRequest. */
const struct profile *profile_find(const struct conf_list *list,
    const struct profile *plain, const char *name, struct err *e) WARN_UNUSED;

/* What is granted of a request.  Empty it with {0}. */
struct profile_grant {
	X509_NAME *subject; /* owned */
	struct buf san;	    /* issue_spec's text; empty: none */
	/* It is not what was asked for: something was left out, or the subject
	 * is another than the one that was named (RFC 9810 5.2.3). */
	bool modified;
};
void profile_grant_done(struct profile_grant *g);

/*
 * serial: the device's proven serialNumber; subject: what it must be, NULL: as
 * the profile says.  ERR_POLICY: badCertTemplate, or badAlg for the key.
 */
int profile_apply(const struct profile *p, const struct cmp_request *r,
    const char *serial, const X509_NAME *subject, struct profile_grant *ret,
    struct err *e) WARN_UNUSED;
/* extendedKeyUsage as issue_spec wants it, appended; "" if there is none. */
void profile_ext_key_usage(const struct profile *p, struct buf *out);

#endif
