/* CMP from anybody: parse, header, signer, protection, and each body's reader.
 */
#include <stddef.h>
#include <stdint.h>

#include "common/pki/cmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_answers(const struct cmp_msg *m, struct err *e)
{
	struct cmp_response r = { 0 };
	uint32_t secs;
	long id;

	if (cmp_read_response(m, &r, e) == 0)
		cmp_response_done(&r);
	if (cmp_read_error(m, &r, e) == 0)
		cmp_response_done(&r);
	if (cmp_read_pollrep(m, &id, &secs, e) == 0 && id != 0 && id != -1)
		abort();
}

static void
read_requests(const struct cmp_msg *m, struct err *e)
{
	const STACK_OF(X509) *extra = cmp_extra_certs(m);
	struct cmp_request r = { 0 };
	struct cmp_certconf c;
	long id;

	if (cmp_read_request(m, &r, e) == 0)
		cmp_request_done(&r);
	if (cmp_read_certconf(m, &c, e) == 0 && sk_X509_num(extra) > 0 &&
	    cmp_check_certhash(&c, sk_X509_value(extra, 0), e) == 0 &&
	    c.hash.len < 32)
		abort();
	if (cmp_read_pollreq(m, &id, e) == 0 && id != 0 && id != -1)
		abort();
}

static void
read_one(struct bytes der, int depth)
{
	AUTO(cmp_msg) m = NULL;
	struct err e = ERR_INIT;
	struct bytes inner;
	X509 *signer;

	if (cmp_parse(der, &m, &e) == -1) {
		if (e.kind != ERR_INPUT)
			abort();
		return;
	}
	if (!bytes_eq(cmp_der(m), der))
		abort();
	if (cmp_check_header(m, &e) == 0 &&
	    cmp_transaction_id(m).len != CMP_TID_LEN)
		abort();
	if ((signer = cmp_find_signer(m, NULL, &e)) != NULL &&
	    cmp_verify(m, signer, &e) == -1 && e.kind == ERR_NONE)
		abort();
	read_requests(m, &e);
	read_answers(m, &e);
	if (cmp_read_nested(m, &inner, &e) == 0) {
		/* RFC 9483 5.2.2.1: one inside of another, no more. */
		if (depth > 0)
			abort();
		read_one(inner, depth + 1);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_one(bytes_of(data, size), 0);
	return 0;
}
