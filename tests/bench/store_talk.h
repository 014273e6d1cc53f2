/* Between store_box.c, which tells, and store_work.c, which does. */
#ifndef WAYBILL_TESTS_STORE_TALK_H
#define WAYBILL_TESTS_STORE_TALK_H

#include "tests/bench/bench_store.h"

#define STORE_TALK 3 /* descriptor of the socket at which orders come */

/* Answered by a struct store_cost; the first one comes unasked, when the
 * outbox is open. */
struct store_order {
	enum store_work work;
	unsigned long n;
	unsigned at_once;
};

/* store_alone.c: opened when it is first asked for, with the words that the
 * process was called with. */
void store_alone_put(
    char *const argv[], struct bytes nested, unsigned long n, unsigned at_once);
void store_alone_close(void);

#endif
