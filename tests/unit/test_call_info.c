/* genm: what is told from reference data, in which words, and what travels. */
#include "tests/unit/reference_lab.h"

#define TOLD_AT 1700000000

static struct signer *ldevid;

static int
setup(void **state)
{
	int rc = reg_lab_setup(state);
	struct reg_lab *g = *state;

	ldevid = lab_device(&g->l->ca, "WB-0001");
	return rc;
}

static int
teardown(void **state)
{
	signer_free(ldevid);
	return reg_lab_teardown(state);
}

/* ---- asking ------------------------------------------------------------ */

static struct cmp_msg *
ask(struct reg_lab *g, const char *path, enum cmp_info_type type,
    struct bytes value)
{
	struct buf body AUTO_BUF = { 0 }, request AUTO_BUF = { 0 };

	cmp_body_info(CMP_GENM, type, value, &body);
	reg_first(ldevid, buf_bytes(&body), &request);
	return reg_cmp_at(g, ldevid, path, &request);
}

static void
expect_told(
    const struct cmp_msg *m, enum cmp_info_type type, struct bytes value)
{
	struct cmp_info told = { 0 };
	struct err e = ERR_INIT;

	if (cmp_body(m) != CMP_GENP || cmp_read_info(m, &told, &e) == -1)
		fail_msg("%s: %s", cmp_body_name(cmp_body(m)), e.msg);
	assert_int_equal(told.type, type);
	assert_true(bytes_eq(told.value, value));
}

#define NOTHING bytes_of(NULL, 0)

static void
what_is_here_is_told(void **state)
{
	struct reg_lab *g = *state;
	STACK_OF(X509) *certs = sk_X509_new_null();
	struct buf cas AUTO_BUF = { 0 };
	const uint8_t plain[] = { 0x30, 0x02, 0x05, 0x00 };
	const uint8_t other[] = { 0x30, 0x03, 0x02, 0x01, 0x07 };

	sk_X509_push(certs, g->l->ca.cert);
	sk_X509_push(certs, g->l->root.cert);
	cmp_info_certs(certs, &cas);
	sk_X509_free(certs);
	reg_start(g, NULL);
	ref_publish(g, "ca-certs", buf_bytes(&cas));
	ref_publish(g, "template", bytes_of(plain, sizeof(plain)));
	ref_publish(g, "template/relay", bytes_of(other, sizeof(other)));
	ref_restart(g, NULL);
	AUTO(cmp_msg) a =
	    ask(g, REG_CMP "/getcacerts", CMP_INFO_CA_CERTS, NOTHING);
	expect_told(a, CMP_INFO_CA_CERTS, buf_bytes(&cas));
	AUTO(cmp_msg) b = ask(g, REG_CMP, CMP_INFO_TEMPLATE, NOTHING);
	expect_told(b, CMP_INFO_TEMPLATE, bytes_of(plain, sizeof(plain)));
	AUTO(cmp_msg) c = ask(g, REG_CMP "/p/relay/getcertreqtemplate",
	    CMP_INFO_TEMPLATE, NOTHING);
	expect_told(c, CMP_INFO_TEMPLATE, bytes_of(other, sizeof(other)));
	/* Nothing of it is kept; each was told with its age. */
	assert_int_equal(reg_next_id(g), 1);
	assert_int_equal(reg_logged(g, "event=cmp.told"), 3);
	assert_int_equal(reg_logged(g, "what=template/relay age="), 1);
	/* Of that profile nothing is known here: the RA is asked. */
	AUTO(cmp_msg) d =
	    ask(g, REG_CMP "/p/meter", CMP_INFO_TEMPLATE, NOTHING);
	reg_expect_waiting_error(d);
	assert_int_equal(reg_entry(g, 1).state, ENTRY_QUEUED);
}

/* RFC 9483 4.3.2 */
static void
a_root_is_told_to_who_lacks_it(void **state)
{
	struct reg_lab *g = *state;
	struct buf update AUTO_BUF = { 0 }, old AUTO_BUF = { 0 };
	struct buf current AUTO_BUF = { 0 };

	cmp_info_root_update(g->l->root.cert, NULL, NULL, &update);
	ossl_cert_der(g->l->vendor.cert, &old);
	ossl_cert_der(g->l->root.cert, &current);
	reg_start(g, NULL);
	ref_publish(g, "root-update", buf_bytes(&update));
	ref_restart(g, NULL);
	AUTO(cmp_msg) a = ask(g, REG_CMP, CMP_INFO_ROOT_CERT, buf_bytes(&old));
	expect_told(a, CMP_INFO_ROOT_UPDATE, buf_bytes(&update));
	AUTO(cmp_msg) b = ask(g, REG_CMP, CMP_INFO_ROOT_CERT, NOTHING);
	expect_told(b, CMP_INFO_ROOT_UPDATE, buf_bytes(&update));
	AUTO(cmp_msg) c =
	    ask(g, REG_CMP, CMP_INFO_ROOT_CERT, buf_bytes(&current));
	expect_told(c, CMP_INFO_ROOT_UPDATE, NOTHING);
	assert_int_equal(reg_next_id(g), 1);
}

