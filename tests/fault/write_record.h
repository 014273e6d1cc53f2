/* What the two files of write_record.so share. */
#ifndef WAYBILL_TESTS_WRITE_RECORD_H
#define WAYBILL_TESTS_WRITE_RECORD_H

#include <pthread.h>
#include <stdbool.h>

#include "tests/fault/record.h"

/* The next definition of the function that this stands in for. */
#define REAL(name) ((__typeof__(&name))record_real(#name))
void *record_real(const char *name);

/* Held over a call and its record. */
extern pthread_mutex_t record_lock;
void record_put(const struct record *r, const void *octets);

/* Open, and below the recorded folder. */
bool record_is_our_fd(int fd);
uint64_t record_inode(int fd);

#endif
