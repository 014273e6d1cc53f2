/*
 * What the script was told before the power went, and what it had asked for:
 * the marks of a record up to one place in it.  And the two judges, who open a
 * store that was left and hold it against that.
 */
#ifndef WAYBILL_TESTS_CRASH_TRUTH_H
#define WAYBILL_TESTS_CRASH_TRUTH_H

#include "tests/fault/crash_disk.h"
#include "tests/fault/crash_script.h"

struct truth_mark {
	size_t event; /* its place in the record */
	struct mark is;
};

struct truth {
	struct truth_mark *v;
	size_t n;
	/* of the power cut */
	size_t cut;
	unsigned begun; /* last call submitted before */
	bool opened;	/* the store was open, so it exists */
};

int truth_read(
    const struct disk *d, struct truth *ret, struct err *e) WARN_UNUSED;
void truth_done(struct truth *t);
/* The power goes before this event. */
void truth_cut(struct truth *t, size_t event);
/* What was told before. */
bool truth_acked(const struct truth *t, const struct truth_mark *m);
/* What was told, or asked for and may have happened. */
bool truth_possible(const struct truth *t, const struct truth_mark *m);

/*
 * Entry or case `id` may stand as mark *ret says: the first possible one from
 * the last acknowledged one on for which like(mark, arg) holds.  NULL: the store
 * tells of a past that was left, or of what nobody asked for.
 */
const struct mark *truth_match(const struct truth *t, enum mark_what what,
    uint64_t id, bool (*like)(const struct mark *m, const void *arg),
    const void *arg);

/* A folder that was left, and who looks. */
struct witness {
	const char *store, *seal;
	const struct signer *signer;
	uint64_t random; /* which of many is looked at closely */
	bool on;	 /* and the work goes on afterwards */
};

/* 0: nothing is wrong; else e says what.  They open the store and write to it:
 * in a process of their own. */
int check_outbox(
    const struct truth *t, const struct witness *w, struct err *e) WARN_UNUSED;
int check_ledger(
    const struct truth *t, const struct witness *w, struct err *e) WARN_UNUSED;
int check_store(
    const struct truth *t, const struct witness *w, struct err *e) WARN_UNUSED;

#endif
