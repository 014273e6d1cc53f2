/* What a profile's template says (RFC 9483 4.3.3) is what its requests get, and
 * what contradicts it is refused or granted with modifications. */
#include "tests/unit/ra_lab.h"

#include <openssl/crmf.h>
#include <openssl/err.h>

#include "common/pki/cmp_der.h"
#include "ra/info.h"
#include "ra/profile_int.h"

/* id-regCtrl-algId, id-regCtrl-rsaKeyLen */
#define ALG_ID	    bytes_of("\x2b\x06\x01\x05\x05\x07\x05\x01\x0b", 9)
#define RSA_KEY_LEN bytes_of("\x2b\x06\x01\x05\x05\x07\x05\x01\x0c", 9)

static char organization[] = "Plant", unit[] = "Pumps", fixed[] = "gate";
static char usage[] = "digitalSignature",
	    usages[] = "digitalSignature,keyAgreement";
static char client[] = "clientAuth", server[] = "serverAuth";
static char private_purpose[] = "1.3.6.1.4.1.32473.1";
static char p384[] = "p384", ed25519[] = "ed25519", rsa[] = "rsa";
static char hosts[] = "DNS:*.plant.example";
static char *one_purpose[] = { client };
static char *purposes[] = { client, server, private_purpose };
static char *keys[] = { p384, ed25519, rsa };
static char *patterns[] = { hosts };

static const struct row {
	const char *what;
	struct profile p;
	const char *subject; /* of the template; * is to be filled in */
	const char *purposes;
	size_t keys; /* that it names */
} rows[] = {
	{ "without a profile",
	    { .organization = organization,
		.key_usage = usage,
		.ext_key_usage = { one_purpose, 1 },
		.others = PROFILE_OTHERS_DROP },
	    "O=Plant CN=* serialNumber=*", "clientAuth", 0 },
	{ "no organization",
	    { .key_usage = usage,
		.ext_key_usage = { one_purpose, 1 },
		.others = PROFILE_OTHERS_REFUSE },
	    "CN=* serialNumber=*", "clientAuth", 0 },
	{ "all there is",
	    { .organization = organization,
		.unit = unit,
		.cn = PROFILE_CN_FIXED,
		.common_name = fixed,
		.san = PROFILE_SAN_COPY,
		.san_allowed = { patterns, 1 },
		.key_usage = usages,
		.ext_key_usage = { purposes, 3 },
		.keys = { keys, 3 },
		.others = PROFILE_OTHERS_REFUSE },
	    "O=Plant OU=Pumps CN=gate serialNumber=*",
	    "clientAuth serverAuth 1.3.6.1.4.1.32473.1", 3 },
	{ "the device's number",
	    { .cn = PROFILE_CN_SERIAL,
		.key_usage = usage,
		.keys = { keys, 1 },
		.others = PROFILE_OTHERS_DROP },
	    "CN=* serialNumber=*", "", 1 },
};

/* ---- a template read by somebody else ---------------------------------- */

struct template
{
	struct buf der;
	OSSL_CRMF_CERTTEMPLATE *t;
	struct der specs; /* keySpec */
};

static void
template_read(const struct profile *p, struct template *ret)
{
	struct der d, value;
	struct bytes one;
	const uint8_t *at;

	*ret = (struct template){ .t = NULL };
	info_template(p, &ret->der);
	d = der_open(buf_bytes(&ret->der));
	value = der_enter(&d, DER_SEQ);
	one = der_whole(&value, DER_SEQ);
	at = one.p;
	ret->t = d2i_OSSL_CRMF_CERTTEMPLATE(NULL, &at, (long)one.len);
	assert_non_null(ret->t);
	if (der_peek(&value) == DER_SEQ)
		ret->specs = der_enter(&value, DER_SEQ);
	assert_true(der_end(&value) && der_end(&d));
}

static void
template_done(struct template *t)
{
	OSSL_CRMF_CERTTEMPLATE_free(t->t);
	buf_done(&t->der);
}

/* What a device puts where the template has nothing. */
static const char *
filled(int nid)
{
	return nid == NID_serialNumber ? "WB-1" : "pump";
}

