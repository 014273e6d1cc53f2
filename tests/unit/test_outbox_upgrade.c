/* The outbox: a store of an older release is read as it was meant. */
#include "common/base/cbor.h"
#include "outbox_damage.h"

static const char *const names[] = { "row", "tx", "audit", NULL };

/* As version 1 wrote it: 24 fields. */
static void
entry_1(struct buf *out, const char *name, enum entry_state s, uint64_t answer,
    bool late)
{
	struct digest row = digest_text(name);
	struct stamp then = { THEN, CLOCK_RTC, 0 };

	cbor_write_array(out, 24);
	cbor_write_uint(out, ENTRY_CMP);
	cbor_write_uint(out, 0);
	cbor_write_uint(out, s);
	cbor_write_bool(out, true);
	cbor_write_bytes(out, row.b, DIGEST_LEN);
	cbor_write_bytes(out, row.b, DIGEST_LEN);
	cbor_write_bytes(out, row.b, DIGEST_LEN);
	cbor_write_text(out, name);
	cbor_write_uint(out, 0);
	cbor_write_uint(out, 0);
	cbor_write_uint(out, 0);
	cbor_write_bool(out, false);
	cbor_write_text(out, "");
	cbor_write_text(out, "");
	cbor_write_uint(out, 0);
	entry_stamp_encode(&then, out);
	cbor_write_uint(out, THEN + 100);
	cbor_write_uint(out, THEN + 1);
	cbor_write_uint(out, late ? 1 : 0);
	cbor_write_text(out, late ? "link" : "");
	cbor_write_uint(out, answer);
	cbor_write_uint(out, answer != 0 ? BATCH_ANSWERED : 0);
	cbor_write_bool(out, late);
	cbor_write_text(out, late ? "superseded" : "");
}

static int
put_part(struct store_txn *t, uint64_t id, enum outbox_part part,
    struct bytes value, struct err *e)
{
	uint8_t key[OUTBOX_KEY_LEN];

	return store_put(t, DB_ROW, outbox_key(key, id, part), value, e);
}

static int
put_entry(struct store_txn *t, const char *name, enum entry_state s, bool late,
    struct err *e)
{
	struct buf row AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
	struct buf header AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };
	struct digest tx = digest_text(name);
	struct entry_header h = {
		.site = "substation-7", .kind = ENTRY_CMP, .digest = tx
	};
	uint8_t key[STORE_KEY_ID_LEN];

	h.id = store_take_id(t);
	memcpy(h.epoch, store_epoch(t), sizeof(h.epoch));
	entry_1(&row, name, s, late ? store_take_id(t) : 0, late);
	if (entry_header_sign(&h, registrar, &header, &sig, e) == -1)
		return -1;
	outbox_octets_encode(text(name), bytes_of(NULL, 0), buf_bytes(&header),
	    buf_bytes(&sig), &octets);
	if (put_part(t, h.id, PART_ENTRY, buf_bytes(&row), e) == -1 ||
	    put_part(t, h.id, PART_OCTETS, buf_bytes(&octets), e) == -1 ||
	    (late && put_part(t, h.id + 1, PART_ANSWER, text("ip"), e) == -1))
		return -1;
	return store_put(
	    t, DB_TX, bytes_of(tx.b, DIGEST_LEN), store_key_id(key, h.id), e);
}

/* Words that knew how far services were heard, and nothing else. */
static void
words_1(struct store_txn *t)
{
	struct buf words AUTO_BUF = { 0 };
	uint8_t epoch[ENTRY_EPOCH_LEN] = { 7 };

	cbor_write_array(&words, 1);
	cbor_write_array(&words, 3);
	cbor_write_text(&words, "ra");
	cbor_write_bytes(&words, epoch, sizeof(epoch));
	cbor_write_uint(&words, 42);
	store_set_user(t, buf_bytes(&words));
}

static int
fill_1(struct store_txn *t, void *arg, struct err *e)
{
	if (*(bool *)arg)
		words_1(t);
	if (put_entry(t, "1", ENTRY_QUEUED, false, e) == -1 ||
	    put_entry(t, "2", ENTRY_WITHDRAWN, true, e) == -1)
		return -1;
	return put_entry(t, "3", ENTRY_INFLIGHT, false, e);
}

/* The folder of setup, made anew in the format of then. */
static void
store_1(bool words)
{
	struct store_conf c = conf.store;
	struct store *s = NULL;
	struct err e = ERR_INIT;
	void *none = NULL;

	teardown(&none);
	assert_non_null(mkdtemp(strcpy(dir, "/tmp/test_outbox.XXXXXX")));
	c.databases = names;
	c.version = 1;
	assert_int_equal(store_open(&c, &s, &e), 0);
	assert_int_equal(store_submit_wait(s, fill_1, &words, &e), 0);
	store_close(s);
}

static void
rows_and_words(void **state)
{
	static const uint8_t zeros[OUTBOX_NONCE_KEY];
	static const bool words[] = { true, false };
	uint8_t key[OUTBOX_NONCE_KEY];
	struct buf log AUTO_BUF = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(words); i++) {
		store_1(words[i]);
		open_listening(&log);
		assert_int_equal(alarms(&log), 0);
		memcpy(key, outbox_nonce_key(box), sizeof(key));
		assert_memory_not_equal(key, zeros, sizeof(key));
		for (int again = 0; again < 2; again++) {
			state_is(1, ENTRY_QUEUED);
			assert_int_equal(entry(1).route, ENTRY_CMP);
			assert_int_equal(entry(1).deadline, THEN + 100);
			answer_is(2, NULL);
			late_is(2, "ip");
			assert_string_equal(entry(2).reason, "superseded");
			sendable_is(1u << ENTRY_CMP, 0, true, "1 4 ");
			assert_int_equal(counts().resend, 0);
			assert_int_equal(peer("ra").seq, words[i] ? 42 : 0);
			assert_int_equal(peer("ra").epoch[0], words[i] ? 7 : 0);
			reopen();
			assert_memory_equal(
			    key, outbox_nonce_key(box), sizeof(key));
		}
		assert_int_equal(take("5", "5"), 5);
	}
}

