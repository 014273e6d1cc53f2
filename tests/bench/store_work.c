/* A process that has an outbox open, and does what it is told. */
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/str.h"
#include "common/queue/outbox.h"
#include "common/pki/certfacts.h"
#include "tests/bench/bench_store.h"
#include "tests/bench/store_talk.h"

#define AT_ONCE_MAX 256
#define PAGE	    100
#define WINDOW	    64

struct request {
	struct outbox_accept a;
	struct buf ir, nested;
	uint8_t *inside; /* the ir in the nested one */
	char label[32];
};

static struct outbox *box;
static struct signer *registrar;
static struct buf ir, nested, poll_octets;
static X509 *device;
static struct facts facts;
static unsigned long entries; /* accepted by whomever */
static uint64_t seq;	      /* of the last batch */
static struct request requests[AT_ONCE_MAX], *spare[AT_ONCE_MAX];
static size_t n_spare;
static pthread_mutex_t spare_lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t room, over;

static void
must(int rc, const struct err *e)
{
	if (rc == -1)
		bench_fail("outbox: %s", e->msg);
}

/* ---- opened, closed ------------------------------------------------------ */

static void
open_box(char *const argv[])
{
	AUTO(char) seal = path_join(argv[3], "site/seal.key");
	struct outbox_conf c = {
		.store = { .dir = argv[2],
		    .map_size = strtoull(argv[4], NULL, 10) << 20,
		    .seal = seal },
		.site = "bench",
		.signer = registrar,
		.full_percent = 95,
		.per_device_hour = 16,
		.per_device_open = 4,
		.per_vendor_open = 10000000,
		.open = 10000000,
	};
	struct err e = ERR_INIT;
	struct outbox_counts n;
	struct outbox_peer p;

	must(outbox_open(&c, &box, &e), &e);
	outbox_count(box, &n);
	entries = n.next_id - 1;
	must(outbox_peer(box, "ra", &p, &e), &e);
	seq = p.seq;
}

static void
reopen(char *const argv[], unsigned long n)
{
	unsigned long had = entries;

	while (n-- > 0) {
		outbox_close(box);
		open_box(argv);
	}
	if (entries != had)
		bench_fail("outbox: %lu entries of %lu", entries, had);
}

static void
load(const char *dir, const char *name, struct buf *ret)
{
	AUTO(char) path = path_join(dir, name);
	struct err e = ERR_INIT;

	must(file_read(path, 1 << 20, ret, &e), &e);
}

/* As registrar/admit.c tells of a device. */
static void
tell_facts(void)
{
	char text[200];

	facts_set(&facts, "idevid.issuer", FACT_REGISTRAR,
	    cert_issuer_text(device, text, sizeof(text)));
	facts_set(&facts, "idevid.serial", FACT_REGISTRAR,
	    "0102030405060708090a0b0c0d0e0f10");
	facts_set(&facts, "idevid.subject-serial", FACT_REGISTRAR, "SN-0001");
	facts_set(&facts, "vendor", FACT_REGISTRAR, "acme");
	facts_set(&facts, "signer.spki", FACT_REGISTRAR,
	    "00112233445566778899aabbccddeeff"
	    "00112233445566778899aabbccddeeff");
	facts_set(&facts, "profile", FACT_REGISTRAR, "");
	facts_set(&facts, "tls.same-signer", FACT_REGISTRAR, "true");
	facts_set(&facts, "time.quality", FACT_REGISTRAR, "sync");
}

static void
set_up(char *const argv[])
{
	AUTO(char) key = path_join(argv[3], "site/registrar.key");
	AUTO(char) cert = path_join(argv[3], "site/registrar.crt");
	AUTO(char) dev = path_join(argv[3], "device.crt");
	struct err e = ERR_INIT;
	size_t i;

	registrar = signer_load(key, cert, &e);
	if (registrar == NULL || (device = ossl_load_cert(dev, &e)) == NULL)
		bench_fail("%s", e.msg);
	load(argv[3], "ir.der", &ir);
	load(argv[3], "nested.der", &nested);
	load(argv[3], "poll.der", &poll_octets);
	tell_facts();
	sem_init(&room, 0, 0);
	sem_init(&over, 0, 0);
	for (i = 0; i < AT_ONCE_MAX; i++) {
		requests[i].ir = bytes_dup(buf_bytes(&ir));
		requests[i].nested = bytes_dup(buf_bytes(&nested));
		requests[i].inside = memmem(
		    requests[i].nested.data, nested.len, ir.data, ir.len);
		if (requests[i].inside == NULL)
			bench_fail("the ir is not in its nested message");
		spare[n_spare++] = &requests[i];
	}
}

