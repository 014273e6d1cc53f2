/* What is wrong in the file is found, and what is not is still read. */
#include "store_lab.h"

#include "common/base/log.h"
#include "common/queue/seal.h"

/* ---- small jobs ------------------------------------------------------ */

static void
is_damaged(struct store *s, unsigned db, uint64_t id)
{
	struct look l = look(s, db, id);

	assert_int_equal(l.rc, -1);
	assert_int_equal(l.e.kind, ERR_DAMAGE);
	assert_int_equal(l.value.len, 0);
	buf_done(&l.value);
}

/* ---- behind the store's back ----------------------------------------- */

static void
raw_put(struct raw *r, MDB_dbi dbi, uint64_t id, const struct buf *value)
{
	uint8_t k[STORE_KEY_ID_LEN];
	MDB_val key = { sizeof(k), k }, v = { value->len, value->data };

	store_key_id(k, id);
	assert_int_equal(mdb_put(r->txn, dbi, &key, &v, 0), 0);
}

static void
raw_del(struct raw *r, MDB_dbi dbi, uint64_t id)
{
	uint8_t k[STORE_KEY_ID_LEN];
	MDB_val key = { sizeof(k), k };

	store_key_id(k, id);
	assert_int_equal(mdb_del(r->txn, dbi, &key, NULL), 0);
}

/* ---- damage ---------------------------------------------------------- */

static void
test_flipped_bit_is_damage(void **state)
{
	struct store *s;

	(void)state;
	three_rows();
	raw_flip(2);
	s = open_store();
	holds(s, 0, 1, "the first row of three");
	is_damaged(s, 0, 2);
	holds(s, 0, 3, "the third row of three");
	/* It can be replaced. */
	put(s, 0, 2, "healed");
	holds(s, 0, 2, "healed");
	store_close(s);
}

static void
test_swapped_rows_are_damage(void **state)
{
	struct store *s;
	struct buf one, two;
	struct raw r;

	(void)state;
	three_rows();
	raw_open(&r);
	one = raw_get(&r, r.row, 1);
	two = raw_get(&r, r.row, 2);
	raw_put(&r, r.row, 1, &two);
	raw_put(&r, r.row, 2, &one);
	raw_put(&r, r.tx, 1, &one);
	raw_close(&r);
	buf_done(&one);
	buf_done(&two);
	s = open_store();
	is_damaged(s, 0, 1);
	is_damaged(s, 0, 2);
	is_damaged(s, 1, 1);
	holds(s, 0, 3, "the third row of three");
	store_close(s);
}

static void
test_row_of_another_store_is_damage(void **state)
{
	AUTO(char) path = path_join(dir, "data.mdb");
	AUTO(char) owner = path_join(dir, "owner");
	struct buf mine;
	struct store *s;
	struct raw r;

	(void)state;
	three_rows();
	raw_open(&r);
	mine = raw_get(&r, r.row, 1);
	raw_close(&r);
	assert_int_equal(unlink(path), 0);
	refuses_to_open(ERR_DAMAGE, "data.mdb is gone");
	assert_int_equal(unlink(owner), 0);
	three_rows(); /* the same key, another id */
	raw_open(&r);
	raw_put(&r, r.row, 1, &mine);
	raw_close(&r);
	buf_done(&mine);
	s = open_store();
	is_damaged(s, 0, 1);
	store_close(s);
}

static void
test_vanished_row_is_found(void **state)
{
	struct raw r;

	(void)state;
	three_rows();
	raw_open(&r);
	raw_del(&r, r.row, 1);
	raw_del(&r, r.row, 2);
	raw_close(&r);
	refuses_to_open(ERR_DAMAGE, "2 rows of \"row\" vanished");
	/* Still, and it changed nothing. */
	refuses_to_open(ERR_DAMAGE, "2 rows of \"row\" vanished");
}

static void
test_tolerant_store_goes_on(void **state)
{
	struct store *s;
	struct raw r;

	(void)state;
	three_rows();
	raw_open(&r);
	raw_del(&r, r.row, 2);
	raw_close(&r);
	log_init("test_store", LOG_ALARM);
	conf.tolerant = true;
	s = open_store();
	holds(s, 0, 1, "the first row of three");
	holds(s, 0, 2, NULL);
	put(s, 1, 9, "a commit");
	store_close(s);
	conf.tolerant = false;
	store_close(open_store());
}

