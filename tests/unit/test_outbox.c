/* The outbox: what is accepted stays, moves only as the table allows, and is
 * found again after any end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include <lmdb.h>

#include "common/base/file.h"
#include "common/base/str.h"
#include "common/queue/outbox_int.h"
#include "queue_signer.h"

#define MAP  (8u << 20)
#define THEN 1800000000 /* a time of receipt */

static struct signer *registrar;
static struct outbox_conf conf;
static struct outbox *box;
static char dir[64];

/* ---- a loop, as far as a test needs one ------------------------------ */

struct message {
	void (*fn)(void *arg);
	void *arg;
	struct message *next;
};

struct inbox {
	pthread_mutex_t lock;
	pthread_cond_t some;
	struct message *first, **last;
};

static void
inbox_init(struct inbox *b)
{
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->some, NULL);
	b->first = NULL;
	b->last = &b->first;
}

static void
inbox_post(void *to, void (*fn)(void *arg), void *arg)
{
	struct message *m = xcalloc(1, sizeof(*m));
	struct inbox *b = to;

	m->fn = fn;
	m->arg = arg;
	pthread_mutex_lock(&b->lock);
	*b->last = m;
	b->last = &m->next;
	pthread_cond_signal(&b->some);
	pthread_mutex_unlock(&b->lock);
}

/* Waits for one message and runs it. */
static void
inbox_run(struct inbox *b)
{
	struct message *m;

	pthread_mutex_lock(&b->lock);
	while ((m = b->first) == NULL)
		pthread_cond_wait(&b->some, &b->lock);
	if ((b->first = m->next) == NULL)
		b->last = &b->first;
	pthread_mutex_unlock(&b->lock);
	m->fn(m->arg);
	free(m);
}

static void
inbox_done(struct inbox *b)
{
	assert_null(b->first);
	pthread_cond_destroy(&b->some);
	pthread_mutex_destroy(&b->lock);
}

/* What a call ended with. */
struct result {
	bool over;
	struct err e;
};

static void
result_set(struct result *r, const struct err *e)
{
	r->over = true;
	r->e = e != NULL ? *e : (struct err)ERR_INIT;
}

static void
accepted(struct outbox_accept *a, const struct err *e)
{
	result_set(a->user, e);
}

static void
moved(struct outbox_move *m, const struct err *e)
{
	result_set(m->user, e);
}

static void
told(struct outbox_batch *b, const struct err *e)
{
	result_set(b->user, e);
}

static struct err
accept_wait(struct outbox_accept *a)
{
	struct result r = { 0 };
	struct inbox in;

	inbox_init(&in);
	a->user = &r;
	outbox_accept(box, a, accepted, (struct post){ inbox_post, &in });
	while (!r.over)
		inbox_run(&in);
	inbox_done(&in);
	return r.e;
}

static struct err
move_wait(struct outbox_move *m)
{
	struct result r = { 0 };
	struct inbox in;

	inbox_init(&in);
	m->user = &r;
	outbox_move(box, m, moved, (struct post){ inbox_post, &in });
	while (!r.over)
		inbox_run(&in);
	inbox_done(&in);
	return r.e;
}

static struct err
batch_wait(struct outbox_batch *b)
{
	struct result r = { 0 };
	struct inbox in;

	inbox_init(&in);
	b->user = &r;
	outbox_batch(box, b, told, (struct post){ inbox_post, &in });
	while (!r.over)
		inbox_run(&in);
	inbox_done(&in);
	return r.e;
}

/* ---- shorthands ------------------------------------------------------ */

static struct bytes
text(const char *s)
{
	return bytes_of(s, strlen(s));
}

static struct digest
digest_text(const char *s)
{
	return digest_of(s, strlen(s));
}

static void
open_box(void)
{
	struct err e = ERR_INIT;

	if (outbox_open(&conf, &box, &e) == -1)
		fail_msg("%s", e.msg);
}

static void
close_box(void)
{
	outbox_close(box);
	box = NULL;
}

static void
reopen(void)
{
	close_box();
	open_box();
}

/* A request: its octets are its name, its row follows from them. */
static struct outbox_accept
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

static uint64_t
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

static void
refuses(struct outbox_accept *a, enum err_kind kind, uint32_t fail)
{
	struct err e = accept_wait(a);

	assert_int_equal(e.kind, kind);
	assert_int_equal(err_cmp_fail(&e), fail);
}

static bool
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

static struct outbox_entry
entry(uint64_t id)
{
	struct outbox_entry en = { 0 };
	struct err e = ERR_INIT;

	if (outbox_get(box, id, &en, &e) != 1)
		fail_msg("%llu: %s", (unsigned long long)id, e.msg);
	return en;
}

static void
state_is(uint64_t id, enum entry_state want)
{
	assert_string_equal(
	    entry_state_name(entry(id).state), entry_state_name(want));
}

static uint64_t
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

static struct outbox_batch
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

static void
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

static struct entry_header
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

static void
history_add(const struct audit_record *r, void *arg)
{
	struct buf *out = arg;

	buf_printf(out, "%s%s", out->len > 0 ? " " : "", r->event);
}

static void
history_is(uint64_t id, const char *want)
{
	struct buf got AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(
	    outbox_history(box, id, 100, history_add, &got, &e), 0);
	assert_string_equal(buf_cstr(&got), want);
}

static int
verify_job(struct store_txn *t, void *arg, struct err *e)
{
	return audit_verify(t, DB_AUDIT, arg, e);
}

static uint64_t
audit_records(void)
{
	struct err e = ERR_INIT;
	uint64_t n = 0;

	if (store_read(box->store, verify_job, &n, &e) == -1)
		fail_msg("%s", e.msg);
	return n;
}

/* ---- set up ---------------------------------------------------------- */

static int
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

static int
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

/* ---- accepting ------------------------------------------------------- */

