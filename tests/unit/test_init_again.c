/* `waybill init` in folders where something is, and with wrong options. */
#include "init_lab.h"

/* ---- again ----------------------------------------------------------- */

static void
a_second_run_keeps_what_is_there(void **state)
{
	static const char *const files[] = { "ra/domain-root.key",
		"ra/domain-root.crt", "ra/service.crt", "ra/seal.key",
		"ra/ra.yaml", "ra/masa-service.crt", "ra/masa-tls.key",
		"ra/masa-seal.key", "ra/masa-client.yaml",
		"north/registrar.key", "north/north.request", "north/seal.key",
		"north/registrar.yaml" };
	struct buf before[NELEMS(files)];
	size_t i;

	(void)state;
	make_pair();
	install();
	for (i = 0; i < NELEMS(files); i++)
		before[i] = slurp(files[i]);
	make_ra("ra");
	make_site("north", "north");
	install();
	for (i = 0; i < NELEMS(files); i++) {
		struct buf now AUTO_BUF = slurp(files[i]);

		assert_true(bytes_eq(buf_bytes(&now), buf_bytes(&before[i])));
		buf_done(&before[i]);
	}
}

static void
what_was_cut_short_is_completed(void **state)
{
	struct buf before AUTO_BUF = { 0 }, now AUTO_BUF = { 0 };

	(void)state;
	make_ra("ra");
	before = slurp("ra/service.key");
	assert_int_equal(unlink("ra/service.crt"), 0);
	assert_int_equal(unlink("ra/ra.yaml"), 0);
	make_ra("ra");
	now = slurp("ra/service.key");
	assert_true(bytes_eq(buf_bytes(&now), buf_bytes(&before)));
	assert_chains("ra/service.crt", "ra/domain-root.crt");
	assert_int_equal(access("ra/ra.yaml", F_OK), 0);
}

static void
a_root_key_may_live_elsewhere_a_service_key_not(void **state)
{
	struct ra_options o = RA_OPTIONS_INIT;
	struct err e = ERR_INIT;

	(void)state;
	make_pair();
	assert_int_equal(unlink("ra/domain-root.key"), 0);
	make_ra("ra");
	assert_int_equal(access("ra/domain-root.key", F_OK), -1);
	assert_int_equal(unlink("ra/service.key"), 0);
	o.dir = "ra";
	o.quiet = true;
	assert_int_equal(init_ra(&o, &e), -1);
	assert_int_equal(e.kind, ERR_CONF);
	assert_non_null(
	    strstr(e.msg, "service.crt is there and its key is not"));
}

static void
a_folder_keeps_its_name(void **state)
{
	struct site_options s = SITE_OPTIONS_INIT;
	struct ra_options r = RA_OPTIONS_INIT;
	struct err e = ERR_INIT;

	(void)state;
	make_pair();
	s.dir = "north";
	s.name = "south";
	r.dir = "ra";
	r.name = "rb";
	r.quiet = s.quiet = true;
	assert_int_equal(init_site(&s, &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
	assert_int_equal(access("north/south.request", F_OK), -1);
	assert_int_equal(init_ra(&r, &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
}

static void
pairing_again_needs_the_word(void **state)
{
	AUTO(X509) old = NULL;
	AUTO(X509S) now = NULL;
	struct err e = ERR_INIT;

	(void)state;
	make_pair();
	old = cert("ra/sites/north.pem");
	assert_int_equal(unlink("north/north.pairing"), 0);
	assert_int_equal(pair_ra("ra", "north/north.request", false, &e), -1);
	assert_int_equal(e.kind, ERR_POLICY);
	assert_int_equal(access("north/north.pairing", F_OK), -1);
	assert_int_equal(pair_ra("ra", "north/north.request", true, &e), 0);
	install();
	/* The new one first; the old one is still believed. */
	assert_non_null(now = ossl_load_certs("ra/sites/north.pem", &e));
	assert_int_equal(sk_X509_num(now), 2);
	assert_int_not_equal(X509_cmp(sk_X509_value(now, 0), old), 0);
	assert_int_equal(X509_cmp(sk_X509_value(now, 1), old), 0);
}

static void
another_domain_is_refused(void **state)
{
	struct buf before AUTO_BUF = { 0 }, now AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	make_pair();
	install();
	before = slurp("north/registrar.crt");
	make_ra("rb");
	assert_int_equal(pair_ra("rb", "north/north.request", false, &e), 0);
	assert_int_equal(
	    init_site_pair("north", "north/north.pairing", true, &e), -1);
	assert_int_equal(e.kind, ERR_TRUST);
	assert_non_null(strstr(e.msg, "another domain root"));
	now = slurp("north/registrar.crt");
	assert_true(bytes_eq(buf_bytes(&now), buf_bytes(&before)));
}

static void
a_pairing_for_other_keys_is_refused(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	make_pair();
	make_site("twin", "north");
	assert_int_equal(
	    init_site_pair("twin", "north/north.pairing", true, &e), -1);
	assert_int_equal(e.kind, ERR_TRUST);
	assert_non_null(strstr(e.msg, "registrar is for another key"));
	assert_int_equal(access("twin/registrar.crt", F_OK), -1);
}

/* ---- usage ----------------------------------------------------------- */

static void
wrong_options_make_nothing(void **state)
{
	static const struct {
		const char *name, *host, *listen, *hold, *map;
	} cases[] = {
		{ "North", "h", "a:1", "1s", "1GiB" },
		{ "north", "h,DNS:x", "a:1", "1s", "1GiB" },
		{ "north", "h", "a", "1s", "1GiB" },
		{ "north", "h", "a:1", "1", "1GiB" },
		{ "north", "h", "a:1", "1s", "big" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct site_options o = SITE_OPTIONS_INIT;
		struct err e = ERR_INIT;

		o.dir = "north";
		o.name = cases[i].name;
		o.hold = cases[i].hold;
		o.map_size = cases[i].map;
		o.quiet = true;
		words_add(&o.hosts, cases[i].host);
		words_add(&o.listens, cases[i].listen);
		assert_int_equal(init_site(&o, &e), -1);
		assert_int_equal(access("north/north.request", F_OK), -1);
		assert_int_equal(access("north/init.json", F_OK), -1);
		assert_int_equal(access("north/seal.key", F_OK), -1);
	}
}

static void
a_folder_too_long_for_sockets_is_refused(void **state)
{
	char name[120];
	struct ra_options o = RA_OPTIONS_INIT;
	struct err e = ERR_INIT;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	o.dir = name;
	o.quiet = true;
	assert_int_equal(init_ra(&o, &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
	assert_non_null(strstr(e.msg, "limit 107"));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		IN_FOLDER(a_second_run_keeps_what_is_there),
		IN_FOLDER(what_was_cut_short_is_completed),
		IN_FOLDER(a_root_key_may_live_elsewhere_a_service_key_not),
		IN_FOLDER(a_folder_keeps_its_name),
		IN_FOLDER(pairing_again_needs_the_word),
		IN_FOLDER(another_domain_is_refused),
		IN_FOLDER(a_pairing_for_other_keys_is_refused),
		IN_FOLDER(wrong_options_make_nothing),
		IN_FOLDER(a_folder_too_long_for_sockets_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
