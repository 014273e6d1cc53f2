#include "tests/fault/crash_disk_int.h"

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

/* RECORD_WRITE_SYNC, cut in two: the write, then this. */
#define EVENT_WRITTEN RECORD_OP__MAX

/* ---- the record -------------------------------------------------------- */

static void
event_add(struct disk *d, const struct record *r, const uint8_t *octets)
{
	struct disk_event *ev = &d->ev[d->n_ev++];

	*ev = (struct disk_event){ .op = r->op,
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

struct disk_file *
disk_file(struct disk *d, uint64_t inode)
{
	for (size_t i = 0; i < d->n_files; i++)
		if (d->files[i].inode == inode)
			return &d->files[i];
	d->files = xrealloc(d->files, (d->n_files + 1) * sizeof(*d->files));
	d->files[d->n_files] = (struct disk_file){ .inode = inode };
	return &d->files[d->n_files++];
}

static void
file_resize(struct disk_file *f, size_t size)
{
	size_t pages = (size + DISK_PAGE - 1) / DISK_PAGE;

	if (pages > f->pages) {
		f->data = xrealloc(f->data, pages * DISK_PAGE);
		memset(f->data + f->pages * DISK_PAGE, 0,
		    (pages - f->pages) * DISK_PAGE);
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
file_apply(struct disk_file *f, const struct disk_event *ev)
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
	assert(f->data != NULL);
	memcpy(f->data + ev->at, ev->octets.p, ev->octets.len);
	for (size_t i = ev->at / DISK_PAGE; i <= (end - 1) / DISK_PAGE; i++)
		f->touched[i] = true;
}

static void
names_del(struct disk_names *s, uint64_t dir, struct bytes name)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].dir == dir && strlen(s->v[i].name) == name.len &&
		    memcmp(s->v[i].name, name.p, name.len) == 0) {
			s->v[i] = s->v[--s->n];
			return;
		}
}

void
disk_names_set(
    struct disk_names *s, uint64_t dir, struct bytes name, uint64_t file)
{
	struct disk_name *x;

	names_del(s, dir, name);
	if (s->n == s->cap) {
		s->cap = s->cap == 0 ? 16 : 2 * s->cap;
		s->v = xrealloc(s->v, s->cap * sizeof(*s->v));
	}
	x = &s->v[s->n++];
	*x = (struct disk_name){ .dir = dir, .file = file };
	assert(name.len < sizeof(x->name));
	memcpy(x->name, name.p, name.len);
}

bool
disk_is_name(const struct disk_event *ev)
{
	return ev->op == RECORD_MKDIR || ev->op == RECORD_CREATE ||
	    ev->op == RECORD_RENAME || ev->op == RECORD_UNLINK;
}

void
disk_names_apply(struct disk_names *s, const struct disk_event *ev)
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
	disk_names_set(s, ev->dir, new, ev->file);
}

/* ---- the passage of time ------------------------------------------------- */

/* A sync of this file makes sure of that change. */
static bool
is_of(const struct disk_event *ev, uint64_t file)
{
	if (disk_is_name(ev))
		return ev->dir == file ||
		    (ev->op == RECORD_RENAME && ev->at == file);
	return ev->file == file;
}

static void
synced(struct disk *d, uint64_t file)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n_pending; i++) {
		const struct disk_event *ev = d->pending[i].ev;

		if (!is_of(ev, file))
			d->pending[n++] = d->pending[i];
		else if (disk_is_name(ev))
			disk_names_apply(&d->names, ev);
		else
			file_apply(disk_file(d, ev->file), ev);
	}
	d->n_pending = n;
}

/* The last write pending is that one. */
static void
written(struct disk *d, const struct disk_event *ev)
{
	for (size_t i = d->n_pending; i-- > 0;)
		if (d->pending[i].ev == ev - 1) {
			d->pending[i].forced = true;
			return;
		}
	assert(!"written, but not by a write");
}

static void
step(struct disk *d, const struct disk_event *ev)
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
		disk_file(d, ev->file)->folder = true;
	if (d->n_pending == d->cap_pending) {
		d->cap_pending = d->cap_pending == 0 ? 64 : 2 * d->cap_pending;
		d->pending =
		    xrealloc(d->pending, d->cap_pending * sizeof(*d->pending));
	}
	d->pending[d->n_pending++] = (struct disk_pending){ .ev = ev };
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
