/* What the device's halves share: BRSKI (pledge_brski.c) and CMP (pledge.c). */
#ifndef WAYBILL_MANUFACTURER_PLEDGE_INT_H
#define WAYBILL_MANUFACTURER_PLEDGE_INT_H

#include <sys/types.h>
#include "common/pki/certfacts.h"
#include "manufacturer/pledge.h"
#include "manufacturer/pledge_http.h"
#include "manufacturer/pledge_state.h"

#define PLEDGE_HTTP_TIMEOUT 60 /* seconds; more than a registrar holds */
#define PLEDGE_RETRY_MS	    500

struct pledge {
	const struct pledge_opts *o;
	struct signer *idevid;
	struct trust *anchors;	  /* of the domain */
	struct pledge_http *http; /* with the IDevID */
	EVP_PKEY *key;		  /* the new one */
	char serial[CERT_TEXT_MAX];
	char path[32 + CMP_PROFILE_MAX];
	uint64_t until; /* monotonic milliseconds */
	struct buf request;
	struct cmp_msg *first; /* request, parsed */
	struct cmp_msg *last;  /* waiting or pollRep; NULL: none yet */
	struct cmp_msg *final;
	uint32_t check_after;
};

/* One line for people, or one JSON object for programs. */
void pledge_say(const struct pledge *p, const char *event, const char *detail);
void pledge_sleep(uint64_t ms);
uint64_t pledge_left_ms(const struct pledge *p);
/* PREFIX and suffix. */
int pledge_write(const struct pledge *p, const char *suffix, mode_t mode,
    struct bytes data, struct err *e) WARN_UNUSED;

/*
 * RFC 8995 5: the domain by way of the maker.  Afterwards p->anchors holds
 * the pin and nothing else, and p->http is judged by it.  When the voucher, or
 * the request for it, is refused, the folder is empty again.
 */
int brski_learn(struct pledge *p, struct err *e) WARN_UNUSED;
/* RFC 8995 5.9.4: how the enrolment ended; reason NULL: well.  Tried for some
 * seconds; what came of it is said, and changes nothing. */
void brski_tell_enrolment(
    const struct pledge *p, struct pledge_http *http, const char *reason);

#endif
