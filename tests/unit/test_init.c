#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/exchange.h"
#include "cli/init.h"
#include "cli/init_masa.h"
#include "cli/pairing.h"
#include "cli/profile.h"
#include "cli/request.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/pki/certfacts.h"
#include "common/pki/issue.h"
#include "common/pki/sign.h"
#include "common/pki/trust.h"
#include "common/sys/conf.h"

#define FILE_LIMIT ((size_t)1 << 20)

static char dir[] = "/tmp/waybill-init-XXXXXX";

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int
enter(void **state)
{
	(void)state;
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	return mkdtemp(dir) != NULL && chdir(dir) == 0 ? 0 : -1;
}

static int
leave(void **state)
{
	(void)state;
	return chdir("/") == 0 ? nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS)
			       : -1;
}

/* ---- both sides ------------------------------------------------------ */

static const struct words hosts = { { "127.0.0.1", "ra.example", "::1" }, 3 };

static void
make_ra(const char *folder)
{
	struct ra_options o = RA_OPTIONS_INIT;
	struct err e = ERR_INIT;

	o.dir = folder;
	o.hosts = hosts;
	o.quiet = true;
	assert_int_equal(init_ra(&o, &e), 0);
}

static void
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

static int
pair_ra(const char *folder, const char *request, bool again, struct err *e)
{
	struct ra_options o = RA_OPTIONS_INIT;

	o.dir = folder;
	o.again = again;
	o.quiet = true;
	return init_ra_pair(&o, request, NULL, e);
}

/* ra/ and north/, and the pairing of them as north/north.pairing. */
static void
make_pair(void)
{
	struct err e = ERR_INIT;

	make_ra("ra");
	make_site("north", "north");
	assert_int_equal(pair_ra("ra", "north/north.request", false, &e), 0);
}

static void
install(void)
{
	struct err e = ERR_INIT;

	assert_int_equal(
	    init_site_pair("north", "north/north.pairing", true, &e), 0);
}

static struct buf
slurp(const char *path)
{
	struct buf b = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(file_read(path, FILE_LIMIT, &b, &e), 0);
	buf_cstr(&b);
	return b;
}

static X509 *
cert(const char *path)
{
	struct err e = ERR_INIT;
	X509 *x = ossl_load_cert(path, &e);

	assert_non_null(x);
	return x;
}

static mode_t
mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

/* ---- what is made ---------------------------------------------------- */

/* leaf chains to the root by the certificates of its own file alone. */
static void
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

/* ---- hostile files --------------------------------------------------- */

static json_t *
load_json(const char *path)
{
	struct buf text AUTO_BUF = slurp(path);
	struct err e = ERR_INIT;
	json_t *j = json_parse(buf_bytes(&text), EXCHANGE_FILE_MAX, &e);

	assert_non_null(j);
	return j;
}

static void
set(json_t *j, const char *key, const char *value)
{
	assert_int_equal(json_object_set_new(j, key, json_string(value)), 0);
}

static char *
get(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	assert_non_null(s);
	return xstrdup(s);
}

/* The PEM of a CSR with this SAN. */
static char *
csr(EVP_PKEY *key, const char *san)
{
	AUTO(X509_NAME) name = issue_name("x", NULL, NULL);
	struct err e = ERR_INIT;
	AUTO(X509_REQ) r = issue_request(key, name, san, &e);
	struct buf pem = { 0 };

	assert_non_null(r);
	ossl_req_pem(r, &pem);
	buf_cstr(&pem);
	return (char *)pem.data;
}

static void
twist_csr_san(json_t *j, const char *san)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(char) pem = csr(key, san);

	set(j, "registrar", pem);
}

static void
twist_foreign_site(json_t *j)
{
	twist_csr_san(j, "URI:urn:waybill:site:south");
}

static void
twist_two_sites(json_t *j)
{
	twist_csr_san(
	    j, "URI:urn:waybill:site:north,URI:urn:waybill:site:south");
}

static void
twist_service(json_t *j)
{
	twist_csr_san(
	    j, "URI:urn:waybill:site:north,URI:urn:waybill:service:ra");
}

static void
twist_email(json_t *j)
{
	twist_csr_san(j, "URI:urn:waybill:site:north,email:a@b.example");
}

static void
twist_wildcard(json_t *j)
{
	twist_csr_san(j, "URI:urn:waybill:site:north,DNS:*.example");
}

static void
twist_no_san(json_t *j)
{
	twist_csr_san(j, NULL);
}

