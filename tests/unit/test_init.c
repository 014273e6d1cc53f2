/* What `waybill init` makes. */
#include "init_lab.h"

#include "cli/init_masa.h"
#include "common/pki/certfacts.h"
#include "common/sys/conf.h"

/* ---- both sides ------------------------------------------------------ */

static mode_t
mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

/* ---- what is made ---------------------------------------------------- */

static void
certificates_are_what_the_design_says(void **state)
{
	static const struct {
		const char *path, *root, *site, *service;
		bool cmcra, server, client;
	} cases[] = {
		{ "north/registrar.crt", "north/domain-root.crt", "north", NULL,
		    true, true, true },
		{ "north/link.crt", "north/link-ca.crt", "north", NULL, false,
		    false, true },
		{ "north/service-ra.crt", "north/domain-root.crt", NULL, "ra",
		    true, false, false },
		{ "ra/service.crt", "ra/domain-root.crt", NULL, "ra", true,
		    false, false },
		{ "ra/link.crt", "ra/link-ca.crt", NULL, "ra", false, true,
		    false },
		{ "ra/masa-service.crt", "ra/domain-root.crt", NULL, "masa",
		    true, false, false },
		{ "ra/masa-link.crt", "ra/link-ca.crt", NULL, "masa", false,
		    true, false },
		{ "ra/masa-tls.crt", "ra/domain-root.crt", NULL, "masa", false,
		    false, true },
		{ "north/service-masa.crt", "north/domain-root.crt", NULL,
		    "masa", true, false, false },
		{ "ra/sites/north.pem", NULL, "north", NULL, true, true, true },
	};
	size_t i;

	(void)state;
	make_pair();
	install();
	for (i = 0; i < NELEMS(cases); i++) {
		AUTO(X509) x = cert(cases[i].path);
		struct err e = ERR_INIT;
		char name[33] = "";

		if (cases[i].root != NULL)
			assert_chains(cases[i].path, cases[i].root);
		assert_int_equal(
		    cert_site(x, name, &e), cases[i].site != NULL ? 0 : -1);
		assert_string_equal(
		    name, cases[i].site != NULL ? cases[i].site : "");
		name[0] = '\0';
		assert_int_equal(cert_service(x, name, &e),
		    cases[i].service != NULL ? 0 : -1);
		assert_string_equal(
		    name, cases[i].service != NULL ? cases[i].service : "");
		assert_int_equal(cert_has_cmcra(x), cases[i].cmcra);
		assert_int_equal(
		    cert_has_eku(x, NID_server_auth), cases[i].server);
		assert_int_equal(
		    cert_has_eku(x, NID_client_auth), cases[i].client);
		assert_true(cert_may_sign(x));
		assert_false(cert_is_ca(x));
	}
}

static void
boxes_agree_and_do_not_sign(void **state)
{
	static const char *const paths[] = { "north/box.crt",
		"north/service-box-ra.crt", "ra/service-box.crt",
		"north/service-box-masa.crt", "ra/masa-box.crt" };
	size_t i;

	(void)state;
	make_pair();
	install();
	for (i = 0; i < NELEMS(paths); i++) {
		AUTO(X509) x = cert(paths[i]);

		assert_int_equal(
		    X509_get_key_usage(x), X509v3_KU_KEY_AGREEMENT);
	}
}

static void
hosts_become_names_of_who_is_reached(void **state)
{
	static const struct {
		const char *path;
		int want;
	} cases[] = { { "north/registrar.crt", 1 }, { "ra/link.crt", 1 },
		{ "ra/masa-link.crt", 1 }, { "ra/masa-tls.crt", 0 },
		{ "north/link.crt", 0 }, { "ra/service.crt", 0 } };
	size_t i;

	(void)state;
	make_pair();
	install();
	for (i = 0; i < NELEMS(cases); i++) {
		AUTO(X509) x = cert(cases[i].path);

		assert_int_equal(X509_check_host(x, "ra.example", 0, 0, NULL),
		    cases[i].want);
		assert_int_equal(
		    X509_check_ip_asc(x, "127.0.0.1", 0), cases[i].want);
		assert_int_equal(X509_check_ip_asc(x, "::1", 0), cases[i].want);
	}
}

