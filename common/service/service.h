/*
 * A service: an off-site program that answers entries of sites.  Here is what
 * all of them have alike: configuration, keys, the sites they know, ledger,
 * wire and control socket, on one loop.  What it does for an entry is its
 * trade, told by a table.
 */
#ifndef WAYBILL_SERVICE_SERVICE_H
#define WAYBILL_SERVICE_SERVICE_H

#include "common/base/json.h"
#include "common/link/wire.h"
#include "common/service/ledger.h"
#include "common/service/service_conf.h"
#include "common/service/sites.h"
#include "common/sys/https.h"

struct pulls;
struct keeper;
struct reference;
struct standings;
struct service;

/* One path of the control socket.  rest: what follows a path that ends in
 * '/'. */
struct control_route {
	const char *path;
	enum https_method method;
	void (*run)(struct service *s, struct https_req *q, const char *rest);
};

/* What an answer proves that we signed once: a ledger_proof that owns what is
 * in it.  Empty it with {0}. */
struct service_proof {
	enum batch_code code; /* 0: nothing */
	struct buf answer, cert;
	char reason[LEDGER_REASON_MAX], device[CERT_TEXT_MAX];
	char serial[LEDGER_SERIAL_MAX];
	bool has_names;
	struct digest tx, same;
	enum ledger_confirm confirm;
	char confirm_reason[LEDGER_REASON_MAX];
	uint64_t revoke;
	unsigned revoke_reason;
};

/* What somebody says that became of an unknown case. */
enum service_outcome {
	SERVICE_ISSUED,
	SERVICE_NOT_ISSUED,
	SERVICE_REVOKED, /* of a request for revocation */
	SERVICE_NOT_REVOKED,
	SERVICE_OUTCOME__MAX
};
void service_proof_done(struct service_proof *p);
#define AUTO_PROOF __attribute__((cleanup(service_proof_done)))
/* Borrows from p. */
struct ledger_proof service_proof_get(const struct service_proof *p);

struct service_trade {
	const char *program; /* "ra": first word of its events */
	unsigned kinds;	     /* 1u << enum entry_kind of each it serves */

	/*
	 * The device's octets out of those that travelled with an authentic
	 * header h of one of these kinds, signed by this certificate: appended
	 * to ret.  -1 with the reason, and in ret_code what the site is told
	 * for good; ERR_LOCAL and ERR_RETRY are told as "later".
	 */
	int (*unwrap)(const struct entry_header *h, X509 *registrar,
	    struct bytes octets, struct buf *ret, enum batch_code *ret_code,
	    struct err *e);

	/* A new case is in the ledger. */
	void (*stored)(struct service *s, uint64_t id);
	/* A case was given up by its site, or is open again. */
	void (*withdrawn)(struct service *s, uint64_t id);
	void (*reopened)(struct service *s, uint64_t id);
	/* The site has become sound, or is it no longer: service_sound. */
	void (*standing)(struct service *s, const char *site);
	/*
	 * What this answer proves, which a site shows for the entry with these
	 * octets of its device; empty: it has none.  A code of 0 if it is not
	 * ours; the device is told even then.  NULL: to decide an entry twice
	 * does no harm, nothing has to be proven.
	 */
	void (*prove)(struct service *s, const struct entry_header *h,
	    struct bytes device, struct bytes answer,
	    struct service_proof *ret);
	/*
	 * What somebody says became of an unknown case: checked, and if it was
	 * done, made the answer.  certificate: base64 of the DER of what was
	 * issued.  -1 with the reason.  NULL: nothing is issued here.
	 */
	int (*resolve)(struct service *s, const struct ledger_case *c,
	    enum service_outcome is, const char *certificate,
	    struct service_proof *ret, struct err *e);
	/* Certificates were revoked by what somebody proved.  NULL: never. */
	void (*revoked)(struct service *s);
	/* SIGHUP, after the sites were forgotten. */
	void (*reload)(struct service *s);
	/* Its own words for /v1/status. */
	void (*status)(struct service *s, json_t *j);
	/* Ends with a NULL path; NULL: none. */
	const struct control_route *routes;
};

struct service {
	const struct service_conf *conf;
	const struct service_trade *trade;
	void *owner; /* the program's own */
	struct signer *signer;
	struct trust *domain; /* believed of registrars */
	struct sites *sites;
	struct loop *loop;
	struct ledger *ledger;
	struct standings *standings;
	struct pulls *pulls;
	struct keeper *keeper;
	struct reference *reference;
	struct wire_server *wire;
	struct https *control;
	uint64_t started; /* monotonic milliseconds */
	bool failed;	  /* the loop was stopped by trouble of ours */
};

/* Keys, trust and sites; `more` are intermediates of the domain besides our
 * own chain, may be NULL.  conf, trade and owner are borrowed for good. */
int service_load(struct service *s, const struct service_conf *conf,
    const struct service_trade *trade, void *owner, const STACK_OF(X509) * more,
    struct err *e) WARN_UNUSED;
/* Loop and ledger: from here on the program may take up what is open. */
int service_open(struct service *s, struct err *e) WARN_UNUSED;
/* Then wire and control, or nobody could be told "stored". */
int service_listen(struct service *s, struct err *e) WARN_UNUSED;
/* Says that it is ready; returns after the loop was stopped. */
int service_run(struct service *s, struct err *e) WARN_UNUSED;
/* Those who ask first, then the ledger: what it still posts does not run. */
void service_close(struct service *s);
/* After the program's own parts; frees loop and keys. */
void service_done(struct service *s);

/* Whether anything of this site may be decided. */
bool service_sound(const struct service *s, const char *site);
/* What its HELLO showed. */
void service_heard(struct service *s, const char *site, bool sound);

/* Trouble of ours with no way on: says it and ends the loop, so that main ends
 * with a failure and whoever supervises us starts anew from the ledger. */
void service_give_up(struct service *s, const char *event, const struct err *e);

#endif