static void
twist_same_key(json_t *j)
{
	AUTO(char) box = get(j, "box");

	set(j, "link", box);
}

static void
twist_weak_key(json_t *j)
{
	AUTO(EVP_PKEY) key = EVP_EC_gen("secp256k1");
	AUTO(char) pem = csr(key, "URI:urn:waybill:site:north");

	set(j, "link", pem);
}

/* Another octet near the end is another signature. */
static void
twist_signature(json_t *j)
{
	AUTO(char) pem = get(j, "box");
	char *end = strstr(pem, "\n-----END");

	end[-8] = end[-8] == 'A' ? 'B' : 'A';
	set(j, "box", pem);
}

static void
twist_two_blocks(json_t *j)
{
	AUTO(char) pem = get(j, "box");
	struct buf two AUTO_BUF = { 0 };

	buf_printf(&two, "%s%s", pem, pem);
	set(j, "box", buf_cstr(&two));
}

static void
twist_text_before(json_t *j)
{
	AUTO(char) pem = get(j, "box");
	struct buf two AUTO_BUF = { 0 };

	buf_printf(&two, "hello\n%s", pem);
	set(j, "box", buf_cstr(&two));
}

static void
twist_name(json_t *j)
{
	set(j, "site", "../north");
}

static void
twist_other_name(json_t *j)
{
	set(j, "site", "south");
}

static void
twist_format(json_t *j)
{
	set(j, "format", "waybill-request/2");
}

static void
twist_surplus(json_t *j)
{
	set(j, "hosts", "x");
}

static void
twist_missing(json_t *j)
{
	json_object_del(j, "link");
}

static void
twist_long(json_t *j)
{
	struct buf b AUTO_BUF = { 0 };

	memset(buf_grow(&b, 20000), 'x', 20000);
	set(j, "link", buf_cstr(&b));
}

static void
hostile_requests_are_refused(void **state)
{
	static const struct {
		const char *what, *msg;
		void (*twist)(json_t *j);
		enum err_kind kind;
	} cases[] = {
		{ "another site's SAN", "that is not urn:waybill:site:north",
		    twist_foreign_site, ERR_TRUST },
		{ "two sites' SAN", "that is not urn:waybill:site:north",
		    twist_two_sites, ERR_TRUST },
		{ "a service's SAN", "that is not urn:waybill:site:north",
		    twist_service, ERR_TRUST },
		{ "an email SAN", "that is not urn:waybill:site:north",
		    twist_email, ERR_TRUST },
		{ "a wildcard", "dNSName '*.example'", twist_wildcard,
		    ERR_INPUT },
		{ "no SAN", "stands there 0 times", twist_no_san, ERR_TRUST },
		{ "one key twice", "box and link are the same key",
		    twist_same_key, ERR_TRUST },
		{ "a curve of its own", "link", twist_weak_key, ERR_INPUT },
		{ "a broken signature", "box: CSR is not signed by its key",
		    twist_signature, ERR_TRUST },
		{ "two blocks", "more than one PEM block", twist_two_blocks,
		    ERR_INPUT },
		{ "text before", "box: not PEM", twist_text_before, ERR_INPUT },
		{ "a path for a name", "is no name", twist_name, ERR_INPUT },
		{ "a name that is not in the CSRs",
		    "that is not urn:waybill:site:south", twist_other_name,
		    ERR_TRUST },
		{ "another version", "waybill-request/2", twist_format,
		    ERR_INPUT },
		{ "a key too many", "6 keys, expected 5", twist_surplus,
		    ERR_INPUT },
		{ "a key too few", "4 keys, expected 5", twist_missing,
		    ERR_INPUT },
		{ "20 000 octets", "at most 16384 octets", twist_long,
		    ERR_INPUT },
	};
	size_t i;

	(void)state;
	make_ra("ra");
	make_site("north", "north");
	for (i = 0; i < NELEMS(cases); i++) {
		AUTO(json_t) j = load_json("north/north.request");
		struct buf text AUTO_BUF = { 0 };
		struct err e = ERR_INIT;

		cases[i].twist(j);
		json_format(&text, j);
		assert_int_equal(
		    file_write("bad.request", 0600, buf_bytes(&text), &e), 0);
		if (pair_ra("ra", "bad.request", false, &e) != -1)
			fail_msg("%s: paired", cases[i].what);
		if (e.kind != cases[i].kind ||
		    strstr(e.msg, cases[i].msg) == NULL)
			fail_msg(
			    "%s: kind %d, %s", cases[i].what, e.kind, e.msg);
		assert_int_equal(access("ra/sites/north.pem", F_OK), -1);
		assert_int_equal(access("ra/sites/south.pem", F_OK), -1);
	}
	/* And the unharmed one is fine. */
	{
		struct err e = ERR_INIT;

		assert_int_equal(
		    pair_ra("ra", "north/north.request", false, &e), 0);
	}
}

