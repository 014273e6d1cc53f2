/* Certificate profiles: what may be asked for, and what is granted of it. */
#include "tests/unit/ra_lab.h"

#include "ra/profile.h"

static char name[] = "plant", organization[] = "Plant", unit[] = "Pumps";
static char fixed[] = "gate", usage[] = "digitalSignature,keyAgreement";
static char client[] = "clientAuth";
static char hosts[] = "DNS:*.plant.example", nets[] = "IP:10.*",
	    urns[] = "URI:urn:dev:*";
static char *purposes[] = { client };
static char *patterns[] = { hosts, nets, urns };

static struct profile
profile(void)
{
	return (struct profile){ .name = name,
		.organization = organization,
		.key_usage = usage,
		.ext_key_usage = { purposes, 1 },
		.others = PROFILE_OTHERS_REFUSE };
}

/* ---- requests ---------------------------------------------------------- */

/* The contents of Extensions with one in it, as the reader gives them. */
static struct bytes
extension(int nid, const char *text, struct buf *out)
{
	X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, NULL, nid, text);
	unsigned char *der = NULL;
	int len;

	assert_non_null(x);
	len = i2d_X509_EXTENSION(x, &der);
	assert_true(len > 0);
	buf_add(out, der, (size_t)len);
	OPENSSL_free(der);
	X509_EXTENSION_free(x);
	return buf_bytes(out);
}

/* ---- extensions -------------------------------------------------------- */

struct wish {
	const char *what;
	int nid;
	const char *text;
	bool copy; /* SAN are copied */
	bool granted;
	const char *san;
};

static const struct wish wishes[] = {
	{ "a host", NID_subject_alt_name, "DNS:a.plant.example", true, true,
	    "DNS:a.plant.example" },
	{ "two", NID_subject_alt_name, "DNS:a.plant.example,IP:10.1.2.3", true,
	    true, "DNS:a.plant.example,IP:10.1.2.3" },
	{ "a URI", NID_subject_alt_name, "URI:urn:dev:ops:1", true, true,
	    "URI:urn:dev:ops:1" },
	{ "none is copied", NID_subject_alt_name, "DNS:a.plant.example", false,
	    false, "" },
	{ "another host", NID_subject_alt_name, "DNS:a.bank.example", true,
	    false, "" },
	{ "one of two", NID_subject_alt_name,
	    "DNS:a.plant.example,DNS:a.bank.example", true, false, "" },
	{ "another net", NID_subject_alt_name, "IP:192.168.1.1", true, false,
	    "" },
	{ "mail", NID_subject_alt_name, "email:a@plant.example", true, false,
	    "" },
	{ "a site's name", NID_subject_alt_name, "URI:urn:waybill:site:x", true,
	    false, "" },
	{ "less usage", NID_key_usage, "digitalSignature", true, true, "" },
	{ "its usage", NID_key_usage, "digitalSignature,keyAgreement", true,
	    true, "" },
	{ "more usage", NID_key_usage, "digitalSignature,keyCertSign", true,
	    false, "" },
	{ "its purpose", NID_ext_key_usage, "clientAuth", true, true, "" },
	{ "another purpose", NID_ext_key_usage, "clientAuth,serverAuth", true,
	    false, "" },
	{ "to be no CA", NID_basic_constraints, "CA:FALSE", true, true, "" },
	{ "to be a CA", NID_basic_constraints, "CA:TRUE", true, false, "" },
	{ "a comment", NID_netscape_comment, "x", true, false, "" },
};