static void
a_whole_life(void **state)
{
	struct facts facts = { 0 };
	struct outbox_accept a = request("ir", "dev"), c = request("cc", "dev");
	struct outbox_octets x = { 0 };
	struct outbox_entry en;
	struct digest row = a.row;
	struct entry_header h;
	struct err e = ERR_INIT;
	uint64_t id, ids[4];

	(void)state;
	facts_set(&facts, "vendor", FACT_REGISTRAR, "acme");
	a.facts = &facts;
	a.wrapped = text("nested(ir)");
	assert_int_equal(outbox_find(box, &row, &en, &e), 0);
	assert_int_equal(accept_wait(&a).kind, ERR_NONE);
	id = a.entry.id;
	assert_int_equal(id, 1);
	assert_int_equal(outbox_find(box, &row, &en, &e), 1);
	assert_int_equal(en.id, id);
	assert_string_equal(en.label, "dev");
	h = header_of(id);
	assert_string_equal(h.site, "substation-7");
	assert_memory_equal(h.epoch, outbox_epoch(box), ENTRY_EPOCH_LEN);
	assert_memory_equal(h.digest.b, en.digest.b, DIGEST_LEN);
	assert_int_equal(h.received.time, THEN);
	assert_int_equal(outbox_octets(box, id, &x, &e), 0);
	assert_true(bytes_eq(buf_bytes(&x.bytes), text("ir")));
	assert_true(bytes_eq(buf_bytes(&x.wrapped), text("nested(ir)")));
	assert_string_equal(facts_get(&x.facts, "vendor")->value, "acme");
	outbox_octets_done(&x);

	assert_int_equal(outbox_sendable(box, ~0u, 0, false, ids, 4), 1);
	assert_true(move(id, ENTRY_EV_HANDOUT));
	assert_int_equal(outbox_sendable(box, ~0u, 0, false, ids, 4), 0);
	assert_true(move(id, ENTRY_EV_HANDOUT));
	assert_int_equal(entry(id).handouts, 2);
	assert_string_equal(entry(id).carrier, "link ra");
	answer_is(id, NULL);
	say((struct word){ 1, id, BATCH_STORED, "ir" });
	state_is(id, ENTRY_CUSTODY);
	say((struct word){ 2, id, BATCH_ANSWERED, "ir", "ip" });
	state_is(id, ENTRY_ANSWERED);
	assert_int_equal(entry(id).answer_code, BATCH_ANSWERED);
	answer_is(id, "ip");
	assert_true(move(id, ENTRY_EV_DELIVER));
	c.initial = false;
	c.step = 1;
	c.parent = id;
	c.parent_reason = "accepted by its device";
	assert_int_equal(accept_wait(&c).kind, ERR_NONE);
	state_is(id, ENTRY_CONFIRMED);
	assert_string_equal(entry(id).reason, "accepted by its device");
	assert_int_equal(header_of(c.entry.id).parent, id);
	history_is(
	    id, "accepted handed-out custody answered delivered confirmed");
	assert_int_equal(audit_records(), 7);
	assert_int_equal(counted(ENTRY_CONFIRMED), 1);
	assert_int_equal(counted(ENTRY_QUEUED), 1);
}

static void
the_same_octets_again(void **state)
{
	struct outbox_accept a = request("ir", "dev");
	uint64_t id = take("ir", "dev"), records = audit_records();

	(void)state;
	say((struct word){ 1, id, BATCH_ANSWERED, "ir", "ip" });
	assert_int_equal(accept_wait(&a).kind, ERR_NONE);
	assert_true(a.replay);
	assert_int_equal(a.entry.id, id);
	assert_int_equal(a.entry.state, ENTRY_ANSWERED);
	assert_int_equal(audit_records(), records + 1);
	assert_int_equal(counted(ENTRY_QUEUED), 0);
}

static void
other_octets_in_one_transaction(void **state)
{
	struct outbox_accept a = request("ir", "dev");
	uint64_t id = take("ir", "dev");
	struct outbox_octets x = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	a.bytes = text("another ir");
	refuses(&a, ERR_POLICY, 1u << 21);
	assert_int_equal(audit_records(), 1);
	state_is(id, ENTRY_QUEUED);
	assert_int_equal(outbox_octets(box, id, &x, &e), 0);
	assert_true(bytes_eq(buf_bytes(&x.bytes), text("ir")));
	outbox_octets_done(&x);
}

static void
superseded_before_it_left(void **state)
{
	struct outbox_accept a = request("ir2", "dev");
	uint64_t old = take("ir1", "dev"), other = take("ir1'", "dev'");
	struct outbox_entry en;
	char want[64], id[ENTRY_ID_TEXT];

	(void)state;
	assert_int_equal(accept_wait(&a).kind, ERR_NONE);
	assert_int_equal(a.superseded, old);
	assert_int_equal(a.entry.replaces, old);
	assert_int_equal(header_of(a.entry.id).replaces, 0);
	en = entry(old);
	assert_int_equal(en.state, ENTRY_WITHDRAWN);
	assert_int_equal(en.replaced_by, a.entry.id);
	entry_id_format(id, outbox_epoch(box), a.entry.id);
	snprintf(want, sizeof(want), "superseded by %s", id);
	assert_string_equal(en.reason, want);
	history_is(old, "accepted withdrawn");
	state_is(other, ENTRY_QUEUED);
}

static void
superseded_after_it_left(void **state)
{
	struct outbox_accept a = request("ir2", "dev"), b;
	uint64_t old = take("ir1", "dev");

	(void)state;
	assert_true(move(old, ENTRY_EV_HANDOUT));
	say((struct word){ 1, old, BATCH_STORED, "ir1" });
	assert_int_equal(accept_wait(&a).kind, ERR_NONE);
	assert_int_equal(header_of(a.entry.id).replaces, old);
	state_is(old, ENTRY_WITHDRAWN);

	/* The same after a start, when the device is known from the walk. */
	reopen();
	assert_true(move(a.entry.id, ENTRY_EV_HANDOUT));
	b = request("ir3", "dev");
	assert_int_equal(accept_wait(&b).kind, ERR_NONE);
	assert_int_equal(b.superseded, a.entry.id);
	assert_int_equal(header_of(b.entry.id).replaces, a.entry.id);
}

/* A device's own, of one kind, newest first. */
static void
from_newest_to_oldest(void **state)
{
	struct outbox_accept v = request("v", "dev");
	struct digest device = v.device;
	struct outbox_entry en;
	struct err e = ERR_INIT;
	uint64_t one = take("ir1", "dev"), two, three;

	(void)state;
	take("ir1'", "dev'");
	two = take("ir2", "dev");
	v.kind = ENTRY_VOUCHER;
	assert_int_equal(accept_wait(&v).kind, ERR_NONE);
	three = take("ir3", "dev");
	assert_int_equal(outbox_newest(box, ENTRY_CMP, &device, &en, &e), 1);
	assert_int_equal(en.id, three);
	assert_int_equal(outbox_older(box, &en, &en, &e), 1);
	assert_int_equal(en.id, two);
	assert_int_equal(outbox_older(box, &en, &en, &e), 1);
	assert_int_equal(en.id, one);
	assert_int_equal(outbox_older(box, &en, &en, &e), 0);
	assert_int_equal(en.id, one);
}