/* What is of a service: 0 the RA, 1 the masa-client. */
static json_t *
service(json_t *j, size_t i)
{
	json_t *s = json_array_get(json_object_get(j, "services"), i);

	assert_non_null(s);
	return s;
}

static void
twist_address(json_t *j)
{
	set(service(j, 0), "address", "tcp://127.0.0.1:1");
}

static void
swap(json_t *a, const char *of_a, json_t *b, const char *of_b)
{
	AUTO(char) x = get(a, of_a);
	AUTO(char) y = get(b, of_b);

	set(a, of_a, y);
	set(b, of_b, x);
}

static void
twist_swap(json_t *j)
{
	swap(j, "registrar", j, "box");
}

static void
twist_service_box(json_t *j)
{
	swap(service(j, 0), "certificate", service(j, 0), "box");
}

static void
twist_services(json_t *j)
{
	swap(service(j, 0), "certificate", service(j, 1), "certificate");
}

static void
twist_boxes(json_t *j)
{
	swap(service(j, 0), "box", service(j, 1), "box");
}

static void
twist_roles(json_t *j)
{
	swap(j, "registrar", service(j, 0), "certificate");
}

static void
twist_service_name(json_t *j)
{
	set(service(j, 0), "name", "rb");
}

static void
twist_service_twice(json_t *j)
{
	AUTO(json_t) again = json_deep_copy(service(j, 0));

	assert_int_equal(
	    json_array_set(json_object_get(j, "services"), 1, again), 0);
}

static void
twist_kinds(json_t *j, size_t i, const char *kind)
{
	assert_int_equal(
	    json_object_set_new(service(j, i), "kinds",
		kind != NULL ? json_pack("[s]", kind) : json_array()),
	    0);
}

static void
twist_kind_twice(json_t *j)
{
	twist_kinds(j, 1, "cmp");
}

static void
twist_kind_unknown(json_t *j)
{
	twist_kinds(j, 1, "audit");
}

static void
twist_kinds_none(json_t *j)
{
	twist_kinds(j, 1, NULL);
}

static void
twist_no_ra(json_t *j)
{
	assert_int_equal(
	    json_array_remove(json_object_get(j, "services"), 0), 0);
}

static void
twist_no_services(json_t *j)
{
	assert_int_equal(json_array_clear(json_object_get(j, "services")), 0);
}

static void
twist_many_services(json_t *j)
{
	size_t i;

	for (i = 0; i < PAIRING_SERVICES_MAX; i++)
		assert_int_equal(
		    json_array_append(
			json_object_get(j, "services"), service(j, 0)),
		    0);
}

static void
twist_service_surplus(json_t *j)
{
	set(service(j, 1), "url", "x");
}

static void
twist_link_ca(json_t *j)
{
	AUTO(char) root = get(j, "domain-root");

	set(j, "link-ca", root);
}

static void
twist_foreign_root(json_t *j)
{
	struct buf pem AUTO_BUF = slurp("rb/domain-root.crt");

	set(j, "domain-root", (char *)pem.data);
}

static void
twist_foreign_service(json_t *j)
{
	AUTO(X509) x = cert("rb/service.crt");
	struct buf pem AUTO_BUF = { 0 };

	ossl_cert_pem(x, &pem);
	set(service(j, 0), "certificate", buf_cstr(&pem));
}

static void
twist_leaf_as_ca(json_t *j)
{
	AUTO(char) leaf = get(service(j, 0), "certificate");

	set(j, "domain-ca", leaf);
}

static void
twist_no_link(json_t *j)
{
	json_object_del(j, "link");
	set(j, "link2", "x");
}

static void
twist_old_format(json_t *j)
{
	set(j, "format", "waybill-pairing/1");
}

static void
twist_pairing_surplus(json_t *j)
{
	set(j, "hosts", "x");
}