static void
post_here(void *to, void (*fn)(void *arg), void *arg)
{
	(void)to;
	fn(arg);
}

static const struct post here = { post_here, NULL };

static void
wait_for(sem_t *s)
{
	while (sem_wait(s) == -1)
		;
}

/* ---- accepts ------------------------------------------------------------- */

static struct digest
row_of(unsigned long n)
{
	return digest_of(&n, sizeof(n));
}

/* In the committer. */
static void
accepted(struct outbox_accept *a, const struct err *e)
{
	if (e != NULL)
		bench_fail("accept: %s", e->msg);
	if (a->replay || a->entry.state != ENTRY_QUEUED)
		bench_fail("accept: not queued");
	pthread_mutex_lock(&spare_lock);
	spare[n_spare++] = a->user;
	pthread_mutex_unlock(&spare_lock);
	sem_post(&room);
}

static struct request *
take_request(void)
{
	struct request *q;

	pthread_mutex_lock(&spare_lock);
	q = spare[--n_spare];
	pthread_mutex_unlock(&spare_lock);
	return q;
}

static void
submit(unsigned long n)
{
	struct request *q = take_request();

	memcpy(q->ir.data + q->ir.len - sizeof(n), &n, sizeof(n));
	memcpy(q->inside + q->ir.len - sizeof(n), &n, sizeof(n));
	snprintf(q->label, sizeof(q->label), "SN-%08lu", n);
	q->a = (struct outbox_accept){ .kind = ENTRY_CMP,
		.row = row_of(n),
		.device = digest_of(q->label, strlen(q->label)),
		.initial = true,
		.bytes = buf_bytes(&q->ir),
		.wrapped = buf_bytes(&q->nested),
		.facts = &facts,
		.label = q->label,
		.vendor = "acme",
		.received = clock_now(),
		.user = q };
	q->a.deadline = q->a.received.time + 2592000;
	outbox_accept(box, &q->a, accepted, here);
}

static void
accept_all(unsigned long n, unsigned at_once)
{
	unsigned long i;

	for (i = 0; i < n; i++) {
		if (i >= at_once)
			wait_for(&room);
		submit(entries + i);
	}
	for (i = 0; i < n && i < at_once; i++)
		wait_for(&room);
	entries += n;
}

/* ---- readers ------------------------------------------------------------- */

/* The k-th of places all over 0 to n - 1. */
static unsigned long
spread(unsigned long k, unsigned long n)
{
	return (unsigned long)((k * UINT64_C(0x9e3779b97f4a7c15) >> 16) % n);
}

static void
poll_all(unsigned long n)
{
	struct outbox_entry en;
	struct err e = ERR_INIT;
	struct digest row;
	unsigned long k;

	for (k = 0; k < n; k++) {
		AUTO(cmp_msg) m = NULL;

		must(cmp_parse(buf_bytes(&poll_octets), &m, &e), &e);
		must(cmp_verify(m, device, &e), &e);
		row = row_of(spread(k, entries));
		if (outbox_find(box, &row, &en, &e) != 1 ||
		    !digest_eq(&en.row, &row))
			bench_fail("poll: not found");
	}
}

struct page {
	uint64_t last;
	size_t n;
};

static void
see(const struct outbox_entry *en, void *arg)
{
	struct page *p = arg;

	p->n++;
	p->last = en->id;
}

static void
list_all(unsigned long n)
{
	struct err e = ERR_INIT;
	unsigned long k;
	uint64_t first;

	for (k = 0; k < n; k++) {
		struct page p = { 0 };

		first = 1 + spread(k, entries - PAGE);
		must(outbox_list(box, first, PAGE, see, &p, &e), &e);
		if (p.n != PAGE || p.last != first + PAGE - 1)
			bench_fail("list: %zu of a page", p.n);
	}
}

/* ---- leaving ------------------------------------------------------------- */

static void
handed(struct outbox_move *m, const struct err *e)
{
	if (e != NULL || m->refused > 0)
		bench_fail("hand-out: %zu refused", m->refused);
	sem_post(&over);
}

