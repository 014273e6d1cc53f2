/*
 * What a long queue costs: fills an outbox with N entries, each of a device of
 * its own, and then, in a process that does nothing else, opens it, accepts,
 * polls and lists.
 *
 *   queue_scale [--long]
 *
 * N is 1 000 and 100 000, with --long 1 000 000 too.  What is counted and what
 * it takes of memory must be right, and with each N polling and accepting may
 * take at most half as much again of a processor as with 1 000; other times are
 * printed, and must only be below five times what is promised: the machine has
 * other work.  A poll is what the registrar does for one at least: a signature
 * is verified, an entry is found.
 */
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/file.h"
#include "common/base/str.h"
#include "common/queue/outbox.h"
#include "tests/fault/lab.h"

#define AT_ONCE	    256 /* submitted and not yet committed */
#define OCTETS	    700 /* of a request, the least there is */
#define ROUNDS	    9
#define POLLS	    2000 /* in a round */
#define LIST	    100
#define SPARE_TIMES 5

static const struct {
	unsigned n;
	bool only_long;
	unsigned open_ms, anon_mb; /* promised; 0: nothing */
} sizes[] = {
	{ 1000, false, 0, 64 },
	{ 100000, false, 2000, 64 },
	{ 1000000, true, 10000, 128 },
};

/* What the measuring process found. */
struct figures {
	unsigned n;
	double open_ms, accept_us, accept_cpu_us, find_us;
	double verify_us, list_first_ms, list_last_ms, select_ms, sendable_us;
	long anon_kb, file_kb;
};

static struct lab lab;

static void
must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "queue_scale: %s\n", what);
	exit(1);
}

static double
now_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[n / 2];
}

static struct outbox *
open_box(unsigned n)
{
	struct outbox_conf c = { .store = { .dir = lab.store,
				     .map_size =
					 (64u << 20) + (uint64_t)n * 6144,
				     .seal = lab.seal },
		.site = "scale",
		.signer = lab.signer,
		.full_percent = 95,
		.per_device_hour = 16,
		.per_device_open = 4,
		.per_vendor_open = 10000000,
		.open = 10000000 };
	struct err e = ERR_INIT;
	struct outbox *o = NULL;

	if (outbox_open(&c, &o, &e) == -1)
		fprintf(stderr, "%s\n", e.msg);
	must(o != NULL, "the outbox opens");
	return o;
}

/* ---- requests ---------------------------------------------------------- */

struct request {
	struct outbox_accept a;
	uint8_t octets[OCTETS];
	char label[32], vendor[16];
	struct facts facts;
};

static sem_t room;
static _Atomic unsigned failed;

static void
accepted(struct outbox_accept *a, const struct err *e)
{
	if (e != NULL && atomic_fetch_add(&failed, 1) == 0)
		fprintf(stderr, "queue_scale: %s\n", e->msg);
	free(a->user);
	sem_post(&room);
}

static struct digest
row_of(unsigned n)
{
	char text[32];

	snprintf(text, sizeof(text), "row %u", n);
	return digest_of(text, strlen(text));
}

static void
submit(struct outbox *o, unsigned n)
{
	struct request *q = xcalloc(1, sizeof(*q));

	memset(q->octets, 'x', sizeof(q->octets));
	memcpy(q->octets, &n, sizeof(n));
	snprintf(q->label, sizeof(q->label), "SN-%08u", n);
	snprintf(q->vendor, sizeof(q->vendor), "vendor-%u", n % 5);
	facts_set(&q->facts, "idevid.serial", FACT_END_TO_END, q->label);
	facts_set(&q->facts, "vendor", FACT_REGISTRAR, q->vendor);
	q->a = (struct outbox_accept){ .kind = ENTRY_CMP,
		.row = row_of(n),
		.device = digest_of(q->label, strlen(q->label)),
		.initial = true,
		.bytes = bytes_of(q->octets, sizeof(q->octets)),
		.facts = &q->facts,
		.label = q->label,
		.vendor = q->vendor,
		.received = clock_now(),
		.user = q };
	q->a.deadline = q->a.received.time + 2592000;
	while (sem_wait(&room) == -1)
		;
	outbox_accept(o, &q->a, accepted, lab_here);
}

static void
submit_all(struct outbox *o, unsigned first, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		submit(o, first + i);
	outbox_flush(o);
	must(failed == 0, "all are accepted");
}

static int
fill(void *arg)
{
	const struct figures *f = arg;
	struct outbox *o = open_box(f->n);

	submit_all(o, 0, f->n);
	outbox_close(o);
	return 0;
}

/* ---- measuring ---------------------------------------------------------- */

static long
status_kb(const char *name)
{
	struct buf text AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	const char *at;

	must(file_read("/proc/self/status", 65536, &text, &e) == 0, "status");
	at = strstr(buf_cstr(&text), name);
	must(at != NULL, "status tells the memory");
	return strtol(at + strlen(name), NULL, 10);
}

