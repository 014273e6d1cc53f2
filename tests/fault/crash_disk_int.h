/* Inside of crash_disk.c and crash_image.c. */
#ifndef WAYBILL_TESTS_CRASH_DISK_INT_H
#define WAYBILL_TESTS_CRASH_DISK_INT_H

#include "tests/fault/crash_disk.h"

#define DISK_PAGE 4096

struct disk_event {
	uint32_t op;
	uint64_t file, dir, at;
	struct bytes octets; /* in the record */
};

struct disk_name {
	uint64_t dir, file;
	char name[256];
};

struct disk_names {
	struct disk_name *v;
	size_t n, cap;
};

/* What is on the disk for certain. */
struct disk_file {
	uint64_t inode;
	bool folder;
	uint8_t *data;
	size_t size;
	bool *touched; /* page by page: not all zeros */
	size_t pages;
};

struct disk_pending {
	const struct disk_event *ev;
	bool forced; /* on disk already, over older ones not yet synced */
};

struct disk {
	struct buf record;
	struct disk_event *ev;
	size_t n_ev;
	uint64_t root;

	size_t at;
	struct disk_file *files;
	size_t n_files;
	struct disk_names names;
	struct disk_pending *pending;
	size_t n_pending, cap_pending;
};

/* The file of this inode, empty if it is new. */
struct disk_file *disk_file(struct disk *d, uint64_t inode);
void disk_names_set(
    struct disk_names *s, uint64_t dir, struct bytes name, uint64_t file);
void disk_names_apply(struct disk_names *s, const struct disk_event *ev);
/* It changes a folder. */
bool disk_is_name(const struct disk_event *ev);

#endif
