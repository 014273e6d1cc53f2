/* Bodies of CMP messages as peers, broken ones and hostile ones, send them. */
#include "cmp_raw.h"

#include <openssl/err.h>

/* ---- requests ---------------------------------------------------------- */

enum pop {
	POP_GOOD,
	POP_NONE,
	POP_RA_VERIFIED,
	POP_INPUT,
	POP_MAC,
	POP_SHA1,
	POP_OTHER_KEY
};

struct crmf {
	const char *what;
	long id;
	int subject, key; /* present */
	enum pop pop;
	int messages;
	uint32_t fail;
};

/* A proof that holds, by an algorithm that is not accepted any more. */
static void
sign_sha1(EVP_PKEY *key, struct bytes req, struct buf *msg)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sig[128] = { 0 };
	size_t at = msg->len, len = sizeof(sig) - 1;

	der_add(msg, DER_OID, bytes_of(ECDSA_SHA1, strlen(ECDSA_SHA1)));
	der_close(msg, at, DER_SEQ);
	assert_int_equal(
	    EVP_DigestSignInit(ctx, NULL, EVP_sha1(), NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig + 1, &len, req.p, req.len), 1);
	EVP_MD_CTX_free(ctx);
	der_add(msg, DER_BITS, bytes_of(sig, 1 + len));
	der_close(msg, at, DER_CTX(1));
}

static void
craft_pop(struct fixture *f, enum pop pop, struct bytes req, struct buf *msg)
{
	EVP_PKEY *key = pop == POP_OTHER_KEY ? f->root_key : f->new_key;
	struct err e = ERR_INIT;
	size_t at = msg->len;

	if (pop == POP_SHA1) {
		sign_sha1(key, req, msg);
		return;
	}
	if (pop == POP_NONE)
		return;
	if (pop == POP_RA_VERIFIED) {
		add_hex(msg, "8000");
		return;
	}
	if (pop == POP_INPUT)
		add_hex(msg, "a000");
	if (pop == POP_MAC) {
		der_add(msg, DER_OID, bytes_of(PBM, strlen(PBM)));
		der_close(msg, at, DER_SEQ);
	} else {
		assert_int_equal(cmp_sign_alg(key, msg, &e), 0);
	}
	assert_int_equal(cmp_sign(key, req, msg, &e), 0);
	der_close(msg, at, DER_CTX(1));
}

static void
craft_crmf(struct fixture *f, const struct crmf *c, struct buf *body)
{
	struct buf req AUTO_BUF = { 0 };
	size_t at, field;
	int i;

	der_add_long(&req, c->id);
	at = field = req.len;
	if (c->subject) {
		ossl_name_der(X509_get_subject_name(f->issued), &req);
		der_close(&req, field, DER_CTX(5));
	}
	if (c->key) {
		field = req.len;
		ossl_spki_der(f->new_key, &req);
		req.data[field] = DER_CTX(6);
	}
	der_close(&req, at, DER_SEQ);
	der_close(&req, 0, DER_SEQ);
	for (i = 0; i < c->messages; i++) {
		at = body->len;
		buf_add(body, req.data, req.len);
		craft_pop(f, c->pop, buf_bytes(&req), body);
		der_close(body, at, DER_SEQ);
	}
	der_close(body, 0, DER_SEQ);
	der_close(body, 0, DER_CTX(CMP_IR));
}

/* Parses a message of this body by the device. */
static struct cmp_msg *
message(struct fixture *f, struct bytes body)
{
	struct buf der AUTO_BUF = { 0 };
	struct cmp_head h = fixture_head();

	fixture_build(&h, body, f->device, &der);
	return fixture_parse(buf_bytes(&der));
}

static void
request_must(
    struct fixture *f, const char *what, struct bytes body, uint32_t fail)
{
	AUTO(cmp_msg) m = message(f, body);
	struct cmp_request r = { .id = 7777 };
	struct err e = ERR_INIT;
	int rc = cmp_read_request(m, &r, &e);

