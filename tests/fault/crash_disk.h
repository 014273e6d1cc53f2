/*
 * A disk under a record of write_record.so, as of any place in it: what must be
 * there, and what may.  From this, folders that a power cut may leave.
 *
 * The model: what fsync, fdatasync or a write by O_DSYNC has returned for is on
 * the disk.  Of all later changes each may be there or not, in any order; of a
 * write each sector of 512 octets by itself; a file may have grown without the
 * octets that it grew for, which are zeros then.  Names of a folder are there
 * for certain after fsync of the folder only.
 */
#ifndef WAYBILL_TESTS_CRASH_DISK_H
#define WAYBILL_TESTS_CRASH_DISK_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "tests/fault/record.h"

#define DISK_SECTOR 512

struct disk;

/* The whole record, read into memory; a call that the model does not know is
 * ERR_INPUT. */
int disk_load(const char *record, struct disk **ret, struct err *e) WARN_UNUSED;
void disk_free(struct disk *d);
AUTO_DEFINE(disk, struct disk, disk_free);

/* What happened, in order.  A write by O_DSYNC is two events: written, and on
 * disk. */
size_t disk_events(const struct disk *d);
bool disk_is_flush(const struct disk *d, size_t event);
bool disk_is_change(const struct disk *d, size_t event);
/* The octets of a mark; NULL, 0 of other events. */
struct bytes disk_mark(const struct disk *d, size_t event);

/* The events before `at` have happened.  Cheap if at does not fall. */
void disk_seek(struct disk *d, size_t at);
/* Changes that may be on the disk and need not, oldest first. */
size_t disk_pending(const struct disk *d);

enum disk_mode {
	DISK_NONE,   /* of what need not be there: nothing */
	DISK_ALL,    /* everything: a process that ends, not a disk */
	DISK_DROP,   /* all but one */
	DISK_ONLY,   /* one */
	DISK_SUBSET, /* some, in any order */
	DISK_TORN,   /* some sectors of some */
	DISK_MODE__MAX
};
const char *disk_mode_name(enum disk_mode m);

/* Makes the folder `path`, which must not exist, with what the disk may hold.
 * which: of DROP and ONLY; seed: of SUBSET and TORN.  ERR_LOCAL. */
int disk_image(struct disk *d, enum disk_mode mode, size_t which, uint64_t seed,
    const char *path, struct err *e) WARN_UNUSED;

#endif
