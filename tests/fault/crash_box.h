/* What the parts of the scripted outbox share. */
#ifndef WAYBILL_TESTS_CRASH_BOX_H
#define WAYBILL_TESTS_CRASH_BOX_H

#include "common/queue/outbox.h"
#include "tests/fault/crash_script.h"

#define BOX_ENTRIES 1024
#define BOX_DAY	    86400

/* An entry, as the script knows it. */
struct item {
	struct mark is;
	char device[16]; /* "": made by the outbox */
	struct buf octets, wrapped;
	bool initial;
	bool busy; /* a call of this burst is about it */
};

struct box {
	struct script *s;
	struct outbox *o;
	struct item v[BOX_ENTRIES];
	size_t n;
	uint64_t seq; /* of the service's batches */
	bool pruned;  /* what has ended may be gone */
};

/* One call under way, with all that it borrows. */
struct call {
	struct box *b;
	unsigned op;
	struct item *i;	     /* what it is about; NULL: all */
	enum entry_event ev; /* what becomes of it */
	struct buf answer;
	struct bytes answers; /* its one */
	struct facts facts;
	struct outbox_accept accept;
	struct outbox_move move;
	struct outbox_hold hold;
	struct outbox_withdraw withdraw;
	struct outbox_batch batch;
	struct batch says;
	struct batch_item item;
	struct outbox_checkpoint checkpoint;
	struct outbox_prune prune;
};

struct call *call_new(struct box *b, struct item *i);
void call_free(struct call *c);
/* Notes that it is on its way. */
void call_begin(struct call *c);

/* One of those in these states that nothing of this burst may touch, at random,
 * and of these kinds; NULL: there is none. */
struct item *item_in(struct box *b, unsigned kinds, unsigned states);
struct item *item_by_id(struct box *b, uint64_t id);
/* One more; NULL: enough. */
struct item *item_add(struct box *b);
/* One that the outbox made by this call; its octets are as it says. */
void item_add_ours(
    struct call *c, enum entry_kind kind, uint64_t id, uint64_t parent);
/* What becomes of it by the transition table. */
void item_advance(struct item *i, enum entry_event ev);
/* This is what it is since this call. */
void item_mark(struct call *c, struct item *i);

#define IN(state)  (1u << ENTRY_##state)
#define ANY_KIND   (~0u)
#define OF_DEVICES (1u << ENTRY_CMP | 1u << ENTRY_VOUCHER)
#define OF_OURS	   (1u << ENTRY_WITHDRAW | 1u << ENTRY_AUDIT)

/* Each begins one call, false if there is nothing to do it to. */
typedef bool (*box_start)(struct box *b);
bool box_hand_out(struct box *b);
bool box_deliver(struct box *b);
bool box_confirm(struct box *b);
bool box_withdraw(struct box *b);
bool box_expire(struct box *b);
bool box_hold(struct box *b);
bool box_release(struct box *b);
bool box_give_up(struct box *b);
bool box_receipt(struct box *b);
bool box_answer(struct box *b);
bool box_refusal(struct box *b);
bool box_plain_refusal(struct box *b);
bool box_late_answer(struct box *b);
bool box_receipt_of_ours(struct box *b);
/* Nothing else may be under way with these. */
bool box_reopen(struct box *b);
bool box_checkpoint(struct box *b);
bool box_prune(struct box *b);
bool box_renew(struct box *b);

void box_open(struct box *b);

#endif
