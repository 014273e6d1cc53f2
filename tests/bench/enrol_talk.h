/* Devices that enrol and poll, for bench_enrol: each has its messages prepared,
 * and looks at each answer. */
#ifndef WAYBILL_TESTS_ENROL_TALK_H
#define WAYBILL_TESTS_ENROL_TALK_H

#include "tests/bench/enrol_calls.h"
#include "tests/bench/load.h"

enum talk {
	TALK_ENROL, /* voucher request (if prepared), then ir, one connection */
	TALK_POLL,  /* one pollReq on a fresh connection */
};

struct talks;
/* n new devices, named PREFIX-1 and on, with an ir each and, if wanted, a
 * voucher request. */
struct talks *talks_new(
    const struct site *s, const char *prefix, size_t n, bool voucher);
void talks_free(struct talks *t);
AUTO_DEFINE(talks, struct talks, talks_free);
size_t talks_n(const struct talks *t);
struct signer **talks_signers(const struct talks *t);

/* After TALK_ENROL: a pollReq each, after the answer that it was given. */
void talks_prepare_polls(struct talks *t);
/* All of them, at_once at a time; ends the process if one is refused or is
 * told anything but what it must be.  ret: the caller frees. */
void talks_run(const struct site *s, struct talks *t, enum talk what,
    unsigned at_once, struct load_sum *ret);
/* Of the device in place i; borrowed. */
struct enrol_input talks_input(const struct talks *t, size_t i);

#endif
