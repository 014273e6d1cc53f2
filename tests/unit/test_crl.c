/* Lists of revoked certificates: made, read, and asked. */
#include "cmp_fixture.h"

#include <unistd.h>

#include "common/base/file.h"
#include "common/pki/cmp_msg.h"
#include "common/pki/crl.h"

#define NOW  UINT64_C(1795327200)
#define WEEK UINT64_C(604800)

static struct bytes
serial_of(X509 *x, struct buf *in)
{
	struct der d;

	cmp_add_serial(x, DER_INTEGER, in);
	d = der_open(buf_bytes(in));
	return der_value(&d, DER_INTEGER);
}

/* A list by sub's key that revokes f->issued, or nothing. */
static void
make_list(struct fixture *f, uint64_t from, bool revokes, struct buf *ret)
{
	struct buf serial AUTO_BUF = { 0 }, tbs AUTO_BUF = { 0 };
	struct buf sig AUTO_BUF = { 0 };
	struct crl_entry en = { .serial = serial_of(f->issued, &serial),
		.when = from,
		.reason = 1 };
	struct crl_spec spec = { .this_update = from,
		.next_update = from + WEEK,
		.number = from,
		.entries = &en,
		.n = revokes ? 1 : 0 };
	struct err e = ERR_INIT;

	assert_int_equal(crl_tbs(&spec, f->sub, &tbs, &e), 0);
	assert_int_equal(
	    sign_octets(f->sub_key, buf_bytes(&tbs), "list", &sig, &e), 0);
	assert_int_equal(
	    crl_finish(buf_bytes(&tbs), buf_bytes(&sig), f->sub, ret, &e), 0);
}

static STACK_OF(X509) * issuers_of(X509 *x)
{
	STACK_OF(X509) *s = sk_X509_new_null();

	X509_up_ref(x);
	sk_X509_push(s, x);
	return s;
}

static struct crls *
holding(struct fixture *f, uint64_t from, bool revokes)
{
	struct buf der AUTO_BUF = { 0 };
	AUTO(X509S) issuers = issuers_of(f->sub);
	struct crls *c = crls_new();
	struct err e = ERR_INIT;

	make_list(f, from, revokes, &der);
	assert_int_equal(crls_add(c, buf_bytes(&der), issuers, &e), 1);
	return c;
}

static void
a_revoked_certificate_is_found(void **state)
{
	struct fixture *f = *state;
	AUTO(crls) c = holding(f, NOW, true);
	char why[80];

	assert_int_equal(
	    crls_ask(c, f->issued, NOW + 5, why, sizeof(why)), CRL_REVOKED);
	assert_string_equal(
	    why, "revoked, says the list of 2026-11-22T06:00:00Z");
	assert_int_equal(
	    crls_ask(c, f->device->cert, NOW + 5, NULL, 0), CRL_GOOD);
	/* Another issuer's certificates are not its to judge. */
	assert_int_equal(
	    crls_ask(c, f->sub, NOW + 5, why, sizeof(why)), CRL_UNKNOWN);
}

static void
a_stale_list_does_not_clear_anybody(void **state)
{
	struct fixture *f = *state;
	AUTO(crls) c = holding(f, NOW, true);
	static const uint64_t wrong[] = { 0, NOW - 1, NOW + WEEK + 1 };

	for (size_t i = 0; i < NELEMS(wrong); i++) {
		assert_int_equal(
		    crls_ask(c, f->device->cert, wrong[i], NULL, 0),
		    CRL_UNKNOWN);
		assert_int_equal(
		    crls_ask(c, f->issued, wrong[i], NULL, 0), CRL_REVOKED);
	}
}

static void
the_newest_list_counts(void **state)
{
	struct fixture *f = *state;
	AUTO(crls) c = holding(f, NOW, true);
	struct buf older AUTO_BUF = { 0 }, newer AUTO_BUF = { 0 };
	AUTO(X509S) issuers = issuers_of(f->sub);
	struct err e = ERR_INIT;

	make_list(f, NOW - 60, false, &older);
	make_list(f, NOW + 60, false, &newer);
	assert_int_equal(crls_add(c, buf_bytes(&older), issuers, &e), 0);
	assert_int_equal(
	    crls_ask(c, f->issued, NOW + 90, NULL, 0), CRL_REVOKED);
	assert_int_equal(crls_add(c, buf_bytes(&newer), issuers, &e), 1);
	assert_int_equal(crls_ask(c, f->issued, NOW + 90, NULL, 0), CRL_GOOD);
}

static void
who_may_not_speak_is_not_heard(void **state)
{
	struct fixture *f = *state;
	struct buf der AUTO_BUF = { 0 };
	AUTO(crls) c = crls_new();
	AUTO(X509S) root = issuers_of(f->root);
	AUTO(X509S) sub = issuers_of(f->sub);
	struct err e = ERR_INIT;

	make_list(f, NOW, true, &der);
	assert_int_equal(crls_add(c, buf_bytes(&der), root, &e), -1);
	assert_int_equal(e.kind, ERR_TRUST);
	der.data[der.len - 1] ^= 1;
	assert_int_equal(crls_add(c, buf_bytes(&der), sub, &e), -1);
	der.data[der.len - 1] ^= 1;
	assert_int_equal(
	    crls_add(c, bytes_of(der.data, der.len - 1), sub, &e), -1);
	assert_int_equal(crls_ask(c, f->issued, NOW, NULL, 0), CRL_UNKNOWN);
}

static void
an_empty_list_has_no_entries(void **state)
{
	struct fixture *f = *state;
	struct buf der AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	uint64_t from, to;

	make_list(f, NOW, false, &der);
	{
		AUTO(X509_CRL) crl = crl_parse(buf_bytes(&der), &e);

		assert_non_null(crl);
		assert_null(X509_CRL_get_REVOKED(crl));
		assert_int_equal(crl_dates(crl, &from, &to, &e), 0);
		assert_int_equal(from, NOW);
		assert_int_equal(to, NOW + WEEK);
	}
}

static void
lists_in_files(void **state)
{
	struct fixture *f = *state;
	struct buf der AUTO_BUF = { 0 }, pem AUTO_BUF = { 0 };
	char path[] = "/tmp/test_crl.XXXXXX";
	AUTO(crls) c = crls_new();
	AUTO(X509S) issuers = issuers_of(f->sub);
	struct err e = ERR_INIT;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	make_list(f, NOW, true, &der);
	assert_int_equal(write(fd, der.data, der.len), (ssize_t)der.len);
	close(fd);
	assert_int_equal(crls_load(c, path, issuers, &e), 1);
	assert_int_equal(crls_ask(c, f->issued, NOW, NULL, 0), CRL_REVOKED);
	/* A file of something else tells nothing. */
	assert_int_equal(
	    file_write(path, 0600, bytes_of("\x30\x03xyz", 5), &e), 0);
	assert_int_equal(crls_load(c, path, issuers, &e), -1);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_revoked_certificate_is_found),
		cmocka_unit_test(a_stale_list_does_not_clear_anybody),
		cmocka_unit_test(the_newest_list_counts),
		cmocka_unit_test(who_may_not_speak_is_not_heard),
		cmocka_unit_test(an_empty_list_has_no_entries),
		cmocka_unit_test(lists_in_files),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
