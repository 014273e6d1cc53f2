/* One case in work; private to the clerk_* files. */
#ifndef WAYBILL_RA_CLERK_INT_H
#define WAYBILL_RA_CLERK_INT_H

#include "common/service/ledger_progress.h"
#include "ra/clerk.h"
#include "ra/upstream.h"

/* Certificates begin so many seconds before they are issued: clocks of devices
 * are seldom ahead, often a little behind. */
#define BACKDATE 300

enum work_stage {
	WORK_NEW,      /* not looked at, or to be looked at again */
	WORK_VERIFIED, /* to be granted when its turn comes */
	WORK_WAITING,  /* the same, but another case is about to get the
			  certificate for the same thing */
	WORK_BUSY      /* with the ledger or the CA child */
};

struct work {
	struct work *next;
	struct clerk *clerk;
	enum work_stage stage;
	struct ledger_case is;
	struct entry_header h;
	struct cmp_msg *m;
	struct verdict v;
	struct buf tbs, unsigned_cert, cert, answer;
	struct ledger_intend intend;
	struct ledger_settle settle;
	struct digest same; /* of the intent */
	char reason[LEDGER_REASON_MAX], serial[LEDGER_SERIAL_MAX];
	/* With an upstream: the question, and whether it said "waiting". */
	struct upstream_ask *ask;
	bool slow;
	struct buf progress; /* of it, as it stands in the ledger */
	struct ledger_progress keep;
	struct ledger_doubt doubt;
	struct {
		uint64_t parent;
		struct cmp_certconf status;
	} confirm;
};

struct clerk {
	struct ra *ra;
	struct work *first, **end; /* by case id; where the next one goes */
	size_t n, busy;		   /* without the slow ones */
	size_t slow;
	uint64_t seen; /* highest case id taken up */
	bool posted, late, blind;
	struct timer *retry;
	bool holding; /* some were passed by that nobody can judge */
	struct timer *held;
};

/* Reads and parses the case's octets. */
int work_load(struct work *w, struct err *e) WARN_UNUSED;
/* Empties it of all but id and place. */
void work_reset(struct work *w);
/* The ledger knows it in another state than we did: from the start. */
void work_again(struct work *w);
/* Out of the list, freed. */
void work_end(struct work *w);

/* Ends the case: the refusal in `why`, or a certificate, or a confirmation. */
void work_refuse(struct work *w, const char *event, const struct err *why);
void work_issue(struct work *w, struct bytes signature);
/* The same for what its site withdrew. */
void work_give_up(struct work *w);
void work_confirm(
    struct work *w, uint64_t parent, const struct cmp_certconf *c);
/* clerk_other.c: rr and genm. */
void work_revoke(struct work *w);
void work_inform(struct work *w);
/* Ends the case with the answer in w->answer; w->settle tells what else. */
void work_settle(struct work *w, enum batch_code code, const char *event);
/* clerk_end.c: the same with what an upstream decided. */
void work_issued(struct work *w, const struct upstream_answer *a);
void work_revoked(struct work *w);
void work_busy(struct work *w);
/* Writes down what shall be done, then has it done. */
void work_intend(struct work *w);

/* clerk_upstream.c: the octets to be sent, and to whom. */
int work_upstream_build(struct work *w, struct err *e) WARN_UNUSED;
/* The intent that was loaded is such. */
bool work_is_upstreams(const struct work *w);
/* Asks; after a restart it goes on where it stood, and asks once more only if
 * the upstream does nothing twice. */
void work_upstream(struct work *w);
void work_upstream_resume(struct work *w);
/* Nobody knows what became of it: people will say. */
void work_doubt(struct work *w, const char *why);
/* A certConf that was judged; answer: ours, which it confirms.  An upstream that
 * waits for it is sent it first. */
void work_confirm_upstream(struct work *w, uint64_t parent,
    const struct cmp_certconf *c, const struct cmp_msg *answer);
void work_unslow(struct work *w);

/* Writes down what shall be issued, then has it signed. */
void work_grant(struct work *w);
/* Has the intent that is in the ledger signed. */
void work_resume(struct work *w);

/* clerk_same.c: DESIGN 7, the same key pair in a new transaction. */
enum same {
	SAME_NONE,   /* it is to be granted */
	SAME_FOUND,  /* *ret_id's certificate, in w->cert, is the answer */
	SAME_COMING, /* another case's will be */
	SAME_FAILED
};
enum same work_find_same(struct work *w, uint64_t *ret_id, struct err *e);
/* Of a certificate that is valid from..to: whether it holds now, and was issued
 * within the window, all in seconds. */
bool same_is_fresh(uint64_t from, uint64_t to, uint64_t now, uint64_t window);
/* Names what is asked: site, device with its profile, and template, in which the
 * key is. */
struct digest same_key(
    const char *site, const struct digest *device, const struct digest *tmpl);

/* clerk_confirm.c: judges and ends a certConf. */
void work_judge_confirm(struct work *w);

/* Something of ours failed: the case is tried again in a while, or, if there
 * is no way on, the RA ends. */
void work_stall(struct work *w, const struct err *e);

/* It can be neither granted nor refused: it is passed by, and looked at again
 * later, until its deadline has passed. */
void work_hold(struct work *w, const struct err *e);

/* Its octets cannot be had: an alarm, and the others go on. */
void work_skip(struct work *w, const struct err *e);

#endif
