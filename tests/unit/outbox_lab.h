/*
 * What the tests of the outbox share: one outbox in a folder of its own, a loop
 * as far as they need one, shorthands.  Each test has setup and teardown.
 */
#ifndef WAYBILL_TESTS_OUTBOX_LAB_H
#define WAYBILL_TESTS_OUTBOX_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "common/base/str.h"
#include "common/queue/outbox_int.h"
#include "outbox_loop.h"
#include "queue_signer.h"

#define MAP  (8u << 20)
#define THEN 1800000000 /* a time of receipt */

static struct signer *registrar;
static struct outbox_conf conf;
static char dir[64];

/* ---- shorthands ------------------------------------------------------ */

static inline struct bytes
text(const char *s)
{
	return bytes_of(s, strlen(s));
}

static inline struct digest
digest_text(const char *s)
{
	return digest_of(s, strlen(s));
}

static inline void
open_box(void)
{
	struct err e = ERR_INIT;

	if (outbox_open(&conf, &box, &e) == -1)
		fail_msg("%s", e.msg);
}

static inline void
close_box(void)
{
	outbox_close(box);
	box = NULL;
}

static inline void
reopen(void)
{
	close_box();
	open_box();
}

/* A request: its octets are its name, its row follows from them. */
static inline struct outbox_accept
request(const char *name, const char *device)
{
	return (struct outbox_accept){ .kind = ENTRY_CMP,
		.row = digest_text(name),
		.device = digest_text(device),
		.initial = true,
		.bytes = text(name),
		.label = device,
		.received = { THEN, CLOCK_RTC, 0 },
		.deadline = THEN + 2592000 };
}

static inline uint64_t
take(const char *name, const char *device)
{
	struct outbox_accept a = request(name, device);
	struct err e = accept_wait(&a);

	if (e.kind != ERR_NONE)
		fail_msg("%s: %s", name, e.msg);
	assert_false(a.replay);
	assert_int_equal(a.entry.state, ENTRY_QUEUED);
	return a.entry.id;
}

static inline void
refuses(struct outbox_accept *a, enum err_kind kind, uint32_t fail)
{
	struct err e = accept_wait(a);

	assert_int_equal(e.kind, kind);
	assert_int_equal(err_cmp_fail(&e), fail);
}

static inline bool
move(uint64_t id, enum entry_event ev)
{
	struct outbox_move m = { .event = ev,
		.ids = { id },
		.n = 1,
		.carrier = "link ra",
		.reason = ev == ENTRY_EV_HANDOUT ? NULL : "the test" };
	struct err e = move_wait(&m);

	assert_int_equal(e.kind, ERR_NONE);
	assert_int_equal(m.refused, m.moved[0] ? 0 : 1);
	return m.moved[0];
}

static inline struct outbox_entry
entry(uint64_t id)
{
	struct outbox_entry en = { 0 };
	struct err e = ERR_INIT;

	if (outbox_get(box, id, &en, &e) != 1)
		fail_msg("%llu: %s", (unsigned long long)id, e.msg);
	return en;
}

static inline void
state_is(uint64_t id, enum entry_state want)
{
	assert_string_equal(
	    entry_state_name(entry(id).state), entry_state_name(want));
}

static inline uint64_t
counted(enum entry_state s)
{
	struct outbox_counts c;

	outbox_count(box, &c);
	return c.by_state[s];
}

/* A batch of one item about an entry whose octets are `name`. */
struct word {
	uint64_t seq, id;
	enum batch_code code;
	const char *name, *answer, *reason;
	uint8_t epoch; /* the service's */
	const char *service;
};

