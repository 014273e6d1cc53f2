/*
 * What reaches admission, and nothing else does: all body types of CMP, plain,
 * nested once and twice, on every path, from clients that show nothing, a
 * stranger's certificate, a device's own.
 */
#include "dispatch_cells.h"

/* ---- CMP --------------------------------------------------------------- */

/* What comes back to whom: what waits is stored, nothing else is. */
static const struct spoken {
	enum cmp_body type;
	const char *device, *member;
} spoken[] = {
	{ CMP_IR, "ip waiting", "error notAuthorized" },
	{ CMP_P10CR, "cp waiting", "error notAuthorized" },
	{ CMP_CR, "error notAuthorized", "cp waiting" },
	{ CMP_KUR, "error notAuthorized", "kup waiting" },
	{ CMP_RR, "error notAuthorized", "error waiting" },
	{ CMP_GENM, "error waiting", "error waiting" },
	/* Admitted; nothing to ask about, or to confirm, in these. */
	{ CMP_POLLREQ, "error badRequest", "error badRequest" },
	{ CMP_CERTCONF, "error badRequest", "error badRequest" },
	{ CMP_ERROR, "pkiConf", "pkiConf" },
};

static const struct spoken *
is_spoken(int type, int nested)
{
	for (size_t i = 0; nested == 0 && i < NELEMS(spoken); i++)
		if ((int)spoken[i].type == type)
			return &spoken[i];
	return NULL;
}

static const char *
cmp_want(int type, int nested, enum who w)
{
	const struct spoken *s = is_spoken(type, nested);

	if (s == NULL)
		return "error badRequest";
	return w == NOBODY  ? "error notAuthorized"
	    : w == STRANGER ? "error signerNotTrusted"
	    : w == MEMBER   ? s->member
			    : s->device;
}

static void
cmp_body_of(int type, const struct signer *s, struct buf *out)
{
	const uint8_t empty[] = { (uint8_t)(0xa0 | type), 2, 0x30, 0 };
	AUTO(X509_NAME) name = issue_name("dev", NULL, NULL);
	struct err e = ERR_INIT;
	int rc = 0;

	switch (type) {
	case CMP_IR:
	case CMP_CR:
		rc = cmp_body_certreq(
		    (enum cmp_body)type, ho.g->l->key, name, out, &e);
		break;
	case CMP_KUR:
		rc = cmp_body_kur(ho.g->l->key, name, s->cert, out, &e);
		break;
	case CMP_P10CR:
		rc = cmp_body_p10cr(ho.g->l->key, name, out, &e);
		break;
	case CMP_RR:
		cmp_body_rr(s->cert, 1, out);
		break;
	case CMP_GENM:
		cmp_body_info(
		    CMP_GENM, CMP_INFO_CA_CERTS, bytes_of(NULL, 0), out);
		break;
	case CMP_POLLREQ:
		cmp_body_pollreq(0, out);
		break;
	case CMP_CERTCONF:
		cmp_body_certconf(0, s->cert, true, NULL, out);
		break;
	case CMP_ERROR:
		cmp_body_error(CMP_REJECTION, CMP_BAD_REQUEST, "no", out);
		break;
	case CMP_PKICONF:
		cmp_body_pkiconf(out);
		break;
	default:
		buf_add(out, empty, sizeof(empty));
	}
	assert_int_equal(rc, 0);
}

static void
cmp_message(int type, int nested, const struct signer *s, struct buf *out)
{
	struct buf body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	uint8_t tid[CMP_TID_LEN];
	struct cmp_head h = { .transaction_id = bytes_of(tid, sizeof(tid)) };

	random_bytes(tid, sizeof(tid));
	cmp_body_of(type, s, &body);
	for (int i = 0; i <= nested; i++) {
		buf_reset(out);
		if (cmp_build(&h, buf_bytes(&body), s, NULL, out, &e) == -1)
			fail_msg("%s", e.msg);
		buf_reset(&body);
		cmp_body_nested(buf_bytes(out), &body);
	}
}

/* "error badRequest", "ip waiting", "pkiConf"; of this request, under the
 * registrar's signature. */
