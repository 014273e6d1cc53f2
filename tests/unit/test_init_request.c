/* Pairing with requests that somebody has changed. */
#include "init_lab.h"

#include "common/pki/issue.h"

/* ---- hostile files --------------------------------------------------- */

/* The PEM of a CSR with this SAN. */
static char *
csr(EVP_PKEY *key, const char *san)
{
	AUTO(X509_NAME) name = issue_name("x", NULL, NULL);
	struct err e = ERR_INIT;
	AUTO(X509_REQ) r = issue_request(key, name, san, &e);
	struct buf pem = { 0 };

	assert_non_null(r);
	ossl_req_pem(r, &pem);
	buf_cstr(&pem);
	return (char *)pem.data;
}

static void
twist_csr_san(json_t *j, const char *san)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(char) pem = csr(key, san);

	set(j, "registrar", pem);
}

static void
twist_foreign_site(json_t *j)
{
	twist_csr_san(j, "URI:urn:waybill:site:south");
}

static void
twist_two_sites(json_t *j)
{
	twist_csr_san(
	    j, "URI:urn:waybill:site:north,URI:urn:waybill:site:south");
}

static void
twist_service(json_t *j)
{
	twist_csr_san(
	    j, "URI:urn:waybill:site:north,URI:urn:waybill:service:ra");
}

static void
twist_email(json_t *j)
{
	twist_csr_san(j, "URI:urn:waybill:site:north,email:a@b.example");
}

static void
twist_wildcard(json_t *j)
{
	twist_csr_san(j, "URI:urn:waybill:site:north,DNS:*.example");
}

static void
twist_no_san(json_t *j)
{
	twist_csr_san(j, NULL);
}

static void
twist_same_key(json_t *j)
{
	AUTO(char) box = get(j, "box");

	set(j, "link", box);
}

static void
twist_weak_key(json_t *j)
{
	AUTO(EVP_PKEY) key = EVP_EC_gen("secp256k1");
	AUTO(char) pem = csr(key, "URI:urn:waybill:site:north");

	set(j, "link", pem);
}

/* Another octet near the end is another signature. */
static void
twist_signature(json_t *j)
{
	AUTO(char) pem = get(j, "box");
	char *end = strstr(pem, "\n-----END");

	end[-8] = end[-8] == 'A' ? 'B' : 'A';
	set(j, "box", pem);
}

static void
twist_two_blocks(json_t *j)
{
	AUTO(char) pem = get(j, "box");
	struct buf two AUTO_BUF = { 0 };

	buf_printf(&two, "%s%s", pem, pem);
	set(j, "box", buf_cstr(&two));
}

static void
twist_text_before(json_t *j)
{
	AUTO(char) pem = get(j, "box");
	struct buf two AUTO_BUF = { 0 };

	buf_printf(&two, "hello\n%s", pem);
	set(j, "box", buf_cstr(&two));
}

static void
twist_name(json_t *j)
{
	set(j, "site", "../north");
}

static void
twist_other_name(json_t *j)
{
	set(j, "site", "south");
}

static void
twist_format(json_t *j)
{
	set(j, "format", "waybill-request/2");
}

static void
twist_surplus(json_t *j)
{
	set(j, "hosts", "x");
}

static void
twist_missing(json_t *j)
{
	json_object_del(j, "link");
}

static void
twist_long(json_t *j)
{
	struct buf b AUTO_BUF = { 0 };

	memset(buf_grow(&b, 20000), 'x', 20000);
	set(j, "link", buf_cstr(&b));
}

static void
hostile_requests_are_refused(void **state)
{
	static const struct {
		const char *what, *msg;
		void (*twist)(json_t *j);
		enum err_kind kind;
	} cases[] = {
		{ "another site's SAN", "that is not urn:waybill:site:north",
		    twist_foreign_site, ERR_TRUST },
		{ "two sites' SAN", "that is not urn:waybill:site:north",
		    twist_two_sites, ERR_TRUST },
		{ "a service's SAN", "that is not urn:waybill:site:north",
		    twist_service, ERR_TRUST },
		{ "an email SAN", "that is not urn:waybill:site:north",
		    twist_email, ERR_TRUST },
		{ "a wildcard", "dNSName '*.example'", twist_wildcard,
		    ERR_INPUT },
		{ "no SAN", "stands there 0 times", twist_no_san, ERR_TRUST },
		{ "one key twice", "box and link are the same key",
		    twist_same_key, ERR_TRUST },
		{ "a curve of its own", "link", twist_weak_key, ERR_INPUT },
		{ "a broken signature", "box: CSR is not signed by its key",
		    twist_signature, ERR_TRUST },
		{ "two blocks", "more than one PEM block", twist_two_blocks,
		    ERR_INPUT },
		{ "text before", "box: not PEM", twist_text_before, ERR_INPUT },
		{ "a path for a name", "is no name", twist_name, ERR_INPUT },
		{ "a name that is not in the CSRs",
		    "that is not urn:waybill:site:south", twist_other_name,
		    ERR_TRUST },
		{ "another version", "waybill-request/2", twist_format,
		    ERR_INPUT },
		{ "a key too many", "6 keys, expected 5", twist_surplus,
		    ERR_INPUT },
		{ "a key too few", "4 keys, expected 5", twist_missing,
		    ERR_INPUT },
		{ "20 000 octets", "at most 16384 octets", twist_long,
		    ERR_INPUT },
	};
	size_t i;

	(void)state;
	make_ra("ra");
	make_site("north", "north");
	for (i = 0; i < NELEMS(cases); i++) {
		AUTO(json_t) j = load_json("north/north.request");
		struct buf text AUTO_BUF = { 0 };
		struct err e = ERR_INIT;

		cases[i].twist(j);
		json_format(&text, j);
		assert_int_equal(
		    file_write("bad.request", 0600, buf_bytes(&text), &e), 0);
		if (pair_ra("ra", "bad.request", false, &e) != -1)
			fail_msg("%s: paired", cases[i].what);
		if (e.kind != cases[i].kind ||
		    strstr(e.msg, cases[i].msg) == NULL)
			fail_msg(
			    "%s: kind %d, %s", cases[i].what, e.kind, e.msg);
		assert_int_equal(access("ra/sites/north.pem", F_OK), -1);
		assert_int_equal(access("ra/sites/south.pem", F_OK), -1);
	}
	/* And the unharmed one is fine. */
	{
		struct err e = ERR_INIT;

		assert_int_equal(
		    pair_ra("ra", "north/north.request", false, &e), 0);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		IN_FOLDER(hostile_requests_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