static inline struct outbox_batch
say(struct word w)
{
	struct batch_item item = { .id = w.id,
		.code = w.code,
		.digest = digest_text(w.name),
		.has_answer = w.answer != NULL };
	struct batch batch = { .service = "ra", .seq = w.seq, .n = 1 };
	struct bytes answer = text(w.answer != NULL ? w.answer : "");
	struct outbox_batch b = { .batch = &batch, .answers = &answer };
	struct err e;

	batch.items = &item;
	batch.service_epoch[0] = w.epoch;
	if (w.service != NULL)
		str_copy(batch.service, sizeof(batch.service), w.service);
	if (w.answer != NULL)
		item.answer = digest_text(w.answer);
	if (w.reason != NULL)
		str_copy(item.reason, sizeof(item.reason), w.reason);
	e = batch_wait(&b);
	if (e.kind != ERR_NONE)
		fail_msg("%s", e.msg);
	assert_int_equal(b.moved + b.ignored + b.alarms, 1);
	return b;
}

static inline void
answer_is(uint64_t id, const char *want)
{
	struct buf got AUTO_BUF = { 0 };
	struct outbox_entry en = entry(id);
	struct err e = ERR_INIT;
	int rc = outbox_answer(box, &en, &got, &e);

	if (want == NULL) {
		assert_int_equal(rc, -1);
		assert_int_equal(e.kind, ERR_WAITING);
		return;
	}
	assert_int_equal(rc, 0);
	assert_string_equal(buf_cstr(&got), want);
}

static inline void
late_is(uint64_t id, const char *want)
{
	struct buf got AUTO_BUF = { 0 };
	struct outbox_entry en = entry(id);
	struct err e = ERR_INIT;

	assert_true(en.late);
	assert_int_equal(outbox_late(box, &en, &got, &e), 0);
	assert_string_equal(buf_cstr(&got), want);
}

static inline struct entry_header
header_of(uint64_t id)
{
	struct outbox_octets x = { 0 };
	struct entry_header h = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(outbox_octets(box, id, &x, &e), 0);
	assert_int_equal(sign_check(registrar->cert, ENTRY_LABEL,
			     buf_bytes(&x.header), buf_bytes(&x.sig), &e),
	    0);
	assert_int_equal(entry_header_parse(buf_bytes(&x.header), &h, &e), 0);
	outbox_octets_done(&x);
	return h;
}

static inline void
history_add(const struct audit_record *r, void *arg)
{
	struct buf *out = arg;

	buf_printf(out, "%s%s", out->len > 0 ? " " : "", r->event);
}

static inline void
history_is(uint64_t id, const char *want)
{
	struct buf got AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(
	    outbox_history(box, id, 100, history_add, &got, &e), 0);
	assert_string_equal(buf_cstr(&got), want);
}

static inline int
verify_job(struct store_txn *t, void *arg, struct err *e)
{
	return audit_verify(t, DB_AUDIT, arg, e);
}

static inline uint64_t
audit_records(void)
{
	struct err e = ERR_INIT;
	uint64_t n = 0;

	if (store_read(box->store, verify_job, &n, &e) == -1)
		fail_msg("%s", e.msg);
	return n;
}

/* Holds or releases; whether it could. */
static inline bool
hold(uint64_t id, bool on)
{
	struct outbox_hold h = { .ids = { id },
		.n = 1,
		.hold = on,
		.who = "uid 1000",
		.why = "the test" };
	struct err e = WAIT_FOR(outbox_hold, &h, held);

	assert_int_equal(e.kind, ERR_NONE);
	assert_int_equal(h.refused, h.moved[0] ? 0 : 1);
	return h.moved[0];
}

static inline void
list_add(const struct outbox_entry *en, void *arg)
{
	struct buf *out = arg;

	buf_printf(out, "%llu:%s ", (unsigned long long)en->id,
	    entry_state_name(en->state));
}

static inline struct outbox_peer
peer(const char *service)
{
	struct outbox_peer p = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(outbox_peer(box, service, &p, &e), 0);
	assert_string_equal(p.service, service);
	return p;
}

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool reached, open;
};
#define GATE \
	{ \
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, \
		    false \
	}

static inline int
gate_job(struct store_txn *t, void *arg, struct err *e)
{
	struct gate *g = arg;

	(void)t, (void)e;
	pthread_mutex_lock(&g->lock);
	g->reached = true;
	pthread_cond_signal(&g->changed);
	while (!g->open)
		pthread_cond_wait(&g->changed, &g->lock);
	pthread_mutex_unlock(&g->lock);
	return 0;
}

