/*
 * The calls of OpenSSL, jansson and LMDB that an enrolment demands of whoever
 * answers it, and nothing between them: the ceilings of bench_enrol's rows.
 * Each is called as its library documents it; keys, anchors and contexts are
 * made once.  Every octet was made before, none is parsed twice, and whatever
 * comes of a call is looked at.
 */
#ifndef WAYBILL_TESTS_ENROL_CALLS_H
#define WAYBILL_TESTS_ENROL_CALLS_H

#include <stdio.h>
#include "tests/bench/site.h"

/* One device's messages: CMS of the voucher request, DER of the ir. */
struct enrol_input {
	const struct signer *device;
	struct bytes voucher, ir;
};

struct enrol_calls;
struct enrol_calls *enrol_calls_new(const struct site *s);
void enrol_calls_free(struct enrol_calls *c);
AUTO_DEFINE(enrol_calls, struct enrol_calls, enrol_calls_free);

/* All calls of one enrolment up to "waiting"; of one poll, but for its
 * handshake; of one case at the RA, judged and issued, those that sign and
 * verify.
 * Microseconds of this thread's processor time; ends the process if a call
 * fails. */
double enrol_calls_accept(struct enrol_calls *c, const struct enrol_input *in);
double enrol_calls_poll(struct enrol_calls *c, const struct enrol_input *in);
double enrol_calls_issue(struct enrol_calls *c, const struct enrol_input *in);

/* What each call has taken so far, a line each, for people. */
void enrol_calls_list(const struct enrol_calls *c, FILE *to);

#endif
