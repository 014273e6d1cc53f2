#include "common/queue/seal.h"

#include <assert.h>
#include <string.h>

#define AAD_MAX (SEAL_ID_LEN + 1 + SEAL_DB_MAX + 1 + SEAL_KEY_MAX + 1)

static uint8_t *
add(uint8_t *p, const void *from, size_t n)
{
	memcpy(p, from, n);
	return p + n;
}

/* Store id | database | key | version; lengths, each of one octet, before what
 * varies, so that no two places share one AAD. */
static struct bytes
place(uint8_t aad[AAD_MAX], const struct seal *s, const char *db,
    struct bytes key)
{
	size_t n = strlen(db);
	uint8_t *p = aad;

	assert(n > 0 && n <= SEAL_DB_MAX);
	assert(key.len > 0 && key.len <= SEAL_KEY_MAX);
	p = add(p, s->store_id, SEAL_ID_LEN);
	*p++ = (uint8_t)n;
	p = add(p, db, n);
	*p++ = (uint8_t)key.len;
	p = add(p, key.p, key.len);
	*p++ = s->version;
	return bytes_of(aad, (size_t)(p - aad));
}

void
seal_value(const struct seal *s, const char *db, struct bytes key,
    struct bytes plain, struct buf *out)
{
	uint8_t aad[AAD_MAX];

	aead_seal(s->key, place(aad, s, db, key), plain, out);
}

int
seal_open(const struct seal *s, const char *db, struct bytes key,
    struct bytes sealed, struct buf *out, struct err *e)
{
	uint8_t aad[AAD_MAX];

	if (key.len == 0 || key.len > SEAL_KEY_MAX)
		return err_set(e, ERR_DAMAGE,
		    "sealed row: a key of %zu octets is none of ours", key.len);
	return aead_open(s->key, place(aad, s, db, key), sealed, out, e);
}

void
seal_done(struct seal *s)
{
	explicit_bzero(s, sizeof(*s));
}
