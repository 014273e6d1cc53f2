/*
 * Writes the seeds of the fuzzers: DIR/cbor, DIR/cert, DIR/cmp, DIR/cms,
 * DIR/crl, DIR/frame, DIR/front, DIR/id and DIR/voucher, one well formed input
 * of each sort, and of SignedData what nobody should send as well.  Run by
 * hand; what it writes is committed.  Keys are made anew each time, so the
 * files differ from run to run.
 */
#include <stdio.h>

#include "common/base/file.h"
#include "common/link/frame.h"
#include "common/base/cbor.h"
#include "common/pki/voucher.h"
#include "tests/fuzz/make_corpus.h"
#include "tests/unit/cms_lab.h"

static const char *top;

static void
seed(const char *folder, const char *name, struct bytes data)
{
	AUTO(char) dir = path_join(top, folder);
	AUTO(char) path = path_join(dir, name);
	struct err e = ERR_INIT;

	if (file_mkdirs(dir, 0755, &e) == -1 ||
	    file_write(path, 0644, data, &e) == -1)
		err_die(e.msg);
}

void
seed_buf(const char *folder, const char *name, struct buf *b)
{
	seed(folder, name, buf_bytes(b));
	buf_reset(b);
}

void
check(int rc, const struct err *e)
{
	if (rc == -1)
		err_die(e->msg);
}

/* ---- cmp --------------------------------------------------------------- */

static void
cmp_seed(const char *name, struct buf *body, const struct signer *s)
{
	struct buf out AUTO_BUF = { 0 };
	struct cmp_head h = fixture_head();

	h.recip_nonce = h.sender_nonce;
	fixture_build(&h, buf_bytes(body), s, &out);
	buf_reset(body);
	seed_buf("cmp", name, &out);
}

static void
cmp_answers(struct fixture *f)
{
	struct buf body AUTO_BUF = { 0 };

	cmp_body_waiting(CMP_IR, 0, &body);
	cmp_seed("ip-waiting", &body, f->registrar);
	cmp_body_issued(CMP_IP, 0, f->issued, f->root, &body);
	cmp_seed("ip-issued", &body, f->ra);
	cmp_body_rejection(CMP_P10CR, -1, CMP_BAD_POP, "no", &body);
	cmp_seed("cp-rejection", &body, f->ra);
	cmp_body_error(CMP_REJECTION, CMP_BAD_REQUEST, "no", &body);
	cmp_seed("error", &body, f->registrar);
	cmp_body_pollrep(0, 5, &body);
	cmp_seed("pollrep", &body, f->registrar);
	cmp_body_pkiconf(&body);
	cmp_seed("pkiconf", &body, f->ra);
}

static void
cmp_requests(struct fixture *f)
{
	const X509_NAME *subject = X509_get_subject_name(f->issued);
	struct buf body AUTO_BUF = { 0 };
	struct buf out AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct err e = ERR_INIT;

	fixture_ir(f, &out);
	m = fixture_parse(buf_bytes(&out));
	seed_buf("cmp", "ir", &out);
	check(cmp_nest(m, f->registrar, &out, &e), &e);
	seed_buf("cmp", "nested-ir", &out);
	check(cmp_body_certreq(CMP_KUR, f->new_key, subject, &body, &e), &e);
	cmp_seed("kur", &body, f->device);
	check(cmp_body_p10cr(f->new_key, subject, &body, &e), &e);
	cmp_seed("p10cr", &body, f->device);
	cmp_body_pollreq(-1, &body);
	cmp_seed("pollreq", &body, f->device);
	cmp_body_certconf(0, f->issued, false, "not mine", &body);
	cmp_seed("certconf-refused", &body, f->device);
}

/* What a device of the domain asks for. */
static void
cmp_domain_requests(struct fixture *f)
{
	const X509_NAME *subject = X509_get_subject_name(f->issued);
	struct buf body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	check(cmp_body_certreq(CMP_CR, f->new_key, subject, &body, &e), &e);
	cmp_seed("cr", &body, f->device);
	check(cmp_body_kur(f->new_key, subject, f->issued, &body, &e), &e);
	cmp_seed("kur-old-cert-id", &body, f->device);
	cmp_body_rr(f->issued, 4, &body);
	cmp_seed("rr", &body, f->device);
	cmp_body_certconf(0, f->issued, true, NULL, &body);
	cmp_seed("certconf", &body, f->device);
}

