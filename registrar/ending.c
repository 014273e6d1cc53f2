#include "registrar/ending.h"

#include "common/base/str.h"
#include "common/pki/cmp.h"
#include "common/pki/voucher.h"

#define UNACCEPTABLE 406

uint32_t
ending_fail(enum entry_state end)
{
	static const uint32_t fails[ENTRY_STATE__MAX] = {
		[ENTRY_REFUSED] = CMP_NOT_AUTHORIZED,
		[ENTRY_EXPIRED] = CMP_BAD_TIME,
		[ENTRY_WITHDRAWN] = CMP_BAD_REQUEST,
		[ENTRY_DEAD] = CMP_SYSTEM_FAILURE,
	};

	return fails[end];
}

static int
ending_reject(const struct registrar *r, const struct cmp_msg *request,
    uint32_t fail, const char *text, struct buf *out, struct err *e)
{
	struct buf body AUTO_BUF = { 0 };
	struct cmp_head h = { 0 };
	enum cmp_body type = cmp_body(request);
	struct stamp now = clock_now();

	cmp_body_rejection(type, type == CMP_P10CR ? -1 : 0, fail, text, &body);
	cmp_head_reply(request, &h);
	if (now.quality == CLOCK_SYNC)
		h.message_time = now.time;
	return cmp_build(&h, buf_bytes(&body), r->signer, NULL, out, e);
}

static int
ending_cmp(const struct registrar *r, const struct outbox_entry *en,
    uint32_t fail, const char *text, struct buf *out, struct err *e)
{
	struct outbox_octets x = { 0 };
	AUTO(cmp_msg) request = NULL;
	int rc = -1;

	if (outbox_octets(r->outbox, en->id, &x, e) == 0 &&
	    cmp_parse(buf_bytes(&x.bytes), &request, e) == 0)
		rc = ending_reject(r, request, fail, text, out, e);
	outbox_octets_done(&x);
	return rc;
}

int
ending_answer(const struct registrar *r, const struct outbox_entry *en,
    enum entry_state end, const char *reason, struct buf *out, struct err *e)
{
	char text[LIMIT_CMP_TEXT + 1];

	snprintf(text, sizeof(text), "%s: %s", entry_state_name(end), reason);
	if (en->kind == ENTRY_VOUCHER)
		ending_voucher(UNACCEPTABLE, text, out);
	else if (en->kind == ENTRY_CMP && en->step == 0)
		return ending_cmp(r, en, ending_fail(end), text, out, e);
	return 0;
}

int
ending_status(struct bytes answer)
{
	struct vch_answer a;
	struct err e = ERR_INIT;

	if (vch_answer_parse(answer, &a, &e) == -1 || a.voucher.len > 0)
		return UNACCEPTABLE;
	return a.status == 403 || a.status == 404 || a.status == 415
	    ? (int)a.status
	    : UNACCEPTABLE;
}

void
ending_voucher(int status, const char *reason, struct buf *out)
{
	struct vch_answer a = { .status = (unsigned)status };

	str_copy(a.reason, sizeof(a.reason), reason);
	vch_answer_format(&a, out);
}
