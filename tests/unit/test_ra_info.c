/* What the RA tells of itself: the list of revoked certificates. */
#include "tests/unit/crl_lab.h"

#include "common/pki/cmp_der.h"
#include "ra/info.h"

#define TOLD_AT 1700000000

static int
setup(void **state)
{
	*state = lab_new();
	return 0;
}

static int
teardown(void **state)
{
	lab_free(*state);
	return 0;
}

static void
told(const struct ra *r, struct bytes status, struct buf *out)
{
	struct cmp_info asked = { .type = CMP_INFO_CRL_STATUS,
		.value = status };
	struct err e = ERR_INIT;

	buf_reset(out);
	if (info_answer(r, &asked, "", out, &e) == -1)
		fail_msg("%s", e.msg);
}

/* RFC 9483 4.3.4 */
static void
a_list_is_told_to_who_names_its_issuer_and_has_none_as_new(void **state)
{
	const struct lab *l = *state;
	const struct {
		const struct lab_ca *of;
		uint64_t theirs;
		bool told;
	} cases[] = { { &l->ca, 0, true }, { &l->ca, TOLD_AT - 1, true },
		{ &l->ca, TOLD_AT, false }, { &l->root, 0, false },
		{ &l->vendor, 0, false } };
	struct buf status AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
	struct ra r = { .crl = { 0 } };

	cmp_info_crl_status(X509_get_subject_name(l->ca.cert), 0, &status);
	told(&r, buf_bytes(&status), &out); /* there is none yet */
	assert_int_equal(out.len, 0);
	lab_crl(&l->ca, NULL, TOLD_AT, TOLD_AT + 86400, &r.crl);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		buf_reset(&status);
		cmp_info_crl_status(X509_get_subject_name(cases[i].of->cert),
		    cases[i].theirs, &status);
		told(&r, buf_bytes(&status), &out);
		assert_int_equal(out.len > r.crl.len, cases[i].told);
	}
	buf_done(&r.crl);
}

/* The issuer [1], as a list of names or as one by itself; a distribution point
 * [0] is none of ours. */
static void
an_issuer_is_read_in_both_forms(void **state)
{
	const struct lab *l = *state;
	struct buf name AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
	struct ra r = { .crl = { 0 } };

	lab_crl(&l->ca, NULL, TOLD_AT, TOLD_AT + 86400, &r.crl);
	ossl_name_der(X509_get_subject_name(l->ca.cert), &name);
	der_close(&name, 0, DER_CTX(4)); /* directoryName */
	for (int form = 0; form < 3; form++) {
		struct buf status AUTO_BUF = bytes_dup(buf_bytes(&name));

		if (form != 1)
			der_close(&status, 0, DER_SEQ); /* GeneralNames */
		der_close(&status, 0, form < 2 ? DER_CTX(1) : DER_CTX(0));
		der_close(&status, 0, DER_SEQ); /* CRLStatus */
		der_close(&status, 0, DER_SEQ);
		told(&r, buf_bytes(&status), &out);
		assert_int_equal(out.len > r.crl.len, form < 2);
	}
	buf_done(&r.crl);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_list_is_told_to_who_names_its_issuer_and_has_none_as_new),
		T(an_issuer_is_read_in_both_forms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