static void
not_superseded(void **state)
{
	struct outbox_accept a = request("ir2", "dev"), v = request("v", "dev");
	struct outbox_accept later = request("ir3", "dev");
	uint64_t old = take("ir1", "dev");

	(void)state;
	say((struct word){ 1, old, BATCH_ANSWERED, "ir1", "ip" });
	a.superseded = 7777;
	assert_int_equal(accept_wait(&a).kind, ERR_NONE);
	assert_int_equal(a.superseded, 0);
	state_is(old, ENTRY_ANSWERED);
	v.kind = ENTRY_VOUCHER;
	assert_int_equal(accept_wait(&v).kind, ERR_NONE);
	assert_int_equal(v.superseded, 0);
	later.initial = false;
	assert_int_equal(accept_wait(&later).kind, ERR_NONE);
	assert_int_equal(later.superseded, 0);
	state_is(a.entry.id, ENTRY_QUEUED);
}

static void
a_device_has_so_many_an_hour(void **state)
{
	struct outbox_accept fourth = request("4", "dev");

	(void)state;
	conf.per_device_hour = 3;
	reopen();
	take("1", "dev");
	take("2", "dev");
	reopen(); /* the walk remembers */
	take("3", "dev");
	refuses(&fourth, ERR_RETRY, 1u << 24);
	take("1'", "another");
	fourth.kind = ENTRY_VOUCHER;
	assert_int_equal(accept_wait(&fourth).kind, ERR_NONE);
	fourth = request("5", "dev");
	fourth.received.time += 3599;
	refuses(&fourth, ERR_RETRY, 1u << 24);
	fourth.received.time += 1;
	assert_int_equal(accept_wait(&fourth).kind, ERR_NONE);
}

/* A device must not wait until a clock that was set back has caught up. */
static void
a_clock_set_back_counts_anew(void **state)
{
	struct outbox_accept a = request("2", "dev");

	(void)state;
	conf.per_device_hour = 1;
	reopen();
	take("1", "dev");
	a.received.time -= 10;
	refuses(&a, ERR_RETRY, 1u << 24);
	a.received.time -= 86400;
	assert_int_equal(accept_wait(&a).kind, ERR_NONE);
}

static void
full_store_takes_only_what_finishes(void **state)
{
	struct outbox_accept again = request("ir", "dev");
	struct outbox_accept other = request("ir2", "dev2");
	struct outbox_accept c = request("cc", "dev");
	uint64_t id = take("ir", "dev");

	(void)state;
	say((struct word){ 1, id, BATCH_ANSWERED, "ir", "ip" });
	conf.full_percent = 0;
	reopen();
	refuses(&other, ERR_RETRY, 1u << 24);
	assert_int_equal(accept_wait(&again).kind, ERR_NONE);
	assert_true(again.replay);
	c.step = 1;
	c.initial = false;
	c.parent = id;
	assert_int_equal(accept_wait(&c).kind, ERR_NONE);
}

/* DECISIONS 15: in one transaction, or not at all. */
static void
confirmation_moves_its_parent(void **state)
{
	struct outbox_accept c = request("cc", "dev");
	uint64_t id = take("ir", "dev"), ids[4];

	(void)state;
	c.initial = false;
	c.step = 1;
	c.parent = 99;
	refuses(&c, ERR_POLICY, 1u << 2);
	c.parent = id;
	refuses(&c, ERR_POLICY, 1u << 2);
	state_is(id, ENTRY_QUEUED);
	assert_int_equal(audit_records(), 1);
	say((struct word){ 1, id, BATCH_ANSWERED, "ir", "ip" });
	assert_int_equal(accept_wait(&c).kind, ERR_NONE);
	state_is(id, ENTRY_CONFIRMED);
	history_is(id, "accepted answered delivered confirmed");
	assert_int_equal(outbox_sendable(box, ~0u, 0, false, ids, 4), 1);
	assert_int_equal(ids[0], c.entry.id);
	c = request("cc'", "dev");
	c.initial = false;
	c.step = 1;
	c.parent = id;
	refuses(&c, ERR_POLICY, 1u << 2);
}

/* Peers' text goes through our rows and the signed header. */
static void
text_in_any_code(void **state)
{
	struct facts facts = { 0 };
	struct outbox_accept a = request("ir", "\xff\xfe\n\"dev\"");
	uint64_t id;

	(void)state;
	facts_set(&facts, "idevid.serial", FACT_END_TO_END, "\xc3(");
	a.facts = &facts;
	assert_int_equal(accept_wait(&a).kind, ERR_NONE);
	id = a.entry.id;
	reopen();
	assert_string_equal(entry(id).label, "???\"dev\"");
	assert_string_equal(header_of(id).facts.v[0].value, "?(");
}

/* ---- moving ---------------------------------------------------------- */

/* Puts an entry on hold, which people will do by control. */
static int
hold_job(struct store_txn *t, void *arg, struct err *e)
{
	const uint64_t *id = arg;
	struct outbox_entry en;

	if (outbox_row_get(t, *id, &en, e) != 1)
		return -1;
	en.held = true;
	return outbox_row_put(box, t, &en, e);
}

static void
hold(uint64_t id)
{
	struct err e = ERR_INIT;

	assert_int_equal(store_submit_wait(box->store, hold_job, &id, &e), 0);
}

static void
what_may_not_move(void **state)
{
	uint64_t id = take("ir", "dev"), held = take("ir'", "dev'");

	(void)state;
	hold(held);
	assert_false(move(held, ENTRY_EV_HANDOUT));
	assert_false(move(held, ENTRY_EV_EXPIRE));
	assert_false(move(99, ENTRY_EV_HANDOUT));
	assert_false(move(id, ENTRY_EV_DELIVER));
	assert_false(move(id, ENTRY_EV_CONFIRM));
	setenv("WAYBILL_CLOCK", "none", 1);
	assert_false(move(id, ENTRY_EV_EXPIRE));
	setenv("WAYBILL_CLOCK", "rtc", 1);
	assert_true(move(id, ENTRY_EV_EXPIRE));
	assert_string_equal(entry(id).reason, "the test");
	id = take("ir2", "dev");
	assert_true(move(id, ENTRY_EV_HANDOUT));
	/* The table has this edge for a service's signed word alone. */
	assert_false(move(id, ENTRY_EV_REFUSE));
	assert_false(move(id, ENTRY_EV_EXPIRE));
	assert_true(move(id, ENTRY_EV_WITHDRAW));
}

static void
one_that_may_not_spares_the_others(void **state)
{
	struct outbox_move m = { .event = ENTRY_EV_HANDOUT, .n = 3 };
	struct err e;

	(void)state;
	m.ids[0] = take("1", "dev1");
	m.ids[1] = take("2", "dev2");
	m.ids[2] = take("3", "dev3");
	assert_true(move(m.ids[1], ENTRY_EV_WITHDRAW));
	e = move_wait(&m);
	assert_int_equal(e.kind, ERR_NONE);
	assert_int_equal(m.refused, 1);
	assert_true(m.moved[0] && !m.moved[1] && m.moved[2]);
	state_is(m.ids[2], ENTRY_INFLIGHT);
}