static inline void
gate_open(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->open = true;
	pthread_cond_signal(&g->changed);
	pthread_mutex_unlock(&g->lock);
}

static inline void
gate_reached(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	while (!g->reached)
		pthread_cond_wait(&g->changed, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

/* An entry moved by hand, by a job that then fails. */
static inline int
failing_job(struct store_txn *t, void *arg, struct err *e)
{
	struct outbox_entry en;

	if (outbox_row_get(box, t, *(uint64_t *)arg, &en, e) != 1 ||
	    outbox_apply(box, t, &en, ENTRY_EV_WITHDRAW, NULL, NULL, e) == -1)
		return -1;
	en = (struct outbox_entry){ .id = store_take_id(t),
		.kind = ENTRY_CMP,
		.state = ENTRY_RECEIVED,
		.initial = true,
		.device = digest_text("dev") };
	if (outbox_apply(box, t, &en, ENTRY_EV_ADMIT, NULL, NULL, e) == -1)
		return -1;
	return err_set(e, ERR_LOCAL, "on purpose");
}

/* A row changed behind the table's back. */
struct forge {
	uint64_t id;
	void (*fn)(struct outbox_entry *en);
};

static inline int
forge_job(struct store_txn *t, void *arg, struct err *e)
{
	const struct forge *f = arg;
	struct outbox_entry en;

	if (outbox_row_get(box, t, f->id, &en, e) != 1)
		return -1;
	f->fn(&en);
	return outbox_row_put(box, t, &en, e);
}

static inline void
forge(uint64_t id, void (*fn)(struct outbox_entry *en))
{
	struct forge f = { id, fn };
	struct err e = ERR_INIT;

	assert_int_equal(store_submit_wait(box->store, forge_job, &f, &e), 0);
}

static inline struct outbox_counts
counts(void)
{
	struct outbox_counts c;

	outbox_count(box, &c);
	return c;
}

/* The ids that may leave, as text. */
static inline void
sendable_is(unsigned kinds, uint64_t after, bool inflight_too, const char *want)
{
	struct buf got AUTO_BUF = { 0 };
	uint64_t ids[64];
	size_t n, i;

	n = outbox_sendable(box, kinds, after, inflight_too, ids, NELEMS(ids));
	for (i = 0; i < n; i++)
		buf_printf(&got, "%llu ", (unsigned long long)ids[i]);
	assert_string_equal(buf_cstr(&got), want);
}

/* Each commit changes it. */
static inline struct digest
file_digest(void)
{
	AUTO(char) path = path_join(dir, "data.mdb");
	struct buf file AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(file_read(path, 8 * MAP, &file, &e), 0);
	return digest_of(file.data, file.len);
}

/* ---- set up ---------------------------------------------------------- */

static inline int
setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_outbox.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	conf = (struct outbox_conf){ .store = { .dir = dir, .map_size = MAP },
		.site = "substation-7",
		.signer = registrar,
		.full_percent = 85,
		.per_device_hour = 16 };
	memset(conf.store.key, 7, sizeof(conf.store.key));
	open_box();
	return 0;
}

static inline int
teardown(void **state)
{
	struct dirent *f;
	DIR *d;

	(void)state;
	close_box();
	unsetenv("WAYBILL_CLOCK");
	if ((d = opendir(dir)) == NULL)
		return -1;
	while ((f = readdir(d)) != NULL)
		unlinkat(dirfd(d), f->d_name, 0);
	closedir(d);
	return rmdir(dir);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* With the registrar's signer. */
static inline int
outbox_tests(const struct CMUnitTest *tests, size_t n)
{
	int rc;

	registrar = queue_signer("registrar");
	rc = _cmocka_run_group_tests("outbox", tests, n, NULL, NULL);
	signer_free(registrar);
	return rc;
}

#endif
