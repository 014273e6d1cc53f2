/* One case in work; private to the asker_* files. */
#ifndef WAYBILL_MASA_CLIENT_ASKER_INT_H
#define WAYBILL_MASA_CLIENT_ASKER_INT_H

#include <sys/queue.h>
#include "common/sys/fetch.h"
#include "masa-client/asker.h"
#include "masa-client/judge.h"

enum work_stage {
	WORK_FRESH, /* not looked at */
	WORK_READY, /* to be asked when its turn comes */
	WORK_LATE,  /* the same, but not before its timer */
	WORK_ASKING,
	WORK_SETTLING, /* with the ledger */
	WORK_PARKED,   /* its site is not known to be sound */
	WORK_STAGE__MAX
};

TAILQ_HEAD(works, work);

/* What a case needs only while it is asked or answered. */
struct job {
	struct buf octets; /* the registrar's request */
	struct request request;
	struct target target;
	/* Of the answer, as far as it has come. */
	struct buf voucher, log, out;
	unsigned log_status, log_tries;
	char *url; /* owned: of the question under way */
	char reason[LEDGER_REASON_MAX];
	struct ledger_settle settle;
};

struct work {
	TAILQ_ENTRY(work) all;
	TAILQ_ENTRY(work) place; /* in fresh, or its maker's ready or late */
	LIST_ENTRY(work) kin;	 /* in the bucket of its device */
	struct asker *asker;
	struct maker *maker; /* NULL until it was looked at */
	enum work_stage stage;
	uint64_t id; /* the case */
	struct entry_name {
		char site[ENTRY_NAME_MAX];
		uint8_t epoch[ENTRY_EPOCH_LEN];
		uint64_t id;
	} entry;
	struct digest device;
	char serial[CERT_TEXT_MAX];
	unsigned tries;
	bool withdrawn;		     /* to be refused */
	bool unreachable;	     /* the last one did not come to its MASA */
	char why[LEDGER_REASON_MAX]; /* it came to nothing */
	struct timer *timer;
	struct fetch *fetch;
	struct job *job;
};

/* A vendor, its MASA, and who waits for it. */
struct maker {
	const struct masa_vendor *conf;
	struct fetcher *fetcher;
	struct works ready, late;
	size_t asking;
};

#define ASKER_BUCKETS 1024

struct asker {
	struct masa *masa;
	struct maker *makers; /* as many as conf.vendors */
	struct works all, fresh;
	size_t n_fresh;
	LIST_HEAD(, work) devices[ASKER_BUCKETS];
	uint64_t seen; /* highest case id taken up */
	bool posted, late, blind;
	struct timer *retry;
};

/* Moves it between the lists of the stages. */
void work_place(struct work *w, enum work_stage stage);
/* Frees the job; the case stays. */
void work_drop_job(struct work *w);
/* Out of all lists, freed. */
void work_end(struct work *w);
/* Its octets cannot be had: an alarm, and the others go on. */
void work_skip(struct work *w, const struct err *e);

/* Reads and judges it into a new job: 0; 1 if it was ended; -1 if it could not
 * be read. */
int work_judge(
    struct work *w, const struct stamp *now, struct err *e) WARN_UNUSED;

/* asker_ask.c: asks the MASA for what is missing yet. */
void work_ask(struct work *w);
/* Nobody may say whether its device is revoked: judged again in a while. */
void work_hold(struct work *w);
/* asker_end.c: ends it with the voucher that is there, or a refusal; status is
 * the MASA's, 0 if none was asked. */
void work_answer(struct work *w);
void work_refuse(
    struct work *w, const char *event, unsigned status, const char *reason);

#endif
