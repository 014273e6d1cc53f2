#include "proxy/address.h"

#include <netdb.h>
#include <string.h>
#include "common/base/str.h"

int
address_parse(const char *s, bool names, struct address *ret, struct err *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | (names ? 0 : AI_NUMERICHOST) };
	struct addrinfo *ai;
	char host[64], port[6];
	int rc;

	if (hostport_parse(s, host, port, e) == -1) {
		if (e != NULL)
			e->kind = ERR_CONF;
		return -1;
	}
	if ((rc = getaddrinfo(host, port, &hints, &ai)) != 0)
		return err_set(
		    e, ERR_CONF, "address %s: %s", s, gai_strerror(rc));
	memcpy(&ret->u, ai->ai_addr, ai->ai_addrlen);
	ret->len = ai->ai_addrlen;
	freeaddrinfo(ai);
	return 0;
}

char *
address_host(char ret[ADDRESS_TEXT], const struct address *a)
{
	if (getnameinfo(&a->u.sa, a->len, ret, ADDRESS_TEXT, NULL, 0,
		NI_NUMERICHOST) != 0)
		str_copy(ret, ADDRESS_TEXT, "?");
	return ret;
}

unsigned
address_port(const struct address *a)
{
	return ntohs(a->u.sa.sa_family == AF_INET6 ? a->u.in6.sin6_port
						   : a->u.in.sin_port);
}

bool
address_same_host(const struct address *a, const struct address *b)
{
	if (a->u.sa.sa_family != b->u.sa.sa_family)
		return false;
	if (a->u.sa.sa_family == AF_INET)
		return a->u.in.sin_addr.s_addr == b->u.in.sin_addr.s_addr;
	/* Link-local addresses mean a host only together with their link. */
	return a->u.in6.sin6_scope_id == b->u.in6.sin6_scope_id &&
	    memcmp(&a->u.in6.sin6_addr, &b->u.in6.sin6_addr,
		sizeof(a->u.in6.sin6_addr)) == 0;
}
