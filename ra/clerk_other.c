/* What is answered without a certificate: rr and genm. */
#include "ra/clerk_int.h"
#include "ra/info.h"

void
work_revoke(struct work *w)
{
	if (w->clerk->ra->upstream != NULL)
		work_intend(w);
	else
		work_revoked(w);
}

void
work_revoked(struct work *w)
{
	struct err e = ERR_INIT;

	if (answer_revoked(&w->clerk->ra->answers, w->m, &w->answer, &e) ==
	    -1) {
		work_stall(w, &e);
		return;
	}
	w->settle.revoke = w->v.signer_case;
	w->settle.revoke_reason = w->v.reason;
	work_settle(w, BATCH_ANSWERED, "granted");
}

void
work_inform(struct work *w)
{
	struct buf value AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	if (info_answer(w->clerk->ra, &w->v.info, cmp_profile(w->m), &value,
		&e) == -1) {
		w->v.in_body = false;
		work_refuse(w, "refused", &e);
		return;
	}
	if (answer_info(&w->clerk->ra->answers, w->m, w->v.info.type,
		buf_bytes(&value), &w->answer, &e) == -1)
		work_stall(w, &e);
	else
		work_settle(w, BATCH_ANSWERED, "informed");
}
