/* Chains that are believed, and chains that are not. */
#include "trust_lab.h"

#include <stdio.h>
#include <string.h>

/* Refused as a signer nobody knows, for this reason, outputs untouched. */
static void
assert_refused(const struct trust *t, X509 *x, const STACK_OF(X509) * untrusted,
    uint64_t at, const char *why)
{
	const char *name = "untouched";
	STACK_OF(X509) *chain = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(
	    trust_check(t, x, untrusted, at, &name, &chain, &e), -1);
	assert_int_equal(e.kind, ERR_TRUST);
	assert_int_equal(e.fail, CMP_SIGNER_NOT_TRUSTED);
	if (strstr(e.msg, why) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", e.msg, why);
	assert_string_equal(name, "untouched");
	assert_null(chain);
}

static void
chain_to_an_anchor_is_believed(void **state)
{
	AUTO(trust) t = trust_in(root.x);
	AUTO(X509S) untrusted = stack_of(sub.x, NULL);
	AUTO(X509S) chain = NULL;
	const char *name = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(
	    trust_check(t, leaf.x, untrusted, NOW, &name, &chain, &e), 0);
	assert_string_equal(name, "vendor");
	assert_int_equal(sk_X509_num(chain), 3);
	assert_int_equal(X509_cmp(sk_X509_value(chain, 0), leaf.x), 0);
	assert_int_equal(X509_cmp(sk_X509_value(chain, 1), sub.x), 0);
	assert_int_equal(X509_cmp(sk_X509_value(chain, 2), root.x), 0);
	assert_int_equal(sk_X509_num(trust_anchors(t)), 1);
}

static void
intermediate_may_come_from_configuration(void **state)
{
	AUTO(trust) t = trust_in(root.x);
	AUTO(trust) alone = trust_new();
	struct err e = ERR_INIT;

	(void)state;
	assert_refused(t, leaf.x, NULL, NOW, "issuer certificate");
	assert_int_equal(trust_add_intermediate(t, sub.x, &e), 0);
	assert_believed(t, leaf.x, NULL, NOW);
	/* It builds chains, it is not believed itself. */
	assert_int_equal(trust_add_intermediate(alone, sub.x, &e), 0);
	assert_refused(alone, leaf.x, NULL, NOW, "issuer certificate");
}

static void
anchor_need_not_be_self_signed(void **state)
{
	AUTO(trust) t = trust_in(sub.x);

	(void)state;
	assert_believed(t, leaf.x, NULL, NOW);
}

static void
anchors_keep_their_names(void **state)
{
	AUTO_NODE other = MAKE("other", NULL, CA);
	AUTO_NODE device = MAKE("device", &other, EE);
	AUTO(trust) t = trust_in(sub.x);
	const char *name = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(trust_add_cert(t, "second", other.x, &e), 0);
	assert_int_equal(
	    trust_check(t, device.x, NULL, NOW, &name, NULL, &e), 0);
	assert_string_equal(name, "second");
	assert_believed(t, leaf.x, NULL, NOW);
	/* Again is nothing; under another name it is a contradiction. */
	assert_int_equal(trust_add_cert(t, "second", other.x, &e), 0);
	assert_int_equal(sk_X509_num(trust_anchors(t)), 2);
	assert_int_equal(trust_add_cert(t, "vendor", other.x, &e), -1);
	assert_int_equal(e.kind, ERR_CONF);
	assert_int_equal(sk_X509_num(trust_anchors(t)), 2);
}

static void
stranger_is_refused(void **state)
{
	AUTO_NODE false_root = MAKE("root", NULL, CA);
	AUTO_NODE false_sub = MAKE("sub", &false_root, CA);
	AUTO_NODE device = MAKE("leaf", &false_sub, EE);
	AUTO(trust) t = trust_in(root.x);
	AUTO(trust) none = trust_new();
	AUTO(X509S) untrusted = stack_of(false_sub.x, false_root.x, NULL);
	AUTO(X509S) mixed = stack_of(sub.x, root.x, NULL);

	(void)state;
	assert_refused(t, device.x, untrusted, NOW, "self-signed");
	assert_refused(t, device.x, mixed, NOW, "certificate");
	assert_refused(t, false_root.x, NULL, NOW, "self-signed");
	assert_refused(none, leaf.x, mixed, NOW, "self-signed");
}

static void
changed_certificate_is_refused(void **state)
{
	AUTO(trust) t = trust_in(sub.x);
	AUTO(X509) x = NULL;
	struct buf der AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	ossl_cert_der(leaf.x, &der);
	der.data[der.len - 1] ^= 1;
	x = ossl_cert_parse(buf_bytes(&der), &e);
	assert_non_null(x);
	assert_refused(t, x, NULL, NOW, "signature");
}

static void
dates_are_judged_at_the_given_time(void **state)
{
	AUTO_NODE device = MAKE(
	    "device", &sub, EE, .not_before = NOW, .not_after = NOW + YEAR);
	AUTO(trust) t = trust_in(sub.x);

	(void)state;
	assert_refused(t, device.x, NULL, NOW - 1, "not yet valid");
	assert_believed(t, device.x, NULL, NOW);
	assert_believed(t, device.x, NULL, NOW + YEAR - 1);
	assert_refused(t, device.x, NULL, NOW + YEAR + 1, "expired");
	/* Without a clock, dates say nothing. */
	assert_believed(t, device.x, NULL, 0);
	/* 9999 is not the past: leaf and anchors end then. */
	assert_believed(t, leaf.x, NULL, 253402300798);
}

static void
leaf_must_be_allowed_to_sign(void **state)
{
	AUTO_NODE none = MAKE("none", &sub, .key_usage = NULL);
	AUTO_NODE other = MAKE("other", &sub, .key_usage = "keyAgreement");
	AUTO(trust) t = trust_in(sub.x);

	(void)state;
	assert_believed(t, none.x, NULL, NOW);
	assert_refused(t, other.x, NULL, NOW, "digitalSignature");
}

/* What the EE signs is no chain, whatever its key usage says. */
static void
issuer_must_be_a_ca(void **state)
{
	AUTO_NODE ee = MAKE("ee", &sub, EE);
	AUTO_NODE below = MAKE("below", &ee, EE);
	AUTO_NODE old = MAKE("old", &sub, .key_usage = "keyCertSign");
	AUTO_NODE child = MAKE("child", &old, EE);
	AUTO(trust) t = trust_in(sub.x);
	AUTO(X509S) by_ee = stack_of(ee.x, NULL);
	AUTO(X509S) by_old = stack_of(old.x, NULL);

	(void)state;
	assert_refused(t, below.x, by_ee, NOW, "certificate");
	assert_refused(t, child.x, by_old, NOW, "invalid CA");
}

static void
path_length_holds(void **state)
{
	AUTO_NODE ca0 = MAKE(
	    "ca0", &root, .ca = true, .pathlen = 0, .key_usage = "keyCertSign");
	AUTO_NODE ca1 = MAKE("ca1", &ca0, CA);
	AUTO_NODE device = MAKE("device", &ca1, EE);
	AUTO_NODE below = MAKE("below", &ca0, EE);
	AUTO(trust) t = trust_in(root.x);
	AUTO(X509S) untrusted = stack_of(ca0.x, ca1.x, NULL);

	(void)state;
	assert_refused(t, device.x, untrusted, NOW, "path length");
	assert_believed(t, below.x, untrusted, NOW);
}

/* n intermediates between leaf and anchor. */
static void
check_depth(int n, bool good)
{
	AUTO(trust) t = trust_in(root.x);
	AUTO(X509S) untrusted = sk_X509_new_null();
	struct node ca[8], device;
	int i;

	for (i = 0; i < n; i++) {
		char cn[8];

		snprintf(cn, sizeof(cn), "ca%d", i);
		ca[i] = MAKE(cn, i > 0 ? &ca[i - 1] : &root, CA);
		X509_up_ref(ca[i].x);
		sk_X509_push(untrusted, ca[i].x);
	}
	device = MAKE("device", &ca[n - 1], EE);
	if (good)
		assert_believed(t, device.x, untrusted, NOW);
	else
		assert_refused(t, device.x, untrusted, NOW, "");
	for (i = 0; i < n; i++)
		node_done(&ca[i]);
	node_done(&device);
}

static void
depth_has_a_limit(void **state)
{
	(void)state;
	check_depth(TRUST_DEPTH, true);
	check_depth(TRUST_DEPTH + 1, false);
}

static void
number_of_certificates_has_a_limit(void **state)
{
	AUTO(trust) t = trust_in(root.x);
	AUTO(X509S) untrusted = stack_of(sub.x, NULL);
	int i;

	(void)state;
	for (i = 1; i < 10; i++) {
		X509_up_ref(leaf.x);
		sk_X509_push(untrusted, leaf.x);
	}
	assert_believed(t, leaf.x, untrusted, NOW);
	X509_up_ref(leaf.x);
	sk_X509_push(untrusted, leaf.x);
	assert_refused(t, leaf.x, untrusted, NOW, "11 certificates, limit 10");
}

static void
weak_keys_are_refused_wherever_they_are(void **state)
{
	struct node odd = { EVP_EC_gen("secp256k1"), NULL };
	AUTO(X509) weak_leaf =
	    certify((struct issue_spec){ EE }, "weak", odd.key, &sub);
	AUTO(X509) weak_ca =
	    certify((struct issue_spec){ CA }, "weak", odd.key, NULL);
	AUTO(X509S) untrusted = stack_of(sub.x, weak_ca, NULL);
	AUTO(trust) t = trust_in(root.x);
	struct err e = ERR_INIT;

	(void)state;
	assert_refused(t, weak_leaf, NULL, NOW, "secp256k1");
	assert_refused(t, leaf.x, untrusted, NOW, "secp256k1");
	assert_int_equal(trust_add_cert(t, "weak", weak_ca, &e), -1);
	assert_non_null(strstr(e.msg, "anchor weak: key: "));
	assert_int_equal(trust_add_intermediate(t, weak_ca, &e), -1);
	EVP_PKEY_free(odd.key);
}

/* A signature by SHA-1 is worth less than the key that made it. */
static void
sha1_signature_is_refused(void **state)
{
	AUTO(trust) t = trust_in(root.x);
	AUTO(X509) old = X509_dup(leaf.x);
	AUTO(X509S) untrusted = stack_of(sub.x, NULL);

	(void)state;
	assert_true(X509_sign(old, sub.key, EVP_sha1()) > 0);
	assert_refused(t, old, untrusted, NOW, "digest algorithm too weak");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(chain_to_an_anchor_is_believed),
		cmocka_unit_test(intermediate_may_come_from_configuration),
		cmocka_unit_test(anchor_need_not_be_self_signed),
		cmocka_unit_test(anchors_keep_their_names),
		cmocka_unit_test(stranger_is_refused),
		cmocka_unit_test(changed_certificate_is_refused),
		cmocka_unit_test(dates_are_judged_at_the_given_time),
		cmocka_unit_test(leaf_must_be_allowed_to_sign),
		cmocka_unit_test(issuer_must_be_a_ca),
		cmocka_unit_test(path_length_holds),
		cmocka_unit_test(depth_has_a_limit),
		cmocka_unit_test(number_of_certificates_has_a_limit),
		cmocka_unit_test(weak_keys_are_refused_wherever_they_are),
		cmocka_unit_test(sha1_signature_is_refused),
	};

	return cmocka_run_group_tests(tests, make_chain, free_chain);
}
