/* The audit trail: what was written is listed, what was changed is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#include "common/base/str.h"
#include "common/queue/audit.h"
#include "common/queue/queue_json.h"

#define DB 1

static const char *const databases[] = { "row", "audit", NULL };
static char dir[64];
static struct store *store;

static int
setup(void **state)
{
	struct store_conf conf = {
		.dir = dir, .databases = databases, .map_size = 4 << 20
	};

	(void)state;
	strcpy(dir, "/tmp/test_audit.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	return store_open(&conf, &store, NULL);
}

static int
teardown(void **state)
{
	DIR *d = opendir(dir);
	struct dirent *f;

	(void)state;
	store_close(store);
	while ((f = readdir(d)) != NULL)
		unlinkat(dirfd(d), f->d_name, 0);
	closedir(d);
	return rmdir(dir);
}

static int
append_run(struct store_txn *t, void *arg, struct err *e)
{
	return audit_append(t, DB, arg, e);
}

static struct audit_record
append(uint64_t id, const char *event, const char *detail)
{
	struct audit_record r = { .id = id };
	struct err e = ERR_INIT;

	str_copy(r.event, sizeof(r.event), event);
	str_copy(r.who, sizeof(r.who), "uid 1000");
	str_copy(r.detail, sizeof(r.detail), detail);
	if (store_submit_wait(store, append_run, &r, &e) == -1)
		fail_msg("%s", e.msg);
	return r;
}

struct list {
	uint64_t id;
	size_t max, n;
	struct audit_record seen[8];
};

static void
list_visit(const struct audit_record *r, void *arg)
{
	struct list *l = arg;

	assert_true(l->n < NELEMS(l->seen));
	l->seen[l->n++] = *r;
}

static int
list_run(struct store_txn *t, void *arg, struct err *e)
{
	struct list *l = arg;

	return audit_list(t, DB, l->id, l->max, list_visit, l, e);
}

static struct list
list(uint64_t id, size_t max)
{
	struct list l = { .id = id, .max = max };
	struct err e = ERR_INIT;

	if (store_read(store, list_run, &l, &e) == -1)
		fail_msg("%s", e.msg);
	return l;
}

static int
verify_run(struct store_txn *t, void *arg, struct err *e)
{
	return audit_verify(t, DB, arg, e);
}

static void
verifies(uint64_t want)
{
	struct err e = ERR_INIT;
	uint64_t n = 7777;

	if (store_read(store, verify_run, &n, &e) == -1)
		fail_msg("%s", e.msg);
	assert_int_equal(n, want);
}

static void
refuses(const char *words)
{
	struct err e = ERR_INIT;
	uint64_t n = 7777;

	assert_int_equal(store_read(store, verify_run, &n, &e), -1);
	assert_int_equal(n, 7777);
	assert_int_equal(e.kind, ERR_DAMAGE);
	assert_string_equal(e.msg, words);
}

static void
four_records(void)
{
	append(1, "accepted", "first");
	append(2, "accepted", "");
	append(1, "answered", "by ra");
	append(0, "started", "");
}

static void
same(const struct audit_record *a, const struct audit_record *b)
{
	assert_int_equal(a->seq, b->seq);
	assert_int_equal(a->when.time, b->when.time);
	assert_int_equal(a->when.quality, b->when.quality);
	assert_int_equal(a->when.age, b->when.age);
	assert_int_equal(a->id, b->id);
	assert_string_equal(a->event, b->event);
	assert_string_equal(a->who, b->who);
	assert_string_equal(a->detail, b->detail);
	assert_true(digest_eq(&a->previous, &b->previous));
	assert_true(digest_eq(&a->hash, &b->hash));
}

static void
test_records_follow_each_other(void **state)
{
	static const struct digest zero;
	struct audit_record one, two;
	struct list l;

	(void)state;
	verifies(0);
	one = append(5, "accepted", "a");
	two = append(6, "accepted", "b");
	assert_int_equal(one.seq, 1);
	assert_int_equal(two.seq, 2);
	assert_true(digest_eq(&one.previous, &zero));
	assert_true(digest_eq(&two.previous, &one.hash));
	assert_true(one.when.time > clock_floor() - 1);
	l = list(0, 8);
	assert_int_equal(l.n, 2);
	same(&l.seen[0], &one);
	same(&l.seen[1], &two);
	verifies(2);
}

static void
test_list_is_of_one_entry(void **state)
{
	static const struct {
		uint64_t id;
		size_t max;
		uint64_t seqs[5];
	} cases[] = {
		{ 0, 8, { 1, 2, 3, 4 } },
		{ 0, 3, { 1, 2, 3 } },
		{ 0, 0, { 0 } },
		{ 1, 8, { 1, 3 } },
		{ 1, 1, { 1 } },
		{ 2, 8, { 2 } },
		{ 9, 8, { 0 } },
	};

	(void)state;
	four_records();
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct list l = list(cases[i].id, cases[i].max);

		for (size_t n = 0; n < NELEMS(cases[i].seqs); n++)
			assert_int_equal(
			    n < l.n ? l.seen[n].seq : 0, cases[i].seqs[n]);
	}
}

struct page {
	uint64_t first;
	size_t max, n;
	uint64_t seen[4];
};

static void
page_visit(const struct audit_record *r, void *arg)
{
	struct page *p = arg;

	assert_true(p->n < NELEMS(p->seen));
	p->seen[p->n++] = r->seq;
}

static int
page_run(struct store_txn *t, void *arg, struct err *e)
{
	struct page *p = arg;

	return audit_page(t, DB, p->first, p->max, page_visit, p, e);
}

static void
test_pages_begin_where_asked(void **state)
{
	static const struct {
		uint64_t first;
		size_t max;
		uint64_t seqs[5];
	} cases[] = {
		{ 0, 4, { 1, 2, 3, 4 } },
		{ 2, 2, { 2, 3 } },
		{ 3, 4, { 3, 4 } },
		{ 4, 0, { 0 } },
		{ 5, 4, { 0 } },
		{ UINT64_MAX, 4, { 0 } },
	};

	(void)state;
	four_records();
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct page p = { cases[i].first, cases[i].max, 0, { 0 } };

		assert_int_equal(store_read(store, page_run, &p, NULL), 0);
		for (size_t n = 0; n < NELEMS(cases[i].seqs); n++)
			assert_int_equal(
			    n < p.n ? p.seen[n] : 0, cases[i].seqs[n]);
	}
}

/* What who exports the trail needs: text, hash and the one before. */
static void
test_json_can_be_verified_elsewhere(void **state)
{
	struct digest previous = { { 0 } }, want;
	struct list l;

	(void)state;
	four_records();
	l = list(0, 8);
	for (size_t i = 0; i < l.n; i++) {
		AUTO(json_t) j = audit_record_json(&l.seen[i]);
		const char *text =
		    json_string_value(json_object_get(j, "text"));
		uint8_t raw[512];
		size_t n = strlen(text) / 2;

		assert_true(n <= sizeof(raw));
		assert_int_equal(hex_parse(text, raw, n, NULL), 0);
		/* After the heads and the label: the hash before. */
		assert_memory_equal(raw + 19, previous.b, DIGEST_LEN);
		assert_int_equal(
		    hex_parse(json_string_value(json_object_get(j, "previous")),
			want.b, DIGEST_LEN, NULL),
		    0);
		assert_true(digest_eq(&want, &previous));
		previous = digest_of(raw, n);
		assert_int_equal(
		    hex_parse(json_string_value(json_object_get(j, "hash")),
			want.b, DIGEST_LEN, NULL),
		    0);
		assert_true(digest_eq(&want, &previous));
		assert_int_equal(
		    json_integer_value(json_object_get(j, "seq")), i + 1);
	}
	assert_int_equal(l.n, 4);
}