static void
test_added_row_is_found(void **state)
{
	struct buf one;
	struct raw r;

	(void)state;
	three_rows();
	raw_open(&r);
	one = raw_get(&r, r.row, 1);
	raw_put(&r, r.tx, 77, &one);
	raw_close(&r);
	buf_done(&one);
	refuses_to_open(ERR_DAMAGE, "1 rows of \"tx\" appeared");
}

static void
test_lost_head_is_no_new_store(void **state)
{
	struct raw r;
	MDB_val k = { 13, (void *)(uintptr_t) "waybill-store" };
	MDB_val head = { 12, (void *)(uintptr_t) "waybill-head" };

	(void)state;
	three_rows();
	raw_open(&r);
	assert_int_equal(mdb_del(r.txn, 1, &head, NULL), 0);
	raw_close(&r);
	refuses_to_open(ERR_DAMAGE, "head row vanished");
	raw_open(&r);
	assert_int_equal(mdb_del(r.txn, 1, &k, NULL), 0);
	raw_close(&r);
	refuses_to_open(ERR_DAMAGE, "plain row is missing");
}

/* ---- what the first stores did otherwise -------------------------------- */

static struct bytes
raw_plain(struct raw *r, const char *key)
{
	MDB_val k = { strlen(key), (void *)(uintptr_t)key }, v;

	assert_int_equal(mdb_get(r->txn, 1, &k, &v), 0);
	return bytes_of(v.mv_data, v.mv_size);
}

/* They had their head in database 0, under the key of id 0. */
static void
head_back(void)
{
	static const char name[] = "waybill-head";
	struct buf plain AUTO_BUF = { 0 }, sealed AUTO_BUF = { 0 };
	MDB_val k = { sizeof(name) - 1, (void *)(uintptr_t)name };
	uint8_t id[STORE_KEY_ID_LEN];
	struct seal seal = { .version = 1 };
	struct err e = ERR_INIT;
	struct raw r;

	raw_open(&r);
	memcpy(seal.key, conf.key, sizeof(seal.key));
	memcpy(seal.store_id, raw_plain(&r, "waybill-store").p, SEAL_ID_LEN);
	assert_int_equal(
	    seal_open(&seal, "row", bytes_of(name, sizeof(name) - 1),
		raw_plain(&r, name), &plain, &e),
	    0);
	seal_value(
	    &seal, "row", store_key_id(id, 0), buf_bytes(&plain), &sealed);
	raw_put(&r, r.row, 0, &sealed);
	assert_int_equal(mdb_del(r.txn, 1, &k, NULL), 0);
	raw_close(&r);
}

static bool
raw_has_old_head(void)
{
	uint8_t id[STORE_KEY_ID_LEN] = { 0 };
	MDB_val k = { sizeof(id), id }, v;
	struct raw r;
	int rc;

	raw_open(&r);
	rc = mdb_get(r.txn, r.row, &k, &v);
	raw_close(&r);
	return rc == 0;
}

static void
test_head_of_the_first_stores(void **state)
{
	struct store *s;

	(void)state;
	three_rows();
	head_back();
	assert_true(raw_has_old_head());
	s = open_store();
	holds(s, 0, 1, "the first row of three");
	store_close(s);
	/* Nothing was written: it is where it was. */
	assert_true(raw_has_old_head());
	s = open_store();
	put(s, 0, 2, "another");
	store_close(s);
	assert_false(raw_has_old_head());
	s = open_store();
	holds(s, 0, 2, "another");
	holds(s, 0, 3, "the third row of three");
	store_close(s);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_flipped_bit_is_damage),
		TEST(test_swapped_rows_are_damage),
		TEST(test_row_of_another_store_is_damage),
		TEST(test_vanished_row_is_found),
		TEST(test_tolerant_store_goes_on),
		TEST(test_added_row_is_found),
		TEST(test_lost_head_is_no_new_store),
		TEST(test_head_of_the_first_stores),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
