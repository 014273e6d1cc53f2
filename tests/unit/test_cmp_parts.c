/* Bodies that are spoiled in one place each, and the reader they must not get
 * past: by hand, so that no writer of ours stands between. */
#include "cmp_raw.h"

#include <openssl/err.h>

enum reader { REQUEST, RR, RP, INFO, RESPONSE, POLLREQ, POLLREP, CERTCONF };

static int
read_by(enum reader by, const struct cmp_msg *m, struct err *e)
{
	struct cmp_request request = { 0 };
	struct cmp_response response = { 0 };
	struct cmp_revocation rr;
	struct cmp_certconf conf;
	struct cmp_info info;
	uint32_t secs;
	int rc = -1;
	long id;

	switch (by) {
	case REQUEST:
		if ((rc = cmp_read_request(m, &request, e)) == 0)
			cmp_request_done(&request);
		return rc;
	case RR:
		return cmp_read_rr(m, &rr, e);
	case RP:
		return cmp_read_rp(m, &response, e);
	case INFO:
		return cmp_read_info(m, &info, e);
	case RESPONSE:
		if ((rc = cmp_read_response(m, &response, e)) == 0)
			cmp_response_done(&response);
		return rc;
	case POLLREQ:
		return cmp_read_pollreq(m, &id, e);
	case POLLREP:
		return cmp_read_pollrep(m, &id, &secs, e);
	case CERTCONF:
		return cmp_read_certconf(m, &conf, e);
	}
	return rc;
}

/* What is closed here is what stands in one pair of brackets, so that the cases
 * below need no lengths: "[tag ... ]", hex in between. */
static const char *
put_bracket(const char *s, struct buf *out)
{
	uint8_t octet;
	size_t at;

	while (*s != '\0' && *s != ']') {
		if (*s == ' ') {
			s++;
		} else if (*s == '[') {
			assert_int_equal(hex_parse((char[]){ s[1], s[2], 0 },
					     &octet, 1, NULL),
			    0);
			at = out->len;
			s = put_bracket(s + 3, out);
			assert_int_equal(*s, ']');
			der_close(out, at, octet);
			s++;
		} else {
			assert_int_equal(hex_parse((char[]){ s[0], s[1], 0 },
					     &octet, 1, NULL),
			    0);
			buf_add(out, &octet, 1);
			s += 2;
		}
	}
	return s;
}

/* A P-256 key as SubjectPublicKeyInfo holds it: the generator. */
#define POINT \
	"00046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296" \
	"4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
#define P256	"[30 06072a8648ce3d0201 06082a8648ce3d030107]"
#define SPKI	P256 "[03" POINT "]"
#define NAME	"[30 [31 [30 0603550403 0c0161]]]"
#define ECDSA	"[30 06082a8648ce3d040302]"
#define SIGN	ECDSA "[03 00 3006020101020101]"
#define POP	"[a1 " SIGN "]"
#define SUBJECT "[a5 " NAME "]"
#define KEY	"[a6 " SPKI "]"
#define IR(template, more, pop) \
	"[a0 [30 [30 [30 020100 [30 " template "]" more "]" pop "]]]"
#define CSR(info) "[a4 [30 [30 " info "]" SIGN "]]"
#define CERTID	  "[81 05][a3 " NAME "]"
#define REASON	  "[30 0603551d15 [04 0a0101]]"
#define OTHER	  "[30 06032a0304 [04 0500]]"
#define CRITICAL  "[30 06032a0304 0101ff [04 0500]]"
#define RR_OF(template, extensions) \
	"[ab [30 [30 [30 " template "]" extensions "]]]"