static void
secrets_are_their_owners_alone(void **state)
{
	static const char *const secrets[] = { "ra/domain-root.key",
		"ra/domain-ca.key", "ra/link-ca.key", "ra/service.key",
		"ra/service-box.key", "ra/link.key", "ra/seal.key",
		"ra/masa-service.key", "ra/masa-box.key", "ra/masa-link.key",
		"ra/masa-tls.key", "ra/masa-seal.key", "north/registrar.key",
		"north/box.key", "north/link.key", "north/seal.key" };
	static const char *const folders[] = { "ra", "ra/sites", "ra/store",
		"ra/masa-store", "north", "north/outbox" };
	size_t i, k;

	(void)state;
	make_pair();
	install();
	for (i = 0; i < NELEMS(secrets); i++) {
		struct buf a AUTO_BUF = slurp(secrets[i]);

		assert_int_equal(mode_of(secrets[i]), 0600);
		for (k = 0; k < i; k++) {
			struct buf b AUTO_BUF = slurp(secrets[k]);

			assert_false(bytes_eq(buf_bytes(&a), buf_bytes(&b)));
		}
	}
	for (i = 0; i < NELEMS(folders); i++)
		assert_int_equal(mode_of(folders[i]), 0700);
	assert_int_equal(mode_of("ra/sites/north.pem"), 0644);
}

static void
configuration_names_what_is_there(void **state)
{
	static const struct {
		const char *file, *section, *key, *name;
	} cases[] = {
		{ "north/registrar.yaml", "store", "directory",
		    "north/outbox" },
		{ "north/registrar.yaml", "store", "seal", "north/seal.key" },
		{ "north/forwarder.yaml", "link", "key", "north/link.key" },
		{ "north/forwarder.yaml", "link", "ca", "north/link-ca.crt" },
		{ "ra/ra.yaml", "ca", "key", "ra/domain-ca.key" },
		{ "ra/ra.yaml", "ca", "certificate", "ra/domain-ca.crt" },
		{ "ra/ra.yaml", "link", "certificate", "ra/link.crt" },
		{ "ra/ra.yaml", "store", "directory", "ra/store" },
		{ "ra/masa-client.yaml", "store", "directory",
		    "ra/masa-store" },
		{ "ra/masa-client.yaml", "store", "seal", "ra/masa-seal.key" },
		{ "ra/masa-client.yaml", "link", "certificate",
		    "ra/masa-link.crt" },
		{ "ra/masa-client.yaml", "masa", "key", "ra/masa-tls.key" },
	};
	struct err e = ERR_INIT;
	size_t i;

	(void)state;
	make_pair();
	install();
	for (i = 0; i < NELEMS(cases); i++) {
		AUTO(char) value = conf_value(
		    cases[i].file, cases[i].section, cases[i].key, &e);
		AUTO(char) want = realpath(cases[i].name, NULL);

		assert_non_null(value);
		assert_string_equal(value, want);
	}
}

static void
vendors_are_copied_and_named(void **state)
{
	struct site_options o = SITE_OPTIONS_INIT;
	struct err e = ERR_INIT;

	(void)state;
	make_ra("ra");
	o.dir = "north";
	o.name = "north";
	o.quiet = true;
	words_add(&o.vendors, "acme=ra/domain-root.crt");
	assert_int_equal(init_site(&o, &e), 0);
	assert_int_equal(pair_ra("ra", "north/north.request", false, &e), 0);
	install();
	{
		struct buf a AUTO_BUF = slurp("north/vendors/acme.pem");
		struct buf b AUTO_BUF = slurp("ra/domain-root.crt");
		struct buf yaml AUTO_BUF = slurp("north/registrar.yaml");

		assert_true(bytes_eq(buf_bytes(&a), buf_bytes(&b)));
		assert_non_null(strstr((char *)yaml.data, "  - name: acme\n"));
	}
}

/* ---- the masa-client --------------------------------------------------- */

static void
assert_stands(const char *path, const char *text)
{
	struct buf b AUTO_BUF = slurp(path);

	if (strstr((char *)b.data, text) == NULL)
		fail_msg("%s: not in it: %s", path, text);
}

