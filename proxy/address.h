/* A socket address and its text. */
#ifndef WAYBILL_PROXY_ADDRESS_H
#define WAYBILL_PROXY_ADDRESS_H

#include <stdbool.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include "common/base/err.h"

struct address {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} u;
	socklen_t len;
};

#define ADDRESS_TEXT 80

/* "127.0.0.1:80", "[fe80::1%eth0]:443"; with names, also a name, looked up
 * once and blocking.  ERR_CONF, ERR_RETRY if nobody could be asked. */
int address_parse(
    const char *s, bool names, struct address *ret, struct err *e) WARN_UNUSED;
/* The address without its port; with "%scope" for link-local ones. */
char *address_host(char ret[ADDRESS_TEXT], const struct address *a);
unsigned address_port(const struct address *a);
/* Same host, whatever the port. */
bool address_same_host(const struct address *a, const struct address *b);

#endif
