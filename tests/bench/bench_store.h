/*
 * What the rows about the store have alike: outboxes that hold so many entries,
 * each opened by a process of its own (this program, called with --work), which
 * does as it is told and says what that cost; for bench_store.c and store_*.c.
 */
#ifndef WAYBILL_TESTS_BENCH_STORE_H
#define WAYBILL_TESTS_BENCH_STORE_H

#include "tests/bench/bench.h"
#include "tests/bench/site.h"

/* What is accepted: an ir of a device of a maker's, as it came by HTTP, and the
 * registrar's nested message about it.  Each is made another by a few octets,
 * which nobody reads. */
struct store_bench {
	struct site site; /* its keys alone; nobody runs */
	bool quick;
	struct buf ir, nested, poll;
};

/* One outbox of them. */
struct store_box {
	struct store_bench *bench;
	char dir[96];
	unsigned map_mb;
	unsigned long entries; /* that were accepted so far */
	pid_t pid;	       /* of who has it open; 0: nobody */
	int talk;
};

enum store_work {
	STORE_FILL,   /* n accepts, 256 at once */
	STORE_ACCEPT, /* the same, at_once at once */
	STORE_POLL,   /* n of any: pollReq verified, entry found */
	STORE_LIST,   /* n pages of 100, each at any place */
	STORE_DRAIN,  /* n entries leave by 64 and are receipted by 64 */
	STORE_REOPEN, /* closed and opened, n times */
	STORE_PUT,    /* STORE_ACCEPT of the store alone: rows, no entries */
	STORE_WORK__MAX
};

/* For one of n: wall clock, and processor time of the process. */
struct store_cost {
	double wall_us, cpu_us;
};

/* An empty outbox in the site's folder, opened by nobody. */
void store_box_make(struct store_bench *b, const char *name, unsigned map_mb,
    struct store_box *ret);
/* log: a file for write_log, which is then preloaded; NULL. */
void store_box_open(struct store_box *x, const char *log);
void store_box_close(struct store_box *x);
/* Each answer is looked at; a wrong one ends both processes. */
struct store_cost store_box_do(struct store_box *x, enum store_work work,
    unsigned long n, unsigned at_once);
/* All blocks of its file are written once, as those of a store that has been
 * in use for a while; it is closed. */
void store_box_age(const struct store_box *x);
/* Octets that went to database files, by the log so far. */
double store_log_octets(const char *log);

/* store_work.c: what is called with --work.  Returns its exit code. */
int store_work(char *const argv[]);

/* store_disk.c: two pages of 4 KiB in turn, each written in place and then
 * fdatasync: how many such pairs a second, n of them looked at. */
double store_disk_pairs(const char *dir, unsigned n);

#endif
