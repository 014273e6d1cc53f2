/*
 * When a store's own trouble ended its process: a commit that failed, after
 * which only a new start can know what is on the disk.  The file has its size
 * from the beginning and is written in place, since the disk may be the
 * trouble; what cannot be written is not counted.
 */
#ifndef WAYBILL_QUEUE_ENDS_H
#define WAYBILL_QUEUE_ENDS_H

#include <stdbool.h>
#include <stdint.h>

/* DIR/ends, made if absent and may_make: a descriptor for the caller to close,
 * or -1. */
int ends_open(const char *dir, bool may_make);
/* Durable when it returns.  Only writes what is open: fit for a last word. */
void ends_note(int fd, uint64_t now);
/* How many stand within so many seconds of now, before or after it. */
unsigned ends_count(int fd, uint64_t now, uint64_t seconds);

#endif
