/*
 * Final responses that are on their way out, until the outbox knows of it: a
 * quick device confirms before that is committed.  Any thread.
 */
#ifndef WAYBILL_REGISTRAR_FINALS_H
#define WAYBILL_REGISTRAR_FINALS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define FINALS 64 /* more are not on their way at one time */

struct finals {
	pthread_mutex_t lock;
	uint64_t relayed[FINALS]; /* ids of entries; 0: none */
	unsigned next;
};

void finals_init(struct finals *f);
/* As its service protected it, in answer to the device's first message. */
void finals_relayed(struct finals *f, uint64_t id);
bool finals_was_relayed(struct finals *f, uint64_t id);

#endif