/* Each commit changes it. */
static struct digest
file_digest(void)
{
	AUTO(char) path = path_join(dir, "data.mdb");
	struct buf file AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(file_read(path, MAP, &file, &e), 0);
	return digest_of(file.data, file.len);
}

/* Polls for a delivered answer write nothing, unless it goes another way. */
static void
delivered_again(void **state)
{
	struct outbox_move m = { .event = ENTRY_EV_DELIVER, .n = 1 };
	uint64_t id = take("ir", "dev"), records;
	struct digest before, after;

	(void)state;
	say((struct word){ 1, id, BATCH_ANSWERED, "ir", "ip" });
	m.ids[0] = id;
	m.carrier = "relayed";
	assert_int_equal(move_wait(&m).kind, ERR_NONE);
	assert_string_equal(entry(id).carrier, "relayed");
	records = audit_records();
	m.carrier = "re-protected";
	assert_int_equal(move_wait(&m).kind, ERR_NONE);
	assert_true(m.moved[0]);
	assert_string_equal(entry(id).carrier, "re-protected");
	before = file_digest();
	assert_int_equal(move_wait(&m).kind, ERR_NONE);
	m.carrier = NULL;
	assert_int_equal(move_wait(&m).kind, ERR_NONE);
	after = file_digest();
	assert_memory_equal(&before, &after, sizeof(after));
	assert_string_equal(entry(id).carrier, "re-protected");
	assert_int_equal(audit_records(), records);
}

/* ---- a service's word ------------------------------------------------ */

static void
batch_about_other_octets(void **state)
{
	uint64_t id = take("ir", "dev");
	struct outbox_batch b;

	(void)state;
	b = say((struct word){ 1, id, BATCH_STORED, "other" });
	assert_int_equal(b.alarms, 1);
	b = say((struct word){ 2, id, BATCH_ANSWERED, "other", "ip" });
	assert_int_equal(b.alarms, 1);
	b = say((struct word){ 3, id, BATCH_CONFLICT, "other" });
	assert_int_equal(b.alarms, 1);
	b = say((struct word){ 4, id + 1, BATCH_STORED, "ir" });
	assert_int_equal(b.alarms, 1);
	state_is(id, ENTRY_QUEUED);
	answer_is(id, NULL);
	assert_int_equal(audit_records(), 1);
	assert_int_equal(b.seq_high, 4);
}

static void
answer_with_other_octets_than_signed(void **state)
{
	uint64_t id = take("ir", "dev");
	struct batch_item item = { .id = id,
		.code = BATCH_ANSWERED,
		.digest = digest_text("ir"),
		.has_answer = true,
		.answer = digest_text("ip") };
	struct batch batch = { .service = "ra", .seq = 1, .n = 1 };
	struct bytes answer = text("pi");
	struct outbox_batch b = { .batch = &batch, .answers = &answer };
	bool skip = true;

	(void)state;
	batch.items = &item;
	assert_int_equal(batch_wait(&b).kind, ERR_NONE);
	assert_int_equal(b.alarms, 1);
	state_is(id, ENTRY_QUEUED);
	answer = text("ip");
	b.skip = &skip;
	assert_int_equal(batch_wait(&b).kind, ERR_NONE);
	assert_int_equal(b.ignored, 1);
	state_is(id, ENTRY_QUEUED);
	skip = false;
	assert_int_equal(batch_wait(&b).kind, ERR_NONE);
	state_is(id, ENTRY_ANSWERED);
}

static void
batch_again_and_another_answer(void **state)
{
	uint64_t id = take("ir", "dev"), records;
	struct word w = { 1, id, BATCH_ANSWERED, "ir", "ip" };
	struct outbox_batch b;

	(void)state;
	assert_int_equal(say(w).moved, 1);
	records = audit_records();
	b = say(w);
	assert_int_equal(b.ignored, 1);
	assert_int_equal(b.seq_high, 1);
	w.code = BATCH_STORED;
	w.answer = NULL;
	assert_int_equal(say(w).ignored, 1);
	b = say((struct word){ 2, id, BATCH_ANSWERED, "ir", "another ip" });
	assert_int_equal(b.alarms, 1);
	answer_is(id, "ip");
	assert_int_equal(audit_records(), records);
	/* Harmless as well after it was used up. */
	assert_true(move(id, ENTRY_EV_DELIVER));
	assert_true(move(id, ENTRY_EV_CONFIRM));
	b = say((struct word){ 2, id, BATCH_ANSWERED, "ir", "ip" });
	assert_int_equal(b.ignored, 1);
	state_is(id, ENTRY_CONFIRMED);
}

static void
late_answer_is_kept_not_believed(void **state)
{
	uint64_t id = take("ir", "dev");
	struct outbox_counts c;

	(void)state;
	assert_true(move(id, ENTRY_EV_HANDOUT));
	assert_true(move(id, ENTRY_EV_WITHDRAW));
	assert_int_equal(
	    say((struct word){ 1, id, BATCH_STORED, "ir" }).ignored, 1);
	assert_int_equal(
	    say((struct word){ 2, id, BATCH_ANSWERED, "ir", "ip" }).moved, 1);
	reopen();
	state_is(id, ENTRY_WITHDRAWN);
	assert_true(entry(id).late);
	assert_string_equal(entry(id).reason, "the test");
	answer_is(id, "ip");
	assert_false(move(id, ENTRY_EV_DELIVER));
	history_is(id, "accepted handed-out withdrawn late");
	outbox_count(box, &c);
	assert_int_equal(c.late, 1);
	assert_int_equal(c.by_state[ENTRY_WITHDRAWN], 1);
	/* The answer took an id as well. */
	assert_int_equal(c.next_id, id + 2);
}

