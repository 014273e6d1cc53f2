/* A registrar, and the one forwarder that its RA is reached by, for each test. */
#ifndef WAYBILL_TESTS_FWD_LAB_H
#define WAYBILL_TESTS_FWD_LAB_H

#include "tests/unit/carry_lab.h"

static struct forwarder fwd;

static inline int
setup(void **state)
{
	int rc = reg_lab_setup(state);
	struct reg_lab *g = *state;

	fwd_init(&fwd, g, "ra", g->l->service);
	return rc;
}

static inline int
teardown(void **state)
{
	fwd_close(&fwd);
	return reg_lab_teardown(state);
}

#endif
