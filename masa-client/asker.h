/*
 * The life of a case, from stored to answered: judged, superseded or refused,
 * asked of its maker's MASA until that has decided, answered with voucher and
 * audit log.  On the loop; commits and MASAs' answers come meanwhile.
 *
 * Nothing is written down before a MASA is asked: the same octets asked again
 * have the same effect there (RFC 8995 5.5), so that after a restart whatever
 * has no answer in the ledger is simply asked once more.
 */
#ifndef WAYBILL_MASA_CLIENT_ASKER_H
#define WAYBILL_MASA_CLIENT_ASKER_H

#include "common/base/json.h"
#include "masa-client/masa.h"

/* Questions to one maker at a time; cases read ahead. */
#define ASKER_WINDOW 8
#define ASKER_AHEAD  64

/* Takes up the open cases of the ledger. */
int asker_open(struct masa *m, struct asker **ret, struct err *e) WARN_UNUSED;
void asker_free(struct asker *a);
/* There are cases that it has not seen. */
void asker_wake(struct asker *a);
/* The site has become sound: what was parked is taken up; or is it no longer. */
void asker_standing(struct asker *a, const char *site);
/* Its site gave this case up. */
void asker_withdrawn(struct asker *a, uint64_t id);

struct asker_counts {
	size_t asking, waiting; /* with a MASA; for their turn or a retry */
};
void asker_count(const struct asker *a, struct asker_counts *ret);
/* Appends what is not answered, oldest first, at most 1000: case, site, entry,
 * device, vendor, tries, asking, why the last try came to nothing. */
void asker_list(const struct asker *a, json_t *ret);

#endif
