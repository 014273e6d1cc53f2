#include "tests/bench/bench.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/json.h"

/* Neither infinite nor no number at all. */
static bool
is_positive(double v)
{
	return isfinite(v) && v > 0;
}

static bool
was_measured(double v)
{
	return v == 0 || is_positive(v);
}

void
bench_add(struct bench_row *r, struct bench_round round)
{
	if (r->n == BENCH_ROUNDS_MAX)
		bench_fail(
		    "%s: more than %d rounds", r->name, BENCH_ROUNDS_MAX);
	if (!is_positive(round.value))
		bench_fail("%s: a value of %g", r->name, round.value);
	if (r->against != NULL && !is_positive(round.ceiling))
		bench_fail("%s: a ceiling of %g", r->name, round.ceiling);
	if (!was_measured(round.cpu_us) || !was_measured(round.ceiling_cpu_us))
		bench_fail("%s: %g and %g us of a processor", r->name,
		    round.cpu_us, round.ceiling_cpu_us);
	r->rounds[r->n++] = round;
}

static double
value_of(const struct bench_round *r)
{
	return r->value;
}

static double
ceiling_of(const struct bench_round *r)
{
	return r->ceiling;
}

static double
ratio_of(const struct bench_round *r)
{
	return r->value / r->ceiling;
}

static double
cpu_of(const struct bench_round *r)
{
	return r->cpu_us;
}

static double
ceiling_cpu_of(const struct bench_round *r)
{
	return r->ceiling_cpu_us;
}

/* The rounds' figures of one kind in v, sorted; returns their median. */
static double
rounds_median(const struct bench_row *r,
    double (*of)(const struct bench_round *), double v[BENCH_ROUNDS_MAX])
{
	size_t i;

	for (i = 0; i < r->n; i++)
		v[i] = of(&r->rounds[i]);
	return bench_median(v, r->n);
}

struct bench_sum
bench_sum(const struct bench_row *r)
{
	double v[BENCH_ROUNDS_MAX];
	struct bench_sum s;

	if (r->n == 0)
		bench_fail("%s: no rounds", r->name);
	s.value = rounds_median(r, value_of, v);
	s.ceiling = rounds_median(r, ceiling_of, v);
	s.cpu_us = rounds_median(r, cpu_of, v);
	s.ceiling_cpu_us = rounds_median(r, ceiling_cpu_of, v);
	s.ratio = rounds_median(r, r->against != NULL ? ratio_of : value_of, v);
	s.low = v[0];
	s.high = v[r->n - 1];
	s.met = r->target == 0 ||
	    (r->at_most ? s.ratio <= r->target : s.ratio >= r->target);
	return s;
}

/* Null for what nobody looked at. */
static json_t *
real_or_null(double v)
{
	return v == 0 ? json_null() : json_real(v);
}

static json_t *
rounds_json(const struct bench_row *r)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < r->n; i++)
		json_array_append_new(list,
		    json_pack("{s:f, s:o, s:o, s:o}", "value",
			r->rounds[i].value, "ceiling",
			real_or_null(r->rounds[i].ceiling), "cpu_us",
			real_or_null(r->rounds[i].cpu_us), "ceiling_cpu_us",
			real_or_null(r->rounds[i].ceiling_cpu_us)));
	return list;
}

static json_t *
row_json(const struct bench_row *r)
{
	struct bench_sum s = bench_sum(r);

	return json_pack("{s:s, s:s, s:s, s:s?, s:o, s:b, s:o, s:f, s:o, s:f,"
			 " s:f, s:f, s:o, s:o, s:b, s:o}",
	    "name", r->name, "what", r->what, "unit", r->unit, "against",
	    r->against, "target", real_or_null(r->target), "at_most",
	    r->at_most, "peak_kb", real_or_null((double)r->peak_kb), "value",
	    s.value, "ceiling", real_or_null(s.ceiling), "ratio", s.ratio,
	    "low", s.low, "high", s.high, "cpu_us", real_or_null(s.cpu_us),
	    "ceiling_cpu_us", real_or_null(s.ceiling_cpu_us), "met", s.met,
	    "rounds", rounds_json(r));
}

void
bench_tell(const struct bench_row *r, FILE *to)
{
	AUTO(json_t) j = NULL;
	struct buf line AUTO_BUF = { 0 };

	if (r->n < BENCH_ROUNDS)
		bench_fail("%s: %zu rounds are too few", r->name, r->n);
	if ((j = row_json(r)) == NULL)
		bench_fail("%s: no text that JSON can hold", r->name);
	json_format(&line, j);
	if (fwrite(line.data, 1, line.len, to) != line.len || fflush(to) != 0)
		bench_fail("%s: cannot be told", r->name);
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double
bench_median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return n % 2 == 1 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

double
bench_percentile(double *v, size_t n, double p)
{
	double below = p / 100 * (double)n;
	size_t rank = (size_t)below;

	qsort(v, n, sizeof(*v), compare);
	if ((double)rank < below)
		rank++;
	return v[rank == 0 ? 0 : rank - 1];
}

static double
clock_us(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t) == -1)
		bench_fail("a clock cannot be read");
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

double
bench_now(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

double
bench_cpu(pid_t pid)
{
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0)
		bench_fail("process %d is not there", (int)pid);
	return clock_us(clock);
}

long
bench_memory(pid_t pid, const char *line)
{
	char path[64], text[256];
	size_t n = strlen(line);
	long kb = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status",
	    (int)(pid == 0 ? getpid() : pid));
	if ((f = fopen(path, "re")) == NULL)
		bench_fail("%s: cannot be read", path);
	while (kb == -1 && fgets(text, sizeof(text), f) != NULL)
		if (strncmp(text, line, n) == 0 && text[n] == ':')
			kb = strtol(text + n + 1, NULL, 10);
	fclose(f);
	if (kb == -1)
		bench_fail("%s: no line %s", path, line);
	return kb;
}

bool
bench_quick(int argc, char *const argv[])
{
	int i;

	for (i = 1; i < argc; i++)
		if (strcmp(argv[i], "--quick") == 0)
			return true;
	return false;
}

bool
bench_wanted(int argc, char *const argv[], const char *name)
{
	bool named = false;
	int i;

	for (i = 1; i < argc; i++) {
		if (argv[i][0] == '-')
			continue;
		named = true;
		if (strcmp(argv[i], name) == 0)
			return true;
	}
	return !named;
}

void
bench_fail(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "bench: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}