static void
refusals(void **state)
{
	static const struct {
		const char *name;
		struct word w;
		enum entry_state want;
		const char *reason, *answer;
	} cases[] = {
		{ "1", { 1, 0, BATCH_REFUSED, "1", "ip(rejection)", "no" },
		    ENTRY_ANSWERED, "no", "ip(rejection)" },
		{ "2", { 2, 0, BATCH_REFUSED, "2", NULL, "no" }, ENTRY_REFUSED,
		    "refused: no" },
		{ "3", { 3, 0, BATCH_CONFLICT, "3", NULL, "seen" },
		    ENTRY_REFUSED, "conflict: seen" },
		{ "4", { 4, 0, BATCH_TOO_LARGE, "4" }, ENTRY_REFUSED,
		    "too-large" },
		{ "5", { 5, 0, BATCH_BAD_SCHEMA, "5" }, ENTRY_REFUSED,
		    "bad-schema" },
		{ "6", { 6, 0, BATCH_NOT_AUTHORISED, "6" }, ENTRY_REFUSED,
		    "not-authorised" },
	};
	struct word w;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		w = cases[i].w;
		w.id = take(cases[i].name, cases[i].name);
		assert_true(move(w.id, ENTRY_EV_HANDOUT));
		assert_int_equal(say(w).moved, 1);
		state_is(w.id, cases[i].want);
		assert_int_equal(entry(w.id).answer_code, w.code);
		assert_string_equal(entry(w.id).reason, cases[i].reason);
		answer_is(w.id, cases[i].answer);
		assert_int_equal(say(w).ignored, 1);
	}
	/* Refused by the table: it never left, so it will be offered. */
	w = cases[2].w;
	w.name = "7";
	w.id = take("7", "7");
	assert_int_equal(say(w).alarms, 1);
	state_is(w.id, ENTRY_QUEUED);
}

static struct outbox_peer
peer(const char *service)
{
	struct outbox_peer p = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(outbox_peer(box, service, &p, &e), 0);
	assert_string_equal(p.service, service);
	return p;
}

static void
marks_have_no_gaps(void **state)
{
	uint64_t id = take("ir", "dev");
	struct word w = { 1, id, BATCH_STORED, "ir", NULL, NULL, 7 };

	(void)state;
	assert_int_equal(peer("ra").seq, 0);
	w.seq = 2;
	assert_int_equal(say(w).seq_high, 0);
	w.seq = 1;
	assert_int_equal(say(w).seq_high, 1);
	w.seq = 3;
	assert_int_equal(say(w).seq_high, 1);
	w.seq = 2;
	assert_int_equal(say(w).seq_high, 2);
	w.seq = 1;
	assert_int_equal(say(w).seq_high, 2);
	/* A new epoch starts at 1. */
	w.epoch = 8;
	w.seq = 3;
	assert_int_equal(say(w).seq_high, 0);
	assert_int_equal(peer("ra").epoch[0], 7);
	w.seq = 1;
	assert_int_equal(say(w).seq_high, 1);
	w.service = "masa-client";
	w.epoch = 1;
	assert_int_equal(say(w).seq_high, 1);
	reopen();
	assert_int_equal(peer("ra").seq, 1);
	assert_int_equal(peer("ra").epoch[0], 8);
	assert_int_equal(peer("masa-client").seq, 1);
	assert_int_equal(peer("nobody").seq, 0);
}

static void
marks_of_eight_services(void **state)
{
	uint64_t id = take("ir", "dev");
	struct batch_item item = {
		.id = id, .code = BATCH_STORED, .digest = digest_text("ir")
	};
	struct batch batch = { .service = "s", .seq = 1, .n = 1 };
	struct bytes none = { NULL, 0 };
	struct outbox_batch b = { .batch = &batch, .answers = &none };
	int i;

	(void)state;
	batch.items = &item;
	for (i = 0; i < PEERS_MAX; i++) {
		memset(batch.service, 'a' + i, ENTRY_NAME_MAX - 1);
		assert_int_equal(batch_wait(&b).kind, ERR_NONE);
	}
	assert_int_equal(b.seq_high, 1);
	memset(batch.service, 'z', ENTRY_NAME_MAX - 1);
	assert_int_equal(batch_wait(&b).kind, ERR_LOCAL);
}

/* ---- from memory ----------------------------------------------------- */

static void
sendable_in_order_and_filtered(void **state)
{
	struct outbox_accept v = request("v", "dev4");
	uint64_t a = take("1", "dev1"), b = take("2", "dev2");
	uint64_t c = take("3", "dev3"), ids[4] = { 0 };

	(void)state;
	v.kind = ENTRY_VOUCHER;
	assert_int_equal(accept_wait(&v).kind, ERR_NONE);
	assert_int_equal(outbox_sendable(box, ~0u, 0, false, ids, 4), 4);
	assert_true(ids[0] == a && ids[1] == b && ids[2] == c);
	assert_int_equal(outbox_sendable(box, ~0u, a, false, ids, 2), 2);
	assert_true(ids[0] == b && ids[1] == c);
	assert_int_equal(
	    outbox_sendable(box, 1u << ENTRY_VOUCHER, 0, false, ids, 4), 1);
	assert_int_equal(ids[0], v.entry.id);
	assert_true(move(a, ENTRY_EV_HANDOUT));
	hold(b);
	assert_int_equal(
	    outbox_sendable(box, 1u << ENTRY_CMP, 0, false, ids, 4), 1);
	assert_int_equal(ids[0], c);
	assert_int_equal(
	    outbox_sendable(box, 1u << ENTRY_CMP, 0, true, ids, 4), 2);
	assert_true(ids[0] == a && ids[1] == c);
	reopen();
	assert_int_equal(
	    outbox_sendable(box, 1u << ENTRY_CMP, 0, true, ids, 4), 2);
	assert_true(ids[0] == a && ids[1] == c);
	say((struct word){ 1, a, BATCH_STORED, "1" });
	assert_int_equal(
	    outbox_sendable(box, 1u << ENTRY_CMP, 0, true, ids, 4), 1);
	assert_int_equal(
	    outbox_sendable(box, ~0u, UINT64_MAX, true, ids, 4), 0);
}

static void
list_add(const struct outbox_entry *en, void *arg)
{
	struct buf *out = arg;

	buf_printf(out, "%llu:%s ", (unsigned long long)en->id,
	    entry_state_name(en->state));
}

static void
lists_pages(void **state)
{
	struct buf got AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	char name[16];
	int i;

	(void)state;
	for (i = 1; i <= 3; i++) {
		snprintf(name, sizeof(name), "%d", i);
		take(name, name);
	}
	say((struct word){ 1, 2, BATCH_ANSWERED, "2", "ip" }); /* takes id 4 */
	take("5", "5");
	assert_int_equal(outbox_list(box, 0, 99, list_add, &got, &e), 0);
	assert_string_equal(
	    buf_cstr(&got), "1:queued 2:answered 3:queued 5:queued ");
	buf_reset(&got);
	assert_int_equal(outbox_list(box, 2, 2, list_add, &got, &e), 0);
	assert_string_equal(buf_cstr(&got), "2:answered 3:queued ");
	for (i = 6; i < 90; i++) {
		snprintf(name, sizeof(name), "%d", i);
		take(name, name);
	}
	buf_reset(&got);
	assert_int_equal(outbox_list(box, 88, 1000, list_add, &got, &e), 0);
	assert_string_equal(buf_cstr(&got), "88:queued 89:queued ");
	buf_reset(&got);
	assert_int_equal(outbox_list(box, 0, 70, list_add, &got, &e), 0);
	assert_non_null(strstr(buf_cstr(&got), " 71:queued "));
	assert_null(strstr(buf_cstr(&got), " 72:queued "));
}

