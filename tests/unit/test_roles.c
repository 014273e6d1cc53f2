#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <unistd.h>

#include "registrar/roles.h"

static char *some[] = { (char *)"40001", (char *)"40002" };
static char *others[] = { (char *)"40003" };
static char *wrong[] = { (char *)"40001", (char *)"root" };

static void
uids_have_the_role_of_their_list(void **state)
{
	const struct reg_conf c = {
		.control = { .viewers = { some, 2 }, .field = { others, 1 } },
	};
	static const struct {
		uid_t uid;
		enum role want;
	} cases[] = {
		{ 0, ROLE_ADMIN },
		{ 40001, ROLE_VIEWER },
		{ 40002, ROLE_VIEWER },
		{ 40003, ROLE_FIELD },
		{ 40004, ROLE_NONE },
		{ (uid_t)-1, ROLE_NONE },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++)
		assert_int_equal(role_of(&c, cases[i].uid), cases[i].want);
	assert_int_equal(role_of(&c, getuid()), ROLE_ADMIN);
	assert_true(roles_any(&c));
}

static void
the_greater_role_wins(void **state)
{
	const struct reg_conf c = {
		.control = { .viewers = { some, 2 }, .admins = { some, 1 } },
	};

	(void)state;
	assert_int_equal(role_of(&c, 40001), ROLE_ADMIN);
	assert_int_equal(role_of(&c, 40002), ROLE_VIEWER);
}

static void
names_in_place_of_uids_are_refused(void **state)
{
	const struct reg_conf c = { .control = { .field = { wrong, 2 } } };
	const struct reg_conf none = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(roles_check(&c, &e), -1);
	assert_int_equal(e.kind, ERR_CONF);
	assert_int_equal(roles_check(&none, &e), 0);
	assert_false(roles_any(&none));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uids_have_the_role_of_their_list),
		cmocka_unit_test(the_greater_role_wins),
		cmocka_unit_test(names_in_place_of_uids_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
