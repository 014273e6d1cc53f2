/*
 * A row of the bench: something is measured in rounds, and in each round, right
 * beside it, the ceiling that it is held against, so that what else the machine
 * does falls upon both.  Programs of the bench print their rows, one line of
 * JSON each; tests/bench/run makes the table of them.
 */
#ifndef WAYBILL_TESTS_BENCH_H
#define WAYBILL_TESTS_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define BENCH_ROUNDS	 5 /* the least that a row needs */
#define BENCH_ROUNDS_MAX 32

/* One round.  Values are in the row's unit; processor time is microseconds for
 * one operation, 0 where nobody looked. */
struct bench_round {
	double value, ceiling;
	double cpu_us, ceiling_cpu_us;
};

struct bench_row {
	const char *name;    /* unique: lower case, digits, hyphens */
	const char *what;    /* what is measured, in a few words */
	const char *unit;    /* of value and ceiling: "1/s", "us", "kB", ... */
	const char *against; /* what the ceiling is; NULL: there is none, and
				the value itself is held against the target */
	double target;	     /* 0: none, the figure is told only */
	bool at_most;	     /* the target is a most, not a least */
	long peak_kb;	     /* the most resident memory; 0: nobody looked */
	struct bench_round rounds[BENCH_ROUNDS_MAX];
	size_t n;
};

/* What a row comes to.  The ratio is value to ceiling of each round, and then
 * the median; low and high are the least and greatest of these ratios.  Without
 * a ceiling ratio, low and high are of the values.  The rest are medians. */
struct bench_sum {
	double value, ceiling, ratio, low, high, cpu_us, ceiling_cpu_us;
	bool met; /* ratio holds against the target; true if there is none */
};

/* Ends the process with a message if the row is full, or a value or its ceiling
 * is not a positive number: nothing that was not measured is told. */
void bench_add(struct bench_row *r, struct bench_round round);
/* At least one round. */
struct bench_sum bench_sum(const struct bench_row *r);
/* One line of JSON with the rounds, what they come to, the target and whether
 * it is met.  Ends the process if there are fewer than BENCH_ROUNDS. */
void bench_tell(const struct bench_row *r, FILE *to);

/* Both sort v.  n at least 1; of an even n the median is the mean of the two in
 * the middle.  p in 0 to 100: the least value that p percent are not above. */
double bench_median(double *v, size_t n);
double bench_percentile(double *v, size_t n, double p);

/* Microseconds: of CLOCK_MONOTONIC; of processor time that a process has used,
 * all its threads, also those that ended (clock_getcpuclockid; 0: this one). */
double bench_now(void);
double bench_cpu(pid_t pid);
/* A line of /proc/PID/status, as "VmHWM", "RssAnon", in KiB; pid 0: our own. */
long bench_memory(pid_t pid, const char *line);

/* A program of the bench is called with [--quick] [ROW...].  Quick: a tenth of
 * the work in as many rounds, to see that it works; its figures mean nothing.
 * Wanted: the row is named, or none is.  Other words that begin with "-" are
 * the program's own. */
bool bench_quick(int argc, char *const argv[]);
bool bench_wanted(int argc, char *const argv[], const char *name);

/* Prints to stderr and ends the process with 1. */
void bench_fail(const char *fmt, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

#endif
