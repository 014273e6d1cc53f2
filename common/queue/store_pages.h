/*
 * Looks a store's file over before LMDB opens it.  LMDB 0.9 believes what
 * stands on a page: a flipped bit there may send it outside of its map, round
 * in circles, into an assertion, or let it give out a page twice.  So each page
 * that its newest meta page leads to is checked as LMDB 0.9 writes them, and
 * each is counted once: as the tree's, or as free.  What is in the values is
 * not looked at: the seal tells that.
 *
 * Knows the format of liblmdb 0.9 (data version 1), octets in the order of this
 * machine.  Nobody may write the file meanwhile.  Reads it through a map: it
 * takes a bit of memory a page.
 */
#ifndef WAYBILL_QUEUE_STORE_PAGES_H
#define WAYBILL_QUEUE_STORE_PAGES_H

#include <stdbool.h>
#include "common/base/err.h"

/* 0: LMDB may open it, or there is none, or it is empty.  ERR_DAMAGE names the
 * page and what is wrong with it; ERR_LOCAL if it cannot be read. */
int store_pages_check(const char *path, struct err *e) WARN_UNUSED;

/* The same, but a page that begins a value's own and has lost its head is given
 * a new one, which the tree tells: then that value alone is in doubt, and its
 * seal decides.  *ret_mended counts them; on disk before return. */
int store_pages_mend(
    const char *path, size_t *ret_mended, struct err *e) WARN_UNUSED;

/* There is a file, and but for its meta pages it is empty: no commit has ever
 * reached it.  Reads to the first octet that is not zero. */
bool store_pages_blank(const char *path);

#endif
