/* Pages of a store's file: what LMDB wrote passes, what it would stumble over
 * is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "common/base/file.h"
#include "common/queue/store.h"
#include "common/queue/store_pages.h"

#define PAGE 4096
#define ROWS 400
#define MAP  (4u << 20)

static char dir[64], path[96];
static struct buf good, now;

static int
put_one(struct store_txn *t, void *arg, struct err *e)
{
	uint8_t key[STORE_KEY_ID_LEN], value[3000] = { 0 };
	uint64_t id = store_take_id(t);

	(void)arg;
	/* Each third has pages of its own. */
	return store_put(t, 0, store_key_id(key, id),
	    bytes_of(value, id % 3 == 0 ? sizeof(value) : 100), e);
}

static int
del_one(struct store_txn *t, void *arg, struct err *e)
{
	uint8_t key[STORE_KEY_ID_LEN];

	return store_del(t, 0, store_key_id(key, *(uint64_t *)arg), e);
}

static void
make_store(void)
{
	static const char *const databases[] = { "row", "other", NULL };
	struct store_conf c = {
		.dir = dir, .databases = databases, .map_size = MAP
	};
	struct store *s = NULL;
	struct err e = ERR_INIT;

	if (store_open(&c, &s, &e) == -1)
		fail_msg("%s", e.msg);
	for (uint64_t id = 1; id <= ROWS; id++)
		assert_int_equal(store_submit_wait(s, put_one, NULL, &e), 0);
	for (uint64_t id = 1; id <= ROWS; id += 7)
		assert_int_equal(store_submit_wait(s, del_one, &id, &e), 0);
	store_close(s);
}

static int
setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	strcpy(dir, "/tmp/test_pages.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/data.mdb", dir);
	make_store();
	return file_read(path, 2 * MAP, &good, &e);
}

static int
teardown(void **state)
{
	static const char *const files[] = { "data.mdb", "lock.mdb", "owner",
		"ends" };

	(void)state;
	for (size_t i = 0; i < NELEMS(files); i++) {
		AUTO(char) file = path_join(dir, files[i]);

		unlink(file);
	}
	rmdir(dir);
	buf_done(&good);
	buf_done(&now);
	return 0;
}

static void
begin(void)
{
	buf_reset(&now);
	buf_add(&now, good.data, good.len);
}

static void
save(void)
{
	AUTO_FD fd = open(path, O_WRONLY | O_TRUNC);

	assert_int_equal(write(fd, now.data, now.len), now.len);
}

static void
refuses(const char *why)
{
	struct err e = ERR_INIT;

	save();
	assert_int_equal(store_pages_check(path, &e), -1);
	assert_int_equal(e.kind, ERR_DAMAGE);
	if (strstr(e.msg, why) == NULL)
		fail_msg("%s, wanted: %s", e.msg, why);
}

static void
passes(void)
{
	struct err e = ERR_INIT;

	save();
	if (store_pages_check(path, &e) == -1)
		fail_msg("%s", e.msg);
}

static uint8_t *
page(size_t n)
{
	return now.data + n * PAGE;
}

/* The page of the newer of both commits. */
static size_t
newer(void)
{
	uint64_t txn[2];

	for (size_t i = 0; i < 2; i++)
		memcpy(&txn[i], page(i) + 16 + 128, sizeof(txn[i]));
	return txn[1] > txn[0];
}

/* The root of the unnamed database, which is one leaf. */
static size_t
main_root(void)
{
	uint64_t root;

	memcpy(&root, page(newer()) + 16 + 24 + 48 + 40, sizeof(root));
	return root;
}

/* A page of the tree or of a value: marked so, and named by somebody. */
static size_t
find(uint8_t flags)
{
	struct err e = ERR_INIT;
	size_t n;

	for (n = 2; n < now.len / PAGE; n++) {
		if (page(n)[10] != flags || n == main_root())
			continue;
		page(n)[0] ^= 1;
		save();
		page(n)[0] ^= 1;
		if (store_pages_check(path, &e) == -1)
			return n;
	}
	fail_msg("no page of kind %u", flags);
	return 0;
}

/* ---- tests -------------------------------------------------------------- */

static void
what_lmdb_wrote_passes(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	begin();
	passes();
	now.len = 0;
	passes(); /* LMDB makes it */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(store_pages_check(path, &e), 0);
	assert_int_equal(close(open(path, O_WRONLY | O_CREAT, 0600)), 0);
}

static void
meta_pages(void **state)
{
	size_t n;

	(void)state;
	begin();
	n = newer();
	page(n)[16] ^= 1;
	refuses("no meta page");
	begin();
	page(1)[16 + 4] ^= 2;
	refuses("another version");
	begin();
	page(0)[16 + 24] ^= 1;
	refuses("its size is wrong");
	begin();
	page(n)[16 + 128] ^= 4;
	refuses("do not follow each other");
	begin();
	page(n)[16 + 120 + 6] ^= 1;
	refuses("shorter than it says");
	begin();
	now.len = PAGE + 100;
	refuses("page 1: cut off");
	begin();
	now.len = 3 * PAGE;
	refuses("shorter than it says");
}

