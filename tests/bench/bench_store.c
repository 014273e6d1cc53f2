/*
 * The store of a registrar: what a durable accept costs, alone and in company,
 * what it writes, and how all that grows with the queue.
 *
 *   bench_store [--quick] [ROW...]
 *
 * A request is an ir of a device below a maker's sub-CA and the registrar's
 * nested message about it, as they are; its size is that of the ir, which is
 * what came in.  An accept signs the header, as always.  Queues lie in $TMPDIR
 * or /tmp: that file system is measured.
 */
#include "tests/bench/bench_store.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/pki/cmp.h"

#define ROUNDS	     7
#define FILL_AT_ONCE 256
#define STEADY	     10000 /* entries queued where the disk is measured */
#define MEANWHILE    15000 /* accepted while it is measured, at most */
#define LEAST	     1000
#define MOST	     1000000

static const unsigned long sizes[] = { 1000, 10000, 100000, MOST };
#define SIZES 4
static const char *const size_names[SIZES] = { "1000", "10000", "100000",
	"1000000" };

static int argc_all;
static char **argv_all;

static bool
wanted(const char *name)
{
	return bench_wanted(argc_all, argv_all, name);
}

/* "start-1000" and the like; freed by nobody, for rows keep it. */
static const char *
sized(const char *what, size_t size)
{
	char *s = NULL;

	if (asprintf(&s, "%s-%s", what, size_names[size]) == -1)
		bench_fail("no memory");
	return s;
}

static unsigned long
many(const struct store_bench *b, unsigned long n)
{
	return b->quick && n >= 400 ? n / 10 : n;
}

/* ---- what is accepted ----------------------------------------------------- */

static void
save(const struct store_bench *b, const char *name, struct bytes data)
{
	AUTO(char) path = path_join(b->site.dir, name);
	struct err e = ERR_INIT;

	if (file_write(path, 0600, data, &e) == -1)
		bench_fail("%s", e.msg);
}

static struct signer *
registrar_load(const struct site *s)
{
	AUTO(char) key = path_join(s->dir, "site/registrar.key");
	AUTO(char) cert = path_join(s->dir, "site/registrar.crt");
	struct err e = ERR_INIT;
	struct signer *r = signer_load(key, cert, &e);

	if (r == NULL)
		bench_fail("%s", e.msg);
	return r;
}

static void
make_messages(struct store_bench *b)
{
	struct signer **device = site_devices(&b->site, "SN", 1);
	AUTO(signer) registrar = registrar_load(&b->site);
	struct buf pem AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct err e = ERR_INIT;

	site_ask_cert(device[0], &b->ir);
	if (cmp_parse(buf_bytes(&b->ir), &m, &e) == -1 ||
	    cmp_nest(m, registrar, &b->nested, &e) == -1)
		bench_fail("%s", e.msg);
	ossl_cert_pem(device[0]->cert, &pem);
	site_ask_poll(m, device[0], &b->poll);
	save(b, "ir.der", buf_bytes(&b->ir));
	save(b, "nested.der", buf_bytes(&b->nested));
	save(b, "poll.der", buf_bytes(&b->poll));
	save(b, "device.crt", buf_bytes(&pem));
	site_devices_free(device, 1);
	fprintf(stderr, "store: an ir of %zu octets, nested in %zu\n",
	    b->ir.len, b->nested.len);
}

/* A queue of so many, open. */
static void
fill(struct store_bench *b, const char *name, unsigned long n, const char *log,
    struct store_box *x)
{
	store_box_make(
	    b, name, (unsigned)(64 + (n + MEANWHILE) * 12 / 1000), x);
	store_box_open(x, log);
	store_box_do(x, STORE_FILL, n, FILL_AT_ONCE);
}

static void
fill_aged(struct store_bench *b, const char *name, unsigned long n,
    struct store_box *x)
{
	fill(b, name, n, NULL, x);
	store_box_close(x);
	store_box_age(x);
	store_box_open(x, NULL);
}

static void
remove_store(const char *dir)
{
	static const char *const files[] = { "data.mdb", "lock.mdb", "owner",
		"ends" };
	size_t i;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		AUTO(char) path = path_join(dir, files[i]);

		unlink(path);
	}
	rmdir(dir);
}

static void
remove_box(struct store_box *x)
{
	AUTO(char) alone = path_join(x->dir, "alone");

	store_box_close(x);
	remove_store(alone);
	remove_store(x->dir);
}

/* ---- commits against the disk --------------------------------------------- */

static struct bench_round
against(struct store_cost c, double ceiling, double ceiling_cpu)
{
	return (struct bench_round){ 1e6 / c.wall_us, ceiling, c.cpu_us,
		ceiling_cpu };
}

