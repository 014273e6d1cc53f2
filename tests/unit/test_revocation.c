/* What makers' lists say of a chain, and what is done if they do not. */
#include "cmp_fixture.h"

#include "common/base/file.h"
#include "common/pki/certfacts.h"
#include "common/pki/revocation.h"

#define NOW  UINT64_C(1795327200)
#define WEEK UINT64_C(604800)

static char dir[] = "/tmp/test_revocation.XXXXXX";

static const char *
path_of(const char *name)
{
	static char paths[8][80];
	static unsigned next;
	char *ret = paths[next++ % 8];

	snprintf(ret, sizeof(paths[0]), "%s/%s", dir, name);
	return ret;
}

static void
save(const char *name, struct bytes octets)
{
	struct err e = ERR_INIT;

	assert_int_equal(file_write(path_of(name), 0600, octets, &e), 0);
}

static void
save_cert(const char *name, X509 *x)
{
	struct buf pem AUTO_BUF = { 0 };

	ossl_cert_pem(x, &pem);
	save(name, buf_bytes(&pem));
}

/* A list of this authority's; revokes NULL: nobody. */
static void
save_list(const char *name, X509 *by, EVP_PKEY *key, X509 *revokes)
{
	struct buf tbs AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };
	struct buf der AUTO_BUF = { 0 };
	const ASN1_INTEGER *n =
	    X509_get0_serialNumber(revokes != NULL ? revokes : by);
	struct crl_entry en = { .serial = bytes_of(ASN1_STRING_get0_data(n),
				    (size_t)ASN1_STRING_length(n)),
		.when = NOW };
	struct crl_spec spec = { .this_update = NOW,
		.next_update = NOW + WEEK,
		.number = 1,
		.entries = &en,
		.n = revokes != NULL };
	struct err e = ERR_INIT;

	assert_int_equal(crl_tbs(&spec, by, &tbs, &e), 0);
	assert_int_equal(
	    sign_octets(key, buf_bytes(&tbs), "list", &sig, &e), 0);
	assert_int_equal(
	    crl_finish(buf_bytes(&tbs), buf_bytes(&sig), by, &der, &e), 0);
	save(name, buf_bytes(&der));
}

static int
setup(void **state)
{
	struct fixture *f;

	if (fixture_setup(state) != 0 || mkdtemp(dir) == NULL)
		return -1;
	f = *state;
	save_cert("root.crt", f->root);
	save_cert("sub.crt", f->sub);
	save_list("none.crl", f->sub, f->sub_key, NULL);
	save_list("device.crl", f->sub, f->sub_key, f->device->cert);
	save_list("sub.crl", f->root, f->root_key, f->sub);
	return 0;
}

static int
teardown(void **state)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	if (system(cmd) != 0)
		return -1;
	return fixture_teardown(state);
}

/* Of the device below sub and root. */
static int
check(struct fixture *f, const char *const *lists, size_t n,
    enum revocation_unknown u, uint64_t now, enum revocation_word *ret,
    struct err *e)
{
	AUTO(revocation) r = revocation_new();
	STACK_OF(X509) *chain = sk_X509_new_null();
	struct revocation_vendor v = { .name = "acme",
		.anchor = path_of("root.crt"),
		.sub_ca = path_of("sub.crt"),
		.lists = lists,
		.n = n,
		.unknown = u };
	int rc;

	if (revocation_add(r, &v, e) == -1)
		fail_msg("%s", e->msg);
	assert_int_equal(revocation_asks(r, "acme"), n > 0);
	assert_false(revocation_asks(r, "other"));
	sk_X509_push(chain, f->device->cert);
	sk_X509_push(chain, f->sub);
	sk_X509_push(chain, f->root);
	rc = revocation_check(r, "acme", chain, now, ret, e);
	sk_X509_free(chain);
	return rc;
}

static void
lists_decide(void **state)
{
	static const struct {
		const char *what, *lists[2];
		enum revocation_unknown u;
		uint64_t now;
		int rc;
		enum revocation_word w;
		const char *why;
	} cases[] = {
		{ "no lists", { NULL }, REVOCATION_REFUSE, NOW, 0,
		    REVOCATION_NOT_ASKED, NULL },
		{ "good", { "none.crl" }, REVOCATION_REFUSE, NOW, 0,
		    REVOCATION_GOOD, NULL },
		{ "revoked", { "device.crl" }, REVOCATION_ACCEPT, NOW, -1, 0,
		    "certificate: revoked" },
		{ "revoked, says a stale list", { "device.crl" },
		    REVOCATION_ACCEPT, NOW + 2 * WEEK, -1, 0,
		    "certificate: revoked" },
		{ "its authority", { "none.crl", "sub.crl" }, REVOCATION_ACCEPT,
		    NOW, -1, 0, "an authority of it: revoked" },
		{ "stale, accepted", { "none.crl" }, REVOCATION_ACCEPT,
		    NOW + 2 * WEEK, 0, REVOCATION_UNKNOWN, NULL },
		{ "stale, held", { "none.crl" }, REVOCATION_WAIT,
		    NOW + 2 * WEEK, 0, REVOCATION_HELD, NULL },
		{ "no clock, held", { "none.crl" }, REVOCATION_WAIT, 0, 0,
		    REVOCATION_HELD, NULL },
		{ "stale, refused", { "none.crl" }, REVOCATION_REFUSE,
		    NOW + 2 * WEEK, -1, 0, "nobody knows" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < NELEMS(cases); i++) {
		enum revocation_word w = 77;
		const char *lists[2];
		struct err e = ERR_INIT;
		size_t n = 0;
		int rc;

		for (; n < 2 && cases[i].lists[n] != NULL; n++)
			lists[n] = path_of(cases[i].lists[n]);
		rc = check(f, lists, n, cases[i].u, cases[i].now, &w, &e);
		if (rc != cases[i].rc || (rc == 0 && w != cases[i].w) ||
		    (rc == -1 && strstr(e.msg, cases[i].why) == NULL))
			fail_msg("%s: %d %d %s", cases[i].what, rc, w, e.msg);
		if (rc == -1) {
			assert_int_equal(e.kind, ERR_POLICY);
			assert_int_equal(e.fail, CMP_NOT_AUTHORIZED);
			assert_int_equal(w, 77);
		}
	}
}

static void
lists_of_strangers_are_refused(void **state)
{
	const char *lists[] = { path_of("device.crl") };
	AUTO(revocation) r = revocation_new();
	struct revocation_vendor v = { .name = "acme",
		.anchor = path_of("root.crt"),
		.lists = lists,
		.n = 1 };
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(X509) other = fixture_cert("sub", key, NULL, key);
	struct err e = ERR_INIT;

	(void)state;
	/* The sub-CA that signed it is not told. */
	assert_int_equal(revocation_add(r, &v, &e), -1);
	assert_non_null(strstr(e.msg, "vendors.acme.crl"));
	/* Nor does one of its name, that the anchor never certified. */
	save_cert("other.crt", other);
	v.sub_ca = path_of("other.crt");
	assert_int_equal(revocation_add(r, &v, &e), -1);
	assert_non_null(strstr(e.msg, "did not certify"));
	v.sub_ca = path_of("sub.crt");
	lists[0] = path_of("absent.crl");
	assert_int_equal(revocation_add(r, &v, &e), -1);
	assert_false(revocation_asks(r, "acme"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_decide),
		cmocka_unit_test(lists_of_strangers_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