	if (rc != (fail == 0 ? 0 : -1) ||
	    (rc == -1 && err_cmp_fail(&e) != fail))
		fail_msg("%s: %d %s", what, rc, e.msg);
	if (rc == -1) {
		assert_int_equal(r.id, 7777);
		assert_null(r.pubkey);
		assert_int_equal(e.kind, ERR_INPUT);
	} else {
		cmp_request_done(&r);
	}
	assert_int_equal(ERR_peek_error(), 0);
}

static void
certificate_requests(void **state)
{
	static const struct crmf cases[] = {
		{ "plain", 0, 1, 1, POP_GOOD, 1, 0 },
		{ "none", 0, 1, 1, POP_GOOD, 0, CMP_BAD_REQUEST },
		{ "two", 0, 1, 1, POP_GOOD, 2, CMP_BAD_REQUEST },
		{ "certReqId 1", 1, 1, 1, POP_GOOD, 1, CMP_BAD_REQUEST },
		{ "no proof", 0, 1, 1, POP_NONE, 1, CMP_BAD_POP },
		{ "raVerified", 0, 1, 1, POP_RA_VERIFIED, 1, CMP_BAD_POP },
		{ "poposkInput", 0, 1, 1, POP_INPUT, 1, CMP_BAD_POP },
		{ "another key's proof", 0, 1, 1, POP_OTHER_KEY, 1,
		    CMP_BAD_POP },
		{ "MAC as proof", 0, 1, 1, POP_MAC, 1, CMP_BAD_POP },
		{ "SHA-1 as proof", 0, 1, 1, POP_SHA1, 1, CMP_BAD_ALG },
		{ "no subject", 0, 0, 1, POP_GOOD, 1, CMP_BAD_CERT_TEMPLATE },
		{ "no key", 0, 1, 0, POP_GOOD, 1, CMP_BAD_CERT_TEMPLATE },
	};
	struct buf body AUTO_BUF = { 0 };
	size_t i;

	for (i = 0; i < NELEMS(cases); i++) {
		buf_reset(&body);
		craft_crmf(*state, &cases[i], &body);
		request_must(
		    *state, cases[i].what, buf_bytes(&body), cases[i].fail);
	}
}

static void
keys_nobody_should_certify(void **state)
{
	static const struct {
		const char *what, *type, *param;
	} cases[] = {
		{ "RSA of 1024 bits", "RSA", NULL },
		{ "P-224", "EC", "P-224" },
		{ "secp256k1", "EC", "secp256k1" },
	};
	struct fixture *f = *state;
	X509_NAME *name = X509_get_subject_name(f->issued);
	struct buf body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	EVP_PKEY *k;
	size_t i;

	for (i = 0; i < NELEMS(cases); i++) {
		if (strcmp(cases[i].type, "RSA") == 0)
			k = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
		else
			k = EVP_PKEY_Q_keygen(
			    NULL, NULL, cases[i].type, cases[i].param);
		assert_non_null(k);
		buf_reset(&body);
		assert_int_equal(
		    cmp_body_certreq(CMP_IR, k, name, &body, &e), 0);
		request_must(f, cases[i].what, buf_bytes(&body), CMP_BAD_ALG);
		buf_reset(&body);
		assert_int_equal(cmp_body_p10cr(k, name, &body, &e), 0);
		request_must(f, cases[i].what, buf_bytes(&body), CMP_BAD_ALG);
		EVP_PKEY_free(k);
	}
}

static void
p10cr_as_sent(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct cmp_request r = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(cmp_body_p10cr(f->new_key,
			     X509_get_subject_name(f->issued), &body, &e),
	    0);
	m = message(f, buf_bytes(&body));
	assert_int_equal(cmp_read_request(m, &r, &e), 0);
	assert_int_equal(r.id, -1);
	assert_int_equal(EVP_PKEY_eq(r.pubkey, f->new_key), 1);
	assert_int_equal(
	    X509_NAME_cmp(r.subject, X509_get_subject_name(f->issued)), 0);
	cmp_request_done(&r);
	/* The signature is what the CSR ends with. */
	body.data[body.len - 1] ^= 1;
	request_must(f, "tampered CSR", buf_bytes(&body), CMP_BAD_POP);
}

