/* What the tests of `waybill init` share: a folder of their own to be in, an RA
 * and sites as people make them. */
#ifndef WAYBILL_TESTS_INIT_LAB_H
#define WAYBILL_TESTS_INIT_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <string.h>
#include <unistd.h>

#include "cli/exchange.h"
#include "cli/init.h"
#include "cli/request.h"
#include "common/base/file.h"
#include "common/pki/trust.h"

#define FILE_LIMIT ((size_t)1 << 20)

static char dir[] = "/tmp/waybill-init-XXXXXX";

static inline int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline int
enter(void **state)
{
	(void)state;
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	return mkdtemp(dir) != NULL && chdir(dir) == 0 ? 0 : -1;
}

static inline int
leave(void **state)
{
	(void)state;
	return chdir("/") == 0 ? nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS)
			       : -1;
}

/* ---- both sides ------------------------------------------------------ */

static const struct words hosts = { { "127.0.0.1", "ra.example", "::1" }, 3 };

static inline void
make_ra(const char *folder)
{
	struct ra_options o = RA_OPTIONS_INIT;
	struct err e = ERR_INIT;

	o.dir = folder;
	o.hosts = hosts;
	o.quiet = true;
	assert_int_equal(init_ra(&o, &e), 0);
}

static inline void
make_site(const char *folder, const char *name)
{
	struct site_options o = SITE_OPTIONS_INIT;
	struct err e = ERR_INIT;

	o.dir = folder;
	o.name = name;
	o.hosts = hosts;
	o.quiet = true;
	assert_int_equal(init_site(&o, &e), 0);
}

static inline int
pair_ra(const char *folder, const char *request, bool again, struct err *e)
{
	struct ra_options o = RA_OPTIONS_INIT;

	o.dir = folder;
	o.again = again;
	o.quiet = true;
	return init_ra_pair(&o, request, NULL, e);
}

/* ra/ and north/, and the pairing of them as north/north.pairing. */
static inline void
make_pair(void)
{
	struct err e = ERR_INIT;

	make_ra("ra");
	make_site("north", "north");
	assert_int_equal(pair_ra("ra", "north/north.request", false, &e), 0);
}

static inline void
install(void)
{
	struct err e = ERR_INIT;

	assert_int_equal(
	    init_site_pair("north", "north/north.pairing", true, &e), 0);
}

static inline struct buf
slurp(const char *path)
{
	struct buf b = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(file_read(path, FILE_LIMIT, &b, &e), 0);
	buf_cstr(&b);
	return b;
}

static inline X509 *
cert(const char *path)
{
	struct err e = ERR_INIT;
	X509 *x = ossl_load_cert(path, &e);

	assert_non_null(x);
	return x;
}

/* ---- what is made ---------------------------------------------------- */

/* leaf chains to the root by the certificates of its own file alone. */
static inline void
assert_chains(const char *leaf, const char *root)
{
	AUTO(trust) t = trust_new();
	AUTO(X509S) file = NULL;
	struct err e = ERR_INIT;
	const char *name;

	assert_int_equal(trust_add_file(t, "root", root, &e), 0);
	assert_non_null(file = ossl_load_certs(leaf, &e));
	assert_int_equal(trust_check(t, sk_X509_value(file, 0), file,
			     clock_now().time, &name, NULL, &e),
	    0);
}

/* ---- hostile files --------------------------------------------------- */

static inline json_t *
load_json(const char *path)
{
	struct buf text AUTO_BUF = slurp(path);
	struct err e = ERR_INIT;
	json_t *j = json_parse(buf_bytes(&text), EXCHANGE_FILE_MAX, &e);

	assert_non_null(j);
	return j;
}

static inline void
set(json_t *j, const char *key, const char *value)
{
	assert_int_equal(json_object_set_new(j, key, json_string(value)), 0);
}

static inline char *
get(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	assert_non_null(s);
	return xstrdup(s);
}

#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, enter, leave)

#endif