static void
makers_have_their_options(void **state)
{
	struct ra_options o = RA_OPTIONS_INIT;
	struct site_options s = SITE_OPTIONS_INIT;
	struct err e = ERR_INIT;

	(void)state;
	make_ra("other");
	o.dir = "ra";
	s.dir = s.name = "north";
	o.hosts = hosts;
	o.quiet = s.quiet = true;
	words_add(&o.vendors, "acme=other/domain-root.crt");
	words_add(&o.vendors, "bolt=other/domain-root.crt");
	words_add(&o.vendor_tls, "acme=other/link-ca.crt");
	words_add(&o.vendor_urls, "bolt=https://masa.bolt.example:8443");
	words_add(&o.vendor_hosts, "acme=masa.acme.example");
	words_add(&o.vendor_hosts, "acme=192.0.2.1");
	words_add(&o.vendor_private, "bolt");
	words_add(&s.vendors, "acme=other/domain-root.crt");
	words_add(&s.voucher_anchors, "acme=other/link-ca.crt");
	assert_int_equal(init_ra(&o, &e), 0);
	assert_int_equal(init_site(&s, &e), 0);
	assert_int_equal(pair_ra("ra", "north/north.request", false, &e), 0);
	install();
	assert_stands("ra/masa-client.yaml",
	    "/ra/vendors/acme.tls.pem\"\n    hosts:\n"
	    "      - \"masa.acme.example\"\n      - \"192.0.2.1\"\n"
	    "  - name: bolt\n");
	assert_stands("ra/masa-client.yaml",
	    "/ra/vendors/bolt.pem\"\n"
	    "    url: \"https://masa.bolt.example:8443\"\n"
	    "    allow-private: true\n");
	assert_stands(
	    "north/registrar.yaml", "    voucher-anchor: \"/tmp/waybill-init-");
	assert_stands("north/registrar.yaml", "/acme.voucher.pem\"\n");
	{
		struct buf yaml AUTO_BUF = slurp("ra/ra.yaml");

		assert_null(strstr((char *)yaml.data, "acme.tls"));
	}
}

static void
its_options_are_checked_before_the_first_file(void **state)
{
	static const struct {
		const char *what, *url, *host, *private_of, *listen, *msg;
	} cases[] = {
		{ "no such vendor", "bolt=https://x", NULL, NULL, NULL,
		    "there is no --vendor bolt" },
		{ "a vendor's beginning", "acm=https://x", NULL, NULL, NULL,
		    "there is no --vendor acm" },
		{ "no vendor", "https://x", NULL, NULL, NULL,
		    "NAME=... expected" },
		{ "plain http", "acme=http://x", NULL, NULL, NULL,
		    "https://... expected" },
		{ "two lines", "acme=https://x\nhosts: y", NULL, NULL, NULL,
		    "https://... expected" },
		{ "a wildcard", NULL, "acme=*.example", NULL, NULL,
		    "neither a DNS name" },
		{ "private whom?", NULL, NULL, "bolt", NULL,
		    "there is no --vendor bolt" },
		{ "a plain link", NULL, NULL, NULL, "tcp://x:1",
		    "--masa-listen" },
	};
	size_t i;

	(void)state;
	make_ra("other");
	for (i = 0; i < NELEMS(cases); i++) {
		struct ra_options o = RA_OPTIONS_INIT;
		struct err e = ERR_INIT;

		o.dir = "ra";
		o.quiet = true;
		words_add(&o.vendors, "acme=other/domain-root.crt");
		if (cases[i].url != NULL)
			words_add(&o.vendor_urls, cases[i].url);
		if (cases[i].host != NULL)
			words_add(&o.vendor_hosts, cases[i].host);
		if (cases[i].private_of != NULL)
			words_add(&o.vendor_private, cases[i].private_of);
		if (cases[i].listen != NULL)
			words_add(&o.masa_listens, cases[i].listen);
		if (init_ra(&o, &e) != -1)
			fail_msg("%s: made", cases[i].what);
		if (e.kind != ERR_USAGE || strstr(e.msg, cases[i].msg) == NULL)
			fail_msg("%s: %s", cases[i].what, e.msg);
		assert_int_equal(access("ra/domain-root.key", F_OK), -1);
	}
}