static void
null_dn_is_no_subject(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 };
	AUTO(X509_NAME) empty = X509_NAME_new();
	AUTO(cmp_msg) m = NULL;
	struct cmp_request r = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(
	    cmp_body_certreq(CMP_IR, f->new_key, empty, &body, &e), 0);
	m = message(f, buf_bytes(&body));
	assert_int_equal(cmp_read_request(m, &r, &e), 0);
	assert_null(r.subject);
	assert_non_null(r.pubkey);
	cmp_request_done(&r);
}

/* The template's digest tells templates apart, not the messages around. */
static void
template_digest(void **state)
{
	struct fixture *f = *state;
	struct digest d[3];
	X509 *named[3] = { f->issued, f->issued, f->ra->cert };
	struct err e = ERR_INIT;
	size_t i;

	for (i = 0; i < 3; i++) {
		struct buf body AUTO_BUF = { 0 };
		AUTO(cmp_msg) m = NULL;
		struct cmp_request r = { 0 };

		assert_int_equal(
		    cmp_body_certreq(CMP_IR, f->new_key,
			X509_get_subject_name(named[i]), &body, &e),
		    0);
		m = message(f, buf_bytes(&body));
		assert_int_equal(cmp_read_request(m, &r, &e), 0);
		d[i] = r.tmpl;
		cmp_request_done(&r);
	}
	assert_true(digest_eq(&d[0], &d[1]));
	assert_false(digest_eq(&d[0], &d[2]));
}

/* ---- other bodies ------------------------------------------------------ */

/* Which reader, what it must say of the body. */
static int
read_any(const struct cmp_msg *m, enum cmp_body reader, struct err *e)
{
	struct cmp_response response = { 0 };
	struct cmp_request request = { 0 };
	struct cmp_certconf conf;
	struct bytes inner;
	uint32_t secs;
	long id;
	int rc = -1;

	if (reader == CMP_POLLREQ)
		rc = cmp_read_pollreq(m, &id, e);
	else if (reader == CMP_POLLREP)
		rc = cmp_read_pollrep(m, &id, &secs, e);
	else if (reader == CMP_CERTCONF)
		rc = cmp_read_certconf(m, &conf, e);
	else if (reader == CMP_ERROR)
		rc = cmp_read_error(m, &response, e);
	else if (reader == CMP_NESTED)
		rc = cmp_read_nested(m, &inner, e);
	else if (reader == CMP_IP)
		rc = cmp_read_response(m, &response, e);
	else
		rc = cmp_read_request(m, &request, e);
	cmp_request_done(&request);
	cmp_response_done(&response);
	return rc;
}

