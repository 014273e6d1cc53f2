/* Folders as a power cut may leave them. */
#include "tests/fault/crash_disk_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "tests/fault/crash_random.h"

static const char *const mode_names[DISK_MODE__MAX] = {
	[DISK_NONE] = "none",
	[DISK_ALL] = "all",
	[DISK_DROP] = "all-but-one",
	[DISK_ONLY] = "one",
	[DISK_SUBSET] = "some",
	[DISK_TORN] = "torn",
};

const char *
disk_mode_name(enum disk_mode m)
{
	return mode_names[m];
}

/* One image on its way. */
struct image {
	struct disk *d;
	enum disk_mode mode;
	uint64_t random;
	struct disk_names names;
	size_t *order; /* indexes of pending changes that are there */
	size_t n;
};

static uint64_t
pick(struct image *m, uint64_t n)
{
	return crash_random(&m->random) % n;
}

static bool
is_there(struct image *m, size_t i, size_t which)
{
	switch (m->mode) {
	case DISK_NONE:
		return false;
	case DISK_DROP:
		return i != which;
	case DISK_ONLY:
		return i == which;
	case DISK_SUBSET:
		return pick(m, 2) == 0;
	case DISK_ALL:
	case DISK_TORN:
	case DISK_MODE__MAX:
		break;
	}
	return true;
}

/* Which changes are there, in which order. */
static void
choose(struct image *m, size_t which)
{
	const struct disk_pending *p = m->d->pending;
	bool any_order = m->mode == DISK_SUBSET || m->mode == DISK_TORN;
	size_t i, j, swap;

	for (i = 0; i < m->d->n_pending; i++)
		if (!any_order ? p[i].forced || is_there(m, i, which)
			       : !p[i].forced && is_there(m, i, which))
			m->order[m->n++] = i;
	if (!any_order)
		return;
	for (i = m->n; i > 1; i--) {
		j = pick(m, i);
		swap = m->order[i - 1];
		m->order[i - 1] = m->order[j];
		m->order[j] = swap;
	}
	for (i = 0; i < m->d->n_pending; i++)
		if (p[i].forced)
			m->order[m->n++] = i;
}

static int
write_at(int fd, const uint8_t *p, size_t n, uint64_t at, struct err *e)
{
	if (pwrite(fd, p, n, (off_t)at) == (ssize_t)n)
		return 0;
	return err_errno(e, ERR_LOCAL, "image: write");
}

static int
grow_to(int fd, uint64_t size, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) == -1 ||
	    ((uint64_t)st.st_size < size && ftruncate(fd, (off_t)size) == -1))
		return err_errno(e, ERR_LOCAL, "image: size");
	return 0;
}

/* Some of the sectors that it touches. */
static int
write_torn(struct image *m, int fd, const struct disk_event *ev, struct err *e)
{
	size_t done = 0, n;

	for (; done < ev->octets.len; done += n) {
		n = DISK_SECTOR - (ev->at + done) % DISK_SECTOR;
		if (n > ev->octets.len - done)
			n = ev->octets.len - done;
		if (pick(m, 2) == 0 &&
		    write_at(fd, ev->octets.p + done, n, ev->at + done, e) ==
			-1)
			return -1;
	}
	if (pick(m, 2) == 0)
		return 0;
	return grow_to(fd, ev->at + ev->octets.len, e);
}

static int
change_apply(
    struct image *m, int fd, const struct disk_pending *p, struct err *e)
{
	const struct disk_event *ev = p->ev;

	if (ev->op == RECORD_ALLOCATE)
		return grow_to(fd, ev->at, e);
	if (ev->op == RECORD_TRUNCATE)
		return ftruncate(fd, (off_t)ev->at) == 0
		    ? 0
		    : err_errno(e, ERR_LOCAL, "image: truncate");
	if (m->mode == DISK_TORN && !p->forced)
		return write_torn(m, fd, ev, e);
	return write_at(fd, ev->octets.p, ev->octets.len, ev->at, e);
}

/* What is there for certain, then what may be. */
static int
file_make(struct image *m, uint64_t inode, const char *path, struct err *e)
{
	const struct disk_file *f = disk_file(m->d, inode);
	AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd == -1 || ftruncate(fd, (off_t)f->size) == -1)
		return err_errno(e, ERR_LOCAL, "image: %s", path);
	for (size_t i = 0; i < f->pages; i++) {
		size_t at = i * DISK_PAGE,
		       n = f->size - at < DISK_PAGE ? f->size - at : DISK_PAGE;

		if (at < f->size && f->touched[i] &&
		    write_at(fd, f->data + at, n, at, e) == -1)
			return -1;
	}
	for (size_t i = 0; i < m->n; i++) {
		const struct disk_pending *p = &m->d->pending[m->order[i]];

		if (!disk_is_name(p->ev) && p->ev->file == inode &&
		    change_apply(m, fd, p, e) == -1)
			return -1;
	}
	return 0;
}

static bool
is_folder(const struct image *m, uint64_t inode)
{
	return disk_file(m->d, inode)->folder;
}

static int
folder_make(struct image *m, uint64_t inode, const char *path, struct err *e)
{
	if (mkdir(path, 0700) == -1)
		return err_errno(e, ERR_LOCAL, "image: %s", path);
	for (size_t i = 0; i < m->names.n; i++) {
		const struct disk_name *x = &m->names.v[i];
		AUTO(char) below = NULL;

		if (x->dir != inode)
			continue;
		below = path_join(path, x->name);
		if ((is_folder(m, x->file) ? folder_make : file_make)(
			m, x->file, below, e) == -1)
			return -1;
	}
	return 0;
}

int
disk_image(struct disk *d, enum disk_mode mode, size_t which, uint64_t seed,
    const char *path, struct err *e)
{
	struct image m = { .d = d, .mode = mode, .random = seed };
	int rc;

	m.order = xcalloc(d->n_pending + 1, sizeof(*m.order));
	choose(&m, which);
	for (size_t i = 0; i < d->names.n; i++)
		disk_names_set(&m.names, d->names.v[i].dir,
		    bytes_of(d->names.v[i].name, strlen(d->names.v[i].name)),
		    d->names.v[i].file);
	for (size_t i = 0; i < m.n; i++)
		if (disk_is_name(d->pending[m.order[i]].ev))
			disk_names_apply(&m.names, d->pending[m.order[i]].ev);
	rc = folder_make(&m, d->root, path, e);
	free(m.names.v);
	free(m.order);
	return rc;
}
