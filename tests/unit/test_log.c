#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/log.h"

static char path[] = "/tmp/waybill-log-XXXXXX";
static int file = -1, real = -1;

static int
enter(void **state)
{
	(void)state;
	file = mkstemp(path);
	real = dup(STDERR_FILENO);
	return file != -1 && real != -1 ? unlink(path) : -1;
}

/* From here to caught(), stderr is our file. */
static void
catch_lines(void)
{
	assert_int_equal(ftruncate(file, 0), 0);
	assert_int_equal(fcntl(file, F_SETFL, O_APPEND), 0);
	assert_int_equal(dup2(file, STDERR_FILENO), STDERR_FILENO);
}

static struct buf
caught(void)
{
	struct buf b = { 0 };
	off_t n = lseek(file, 0, SEEK_END);

	dup2(real, STDERR_FILENO);
	assert_true(n >= 0);
	assert_int_equal(pread(file, buf_grow(&b, (size_t)n), (size_t)n, 0), n);
	return b;
}

/* One line, without its time. */
static void
expect(const char *want)
{
	struct buf b AUTO_BUF = caught();
	const char *s = buf_cstr(&b);

	assert_true(b.len > 25);
	assert_int_equal(s[10], 'T');
	assert_int_equal(s[19], '.');
	assert_memory_equal(s + 23, "Z ", 2);
	assert_string_equal(s + 25, want);
}

static void
fields_of_each_format(void **state)
{
	(void)state;
	catch_lines();
	log_event(LOG_INFO, "early", NULL);
	expect("info waybill event=early\n");
	log_init("waybill-ra", LOG_INFO);
	catch_lines();
	log_event(LOG_WARN, "queue.held", "id", "%s", "7F3K-00012", "n", "%d",
	    -5, "u", "%u", 4294967295u, "big", "%llu", 18446744073709551615ull,
	    "size", "%zu", (size_t)9, "none", "%s", (char *)NULL, NULL);
	expect("warn waybill-ra event=queue.held id=7F3K-00012 n=-5 "
	       "u=4294967295 big=18446744073709551615 size=9 none=-\n");
}

static void
values_are_quoted_where_they_must(void **state)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "plain/1.2:3", "plain/1.2:3" },
		{ "", "\"\"" },
		{ "two words", "\"two words\"" },
		{ "a=b", "\"a=b\"" },
		{ "say \"x\"", "\"say \\x22x\\x22\"" },
		{ "back\\slash", "\"back\\x5cslash\"" },
		{ "x\nevent=forged", "\"x\\x0aevent=forged\"" },
		{ "\x1b[31m", "\"\\x1b[31m\"" },
		{ "caf\xc3\xa9", "\"caf\\xc3\\xa9\"" },
		{ "%s%n", "%s%n" },
	};
	char want[200];
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		snprintf(want, sizeof(want), "error waybill-ra event=x v=%s\n",
		    cases[i].want);
		catch_lines();
		log_event(LOG_ERROR, "x", "v", "%s", cases[i].in, NULL);
		expect(want);
	}
}

static void
errors_come_last(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	err_set(&e, ERR_TRUST, "voucher 7F3K-12: RFC 8995 5.5: nonce differs");
	catch_lines();
	log_err(LOG_ALARM, "voucher.refused", &e, "id", "%s", "7F3K", NULL);
	expect("alarm waybill-ra event=voucher.refused id=7F3K "
	       "error=\"voucher 7F3K-12: RFC 8995 5.5: nonce differs\"\n");
	catch_lines();
	log_err(LOG_ERROR, "bare", &e, NULL);
	expect("error waybill-ra event=bare "
	       "error=\"voucher 7F3K-12: RFC 8995 5.5: nonce differs\"\n");
}

static void
levels_are_kept(void **state)
{
	static const struct {
		enum log_level upto, level;
		bool want;
	} cases[] = {
		{ LOG_ALARM, LOG_ALARM, true },
		{ LOG_ALARM, LOG_ERROR, false },
		{ LOG_INFO, LOG_INFO, true },
		{ LOG_INFO, LOG_DEBUG, false },
		{ LOG_DEBUG, LOG_DEBUG, true },
	};
	struct err e = ERR_INIT;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct buf b AUTO_BUF = { 0 };

		log_set_level(cases[i].upto);
		catch_lines();
		log_event(cases[i].level, "x", NULL);
		log_err(cases[i].level, "x", &e, NULL);
		b = caught();
		assert_int_equal(b.len > 0, cases[i].want);
	}
	log_set_level(LOG_INFO);
}

static void
long_values_are_cut(void **state)
{
	char in[LOG_VALUE_MAX + 2], want[LOG_VALUE_MAX + 99];

	(void)state;
	memset(in, 'x', sizeof(in) - 1);
	in[sizeof(in) - 1] = '\0';
	snprintf(want, sizeof(want), "info waybill-ra event=x v=%.*s...\n",
	    LOG_VALUE_MAX, in);
	catch_lines();
	log_event(LOG_INFO, "x", "v", "%s", in, NULL);
	expect(want);
	in[LOG_VALUE_MAX] = '\0';
	snprintf(want, sizeof(want), "info waybill-ra event=x v=%s\n", in);
	catch_lines();
	log_event(LOG_INFO, "x", "v", "%s", in, NULL);
	expect(want);
}

static void
a_wrong_format_is_told(void **state)
{
	(void)state;
	catch_lines();
	log_event(LOG_INFO, "x", "a", "%s", "1", "b", "%f", 1.0, "c", "%s", "2",
	    NULL);
	expect("info waybill-ra event=x a=1 log.bad_format=b\n");
}

#define LINES 200

static void *
chatter(void *arg)
{
	int i;

	for (i = 0; i < LINES; i++)
		log_event(LOG_INFO, "chat", "who", "%s", arg, NULL);
	return NULL;
}

static void
threads_do_not_mix_lines(void **state)
{
	static char names[4][4] = { "aaa", "bbb", "ccc", "ddd" };
	struct buf b AUTO_BUF = { 0 };
	pthread_t threads[4];
	char *line, *at;
	int i, n = 0;

	(void)state;
	catch_lines();
	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, chatter, names[i]);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	b = caught();
	buf_cstr(&b);
	for (at = (char *)b.data; (line = strsep(&at, "\n")) != NULL; n++)
		if (*line != '\0')
			assert_int_equal(strlen(line),
			    24 + strlen(" info waybill-ra event=chat who=aaa"));
	assert_int_equal(n, 4 * LINES + 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_of_each_format),
		cmocka_unit_test(values_are_quoted_where_they_must),
		cmocka_unit_test(errors_come_last),
		cmocka_unit_test(levels_are_kept),
		cmocka_unit_test(long_values_are_cut),
		cmocka_unit_test(a_wrong_format_is_told),
		cmocka_unit_test(threads_do_not_mix_lines),
	};

	return cmocka_run_group_tests(tests, enter, NULL);
}