static void
bodies_refused(void **state)
{
	static const struct {
		const char *what;
		enum cmp_body reader;
		const char *body;
		uint32_t fail;
	} cases[] = {
		{ "pollReq 0", CMP_POLLREQ, "b90730053003020100", 0 },
		{ "pollReq -1", CMP_POLLREQ, "b907300530030201ff", 0 },
		{ "pollReq empty", CMP_POLLREQ, "b9023000", CMP_BAD_REQUEST },
		{ "pollReq of two", CMP_POLLREQ, "b90c300a30030201003003020100",
		    CMP_BAD_REQUEST },
		{ "pollReq 1", CMP_POLLREQ, "b90730053003020101",
		    CMP_BAD_REQUEST },
		{ "pollReq -2", CMP_POLLREQ, "b907300530030201fe",
		    CMP_BAD_REQUEST },
		{ "pollReq without id", CMP_POLLREQ, "b90430023000",
		    CMP_BAD_DATA_FORMAT },
		{ "pollReq id of no octets", CMP_POLLREQ, "b906300430020200",
		    CMP_BAD_DATA_FORMAT },
		{ "pollReq id of 5 octets", CMP_POLLREQ,
		    "b90b3009300702050100000000", CMP_BAD_DATA_FORMAT },
		{ "pollReq id and more", CMP_POLLREQ, "b909300730050201000500",
		    CMP_BAD_DATA_FORMAT },
		{ "pollReq indefinite", CMP_POLLREQ, "b909300730800201000000",
		    CMP_BAD_DATA_FORMAT },
		{ "ip where pollReq belongs", CMP_POLLREQ, "a1023000",
		    CMP_BAD_REQUEST },
		{ "pollRep", CMP_POLLREP, "ba0b300930070201000202012c", 0 },
		{ "pollRep with reason", CMP_POLLREP,
		    "ba0f300d300b02010002010530030c0161", 0 },
		{ "pollRep of the past", CMP_POLLREP,
		    "ba0a300830060201000201ff", CMP_BAD_DATA_FORMAT },
		{ "pollRep for ever", CMP_POLLREP,
		    "ba0e300c300a02010002050100000000", CMP_BAD_DATA_FORMAT },
		{ "pollRep empty", CMP_POLLREP, "ba023000", CMP_BAD_REQUEST },
		{ "certConf", CMP_CERTCONF, "b80a300830060401aa020100", 0 },
		{ "certConf with SHA-256 named", CMP_CERTCONF,
		    "b819301730150401aa020100a00d300b0609608648016503040201",
		    0 },
		{ "certConf with status", CMP_CERTCONF,
		    "b80f300d300b0401aa0201003003020102", 0 },
		{ "certConf with SHA-1 named", CMP_CERTCONF,
		    "b815301330110401aa020100a009300706052b0e03021a",
		    CMP_BAD_ALG },
		{ "certConf empty", CMP_CERTCONF, "b8023000", CMP_BAD_REQUEST },
		{ "certConf of two", CMP_CERTCONF,
		    "b812301030060401aa02010030060401aa020100",
		    CMP_BAD_REQUEST },
		{ "certConf without id", CMP_CERTCONF, "b807300530030401aa",
		    CMP_BAD_DATA_FORMAT },
		{ "certConf with empty status", CMP_CERTCONF,
		    "b80c300a30080401aa0201003000", CMP_BAD_DATA_FORMAT },
		{ "ip waiting", CMP_IP, "a10e300c300a30080201003003020103", 0 },
		{ "ip of two", CMP_IP,
		    "a118301630143008020100300302010330080201003003020103",
		    CMP_BAD_DATA_FORMAT },
		{ "ip of none", CMP_IP, "a10430023000", CMP_BAD_DATA_FORMAT },
		{ "ip empty", CMP_IP, "a1023000", CMP_BAD_DATA_FORMAT },
		{ "ip accepted without certificate", CMP_IP,
		    "a10e300c300a30080201003003020100", CMP_BAD_DATA_FORMAT },
		{ "ip with unknown status", CMP_IP,
		    "a10e300c300a30080201003003020107", CMP_BAD_DATA_FORMAT },
		{ "ip with encrypted certificate", CMP_IP,
		    "a11430123010300e02010030030201003004a1023000",
		    CMP_BAD_DATA_FORMAT },
		{ "ip with certificate of nothing", CMP_IP,
		    "a11430123010300e02010030030201003004a0023000",
		    CMP_BAD_DATA_FORMAT },
		{ "ip with empty caPubs", CMP_IP,
		    "a1123010a1023000300a30080201003003020103",
		    CMP_BAD_DATA_FORMAT },
		{ "error", CMP_ERROR, "b70730053003020102", 0 },
		{ "error with all", CMP_ERROR,
		    "b71a3018300e02010230040c026e6f030306004002010530030c0161",
		    0 },
		{ "error without status", CMP_ERROR, "b7023000",
		    CMP_BAD_DATA_FORMAT },
		{ "error with empty text", CMP_ERROR, "b709300730050201023000",
		    CMP_BAD_DATA_FORMAT },
		{ "error with failInfo of nothing", CMP_ERROR,
		    "b709300730050201020300", CMP_BAD_DATA_FORMAT },
		{ "error with nine unused bits", CMP_ERROR,
		    "b70b30093007020102030209ff", CMP_BAD_DATA_FORMAT },
		{ "template out of order", CMP_IR,
		    "a0133011300f300d0201003008a6023000a5023000",
		    CMP_BAD_DATA_FORMAT },
		{ "template with field 10", CMP_IR,
		    "a00f300d300b30090201003004aa023000", CMP_BAD_DATA_FORMAT },
		{ "nested of one", CMP_NESTED, "b408300630043000a500", 0 },
		{ "nested of none", CMP_NESTED, "b4023000", CMP_BAD_REQUEST },
		{ "nested of two", CMP_NESTED,
		    "b40e300c30043000a50030043000a500", CMP_BAD_REQUEST },
		{ "nested in nested", CMP_NESTED, "b408300630043000b400",
		    CMP_BAD_REQUEST },
		{ "nested of something else", CMP_NESTED, "b40430020500",
		    CMP_BAD_REQUEST },
		{ "ir of nothing", CMP_IR, "a0023000", CMP_BAD_REQUEST },
		{ "ir of an empty message", CMP_IR, "a00430023000",
		    CMP_BAD_DATA_FORMAT },
		{ "ir of an empty request", CMP_IR, "a006300430023000",
		    CMP_BAD_DATA_FORMAT },
		{ "p10cr of nothing", CMP_IR, "a4023000", CMP_BAD_DATA_FORMAT },
		{ "genm as a request", CMP_IR, "b5023000", CMP_BAD_REQUEST },
	};
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	size_t i;
	int rc;

	for (i = 0; i < NELEMS(cases); i++) {
		AUTO(cmp_msg) m = NULL;

		buf_reset(&body);
		add_hex(&body, cases[i].body);
		m = message(f, buf_bytes(&body));
		rc = read_any(m, cases[i].reader, &e);
		if (rc != (cases[i].fail == 0 ? 0 : -1) ||
		    (rc == -1 && err_cmp_fail(&e) != cases[i].fail))
			fail_msg("%s: %d %s", cases[i].what, rc, e.msg);
		assert_int_equal(ERR_peek_error(), 0);
	}
}

