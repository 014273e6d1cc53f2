/* Private to carry.c, session.c, hello.c, recover.c and intake.c. */
#ifndef WAYBILL_REGISTRAR_CARRY_INT_H
#define WAYBILL_REGISTRAR_CARRY_INT_H

#include "common/link/frame.h"
#include "registrar/carry.h"
#include "registrar/reference.h"

#define SESSION_WINDOW	 32
#define SESSION_STALL_MS 300000 /* DESIGN 8: the progress watchdog */

struct bufferevent;
struct evconnlistener;
struct carry_conn;

/* What is known of a service between connections; carry has one for each. */
struct recovery {
	bool alarmed; /* it was said that its memory is an older one */
	/* How far it was told (recover.c): */
	uint8_t epoch[ENTRY_EPOCH_LEN]; /* its, then */
	uint64_t outset;		/* the next id that it knew then */
	uint64_t told, next_told;	/* all ids up to here, it has said */
	unsigned acks;
};

/* Evidence under way on one connection. */
struct recover {
	bool on;
	bool end;	  /* all that had left was sent */
	uint64_t next;	  /* the first id not looked at */
	uint64_t got_tag; /* of the GOT that ends it, 0: not sent */
	size_t n;
	struct {
		uint64_t tag, id;
	} out[SESSION_WINDOW];
	struct timer *timer;
};

/* The conversation with one service over one connection. */
struct session {
	struct carry_conn *conn;
	struct service *service; /* NULL before the first LINK */
	bool up;		 /* the forwarder says so */
	bool ready;		 /* WELCOME since then, and both are sound */
	size_t taking;		 /* frames whose batches are being committed */
	bool receipts;		 /* all of them are STORED */
	bool handing;		 /* a hand-out is being committed */
	bool resend;		 /* offering again what is in flight */
	uint64_t cursor;	 /* of the resend */
	/* 0: none outstanding */
	uint64_t last_tag, hello_tag, pull_tag, got_tag;
	uint64_t stale_tag; /* up to here: asked before the last reset */
	uint64_t pulled_at;
	uint8_t nonce[FRAME_NONCE_LEN];
	uint8_t service_epoch[ENTRY_EPOCH_LEN];
	uint64_t seq; /* highest gapless batch committed */
	size_t window, n_puts;
	uint64_t puts[SESSION_WINDOW]; /* tags */
	struct timer *again;
	struct recover recover;
	struct session_ask *ask; /* for reference data */
	struct timer *watchdog;
	uint64_t progress_at; /* something moved, or there was nothing to do */
};

struct carry_conn {
	struct carry *carry;
	uint64_t number; /* of all connections; jobs find theirs by it */
	struct bufferevent *bev;
	struct buf in;
	struct session session;
	struct timer *silent; /* until it says LINK */
	struct carry_conn *next;
};

struct carry {
	struct registrar *r;
	struct loop *loop;
	struct evconnlistener *listener;
	struct carry_conn *conns;
	size_t n;
	uint64_t accepted;
	uint64_t stall_ms;	     /* of the watchdogs */
	uint64_t link_ms;	     /* for the first LINK */
	struct recovery *recoveries; /* one a service */
};

/* NULL if that connection has gone meanwhile. */
struct carry_conn *carry_find(struct carry *c, uint64_t number);
void carry_send(struct carry_conn *k, struct bytes frame);
/* Takes up reading where a busy session left it. */
void carry_drain(struct carry_conn *k);

/* Of this service, one of the registrar's. */
struct recovery *carry_recovery(struct carry *c, const struct service *s);
/* Nothing passes on any connection, until carry_renewed. */
void carry_quiet(struct carry *c);

/* ---- session.c -------------------------------------------------------- */

struct registrar *session_registrar(const struct session *s);
uint64_t session_tag(struct session *s);
void session_alarm(
    const struct session *s, const char *event, const struct err *e);
void session_open(struct session *s, struct carry_conn *k);
void session_close(struct session *s);
/* -1 ends the connection: the peer is no forwarder of ours. */
int session_frame(
    struct session *s, struct bytes octets, struct err *e) WARN_UNUSED;
/* Both sides are sound: PULL, and PUT what may leave. */
void session_begin(struct session *s);
/* Ends what is under way; what still comes of it is ignored. */
void session_quiet(struct session *s);
/* That, and HELLO if the link is up. */
void session_restart(struct session *s);
/* Hands out what may leave, as far as there is room. */
void session_push(struct session *s);
/* What went wrong is tried again in a while: HELLO, or all that is in flight. */
void session_later(struct session *s);
void session_taken(struct session *s, enum frame_type type);

/* ---- hello.c ---------------------------------------------------------- */

void session_hello(struct session *s);
/* The answer to our HELLO: decides what follows. */
void session_welcome(struct session *s, const struct frame *f);

/* ---- recover.c -------------------------------------------------------- */

void recover_open(struct session *s);
void recover_close(struct session *s);
/* h: its WELCOME, which asks for evidence. */
void recover_begin(struct session *s, const struct frame_hello *h);
void recover_stop(struct session *s);
/* The service is sound: another recovery starts from the first id. */
void recover_forget(struct recovery *v);
void recover_ping(struct session *s, uint64_t tag);
/* Whether that was asked here; then it is over, until the next HELLO. */
bool recover_nack(struct session *s, uint64_t tag);

/* ---- intake.c --------------------------------------------------------- */

/* Verifies and commits the batches of a STORED or ANSWERS frame;
 * session_taken is called when the last is committed. */
void session_take(struct session *s, struct bytes octets, struct frame *f);

#endif
