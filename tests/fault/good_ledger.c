#include "tests/fault/good_store.h"

#include <string.h>

#include "common/base/str.h"
#include "common/service/ledger.h"

#define SITE "berlin"

static const uint8_t epoch[ENTRY_EPOCH_LEN] = "a site's epoch";

static struct ledger *ledger;
static uint64_t batches; /* told when it was good */

static int
service_open(const struct lab *l, struct err *e)
{
	struct ledger_conf c = { .directory = l->store,
		.seal = l->seal,
		.map_size = GOOD_MAP,
		.service = "ra",
		.signer = l->signer };

	return ledger_open(&c, &ledger, e);
}

static bool
hello(void)
{
	struct ledger_hello x = { .site = SITE };

	memcpy(x.epoch, epoch, sizeof(epoch));
	return ledger_hello_wait(ledger, &x, NULL) == 0;
}

static uint64_t
receive(unsigned n)
{
	struct buf bytes AUTO_BUF = good_octets("request", n);
	struct entry_header h = { .id = n + 1,
		.kind = ENTRY_CMP,
		.site = SITE,
		.digest = digest_of(bytes.data, bytes.len) };
	struct ledger_receive x = { .h = &h,
		.header = bytes_of("header", 6),
		.sig = bytes_of("sig", 3),
		.octets = buf_bytes(&bytes),
		.once = entry_once(ENTRY_CMP, buf_bytes(&bytes)) };

	memcpy(h.epoch, epoch, sizeof(epoch));
	if (ledger_receive_wait(ledger, &x, NULL) == -1)
		return 0;
	ledger_batch_done(&x.told);
	return x.id;
}

static bool
intend(uint64_t id, unsigned n)
{
	struct buf tbs AUTO_BUF = good_octets("intent", n);
	struct facts facts = { .n = 0 };
	struct ledger_intend x = { .id = id,
		.tx = digest_of(&n, sizeof(n)),
		.tbs = buf_bytes(&tbs),
		.unsigned_cert = bytes_of("unsigned", 8),
		.facts = &facts,
		.device = "WB",
		.serial = "01" };

	return ledger_intend_wait(ledger, &x, NULL) == 0;
}

static bool
settle(uint64_t id, unsigned n)
{
	struct buf answer AUTO_BUF = good_octets("answer", n);
	struct ledger_settle x = { .id = id,
		.code = BATCH_ANSWERED,
		.answer = buf_bytes(&answer),
		.cert = bytes_of("certificate", 11),
		.reason = "",
		.event = "issued" };

	return ledger_settle_wait(ledger, &x, NULL) == 0;
}

/* Cases are open, intended or done, by n. */
static enum ledger_state
state_of(unsigned n)
{
	static const enum ledger_state v[] = { LEDGER_DONE, LEDGER_OPEN,
		LEDGER_DONE, LEDGER_INTENT };

	return v[n % NELEMS(v)];
}

static void
make(const struct lab *l, void (*half)(const struct lab *l))
{
	struct ledger_site s = { .seq = 0 };
	struct err e = ERR_INIT;
	bool ok = true;
	uint64_t id;

	if (service_open(l, &e) == -1 || !hello())
		err_die(e.msg);
	for (unsigned n = 0; n < GOOD_ENTRIES; n++) {
		if (n == GOOD_ENTRIES / 2) {
			ledger_close(ledger);
			half(l);
			if (service_open(l, &e) == -1)
				err_die(e.msg);
			ok = ok && hello();
		}
		id = receive(n);
		ok = ok && id == n + 1;
		if (state_of(n) != LEDGER_OPEN)
			ok = ok && intend(id, n);
		if (state_of(n) == LEDGER_DONE)
			ok = ok && settle(id, n);
	}
	ok = ok && ledger_site(ledger, SITE, &s, &e) == 1;
	batches = s.seq;
	ledger_close(ledger);
	if (!ok)
		err_die("a good ledger cannot be made");
}

/* ---- looking at it ----------------------------------------------------- */

/* 1: there and the same. */
static int
part(uint64_t id, enum ledger_part which, const char *what, unsigned n,
    struct seen *ret)
{
	struct buf have AUTO_BUF = { 0 };
	int rc = ledger_part(ledger, id, which, &have, NULL);

	if (rc == 1)
		return good_same(ret, &have, what, n) ? 1 : 0;
	ret->damaged++;
	return 0;
}

static void
case_look(unsigned n, struct seen *ret)
{
	struct ledger_case c;
	uint64_t id = 0;
	int rc = ledger_find_entry(ledger, SITE, epoch, n + 1, &id, NULL);

	if (rc == 1)
		rc = ledger_get(ledger, id, &c, NULL);
	if (rc == -1) {
		ret->damaged++;
		return;
	}
	if (rc == 0) {
		ret->absent++;
		return;
	}
	if (part(id, LEDGER_OCTETS, "request", n, ret) != 1 ||
	    (c.state == LEDGER_INTENT &&
		part(id, LEDGER_TBS, "intent", n, ret) != 1) ||
	    (c.state == LEDGER_DONE &&
		part(id, LEDGER_ANSWER, "answer", n, ret) != 1))
		return;
	ret->fine++;
	ret->older += c.state != state_of(n);
}

static int
nobody(const struct ledger_case *c, void *arg)
{
	(void)c, (void)arg;
	return 0;
}

static int
look(const struct lab *l, struct seen *ret, struct err *e)
{
	struct ledger_site s = { .seq = 0 };
	struct ledger_batch b[8];
	size_t n = 0;

	if (service_open(l, e) == -1)
		return -1;
	for (unsigned i = 0; i < GOOD_ENTRIES; i++)
		case_look(i, ret);
	ret->behind =
	    ledger_site(ledger, SITE, &s, NULL) == 1 && s.seq < batches;
	/* Whatever these are told: they must come back. */
	(void)!ledger_list_open(ledger, 0, SIZE_MAX, nobody, NULL, NULL);
	if (ledger_batches(
		ledger, SITE, epoch, 100, 1 << 20, b, NELEMS(b), &n, NULL) == 0)
		while (n > 0)
			ledger_batch_done(&b[--n]);
	if (hello() && receive(GOOD_ENTRIES) != 0)
		intend(2, 1);
	settle(4, 3);
	ledger_close(ledger);
	return 0;
}

const struct good_store good_ledger = { "ledger", make, look };
