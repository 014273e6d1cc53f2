/* The outbox: entries are found by their row digest, and the device's octets
 * are kept once. */
#include "common/base/cbor.h"
#include "outbox_damage.h"

#define MANY 300 /* more than there is room for at first */

static struct digest
numbered(unsigned n)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", n);
	return digest_text(name);
}

static uint64_t
found(const struct digest *row)
{
	struct outbox_entry en = { .id = 7777 };
	struct err e = ERR_INIT;
	int rc = outbox_find(box, row, &en, &e);

	assert_int_not_equal(rc, -1);
	if (rc == 1)
		assert_true(digest_eq(&en.row, row));
	return rc == 1 ? en.id : 0;
}

static void
all_are_found(unsigned n)
{
	struct digest row;
	unsigned i;

	for (i = 0; i < n; i++) {
		row = numbered(i);
		assert_int_equal(found(&row), i + 1);
	}
	row = numbered(n);
	assert_int_equal(found(&row), 0);
}

static void
each_by_its_own(void **state)
{
	char name[16];
	unsigned i;

	(void)state;
	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "%u", i);
		assert_int_equal(take(name, name), i + 1);
	}
	all_are_found(MANY);
	reopen();
	all_are_found(MANY);
	for (i = 0; i < MANY; i += 3)
		assert_true(move(i + 1, ENTRY_EV_HANDOUT));
	all_are_found(MANY);
}

/* In memory a digest is cut short. */
static void
alike_in_memory(void **state)
{
	struct digest row[3] = { digest_text("a"), digest_text("a"),
		digest_text("a") };
	struct outbox_accept a[3] = { request("a", "1"), request("b", "2"),
		request("c", "3") };
	struct buf log AUTO_BUF = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		row[i].b[DIGEST_LEN - 1] = (uint8_t)i;
		a[i].row = row[i];
	}
	for (i = 0; i < 2; i++) {
		assert_int_equal(found(&row[i]), 0);
		assert_int_equal(accept_wait(&a[i]).kind, ERR_NONE);
		assert_false(a[i].replay);
	}
	for (i = 0; i < 3; i++)
		assert_int_equal(found(&row[i]), i < 2 ? i + 1 : 0);
	assert_int_equal(accept_wait(&a[0]).kind, ERR_NONE);
	assert_true(a[0].replay);
	assert_int_equal(a[0].entry.id, 1);
	/* One whose row is lost is known from "tx", and the other is not it. */
	close_box();
	spoil_part(2, PART_ENTRY, true);
	spoil_part(2, PART_OCTETS, true);
	open_listening(&log);
	assert_int_equal(alarms(&log), 1);
	assert_int_equal(found(&row[1]), 2);
	assert_int_equal(found(&row[0]), 1);
}

/* What a job that fails had named is nobody's, and what stands in its
 * transaction is found all the same. */
static void
given_up(void **state)
{
	struct outbox_accept a = request("2", "2");
	struct digest row = digest_text("1"), other = digest_text("2");
	struct post none = { 0 };
	struct gate g = GATE;
	uint64_t first = take("1", "1");
	struct err e;

	(void)state;
	store_submit(box->store, gate_job, NULL, &g, none);
	gate_reached(&g);
	store_submit(box->store, failing_job, NULL, &first, none);
	store_submit(box->store, failing_job, NULL, &first, none);
	gate_open(&g);
	e = accept_wait(&a);
	assert_int_equal(e.kind, ERR_NONE);
	assert_int_equal(found(&row), first);
	assert_int_equal(found(&other), a.entry.id);
	assert_int_equal(counts().by_state[ENTRY_QUEUED], 2);
}

/* ---- octets -------------------------------------------------------------- */

static void
kept_once(void **state)
{
	struct outbox_accept a = request("the device's", "1");
	struct outbox_accept b = request("another's", "2");
	struct buf row AUTO_BUF = { 0 };
	struct outbox_octets x = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	a.wrapped = text("nested: the device's, signed");
	b.wrapped = text("nested: nothing of it");
	assert_int_equal(accept_wait(&a).kind, ERR_NONE);
	assert_int_equal(accept_wait(&b).kind, ERR_NONE);
	reopen();
	assert_int_equal(outbox_octets(box, 1, &x, &e), 0);
	assert_string_equal(buf_cstr(&x.bytes), "the device's");
	assert_string_equal(
	    buf_cstr(&x.wrapped), "nested: the device's, signed");
	outbox_octets_done(&x);
	assert_int_equal(outbox_octets(box, 2, &x, &e), 0);
	assert_string_equal(buf_cstr(&x.bytes), "another's");
	assert_string_equal(buf_cstr(&x.wrapped), "nested: nothing of it");
	outbox_octets_done(&x);
	outbox_octets_encode(a.bytes, a.wrapped, text("h"), text("s"), &row);
	assert_true(row.len < a.bytes.len + a.wrapped.len);
}

/* Where they stand is not believed. */
static void
octets_elsewhere(void **state)
{
	static const struct {
		const char *own;
		uint64_t at, len;
		int rc;
	} cases[] = {
		{ "", 0, 6, 0 },
		{ "own", 0, 0, 0 },
		{ "", 1, 5, 0 },
		{ "", 6, 1, -1 },
		{ "", 0, 7, -1 },
		{ "", 7, 1, -1 },
		{ "", 262144, 262144, -1 },
		{ "own", 0, 6, -1 },
	};
	struct buf header AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };
	struct entry_header h = { .site = "s", .id = 1, .kind = ENTRY_CMP };
	struct err e = ERR_INIT;
	size_t i;

	(void)state;
	assert_int_equal(
	    entry_header_sign(&h, registrar, &header, &sig, &e), 0);
	for (i = 0; i < NELEMS(cases); i++) {
		struct buf row AUTO_BUF = { 0 };
		struct outbox_octets x = { 0 };

		cbor_write_array(&row, 6);
		cbor_write_bytes(&row, cases[i].own, strlen(cases[i].own));
		cbor_write_uint(&row, cases[i].at);
		cbor_write_uint(&row, cases[i].len);
		cbor_write_bytes(&row, "nested", 6);
		cbor_write_bytes(&row, header.data, header.len);
		cbor_write_bytes(&row, sig.data, sig.len);
		e = (struct err)ERR_INIT;
		assert_int_equal(
		    outbox_octets_decode(1, buf_bytes(&row), &x, NULL, &e),
		    cases[i].rc);
		assert_int_equal(
		    e.kind, cases[i].rc == 0 ? ERR_NONE : ERR_DAMAGE);
		outbox_octets_done(&x);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_by_its_own),
		T(alike_in_memory),
		T(given_up),
		T(kept_once),
		T(octets_elsewhere),
	};

	return outbox_tests(tests, NELEMS(tests));
}
