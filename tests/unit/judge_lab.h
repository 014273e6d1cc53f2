/* What the tests of judging stand on: a lab, two profiles, and a ledger's word
 * about any certificate of the domain. */
#ifndef WAYBILL_TESTS_JUDGE_LAB_H
#define WAYBILL_TESTS_JUDGE_LAB_H

#include "tests/unit/ra_lab.h"

#include "ra/judge.h"

#define HOUR 3600
#define DAY  (24 * HOUR)

static struct lab *lab;
static char purpose[] = "clientAuth";
static char *purposes[] = { purpose };

static char organization[] = "Plant", usage[] = "digitalSignature";
static char tls[] = "tls";

static const struct profile plain = { .organization = organization,
	.key_usage = usage,
	.ext_key_usage = { purposes, 1 },
	.others = PROFILE_OTHERS_IGNORE };
static struct profile named[] = { { .name = tls,
    .key_usage = usage,
    .ext_key_usage = { purposes, 1 },
    .others = PROFILE_OTHERS_REFUSE } };
static const struct conf_list profiles = { named, NELEMS(named) };

/* What the ledger would say of any certificate of the domain. */
static struct {
	bool known, revoked, issued; /* issued: whatever rr names */
	const char *profile;
} says;

static inline int
known(void *arg, X509 *x, struct known *ret, struct err *e)
{
	(void)arg, (void)x, (void)e;
	if (!says.known)
		return 0;
	*ret = (struct known){
		.id = 7, .revoked = says.revoked, .why = "revoked"
	};
	facts_set(&ret->facts, "vendor", FACT_END_TO_END, "acme");
	facts_set(&ret->facts, "idevid.serial", FACT_END_TO_END, "0a");
	facts_set(&ret->facts, "idevid.issuer", FACT_REGISTRAR, "forged");
	facts_set(&ret->facts, "profile", FACT_END_TO_END,
	    says.profile != NULL ? says.profile : "");
	return 1;
}

static inline int
issued(void *arg, const struct cmp_cert_id *id, struct err *e)
{
	(void)arg, (void)id, (void)e;
	return says.issued;
}

static inline struct judge
judge_of(uint64_t earliest)
{
	return (struct judge){ lab->vendors, NULL, &plain, earliest, &profiles,
		lab->domain, known, NULL, NULL, issued };
}

static inline int
setup(void **state)
{
	(void)state;
	lab = lab_new();
	says.known = true;
	says.revoked = false;
	says.profile = NULL;
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	lab_free(lab);
	return 0;
}

static inline struct entry_header
header(void)
{
	struct entry_header h = { .id = 1, .kind = ENTRY_CMP };

	h.received = clock_now();
	facts_set(&h.facts, "vendor", FACT_END_TO_END, "forged");
	facts_set(&h.facts, "tls.same-signer", FACT_END_TO_END, "yes");
	return h;
}

static inline int
judge(const struct entry_header *h, struct bytes octets, struct verdict *v,
    struct cmp_msg **ret_m, struct err *e)
{
	struct stamp now = clock_now();
	struct judge j = judge_of(now.time - 30 * DAY);

	*ret_m = lab_parse(octets);
	return judge_request(&j, h, *ret_m, &now, v, e);
}

static inline void
expect_attribute(const X509_NAME *n, int nid, const char *want)
{
	char text[80] = "";

	X509_NAME_get_text_by_NID((X509_NAME *)n, nid, text, sizeof(text));
	assert_string_equal(text, want);
}

static inline void
expect_fact(const struct facts *f, const char *name, enum fact_level level,
    const char *value)
{
	const struct fact *i = facts_get(f, name);

	assert_non_null(i);
	assert_int_equal(i->level, level);
	if (value != NULL)
		assert_string_equal(i->value, value);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

#endif
