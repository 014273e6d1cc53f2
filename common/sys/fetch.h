/*
 * Questions to one server over HTTPS, by libcurl on the loop: a maker's MASA,
 * an upstream CA.  Nothing of what was asked or of where it leads is taken on
 * trust: https alone unless told otherwise, no redirects, no proxy, the server
 * verified against what it is pinned to, addresses as the caller wants them,
 * answers of limited size, a total deadline.  The only user of <curl/curl.h>.
 */
#ifndef WAYBILL_SYS_FETCH_H
#define WAYBILL_SYS_FETCH_H

#include <sys/socket.h>
#include "common/pki/sign.h"
#include "common/sys/loop.h"

struct fetcher;
struct fetch; /* one question until its answer */

struct fetcher_conf {
	const struct signer
	    *client;	      /* shown if asked for; borrowed; NULL: none */
	struct bytes anchors; /* PEM; empty: what the system believes; copied */
	const char *server_name; /* in its certificate, in place of the URL's
				    host; borrowed; NULL: that */
	bool plain;		 /* http may be asked as well */
	/* Addresses that are not to be asked; NULL: all are. */
	bool (*walled)(const struct sockaddr *a);
	unsigned timeout_ms, connections;
};

struct fetcher *fetcher_new(
    struct loop *l, const struct fetcher_conf *c, struct err *e) WARN_UNUSED;
/* Before loop_free; what is under way is dropped without a word. */
void fetcher_free(struct fetcher *f);

struct fetch_ask {
	const char *url;
	const char *accept;
	const char *type;  /* of the body; NULL: a GET */
	struct bytes body; /* borrowed until the answer */
	size_t max;	   /* octets of the answer */
	/* It may reach the server once at most: not on a kept connection, since
	 * libcurl sends again by itself what it sent on one that was closed
	 * meanwhile. */
	bool once;
};

struct fetch_answer {
	unsigned status;      /* of HTTP; 0: no whole answer came */
	char why[200];	      /* if so; else "" */
	bool sent;	      /* octets of the question have left us */
	const char *type;     /* "" if none */
	const char *location; /* the same */
	struct bytes body;
	unsigned retry_after; /* seconds; 0: nothing said */
};

/* done(arg, a) once, from the loop, never from here; a is borrowed. */
typedef void (*fetch_done)(void *arg, const struct fetch_answer *a);
struct fetch *fetch_start(
    struct fetcher *f, const struct fetch_ask *a, fetch_done done, void *arg);
/* done is not called any more. */
void fetch_cancel(struct fetch *q);

/* Where `location` leads from `base`: a malloc'd URL of the same scheme, host
 * and port; else NULL with ERR_TRUST. */
char *fetch_resolve(
    const char *base, const char *location, struct err *e) WARN_UNUSED;

#endif