static void
test_texts_become_printable(void **state)
{
	struct audit_record r = append(1, "acc\nepted", "\x1b[2J caf\xc3\xa9");
	struct list l = list(1, 1);

	(void)state;
	assert_string_equal(r.event, "acc?epted");
	assert_string_equal(r.detail, "?[2J caf??");
	same(&l.seen[0], &r);
	verifies(1);
}

/* Two records, then the job changes its mind. */
static int
fail_run(struct store_txn *t, void *arg, struct err *e)
{
	struct audit_record r = { .event = "lost" };

	(void)arg;
	if (audit_append(t, DB, &r, e) == -1 ||
	    audit_append(t, DB, &r, e) == -1)
		return -1;
	assert_int_equal(r.seq, 6);
	return err_set(e, ERR_POLICY, "no");
}

static void
test_given_up_records_leave_no_gap(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	four_records();
	assert_int_equal(store_submit_wait(store, fail_run, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_POLICY);
	assert_int_equal(append(3, "accepted", "").seq, 5);
	verifies(5);
}

/* ---- what a holder of the seal key could do ------------------------- */

struct change {
	uint64_t seq;
	int (*fn)(struct store_txn *t, struct bytes key, struct buf *text,
	    struct err *e);
};

static int
change_run(struct store_txn *t, void *arg, struct err *e)
{
	struct change *c = arg;
	struct buf text AUTO_BUF = { 0 };
	uint8_t k[STORE_KEY_ID_LEN];
	struct bytes key = store_key_id(k, c->seq);

	if (store_get(t, DB, key, &text, e) != 1)
		return -1;
	return c->fn(t, key, &text, e);
}

static int
drop(struct store_txn *t, struct bytes key, struct buf *text, struct err *e)
{
	(void)text;
	return store_del(t, DB, key, e);
}

/* The last octet is of the detail, or of its length. */
static int
rewrite(struct store_txn *t, struct bytes key, struct buf *text, struct err *e)
{
	text->data[text->len - 1] ^= 1;
	return store_put(t, DB, key, buf_bytes(text), e);
}

/* Of a record without detail: the last octet of who. */
static int
retell(struct store_txn *t, struct bytes key, struct buf *text, struct err *e)
{
	text->data[text->len - 2] ^= 1;
	return store_put(t, DB, key, buf_bytes(text), e);
}

static int
garble(struct store_txn *t, struct bytes key, struct buf *text, struct err *e)
{
	text->data[0] = 0xff;
	return store_put(t, DB, key, buf_bytes(text), e);
}

static int
copy_on(struct store_txn *t, struct bytes key, struct buf *text, struct err *e)
{
	uint8_t k[STORE_KEY_ID_LEN];

	return store_put(t, DB, store_key_id(k, store_key_to_id(key) + 1),
	    buf_bytes(text), e);
}

static int
odd_key(struct store_txn *t, struct bytes key, struct buf *text, struct err *e)
{
	(void)key;
	return store_put(
	    t, DB, bytes_of("\0\0\0\0\0\0\0\3x", 9), buf_bytes(text), e);
}

static int
forget(struct store_txn *t, struct bytes key, struct buf *text, struct err *e)
{
	(void)text, (void)e;
	store_audit_head(t)->seq = store_key_to_id(key);
	store_set_user(t, bytes_of(NULL, 0)); /* so that it is committed */
	return 0;
}

static void
test_changes_are_named(void **state)
{
	static const struct {
		struct change change;
		const char *words;
	} cases[] = {
		{ { 1, drop }, "audit record 1: missing" },
		{ { 2, drop }, "audit record 2: missing" },
		{ { 4, drop }, "audit record 4: missing" },
		{ { 1, rewrite },
		    "audit record 2: does not follow the one before" },
		{ { 3, rewrite },
		    "audit record 4: does not follow the one before" },
		{ { 4, rewrite }, "audit record 4: not one of its number" },
		{ { 4, retell }, "audit record 4: the head knows another" },
		{ { 2, garble }, "audit record 2: not one of its number" },
		{ { 2, copy_on }, "audit record 3: not one of its number" },
		{ { 4, copy_on }, "audit record 5: not one of its number" },
		{ { 3, odd_key }, "audit record 3: does not open" },
		{ { 3, forget }, "audit record 4: the head knows another" },
	};

	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct change c = cases[i].change;
		struct err e = ERR_INIT;

		four_records();
		verifies(4);
		if (store_submit_wait(store, change_run, &c, &e) == -1)
			fail_msg("%s", e.msg);
		refuses(cases[i].words);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

static void
test_damaged_record_is_listed(void **state)
{
	struct change c = { 2, garble };
	struct list l;

	(void)state;
	four_records();
	assert_int_equal(store_submit_wait(store, change_run, &c, NULL), 0);
	l = list(1, 8);
	assert_int_equal(l.n, 3);
	assert_string_equal(l.seen[0].event, "accepted");
	assert_string_equal(l.seen[1].event, "damaged");
	assert_int_equal(l.seen[1].seq, 2);
	assert_string_equal(l.seen[2].event, "answered");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_records_follow_each_other),
		TEST(test_list_is_of_one_entry),
		TEST(test_pages_begin_where_asked),
		TEST(test_json_can_be_verified_elsewhere),
		TEST(test_texts_become_printable),
		TEST(test_given_up_records_leave_no_gap),
		TEST(test_changes_are_named),
		TEST(test_damaged_record_is_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
