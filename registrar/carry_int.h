/* Private to carry.c and session.c. */
#ifndef WAYBILL_REGISTRAR_CARRY_INT_H
#define WAYBILL_REGISTRAR_CARRY_INT_H

#include "common/link/frame.h"
#include "registrar/carry.h"

#define SESSION_WINDOW 32

struct bufferevent;
struct evconnlistener;
struct carry_conn;

/* The conversation with one service over one connection. */
struct session {
	struct carry_conn *conn;
	struct service *service; /* NULL before the first LINK */
	bool up;		 /* the forwarder says so */
	bool ready;		 /* WELCOME verified since then */
	bool busy;		 /* a batch is being committed */
	bool handing;		 /* a hand-out is being committed */
	bool resend;		 /* offering again what is in flight */
	uint64_t cursor;	 /* of the resend */
	uint64_t last_tag, hello_tag, pull_tag; /* 0: none outstanding */
	uint64_t pulled_at;
	uint8_t nonce[FRAME_NONCE_LEN];
	uint8_t service_epoch[ENTRY_EPOCH_LEN];
	uint64_t seq; /* highest gapless batch committed */
	size_t window, n_puts;
	uint64_t puts[SESSION_WINDOW]; /* tags */
	struct timer *again;
};

struct carry_conn {
	struct carry *carry;
	uint64_t number; /* of all connections; jobs find theirs by it */
	struct bufferevent *bev;
	struct buf in;
	struct session session;
	struct carry_conn *next;
};

struct carry {
	struct registrar *r;
	struct loop *loop;
	struct evconnlistener *listener;
	struct carry_conn *conns;
	size_t n;
	uint64_t accepted;
};

/* NULL if that connection has gone meanwhile. */
struct carry_conn *carry_find(struct carry *c, uint64_t number);
void carry_send(struct carry_conn *k, struct bytes frame);
/* Takes up reading where a busy session left it. */
void carry_drain(struct carry_conn *k);

void session_open(struct session *s, struct carry_conn *k);
void session_close(struct session *s);
/* -1 ends the connection: the peer is no forwarder of ours. */
int session_frame(
    struct session *s, struct bytes octets, struct err *e) WARN_UNUSED;
/* Hands out what may leave, as far as there is room. */
void session_push(struct session *s);
/* What went wrong is tried again in a while: HELLO, or all that is in flight. */
void session_later(struct session *s);
/* intake.c: verifies and commits the batches of a STORED or ANSWERS frame;
 * session_taken is called when the last is committed. */
void session_take(struct session *s, struct bytes octets, struct frame *f);
void session_taken(struct session *s, enum frame_type type);

#endif
