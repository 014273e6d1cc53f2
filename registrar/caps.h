/*
 * What one device may take of us, however many proxies and event bases it
 * comes through: connections, requests a second, requests held open.  A device
 * is the SHA-256 of its TLS client certificate: pledges behind one proxy share
 * an address.  Clients without a certificate share one bucket of requests and
 * are held open never.  Any thread; nothing blocks but a short mutex.
 *
 * Whoever makes certificates of its own is a new device with each: against
 * that stands the count of all connections.
 */
#ifndef WAYBILL_REGISTRAR_CAPS_H
#define WAYBILL_REGISTRAR_CAPS_H

#include <stdbool.h>
#include "common/base/digest.h"

struct caps;

struct caps_conf {
	unsigned connections, requests, held; /* of one device */
	unsigned nameless; /* requests of all without a certificate */
	unsigned devices;  /* remembered at once; those connected come first */
};

struct caps *caps_new(const struct caps_conf *c);
void caps_free(struct caps *c);

/* device NULL: a client without a certificate.  All of these: false if it is
 * over its share. */
bool caps_enter(struct caps *c, const struct digest *device);
void caps_leave(struct caps *c, const struct digest *device);
/* One request at `now`, in monotonic milliseconds. */
bool caps_request(struct caps *c, const struct digest *device, uint64_t now);
bool caps_hold(struct caps *c, const struct digest *device);
void caps_unhold(struct caps *c, const struct digest *device);
/* Whether a refusal of this device is worth a line in the log: the first in a
 * minute. */
bool caps_worth_a_line(
    struct caps *c, const struct digest *device, uint64_t now);
/* Devices remembered. */
size_t caps_count(struct caps *c);

#endif
