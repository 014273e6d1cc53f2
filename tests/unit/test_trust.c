#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "common/pki/cmp.h"
#include "common/pki/issue.h"
#include "common/pki/sign.h"
#include "common/pki/trust.h"
#include "common/pki/trust_memo.h"

#define NOW  1800000000
#define YEAR 31536000

/* A certificate with its key, to build chains from. */
struct node {
	EVP_PKEY *key;
	X509 *x;
};

static struct node root, sub, leaf;

static X509 *
certify(struct issue_spec spec, const char *cn, EVP_PKEY *key,
    const struct node *by)
{
	AUTO(X509_NAME) name = issue_name(cn, "Vendor", NULL);
	struct err e = ERR_INIT;
	X509 *x;

	spec.subject = name;
	spec.pubkey = key;
	if (spec.not_before == 0)
		spec.not_before = NOW - YEAR;
	if (spec.not_after == 0)
		spec.not_after = ISSUE_FOREVER;
	x = issue_cert(
	    &spec, by != NULL ? by->x : NULL, by != NULL ? by->key : key, &e);
	if (x == NULL)
		fail_msg("%s", e.msg);
	return x;
}

static struct node
make(const char *cn, const struct node *by, struct issue_spec spec)
{
	struct node n = { ossl_new_key_p256(), NULL };

	n.x = certify(spec, cn, n.key, by);
	return n;
}

#define MAKE(cn, by, ...) make(cn, by, (struct issue_spec){ __VA_ARGS__ })
#define CA		  .ca = true, .pathlen = -1, .key_usage = "critical,keyCertSign"
#define EE		  .key_usage = "critical,digitalSignature"

static void
node_done(struct node *n)
{
	EVP_PKEY_free(n->key);
	X509_free(n->x);
}
#define AUTO_NODE struct node __attribute__((cleanup(node_done)))

static int
make_chain(void **state)
{
	(void)state;
	root = MAKE("root", NULL, CA);
	sub = MAKE("sub", &root, CA);
	leaf = MAKE("leaf", &sub, EE);
	return 0;
}

static int
free_chain(void **state)
{
	(void)state;
	node_done(&root);
	node_done(&sub);
	node_done(&leaf);
	return 0;
}

static struct trust *
trust_in(X509 *anchor)
{
	struct trust *t = trust_new();
	struct err e = ERR_INIT;

	if (trust_add_cert(t, "vendor", anchor, &e) == -1)
		fail_msg("%s", e.msg);
	return t;
}

