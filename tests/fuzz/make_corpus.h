/* Private to make_corpus.c and make_*_corpus.c. */
#ifndef WAYBILL_TESTS_MAKE_CORPUS_H
#define WAYBILL_TESTS_MAKE_CORPUS_H

#include "tests/unit/cmp_fixture.h"

/* Writes DIR/folder/name; b is empty then. */
void seed_buf(const char *folder, const char *name, struct buf *b);
/* Ends the process if rc is -1. */
void check(int rc, const struct err *e);

void crl_seeds(struct fixture *f);
void front_seeds(struct fixture *f);

#endif