/* "O=Plant CN=*", and in *ret the name with all of it filled in. */
static void
subject_of(
    const struct template *t, const char *cn, struct buf *text, X509_NAME **ret)
{
	const X509_NAME *n = OSSL_CRMF_CERTTEMPLATE_get0_subject(t->t);

	*ret = X509_NAME_new();
	for (int i = 0; i < X509_NAME_entry_count(n); i++) {
		X509_NAME_ENTRY *a = X509_NAME_get_entry(n, i);
		int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(a));
		const ASN1_STRING *s = X509_NAME_ENTRY_get_data(a);
		int len = ASN1_STRING_length(s);
		const char *mine =
		    nid == NID_commonName && cn != NULL ? cn : filled(nid);

		buf_printf(text, "%s%s=%.*s", i > 0 ? " " : "", OBJ_nid2sn(nid),
		    len > 0 ? len : 1,
		    len > 0 ? (const char *)ASN1_STRING_get0_data(s) : "*");
		assert_int_equal(
		    X509_NAME_add_entry_by_NID(*ret, nid, MBSTRING_UTF8,
			len > 0 ? ASN1_STRING_get0_data(s)
				: (const unsigned char *)mine,
			len > 0 ? len : -1, -1, 0),
		    1);
	}
}

static void
purposes_of(const struct template *t, struct buf *text)
{
	EXTENDED_KEY_USAGE *u =
	    X509V3_get_d2i(OSSL_CRMF_CERTTEMPLATE_get0_extensions(t->t),
		NID_ext_key_usage, NULL, NULL);
	char name[64];

	for (int i = 0; i < sk_ASN1_OBJECT_num(u); i++) {
		const ASN1_OBJECT *o = sk_ASN1_OBJECT_value(u, i);
		const char *sn = OBJ_nid2sn(OBJ_obj2nid(o));

		OBJ_obj2txt(name, sizeof(name), o, 1);
		buf_printf(text, "%s%s", i > 0 ? " " : "",
		    OBJ_obj2nid(o) != NID_undef ? sn : name);
	}
	EXTENDED_KEY_USAGE_free(u);
}

/* ---- requests made after it -------------------------------------------- */

/* What differs from the template. */
struct twist {
	const char *what;
	const char *cn, *serial, *more; /* more: a further O */
	const char *key;
	int nid; /* a further extension, or another of the template's */
	const char *value;
	bool no_extensions;
};

struct asked {
	struct cmp_request r;
	struct buf extensions;
};

static void
add_extension(struct buf *out, X509_EXTENSION *x)
{
	unsigned char *der = NULL;
	int len = i2d_X509_EXTENSION(x, &der);

	assert_true(len > 0);
	buf_add(out, der, (size_t)len);
	OPENSSL_free(der);
}

static void
ask_extensions(const struct template *t, const struct twist *w, struct buf *out)
{
	const STACK_OF(X509_EXTENSION) *all =
	    OSSL_CRMF_CERTTEMPLATE_get0_extensions(t->t);
	X509_EXTENSION *x;

	for (int i = 0; i < sk_X509_EXTENSION_num(all); i++) {
		x = sk_X509_EXTENSION_value(all, i);
		if (OBJ_obj2nid(X509_EXTENSION_get_object(x)) != w->nid)
			add_extension(out, x);
	}
	if (w->nid == 0)
		return;
	x = X509V3_EXT_conf_nid(NULL, NULL, w->nid, w->value);
	assert_non_null(x);
	add_extension(out, x);
	X509_EXTENSION_free(x);
}

