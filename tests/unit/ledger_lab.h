/* A ledger in a lab's folder, and what sites and the service do with it. */
#ifndef WAYBILL_TESTS_LEDGER_LAB_H
#define WAYBILL_TESTS_LEDGER_LAB_H

#include "tests/unit/ra_lab.h"

#include "common/service/ledger.h"

#define MAP (8 << 20)

static struct lab *lab;
static struct ledger *ledger;

static inline void
reopen(void)
{
	struct err e = ERR_INIT;
	struct ledger_conf c = { .directory = lab_path(lab, "store"),
		.seal = lab_path(lab, "seal.key"),
		.map_size = MAP,
		.service = "ra",
		.signer = lab->service };

	ledger_close(STEAL(ledger));
	if (ledger_open(&c, &ledger, &e) == -1)
		fail_msg("%s", e.msg);
}

static inline int
setup(void **state)
{
	(void)state;
	lab = lab_new();
	reopen();
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	ledger_close(STEAL(ledger));
	lab_free(lab);
	return 0;
}

/* ---- what sites do ----------------------------------------------------- */

static inline void
hello(const char *site)
{
	struct ledger_hello x = { .site = site };
	struct err e = ERR_INIT;

	memcpy(x.epoch, lab->epoch, sizeof(x.epoch));
	assert_int_equal(ledger_hello_wait(ledger, &x, &e), 0);
}

/* Stores octets under id; the batch told stays in *x. */
static inline void
receive(
    const char *site, uint64_t id, const char *octets, struct ledger_receive *x)
{
	struct entry_header h = { .id = id, .kind = ENTRY_CMP };
	struct err e = ERR_INIT;
	size_t n = strlen(octets);

	str_copy(h.site, sizeof(h.site), site);
	memcpy(h.epoch, lab->epoch, sizeof(h.epoch));
	h.digest = digest_of(octets, n);
	*x = (struct ledger_receive){ .h = &h,
		.header = bytes_of("header", 6),
		.sig = bytes_of("sig", 3),
		.octets = bytes_of(octets, n),
		.once = entry_once(ENTRY_CMP, bytes_of(octets, n)) };
	if (ledger_receive_wait(ledger, x, &e) == -1)
		fail_msg("%s", e.msg);
	x->h = NULL;
}

/* The same, of which only the case matters. */
static inline uint64_t
store(const char *site, uint64_t id, const char *octets)
{
	struct ledger_receive x;

	receive(site, id, octets, &x);
	assert_int_equal(x.met, LEDGER_NEW);
	ledger_batch_done(&x.told);
	return x.id;
}

static inline enum ledger_intended
intend(uint64_t id, const char *tx, const char *serial)
{
	struct facts f = { 0 };
	struct err e = ERR_INIT;
	struct ledger_intend x = { .id = id,
		.tx = digest_of(tx, strlen(tx)),
		.tbs = bytes_of("tbs", 3),
		.unsigned_cert = bytes_of("unsigned", 8),
		.facts = &f,
		.device = "WB-1",
		.serial = serial };

	facts_set(&f, "vendor", FACT_END_TO_END, "acme");
	if (ledger_intend_wait(ledger, &x, &e) == -1)
		fail_msg("%s", e.msg);
	return x.is;
}

static inline bool
settle(struct ledger_settle x)
{
	struct err e = ERR_INIT;

	if (x.answer.len == 0)
		x.answer = bytes_of("answer", 6);
	if (x.reason == NULL)
		x.reason = "";
	if (ledger_settle_wait(ledger, &x, &e) == -1)
		fail_msg("%s", e.msg);
	return x.changed;
}

static inline struct ledger_case
get(uint64_t id)
{
	struct ledger_case c = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(ledger_get(ledger, id, &c, &e), 1);
	return c;
}

/* A batch as its site would read it: signed by us, for this site. */
static inline struct batch
parse(const struct ledger_batch *b, const char *site)
{
	struct batch p = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(sign_check(lab->service->cert, BATCH_LABEL,
			     buf_bytes(&b->batch), buf_bytes(&b->sig), &e),
	    0);
	if (batch_parse(buf_bytes(&b->batch), &p, &e) == -1)
		fail_msg("%s", e.msg);
	assert_string_equal(p.site, site);
	assert_string_equal(p.service, "ra");
	assert_memory_equal(p.site_epoch, lab->epoch, ENTRY_EPOCH_LEN);
	assert_memory_equal(
	    p.service_epoch, ledger_epoch(ledger), ENTRY_EPOCH_LEN);
	assert_int_equal(p.seq, b->seq);
	return p;
}

/* Its one item is this. */
static inline void
expect(const struct ledger_batch *b, const char *site, uint64_t seq,
    uint64_t id, enum batch_code code)
{
	struct batch p AUTO_BATCH = parse(b, site);

	assert_int_equal(p.seq, seq);
	assert_int_equal(p.n, 1);
	assert_int_equal(p.items[0].id, id);
	assert_int_equal(p.items[0].code, code);
}

static inline size_t
batches(const char *site, uint64_t since, size_t octets, struct ledger_batch *v,
    size_t max)
{
	struct err e = ERR_INIT;
	size_t n = 0;

	if (ledger_batches(
		ledger, site, lab->epoch, since, octets, v, max, &n, &e) == -1)
		fail_msg("%s", e.msg);
	return n;
}

static inline void
batches_done(struct ledger_batch *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ledger_batch_done(&v[i]);
}

static inline int
visit_open(const struct ledger_case *c, void *arg)
{
	uint64_t *sum = arg;

	*sum = *sum * 10 + c->id;
	return 0;
}

static inline uint64_t
open_cases(void)
{
	struct err e = ERR_INIT;
	uint64_t sum = 0;

	assert_int_equal(
	    ledger_list_open(ledger, 0, 100, visit_open, &sum, &e), 0);
	return sum;
}

/* How often this event stands in the trail of the case, 0: of all. */
struct tally {
	const char *event;
	int n;
};

static inline void
tally_record(const struct audit_record *r, void *arg)
{
	struct tally *t = arg;

	t->n += strcmp(r->event, t->event) == 0;
}

static inline int
audited(uint64_t id, const char *event)
{
	struct tally t = { event, 0 };
	struct err e = ERR_INIT;

	assert_int_equal(
	    ledger_audit(ledger, id, 1000, tally_record, &t, &e), 0);
	return t.n;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

#endif