static void
it_listens_beside_the_ra(void **state)
{
	static const struct {
		const char *ra, *want; /* NULL: none */
	} cases[] = {
		{ "tls+tcp://0.0.0.0:5740", "tls+tcp://0.0.0.0:5741" },
		{ "tls+tcp://[::1]:99", "tls+tcp://[::1]:100" },
		{ "ipc:///run/ra.sock", "ipc:///run/ra.sock-masa" },
		{ "tls+tcp://h:65535", NULL },
		{ "tls+tcp://h", NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct buf got AUTO_BUF = { 0 };
		struct err e = ERR_INIT;

		assert_int_equal(masa_listen_default(cases[i].ra, &got, &e),
		    cases[i].want != NULL ? 0 : -1);
		if (cases[i].want != NULL)
			assert_string_equal(buf_cstr(&got), cases[i].want);
		else
			assert_int_equal(got.len, 0);
	}
}

static void
without_it_there_is_one_service(void **state)
{
	struct ra_options o = RA_OPTIONS_INIT;
	struct err e = ERR_INIT;

	(void)state;
	o.dir = "ra";
	o.hosts = hosts;
	o.no_masa = o.quiet = true;
	assert_int_equal(init_ra(&o, &e), 0);
	assert_int_equal(access("ra/masa-service.key", F_OK), -1);
	assert_int_equal(access("ra/masa-client.yaml", F_OK), -1);
	make_site("north", "north");
	assert_int_equal(pair_ra("ra", "north/north.request", false, &e), 0);
	install();
	assert_int_equal(access("north/service-masa.crt", F_OK), -1);
	{
		struct buf yaml AUTO_BUF = slurp("north/registrar.yaml");

		assert_null(strstr((char *)yaml.data, "voucher"));
		assert_non_null(
		    strstr((char *)yaml.data, "kinds: [cmp, audit]\n"));
	}
}

static void
an_address_that_nobody_knows_is_asked_for(void **state)
{
	struct ra_options o = RA_OPTIONS_INIT;
	struct err e = ERR_INIT;

	(void)state;
	o.dir = "ra";
	o.quiet = true;
	assert_int_equal(init_ra(&o, &e), 0);
	make_site("north", "north");
	assert_int_equal(init_ra_pair(&o, "north/north.request", NULL, &e), -1);
	assert_non_null(strstr(e.msg, "'ra' is known: give --address"));
	o.address = "tls+tcp://ra.example:1";
	assert_int_equal(init_ra_pair(&o, "north/north.request", NULL, &e), -1);
	assert_non_null(strstr(e.msg, "'masa' is known: give --masa-address"));
	o.masa_address = "tls+tcp://masa.example:2";
	assert_int_equal(init_ra_pair(&o, "north/north.request", NULL, &e), 0);
	install();
	assert_stands("north/forwarder.yaml",
	    "  - name: ra\n    url: \"tls+tcp://ra.example:1\"\n"
	    "  - name: masa\n    url: \"tls+tcp://masa.example:2\"\n");
}

/* ---- hostile files --------------------------------------------------- */

static void
a_fingerprint_is_sha256_in_groups(void **state)
{
	char fp[FINGERPRINT_LEN];

	(void)state;
	assert_string_equal(fingerprint_format(fp, bytes_of("abc", 3)),
	    "BA78 16BF 8F01 CFEA 4141 40DE 5DAE 2223 "
	    "B003 61A3 9617 7A9C B410 FF61 F200 15AD");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		IN_FOLDER(certificates_are_what_the_design_says),
		IN_FOLDER(boxes_agree_and_do_not_sign),
		IN_FOLDER(hosts_become_names_of_who_is_reached),
		IN_FOLDER(secrets_are_their_owners_alone),
		IN_FOLDER(configuration_names_what_is_there),
		IN_FOLDER(vendors_are_copied_and_named),
		IN_FOLDER(makers_have_their_options),
		IN_FOLDER(its_options_are_checked_before_the_first_file),
		IN_FOLDER(it_listens_beside_the_ra),
		IN_FOLDER(without_it_there_is_one_service),
		IN_FOLDER(an_address_that_nobody_knows_is_asked_for),
		cmocka_unit_test(a_fingerprint_is_sha256_in_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
