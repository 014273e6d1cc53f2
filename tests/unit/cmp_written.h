/* A message of ours, read again. */
#ifndef WAYBILL_TESTS_CMP_WRITTEN_H
#define WAYBILL_TESTS_CMP_WRITTEN_H

#include "cmp_fixture.h"

#include "common/pki/cmp_msg.h"

/* A message of this body by s, in answer to our own nonce. */
static inline struct cmp_msg *
message(const struct signer *s, struct bytes body)
{
	struct buf der AUTO_BUF = { 0 };
	struct cmp_head h = fixture_head();

	fixture_build(&h, body, s, &der);
	return fixture_parse(buf_bytes(&der));
}

#endif
