/* Anchors and denied certificates as they come from files, and what is
 * remembered. */
#include "trust_lab.h"

#include <stdio.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/str.h"
#include "common/pki/trust_memo.h"

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
		cmocka_unit_test(anchors_come_from_a_file),
		cmocka_unit_test(deny_list_refuses_malformed_lines),
		cmocka_unit_test(listed_certificates_are_denied),
		cmocka_unit_test(a_memo_is_short),
		cmocka_unit_test(what_is_remembered_changes_no_verdict),
		cmocka_unit_test(what_is_remembered_is_cheap),
	};

	return cmocka_run_group_tests(tests, make_chain, free_chain);
}