static void
rows_commit(struct store_bench *b)
{
	struct bench_row rows[] = {
		{ .name = "store-one",
		    .what = "durable accepts, one at a time",
		    .unit = "1/s",
		    .against = "two fdatasync of a 4 KiB page each",
		    .target = 0.60 },
		{ .name = "store-32",
		    .what = "an accept's rows in the store alone, 32 at once",
		    .unit = "1/s",
		    .against = "one at a time",
		    .target = 8 },
		{ .name = "accept-32-at-once",
		    .what = "durable accepts, headers signed, 32 at once",
		    .unit = "1/s",
		    .against = "one at a time" },
	};
	unsigned long n = many(b, 400), n32 = many(b, 1600);
	struct store_cost one, all, put, puts;
	struct store_box x;
	size_t i;

	if (!wanted(rows[0].name) && !wanted(rows[1].name) &&
	    !wanted(rows[2].name))
		return;
	fill_aged(b, "steady", STEADY, &x);
	store_box_do(&x, STORE_PUT, n32, 32);
	for (i = 0; i < ROUNDS; i++) {
		one = store_box_do(&x, STORE_ACCEPT, n, 1);
		bench_add(&rows[0],
		    against(
			one, store_disk_pairs(b->site.dir, (unsigned)n), 0));
		all = store_box_do(&x, STORE_ACCEPT, n32, 32);
		bench_add(
		    &rows[2], against(all, 1e6 / one.wall_us, one.cpu_us));
		put = store_box_do(&x, STORE_PUT, n, 1);
		puts = store_box_do(&x, STORE_PUT, n32, 32);
		bench_add(
		    &rows[1], against(puts, 1e6 / put.wall_us, put.cpu_us));
	}
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rows[i].peak_kb = bench_memory(x.pid, "VmHWM");
		if (wanted(rows[i].name))
			bench_tell(&rows[i], stdout);
	}
	remove_box(&x);
}

/* ---- what is written ------------------------------------------------------- */

/* Octets of an accept that went to files of the store. */
static double
written(struct store_box *x, const char *log, unsigned long n, unsigned at_once)
{
	double before = store_log_octets(log);

	store_box_do(x, STORE_ACCEPT, n, at_once);
	return (store_log_octets(log) - before) / (double)n;
}

static void
rows_write(struct store_bench *b)
{
	struct bench_row alone = { .name = "write-alone",
		.what = "octets written for an accept, one at a time",
		.unit = "B",
		.against = "its ir, as it came in",
		.target = 16,
		.at_most = true };
	struct bench_row at32 = { .name = "write-32",
		.what = "octets written for an accept, 32 at once",
		.unit = "B",
		.against = "its ir, as it came in",
		.target = 6,
		.at_most = true };
	AUTO(char) log = path_join(b->site.dir, "writes");
	struct store_box x;
	int i;

	if (!wanted(alone.name) && !wanted(at32.name))
		return;
	fill(b, "shim", LEAST, log, &x);
	for (i = 0; i < ROUNDS; i++) {
		bench_add(&alone,
		    (struct bench_round){
			written(&x, log, 100, 1), (double)b->ir.len });
		bench_add(&at32,
		    (struct bench_round){
			written(&x, log, 640, 32), (double)b->ir.len });
	}
	remove_box(&x);
	if (wanted(alone.name))
		bench_tell(&alone, stdout);
	if (wanted(at32.name))
		bench_tell(&at32, stdout);
}

/* ---- how it grows ----------------------------------------------------------- */

static void
grown(struct store_box *x, struct store_box *least, enum store_work work,
    unsigned long n, struct bench_row *r)
{
	struct store_cost c, c0;
	int i;

	store_box_do(x, work, n, 32);
	store_box_do(least, work, n, 32);
	for (i = 0; i < ROUNDS; i++) {
		c = store_box_do(x, work, n, 32);
		c0 = store_box_do(least, work, n, 32);
		bench_add(r,
		    (struct bench_round){
			c.cpu_us, c0.cpu_us, c.cpu_us, c0.cpu_us });
	}
	r->peak_kb = bench_memory(x->pid, "VmHWM");
	bench_tell(r, stdout);
}

static void
rows_growth(struct store_box *x, struct store_box *least)
{
	struct bench_row accept = { .name = "growth-accept",
		.what = "an accept of 32 at once, 1 000 000 queued",
		.unit = "us",
		.against = "1 000 queued",
		.target = 1.3,
		.at_most = true };
	struct bench_row poll = { .name = "growth-poll",
		.what = "a pollReq verified and its entry found, "
			"1 000 000 queued",
		.unit = "us",
		.against = "1 000 queued",
		.target = 1.3,
		.at_most = true };

	if (wanted(poll.name))
		grown(x, least, STORE_POLL, 1000, &poll);
	if (wanted(accept.name))
		grown(x, least, STORE_ACCEPT, 128, &accept);
}

