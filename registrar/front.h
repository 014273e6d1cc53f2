/*
 * What pledges meet: one front a base.  Routes paths, hands CMP to call.c,
 * wakes held requests when the outbox says that their entry moved.
 */
#ifndef WAYBILL_REGISTRAR_FRONT_H
#define WAYBILL_REGISTRAR_FRONT_H

#include "registrar/registrar.h"

struct hold;

struct front {
	struct registrar *r;
	struct loop *loop;
	struct https *servers[REG_LISTEN_MAX];
	size_t n_servers;
	struct hold *held;  /* requests that wait for their entry to move */
	uint64_t noted[64]; /* see front_noted */
	size_t n_noted;
};

int front_open(struct registrar *r, struct loop *l, struct front **ret,
    struct err *e) WARN_UNUSED;
/* In this order, when its base no longer runs: no more requests, those that
 * wait are told in vain; then, with all posted work done, the front itself. */
void front_stop(struct front *f);
void front_free(struct front *f);

/* The Content-Type is this one, with or without parameters. */
bool front_type_is(const struct https_req *q, const char *want);

/* Whether this was asked for the entry before, lately: one note an entry, since
 * what repeats must not wear the store. */
bool front_noted(struct front *f, uint64_t id);

#endif