/* Each question and each answer of RFC 9483 4.3. */
static void
cmp_infos(struct fixture *f)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	struct buf body AUTO_BUF = { 0 }, value AUTO_BUF = { 0 };
	struct bytes none = { NULL, 0 };

	sk_X509_push(certs, f->sub);
	sk_X509_push(certs, f->root);
	cmp_body_info(CMP_GENM, CMP_INFO_CA_CERTS, none, &body);
	cmp_seed("genm-ca-certs", &body, f->device);
	cmp_body_info(CMP_GENM, CMP_INFO_TEMPLATE, none, &body);
	cmp_seed("genm-template", &body, f->device);
	ossl_cert_der(f->root, &value);
	cmp_body_info(CMP_GENM, CMP_INFO_ROOT_CERT, buf_bytes(&value), &body);
	cmp_seed("genm-root", &body, f->device);
	buf_reset(&value);
	cmp_info_crl_status(X509_get_subject_name(f->sub), 1700000000, &value);
	cmp_body_info(CMP_GENM, CMP_INFO_CRL_STATUS, buf_bytes(&value), &body);
	cmp_seed("genm-crl-status", &body, f->device);
	buf_reset(&value);
	cmp_info_certs(certs, &value);
	cmp_body_info(CMP_GENP, CMP_INFO_CA_CERTS, buf_bytes(&value), &body);
	cmp_seed("genp-ca-certs", &body, f->registrar);
	buf_reset(&value);
	cmp_info_root_update(f->root, f->sub, NULL, &value);
	cmp_body_info(CMP_GENP, CMP_INFO_ROOT_UPDATE, buf_bytes(&value), &body);
	cmp_seed("genp-root-update", &body, f->registrar);
	cmp_body_info(CMP_GENP, CMP_INFO_CRLS, none, &body);
	cmp_seed("genp-crls-none", &body, f->registrar);
	sk_X509_free(certs);
}

static void
cmp_other_answers(struct fixture *f)
{
	struct buf body AUTO_BUF = { 0 };

	cmp_body_rp(CMP_ACCEPTED, 0, NULL, &body);
	cmp_seed("rp", &body, f->ra);
	cmp_body_rp(CMP_REJECTION, CMP_BAD_CERT_ID, "not yours", &body);
	cmp_seed("rp-rejection", &body, f->ra);
	cmp_body_issued(CMP_KUP, 0, f->issued, NULL, &body);
	cmp_seed("kup-issued", &body, f->ra);
	cmp_body_issued(CMP_CP, -1, f->issued, NULL, &body);
	cmp_seed("cp-issued", &body, f->ra);
	cmp_body_waiting(CMP_RR, -1, &body);
	cmp_seed("error-waiting", &body, f->registrar);
}

/* ---- certificates ------------------------------------------------------ */

static void
cert_seed(struct fixture *f, const char *name, struct issue_spec *spec)
{
	AUTO(X509_NAME) subject = issue_name(name, "Waybill tests", "SN-1");
	AUTO(X509) x = NULL;
	struct buf der AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	spec->subject = subject;
	spec->pubkey = f->new_key;
	spec->not_before = 1500000000;
	spec->pathlen = -1;
	if ((x = issue_cert(spec, f->sub, f->sub_key, &e)) == NULL)
		err_die(e.msg);
	ossl_cert_der(x, &der);
	seed_buf("cert", name, &der);
}

static void
certs(struct fixture *f)
{
	cert_seed(f, "idevid",
	    &(struct issue_spec){ .not_after = ISSUE_FOREVER,
		.key_usage = "critical,digitalSignature",
		.masa_url = "https://masa.example/",
		.hw_type_oid = "1.3.6.1.4.1.32473.1",
		.hw_serial = bytes_of("SN-1", 4) });
	cert_seed(f, "registrar",
	    &(struct issue_spec){ .not_after = 4000000000,
		.key_usage = "critical,digitalSignature",
		.ext_key_usage = "serverAuth,clientAuth,1.3.6.1.5.5.7.3.28",
		.san = "URI:urn:waybill:site:north,DNS:localhost,IP:::1" });
	cert_seed(f, "sub-ca",
	    &(struct issue_spec){ .not_after = 4000000000,
		.ca = true,
		.key_usage = "critical,keyCertSign,cRLSign" });
}

/* ---- vouchers ---------------------------------------------------------- */

static void
cms_seeds(struct fixture *f)
{
	struct signer *rsa = lab_signer(f, "RSA", 2048);
	struct signer *ed25519 = lab_signer(f, "ED25519", 0);
	const struct recipe *r;
	struct buf out AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	for (r = cms_recipes; r < cms_recipes + NELEMS(cms_recipes); r++) {
		lab_cms(r, r->rsa ? rsa : f->device, f->ra, bytes_of("{}", 2),
		    &out);
		seed_buf("cms", r->name, &out);
	}
	check(cms_sign(nid_json_voucher(), bytes_of("{}", 2), ed25519, NULL,
		  &out, &e),
	    &e);
	seed_buf("cms", "ed25519", &out);
	signer_free(rsa);
	signer_free(ed25519);
}