/* An owned stack of references; the list ends with NULL. */
static STACK_OF(X509) * stack_of(X509 *first, ...)
{
	STACK_OF(X509) *s = sk_X509_new_null();
	va_list ap;
	X509 *x;

	va_start(ap, first);
	for (x = first; x != NULL; x = va_arg(ap, X509 *)) {
		X509_up_ref(x);
		sk_X509_push(s, x);
	}
	va_end(ap);
	return s;
}

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
assert_believed(const struct trust *t, X509 *x,
    const STACK_OF(X509) * untrusted, uint64_t at)
{
	const char *name = NULL;
	struct err e = ERR_INIT;

	if (trust_check(t, x, untrusted, at, &name, NULL, &e) == -1)
		fail_msg("%s", e.msg);
	assert_string_equal(name, "vendor");
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

static void
anchors_come_from_a_file(void **state)
{
	char path[] = "/tmp/waybill-trust-XXXXXX";
	struct buf pem AUTO_BUF = { 0 };
	AUTO_FD fd = mkstemp(path);
	AUTO(trust) t = trust_new();
	struct err e = ERR_INIT;

	(void)state;
	assert_int_not_equal(fd, -1);
	ossl_cert_pem(root.x, &pem);
	ossl_cert_pem(sub.x, &pem);
	assert_int_equal(file_write(path, 0644, buf_bytes(&pem), &e), 0);
	assert_int_equal(trust_add_file(t, "vendor", path, &e), 0);
	assert_int_equal(sk_X509_num(trust_anchors(t)), 2);
	assert_believed(t, leaf.x, NULL, NOW);
	unlink(path);
	assert_int_equal(trust_add_file(t, "vendor", path, &e), -1);
}

/* The list that text makes; NULL with e if it does not. */
static struct denylist *
list_of(const char *text, char path[32], struct err *e)
{
	struct denylist *d;
	AUTO_FD fd = -1;

	strcpy(path, "/tmp/waybill-deny-XXXXXX");
	fd = mkstemp(path);
	assert_int_not_equal(fd, -1);
	assert_int_equal(
	    file_write(path, 0644, bytes_of(text, strlen(text)), e), 0);
	d = denylist_load(path, e);
	unlink(path);
	return d;
}

static void
deny_list_refuses_malformed_lines(void **state)
{
	static const char sha[] =
	    "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
	static const struct {
		const char *format; /* with the digest above for %s */
		unsigned line;	    /* 0: good */
	} cases[] = {
		{ "", 0 },
		{ "# nothing\n\n  \t\n", 0 },
		{ "spki %s\n", 0 },
		{ "spki %s # stolen\r\n", 0 },
		{ "\tserial  %s\t0aF1\nsubject-serial SN 1\n", 0 },
		{ "spki %s0\n", 1 },
		{ "spki\n", 1 },
		{ "spki # %s\n", 1 },
		{ "# x\n\nspki x\n", 3 },
		{ "spki %s\nserial %s\n", 2 },
		{ "serial %s 0x1\n", 1 },
		{ "serial %s 1 2\n", 1 },
		{ "serial 12 1\n", 1 },
		{ "subject-serial\n", 1 },
		{ "subject SN\n", 1 },
		{ "SPKI %s\n", 1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		char path[32], where[48];
		struct buf text AUTO_BUF = { 0 };
		struct err e = ERR_INIT;
		AUTO(denylist) d = NULL;
		const char *p = cases[i].format, *hole;

		for (; (hole = strstr(p, "%s")) != NULL; p = hole + 2) {
			buf_add(&text, p, (size_t)(hole - p));
			buf_add_str(&text, sha);
		}
		buf_add_str(&text, p);
		d = list_of(buf_cstr(&text), path, &e);
		assert_int_equal(d == NULL, cases[i].line != 0);
		if (d != NULL)
			continue;
		assert_int_equal(e.kind, ERR_CONF);
		snprintf(where, sizeof(where), "%s:%u: ", path, cases[i].line);
		assert_memory_equal(e.msg, where, strlen(where));
	}
}

static void
listed_certificates_are_denied(void **state)
{
	AUTO(X509_NAME) name = issue_name("device", "Vendor", "SN-1 a");
	AUTO(X509) x = NULL;
	struct buf issuer AUTO_BUF = { 0 };
	char md_hex[65], key_hex[65], path[32], line[256];
	struct digest md;
	struct issue_spec spec = { .subject = name,
		.pubkey = leaf.key,
		.not_before = NOW,
		.not_after = ISSUE_FOREVER };
	struct err e = ERR_INIT;
	size_t i;

	(void)state;
	x = issue_cert(&spec, sub.x, sub.key, &e);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 0x0ab);
	ossl_name_der(X509_get_issuer_name(x), &issuer);
	md = digest_of(issuer.data, issuer.len);
	hex_format(md_hex, md.b, sizeof(md.b));
	md = spki_digest(leaf.key);
	hex_format(key_hex, md.b, sizeof(md.b));
	assert_int_equal(denylist_check(NULL, x, &e), 0);
	for (i = 0; i < 10; i++) {
		const struct {
			const char *word, *a, *b;
			int rc;
		} cases[10] = {
			{ "serial", md_hex, " ab", -1 },
			{ "serial", md_hex, " 000AB", -1 },
			{ "serial", md_hex, " ab00", 0 },
			{ "serial", key_hex, " ab", 0 },
			{ "subject-serial", "SN-1", " a", -1 },
			{ "subject-serial", "SN-1", "", 0 },
			{ "subject-serial", "sn-1", " a", 0 },
			{ "spki", key_hex, "", -1 },
			{ "spki", md_hex, "", 0 },
			{ "#", "nobody", "", 0 },
		};
		AUTO(denylist) d = NULL;

		snprintf(line, sizeof(line),
		    "subject-serial A\n%s %s%s\nsubject-serial Z\n",
		    cases[i].word, cases[i].a, cases[i].b);
		d = list_of(line, path, &e);
		assert_non_null(d);
		e = (struct err)ERR_INIT;
		assert_int_equal(denylist_check(d, x, &e), cases[i].rc);
		if (cases[i].rc == -1) {
			assert_int_equal(e.kind, ERR_POLICY);
			assert_non_null(strstr(e.msg, cases[i].word));
		}
	}
}

static void
a_memo_is_short(void **state)
{
	static const struct {
		const char *what;
		uint64_t kept_at, at;
		bool want;
	} cases[] = {
		{ "at once", NOW, NOW, true },
		{ "a minute later", NOW, NOW + LIMIT_CHAIN_REMEMBERED, true },
		{ "more than that", NOW, NOW + LIMIT_CHAIN_REMEMBERED + 1,
		    false },
		{ "the clock was set back", NOW, NOW - 1, false },
		{ "dates were not judged then", 0, NOW, false },
		{ "dates are not to be judged now", NOW, 0, false },
		{ "never judged", 0, 0, true },
	};
	struct digest asked = cert_digest(leaf.x), other = cert_digest(sub.x);
	int anchor;

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct trust_memo *m = trust_memo_new();

		anchor = 7777;
		assert_false(trust_memo_find(m, &asked, cases[i].at, &anchor));
		trust_memo_keep(m, &asked, cases[i].kept_at, 3);
		assert_false(trust_memo_find(m, &other, cases[i].at, &anchor));
		assert_int_equal(anchor, 7777);
		if (trust_memo_find(m, &asked, cases[i].at, &anchor) !=
		    cases[i].want)
			fail_msg("%s", cases[i].what);
		assert_int_equal(anchor, cases[i].want ? 3 : 7777);
		trust_memo_free(m);
	}
}