static void
hostile_pairings_are_refused(void **state)
{
	static const struct {
		const char *what, *msg;
		void (*twist)(json_t *j);
		enum err_kind kind;
	} cases[] = {
		{ "a plain address", "tls+tcp://HOST:PORT", twist_address,
		    ERR_USAGE },
		{ "registrar and box swapped", "registrar: lacks id-kp-cmcRA",
		    twist_swap, ERR_TRUST },
		{ "service and box swapped",
		    "service ra: certificate: lacks id-kp-cmcRA",
		    twist_service_box, ERR_TRUST },
		{ "two services swapped",
		    "service ra: certificate: names 'masa'", twist_services,
		    ERR_TRUST },
		{ "their boxes swapped", "service ra: box: names 'masa'",
		    twist_boxes, ERR_TRUST },
		{ "registrar and service swapped", "registrar: ", twist_roles,
		    ERR_TRUST },
		{ "another service's name", "certificate: names 'ra'",
		    twist_service_name, ERR_TRUST },
		{ "a service twice", "service ra: stands there twice",
		    twist_service_twice, ERR_INPUT },
		{ "two that answer", "2 of them answer cmp", twist_kind_twice,
		    ERR_INPUT },
		{ "what is no kind", "masa: kinds: 'audit' is none",
		    twist_kind_unknown, ERR_INPUT },
		{ "no kind", "kinds: a list of 1 to 2", twist_kinds_none,
		    ERR_INPUT },
		{ "no RA", "none answers cmp", twist_no_ra, ERR_INPUT },
		{ "no service", "services: a list of 1 to 8", twist_no_services,
		    ERR_INPUT },
		{ "ten services", "services: a list of 1 to 8",
		    twist_many_services, ERR_INPUT },
		{ "a surplus of a service", "6 keys, expected 5",
		    twist_service_surplus, ERR_INPUT },
		{ "the root as link CA", "link: not issued by link-ca",
		    twist_link_ca, ERR_TRUST },
		{ "another root", "domain-ca: not issued by domain-root",
		    twist_foreign_root, ERR_TRUST },
		{ "another domain's service",
		    "certificate: not issued by domain-ca",
		    twist_foreign_service, ERR_TRUST },
		{ "a leaf as CA", "not issued by", twist_leaf_as_ca,
		    ERR_TRUST },
		{ "no link", "link: a text", twist_no_link, ERR_INPUT },
		{ "the old format", "expected 'waybill-pairing/2'",
		    twist_old_format, ERR_INPUT },
		{ "a surplus", "10 keys, expected 9", twist_pairing_surplus,
		    ERR_INPUT },
	};
	size_t i;

	(void)state;
	make_pair();
	make_ra("rb");
	for (i = 0; i < NELEMS(cases); i++) {
		AUTO(json_t) j = load_json("north/north.pairing");
		struct buf text AUTO_BUF = { 0 };
		struct err e = ERR_INIT;

		cases[i].twist(j);
		json_format(&text, j);
		assert_int_equal(
		    file_write("bad.pairing", 0600, buf_bytes(&text), &e), 0);
		if (init_site_pair("north", "bad.pairing", true, &e) != -1)
			fail_msg("%s: installed", cases[i].what);
		if (e.kind != cases[i].kind ||
		    strstr(e.msg, cases[i].msg) == NULL)
			fail_msg(
			    "%s: kind %d, %s", cases[i].what, e.kind, e.msg);
		assert_int_equal(access("north/registrar.crt", F_OK), -1);
		assert_int_equal(access("north/domain-root.crt", F_OK), -1);
		assert_int_equal(access("north/registrar.yaml", F_OK), -1);
	}
	install();
}

static void
a_fingerprint_is_sha256_in_groups(void **state)
{
	char fp[FINGERPRINT_LEN];

	(void)state;
	assert_string_equal(fingerprint_format(fp, bytes_of("abc", 3)),
	    "BA78 16BF 8F01 CFEA 4141 40DE 5DAE 2223 "
	    "B003 61A3 9617 7A9C B410 FF61 F200 15AD");
}

#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, enter, leave)

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
		IN_FOLDER(a_second_run_keeps_what_is_there),
		IN_FOLDER(what_was_cut_short_is_completed),
		IN_FOLDER(a_root_key_may_live_elsewhere_a_service_key_not),
		IN_FOLDER(a_folder_keeps_its_name),
		IN_FOLDER(pairing_again_needs_the_word),
		IN_FOLDER(another_domain_is_refused),
		IN_FOLDER(a_pairing_for_other_keys_is_refused),
		IN_FOLDER(wrong_options_make_nothing),
		IN_FOLDER(a_folder_too_long_for_sockets_is_refused),
		IN_FOLDER(hostile_requests_are_refused),
		IN_FOLDER(hostile_pairings_are_refused),
		cmocka_unit_test(a_fingerprint_is_sha256_in_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