static void
voucher_seeds(struct fixture *f)
{
	struct vch_request request = { .created_on = "2026-11-02T03:04:05Z",
		.assertion = VCH_PROXIMITY,
		.nonce = "-_XE9zK9q8Ll1qylMtLKeg",
		.serial = "SN-1" };
	struct vch v = { .created_on = "2026-11-02T03:04:05Z",
		.expires_on = 1793588645,
		.assertion = VCH_LOGGED,
		.serial = "SN-1",
		.pin = f->root };
	struct buf out AUTO_BUF = { 0 };

	vch_idevid_issuer(f->device->cert, &request.idevid_issuer);
	vch_idevid_issuer(f->device->cert, &v.idevid_issuer);
	ossl_cert_der(f->registrar->cert, &request.proximity);
	buf_add_str(&request.prior, "what the pledge signed");
	vch_request_format(&request, &out);
	seed_buf("voucher", "request", &out);
	vch_format(&v, &out);
	seed_buf("voucher", "nonceless", &out);
	v.expires_on = 0;
	str_copy(v.nonce, sizeof(v.nonce), request.nonce);
	vch_format(&v, &out);
	seed_buf("voucher", "nonced", &out);
	vch_request_done(&request);
	buf_done(&v.idevid_issuer);
}

static void
voucher_small_seeds(void)
{
	static const char log[] =
	    "{\"version\":\"1\",\"events\":[{\"date\":"
	    "\"2026-11-02T03:04:05Z\",\"domainID\":\"AAEC\","
	    "\"nonce\":null,\"assertion\":\"logged\","
	    "\"truncated\":\"0\"}],\"truncation\":"
	    "{\"nonced duplicates\":0,\"nonceless duplicates\":\"1\","
	    "\"arbitrary\":2}}";
	struct vch_status s = { .version = 1, .reason = "no" };
	struct vch_answer a = { .status = 200,
		.reason = "ok",
		.voucher = bytes_of("voucher", 7),
		.log_status = 200,
		.log = bytes_of(log, sizeof(log) - 1) };
	struct buf out AUTO_BUF = { 0 };

	seed("voucher", "audit-log", a.log);
	vch_status_format(&s, &out);
	seed_buf("voucher", "status", &out);
	vch_answer_format(&a, &out);
	seed_buf("voucher", "answer", &out);
	a = (struct vch_answer){ .status = 404, .reason = "not here" };
	vch_answer_format(&a, &out);
	seed_buf("voucher", "answer-refused", &out);
}

/* ---- frames ------------------------------------------------------------ */

static void
frame_put_seeds(struct fixture *f)
{
	struct entry_header h = { .site = "north",
		.id = 12,
		.kind = ENTRY_CMP,
		.received = { .time = 1800000000 },
		.deadline = 1802592000 };
	struct buf header AUTO_BUF = { 0 };
	struct buf sig AUTO_BUF = { 0 };
	struct buf out AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	facts_set(&h.facts, "idevid.subject-serial", FACT_END_TO_END, "SN-1");
	facts_set(&h.facts, "profile", FACT_CLAIMED, "");
	check(entry_header_sign(&h, f->registrar, &header, &sig, &e), &e);
	frame_put(1, buf_bytes(&header), bytes_of("octets", 6), buf_bytes(&sig),
	    &out);
	seed_buf("frame", "put", &out);
	seed_buf("frame", "entry-header", &header);
}

static void
frame_batch_seeds(struct fixture *f)
{
	struct batch_item items[2] = {
		{ .id = 12, .code = BATCH_STORED },
		{ .id = 13, .code = BATCH_ANSWERED, .has_answer = true },
	};
	struct bytes answers[2] = { { NULL, 0 }, bytes_of("answer", 6) };
	struct batch b = { .service = "ra",
		.site = "north",
		.seq = 1,
		.time = 1800000000,
		.n = 2,
		.items = items };
	struct buf text AUTO_BUF = { 0 };
	struct buf sig AUTO_BUF = { 0 };
	struct buf out AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	items[1].answer = digest_of(answers[1].p, answers[1].len);
	check(batch_sign(&b, f->ra, &text, &sig, &e), &e);
	frame_answers(FRAME_ANSWERS, 2,
	    &(struct frame_batch){ .batch = buf_bytes(&text),
		.sig = buf_bytes(&sig),
		.n = 2,
		.answers = answers },
	    1, &out);
	seed_buf("frame", "answers", &out);
	seed_buf("frame", "batch", &text);
}

