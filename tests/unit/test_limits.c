/* The table of limits: what is printed of it, what stands of it in
 * ARCHITECTURE.md, and the configuration's own defaults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "cli/limits_command.h"
#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "registrar/reg_conf.h"

#define PAGE_MAX (256 * 1024)
#define FIRST	 "<!-- waybill limits -->\n```\n"
#define LAST	 "```\n<!-- end of waybill limits -->\n"

static const struct limit *
find(const char *name)
{
	for (size_t i = 0; i < limit_count; i++)
		if (strcmp(limit_table[i].name, name) == 0)
			return &limit_table[i];
	fail_msg("no limit %s", name);
	return NULL;
}

/* After a change: waybill limits, between the two marks. */
static void
architecture_holds_what_is_printed(void **state)
{
	AUTO(char) path = path_join(SOURCES, "ARCHITECTURE.md");
	struct buf page AUTO_BUF = { 0 }, want AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	const char *at, *end;

	(void)state;
	if (file_read(path, PAGE_MAX, &page, &e) == -1)
		fail_msg("%s", e.msg);
	limits_format(&want);
	at = strstr(buf_cstr(&page), FIRST);
	assert_non_null(at);
	at += strlen(FIRST);
	end = strstr(at, LAST);
	assert_non_null(end);
	if ((size_t)(end - at) != want.len ||
	    memcmp(at, want.data, want.len) != 0)
		fail_msg("ARCHITECTURE.md does not hold these:\n%s",
		    buf_cstr(&want));
}

static void
each_limit_has_a_name_of_its_own(void **state)
{
	(void)state;
	assert_true(limit_count > 60);
	for (size_t i = 0; i < limit_count; i++) {
		assert_ptr_equal(find(limit_table[i].name), &limit_table[i]);
		assert_true(limit_table[i].value > 0);
		assert_true(limit_table[i].unit[0] != '\0');
		assert_true(limit_table[i].beyond[0] != '\0');
	}
	assert_int_equal(find("cmp.message")->value, LIMIT_CMP_MESSAGE);
}

static void
json_says_the_same(void **state)
{
	AUTO(json_t) j = limits_json();
	json_t *all = json_object_get(j, "limits"), *one;
	size_t i;

	(void)state;
	assert_int_equal(json_array_size(all), limit_count);
	json_array_foreach(all, i, one)
	{
		const struct limit *l = &limit_table[i];

		assert_string_equal(
		    json_string_value(json_object_get(one, "name")), l->name);
		assert_int_equal(
		    json_integer_value(json_object_get(one, "value")),
		    l->value);
		assert_string_equal(
		    json_string_value(json_object_get(one, "beyond")),
		    l->beyond);
	}
}

/* Where a folder names a file, the file is there. */
static void
places_exist(void **state)
{
	struct buf text AUTO_BUF = { 0 };
	char name[128];

	(void)state;
	for (size_t i = 0; i < limit_count; i++) {
		snprintf(name, sizeof(name), "%s.c", limit_table[i].where);
		AUTO(char) path = path_join(SOURCES, name);
		buf_reset(&text);
		if (file_read(path, PAGE_MAX, &text, NULL) == -1)
			fail_msg("%s: no such file", name);
	}
}

static const char *
default_of(const struct conf_item *c, const char *key)
{
	for (; c->key != NULL; c++)
		if (strcmp(c->key, key) == 0)
			return c->def;
	fail_msg("no key %s", key);
	return NULL;
}

static void
defaults_of_the_registrar_are_these(void **state)
{
	static const struct {
		const char *key, *limit;
	} cases[] = {
		{ "connections", "http.connections" },
		{ "device-connections", "device.connections" },
		{ "device-requests", "device.requests" },
		{ "device-held", "device.held" },
		{ "nameless-requests", "nameless.requests" },
		{ "device-open", "device.open" },
		{ "device-hour", "device.hour" },
		{ "vendor-open", "vendor.open" },
		{ "open", "site.open" },
	};
	const struct conf_item *c = reg_conf_table;

	(void)state;
	while (strcmp(c->key, "limits") != 0)
		c++;
	for (size_t i = 0; i < NELEMS(cases); i++)
		assert_int_equal(
		    strtoul(default_of(c->sub, cases[i].key), NULL, 10),
		    find(cases[i].limit)->value);
}

/* Its table is in its main.c: asked as people would. */
static void
defaults_of_the_proxy_are_these(void **state)
{
	static const struct {
		const char *key, *limit;
	} cases[] = {
		{ "max-connections", "proxy.connections" },
		{ "max-per-source", "proxy.source" },
		{ "idle-timeout", "proxy.idle" },
		{ "total-timeout", "proxy.total" },
	};
	struct buf text AUTO_BUF = { 0 };
	char line[200];

	AUTO(char) path = path_join(SOURCES, "proxy/main.c");
	(void)state;
	assert_int_equal(file_read(path, PAGE_MAX, &text, NULL), 0);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		const char *at, *def;
		char unit;
		unsigned long n;

		snprintf(line, sizeof(line), "{ \"%s\", ", cases[i].key);
		at = strstr(buf_cstr(&text), line);
		assert_non_null(at);
		def = strstr(at, "), \"");
		assert_non_null(def);
		n = 0;
		unit = '"';
		assert_int_equal(sscanf(def + 4, "%lu%c", &n, &unit), 2);
		n *= unit == 's' ? 1000 : unit == 'm' ? 60000 : 1;
		assert_int_equal(n, find(cases[i].limit)->value);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(architecture_holds_what_is_printed),
		cmocka_unit_test(each_limit_has_a_name_of_its_own),
		cmocka_unit_test(json_says_the_same),
		cmocka_unit_test(places_exist),
		cmocka_unit_test(defaults_of_the_registrar_are_these),
		cmocka_unit_test(defaults_of_the_proxy_are_these),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
