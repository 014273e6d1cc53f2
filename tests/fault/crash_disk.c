#include "tests/fault/crash_disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/str.h"

#define RECORD_MAX (1u << 30)
#define PAGE	   4096

/* RECORD_WRITE_SYNC, cut in two: the write, then this. */
#define EVENT_WRITTEN RECORD_OP__MAX

struct event {
	uint32_t op;
	uint64_t file, dir, at;
	struct bytes octets; /* in the record */
};

struct name {
	uint64_t dir, file;
	char name[256];
};

struct names {
	struct name *v;
	size_t n, cap;
};

/* What is on the disk for certain. */
struct file {
	uint64_t inode;
	bool folder;
	uint8_t *data;
	size_t size;
	bool *touched; /* page by page: not all zeros */
	size_t pages;
};

struct pending {
	const struct event *ev;
	bool forced; /* on disk already, over older ones not yet synced */
};

struct disk {
	struct buf record;
	struct event *ev;
	size_t n_ev;
	uint64_t root;

	size_t at;
	struct file *files;
	size_t n_files;
	struct names names;
	struct pending *pending;
	size_t n_pending, cap_pending;
};

/* ---- the record -------------------------------------------------------- */

static void
event_add(struct disk *d, const struct record *r, const uint8_t *octets)
{
	struct event *ev = &d->ev[d->n_ev++];

	*ev = (struct event){ .op = r->op,
		.file = r->file,
		.dir = r->dir,
		.at = r->at,
		.octets = { octets, r->len } };
	if (r->op == RECORD_ROOT)
		d->root = r->file;
	if (r->op != RECORD_WRITE_SYNC)
		return;
	ev->op = RECORD_WRITE;
	d->ev[d->n_ev] = *ev;
	d->ev[d->n_ev++].op = EVENT_WRITTEN;
}

static int
record_parse(struct disk *d, struct err *e)
{
	const uint8_t *p = d->record.data, *end = p + d->record.len;
	struct record r;

	/* No record is shorter than its head, none makes more than two. */
	d->ev = xcalloc(2 * (d->record.len / sizeof(r)) + 1, sizeof(*d->ev));
	while ((size_t)(end - p) >= sizeof(r)) {
		memcpy(&r, p, sizeof(r));
		p += sizeof(r);
		if (r.op == 0 || r.op >= RECORD_OP__MAX ||
		    r.len > (size_t)(end - p))
			return err_set(e, ERR_INPUT, "record: no record");
		if (r.op == RECORD_UNKNOWN)
			return err_set(e, ERR_INPUT,
			    "record: the model knows no %.*s", (int)r.len, p);
		event_add(d, &r, p);
		p += r.len;
	}
	if (p != end || d->root == 0)
		return err_set(e, ERR_INPUT, "record: cut short");
	return 0;
}

int
disk_load(const char *record, struct disk **ret, struct err *e)
{
	AUTO(disk) d = xcalloc(1, sizeof(*d));

	if (file_read(record, RECORD_MAX, &d->record, e) == -1 ||
	    record_parse(d, e) == -1)
		return -1;
	disk_seek(d, 0);
	*ret = STEAL(d);
	return 0;
}

static void
disk_empty(struct disk *d)
{
	for (size_t i = 0; i < d->n_files; i++) {
		free(d->files[i].data);
		free(d->files[i].touched);
	}
	d->n_files = d->names.n = d->n_pending = d->at = 0;
}

void
disk_free(struct disk *d)
{
	if (d == NULL)
		return;
	disk_empty(d);
	free(d->files);
	free(d->names.v);
	free(d->pending);
	free(d->ev);
	buf_done(&d->record);
	free(d);
}

size_t
disk_events(const struct disk *d)
{
	return d->n_ev;
}

bool
disk_is_flush(const struct disk *d, size_t event)
{
	return d->ev[event].op == RECORD_SYNC ||
	    d->ev[event].op == EVENT_WRITTEN;
}

