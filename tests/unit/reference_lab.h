/* Reference data of a registrar in this process, as if it had come by link:
 * signed by the lab's service, kept in the outbox for the next start. */
#ifndef WAYBILL_TESTS_REFERENCE_LAB_H
#define WAYBILL_TESTS_REFERENCE_LAB_H

#include "tests/unit/crl_lab.h"
#include "tests/unit/registrar_lab.h"

#include "common/link/frame.h"

static inline void
ref_published(struct outbox_reference *x, const struct err *e)
{
	*(bool *)x->user = e == NULL;
}

static inline void
ref_publish(struct reg_lab *g, const char *name, struct bytes octets)
{
	struct frame_manifest m = { .version = 1,
		.made = clock_now().time,
		.size = octets.len,
		.digest = digest_of(octets.p, octets.len) };
	struct buf manifest AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };
	struct outbox_reference x = { .service = "ra", .name = name };
	struct post now = { reg_post_now, NULL };
	bool kept = false;
	struct err e = ERR_INIT;

	str_copy(m.service, sizeof(m.service), "ra");
	str_copy(m.name, sizeof(m.name), name);
	if (frame_manifest_sign(&m, g->l->service, &manifest, &sig, &e) == -1)
		fail_msg("%s", e.msg);
	x.manifest = buf_bytes(&manifest);
	x.sig = buf_bytes(&sig);
	x.octets = octets;
	x.user = &kept;
	outbox_reference(g->r.outbox, &x, ref_published, now);
	outbox_flush(g->r.outbox);
	assert_true(kept);
}

/* What was published is known from now on. */
static inline void
ref_restart(struct reg_lab *g, const struct reg_want *w)
{
	reg_stop(g);
	reg_start(g, w);
}

#endif
