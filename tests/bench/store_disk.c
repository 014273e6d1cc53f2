/* What the disk can do: a durable commit of two steps cannot be quicker than
 * two of its syncs. */
#include "tests/bench/bench_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"

#define PAGE  4096
#define PAGES 256 /* of the file, all written before */

static void
put(int fd, unsigned n)
{
	static uint8_t page[PAGE];
	off_t at = (off_t)(n % PAGES) * PAGE;

	memset(page, (int)n, sizeof(page));
	if (pwrite(fd, page, sizeof(page), at) != PAGE)
		bench_fail("disk: %s", strerror(errno));
}

static void
sync_it(int fd)
{
	if (fdatasync(fd) == -1)
		bench_fail("disk: %s", strerror(errno));
}

double
store_disk_pairs(const char *dir, unsigned n)
{
	AUTO(char) path = path_join(dir, "disk");
	AUTO_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	double start;
	unsigned i;

	if (fd == -1)
		bench_fail("%s: %s", path, strerror(errno));
	for (i = 0; i < PAGES; i++)
		put(fd, i);
	sync_it(fd);
	start = bench_now();
	for (i = 0; i < 2 * n; i++) {
		put(fd, i * 7);
		sync_it(fd);
	}
	return n * 1e6 / (bench_now() - start);
}