/* Without a chain asked for, as it may be remembered. */
static void
assert_disbelieved(const struct trust *t, X509 *x,
    const STACK_OF(X509) * untrusted, uint64_t at)
{
	const char *name;
	struct err e = ERR_INIT;

	assert_int_equal(trust_check(t, x, untrusted, at, &name, NULL, &e), -1);
}

/* Whoever asks cannot tell that something is remembered. */
static void
what_is_remembered_changes_no_verdict(void **state)
{
	AUTO_NODE other_sub = MAKE("sub", &root, CA);
	AUTO_NODE soon = MAKE("leaf", &sub, EE, .not_after = NOW + 30);
	AUTO_NODE soon_sub = MAKE("soon", &root, CA, .not_after = NOW + 30);
	AUTO_NODE below = MAKE("leaf", &soon_sub, EE);
	AUTO(trust) t = trust_in(root.x);
	AUTO(X509S) sent = stack_of(sub.x, NULL);
	AUTO(X509S) other = stack_of(other_sub.x, NULL);
	AUTO(X509S) ending = stack_of(soon_sub.x, NULL);

	(void)state;
	trust_remember(t);
	for (int i = 0; i < 2; i++) {
		assert_believed(t, leaf.x, sent, NOW);
		assert_disbelieved(t, leaf.x, NULL, NOW);
		assert_disbelieved(t, leaf.x, other, NOW);
		assert_disbelieved(t, leaf.x, sent, NOW - 2 * YEAR);
		assert_believed(t, soon.x, sent, NOW);
		assert_believed(t, below.x, ending, NOW);
	}
	/* What ended within the minute. */
	assert_disbelieved(t, soon.x, sent, NOW + 40);
	assert_disbelieved(t, below.x, ending, NOW + 40);
}

/* What it is for.  The factor is far below what is usual. */
static void
what_is_remembered_is_cheap(void **state)
{
	AUTO(X509S) sent = stack_of(sub.x, NULL);
	uint64_t took[2];
	const char *name;
	struct err e = ERR_INIT;

	(void)state;
	for (int i = 0; i < 2; i++) {
		AUTO(trust) t = trust_in(root.x);
		uint64_t began = clock_mono_ms();

		if (i == 1)
			trust_remember(t);
		for (int n = 0; n < 400; n++)
			assert_int_equal(
			    trust_check(t, leaf.x, sent, NOW, &name, NULL, &e),
			    0);
		took[i] = clock_mono_ms() - began;
	}
	print_message("400 chains: %u ms, remembered %u ms\n",
	    (unsigned)took[0], (unsigned)took[1]);
	assert_true(took[1] * 3 < took[0]);
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
		cmocka_unit_test(anchors_come_from_a_file),
		cmocka_unit_test(deny_list_refuses_malformed_lines),
		cmocka_unit_test(listed_certificates_are_denied),
		cmocka_unit_test(a_memo_is_short),
		cmocka_unit_test(what_is_remembered_changes_no_verdict),
		cmocka_unit_test(what_is_remembered_is_cheap),
	};

	return cmocka_run_group_tests(tests, make_chain, free_chain);
}
