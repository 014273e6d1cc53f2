#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/json.h"
#include "common/base/str.h"
#include "tests/bench/bench.h"

static const struct bench_row against_ceiling = {
	.name = "tls-handshake",
	.what = "handshakes of \"both\" sides",
	.unit = "1/s",
	.against = "bare epoll",
	.target = 0.9,
};
static const struct bench_row alone = {
	.name = "idle-resident",
	.what = "a registrar that does nothing",
	.unit = "MB",
	.target = 12,
	.at_most = true,
};

/* The median of the ratios is 0.8; the ratio of the medians, 30 / 50, is not. */
static const struct bench_round five[] = {
	{ 10, 100, 1, 6 },  /* 0.1 */
	{ 20, 25, 2, 7 },   /* 0.8 */
	{ 30, 30, 3, 8 },   /* 1.0 */
	{ 40, 50, 4, 9 },   /* 0.8 */
	{ 50, 62.5, 5, 10 } /* 0.8 */
};

static struct bench_row
with_five(const struct bench_row *row)
{
	struct bench_row r = *row;
	size_t i;

	for (i = 0; i < NELEMS(five); i++)
		bench_add(&r, five[i]);
	return r;
}

static void
the_median_is_in_the_middle(void **state)
{
	static const struct {
		const char *what;
		double v[6];
		size_t n;
		double want;
	} cases[] = {
		{ "one", { 7 }, 1, 7 },
		{ "two", { 9, 4 }, 2, 6.5 },
		{ "odd", { 5, 1, 1000 }, 3, 5 },
		{ "even", { 8, 1, 4, 1000 }, 4, 6 },
		{ "sorted falling", { 5, 4, 3, 2, 1 }, 5, 3 },
		{ "small differences", { 0.3, 0.1, 0.2 }, 3, 0.2 },
	};
	double v[6];
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		print_message("%s\n", cases[i].what);
		memcpy(v, cases[i].v, sizeof(v));
		assert_true(bench_median(v, cases[i].n) == cases[i].want);
	}
}

static void
a_percentile_is_one_of_the_values(void **state)
{
	static const struct {
		size_t n;
		double p, want;
	} cases[] = {
		{ 1, 0, 1 },
		{ 1, 50, 1 },
		{ 1, 100, 1 },
		{ 4, 50, 2 },
		{ 4, 51, 3 },
		{ 4, 75, 3 },
		{ 4, 99, 4 },
		{ 100, 0, 1 },
		{ 100, 1, 1 },
		{ 100, 50, 50 },
		{ 100, 99, 99 },
		{ 100, 99.5, 100 },
		{ 100, 100, 100 },
		{ 101, 99, 100 },
	};
	double v[101];
	size_t i, k;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		print_message("%g of %zu\n", cases[i].p, cases[i].n);
		for (k = 0; k < cases[i].n; k++)
			v[k] = (double)(cases[i].n - k);
		assert_true(bench_percentile(v, cases[i].n, cases[i].p) ==
		    cases[i].want);
	}
}

static void
the_ratio_is_taken_round_by_round(void **state)
{
	struct bench_row r = with_five(&against_ceiling);
	struct bench_sum s = bench_sum(&r);

	(void)state;
	assert_true(s.value == 30);
	assert_true(s.ceiling == 50);
	assert_true(s.ratio == 0.8);
	assert_true(s.low == 0.1);
	assert_true(s.high == 1.0);
	assert_true(s.cpu_us == 3);
	assert_true(s.ceiling_cpu_us == 8);
}

static void
without_a_ceiling_the_value_is_held(void **state)
{
	struct bench_row r = with_five(&alone);
	struct bench_sum s = bench_sum(&r);

	(void)state;
	assert_true(s.ratio == 30);
	assert_true(s.low == 10);
	assert_true(s.high == 50);
	assert_false(s.met);
}

static void
a_target_is_a_least_or_a_most(void **state)
{
	static const struct {
		const char *what;
		double target;
		bool at_most, met;
	} cases[] = {
		{ "as much as is asked", 0.8, false, true },
		{ "less than is asked", 0.81, false, false },
		{ "more than is asked", 0.79, false, true },
		{ "as much as is allowed", 0.8, true, true },
		{ "more than is allowed", 0.79, true, false },
		{ "less than is allowed", 0.81, true, true },
		{ "no target", 0, false, true },
		{ "no most", 0, true, true },
	};
	struct bench_row r = with_five(&against_ceiling);
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		print_message("%s\n", cases[i].what);
		r.target = cases[i].target;
		r.at_most = cases[i].at_most;
		assert_true(bench_sum(&r).met == cases[i].met);
	}
}