static void
ask(const struct row *row, const struct twist *w, struct asked *ret)
{
	const char *kind = row->p.keys.n > 0 ? row->p.keys.v[0] : "p256";
	struct buf text AUTO_BUF = { 0 };
	struct template t;
	struct err e = ERR_INIT;
	int at;

	*ret = (struct asked){ .r.id = 0 };
	template_read(&row->p, &t);
	subject_of(&t,
	    w->cn != NULL || row->p.cn != PROFILE_CN_SERIAL ? w->cn : "WB-1",
	    &text, &ret->r.subject);
	assert_string_equal(buf_cstr(&text), row->subject);
	if (w->more != NULL)
		X509_NAME_add_entry_by_txt(ret->r.subject, "O", MBSTRING_UTF8,
		    (const unsigned char *)w->more, -1, 0, 0);
	at = X509_NAME_get_index_by_NID(ret->r.subject, NID_serialNumber, -1);
	if (w->serial != NULL)
		ASN1_STRING_set(X509_NAME_ENTRY_get_data(
				    X509_NAME_get_entry(ret->r.subject, at)),
		    w->serial, -1);
	ret->r.pubkey = ossl_new_key(w->key != NULL ? w->key : kind, &e);
	assert_non_null(ret->r.pubkey);
	if (!w->no_extensions)
		ask_extensions(&t, w, &ret->extensions);
	ret->r.extensions = buf_bytes(&ret->extensions);
	template_done(&t);
}

static void
asked_done(struct asked *a)
{
	cmp_request_done(&a->r);
	buf_done(&a->extensions);
}

/* ---- what it says ------------------------------------------------------ */

static void
test_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEMS(rows); i++) {
		struct buf got AUTO_BUF = { 0 };
		struct template t;
		uint32_t use;

		template_read(&rows[i].p, &t);
		purposes_of(&t, &got);
		assert_string_equal(buf_cstr(&got), rows[i].purposes);
		assert_int_equal(t.specs.rest.len > 0 ? der_count(t.specs) : 0,
		    rows[i].keys);
		use = profile_usage_bits(rows[i].p.key_usage);
		assert_true((use & KU_DIGITAL_SIGNATURE) != 0);
		template_done(&t);
	}
}

static void
expect_oid(struct der *d, int nid)
{
	struct bytes got = der_value(d, DER_OID);
	const ASN1_OBJECT *o = OBJ_nid2obj(nid);

	assert_true(bytes_eq(got, bytes_of(OBJ_get0_data(o), OBJ_length(o))));
}

/* keySpec of the full one: P-384, Ed25519, and RSA by its least length. */
static void
test_key_spec(void **state)
{
	struct template t;
	struct der spec, alg;

	(void)state;
	template_read(&rows[2].p, &t);
	spec = der_enter(&t.specs, DER_SEQ);
	assert_true(bytes_eq(der_value(&spec, DER_OID), ALG_ID));
	alg = der_enter(&spec, DER_SEQ);
	expect_oid(&alg, NID_X9_62_id_ecPublicKey);
	expect_oid(&alg, NID_secp384r1);
	assert_true(der_end(&alg) && der_end(&spec));
	spec = der_enter(&t.specs, DER_SEQ);
	assert_true(bytes_eq(der_value(&spec, DER_OID), ALG_ID));
	alg = der_enter(&spec, DER_SEQ);
	expect_oid(&alg, NID_ED25519);
	assert_true(der_end(&alg) && der_end(&spec));
	spec = der_enter(&t.specs, DER_SEQ);
	assert_true(bytes_eq(der_value(&spec, DER_OID), RSA_KEY_LEN));
	assert_int_equal(der_long(&spec), 2048);
	assert_true(der_end(&spec) && der_end(&t.specs));
	template_done(&t);
}

/* ---- what it gets ------------------------------------------------------ */

static void
test_as_it_says(void **state)
{
	static const struct twist none = { .what = "nothing" };

	(void)state;
	for (size_t i = 0; i < NELEMS(rows); i++) {
		struct profile_grant g = { .subject = NULL };
		struct err e = ERR_INIT;
		struct asked a;

		ask(&rows[i], &none, &a);
		if (profile_apply(&rows[i].p, &a.r, "WB-1", NULL, &g, &e) == -1)
			fail_msg("%s: %s", rows[i].what, e.msg);
		assert_int_equal(X509_NAME_cmp(a.r.subject, g.subject), 0);
		assert_false(g.modified);
		profile_grant_done(&g);
		asked_done(&a);
	}
}