static double
find_us(struct outbox *o, unsigned n)
{
	double v[ROUNDS], start;
	struct outbox_entry en;
	struct err e = ERR_INIT;
	struct digest row;
	int i, k;

	for (i = 0; i < ROUNDS; i++) {
		v[i] = 0;
		for (k = 0; k < POLLS; k++) {
			row = row_of((unsigned)lab_random(n));
			start = now_us(CLOCK_THREAD_CPUTIME_ID);
			must(outbox_find(o, &row, &en, &e) == 1,
			    "each is found");
			v[i] += now_us(CLOCK_THREAD_CPUTIME_ID) - start;
		}
		v[i] /= POLLS;
	}
	return median(v, ROUNDS);
}

static double
verify_us(void)
{
	struct buf sig AUTO_BUF = { 0 };
	struct bytes data = bytes_of("pollReq", 7);
	struct err e = ERR_INIT;
	double v[ROUNDS];
	int i, k;

	must(sign_data(lab.signer, "poll", data, &sig, &e) == 0, "a signature");
	for (i = 0; i < ROUNDS; i++) {
		v[i] = now_us(CLOCK_THREAD_CPUTIME_ID);
		for (k = 0; k < 100; k++)
			must(sign_check(lab.signer->cert, "poll", data,
				 buf_bytes(&sig), &e) == 0,
			    "it holds");
		v[i] = (now_us(CLOCK_THREAD_CPUTIME_ID) - v[i]) / 100;
	}
	return median(v, ROUNDS);
}

static void
accept_us(struct outbox *o, struct figures *f)
{
	double wall[ROUNDS], cpu[ROUNDS];
	int i;

	for (i = 0; i < ROUNDS; i++) {
		wall[i] = now_us(CLOCK_MONOTONIC);
		cpu[i] = now_us(CLOCK_PROCESS_CPUTIME_ID);
		submit_all(o, f->n + (unsigned)i * AT_ONCE, AT_ONCE);
		wall[i] = (now_us(CLOCK_MONOTONIC) - wall[i]) / AT_ONCE;
		cpu[i] = (now_us(CLOCK_PROCESS_CPUTIME_ID) - cpu[i]) / AT_ONCE;
	}
	f->accept_us = median(wall, ROUNDS);
	f->accept_cpu_us = median(cpu, ROUNDS);
}

struct page {
	uint64_t first, last;
	size_t n;
};

static void
see(const struct outbox_entry *en, void *arg)
{
	struct page *p = arg;

	if (p->n++ == 0)
		p->first = en->id;
	p->last = en->id;
}

static double
list_ms(struct outbox *o, uint64_t first)
{
	double v[ROUNDS];
	struct err e = ERR_INIT;
	struct page p;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		p = (struct page){ 0 };
		v[i] = now_us(CLOCK_MONOTONIC);
		must(outbox_list(o, first, LIST, see, &p, &e) == 0, "a list");
		v[i] = (now_us(CLOCK_MONOTONIC) - v[i]) / 1e3;
		must(p.n == LIST && p.first == first &&
			p.last == first + LIST - 1,
		    "a page of it");
	}
	return median(v, ROUNDS);
}

/* One device's, of all: no row but its own is read. */
static double
select_ms(struct outbox *o, unsigned n)
{
	struct outbox_filter f = { .states = 1u << ENTRY_QUEUED,
		.kinds = 1u << ENTRY_CMP };
	char label[32];
	struct err e = ERR_INIT;
	double v[ROUNDS];
	uint64_t next;
	struct page p;
	int i;

	f.label = label;
	for (i = 0; i < ROUNDS; i++) {
		p = (struct page){ 0 };
		snprintf(
		    label, sizeof(label), "SN-%08u", (unsigned)lab_random(n));
		v[i] = now_us(CLOCK_MONOTONIC);
		must(outbox_select(o, &f, 0, LIST, see, &p, &next, &e) == 0 &&
			p.n == 1 && next == 0,
		    "one device's");
		v[i] = (now_us(CLOCK_MONOTONIC) - v[i]) / 1e3;
	}
	return median(v, ROUNDS);
}

static double
sendable_us(struct outbox *o, unsigned n)
{
	uint64_t ids[64];
	double v[ROUNDS];
	int i;

	for (i = 0; i < ROUNDS; i++) {
		v[i] = now_us(CLOCK_MONOTONIC);
		must(outbox_sendable(
			 o, 1u << ENTRY_CMP, n - 10, true, ids, 64) == 10 &&
			ids[9] == n,
		    "the last ones may leave");
		v[i] = now_us(CLOCK_MONOTONIC) - v[i];
	}
	return median(v, ROUNDS);
}

