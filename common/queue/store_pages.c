#include "common/queue/store_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "common/queue/store_pages_int.h"

/* ---- the file -------------------------------------------------------- */

static int
meta_get(struct walk *w, uint64_t page, struct meta *ret)
{
	struct page_head h;
	size_t at = page * w->page_size;

	if (at + sizeof(h) + sizeof(*ret) > w->size)
		return pages_bad(w, page, "cut off");
	memcpy(&h, w->map + at, sizeof(h));
	memcpy(ret, w->map + at + sizeof(h), sizeof(*ret));
	if (h.number != page || h.flags != IS_META || ret->magic != MAGIC)
		return pages_bad(w, page, "no meta page");
	if (ret->version != VERSION)
		return pages_bad(w, page, "of another version of LMDB");
	if (ret->free.flags != INTEGER_KEY || ret->main.flags != 0)
		return pages_bad(w, page, "a meta page with odd flags");
	return 0;
}

/* A commit writes the one that its number says, and leaves the other to the
 * commit before; both are zero when no commit was. */
static int
metas_check(struct walk *w, struct meta *ret)
{
	struct meta m[2] = { 0 };
	uint64_t newer;

	if (meta_get(w, 0, &m[0]) == -1)
		return -1;
	w->page_size = m[0].free.pad;
	if (w->page_size < PAGE_MIN || w->page_size > PAGE_MAX ||
	    (w->page_size & (w->page_size - 1)) != 0)
		return pages_bad(w, 0, "its size is wrong");
	if (meta_get(w, 1, &m[1]) == -1)
		return -1;
	newer = m[0].txn < m[1].txn;
	*ret = m[newer];
	if (ret->txn != 0 &&
	    (ret->txn % 2 != newer || m[!newer].txn != ret->txn - 1))
		return pages_bad(
		    w, newer, "the meta pages do not follow each other");
	if (m[0].free.pad != m[1].free.pad)
		return pages_bad(w, 1, "its size is wrong");
	w->last = ret->last;
	w->txn = ret->txn;
	if (ret->last < 1 || ret->last >= w->size / w->page_size)
		return pages_bad(w, newer, "the file is shorter than it says");
	return 0;
}

static int
file_check(struct walk *w)
{
	AUTO(void) seen = NULL;
	struct meta m;

	if (metas_check(w, &m) == -1)
		return -1;
	w->seen = seen = xcalloc(w->last / 8 + 1, 1);
	if (pages_main_check(w, m.txn % 2, &m.main) == -1)
		return -1;
	return pages_free_check(w, m.txn % 2, &m.free);
}

/* By hand, not through the map: so it is what is on disk, or an error. */
static int
mended_write(const struct walk *w, int fd)
{
	for (size_t i = 0; i < w->n_mended; i++) {
		const struct page_head *h = &w->mended[i];

		if (pwrite(
			fd, h, sizeof(*h), (off_t)(h->number * w->page_size)) !=
		    (ssize_t)sizeof(*h))
			return err_errno(
			    w->e, ERR_LOCAL, "%s: mending", w->path);
	}
	if (w->n_mended > 0 && fsync(fd) == -1)
		return err_errno(w->e, ERR_LOCAL, "%s: mending", w->path);
	return 0;
}

static int
pages_check(struct walk *w, size_t *ret_mended)
{
	int flags = (w->mend ? O_RDWR : O_RDONLY) | O_CLOEXEC;
	AUTO_FD fd = open(w->path, flags);
	struct stat st;
	void *map;
	int rc;

	if (fd == -1 && errno == ENOENT)
		return 0;
	if (fd == -1 || fstat(fd, &st) == -1)
		return err_errno(w->e, ERR_LOCAL, "%s", w->path);
	if (st.st_size == 0)
		return 0;
	w->size = (size_t)st.st_size;
	map = mmap(NULL, w->size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return err_errno(w->e, ERR_LOCAL, "%s: map", w->path);
	w->map = map;
	rc = file_check(w);
	munmap(map, w->size);
	if (rc == 0)
		rc = mended_write(w, fd);
	if (rc == 0)
		*ret_mended = w->n_mended;
	free(w->mended);
	return rc;
}

int
store_pages_check(const char *path, struct err *e)
{
	struct err own = ERR_INIT;
	struct walk w = { .path = path, .e = e != NULL ? e : &own };
	size_t none;

	return pages_check(&w, &none);
}

int
store_pages_mend(const char *path, size_t *ret_mended, struct err *e)
{
	struct err own = ERR_INIT;
	struct walk w = {
		.path = path, .mend = true, .e = e != NULL ? e : &own
	};

	*ret_mended = 0;
	return pages_check(&w, ret_mended);
}

bool
store_pages_blank(const char *path)
{
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t at = FIRST_PAGE * sysconf(_SC_PAGESIZE);
	static const uint8_t zeros[65536];
	AUTO(void) chunk = xmalloc(sizeof(zeros));
	ssize_t n;

	if (fd == -1)
		return false;
	while ((n = pread(fd, chunk, sizeof(zeros), at)) > 0) {
		if (memcmp(chunk, zeros, (size_t)n) != 0)
			return false;
		at += n;
	}
	return n == 0;
}