/* Of each row: refused with this, or granted, perhaps with modifications. */
enum is { SAME, MODS, NO };
static const struct {
	struct twist w;
	enum is is[NELEMS(rows)];
	uint32_t fail;
} twists[] = {
	{ { "another name", .cn = "valve" }, { SAME, SAME, SAME, MODS } },
	{ { "a further O", .more = "Bank" }, { MODS, MODS, MODS, MODS } },
	{ { "another's number", .serial = "WB-2" }, { NO, NO, NO, NO },
	    CMP_BAD_CERT_TEMPLATE },
	{ { "P-521", .key = "p521" }, { SAME, SAME, NO, NO },
	    CMP_BAD_ALG | CMP_BAD_CERT_TEMPLATE },
	{ { "P-384", .key = "p384" }, { SAME, SAME, SAME, SAME } },
	{ { "Ed25519", .key = "ed25519" }, { SAME, SAME, SAME, NO },
	    CMP_BAD_ALG | CMP_BAD_CERT_TEMPLATE },
	{ { "RSA", .key = "rsa" }, { SAME, SAME, SAME, NO },
	    CMP_BAD_ALG | CMP_BAD_CERT_TEMPLATE },
	{ { "a host of the plant", .nid = NID_subject_alt_name,
	      .value = "DNS:a.plant.example" },
	    { MODS, NO, SAME, MODS }, CMP_BAD_CERT_TEMPLATE },
	{ { "a host of a bank", .nid = NID_subject_alt_name,
	      .value = "DNS:a.bank.example" },
	    { MODS, NO, NO, MODS }, CMP_BAD_CERT_TEMPLATE },
	{ { "less to do", .nid = NID_ext_key_usage, .value = "clientAuth" },
	    { SAME, SAME, SAME, MODS } },
	{ { "more to do", .nid = NID_ext_key_usage,
	      .value = "clientAuth,codeSigning" },
	    { MODS, NO, NO, MODS }, CMP_BAD_CERT_TEMPLATE },
	{ { "more usage", .nid = NID_key_usage,
	      .value = "digitalSignature,keyEncipherment" },
	    { MODS, NO, NO, MODS }, CMP_BAD_CERT_TEMPLATE },
	{ { "to be a CA", .nid = NID_basic_constraints, .value = "CA:TRUE" },
	    { MODS, NO, NO, MODS }, CMP_BAD_CERT_TEMPLATE },
	{ { "no extensions", .no_extensions = true },
	    { SAME, SAME, SAME, SAME } },
};

static enum is
outcome(const struct row *row, const struct twist *w, struct err *e)
{
	struct profile_grant g = { .subject = NULL };
	struct asked a;
	enum is is = NO;

	ask(row, w, &a);
	if (profile_apply(&row->p, &a.r, "WB-1", NULL, &g, e) == 0)
		is = g.modified ? MODS : SAME;
	profile_grant_done(&g);
	asked_done(&a);
	return is;
}

static void
test_otherwise(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEMS(twists); i++)
		for (size_t k = 0; k < NELEMS(rows); k++) {
			struct err e = ERR_INIT;
			enum is is = outcome(&rows[k], &twists[i].w, &e);

			if (is != twists[i].is[k] ||
			    (is == NO && e.fail != twists[i].fail))
				fail_msg("%s, of %s: %d %x %s",
				    twists[i].w.what, rows[k].what, (int)is,
				    e.fail, e.msg);
		}
}

/* Those that cannot bear to hear of it are not told. */
static void
test_not_mentioned(void **state)
{
	static const struct twist more = { .what = "a further O",
		.more = "Bank" };
	struct row quiet = rows[0];
	struct err e = ERR_INIT;

	(void)state;
	quiet.p.others = PROFILE_OTHERS_IGNORE;
	assert_int_equal(outcome(&quiet, &more, &e), SAME);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_says),
		cmocka_unit_test(test_key_spec),
		cmocka_unit_test(test_as_it_says),
		cmocka_unit_test(test_otherwise),
		cmocka_unit_test(test_not_mentioned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