/* What bench_tell prints for the row. */
static json_t *
told(const struct bench_row *r)
{
	AUTO(char) text = NULL;
	AUTO(FILE) to = NULL;
	size_t len = 0;
	struct err e = ERR_INIT;
	json_t *j;

	to = open_memstream(&text, &len);
	assert_non_null(to);
	bench_tell(r, to);
	assert_true(len > 1 && text[len - 1] == '\n');
	assert_null(memchr(text, '\n', len - 1));
	j = json_parse(bytes_of(text, len - 1), 65536, &e);
	assert_non_null(j);
	return j;
}

static double
real(const json_t *j, const char *name)
{
	assert_true(json_is_number(json_object_get(j, name)));
	return json_number_value(json_object_get(j, name));
}

static const char *
text(const json_t *j, const char *name)
{
	assert_true(json_is_string(json_object_get(j, name)));
	return json_string_value(json_object_get(j, name));
}

static void
a_line_holds_the_same_numbers(void **state)
{
	struct bench_row r = with_five(&against_ceiling);
	AUTO(json_t) j = NULL;
	json_t *rounds;
	size_t i;

	(void)state;
	r.peak_kb = 123456789;
	bench_add(&r, (struct bench_round){ 1.0 / 3, 2.0 / 3, 1e-7, 1e12 });
	j = told(&r);
	assert_string_equal(text(j, "name"), r.name);
	assert_string_equal(text(j, "what"), r.what);
	assert_string_equal(text(j, "unit"), r.unit);
	assert_string_equal(text(j, "against"), r.against);
	assert_true(real(j, "target") == 0.9);
	assert_true(real(j, "peak_kb") == 123456789);
	assert_true(json_is_false(json_object_get(j, "at_most")));
	assert_true(json_is_false(json_object_get(j, "met")));
	assert_true(real(j, "value") == bench_sum(&r).value);
	assert_true(real(j, "ceiling") == bench_sum(&r).ceiling);
	assert_true(real(j, "ratio") == bench_sum(&r).ratio);
	assert_true(real(j, "low") == 0.1);
	assert_true(real(j, "high") == 1.0);
	assert_true(real(j, "cpu_us") == 2.5);
	assert_true(real(j, "ceiling_cpu_us") == 8.5);
	rounds = json_object_get(j, "rounds");
	assert_int_equal(json_array_size(rounds), 6);
	for (i = 0; i < 6; i++) {
		const json_t *round = json_array_get(rounds, i);

		assert_true(real(round, "value") == r.rounds[i].value);
		assert_true(real(round, "ceiling") == r.rounds[i].ceiling);
		assert_true(real(round, "cpu_us") == r.rounds[i].cpu_us);
		assert_true(real(round, "ceiling_cpu_us") ==
		    r.rounds[i].ceiling_cpu_us);
	}
}

static void
what_was_not_looked_at_is_null(void **state)
{
	static const char *const nulls[] = {
		"against",
		"target",
		"peak_kb",
		"ceiling",
		"cpu_us",
		"ceiling_cpu_us",
	};
	struct bench_row r = alone;
	AUTO(json_t) j = NULL;
	size_t i;

	(void)state;
	r.target = 0;
	for (i = 0; i < BENCH_ROUNDS; i++)
		bench_add(&r, (struct bench_round){ .value = 3 });
	j = told(&r);
	for (i = 0; i < NELEMS(nulls); i++) {
		print_message("%s\n", nulls[i]);
		assert_true(json_is_null(json_object_get(j, nulls[i])));
	}
	assert_true(json_is_true(json_object_get(j, "at_most")));
	assert_true(json_is_true(json_object_get(j, "met")));
}

static void
add_to_ceiling(const void *round)
{
	struct bench_row r = against_ceiling;

	bench_add(&r, *(const struct bench_round *)round);
}

static void
add_alone(const void *round)
{
	struct bench_row r = alone;

	bench_add(&r, *(const struct bench_round *)round);
}

static void
add_many(const void *count)
{
	struct bench_row r = against_ceiling;
	size_t i;

	for (i = 0; i < *(const size_t *)count; i++)
		bench_add(&r, five[0]);
}

static void
tell_few(const void *count)
{
	struct bench_row r = against_ceiling;

	for (; r.n < *(const size_t *)count;)
		bench_add(&r, five[r.n]);
	bench_tell(&r, stdout);
}

static void
sum_none(const void *row)
{
	bench_sum(row);
}

static void
cpu_of(const void *pid)
{
	bench_cpu(*(const pid_t *)pid);
}

static void
memory_of(const void *line)
{
	bench_memory(0, line);
}

