#include "common/queue/ends.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#define SLOTS	 4
#define SLOT_LEN 8

static bool
read_slots(int fd, uint64_t slots[SLOTS])
{
	uint8_t b[SLOTS * SLOT_LEN];

	if (fd == -1 || pread(fd, b, sizeof(b), 0) != (ssize_t)sizeof(b))
		return false;
	for (size_t i = 0; i < SLOTS; i++) {
		slots[i] = 0;
		for (size_t k = 0; k < SLOT_LEN; k++)
			slots[i] = slots[i] << 8 | b[i * SLOT_LEN + k];
	}
	return true;
}

int
ends_open(const char *dir, bool may_make)
{
	static const uint8_t none[SLOTS * SLOT_LEN];
	int flags = (may_make ? O_RDWR | O_CREAT : O_RDONLY);
	uint64_t slots[SLOTS];
	char path[4096];
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s/ends", dir) >=
	    sizeof(path))
		return -1;
	if ((fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600)) == -1)
		return -1;
	if (may_make && !read_slots(fd, slots) &&
	    (pwrite(fd, none, sizeof(none), 0) != (ssize_t)sizeof(none) ||
		fsync(fd) == -1)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* In the place of the one that is longest ago. */
void
ends_note(int fd, uint64_t now)
{
	uint64_t slots[SLOTS];
	uint8_t b[SLOT_LEN];
	size_t at = 0;

	if (!read_slots(fd, slots))
		return;
	for (size_t i = 1; i < SLOTS; i++)
		if (slots[i] < slots[at])
			at = i;
	for (size_t k = 0; k < SLOT_LEN; k++)
		b[k] = (uint8_t)(now >> (8 * (SLOT_LEN - 1 - k)));
	if (pwrite(fd, b, sizeof(b), (off_t)(at * SLOT_LEN)) == sizeof(b))
		(void)!fdatasync(fd);
}

unsigned
ends_count(int fd, uint64_t now, uint64_t seconds)
{
	uint64_t slots[SLOTS];
	unsigned n = 0;

	if (!read_slots(fd, slots))
		return 0;
	for (size_t i = 0; i < SLOTS; i++)
		n += slots[i] != 0 && slots[i] < now + seconds &&
		    now < slots[i] + seconds;
	return n;
}