static const struct {
	const char *what;
	enum reader by;
	uint32_t fail;
	const char *body;
} cases[] = {
	/* Whole but for the proof, which nobody made. */
	{ "a good ir", REQUEST, CMP_BAD_POP, IR(SUBJECT KEY, "", POP) },
	{ "regInfo", REQUEST, CMP_BAD_POP,
	    IR(SUBJECT KEY, "", POP "[30 0500]") },
	{ "extensions", REQUEST, CMP_BAD_POP,
	    IR(SUBJECT KEY "[a9 " OTHER "]", "", POP) },
	{ "a control unknown", REQUEST, CMP_BAD_POP,
	    IR(SUBJECT KEY, "[30 [30 06032a0304 0500]]", POP) },
	{ "no list", REQUEST, CMP_BAD_DATA_FORMAT, "[a0 020107]" },
	{ "an empty list", REQUEST, CMP_BAD_REQUEST, "[a0 [30 ]]" },
	{ "id no number", REQUEST, CMP_BAD_DATA_FORMAT,
	    "[a0 [30 [30 [30 0500 [30 " SUBJECT KEY "]]" POP "]]]" },
	{ "template no SEQUENCE", REQUEST, CMP_BAD_DATA_FORMAT,
	    "[a0 [30 [30 [30 020100 0500]" POP "]]]" },
	{ "fields out of order", REQUEST, CMP_BAD_DATA_FORMAT,
	    IR(KEY SUBJECT, "", POP) },
	{ "a field there is none of", REQUEST, CMP_BAD_DATA_FORMAT,
	    IR(SUBJECT KEY "[aa 0500]", "", POP) },
	{ "a universal field", REQUEST, CMP_BAD_DATA_FORMAT,
	    IR("0500" SUBJECT KEY, "", POP) },
	{ "subject no name", REQUEST, CMP_BAD_CERT_TEMPLATE,
	    IR("[a5 0500]" KEY, "", POP) },
	{ "two subjects", REQUEST, CMP_BAD_CERT_TEMPLATE,
	    IR("[a5 " NAME NAME "]" KEY, "", POP) },
	{ "key no key", REQUEST, CMP_BAD_ALG,
	    IR(SUBJECT "[a6 0500]", "", POP) },
	{ "a point beside the curve", REQUEST, CMP_BAD_ALG,
	    IR(SUBJECT "[a6 " P256 "[03 000401]]", "", POP) },
	{ "something behind the key", REQUEST, CMP_BAD_ALG,
	    IR(SUBJECT "[a6 " SPKI "0500]", "", POP) },
	{ "behind controls", REQUEST, CMP_BAD_DATA_FORMAT,
	    IR(SUBJECT KEY, "[30 ]0500", POP) },
	{ "a control no SEQUENCE", REQUEST, CMP_BAD_DATA_FORMAT,
	    IR(SUBJECT KEY, "[30 0500]", POP) },
	{ "oldCertId of nothing", REQUEST, CMP_BAD_CERT_ID,
	    IR(SUBJECT KEY, "[30 [30 06092b0601050507050105 [30 ]]]", POP) },
	{ "oldCertId by another kind of name", REQUEST, CMP_BAD_CERT_ID,
	    IR(SUBJECT KEY,
		"[30 [30 06092b0601050507050105 [30 [82 61] 020105]]]", POP) },
	{ "proof cut", REQUEST, CMP_BAD_POP,
	    IR(SUBJECT KEY, "", "[a1 " ECDSA "]") },
	{ "something in the proof", REQUEST, CMP_BAD_POP,
	    IR(SUBJECT KEY, "", "[a1 " SIGN "0500]") },
	{ "proof's algorithm of nothing", REQUEST, CMP_BAD_POP,
	    IR(SUBJECT KEY, "", "[a1 [30 ][03 00]]") },
	{ "behind the request", REQUEST, CMP_BAD_DATA_FORMAT,
	    IR(SUBJECT KEY, "", POP "0500") },
	{ "a good CSR", REQUEST, CMP_BAD_POP,
	    CSR("020100" NAME "[30 " SPKI "]") },
	{ "its attributes", REQUEST, CMP_BAD_POP,
	    CSR("020100" NAME "[30 " SPKI "][a0 [30 06032a0304 [31 0500]]]") },
	{ "CSR of version 2", REQUEST, CMP_BAD_DATA_FORMAT,
	    CSR("020101" NAME "[30 " SPKI "]") },
	{ "CSR without a key", REQUEST, CMP_BAD_DATA_FORMAT,
	    CSR("020100" NAME) },
	{ "CSR without a signature", REQUEST, CMP_BAD_DATA_FORMAT,
	    "[a4 [30 [30 020100" NAME "[30 " SPKI "]]]]" },
	{ "something behind the CSR", REQUEST, CMP_BAD_DATA_FORMAT,
	    "[a4 [30 [30 020100" NAME "[30 " SPKI "]]" SIGN "0500]]" },
	{ "a good rr", RR, 0, RR_OF(CERTID, "[30 " REASON "]") },
	{ "rr with more in its template", RR, 0,
	    RR_OF("[80 02]" CERTID "[a6 " SPKI "]", "[30 " REASON "]") },
	{ "rr with another extension", RR, 0,
	    RR_OF(CERTID, "[30 " OTHER REASON "]") },
	{ "rr with a critical one", RR, CMP_BAD_REQUEST,
	    RR_OF(CERTID, "[30 " CRITICAL REASON "]") },
	{ "two reasons", RR, CMP_BAD_REQUEST,
	    RR_OF(CERTID, "[30 " REASON REASON "]") },
	{ "reason no SEQUENCE", RR, CMP_BAD_REQUEST,
	    RR_OF(CERTID, "[30 " REASON "0500]") },
	{ "reason of two octets", RR, CMP_BAD_REQUEST,
	    RR_OF(CERTID, "[30 [30 0603551d15 [04 0a020101]]]") },
	{ "behind the reason", RR, CMP_BAD_DATA_FORMAT,
	    RR_OF(CERTID, "[30 " REASON "]0500") },
	{ "issuer no name", RR, CMP_BAD_CERT_ID,
	    RR_OF("[81 05][a3 0500]", "[30 " REASON "]") },
	{ "a good rp", RP, 0, "[ac [30 [30 [30 020100]]]]" },
	{ "rp with certificates and lists", RP, 0,
	    "[ac [30 [30 [30 020100]][a0 [30 ]][a1 [30 ]]]]" },
	{ "rp of two", RP, CMP_BAD_DATA_FORMAT,
	    "[ac [30 [30 [30 020100][30 020100]]]]" },
	{ "behind the rp", RP, CMP_BAD_DATA_FORMAT,
	    "[ac [30 [30 [30 020100]]0500]]" },
	{ "no rp", RP, CMP_BAD_REQUEST, "[b5 [30 ]]" },
	{ "a good genm", INFO, 0, "[b5 [30 [30 06082b06010505070411]]]" },
	{ "two values", INFO, CMP_BAD_DATA_FORMAT,
	    "[b5 [30 [30 06082b06010505070411 0500 0500]]]" },
	{ "no OID", INFO, CMP_BAD_DATA_FORMAT, "[b5 [30 [30 0500]]]" },
	{ "a list of no element", INFO, CMP_BAD_DATA_FORMAT, "[b5 [30 0500]]" },
	{ "a good rejection", RESPONSE, 0,
	    "[a1 [30 [30 [30 020100 [30 020102]]]]]" },
	{ "with rspInfo", RESPONSE, 0,
	    "[a1 [30 [30 [30 020100 [30 020102] 040100]]]]" },
	{ "accepted without a certificate", RESPONSE, CMP_BAD_DATA_FORMAT,
	    "[a1 [30 [30 [30 020100 [30 020100]]]]]" },
	{ "a sealed certificate", RESPONSE, CMP_BAD_DATA_FORMAT,
	    "[a1 [30 [30 [30 020100 [30 020100][30 [a1 [30 ]]]]]]]" },
	{ "a certificate that is none", RESPONSE, CMP_BAD_DATA_FORMAT,
	    "[a1 [30 [30 [30 020100 [30 020100][30 [a0 [30 ]]]]]]]" },
	{ "something in the pair", RESPONSE, CMP_BAD_DATA_FORMAT,
	    "[a1 [30 [30 [30 020100 [30 020100][30 [a0 [30 ]][a0 [30 ]]"
	    "[a1 [30 ]]0500]]]]]" },
	{ "behind the response", RESPONSE, CMP_BAD_DATA_FORMAT,
	    "[a1 [30 [30 [30 020100 [30 020102]0500]]]]" },
	{ "caPubs that are none", RESPONSE, CMP_BAD_DATA_FORMAT,
	    "[a1 [30 [a1 [30 ]][30 [30 020100 [30 020102]]]]]" },
	{ "two responses", RESPONSE, CMP_BAD_DATA_FORMAT,
	    "[a1 [30 [30 [30 020100 [30 020102]][30 020100 [30 "
	    "020102]]]]]" },
	{ "no response", RESPONSE, CMP_BAD_REQUEST, "[b3 0500]" },
	{ "a good pollReq", POLLREQ, 0, "[b9 [30 [30 020100]]]" },
	{ "two numbers in a pollReq", POLLREQ, CMP_BAD_DATA_FORMAT,
	    "[b9 [30 [30 020100 020100]]]" },
	{ "a pollReq of no number", POLLREQ, CMP_BAD_DATA_FORMAT,
	    "[b9 [30 [30 ]]]" },
	{ "a pollReq of 5", POLLREQ, CMP_BAD_REQUEST, "[b9 [30 [30 020105]]]" },
	{ "a good pollRep", POLLREP, 0,
	    "[ba [30 [30 020100 02013c [30 0c0161]]]]" },
	{ "less than no time", POLLREP, CMP_BAD_DATA_FORMAT,
	    "[ba [30 [30 020100 0201ff]]]" },
	{ "a good certConf", CERTCONF, 0, "[b8 [30 [30 040161 020100]]]" },
	{ "hashAlg SHA-1", CERTCONF, CMP_BAD_ALG,
	    "[b8 [30 [30 040161 020100 [a0 [30 06052b0e03021a]]]]]" },
	{ "hashAlg twice", CERTCONF, CMP_BAD_DATA_FORMAT,
	    "[b8 [30 [30 040161 020100 [a0 [30 0609608648016503040201]"
	    "[30 0609608648016503040201]]]]]" },
	{ "hash no octets", CERTCONF, CMP_BAD_DATA_FORMAT,
	    "[b8 [30 [30 0500 020100]]]" },
};

