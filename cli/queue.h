/* Which entries a command is about, and how they are asked for. */
#ifndef WAYBILL_CLI_QUEUE_H
#define WAYBILL_CLI_QUEUE_H

#include "cli/ask.h"

enum {
	QUEUE_OPT_STATE = 0x200,
	QUEUE_OPT_KIND,
	QUEUE_OPT_OLDER,
	QUEUE_OPT_DEVICE,
	QUEUE_OPT_HELD,
	QUEUE_OPT_LATE,
	QUEUE_OPT_LIMIT
};

/* clang-format off: lines of a table. */
#define QUEUE_OPTIONS_WHICH \
	{ "kind", QUEUE_OPT_KIND, "KIND", 0, \
		"Those of this kind: cmp, voucher, withdraw, audit", 0 }, \
	    { "older", QUEUE_OPT_OLDER, "TIME", 0, \
		    "Those that came longer ago: 2h", 0 }, \
	{ \
		"device", QUEUE_OPT_DEVICE, "TEXT", 0, \
		    "Those of the device with this serial number", 0 \
	}
/* clang-format on */

/* NULL, false and 0: whichever. */
struct queue_query {
	const char *state, *kind, *device;
	uint64_t older; /* seconds */
	bool held, late;
	uint64_t limit; /* how many at most */
};

/* For an argp parser: ARGP_ERR_UNKNOWN if it is none of these. */
error_t queue_option(
    int key, char *arg, struct argp_state *state, struct queue_query *q);
/* Appends those that match to all, the oldest first, a page at a time; never
 * more than the limit is asked for.  *ret_more: there are others behind. */
int queue_ask(const char *socket, const struct queue_query *q, json_t *all,
    bool *ret_more, struct err *e) WARN_UNUSED;

#endif
