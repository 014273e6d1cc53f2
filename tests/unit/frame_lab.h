/* Who signs frames, and what must be read of them: what their tests share. */
#ifndef WAYBILL_TESTS_FRAME_LAB_H
#define WAYBILL_TESTS_FRAME_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/link/frame.h"

#define B(s) ((struct bytes){ (const uint8_t *)(s), sizeof(s) - 1 })

static inline struct signer *
new_signer(void)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(X509) x = X509_new();

	assert_non_null(x);
	assert_true(X509_set_pubkey(x, key));
	assert_true(X509_gmtime_adj(X509_getm_notBefore(x), 0) != NULL);
	assert_true(X509_gmtime_adj(X509_getm_notAfter(x), 3600) != NULL);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	return signer_new(key, x, NULL);
}

static inline void
must_parse(
    const struct buf *b, enum frame_type type, uint64_t tag, struct frame *ret)
{
	struct err e = ERR_INIT;
	enum frame_type peeked;
	uint64_t peeked_tag;

	if (frame_parse(buf_bytes(b), ret, &e) == -1)
		fail_msg("%s", e.msg);
	assert_int_equal(ret->type, type);
	assert_int_equal(ret->tag, tag);
	assert_int_equal(frame_peek(buf_bytes(b), &peeked, &peeked_tag, &e), 0);
	assert_int_equal(peeked, type);
	assert_int_equal(peeked_tag, tag);
}

#endif
