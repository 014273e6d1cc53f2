/* Which keys `waybill init ra` makes for the domain's root and CA. */
#include "init_lab.h"

static int
make(const char *folder, const char *kind, struct err *e)
{
	struct ra_options o = RA_OPTIONS_INIT;

	o.dir = folder;
	o.hosts = hosts;
	o.no_masa = true;
	o.quiet = true;
	if (kind != NULL)
		o.ca_key = kind;
	return init_ra(&o, e);
}

static void
expect_key(const char *folder, const char *name, int type, int bits)
{
	char path[64];
	EVP_PKEY *key;

	snprintf(path, sizeof(path), "%s/%s.crt", folder, name);
	AUTO(X509) x = cert(path);

	key = X509_get0_pubkey(x);
	if (EVP_PKEY_get_base_id(key) != type || EVP_PKEY_get_bits(key) != bits)
		fail_msg("%s: type %d, %d bits", path,
		    EVP_PKEY_get_base_id(key), EVP_PKEY_get_bits(key));
}

static void
kinds(void **state)
{
	static const struct {
		const char *kind;
		int type, bits;
	} cases[] = {
		{ NULL, EVP_PKEY_EC, 256 },
		{ "p256", EVP_PKEY_EC, 256 },
		{ "p384", EVP_PKEY_EC, 384 },
		{ "rsa3072", EVP_PKEY_RSA, 3072 },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct err e = ERR_INIT;
		char folder[16], leaf[64], root[64];

		snprintf(folder, sizeof(folder), "ra%zu", i);
		assert_int_equal(make(folder, cases[i].kind, &e), 0);
		expect_key(folder, "domain-root", cases[i].type, cases[i].bits);
		expect_key(folder, "domain-ca", cases[i].type, cases[i].bits);
		/* What services and links have is theirs. */
		expect_key(folder, "service", EVP_PKEY_EC, 256);
		expect_key(folder, "link-ca", EVP_PKEY_EC, 256);
		snprintf(leaf, sizeof(leaf), "%s/service.crt", folder);
		snprintf(root, sizeof(root), "%s/domain-root.crt", folder);
		assert_chains(leaf, root);
	}
}

/* Before the first file. */
static void
others_are_refused(void **state)
{
	static const char *const odd[] = { "rsa", "ed25519", "P384", "" };

	(void)state;
	for (size_t i = 0; i < NELEMS(odd); i++) {
		struct err e = ERR_INIT;

		assert_int_equal(make("no", odd[i], &e), -1);
		assert_int_equal(e.kind, ERR_USAGE);
		assert_non_null(strstr(e.msg, "p256, p384 or rsa3072"));
		assert_int_equal(access("no/domain-root.key", F_OK), -1);
	}
}

/* Keys are made once. */
static void
kept(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(make("ra", "p384", &e), 0);
	assert_int_equal(make("ra", "rsa3072", &e), 0);
	expect_key("ra", "domain-ca", EVP_PKEY_EC, 384);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(kinds, enter, leave),
		cmocka_unit_test_setup_teardown(
		    others_are_refused, enter, leave),
		cmocka_unit_test_setup_teardown(kept, enter, leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