static void
wish(const struct wish *w, enum profile_others others)
{
	bool refused = !w->granted && others == PROFILE_OTHERS_REFUSE;
	struct profile p = profile();
	struct profile_grant g = { .subject = NULL };
	struct buf der AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	struct cmp_request r = { .pubkey = key,
		.extensions = extension(w->nid, w->text, &der) };
	int rc;

	p.others = (int)others;
	p.san = w->copy ? PROFILE_SAN_COPY : PROFILE_SAN_NONE;
	p.san_allowed = (struct conf_strs){ patterns, NELEMS(patterns) };
	rc = profile_apply(&p, &r, "WB-1", NULL, &g, &e);
	if (rc != (refused ? -1 : 0))
		fail_msg("%s: %d: %s", w->what, rc, e.msg);
	if (refused) {
		assert_int_equal(e.fail, CMP_BAD_CERT_TEMPLATE);
		assert_null(g.subject);
		return;
	}
	if (strcmp(buf_cstr(&g.san), w->san) != 0)
		fail_msg("%s: %s", w->what, buf_cstr(&g.san));
	if (g.modified != (!w->granted && others == PROFILE_OTHERS_DROP))
		fail_msg("%s: modified %d", w->what, g.modified);
	profile_grant_done(&g);
}

static void
test_extensions(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEMS(wishes); i++) {
		wish(&wishes[i], PROFILE_OTHERS_REFUSE);
		wish(&wishes[i], PROFILE_OTHERS_DROP);
		wish(&wishes[i], PROFILE_OTHERS_IGNORE);
	}
}

static void
test_extensions_malformed(void **state)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	struct cmp_request r = { .pubkey = key,
		.extensions = bytes_of("\x30\x01", 2) };
	struct profile p = profile();
	struct profile_grant g = { .subject = NULL };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(profile_apply(&p, &r, "WB-1", NULL, &g, &e), -1);
	assert_int_equal(e.fail, CMP_BAD_CERT_TEMPLATE);
}

/* ---- subjects ---------------------------------------------------------- */

static void
test_subjects(void **state)
{
	static const struct {
		enum profile_cn cn;
		const char *asked, *want, *unit;
	} cases[] = {
		{ PROFILE_CN_REQUEST, "pump",
		    "serialNumber=WB-1,CN=pump,O=Plant", NULL },
		{ PROFILE_CN_REQUEST, NULL, "serialNumber=WB-1,CN=WB-1,O=Plant",
		    NULL },
		{ PROFILE_CN_SERIAL, "pump",
		    "serialNumber=WB-1,CN=WB-1,O=Plant", NULL },
		{ PROFILE_CN_FIXED, "pump",
		    "serialNumber=WB-1,CN=gate,OU=Pumps,O=Plant", unit },
	};
	AUTO(EVP_PKEY) key = ossl_new_key_p256();

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		AUTO(X509_NAME) asked =
		    issue_name(cases[i].asked, "Other", NULL);
		struct cmp_request r = { .pubkey = key, .subject = asked };
		struct profile p = profile();
		struct profile_grant g = { .subject = NULL };
		struct err e = ERR_INIT;
		AUTO(BIO) out = BIO_new(BIO_s_mem());
		char text[200] = "";

		p.cn = (int)cases[i].cn;
		p.common_name = fixed;
		p.unit = (char *)cases[i].unit;
		assert_int_equal(
		    profile_apply(&p, &r, "WB-1", NULL, &g, &e), 0);
		X509_NAME_print_ex(out, g.subject, 0, XN_FLAG_RFC2253);
		BIO_read(out, text, sizeof(text) - 1);
		assert_string_equal(text, cases[i].want);
		/* It was asked for O=Other. */
		assert_true(g.modified);
		profile_grant_done(&g);
	}
}

/* ---- keys -------------------------------------------------------------- */

static void
test_keys(void **state)
{
	static const char *const kinds[] = { "p256", "p384", "p521", "rsa",
		"ed25519", "ed448" };
	char only[] = "p384";
	char *keys[] = { only };

	(void)state;
	for (size_t i = 0; i < NELEMS(kinds); i++) {
		struct err e = ERR_INIT;
		AUTO(EVP_PKEY) key = ossl_new_key(kinds[i], &e);
		struct cmp_request r = { .pubkey = key };
		struct profile p = profile();
		struct profile_grant g = { .subject = NULL };
		bool taken = strcmp(kinds[i], only) == 0;

		assert_non_null(key);
		assert_string_equal(profile_key_kind(key), kinds[i]);
		assert_int_equal(
		    profile_apply(&p, &r, "WB-1", NULL, &g, &e), 0);
		profile_grant_done(&g);
		p.keys = (struct conf_strs){ keys, NELEMS(keys) };
		assert_int_equal(profile_apply(&p, &r, "WB-1", NULL, &g, &e),
		    taken ? 0 : -1);
		if (!taken)
			assert_int_equal(
			    e.fail, CMP_BAD_ALG | CMP_BAD_CERT_TEMPLATE);
		profile_grant_done(&g);
	}
}

