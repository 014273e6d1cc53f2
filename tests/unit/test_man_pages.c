/* The man page of a daemon tells every key of its configuration, with the
 * default that the table has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/str.h"
#include "forwarder/forwarder.h"
#include "masa-client/masa_conf.h"
#include "ra/ra_conf.h"
#include "registrar/reg_conf.h"

#define PAGE_MAX (64 * 1024)

/* The line that tells this key: ".It Cm key ...", or, inside the item of its
 * parent, ".Cm key ..." as well. */
static const char *
find_item(const char *from, const char *key, bool inside)
{
	static const char *const macros[] = { ".It Cm ", ".It Ic ", ".Cm ",
		".Ic " };
	size_t many = inside ? NELEMS(macros) : 2, n = strlen(key);

	for (const char *p = from; p != NULL; p = strchr(p, '\n')) {
		p += *p == '\n';
		for (size_t i = 0; i < many; i++)
			if (str_starts(p, macros[i]) &&
			    strncmp(p + strlen(macros[i]), key, n) == 0 &&
			    strchr(" \n", p[strlen(macros[i]) + n]) != NULL)
				return p;
	}
	return NULL;
}

/* The default stands before the next item. */
static void
check_default(const char *item, const struct conf_item *c)
{
	const char *end = strstr(item, "\n.It ");
	size_t n = end == NULL ? strlen(item) : (size_t)(end - item);

	if (c->def == NULL || c->def[0] == '\0' || c->type == CONF_MAP ||
	    strcmp(c->def, "4294967295") == 0) /* a uid: told in words */
		return;
	if (memmem(item, n, c->def, strlen(c->def)) == NULL)
		fail_msg("%s: default %s is not told", c->key, c->def);
}

static void
check_table(const char *from, const struct conf_item *c, bool inside)
{
	for (; c->key != NULL; c++) {
		const char *item = find_item(from, c->key, inside);

		if (item == NULL)
			fail_msg("%s: no item", c->key);
		check_default(item, c);
		if (c->sub != NULL)
			check_table(strchr(item, '\n'), c->sub, true);
	}
}

static void
check_page(const char *name, const struct conf_item *table)
{
	AUTO(char) path = path_join(SOURCES, name);
	struct buf page AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	if (file_read(path, PAGE_MAX, &page, &e) == -1)
		fail_msg("%s", e.msg);
	check_table(buf_cstr(&page), table, false);
}

static void
registrar_page(void **state)
{
	(void)state;
	check_page("registrar/waybill-registrar.8", reg_conf_table);
}

static void
forwarder_page(void **state)
{
	(void)state;
	check_page("forwarder/waybill-forwarder.8", fwd_conf_table);
}

static void
ra_page(void **state)
{
	(void)state;
	check_page("ra/waybill-ra.8", ra_conf_table);
}

static void
masa_client_page(void **state)
{
	(void)state;
	check_page("masa-client/waybill-masa-client.8", masa_conf_table);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registrar_page),
		cmocka_unit_test(forwarder_page),
		cmocka_unit_test(ra_page),
		cmocka_unit_test(masa_client_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