bool
disk_is_change(const struct disk *d, size_t event)
{
	return d->ev[event].op != RECORD_MARK &&
	    d->ev[event].op != RECORD_ROOT && !disk_is_flush(d, event);
}

struct bytes
disk_mark(const struct disk *d, size_t event)
{
	if (d->ev[event].op != RECORD_MARK)
		return bytes_of(NULL, 0);
	return d->ev[event].octets;
}

/* ---- what is on the disk ------------------------------------------------ */

static struct file *
file_get(struct disk *d, uint64_t inode)
{
	for (size_t i = 0; i < d->n_files; i++)
		if (d->files[i].inode == inode)
			return &d->files[i];
	d->files = xrealloc(d->files, (d->n_files + 1) * sizeof(*d->files));
	d->files[d->n_files] = (struct file){ .inode = inode };
	return &d->files[d->n_files++];
}

static void
file_resize(struct file *f, size_t size)
{
	size_t pages = (size + PAGE - 1) / PAGE;

	if (pages > f->pages) {
		f->data = xrealloc(f->data, pages * PAGE);
		memset(f->data + f->pages * PAGE, 0, (pages - f->pages) * PAGE);
		f->touched = xrealloc(f->touched, pages * sizeof(*f->touched));
		for (size_t i = f->pages; i < pages; i++)
			f->touched[i] = false;
		f->pages = pages;
	}
	if (size < f->size)
		memset(f->data + size, 0, f->size - size);
	f->size = size;
}

static void
file_apply(struct file *f, const struct event *ev)
{
	size_t end = ev->at + ev->octets.len;

	if (ev->op == RECORD_TRUNCATE) {
		file_resize(f, ev->at);
		return;
	}
	if (ev->op == RECORD_ALLOCATE)
		end = ev->at;
	if (end > f->size)
		file_resize(f, end);
	if (ev->op != RECORD_WRITE || ev->octets.len == 0)
		return;
	memcpy(f->data + ev->at, ev->octets.p, ev->octets.len);
	for (size_t i = ev->at / PAGE; i <= (end - 1) / PAGE; i++)
		f->touched[i] = true;
}

static void
names_del(struct names *s, uint64_t dir, struct bytes name)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].dir == dir && strlen(s->v[i].name) == name.len &&
		    memcmp(s->v[i].name, name.p, name.len) == 0) {
			s->v[i] = s->v[--s->n];
			return;
		}
}

static void
names_set(struct names *s, uint64_t dir, struct bytes name, uint64_t file)
{
	struct name *x;

	names_del(s, dir, name);
	if (s->n == s->cap) {
		s->cap = s->cap == 0 ? 16 : 2 * s->cap;
		s->v = xrealloc(s->v, s->cap * sizeof(*s->v));
	}
	x = &s->v[s->n++];
	*x = (struct name){ .dir = dir, .file = file };
	assert(name.len < sizeof(x->name));
	memcpy(x->name, name.p, name.len);
}

static bool
is_name_event(const struct event *ev)
{
	return ev->op == RECORD_MKDIR || ev->op == RECORD_CREATE ||
	    ev->op == RECORD_RENAME || ev->op == RECORD_UNLINK;
}

static void
names_apply(struct names *s, const struct event *ev)
{
	struct bytes old = ev->octets, new = ev->octets;

	if (ev->op == RECORD_UNLINK) {
		names_del(s, ev->dir, ev->octets);
		return;
	}
	if (ev->op == RECORD_RENAME) {
		old.len = strnlen((const char *)old.p, old.len);
		new.p += old.len + 1;
		new.len -= old.len + 1;
		names_del(s, ev->at, old);
	}
	names_set(s, ev->dir, new, ev->file);
}

/* ---- the passage of time ------------------------------------------------- */

/* A sync of this file makes sure of that change. */
static bool
is_of(const struct event *ev, uint64_t file)
{
	if (is_name_event(ev))
		return ev->dir == file ||
		    (ev->op == RECORD_RENAME && ev->at == file);
	return ev->file == file;
}