/* RFC 9483 4.3.4 */
static void
a_list_is_told_if_it_is_newer(void **state)
{
	struct reg_lab *g = *state;
	const struct {
		const struct lab_ca *of;
		uint64_t theirs;
		bool told;
	} cases[] = { { &g->l->ca, 0, true }, { &g->l->ca, TOLD_AT - 1, true },
		{ &g->l->ca, TOLD_AT, false },
		{ &g->l->ca, TOLD_AT + 1, false },
		/* Another authority's is not here. */
		{ &g->l->root, 0, false } };
	struct buf crl AUTO_BUF = { 0 }, value AUTO_BUF = { 0 };
	struct bytes der;

	lab_crl(&g->l->ca, NULL, TOLD_AT, TOLD_AT + 86400, &crl);
	der = buf_bytes(&crl);
	cmp_info_crls(&der, 1, &value);
	reg_start(g, NULL);
	ref_publish(g, "crl", der);
	ref_restart(g, NULL);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct buf status AUTO_BUF = { 0 };

		cmp_info_crl_status(X509_get_subject_name(cases[i].of->cert),
		    cases[i].theirs, &status);
		AUTO(cmp_msg) m =
		    ask(g, REG_CMP, CMP_INFO_CRL_STATUS, buf_bytes(&status));
		expect_told(m, CMP_INFO_CRLS,
		    cases[i].told ? buf_bytes(&value) : NOTHING);
	}
	assert_int_equal(reg_next_id(g), 1);
}

/* What is wrong is refused here, whether there is anything to tell or not. */
static void
what_is_asked_wrongly_is_an_error(void **state)
{
	static const uint8_t junk[] = { 0x30, 0x00 };
	static const uint8_t text[] = { 0x04, 0x01, 0x41 };
	static const struct {
		const char *what;
		enum cmp_info_type type;
		struct bytes value;
		uint32_t fail;
	} cases[] = {
		{ "a list of no status", CMP_INFO_CRL_STATUS, { junk, 2 },
		    CMP_BAD_REQUEST },
		{ "no list at all", CMP_INFO_CRL_STATUS, { NULL, 0 },
		    CMP_BAD_REQUEST },
		{ "a root that is none", CMP_INFO_ROOT_CERT, { text, 3 },
		    CMP_BAD_DATA_FORMAT },
		{ "an answer", CMP_INFO_CRLS, { NULL, 0 }, CMP_BAD_REQUEST },
		{ "a type unknown", (enum cmp_info_type)16, { NULL, 0 },
		    CMP_BAD_REQUEST },
	};
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		AUTO(cmp_msg) m =
		    ask(g, REG_CMP, cases[i].type, cases[i].value);
		reg_expect_refused(
		    cases[i].what, m, CMP_ERROR, cases[i].fail, "");
	}
	assert_int_equal(reg_next_id(g), 1);
}

/* What travels keeps its transaction, though the answer is here by now. */
static void
what_travels_is_answered_from_afar(void **state)
{
	struct reg_lab *g = *state;
	const uint8_t value[] = { 0x30, 0x02, 0x05, 0x00 };
	struct buf body AUTO_BUF = { 0 }, request AUTO_BUF = { 0 };

	reg_start(g, NULL);
	cmp_body_info(CMP_GENM, CMP_INFO_TEMPLATE, NOTHING, &body);
	reg_first(ldevid, buf_bytes(&body), &request);
	AUTO(cmp_msg) a = reg_cmp(g, ldevid, &request);
	reg_expect_waiting_error(a);
	ref_publish(g, "template", bytes_of(value, sizeof(value)));
	ref_restart(g, NULL);
	AUTO(cmp_msg) b = reg_cmp(g, ldevid, &request);
	reg_expect_waiting_error(b);
	AUTO(cmp_msg) c = ask(g, REG_CMP, CMP_INFO_TEMPLATE, NOTHING);
	expect_told(c, CMP_INFO_TEMPLATE, bytes_of(value, sizeof(value)));
	assert_int_equal(reg_next_id(g), 2);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_is_here_is_told),
		T(a_root_is_told_to_who_lacks_it),
		T(a_list_is_told_if_it_is_newer),
		T(what_is_asked_wrongly_is_an_error),
		T(what_travels_is_answered_from_afar),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
