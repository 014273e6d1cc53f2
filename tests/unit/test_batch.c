#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/queue/batch.h"
#include "queue_signer.h"

static struct batch
example(struct batch_item *items, size_t n)
{
	struct batch b = { .service = "ra",
		.site = "substation-7",
		.seq = 4,
		.time = 1800000000,
		.n = n,
		.items = items };
	size_t i;

	memset(b.service_epoch, 0x11, ENTRY_EPOCH_LEN);
	memset(b.site_epoch, 0x22, ENTRY_EPOCH_LEN);
	memset(b.audit_seen.b, 0x33, DIGEST_LEN);
	memset(items, 0, n * sizeof(*items));
	for (i = 0; i < n; i++) {
		items[i].id = 10 + i;
		items[i].code = i % 2 == 0 ? BATCH_STORED : BATCH_ANSWERED;
		memset(items[i].digest.b, (int)i, DIGEST_LEN);
		items[i].has_answer = items[i].code == BATCH_ANSWERED;
		if (items[i].has_answer)
			memset(items[i].answer.b, 0xaa, DIGEST_LEN);
	}
	return b;
}

static void
goes_round(void **state)
{
	AUTO(signer) s = queue_signer("ra");
	struct buf text AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };
	static struct batch_item items[BATCH_ITEMS_MAX];
	struct batch b = example(items, BATCH_ITEMS_MAX);
	struct batch got AUTO_BATCH = { 0 };
	struct err e = ERR_INIT;
	size_t i;

	(void)state;
	for (i = 0; i < b.n; i++)
		memset(items[i].reason, 'x', sizeof(items[i].reason) - 1);
	assert_int_equal(batch_sign(&b, s, &text, &sig, &e), 0);
	assert_true(text.len <= BATCH_MAX);
	assert_int_equal(sign_check(s->cert, BATCH_LABEL, buf_bytes(&text),
			     buf_bytes(&sig), &e),
	    0);
	assert_int_equal(batch_parse(buf_bytes(&text), &got, &e), 0);
	assert_string_equal(got.service, "ra");
	assert_string_equal(got.site, "substation-7");
	assert_memory_equal(
	    got.service_epoch, b.service_epoch, ENTRY_EPOCH_LEN);
	assert_memory_equal(got.site_epoch, b.site_epoch, ENTRY_EPOCH_LEN);
	assert_int_equal(got.seq, 4);
	assert_int_equal(got.time, b.time);
	assert_true(digest_eq(&got.audit_seen, &b.audit_seen));
	assert_true(digest_eq(&got.signer, &s->id));
	assert_int_equal(got.n, b.n);
	assert_memory_equal(got.items, items, sizeof(items));
}

static void
cut_anywhere_is_refused(void **state)
{
	AUTO(signer) s = queue_signer("ra");
	struct buf text AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };
	struct batch_item items[3];
	struct batch b = example(items, 3), got = { .seq = 7777 };
	struct err e = ERR_INIT;
	size_t n;

	(void)state;
	assert_int_equal(batch_sign(&b, s, &text, &sig, &e), 0);
	for (n = 0; n < text.len; n++) {
		struct buf cut AUTO_BUF = bytes_dup(bytes_of(text.data, n));

		assert_int_equal(batch_parse(buf_bytes(&cut), &got, &e), -1);
		assert_int_equal(e.kind, ERR_INPUT);
	}
	buf_add(&text, "", 1);
	assert_int_equal(batch_parse(buf_bytes(&text), &got, &e), -1);
	assert_int_equal(got.seq, 7777);
	assert_null(got.items);
}

/* Which codes carry an answer. */
static void
codes_and_answers_fit(void **state)
{
	static const struct {
		enum batch_code code;
		int with, without;
	} cases[] = {
		{ 0, -1, -1 },
		{ BATCH_STORED, -1, 0 },
		{ BATCH_DUPLICATE, -1, 0 },
		{ BATCH_ANSWERED, 0, -1 },
		{ BATCH_REFUSED, 0, 0 },
		{ BATCH_CONFLICT, -1, 0 },
		{ BATCH_TOO_LARGE, -1, 0 },
		{ BATCH_BAD_SCHEMA, -1, 0 },
		{ BATCH_NOT_AUTHORISED, -1, 0 },
		{ BATCH_CODE__MAX, -1, -1 },
	};
	AUTO(signer) s = queue_signer("ra");
	struct batch_item item;
	struct batch b = example(&item, 1);
	struct err e = ERR_INIT;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct buf text AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };

		item.code = cases[i].code;
		item.has_answer = true;
		assert_int_equal(
		    batch_sign(&b, s, &text, &sig, &e), cases[i].with);
		item.has_answer = false;
		assert_int_equal(
		    batch_sign(&b, s, &text, &sig, &e), cases[i].without);
		assert_int_equal(
		    sig.len > 0, cases[i].with == 0 || cases[i].without == 0);
	}
	assert_string_equal(batch_code_name(BATCH_TOO_LARGE), "too-large");
	assert_string_equal(batch_code_name(0), "unknown");
}

static void
without_sense_is_not_signed(void **state)
{
	AUTO(signer) s = queue_signer("ra");
	struct buf text AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };
	static struct batch_item items[BATCH_ITEMS_MAX + 1];
	struct batch bad[6];
	struct err e = ERR_INIT;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(bad); i++)
		bad[i] = example(items, 2);
	bad[0].seq = 0;
	bad[1].n = 0;
	strcpy(bad[2].service, "");
	strcpy(bad[3].site, "a b");
	bad[4] = example(items, BATCH_ITEMS_MAX + 1);
	for (i = 0; i < 5; i++) {
		assert_int_equal(batch_sign(&bad[i], s, &text, &sig, &e), -1);
		assert_int_equal(e.kind, ERR_LOCAL);
	}
	items[1].id = 0;
	assert_int_equal(batch_sign(&bad[5], s, &text, &sig, &e), -1);
	assert_int_equal(text.len + sig.len, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_round),
		cmocka_unit_test(cut_anywhere_is_refused),
		cmocka_unit_test(codes_and_answers_fit),
		cmocka_unit_test(without_sense_is_not_signed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
