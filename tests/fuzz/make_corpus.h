/* Private to make_corpus.c and make_front_corpus.c. */
#ifndef WAYBILL_TESTS_MAKE_CORPUS_H
#define WAYBILL_TESTS_MAKE_CORPUS_H

#include "tests/unit/cmp_fixture.h"

/* Writes DIR/folder/name; b is empty then. */
void seed_buf(const char *folder, const char *name, struct buf *b);
/* Ends the process if rc is -1. */
void check(int rc, const struct err *e);

void front_seeds(struct fixture *f);

#endif