/* The figures of a queue of n that another process filled. */
static int
measure(void *arg)
{
	struct figures *f = arg;
	struct outbox_counts c;
	struct outbox *o;
	uint64_t due[8];

	f->open_ms = now_us(CLOCK_MONOTONIC);
	o = open_box(f->n);
	f->open_ms = (now_us(CLOCK_MONOTONIC) - f->open_ms) / 1e3;
	f->anon_kb = status_kb("RssAnon:");
	f->file_kb = status_kb("RssFile:");
	outbox_count(o, &c);
	must(c.by_state[ENTRY_QUEUED] == f->n && c.next_id == f->n + 1 &&
		c.open == f->n,
	    "all are there");
	must(outbox_due(o, clock_now().time, due, NELEMS(due)) == 0,
	    "nothing is due");
	f->find_us = find_us(o, f->n);
	f->verify_us = verify_us();
	f->list_first_ms = list_ms(o, 1);
	f->list_last_ms = list_ms(o, f->n - LIST + 1);
	f->select_ms = select_ms(o, f->n);
	f->sendable_us = sendable_us(o, f->n);
	accept_us(o, f);
	outbox_count(o, &c);
	must(c.by_state[ENTRY_QUEUED] == f->n + ROUNDS * AT_ONCE, "and more");
	outbox_close(o);
	return 0;
}

/* ---- judging ------------------------------------------------------------ */

static void
run(int (*fn)(void *arg), struct figures *f, const char *what)
{
	struct lab_end end = lab_child(fn, f, 3000);

	if (end.code != 0)
		fprintf(stderr, "%s: %u entries: %s", what, f->n,
		    buf_cstr(&end.said));
	must(end.code == 0, what);
	lab_end_done(&end);
}

static void
print(const struct figures *f)
{
	printf("%u entries: open %.0f ms, anonymous %ld KiB, of files %ld KiB\n"
	       "  accept %.0f us (%.1f of a processor), poll %.1f us, of which "
	       "finding %.2f\n"
	       "  list of %d: %.2f ms, at the end %.2f ms; "
	       "one device's: %.2f ms; the last to send: %.1f us\n",
	    f->n, f->open_ms, f->anon_kb, f->file_kb, f->accept_us,
	    f->accept_cpu_us, f->verify_us + f->find_us, f->find_us, LIST,
	    f->list_first_ms, f->list_last_ms, f->select_ms, f->sendable_us);
	printf("figure: open-%u %.0f ms\n", f->n, f->open_ms);
	printf("figure: anonymous-%u %ld KiB\n", f->n, f->anon_kb);
	printf("figure: of-files-%u %ld KiB\n", f->n, f->file_kb);
	printf("figure: accept-%u %.1f us of a processor\n", f->n,
	    f->accept_cpu_us);
	printf("figure: poll-%u %.1f us\n", f->n, f->verify_us + f->find_us);
	printf("figure: find-%u %.2f us\n", f->n, f->find_us);
	printf("figure: list-%u %.2f ms\n", f->n, f->list_last_ms);
}

/* Wrong counts ended a child before. */
static bool
judge(const struct figures *f, const struct figures *least, size_t i)
{
	double accept = f->accept_cpu_us / least->accept_cpu_us;
	double poll =
	    (f->verify_us + f->find_us) / (least->verify_us + least->find_us);
	bool ok = f->anon_kb <= (long)sizes[i].anon_mb * 1024;

	if (f != least) {
		printf("figure: accept-ratio-%u %.2f\n", f->n, accept);
		printf("figure: poll-ratio-%u %.2f\n", f->n, poll);
	}
	ok = ok && accept <= 1.5 && poll <= 1.5;
	if (sizes[i].open_ms != 0)
		ok = ok && f->open_ms <= sizes[i].open_ms * SPARE_TIMES;
	ok = ok && f->list_first_ms <= 50 * SPARE_TIMES &&
	    f->list_last_ms <= 50 * SPARE_TIMES;
	if (!ok)
		printf("%u entries: too much\n", f->n);
	return ok;
}

/* Not in memory, for it would be much of it. */
static void
move_to_disk(void)
{
	AUTO(char) store = NULL;
	struct err e = ERR_INIT;
	char dir[] = "/tmp/wbscale.XXXXXX";

	must(mkdtemp(dir) != NULL, "a folder");
	rmdir(lab.store);
	store = path_join(dir, "s");
	str_copy(lab.store, sizeof(lab.store), store);
	must(file_mkdirs(lab.store, 0700, &e) == 0, "a folder in it");
}

int
main(int argc, char **argv)
{
	bool longer = argc == 2 && strcmp(argv[1], "--long") == 0, ok = true;
	struct figures *f;
	size_t i;

	must(argc == 1 || longer, "usage: queue_scale [--long]");
	setvbuf(stdout, NULL, _IOLBF, 0);
	sem_init(&room, 0, AT_ONCE);
	lab_seed(1);
	lab_init(&lab);
	move_to_disk();
	f = lab_shared(NELEMS(sizes) * sizeof(*f));
	for (i = 0; i < NELEMS(sizes); i++) {
		if (sizes[i].only_long && !longer)
			continue;
		f[i].n = sizes[i].n;
		run(fill, &f[i], "filling");
		run(measure, &f[i], "measuring");
		lab_clear(&lab);
		print(&f[i]);
		ok &= judge(&f[i], &f[0], i);
	}
	rmdir(lab.store);
	*strrchr(lab.store, '/') = '\0';
	rmdir(lab.store);
	lab_done(&lab);
	return ok ? 0 : 1;
}
