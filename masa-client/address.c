#include "masa-client/address.h"

#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include "common/base/cleanup.h"

struct prefix {
	uint8_t b[16];
	unsigned bits;
};

/* RFC 6890 and its registry. */
static const struct prefix v4[] = {
	{ { 0 }, 8 }, { { 10 }, 8 }, { { 100, 64 }, 10 }, { { 127 }, 8 },
	{ { 169, 254 }, 16 }, { { 172, 16 }, 12 }, { { 192, 0, 0 }, 24 },
	{ { 192, 168 }, 16 }, { { 198, 18 }, 15 },
	{ { 224 }, 4 }, /* multicast */
	{ { 240 }, 4 }, /* reserved, broadcast */
};

/* Of IPv6 only 2000::/3 is anybody's; what holds an address of IPv4 is judged
 * by that. */
static const struct prefix global[] = {
	{ { 0x20 }, 3 },
};

static const struct {
	struct prefix prefix;
	unsigned at; /* octet where the address of IPv4 starts */
} embedded[] = {
	{ { { [10] = 0xff, [11] = 0xff }, 96 }, 12 }, /* ::ffff:0:0/96 */
	{ { { 0x00, 0x64, 0xff, 0x9b }, 96 }, 12 },   /* 64:ff9b::/96 */
	{ { { 0x20, 0x02 }, 16 }, 2 },		      /* 2002::/16 */
};

static bool
has_prefix(const uint8_t *a, const struct prefix *p)
{
	size_t whole = p->bits / 8;
	unsigned rest = p->bits % 8;
	uint8_t mask = (uint8_t)(0xff00U >> rest);

	return memcmp(a, p->b, whole) == 0 &&
	    (rest == 0 || ((a[whole] ^ p->b[whole]) & mask) == 0);
}

static bool
in_table(const uint8_t *a, const struct prefix *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (has_prefix(a, &v[i]))
			return true;
	return false;
}

static bool
is_private6(const uint8_t *a)
{
	for (size_t i = 0; i < NELEMS(embedded); i++)
		if (has_prefix(a, &embedded[i].prefix))
			return in_table(a + embedded[i].at, v4, NELEMS(v4));
	return !in_table(a, global, NELEMS(global));
}

bool
address_is_private(const struct sockaddr *a)
{
	if (a->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, a, sizeof(in));
		return in_table((const uint8_t *)&in.sin_addr, v4, NELEMS(v4));
	}
	if (a->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, a, sizeof(in6));
		return is_private6(in6.sin6_addr.s6_addr);
	}
	return true;
}
