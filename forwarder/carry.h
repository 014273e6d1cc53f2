/*
 * The forwarder's end of a carry socket: connects, comes back by itself, says
 * who listens, and turns octets into frames.  Reads no more than can be taken:
 * what the far link has no room for stays in the socket.
 */
#ifndef WAYBILL_FORWARDER_CARRY_H
#define WAYBILL_FORWARDER_CARRY_H

#include <sys/types.h>
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/sys/loop.h"

struct carry;

enum carry_verdict {
	CARRY_TAKEN,
	CARRY_WAIT,   /* no room: comes again after carry_resume */
	CARRY_REFUSED /* no registrar of ours: the connection ends */
};

struct carry_conf {
	const char *name; /* for log lines */
	const char *path;
	uid_t uid; /* who must listen there */
	void (*opened)(void *arg);
	/* The frame is borrowed; e says why it was refused. */
	enum carry_verdict (*frame)(
	    void *arg, struct bytes frame, struct err *e);
	/* A frame of len octets, over FRAME_MAX: its first octets are borrowed,
	 * the rest is dropped unread; -1: the connection ends. */
	int (*oversize)(
	    void *arg, size_t len, struct bytes head, struct err *e);
	void *arg;
};

/* Connects soon; strings are borrowed.  Never NULL. */
struct carry *carry_new(struct loop *l, const struct carry_conf *c);
void carry_free(struct carry *c);
/* Counts connections, so that an answer finds the one that asked; 0: none. */
unsigned carry_number(const struct carry *c);
/* Without a connection the frame is dropped. */
void carry_send(struct carry *c, struct bytes frame);
/* There is room again. */
void carry_resume(struct carry *c);

#endif