static void
cmp_came(struct bytes request, struct reg_reply *p, char ret[TEXT_MAX])
{
	static const struct {
		uint32_t bit;
		const char *name;
	} fails[] = {
		{ CMP_BAD_REQUEST, "badRequest" },
		{ CMP_NOT_AUTHORIZED, "notAuthorized" },
		{ CMP_SIGNER_NOT_TRUSTED, "signerNotTrusted" },
		{ CMP_BAD_DATA_FORMAT, "badDataFormat" },
		{ CMP_BAD_RECIPIENT_NONCE, "badRecipientNonce" },
	};
	AUTO(cmp_msg) q = lab_parse(request);
	AUTO(cmp_msg) m = NULL;
	struct cmp_response rsp = { 0 };
	struct err e = ERR_INIT;
	const char *more = "";
	int rc = 0;

	snprintf(ret, TEXT_MAX, "HTTP %d", p->status);
	if (p->status != 200)
		return;
	m = lab_parse(p->body);
	if (cmp_verify(m, ho.g->l->registrar->cert, &e) == -1 ||
	    !bytes_eq(cmp_transaction_id(m), cmp_transaction_id(q)) ||
	    !bytes_eq(cmp_recip_nonce(m), cmp_sender_nonce(q))) {
		snprintf(ret, TEXT_MAX, "not an answer: %s", e.msg);
		return;
	}
	if (cmp_body(m) != CMP_PKICONF)
		rc = cmp_body(m) == CMP_ERROR ? cmp_read_error(m, &rsp, &e)
					      : cmp_read_response(m, &rsp, &e);
	for (size_t i = 0; i < NELEMS(fails); i++)
		if (rsp.fail == fails[i].bit)
			more = fails[i].name;
	if (rsp.status == CMP_WAITING)
		more = "waiting";
	snprintf(ret, TEXT_MAX, "%s%s%s",
	    rc == 0 ? cmp_body_name(cmp_body(m)) : e.msg,
	    *more != '\0' ? " " : "", more);
	cmp_response_done(&rsp);
}

static void
cmp_cell(int type, int nested, enum who w, const char *path)
{
	static const char *const nests[] = { "", "nested: ", "nested twice: " };
	const struct spoken *s = is_spoken(type, nested);
	struct cell c = { .want = cmp_want(type, nested, w) };
	bool stored;
	struct buf request AUTO_BUF = { 0 };
	struct reg_reply p AUTO_REPLY = { 0 };
	struct reg_http h = {
		.client = client_of(w), .path = path, .type = REG_CMP_TYPE
	};

	snprintf(c.sent, TEXT_MAX, "%s%s, %s", nests[nested],
	    s != NULL	     ? cmp_body_name(s->type)
		: nested > 0 ? "any of 27 types"
			     : "a type not spoken",
	    who_names[w]);
	cmp_message(type, nested, signer_of(w), &request);
	h.body = buf_bytes(&request);
	c.began = now_us();
	reg_http(ho.g, &h, &p);
	cmp_came(h.body, &p, c.came);
	stored = strstr(c.want, " waiting") != NULL;
	ho.accepted += stored;
	ho.refused += !stored && strncmp(c.want, "error", 5) == 0;
	cell_end(&c, path);
}

static void
cmp_is_admitted_by_type_and_sender(void **state)
{
	static const char *const labels[] = { "", "/initialization",
		"/certification", "/keyupdate", "/pkcs10", "/revocation",
		"/getcacerts", "/getrootupdate", "/getcertreqtemplate",
		"/getcrls", "/nested" };
	char path[128];

	ho.g = *state;
	for (int nested = 0; nested < 3; nested++)
		for (int type = 0; type < CMP_BODY__MAX; type++)
			for (size_t i = 0; i < 2 * NELEMS(labels); i++) {
				snprintf(path, sizeof(path), REG_CMP "%s%s",
				    i % 2 == 1 ? "/p/relay" : "",
				    labels[i / 2]);
				for (int w = 0; w < WHO__MAX; w++)
					cmp_cell(
					    type, nested, (enum who)w, path);
			}
	print_classes();
	print_memory();
	assert_int_equal(ho.wrong, 0);
	/* Three of the device's, four when it is of the domain. */
	assert_int_equal(ho.accepted, (3 + 4) * 2 * NELEMS(labels));
	assert_int_equal(reg_logged(ho.g, "event=queue.accepted"), ho.accepted);
	assert_int_equal(reg_logged(ho.g, "event=cmp.refused"), ho.refused);
	assert_int_equal(reg_logged(ho.g, "event=cmp.unreadable"), 0);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(cmp_is_admitted_by_type_and_sender),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
