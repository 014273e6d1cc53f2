/*
 * Which sites said HELLO since this process started and were found sound.  A
 * service that was restored from an older copy learns of it by a HELLO, so
 * before that nothing of a site is decided.  In memory; of one loop.
 */
#ifndef WAYBILL_SERVICE_STANDINGS_H
#define WAYBILL_SERVICE_STANDINGS_H

#include <stdbool.h>
#include "common/base/cleanup.h"

struct standings;

struct standings *standings_new(void);
void standings_free(struct standings *s);
AUTO_DEFINE(standings, struct standings, standings_free);

/* Not heard of: false. */
bool standings_sound(const struct standings *s, const char *site);
bool standings_heard(const struct standings *s, const char *site);
/* True if that is news. */
bool standings_set(struct standings *s, const char *site, bool sound);

#endif
