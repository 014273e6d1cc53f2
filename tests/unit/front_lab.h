/* Statuses and bodies: what the tests of what pledges meet share. */
#ifndef WAYBILL_TESTS_FRONT_LAB_H
#define WAYBILL_TESTS_FRONT_LAB_H

#include "tests/unit/registrar_lab.h"

#define TEXT(s) ((struct bytes){ (const uint8_t *)(s), strlen(s) })

/* ---- paths ------------------------------------------------------------- */

static inline void
expect_status(struct reg_lab *g, const struct reg_http *h, int want)
{
	struct reg_reply p AUTO_REPLY = { 0 };

	reg_http(g, h, &p);
	if (p.status != want)
		fail_msg("%s %s (%s): %d, not %d",
		    h->method != NULL ? h->method : "POST", h->path,
		    h->type != NULL ? h->type : "-", p.status, want);
	/* One plain line for people. */
	if (want >= 400 && (p.body.len < 2 || p.body.p[p.body.len - 1] != '\n'))
		fail_msg("%s: no line: %s", h->path, buf_cstr(&p.text));
}

#endif