static void
test_no_such_kind_of_key(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_null(ossl_new_key("dsa", &e));
	assert_int_equal(e.kind, ERR_USAGE);
}

/* ---- which, and their configuration ------------------------------------ */

static void
test_found_by_name(void **state)
{
	struct profile plain = { .key_usage = usage }, v[] = { profile() };
	struct conf_list list = { v, NELEMS(v) };
	struct err e = ERR_INIT;

	(void)state;
	assert_ptr_equal(profile_find(&list, &plain, "", &e), &plain);
	assert_ptr_equal(profile_find(&list, &plain, "plant", &e), &v[0]);
	assert_null(profile_find(&list, &plain, "Plant", &e));
	assert_int_equal(e.fail, CMP_BAD_REQUEST);
	assert_non_null(strstr(e.msg, "'Plant'"));
}

static void
test_configuration(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} cases[] = {
		{ "name: a\n", true },
		{ "name: a\nkeys: [p256, rsa]\n", true },
		{ "name: a\nkeys: [dsa]\n", false },
		{ "name: a\nkey-usage: keyAgreement\n", false },
		{ "name: a\nkey-usage: digitalSignature,keyCertSign\n", false },
		{ "name: a\next-key-usage: [1.3.6.1.5.5.7.3.2]\n", true },
		{ "name: a\next-key-usage: [nothing at all]\n", false },
		{ "name: a\nsan-allowed: [email:*]\n", false },
		{ "name: a\nmax-live: 33\n", false },
		{ "cn: serial\n", false },
	};
	struct lab *lab = lab_new();

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct profile p = { .name = NULL };
		struct err e = ERR_INIT;

		lab_write(lab, "p.yaml",
		    bytes_of(cases[i].text, strlen(cases[i].text)));
		if (conf_load(lab_path(lab, "p.yaml"), profile_table, &p, &e) !=
		    (cases[i].ok ? 0 : -1))
			fail_msg("%s: %s", cases[i].text, e.msg);
		if (cases[i].ok)
			conf_free(profile_table, &p);
	}
	lab_free(lab);
}

static void
test_list(void **state)
{
	struct profile twice[] = { profile(), profile() };
	struct profile odd[] = { profile() };
	struct conf_list list = { twice, 2 }, one = { odd, 1 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(profile_check(&list, &e), -1);
	assert_int_equal(profile_check(&one, &e), 0);
	odd[0].cn = PROFILE_CN_FIXED;
	assert_int_equal(profile_check(&one, &e), -1);
}

/* Sites are told of each under its name. */
static void
test_names(void **state)
{
	static const struct {
		const char *name;
		bool ok;
	} cases[] = {
		{ "plant", true },
		{ "Plant_2.a-b", true },
		{ "1234567890123456789012345678901234567890123456789012345",
		    true },
		{ "12345678901234567890123456789012345678901234567890123456",
		    false },
		{ "a b", false },
		{ "a/b", false },
		{ ".hidden", false },
		{ "gr\303\266\303\237e", false },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct profile p[] = { profile() };
		struct conf_list list = { p, 1 };
		struct err e = ERR_INIT;

		p[0].name = (char *)(uintptr_t)cases[i].name;
		if (profile_check(&list, &e) != (cases[i].ok ? 0 : -1))
			fail_msg("%s: %s", cases[i].name, e.msg);
		assert_int_equal(strstr(e.msg, "a name has 1 to 55 of") != NULL,
		    !cases[i].ok);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_extensions),
		cmocka_unit_test(test_extensions_malformed),
		cmocka_unit_test(test_subjects),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_no_such_kind_of_key),
		cmocka_unit_test(test_found_by_name),
		cmocka_unit_test(test_configuration),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