/* In a process of its own: whether it ends as bench_fail does, and says so. */
static bool
fails(void (*act)(const void *), const void *arg)
{
	char said[8] = "";
	int out[2], status;
	pid_t pid;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
		dup2(out[1], STDERR_FILENO);
		act(arg);
		_exit(0);
	}
	close(out[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 1) {
		assert_int_equal(read(out[0], said, 7), 7);
		assert_string_equal(said, "bench: ");
	}
	close(out[0]);
	return WEXITSTATUS(status) != 0;
}

static void
what_was_not_measured_is_not_told(void **state)
{
	static const size_t counts[] = { 0, 4, 5, BENCH_ROUNDS_MAX,
		BENCH_ROUNDS_MAX + 1 };
	static const struct {
		const char *what;
		struct bench_round round;
		bool alone_fails, against_fails;
	} cases[] = {
		{ "good", { 1, 1, 1, 1 }, false, false },
		{ "no value", { 0, 1, 1, 1 }, true, true },
		{ "below nothing", { -1, 1, 1, 1 }, true, true },
		{ "no number", { NAN, 1, 1, 1 }, true, true },
		{ "no end", { INFINITY, 1, 1, 1 }, true, true },
		{ "no ceiling", { 1, 0, 1, 1 }, false, true },
		{ "ceiling below nothing", { 1, -1, 1, 1 }, false, true },
		{ "ceiling no number", { 1, NAN, 1, 1 }, false, true },
		{ "nobody looked", { 1, 1, 0, 0 }, false, false },
		{ "time runs back", { 1, 1, -1, 0 }, true, true },
		{ "ceiling's time no number", { 1, 1, 0, NAN }, true, true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		print_message("%s\n", cases[i].what);
		assert_true(
		    fails(add_alone, &cases[i].round) == cases[i].alone_fails);
		assert_true(fails(add_to_ceiling, &cases[i].round) ==
		    cases[i].against_fails);
	}
	assert_true(fails(tell_few, &counts[1]));
	assert_false(fails(tell_few, &counts[2]));
	assert_false(fails(add_many, &counts[3]));
	assert_true(fails(add_many, &counts[4]));
	assert_true(fails(sum_none, &alone));
}

static void
what_is_used_is_accounted(void **state)
{
	double now = bench_now(), cpu = bench_cpu(0);
	clock_t used = clock(); /* microseconds, as POSIX has it */
	const pid_t nobody = 0x7ffffffe;
	long kb = bench_memory(0, "VmRSS");

	(void)state;
	while (clock() - used < 2000)
		;
	assert_true(bench_cpu(0) - cpu >= 1999);
	assert_true(bench_cpu(0) - cpu < 1e6);
	/* A thread's processor time does not pass faster than the clock. */
	assert_true(bench_now() - now >= 1999);
	assert_true(bench_cpu(getpid()) >= cpu);
	assert_true(bench_cpu(getppid()) > 0);
	assert_in_range(kb, 100, 1 << 24);
	assert_true(bench_memory(getpid(), "VmHWM") >= kb);
	assert_true(fails(cpu_of, &nobody));
	assert_true(fails(memory_of, "Vm"));
}

static void
words_choose_rows(void **state)
{
	static const struct {
		char argv[4][10];
		int argc;
		bool quick, drain, drain_one;
	} cases[] = {
		{ { "bench" }, 1, false, true, true },
		{ { "bench", "--quick" }, 2, true, true, true },
		{ { "bench", "drain" }, 2, false, true, false },
		{ { "bench", "drain", "--quick" }, 3, true, true, false },
		{ { "bench", "drain-one", "x" }, 3, false, false, true },
		{ { "bench", "x" }, 2, false, false, false },
		{ { "bench", "--serve", "x", "drain" }, 4, false, true, false },
		{ { "drain", "--other" }, 2, false, true, true },
		{ { "--quick" }, 1, false, true, true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		char words[4][10], *v[4];
		int n = cases[i].argc, k;

		memcpy(words, cases[i].argv, sizeof(words));
		for (k = 0; k < n; k++)
			v[k] = words[k];

		assert_true(bench_quick(n, v) == cases[i].quick);
		assert_true(bench_wanted(n, v, "drain") == cases[i].drain);
		assert_true(
		    bench_wanted(n, v, "drain-one") == cases[i].drain_one);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_median_is_in_the_middle),
		cmocka_unit_test(a_percentile_is_one_of_the_values),
		cmocka_unit_test(the_ratio_is_taken_round_by_round),
		cmocka_unit_test(without_a_ceiling_the_value_is_held),
		cmocka_unit_test(a_target_is_a_least_or_a_most),
		cmocka_unit_test(a_line_holds_the_same_numbers),
		cmocka_unit_test(what_was_not_looked_at_is_null),
		cmocka_unit_test(what_was_not_measured_is_not_told),
		cmocka_unit_test(what_is_used_is_accounted),
		cmocka_unit_test(words_choose_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
