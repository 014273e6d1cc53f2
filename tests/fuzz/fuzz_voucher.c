/* Voucher requests, vouchers, audit logs, status and the masa-client's answer:
 * what is read and written is read again, and written the same. */
#include <stdlib.h>
#include <string.h>

#include "common/pki/voucher.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
refused(const struct err *e)
{
	if (e->kind != ERR_INPUT)
		abort();
}

static void
same(const struct buf *a, const struct buf *b)
{
	if (!bytes_eq(buf_bytes(a), buf_bytes(b)))
		abort();
}

static void
terminated(const char *s, size_t size)
{
	if (strnlen(s, size) == size)
		abort();
}

static void
try_request(struct bytes in)
{
	struct vch_request v = { 0 }, again = { 0 };
	struct buf first AUTO_BUF = { 0 };
	struct buf second AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	if (vch_request_parse(in, &v, &e) == -1) {
		refused(&e);
		return;
	}
	terminated(v.nonce, sizeof(v.nonce));
	terminated(v.serial, sizeof(v.serial));
	terminated(v.created_on, sizeof(v.created_on));
	vch_request_format(&v, &first);
	/* Padding and spelling may make it longer than what was read. */
	if (first.len <= VCH_JSON_MAX) {
		if (vch_request_parse(buf_bytes(&first), &again, &e) == -1)
			abort();
		vch_request_format(&again, &second);
		same(&first, &second);
	}
	vch_request_done(&v);
	vch_request_done(&again);
}

static void
try_voucher(struct bytes in)
{
	struct vch v = { 0 }, again = { 0 };
	struct buf first AUTO_BUF = { 0 };
	struct buf second AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	if (vch_parse(in, &v, &e) == -1) {
		refused(&e);
		return;
	}
	if (v.pin == NULL || v.serial[0] == '\0')
		abort();
	if (vch_check(&v, v.nonce, v.serial, v.pin, v.expires_on, &e) == 0 &&
	    v.expires_on != 0)
		abort();
	vch_format(&v, &first);
	if (first.len <= VCH_JSON_MAX) {
		if (vch_parse(buf_bytes(&first), &again, &e) == -1)
			abort();
		vch_format(&again, &second);
		same(&first, &second);
	}
	vch_done(&v);
	vch_done(&again);
}

static void
try_log(struct bytes in)
{
	struct err e = ERR_INIT;
	struct vch_log l = { 0 };
	size_t i;

	if (vch_log_parse(in, &l, &e) == -1) {
		refused(&e);
		return;
	}
	if (l.n > VCH_LOG_EVENTS_MAX)
		abort();
	for (i = 0; i < l.n; i++) {
		terminated(l.events[i].date, sizeof(l.events[i].date));
		terminated(l.events[i].domain, sizeof(l.events[i].domain));
	}
	vch_log_done(&l);
}

static void
try_status(struct bytes in)
{
	struct buf first AUTO_BUF = { 0 };
	struct buf second AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct vch_status s;

	if (vch_status_parse(in, &s, &e) == -1) {
		refused(&e);
		return;
	}
	vch_status_format(&s, &first);
	if (vch_status_parse(buf_bytes(&first), &s, &e) == -1)
		abort();
	vch_status_format(&s, &second);
	same(&first, &second);
}

static void
try_answer(struct bytes in)
{
	struct buf first AUTO_BUF = { 0 };
	struct buf second AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct vch_answer a;

	if (vch_answer_parse(in, &a, &e) == -1) {
		refused(&e);
		return;
	}
	vch_answer_format(&a, &first);
	if (vch_answer_parse(buf_bytes(&first), &a, &e) == -1)
		abort();
	vch_answer_format(&a, &second);
	same(&first, &second);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = bytes_of(data, size);

	try_request(in);
	try_voucher(in);
	try_log(in);
	try_status(in);
	try_answer(in);
	return 0;
}