/* What a site that is asked tells of an entry, and reference data. */
static void
frame_evidence_seeds(struct fixture *f)
{
	struct frame_evidence x = { .octets = bytes_of("octets", 6),
		.sig = bytes_of("signature", 9),
		.header = bytes_of("header", 6),
		.state = ENTRY_ANSWERED,
		.answer = bytes_of("answer", 6) };
	struct frame_manifest m = { .service = "ra",
		.name = "deny-list",
		.version = 3,
		.made = 1800000000,
		.until = 1800086400,
		.size = 12,
		.digest = digest_of("twelve bytes", 12) };
	struct buf text AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };
	struct buf out AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	frame_evidence(7, &x, &out);
	seed_buf("frame", "evidence", &out);
	frame_ask(8, "north", "deny-list", 2, 0, &out);
	seed_buf("frame", "ask", &out);
	check(frame_manifest_sign(&m, f->ra, &text, &sig, &e), &e);
	frame_data(9, buf_bytes(&text), buf_bytes(&sig), 0,
	    bytes_of("twelve bytes", 12), &out);
	seed_buf("frame", "data", &out);
	seed_buf("frame", "manifest", &text);
	frame_data(
	    10, bytes_of("", 0), bytes_of("", 0), 0, bytes_of("", 0), &out);
	seed_buf("frame", "data-nothing-newer", &out);
}

static void
frame_small_seeds(struct fixture *f)
{
	struct frame_hello h = { .site = "north",
		.service = "ra",
		.site_next_id = 13,
		.time = 1800000000 };
	struct buf out AUTO_BUF = { 0 };
	struct buf wrapped AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	check(frame_hello(FRAME_HELLO, 3, &h, f->registrar, &out, &e), &e);
	seed_buf("frame", "hello", &out);
	frame_pull(4, "north", 7, 20, &out);
	frame_wrap(buf_bytes(&out), &wrapped);
	seed_buf("frame", "pull", &out);
	seed_buf("frame", "carry-pull", &wrapped);
	frame_got(5, "north", 8, &out);
	seed_buf("frame", "got", &out);
	frame_nack(6, 30, "full", &out);
	seed_buf("frame", "nack", &out);
	frame_link(true, "ra", &out);
	seed_buf("frame", "link-up", &out);
}

/* ---- CBOR -------------------------------------------------------------- */

/* Reads as fuzz_cbor.c numbers them, and what they read. */
static void
cbor_seeds(void)
{
	static const uint8_t reads[] = { 9, 9 << 4 | 10, 0, 2, 3, 5, 5, 6, 7, 9,
		1 << 4 | 13, 1 };
	struct buf out AUTO_BUF = { 0 };

	buf_add(&out, reads, sizeof(reads));
	out.data[0] = sizeof(reads) - 1;
	cbor_write_array(&out, 9);
	cbor_write_uint(&out, 1 << 20);
	cbor_write_int(&out, -70000);
	cbor_write_bytes(&out, "octets", 6);
	cbor_write_null(&out);
	cbor_write_bytes(&out, "five", 4);
	cbor_write_bytes(&out, "sixteen octets..", 16);
	cbor_write_text(&out, "t\xc3\xa4xt");
	cbor_write_bool(&out, true);
	cbor_write_array(&out, 1);
	cbor_write_uint(&out, 23);
	seed_buf("cbor", "all", &out);
}

/* As fuzz_id.c has the epoch. */
static void
id_seed(void)
{
	static const uint8_t epoch[ENTRY_EPOCH_LEN] = "an epoch of 16 .";
	char text[ENTRY_ID_TEXT];

	entry_id_format(text, epoch, 12);
	seed("id", "whole", bytes_of(text, strlen(text)));
}

int
main(int argc, char **argv)
{
	void *state = NULL;

	if (argc != 2) {
		fprintf(stderr, "usage: make_corpus DIR\n");
		return 2;
	}
	top = argv[1];
	fixture_setup(&state);
	cmp_requests(state);
	cmp_answers(state);
	cmp_domain_requests(state);
	cmp_infos(state);
	cmp_other_answers(state);
	certs(state);
	cms_seeds(state);
	voucher_seeds(state);
	voucher_small_seeds();
	frame_put_seeds(state);
	frame_batch_seeds(state);
	frame_evidence_seeds(state);
	frame_small_seeds(state);
	crl_seeds(state);
	front_seeds(state);
	cbor_seeds();
	id_seed();
	return fixture_teardown(&state);
}