/* ---- version 2 --------------------------------------------------------- */

#define OCTETS_2  "the device's"
#define WRAPPED_2 "nested: the device's, signed"

/* As version 2 wrote them: the device's octets twice. */
static int
octets_2(struct store_txn *t, struct entry_header *h, struct err *e)
{
	struct buf header AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };
	struct buf octets AUTO_BUF = { 0 };

	if (entry_header_sign(h, registrar, &header, &sig, e) == -1)
		return -1;
	cbor_write_array(&octets, 4);
	cbor_write_bytes(&octets, OCTETS_2, strlen(OCTETS_2));
	cbor_write_bytes(&octets, WRAPPED_2, strlen(WRAPPED_2));
	cbor_write_bytes(&octets, header.data, header.len);
	cbor_write_bytes(&octets, sig.data, sig.len);
	return put_part(t, h->id, PART_OCTETS, buf_bytes(&octets), e);
}

static int
fill_2(struct store_txn *t, void *arg, struct err *e)
{
	struct outbox_entry en = { .kind = ENTRY_CMP,
		.route = ENTRY_CMP,
		.state = ENTRY_QUEUED,
		.row = digest_text("1"),
		.digest = digest_text(OCTETS_2),
		.received = { THEN, CLOCK_RTC, 0 } };
	struct entry_header h = {
		.site = "substation-7", .kind = ENTRY_CMP, .digest = en.digest
	};
	struct buf row AUTO_BUF = { 0 };
	uint8_t key[STORE_KEY_ID_LEN];

	(void)arg;
	en.id = h.id = store_take_id(t);
	memcpy(h.epoch, store_epoch(t), sizeof(h.epoch));
	outbox_entry_encode(&en, &row);
	if (put_part(t, en.id, PART_ENTRY, buf_bytes(&row), e) == -1 ||
	    octets_2(t, &h, e) == -1)
		return -1;
	return store_put(t, DB_TX, bytes_of(en.row.b, DIGEST_LEN),
	    store_key_id(key, en.id), e);
}

static void
store_2(void)
{
	struct store_conf c = conf.store;
	struct store *s = NULL;
	struct err e = ERR_INIT;
	void *none = NULL;

	teardown(&none);
	assert_non_null(mkdtemp(strcpy(dir, "/tmp/test_outbox.XXXXXX")));
	c.databases = names;
	c.version = 2;
	assert_int_equal(store_open(&c, &s, &e), 0);
	assert_int_equal(store_submit_wait(s, fill_2, NULL, &e), 0);
	store_close(s);
}

static void
found_is(enum entry_state want)
{
	struct digest row = digest_text("1");
	struct outbox_entry en = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(outbox_find(box, &row, &en, &e), 1);
	assert_int_equal(en.id, 1);
	assert_int_equal(en.state, want);
}

static void
octets_once(void **state)
{
	struct outbox_octets x = { 0 };
	struct err e = ERR_INIT;
	int again;

	(void)state;
	store_2();
	open_box();
	for (again = 0; again < 2; again++) {
		found_is(ENTRY_QUEUED);
		assert_int_equal(outbox_octets(box, 1, &x, &e), 0);
		assert_string_equal(buf_cstr(&x.bytes), OCTETS_2);
		assert_string_equal(buf_cstr(&x.wrapped), WRAPPED_2);
		assert_int_equal(header_of(1).id, 1);
		outbox_octets_done(&x);
		reopen();
	}
	assert_int_equal(take("2", "2"), 2);
}

/* "tx" of then still tells whose a row was, at the start and later. */
static void
lost_rows_have_their_names(void **state)
{
	struct outbox_move m = {
		.event = ENTRY_EV_HANDOUT, .ids = { 1 }, .n = 1
	};
	struct buf log AUTO_BUF = { 0 };
	uint64_t id = 1;
	struct err e = ERR_INIT;

	(void)state;
	store_2();
	open_box();
	close_box();
	spoil_part(1, PART_ENTRY, false);
	open_listening(&log);
	assert_int_equal(alarms(&log), 1);
	found_is(ENTRY_DEAD);
	close_box();
	store_2();
	open_box();
	assert_int_equal(store_submit_wait(box->store, junk_job, &id, &e), 0);
	listen_start();
	assert_int_equal(move_wait(&m).kind, ERR_NONE);
	listen_end(&log);
	assert_int_equal(alarms(&log), 1);
	found_is(ENTRY_DEAD);
}

/* A newer one than ours says so, and is left alone. */
static void
from_the_future(void **state)
{
	struct store_conf c = conf.store;
	struct store *s = NULL;
	struct err e = ERR_INIT;
	struct outbox *o = NULL;
	void *none = NULL;

	(void)state;
	teardown(&none);
	assert_non_null(mkdtemp(strcpy(dir, "/tmp/test_outbox.XXXXXX")));
	c.databases = names;
	c.version = OUTBOX_VERSION + 1;
	assert_int_equal(store_open(&c, &s, &e), 0);
	store_close(s);
	assert_int_equal(outbox_open(&conf, &o, &e), -1);
	assert_null(o);
	assert_int_equal(e.kind, ERR_DAMAGE);
	assert_non_null(strstr(e.msg, "version 4, made by a newer"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(rows_and_words),
		T(octets_once),
		T(lost_rows_have_their_names),
		T(from_the_future),
	};

	return outbox_tests(tests, NELEMS(tests));
}