static void
start_finds_everything_again(void **state)
{
	uint64_t a = take("1", "dev1"), b = take("2", "dev2");
	struct outbox_counts before, after;
	struct outbox_entry en;
	struct digest row = digest_text("2");
	struct err e = ERR_INIT;

	(void)state;
	take("3", "dev3");
	assert_true(move(a, ENTRY_EV_HANDOUT));
	say((struct word){ 1, b, BATCH_ANSWERED, "2", "ip" });
	hold(a);
	outbox_count(box, &before);
	assert_int_equal(before.by_state[ENTRY_INFLIGHT], 1);
	assert_int_equal(before.by_state[ENTRY_ANSWERED], 1);
	assert_int_equal(before.by_state[ENTRY_QUEUED], 1);
	assert_int_equal(before.held, 1);
	reopen();
	outbox_count(box, &after);
	assert_memory_equal(
	    before.by_state, after.by_state, sizeof(after.by_state));
	assert_int_equal(after.held, 1);
	assert_int_equal(outbox_find(box, &row, &en, &e), 1);
	assert_int_equal(en.id, b);
	answer_is(b, "ip");
	assert_int_equal(take("4", "dev4"), 5);
}

/* ---- watchers -------------------------------------------------------- */

struct watched {
	unsigned n;
	uint64_t id;
	enum entry_state told, stored;
};

/* Runs in the committer, at once: what it reads must be committed. */
static void
at_once(void *to, void (*fn)(void *arg), void *arg)
{
	(void)to;
	fn(arg);
}

static void
see(void *arg, uint64_t id, const struct digest *row, enum entry_state s)
{
	struct watched *w = arg;
	struct outbox_entry en = { 0 };
	struct err e;

	w->n++;
	w->id = id;
	w->told = s;
	if (outbox_find(box, row, &en, &e) == 1)
		w->stored = en.state;
}