static void
receipted(struct outbox_batch *b, const struct err *e)
{
	if (e != NULL || b->moved != b->batch->n || b->alarms > 0)
		bench_fail("receipts: %zu of %zu", b->moved, b->batch->n);
	sem_post(&over);
}

/* What a service says of those: each octets' digest must be told. */
static void
fill_items(struct batch_item *items, size_t n, uint64_t first)
{
	struct buf x = bytes_dup(buf_bytes(&ir));
	unsigned long number;
	size_t i;

	for (i = 0; i < n; i++) {
		number = (unsigned long)(first + i - 1);
		memcpy(
		    x.data + x.len - sizeof(number), &number, sizeof(number));
		items[i] = (struct batch_item){ .id = first + i,
			.code = BATCH_STORED,
			.digest = digest_of(x.data, x.len) };
	}
	buf_done(&x);
}

static size_t
leave(struct batch_item *items)
{
	static const struct bytes none[WINDOW];
	struct outbox_move m = {
		.event = ENTRY_EV_HANDOUT, .carrier = "link", .who = "ra"
	};
	struct batch b = { .service = "ra",
		.service_epoch = "service epoch",
		.site = "bench",
		.time = clock_now().time,
		.items = items };
	struct outbox_batch ob = { .batch = &b, .answers = none };
	size_t i;

	m.n = outbox_sendable(box, 1u << ENTRY_CMP, 0, false, m.ids, WINDOW);
	outbox_move(box, &m, handed, here);
	wait_for(&over);
	for (i = 0; i < m.n; i++)
		if (m.ids[i] != items[i].id)
			bench_fail("hand-out: another one");
	memcpy(b.site_epoch, outbox_epoch(box), ENTRY_EPOCH_LEN);
	b.n = m.n;
	b.seq = ++seq;
	outbox_batch(box, &ob, receipted, here);
	wait_for(&over);
	return m.n;
}

/* Entries that did not leave yet are the last ones, in order. */
static struct batch_item *
drain_items(unsigned long n)
{
	struct batch_item *items = xcalloc(n, sizeof(*items));
	struct outbox_counts c;

	outbox_count(box, &c);
	if (c.by_state[ENTRY_QUEUED] < n)
		bench_fail("drain: too few are queued");
	fill_items(items, n, c.next_id - c.by_state[ENTRY_QUEUED]);
	return items;
}

static void
drain_all(unsigned long n, struct batch_item *items)
{
	unsigned long done = 0;

	while (done + WINDOW <= n)
		done += leave(items + done);
}

/* ---- told ---------------------------------------------------------------- */

static void
do_work(
    char *const argv[], const struct store_order *o, struct batch_item *items)
{
	switch (o->work) {
	case STORE_FILL:
	case STORE_ACCEPT:
		accept_all(o->n, o->at_once);
		return;
	case STORE_POLL:
		poll_all(o->n);
		return;
	case STORE_LIST:
		list_all(o->n);
		return;
	case STORE_DRAIN:
		drain_all(o->n, items);
		return;
	case STORE_REOPEN:
		reopen(argv, o->n);
		return;
	case STORE_PUT:
		store_alone_put(argv, buf_bytes(&nested), o->n, o->at_once);
		return;
	case STORE_WORK__MAX:
		break;
	}
	bench_fail("no such work");
}

static struct store_cost
costed(char *const argv[], const struct store_order *o)
{
	AUTO(void) items = o->work == STORE_DRAIN ? drain_items(o->n) : NULL;
	double wall = bench_now(), cpu = bench_cpu(0);

	do_work(argv, o, items);
	return (struct store_cost){ (bench_now() - wall) / (double)o->n,
		(bench_cpu(0) - cpu) / (double)o->n };
}

int
store_work(char *const argv[])
{
	struct store_order o;
	struct store_cost c;

	set_up(argv);
	open_box(argv);
	c = (struct store_cost){ 1, 1 };
	if (write(STORE_TALK, &c, sizeof(c)) != sizeof(c))
		return 1;
	while (read(STORE_TALK, &o, sizeof(o)) == sizeof(o)) {
		c = costed(argv, &o);
		if (write(STORE_TALK, &c, sizeof(c)) != sizeof(c))
			return 1;
	}
	store_alone_close();
	outbox_close(box);
	signer_free(registrar);
	return 0;
}
