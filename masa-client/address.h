/* Which addresses are not the Internet's: a MASA's name that leads there is
 * somebody's attempt to have us ask within our own walls. */
#ifndef WAYBILL_MASA_CLIENT_ADDRESS_H
#define WAYBILL_MASA_CLIENT_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/* Loopback, link-local, private, multicast, reserved, unspecified, and those
 * of IPv6 that stand for such addresses of IPv4; any other family. */
bool address_is_private(const struct sockaddr *a);

#endif