/* Rounds of one work on a box, for a figure. */
static void
figure(struct store_box *x, size_t size, const char *what, const char *text,
    enum store_work work, unsigned long n, double unit, const char *unit_name)
{
	struct bench_row r = {
		.name = sized(what, size), .what = text, .unit = unit_name
	};
	struct store_cost c;
	int i;

	if (!wanted(r.name))
		return;
	for (i = 0; i < BENCH_ROUNDS; i++) {
		c = store_box_do(x, work, n, 32);
		bench_add(&r,
		    (struct bench_round){
			(work == STORE_REOPEN ? c.wall_us : c.cpu_us) / unit, 0,
			c.cpu_us, 0 });
	}
	r.peak_kb = bench_memory(x->pid, "VmHWM");
	bench_tell(&r, stdout);
}

static void
figures(struct store_box *x, size_t size)
{
	figure(x, size, "start", "opened, all its rows walked", STORE_REOPEN, 1,
	    1e3, "ms");
	figure(x, size, "list", "a page of 100 of the queue's list", STORE_LIST,
	    100, 1, "us");
	figure(x, size, "accept", "an accept of 32 at once, signature and all",
	    STORE_ACCEPT, 128, 1, "us");
	figure(x, size, "poll", "a pollReq verified, its entry found",
	    STORE_POLL, 500, 1, "us");
	if (sizes[size] < MOST)
		figure(x, size, "drain",
		    "an entry handed out and receipted, by 64", STORE_DRAIN,
		    128, 1, "us");
}

/* Anonymous memory of who has just opened it. */
static void
row_resident(struct store_box *x)
{
	struct bench_row r = { .name = "entries-resident",
		.what = "anonymous memory with 1 000 000 entries",
		.unit = "kB",
		.target = 131072,
		.at_most = true };
	int i;

	if (!wanted(r.name))
		return;
	for (i = 0; i < BENCH_ROUNDS; i++) {
		bench_add(&r,
		    (struct bench_round){
			(double)bench_memory(x->pid, "RssAnon") });
		store_box_do(x, STORE_LIST, 100, 1);
	}
	r.peak_kb = bench_memory(x->pid, "VmHWM");
	bench_tell(&r, stdout);
}

/* A row that stands on this size is wanted. */
static bool
size_wanted(size_t size)
{
	static const char *const what[] = { "start", "list", "accept", "poll",
		"drain" };
	size_t i;

	for (i = 0; i < sizeof(what) / sizeof(what[0]); i++)
		if (wanted(sized(what[i], size)))
			return true;
	return sizes[size] == MOST &&
	    (wanted("growth-accept") || wanted("growth-poll") ||
		wanted("entries-resident"));
}

static void
rows_most(struct store_bench *b, struct store_box *x)
{
	struct store_box least;

	fill(b, "least", LEAST, NULL, &least);
	row_resident(x);
	rows_growth(x, &least);
	remove_box(&least);
}

static void
rows_sizes(struct store_bench *b)
{
	struct store_box x;
	double start;
	size_t i;

	for (i = 0; i < SIZES; i++) {
		if (!size_wanted(i))
			continue;
		if (b->quick && sizes[i] == MOST) {
			fprintf(stderr,
			    "store: left out, since they need a "
			    "million entries: entries-resident "
			    "growth-accept growth-poll *-1000000\n");
			continue;
		}
		if (b->quick && sizes[i] == 10000)
			continue;
		start = bench_now();
		fill(b, size_names[i], sizes[i], NULL, &x);
		fprintf(stderr, "store: %s entries filled in %.1f s\n",
		    size_names[i], (bench_now() - start) / 1e6);
		store_box_close(&x);
		store_box_open(&x, NULL);
		if (sizes[i] == MOST)
			rows_most(b, &x);
		figures(&x, i);
		remove_box(&x);
	}
}

int
main(int argc, char *argv[])
{
	struct site_want none = { 0 };
	struct store_bench b = { .quick = bench_quick(argc, argv) };

	if (argc == 5 && strcmp(argv[1], "--work") == 0)
		return store_work(argv);
	argc_all = argc;
	argv_all = argv;
	site_open(&b.site, &none);
	make_messages(&b);
	rows_commit(&b);
	rows_write(&b);
	rows_sizes(&b);
	buf_done(&b.ir);
	buf_done(&b.nested);
	buf_done(&b.poll);
	site_close(&b.site);
	return 0;
}