static void
texts_of_peers_are_one_line(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct cmp_response r = { 0 };
	struct err e = ERR_INIT;

	add_hex(&body, "b7133011300f02010230070c05610a1b62ff030100");
	m = message(f, buf_bytes(&body));
	assert_int_equal(cmp_read_error(m, &r, &e), 0);
	assert_string_equal(r.text, "a??b?");
	assert_int_equal(r.fail, 0);
	assert_int_equal(r.status, CMP_REJECTION);
	cmp_response_done(&r);
}

static void
names_and_responses(void **state)
{
	(void)state;
	assert_string_equal(cmp_body_name(CMP_IR), "ir");
	assert_string_equal(cmp_body_name(CMP_POLLREP), "pollRep");
	assert_string_equal(cmp_body_name((enum cmp_body)9), "?");
	assert_string_equal(cmp_body_name(CMP_BODY__MAX), "?");
	assert_int_equal(cmp_response_to(CMP_IR), CMP_IP);
	assert_int_equal(cmp_response_to(CMP_P10CR), CMP_CP);
	assert_int_equal(cmp_response_to(CMP_KUR), CMP_KUP);
	assert_int_equal(cmp_response_to(CMP_CERTCONF), CMP_PKICONF);
	assert_int_equal(cmp_response_to(CMP_NESTED), CMP_ERROR);
	assert_int_equal(cmp_response_to((enum cmp_body)99), CMP_ERROR);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(certificate_requests),
		cmocka_unit_test(keys_nobody_should_certify),
		cmocka_unit_test(p10cr_as_sent),
		cmocka_unit_test(null_dn_is_no_subject),
		cmocka_unit_test(template_digest),
		cmocka_unit_test(bodies_refused),
		cmocka_unit_test(texts_of_peers_are_one_line),
		cmocka_unit_test(names_and_responses),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
