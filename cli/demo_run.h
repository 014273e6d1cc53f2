/* One run of the demo: its state, its waiting and its steps. */
#ifndef WAYBILL_CLI_DEMO_RUN_H
#define WAYBILL_CLI_DEMO_RUN_H

#include "cli/demo.h"
#include "common/base/json.h"

#define DEMO_START_MS 8000
#define DEMO_ID_MAX   40

struct demo {
	struct folder folder;
	struct demo_ports ports;
	bool keep, temporary;
	unsigned step;
	uint64_t begun; /* monotonic milliseconds */
	pid_t supervisor, pledge;
	int leash;
	/* Entries of the device: its voucher request, its CMP request. */
	char voucher[DEMO_ID_MAX], enrolment[DEMO_ID_MAX];
};

/* The next numbered line. */
void demo_say(struct demo *d, const char *fmt, ...) PRINTF(2, 3);

/* 1: it is so, 0: not yet, -1: it will never be. */
typedef int (*demo_test)(struct demo *d, struct err *e);
/* Waits until it is so, at most ms milliseconds (ERR_PEER then, naming the log
 * to read); a signal or the supervisor's end is an end as well. */
int demo_await(struct demo *d, demo_test test, uint64_t ms, const char *what,
    const char *log, struct err *e) WARN_UNUSED;

/* What the steps wait for more than once. */
int demo_registrar_there(struct demo *d, struct err *e);

/* All programs, before anything is made. */
int demo_find_programs(struct err *e) WARN_UNUSED;

/* In this order. */
int demo_step_keys(struct demo *d, struct err *e) WARN_UNUSED;
int demo_step_start(struct demo *d, struct err *e) WARN_UNUSED;
int demo_step_ask(struct demo *d, struct err *e) WARN_UNUSED;
int demo_step_kill(struct demo *d, struct err *e) WARN_UNUSED;
int demo_step_link(struct demo *d, struct err *e) WARN_UNUSED;
int demo_step_voucher(struct demo *d, struct err *e) WARN_UNUSED;
int demo_step_issue(struct demo *d, struct err *e) WARN_UNUSED;
int demo_step_ldevid(struct demo *d, struct err *e) WARN_UNUSED;
int demo_step_verify(struct demo *d, struct err *e) WARN_UNUSED;
int demo_step_audit(struct demo *d, struct err *e) WARN_UNUSED;

#endif
