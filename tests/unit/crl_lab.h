/* Lists of revoked certificates by a CA of the lab. */
#ifndef WAYBILL_TESTS_CRL_LAB_H
#define WAYBILL_TESTS_CRL_LAB_H

#include "tests/unit/ra_lab.h"

#include "common/pki/crl.h"

/* revoked: NULL: nobody; `from` and `to` in seconds since 1970. */
static inline void
lab_crl(const struct lab_ca *by, X509 *revoked, uint64_t from, uint64_t to,
    struct buf *out)
{
	struct crl_entry one = { .when = from, .reason = 1 };
	struct crl_spec spec = { .this_update = from,
		.next_update = to,
		.number = 1,
		.entries = &one,
		.n = revoked != NULL };
	struct buf tbs AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };
	const ASN1_INTEGER *n;
	struct err e = ERR_INIT;

	if (revoked != NULL) {
		/* Random serial numbers of ours have no high bit. */
		n = X509_get0_serialNumber(revoked);
		one.serial = bytes_of(
		    ASN1_STRING_get0_data(n), (size_t)ASN1_STRING_length(n));
		assert_int_equal(one.serial.p[0] & 0x80, 0);
	}
	assert_int_equal(crl_tbs(&spec, by->cert, &tbs, &e), 0);
	if (sign_octets(by->key, buf_bytes(&tbs), "list", &sig, &e) == -1 ||
	    crl_finish(buf_bytes(&tbs), buf_bytes(&sig), by->cert, out, &e) ==
		-1)
		fail_msg("%s", e.msg);
}

/* vendor.crl and vendor-sub.crt: the list of the sub-CA, an hour old, with the
 * lab's device or without it. */
static inline void
lab_save_list(const struct lab *l, bool revokes, bool stale)
{
	uint64_t now = clock_now().time;
	struct buf der AUTO_BUF = { 0 };

	lab_crl(&l->vendor_sub, revokes ? l->device->cert : NULL, now - 3600,
	    stale ? now - 1 : now + 3600, &der);
	lab_write(l, "vendor.crl", buf_bytes(&der));
	lab_save(l, "vendor-sub", NULL, l->vendor_sub.cert, NULL);
}

#endif