static void
synced(struct disk *d, uint64_t file)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n_pending; i++) {
		const struct event *ev = d->pending[i].ev;

		if (!is_of(ev, file))
			d->pending[n++] = d->pending[i];
		else if (is_name_event(ev))
			names_apply(&d->names, ev);
		else
			file_apply(file_get(d, ev->file), ev);
	}
	d->n_pending = n;
}

/* The last write pending is that one. */
static void
written(struct disk *d, const struct event *ev)
{
	for (size_t i = d->n_pending; i-- > 0;)
		if (d->pending[i].ev == ev - 1) {
			d->pending[i].forced = true;
			return;
		}
	assert(!"written, but not by a write");
}

static void
step(struct disk *d, const struct event *ev)
{
	if (ev->op == RECORD_MARK || ev->op == RECORD_ROOT)
		return;
	if (ev->op == RECORD_SYNC) {
		synced(d, ev->file);
		return;
	}
	if (ev->op == EVENT_WRITTEN) {
		written(d, ev);
		return;
	}
	if (ev->op == RECORD_MKDIR)
		file_get(d, ev->file)->folder = true;
	if (d->n_pending == d->cap_pending) {
		d->cap_pending = d->cap_pending == 0 ? 64 : 2 * d->cap_pending;
		d->pending =
		    xrealloc(d->pending, d->cap_pending * sizeof(*d->pending));
	}
	d->pending[d->n_pending++] = (struct pending){ .ev = ev };
}

void
disk_seek(struct disk *d, size_t at)
{
	if (at < d->at)
		disk_empty(d);
	for (; d->at < at; d->at++)
		step(d, &d->ev[d->at]);
}

size_t
disk_pending(const struct disk *d)
{
	return d->n_pending;
}

/* ---- images --------------------------------------------------------------- */

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
	struct names names;
	size_t *order; /* indexes of pending changes that are there */
	size_t n;
};

static uint64_t
pick(struct image *m, uint64_t n)
{
	uint64_t z = m->random += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (z ^ (z >> 31)) % n;
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
	const struct pending *p = m->d->pending;
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
write_torn(struct image *m, int fd, const struct event *ev, struct err *e)
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
change_apply(struct image *m, int fd, const struct pending *p, struct err *e)
{
	const struct event *ev = p->ev;

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
	const struct file *f = file_get(m->d, inode);
	AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd == -1 || ftruncate(fd, (off_t)f->size) == -1)
		return err_errno(e, ERR_LOCAL, "image: %s", path);
	for (size_t i = 0; i < f->pages; i++) {
		size_t at = i * PAGE,
		       n = f->size - at < PAGE ? f->size - at : PAGE;

		if (at < f->size && f->touched[i] &&
		    write_at(fd, f->data + at, n, at, e) == -1)
			return -1;
	}
	for (size_t i = 0; i < m->n; i++) {
		const struct pending *p = &m->d->pending[m->order[i]];

		if (!is_name_event(p->ev) && p->ev->file == inode &&
		    change_apply(m, fd, p, e) == -1)
			return -1;
	}
	return 0;
}

static bool
is_folder(const struct image *m, uint64_t inode)
{
	return file_get(m->d, inode)->folder;
}

static int
folder_make(struct image *m, uint64_t inode, const char *path, struct err *e)
{
	if (mkdir(path, 0700) == -1)
		return err_errno(e, ERR_LOCAL, "image: %s", path);
	for (size_t i = 0; i < m->names.n; i++) {
		const struct name *x = &m->names.v[i];
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
		names_set(&m.names, d->names.v[i].dir,
		    bytes_of(d->names.v[i].name, strlen(d->names.v[i].name)),
		    d->names.v[i].file);
	for (size_t i = 0; i < m.n; i++)
		if (is_name_event(d->pending[m.order[i]].ev))
			names_apply(&m.names, d->pending[m.order[i]].ev);
	rc = folder_make(&m, d->root, path, e);
	free(m.names.v);
	free(m.order);
	return rc;
}
