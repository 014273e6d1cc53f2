/* What stands in each golden/store-N: make_golden writes it, test_golden finds
 * it again.  It never changes: what was written cannot. */
#ifndef WAYBILL_TESTS_GOLDEN_H
#define WAYBILL_TESTS_GOLDEN_H

#include "common/queue/entry.h"

#define GOLDEN_TIME 1800000000

static const struct golden {
	uint64_t id;
	const char *octets, *label, *answer;
	/* h: handed out, s: stored, a: answered, r: refused by the service, d:
	 * delivered, c: confirmed, w: withdrawn */
	const char *life;
	enum entry_state state;
} golden[] = {
	/* Answers have numbers between those of entries. */
	{ 1, "one", "device 1", "", "", ENTRY_QUEUED },
	{ 2, "two", "device 2", "", "h", ENTRY_INFLIGHT },
	{ 3, "three", "device 3", "", "hs", ENTRY_CUSTODY },
	{ 4, "four", "device 4", "the answer to four", "hsa", ENTRY_ANSWERED },
	{ 6, "six", "device 6", "the answer to six", "had", ENTRY_DELIVERED },
	{ 8, "eight", "device 8", "the answer to eight", "hsadc",
	    ENTRY_CONFIRMED },
	{ 10, "ten", "device 10", "no to ten", "hr", ENTRY_ANSWERED },
	{ 12, "twelve", "device 12", "late for twelve", "hswa",
	    ENTRY_WITHDRAWN },
};

#endif