/* An entry moved by hand, by a job that then fails. */
static int
failing_job(struct store_txn *t, void *arg, struct err *e)
{
	struct outbox_entry en;

	if (outbox_row_get(t, *(uint64_t *)arg, &en, e) != 1 ||
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

static void
watchers_hear_after_the_commit(void **state)
{
	struct watched w = { 0 };
	struct err e = ERR_INIT;
	uint64_t id;

	(void)state;
	outbox_watch(box, see, &w, (struct post){ at_once });
	id = take("ir", "dev");
	assert_int_equal(w.n, 1);
	assert_int_equal(w.id, id);
	assert_int_equal(w.told, ENTRY_QUEUED);
	assert_int_equal(w.stored, ENTRY_QUEUED);
	assert_true(move(id, ENTRY_EV_HANDOUT));
	assert_int_equal(w.n, 2);
	assert_int_equal(w.stored, ENTRY_INFLIGHT);
	assert_true(move(id, ENTRY_EV_HANDOUT)); /* no other state */
	assert_int_equal(w.n, 2);
	assert_int_equal(
	    store_submit_wait(box->store, failing_job, &id, &e), -1);
	assert_int_equal(w.n, 2);
	take("ir2", "dev"); /* withdraws the first */
	assert_int_equal(w.n, 4);
}

static void
what_failed_leaves_no_trace(void **state)
{
	uint64_t id = take("ir", "dev"), ids[4];
	struct outbox_accept a = request("ir2", "dev");
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(
	    store_submit_wait(box->store, failing_job, &id, &e), -1);
	assert_string_equal(e.msg, "on purpose");
	assert_int_equal(counted(ENTRY_WITHDRAWN), 0);
	assert_int_equal(counted(ENTRY_QUEUED), 1);
	assert_int_equal(outbox_sendable(box, ~0u, 0, false, ids, 4), 1);
	assert_int_equal(ids[0], id);
	assert_int_equal(audit_records(), 1);
	/* The device's newest is the first one again. */
	assert_int_equal(accept_wait(&a).kind, ERR_NONE);
	assert_int_equal(a.superseded, id);
	assert_int_equal(a.entry.id, id + 1);
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

static int
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

static void
gate_open(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->open = true;
	pthread_cond_signal(&g->changed);
	pthread_mutex_unlock(&g->lock);
}

static void
gate_reached(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	while (!g->reached)
		pthread_cond_wait(&g->changed, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

/* Accepted and a second job in one transaction, which then stands still. */
static void
nothing_is_seen_before_the_commit(void **state)
{
	struct gate first = GATE, second = GATE;
	struct outbox_accept a = request("ir", "dev");
	struct buf got AUTO_BUF = { 0 };
	struct post none = { 0 };
	struct result r = { 0 };
	struct err e = ERR_INIT;
	uint64_t ids[4], queued;
	struct inbox in;
	size_t sendable;
	int rc;

	(void)state;
	inbox_init(&in);
	a.user = &r;
	store_submit(box->store, gate_job, NULL, &first, none);
	gate_reached(&first);
	outbox_accept(box, &a, accepted, (struct post){ inbox_post, &in });
	store_submit(box->store, gate_job, NULL, &second, none);
	gate_open(&first);
	gate_reached(&second);
	sendable = outbox_sendable(box, ~0u, 0, true, ids, 4);
	queued = counted(ENTRY_QUEUED);
	rc = outbox_list(box, 0, 9, list_add, &got, &e);
	gate_open(&second);
	inbox_run(&in);
	inbox_done(&in);
	assert_int_equal(a.entry.id, 1);
	assert_int_equal(sendable, 0);
	assert_int_equal(queued, 0);
	assert_int_equal(rc, 0);
	assert_int_equal(got.len, 0);
	assert_int_equal(outbox_sendable(box, ~0u, 0, true, ids, 4), 1);
	assert_int_equal(counted(ENTRY_QUEUED), 1);
}

/* Accepts that share a transaction with a job that fails run twice. */
static void
neighbours_of_a_failure(void **state)
{
	struct gate g = GATE;
	struct outbox_accept a[100];
	struct result r[100] = { 0 };
	uint64_t first = take("ir", "another");
	char names[100][16];
	struct inbox in;
	size_t i;

	(void)state;
	inbox_init(&in);
	store_submit(box->store, gate_job, NULL, &g, (struct post){ 0 });
	for (i = 0; i < NELEMS(a); i++) {
		snprintf(names[i], sizeof(names[i]), "%zu", i);
		a[i] = request(names[i], i % 2 == 0 ? "dev" : names[i]);
		a[i].received.time += i * 3600;
		a[i].user = &r[i];
		if (i == 70)
			store_submit(box->store, failing_job, NULL, &first,
			    (struct post){ 0 });
		outbox_accept(
		    box, &a[i], accepted, (struct post){ inbox_post, &in });
	}
	gate_open(&g);
	for (i = 0; i < NELEMS(a); i++)
		inbox_run(&in);
	inbox_done(&in);
	for (i = 0; i < NELEMS(a); i++) {
		assert_true(r[i].over);
		assert_int_equal(r[i].e.kind, ERR_NONE);
		assert_int_equal(a[i].entry.id, first + 1 + i);
	}
	assert_int_equal(counted(ENTRY_QUEUED), 52);
	assert_int_equal(counted(ENTRY_WITHDRAWN), 49);
	assert_int_equal(audit_records(), 150);
	reopen();
	assert_int_equal(counted(ENTRY_QUEUED), 52);
}

#define THREADS 8
#define EACH	4

struct crowd {
	unsigned n;
	uint64_t ids[EACH];
};

static void *
crowd_run(void *arg)
{
	struct crowd *c = arg;
	struct outbox_accept a[EACH];
	struct result r[EACH] = { 0 };
	char names[EACH][32];
	struct outbox_counts counts;
	uint64_t ids[8];
	struct inbox in;
	int i;

	inbox_init(&in);
	for (i = 0; i < EACH; i++) {
		snprintf(names[i], sizeof(names[i]), "%u/%d", c->n, i);
		a[i] = request(names[i], names[i]);
		a[i].user = &r[i];
		outbox_accept(
		    box, &a[i], accepted, (struct post){ inbox_post, &in });
		outbox_count(box, &counts);
		outbox_sendable(box, ~0u, 0, true, ids, NELEMS(ids));
	}
	for (i = 0; i < EACH; i++)
		inbox_run(&in);
	for (i = 0; i < EACH; i++)
		c->ids[i] =
		    r[i].over && r[i].e.kind == ERR_NONE ? a[i].entry.id : 0;
	return NULL;
}

static void
many_at_once(void **state)
{
	bool seen[THREADS * EACH + 1] = { false };
	uint64_t ids[THREADS * EACH + 1];
	pthread_t threads[THREADS];
	struct crowd c[THREADS];
	int i, k;

	(void)state;
	for (i = 0; i < THREADS; i++) {
		c[i].n = (unsigned)i;
		pthread_create(&threads[i], NULL, crowd_run, &c[i]);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < THREADS; i++)
		for (k = 0; k < EACH; k++) {
			assert_in_range(c[i].ids[k], 1, THREADS * EACH);
			assert_false(seen[c[i].ids[k]]);
			seen[c[i].ids[k]] = true;
		}
	assert_int_equal(counted(ENTRY_QUEUED), THREADS * EACH);
	assert_int_equal(outbox_sendable(box, ~0u, 0, false, ids, NELEMS(ids)),
	    THREADS * EACH);
	assert_int_equal(audit_records(), THREADS * EACH);
}

/* ---- damage ---------------------------------------------------------- */

/* Behind the outbox's back: other octets, or none, under a key. */
static void
spoil(const char *db, struct bytes key, bool remove)
{
	MDB_val k = { key.len, (void *)(uintptr_t)key.p }, v;
	uint8_t junk[64];
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	memset(junk, 0x5a, sizeof(junk));
	v = (MDB_val){ sizeof(junk), junk };
	assert_int_equal(mdb_env_create(&env), 0);
	mdb_env_set_maxdbs(env, 6);
	assert_int_equal(mdb_env_open(env, dir, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, db, 0, &dbi), 0);
	if (remove)
		assert_int_equal(mdb_del(txn, dbi, &k, NULL), 0);
	else
		assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static void
spoil_part(uint64_t id, enum outbox_part part, bool remove)
{
	uint8_t key[OUTBOX_KEY_LEN];

	spoil("row", outbox_key(key, id, part), remove);
}

/* Opens and returns what was logged meanwhile. */
static void
open_listening(struct buf *log)
{
	AUTO(char) path = path_join(dir, "log");
	struct err e = ERR_INIT;
	int old = dup(2), fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);

	buf_reset(log);
	buf_done(log);
	dup2(fd, 2);
	open_box();
	dup2(old, 2);
	close(old);
	close(fd);
	assert_int_equal(file_read(path, 65536, log, &e), 0);
	buf_cstr(log);
}

static unsigned
alarms(const struct buf *log)
{
	const char *p = (const char *)log->data;
	unsigned n = 0;

	while ((p = p != NULL ? strstr(p, "event=outbox.damaged") : NULL) !=
	    NULL) {
		n++;
		p++;
	}
	return n;
}

/* Each on an answered entry 1 (answer 2), with 3 and 4 that must not suffer. */
static void
damage_kills_one_entry(void **state)
{
	static const struct {
		const char *what;
		enum outbox_part part;
		uint64_t id;
		bool remove;
	} cases[] = {
		{ "row spoilt", PART_ENTRY, 1, false },
		{ "row gone", PART_ENTRY, 1, true },
		{ "octets spoilt", PART_OCTETS, 1, false },
		{ "octets gone", PART_OCTETS, 1, true },
		{ "answer spoilt", PART_ANSWER, 2, false },
		{ "answer gone", PART_ANSWER, 2, true },
	};
	struct digest row = digest_text("1");
	struct outbox_entry en = { 0 };
	struct buf log AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	void *none = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		take("1", "dev1");
		say((struct word){ 1, 1, BATCH_ANSWERED, "1", "ip" });
		take("3", "dev3");
		take("4", "dev4");
		close_box();
		spoil_part(cases[i].id, cases[i].part, cases[i].remove);
		open_listening(&log);
		assert_int_equal(alarms(&log), 1);
		state_is(1, ENTRY_DEAD);
		assert_non_null(strstr(entry(1).reason, "damaged"));
		assert_int_equal(entry(1).kind, ENTRY_CMP);
		assert_int_equal(outbox_find(box, &row, &en, &e), 1);
		assert_int_equal(en.state, ENTRY_DEAD);
		history_is(1, "accepted answered dead");
		assert_int_equal(counted(ENTRY_DEAD), 1);
		assert_int_equal(counted(ENTRY_QUEUED), 2);
		/* Buried once. */
		close_box();
		open_listening(&log);
		assert_int_equal(alarms(&log), 0);
		assert_int_equal(counted(ENTRY_DEAD), 1);
		assert_int_equal(take("5", "dev5"), 5);
		teardown(&none);
		assert_int_equal(setup(&none), 0);
	}
}

/* Nothing of entry 2 is left but its transaction; of 4, the last, not even. */
static void
vanished_entries_are_dead(void **state)
{
	struct digest row = digest_text("2"), last = digest_text("4");
	struct outbox_entry en = { 0 };
	struct buf log AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	take("1", "dev1");
	take("2", "dev2");
	take("3", "dev3");
	take("4", "dev4");
	close_box();
	spoil_part(2, PART_ENTRY, true);
	spoil_part(2, PART_OCTETS, true);
	spoil_part(4, PART_ENTRY, true);
	spoil_part(4, PART_OCTETS, true);
	spoil("tx", bytes_of(last.b, DIGEST_LEN), true);
	open_listening(&log);
	assert_int_equal(alarms(&log), 2);
	state_is(2, ENTRY_DEAD);
	state_is(4, ENTRY_DEAD);
	assert_int_equal(outbox_find(box, &row, &en, &e), 1);
	assert_int_equal(en.id, 2);
	assert_int_equal(outbox_find(box, &last, &en, &e), 0);
	assert_int_equal(counted(ENTRY_QUEUED), 2);
	assert_int_equal(take("5", "dev5"), 5);
	close_box();
	open_listening(&log);
	assert_int_equal(alarms(&log), 0);
}

/* Without it a device would be taken for a new one. */
static void
lost_transactions_are_mended(void **state)
{
	static const bool remove[] = { false, true };
	struct digest row = digest_text("1");
	struct outbox_accept a = request("1", "dev1");
	struct buf log AUTO_BUF = { 0 };
	size_t i;

	(void)state;
	take("1", "dev1");
	for (i = 0; i < NELEMS(remove); i++) {
		close_box();
		spoil("tx", bytes_of(row.b, DIGEST_LEN), remove[i]);
		open_listening(&log);
		assert_int_equal(alarms(&log), 1);
		assert_int_equal(accept_wait(&a).kind, ERR_NONE);
		assert_true(a.replay);
		state_is(1, ENTRY_QUEUED);
	}
}

static int
junk_job(struct store_txn *t, void *arg, struct err *e)
{
	uint8_t key[OUTBOX_KEY_LEN];

	return store_put(t, DB_ROW,
	    outbox_key(key, *(uint64_t *)arg, PART_ENTRY), text("junk"), e);
}

/* Until the next start buries it, one that does not open stops nobody. */
static void
damage_while_running(void **state)
{
	uint64_t id = take("1", "dev"), other = take("2", "dev2");
	struct outbox_accept again = request("1", "dev");
	struct outbox_accept next = request("3", "dev");
	struct buf got AUTO_BUF = { 0 };
	struct digest row = digest_text("1");
	struct outbox_move m = {
		.event = ENTRY_EV_HANDOUT, .ids = { id, other }, .n = 2
	};
	struct outbox_entry en;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(store_submit_wait(box->store, junk_job, &id, &e), 0);
	assert_int_equal(outbox_find(box, &row, &en, &e), -1);
	assert_int_equal(e.kind, ERR_DAMAGE);
	assert_int_equal(outbox_list(box, 0, 9, list_add, &got, &e), 0);
	assert_string_equal(buf_cstr(&got), "1:dead 2:queued ");
	assert_int_equal(move_wait(&m).kind, ERR_NONE);
	assert_true(!m.moved[0] && m.moved[1]);
	assert_int_equal(
	    say((struct word){ 1, id, BATCH_STORED, "1" }).alarms, 1);
	assert_int_equal(accept_wait(&again).kind, ERR_DAMAGE);
	assert_int_equal(accept_wait(&next).kind, ERR_NONE);
	assert_int_equal(next.superseded, 0);
}

/* What ended keeps its end; the alarm is told at each start. */
static void
damage_after_the_end(void **state)
{
	struct buf log AUTO_BUF = { 0 };
	uint64_t id = take("1", "dev1");

	(void)state;
	assert_true(move(id, ENTRY_EV_WITHDRAW));
	close_box();
	spoil_part(id, PART_OCTETS, false);
	open_listening(&log);
	assert_int_equal(alarms(&log), 1);
	state_is(id, ENTRY_WITHDRAWN);
	history_is(id, "accepted withdrawn");
}

/* A voucher that was carried in: nobody is asked, also after a new start. */
static void
what_comes_with_its_answer_never_leaves(void **state)
{
	struct outbox_accept a = request("carried", "dev-1");
	uint64_t ids[4];
	struct err e;

	(void)state;
	a.answer = text("its answer");
	e = accept_wait(&a);
	assert_int_equal(e.kind, ERR_NONE);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(entry(a.entry.id).state, ENTRY_ANSWERED);
		assert_int_equal(entry(a.entry.id).answer_code, BATCH_ANSWERED);
		answer_is(a.entry.id, "its answer");
		assert_int_equal(
		    outbox_sendable(box, ~0u, 0, true, ids, NELEMS(ids)), 0);
		assert_false(move(a.entry.id, ENTRY_EV_HANDOUT));
		reopen();
	}
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_comes_with_its_answer_never_leaves),
		T(a_whole_life),
		T(the_same_octets_again),
		T(other_octets_in_one_transaction),
		T(superseded_before_it_left),
		T(superseded_after_it_left),
		T(from_newest_to_oldest),
		T(not_superseded),
		T(a_device_has_so_many_an_hour),
		T(a_clock_set_back_counts_anew),
		T(full_store_takes_only_what_finishes),
		T(confirmation_moves_its_parent),
		T(text_in_any_code),
		T(what_may_not_move),
		T(one_that_may_not_spares_the_others),
		T(delivered_again),
		T(batch_about_other_octets),
		T(answer_with_other_octets_than_signed),
		T(batch_again_and_another_answer),
		T(late_answer_is_kept_not_believed),
		T(refusals),
		T(marks_have_no_gaps),
		T(marks_of_eight_services),
		T(sendable_in_order_and_filtered),
		T(lists_pages),
		T(start_finds_everything_again),
		T(watchers_hear_after_the_commit),
		T(what_failed_leaves_no_trace),
		T(nothing_is_seen_before_the_commit),
		T(neighbours_of_a_failure),
		T(many_at_once),
		T(damage_kills_one_entry),
		T(vanished_entries_are_dead),
		T(lost_transactions_are_mended),
		T(damage_while_running),
		T(damage_after_the_end),
	};
	int rc;

	registrar = queue_signer("registrar");
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	signer_free(registrar);
	return rc;
}