static void
each_has_its_refusal(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct buf body AUTO_BUF = { 0 }, der AUTO_BUF = { 0 };
		struct cmp_head h = fixture_head();
		struct err e = ERR_INIT;
		uint32_t fail = 0;

		assert_int_equal(*put_bracket(cases[i].body, &body), '\0');
		fixture_build(&h, buf_bytes(&body), f->device, &der);
		AUTO(cmp_msg) m = fixture_parse(buf_bytes(&der));
		if (read_by(cases[i].by, m, &e) == -1)
			fail = err_cmp_fail(&e);
		if (fail != cases[i].fail)
			fail_msg("%s: %x, not %x: %s", cases[i].what, fail,
			    cases[i].fail, e.msg);
		assert_int_equal(ERR_peek_error(), 0);
	}
}

/* Before libcrypto looks at it. */
static void
a_key_has_a_limit(void **state)
{
	struct fixture *f = *state;
	struct buf spki AUTO_BUF = { 0 }, body AUTO_BUF = { 0 };
	struct buf der AUTO_BUF = { 0 };
	struct cmp_head h = fixture_head();
	struct cmp_request r;
	struct err e = ERR_INIT;
	AUTO(char) text = NULL;
	AUTO(char) whole = NULL;

	memset(buf_grow(&spki, LIMIT_CMP_KEY), 0, LIMIT_CMP_KEY);
	der_close(&spki, 0, DER_OCTETS);
	text = xmalloc(2 * spki.len + 1);
	hex_format(text, spki.data, spki.len);
	whole = xmalloc(2 * spki.len + 1024);
	sprintf(whole,
	    "[a0 [30 [30 [30 020100 [30 " SUBJECT "[a6 %s]]]" POP "]]]", text);
	put_bracket(whole, &body);
	fixture_build(&h, buf_bytes(&body), f->device, &der);
	AUTO(cmp_msg) m = fixture_parse(buf_bytes(&der));
	assert_int_equal(cmp_read_request(m, &r, &e), -1);
	assert_int_equal(e.fail, CMP_BAD_ALG);
	assert_non_null(strstr(e.msg, "limit"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_has_its_refusal),
		cmocka_unit_test(a_key_has_a_limit),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
