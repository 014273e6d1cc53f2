#include "tests/fault/crash_truth.h"

#include <stdlib.h>
#include <string.h>

int
truth_read(const struct disk *d, struct truth *ret, struct err *e)
{
	struct truth t = { .v = xcalloc(disk_events(d) + 1, sizeof(*t.v)) };
	struct bytes octets;

	for (size_t i = 0; i < disk_events(d); i++) {
		octets = disk_mark(d, i);
		if (octets.len == 0)
			continue;
		if (octets.len != sizeof(t.v[0].is)) {
			truth_done(&t);
			return err_set(e, ERR_INPUT, "record: a strange mark");
		}
		t.v[t.n].event = i;
		memcpy(&t.v[t.n++].is, octets.p, octets.len);
	}
	*ret = t;
	return 0;
}

void
truth_done(struct truth *t)
{
	free(t->v);
	*t = (struct truth){ 0 };
}

void
truth_cut(struct truth *t, size_t event)
{
	t->cut = event;
	t->begun = 0;
	t->opened = false;
	for (size_t i = 0; i < t->n && t->v[i].event < event; i++) {
		if (t->v[i].is.what == MARK_OPEN)
			t->opened = true;
		if (t->v[i].is.what == MARK_BEGIN)
			t->begun = t->v[i].is.op;
	}
}

bool
truth_acked(const struct truth *t, const struct truth_mark *m)
{
	return m->event < t->cut;
}

bool
truth_possible(const struct truth *t, const struct truth_mark *m)
{
	return m->is.op <= t->begun;
}

const struct mark *
truth_match(const struct truth *t, enum mark_what what, uint64_t id,
    bool (*like)(const struct mark *m, const void *arg), const void *arg)
{
	const struct mark *found = NULL;

	for (size_t i = 0; i < t->n; i++) {
		const struct truth_mark *m = &t->v[i];

		if (m->is.what != what || m->is.id != id ||
		    !truth_possible(t, m))
			continue;
		/* What it was before something later was told is over. */
		if (truth_acked(t, m))
			found = NULL;
		if (found == NULL && like(&m->is, arg))
			found = &m->is;
	}
	return found;
}