static void
pages_of_the_tree(void **state)
{
	size_t leaf, branch;

	(void)state;
	begin();
	leaf = find(2);
	branch = find(1);
	page(leaf)[0] ^= 1;
	refuses("has another number");
	begin();
	page(leaf)[10] = 0x22;
	refuses("of another kind");
	begin();
	memset(page(leaf), 0, PAGE);
	refuses("number");
	begin();
	page(leaf)[12] ^= 1;
	refuses("bounds are wrong");
	begin();
	page(leaf)[14] = 0xff;
	page(leaf)[15] = 0xff;
	refuses("bounds are wrong");
	begin();
	page(leaf)[16] ^= 1;
	refuses("a node is outside of it");
	begin();
	memcpy(page(leaf) + 16, page(leaf) + 18, 2);
	refuses("lie on each other");
	begin();
	page(branch)[12] = 18;
	refuses("a single page");
}

/* What a node of the first row's leaf says of itself. */
static void
nodes(void **state)
{
	uint8_t *node;
	uint16_t at;
	size_t leaf;

	(void)state;
	begin();
	leaf = find(2);
	memcpy(&at, page(leaf) + 16, sizeof(at));
	node = page(leaf) + at;
	node[2] = 1; /* 64 KiB more of a value */
	refuses("leads out of it");
	begin();
	node[4] |= 4; /* rows of many values */
	refuses("another kind");
	begin();
	node[6] = 0xff;
	node[7] = 0x0f;
	refuses("leads out of it");
	begin();
	node[8] ^= 0x80;
	refuses("out of order");
}

/* Of a value's own page only the head may be lost. */
static void
value_pages_are_mended(void **state)
{
	struct err e = ERR_INIT;
	size_t value, mended = 0;

	(void)state;
	begin();
	value = find(4);
	memset(page(value), 0, PAGE);
	refuses("has another number");
	assert_int_equal(store_pages_mend(path, &mended, &e), 0);
	assert_int_equal(mended, 1);
	assert_int_equal(store_pages_check(path, &e), 0);
	assert_int_equal(store_pages_mend(path, &mended, &e), 0);
	assert_int_equal(mended, 0);
	/* Not beside damage that cannot be mended. */
	page(find(2))[10] = 0x22;
	save();
	assert_int_equal(store_pages_mend(path, &mended, &e), -1);
	assert_int_equal(mended, 0);
}

/* A free page that is in use would be written over. */
static void
free_pages_are_free(void **state)
{
	uint64_t root, used;
	uint16_t at, key_len;
	uint8_t *list;

	(void)state;
	begin();
	used = find(2);
	memcpy(&root, page(newer()) + 16 + 24 + 40, sizeof(root));
	assert_int_equal(page(root)[10], 2);
	memcpy(&at, page(root) + 16, sizeof(at));
	memcpy(&key_len, page(root) + at + 6, sizeof(key_len));
	list = page(root) + at + 8 + key_len;
	assert_int_not_equal(list[0], 0);
	memcpy(list + 8, &used, sizeof(used));
	refuses("stands in two places");
	begin();
	list[0] = 0xff;
	refuses("more free pages than are listed");
}

/* Every bit of what counts, one after the other, is noticed or does no harm:
 * the check itself ends. */
static void
no_flip_harms_the_check(void **state)
{
	struct err e = ERR_INIT;
	size_t refused = 0;

	(void)state;
	begin();
	for (size_t at = 0; at < 60 * PAGE; at += 37) {
		now.data[at] ^= (uint8_t)(1u << at % 8);
		save();
		refused += store_pages_check(path, &e) == -1;
		now.data[at] ^= (uint8_t)(1u << at % 8);
	}
	assert_true(refused > 20);
}

static void
a_store_without_commits_is_blank(void **state)
{
	(void)state;
	begin();
	save();
	assert_false(store_pages_blank(path));
	memset(page(2), 0, now.len - 2 * PAGE);
	save();
	assert_true(store_pages_blank(path));
	now.len = PAGE + 7;
	save();
	assert_true(store_pages_blank(path));
	assert_int_equal(unlink(path), 0);
	assert_false(store_pages_blank(path));
	assert_int_equal(close(open(path, O_WRONLY | O_CREAT, 0600)), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_lmdb_wrote_passes),
		cmocka_unit_test(meta_pages),
		cmocka_unit_test(pages_of_the_tree),
		cmocka_unit_test(nodes),
		cmocka_unit_test(value_pages_are_mended),
		cmocka_unit_test(free_pages_are_free),
		cmocka_unit_test(no_flip_harms_the_check),
		cmocka_unit_test(a_store_without_commits_is_blank),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
