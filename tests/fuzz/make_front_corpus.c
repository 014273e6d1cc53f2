/* Seeds of fuzz_front: what devices and people ask of a registrar. */
#include <stdio.h>

#include "tests/fuzz/front_input.h"
#include "tests/fuzz/make_corpus.h"

#define CMP	     "/.well-known/cmp"
#define CMP_TYPE     "application/pkixcmp"
#define BRSKI	     "/.well-known/brski"
#define VOUCHER_TYPE "application/voucher-cms+json"
#define JSON_TYPE    "application/json"

static void
front_add(struct buf *out, enum front_kind kind, const char *path,
    const char *type, struct bytes body)
{
	struct front_input in = { .kind = kind,
		.peer = 1,
		.method = body.len > 0 ? HTTPS_POST : HTTPS_GET,
		.control = strncmp(path, "/v1/", 4) == 0,
		.implicit = true,
		.body = body };

	snprintf(in.path, sizeof(in.path), "%s", path);
	snprintf(in.type, sizeof(in.type), "%s", type);
	front_input_add(out, &in);
}

/* A request, and what its device says next. */
static void
front_enrolment(const char *name, struct bytes request, struct bytes next)
{
	struct buf out AUTO_BUF = { 0 };

	front_add(
	    &out, FRONT_CMP, CMP "/p/tls/initialization", CMP_TYPE, request);
	if (next.len > 0)
		front_add(&out, FRONT_FOLLOW, CMP, CMP_TYPE, next);
	seed_buf("front", name, &out);
}

static void
front_cmp_seeds(struct fixture *f)
{
	const X509_NAME *subject = X509_get_subject_name(f->issued);
	struct buf ir AUTO_BUF = { 0 }, other AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	check(cmp_body_certreq(CMP_IR, f->new_key, subject, &ir, &e), &e);
	front_enrolment("ir", buf_bytes(&ir), bytes_of("", 0));
	cmp_body_pollreq(0, &other);
	front_enrolment("ir-pollreq", buf_bytes(&ir), buf_bytes(&other));
	buf_reset(&other);
	cmp_body_certconf(0, f->issued, true, NULL, &other);
	front_enrolment("ir-certconf", buf_bytes(&ir), buf_bytes(&other));
	buf_reset(&other);
	cmp_body_error(CMP_REJECTION, CMP_BAD_REQUEST, "no", &other);
	front_enrolment("ir-error", buf_bytes(&ir), buf_bytes(&other));
	front_enrolment("ir-again", buf_bytes(&ir), buf_bytes(&ir));
	buf_reset(&other);
	check(cmp_body_p10cr(f->new_key, subject, &other, &e), &e);
	front_enrolment("p10cr", buf_bytes(&other), bytes_of("", 0));
	buf_reset(&other);
	check(cmp_body_certreq(CMP_KUR, f->new_key, subject, &other, &e), &e);
	front_enrolment("kur", buf_bytes(&other), bytes_of("", 0));
	buf_reset(&other);
	cmp_body_pkiconf(&other);
	front_enrolment("pkiconf", buf_bytes(&other), bytes_of("", 0));
}

static void
front_raw_seeds(struct fixture *f)
{
	struct buf octets AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };

	fixture_ir(f, &octets);
	front_add(&out, FRONT_RAW, CMP, CMP_TYPE, buf_bytes(&octets));
	front_add(
	    &out, FRONT_RAW, CMP "/p/a%00b", "text/html", buf_bytes(&octets));
	seed_buf("front", "raw-cmp", &out);
	front_add(&out, FRONT_RAW, "/", "", bytes_of("", 0));
	front_add(&out, FRONT_RAW, BRSKI, "", bytes_of("", 0));
	seed_buf("front", "raw-get", &out);
}

static void
front_voucher_seeds(void)
{
	static const char request[] =
	    "{\"ietf-voucher-request:voucher\":{\"assertion\":\"proximity\","
	    "\"created-on\":\"2026-11-02T03:04:05Z\","
	    "\"nonce\":\"-_XE9zK9q8Ll1qylMtLKeg\","
	    "\"serial-number\":\"WB-0001\","
	    "\"proximity-registrar-cert\":\"@REGISTRAR@\"}}";
	static const char status[] =
	    "{\"version\":1,\"status\":false,\"reason\":\"no\"}";
	struct buf out AUTO_BUF = { 0 };

	front_add(&out, FRONT_VOUCHER, BRSKI "/requestvoucher", VOUCHER_TYPE,
	    bytes_of(request, sizeof(request) - 1));
	seed_buf("front", "voucher-request", &out);
	front_add(&out, FRONT_RAW, BRSKI "/voucher_status", JSON_TYPE,
	    bytes_of(status, sizeof(status) - 1));
	front_add(&out, FRONT_RAW, BRSKI "/enrollstatus", JSON_TYPE,
	    bytes_of(status, sizeof(status) - 1));
	seed_buf("front", "telemetry", &out);
}

static void
front_control_seeds(void)
{
	static const struct {
		const char *name, *path, *body;
	} asks[] = {
		{ "control-status", "/v1/status", "" },
		{ "control-metrics", "/v1/metrics", "" },
		{ "control-queue",
		    "/v1/queue?first=1&max=10&state=queued&kind=cmp&device=x",
		    "" },
		{ "control-show", "/v1/queue/1", "" },
		{ "control-hold", "/v1/queue/hold",
		    "{\"ids\":[\"1\",\"2\"],\"reason\":\"why\"}" },
		{ "control-release", "/v1/queue/release",
		    "{\"ids\":[\"1\"],\"reason\":\"why\"}" },
		{ "control-withdraw", "/v1/queue/withdraw",
		    "{\"ids\":[\"1\"],\"reason\":\"why\"}" },
		{ "control-expire", "/v1/queue/expire",
		    "{\"ids\":[\"1\"],\"reason\":\"why\"}" },
		{ "control-audit", "/v1/audit?first=1&max=10", "" },
		{ "control-verify", "/v1/audit/verify", "" },
		{ "control-restore", "/v1/restore", "{\"confirm\":true}" },
		{ "control-voucher", "/v1/voucher", "" },
		{ "control-voucher-show", "/v1/voucher/WB-0001", "" },
		{ "control-prefetch", "/v1/voucher/prefetch",
		    "{\"vendor\":\"acme\",\"serials\":[\"WB-0001\"]}" },
		{ "control-import", "/v1/voucher/import",
		    "{\"vendor\":\"acme\",\"serial\":\"WB-0001\","
		    "\"voucher\":\"AAEC\"}" },
	};

	for (size_t i = 0; i < NELEMS(asks); i++) {
		struct buf out AUTO_BUF = { 0 };

		front_add(&out, FRONT_RAW, asks[i].path, JSON_TYPE,
		    bytes_of(asks[i].body, strlen(asks[i].body)));
		seed_buf("front", asks[i].name, &out);
	}
}

void
front_seeds(struct fixture *f)
{
	front_cmp_seeds(f);
	front_raw_seeds(f);
	front_voucher_seeds();
	front_control_seeds();
}
