/*
 * What reaches admission, and nothing else does: all body types, plain, nested
 * once and twice, on every path of CMP, from clients that show nothing, a
 * stranger's certificate, a device's; and every path with every method.  A line
 * for each class of cells: what was sent, what came back, how many, how long.
 */
#include "tests/unit/registrar_lab.h"
#include "tests/unit/voucher_lab.h"

#include "common/base/limits.h"
#include "registrar/caps.h"
#include "registrar/vcall.h"

enum who { NOBODY, STRANGER, DEVICE, WHO__MAX };
static const char *const who_names[] = { "no certificate", "an unknown maker's",
	"the device's" };

static struct hostile {
	struct reg_lab *g;
	struct signer *stranger;
	unsigned cells, wrong, accepted, refused;
	unsigned long resident; /* before the first cell */
} ho;

/* ---- classes of cells -------------------------------------------------- */

#define CLASSES_MAX 512
#define TEXT_MAX    96
#define MEMORY_MAX  8192 /* KiB more than at the start */

struct cell {
	char sent[TEXT_MAX]; /* the class */
	const char *want;
	char came[TEXT_MAX];
	uint64_t began; /* microseconds */
};

static struct class
{
	char sent[TEXT_MAX], came[TEXT_MAX];
	unsigned n;
	uint64_t total, worst;
} classes[CLASSES_MAX];
static size_t n_classes;

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static struct class *
class_of(const struct cell *c)
{
	size_t i = 0;

	while (i < n_classes &&
	    (strcmp(classes[i].sent, c->sent) != 0 ||
		strcmp(classes[i].came, c->came) != 0))
		i++;
	assert_true(i < CLASSES_MAX);
	if (i == n_classes) {
		str_copy(classes[i].sent, TEXT_MAX, c->sent);
		str_copy(classes[i].came, TEXT_MAX, c->came);
		n_classes++;
	}
	return &classes[i];
}

/* Also that nothing was stored but what was accepted. */
static void
cell_end(const struct cell *c, const char *where)
{
	uint64_t took = now_us() - c->began, stored = reg_next_id(ho.g) - 1;
	struct class *k = class_of(c);

	ho.cells++;
	k->n++;
	k->total += took;
	if (took > k->worst)
		k->worst = took;
	if (strcmp(c->came, c->want) != 0) {
		ho.wrong++;
		printf("WRONG  %s at %s: %s, not %s\n", c->sent, where, c->came,
		    c->want);
	}
	if (stored != ho.accepted) {
		ho.wrong++;
		printf("WRONG  %s at %s: %llu entries, not %u\n", c->sent,
		    where, (unsigned long long)stored, ho.accepted);
		ho.accepted = (unsigned)stored;
	}
}

static void
print_classes(void)
{
	for (size_t i = 0; i < n_classes; i++)
		printf("%-60s %-22s %5u x %5.1f ms, worst %5.1f\n",
		    classes[i].sent, classes[i].came, classes[i].n,
		    (double)classes[i].total / classes[i].n / 1000,
		    (double)classes[i].worst / 1000);
	n_classes = 0;
	memset(classes, 0, sizeof(classes));
	fflush(stdout);
}

/* In KiB, of all of us: the registrar and who asks it are one process. */
static unsigned long
resident(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*u %lu", &pages), 1);
	fclose(f);
	return pages * (unsigned long)sysconf(_SC_PAGESIZE) / 1024;
}

/* Thousands of refusals leave nothing of each. */
static void
print_memory(void)
{
	unsigned long now = resident();

	printf("%u cells, %u stored; resident %lu KiB before, %lu KiB after\n",
	    ho.cells, ho.accepted, ho.resident, now);
	fflush(stdout);
	assert_true(now < ho.resident + MEMORY_MAX);
}

static const struct signer *
client_of(enum who w)
{
	return w == NOBODY  ? NULL
	    : w == STRANGER ? ho.stranger
			    : ho.g->l->device;
}

/* Who shows nothing signs as the device. */
static const struct signer *
signer_of(enum who w)
{
	return w == STRANGER ? ho.stranger : ho.g->l->device;
}

/* ---- CMP --------------------------------------------------------------- */

static const struct spoken {
	enum cmp_body type;
	const char *from_device; /* what comes back */
	bool stored;
} spoken[] = {
	{ CMP_IR, "ip waiting", true },
	{ CMP_P10CR, "cp waiting", true },
	/* For who has a certificate of the domain. */
	{ CMP_CR, "error notAuthorized", false },
	{ CMP_KUR, "error notAuthorized", false },
	{ CMP_RR, "error notAuthorized", false },
	/* Admitted; about nothing. */
	{ CMP_GENM, "error badRequest", false },
	/* Admitted; nothing to ask about, or to confirm, in these. */
	{ CMP_POLLREQ, "error badRequest", false },
	{ CMP_CERTCONF, "error badRequest", false },
	{ CMP_ERROR, "pkiConf", false },
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
			    : s->from_device;
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
	case CMP_KUR:
		rc = cmp_body_certreq(
		    (enum cmp_body)type, ho.g->l->key, name, out, &e);
		break;
	case CMP_P10CR:
		rc = cmp_body_p10cr(ho.g->l->key, name, out, &e);
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
	ho.accepted += w == DEVICE && s != NULL && s->stored;
	ho.refused += strncmp(c.want, "error", 5) == 0;
	cell_end(&c, path);
}

static void
cmp_reaches_admission_by_two_types_alone(void **state)
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
	assert_int_equal(ho.accepted, 2 * 2 * NELEMS(labels));
	assert_int_equal(reg_logged(ho.g, "event=queue.accepted"), ho.accepted);
	assert_int_equal(reg_logged(ho.g, "event=cmp.refused"), ho.refused);
	assert_int_equal(reg_logged(ho.g, "event=cmp.unreadable"), 0);
}

/* ---- HTTP -------------------------------------------------------------- */

/* What octets that mean nothing are answered with, by who sends them. */
static const struct route {
	const char *path, *method, *type;
	int status[WHO__MAX];
} routes[] = {
	{ "/.well-known/brski", "GET", NULL, { 200, 200, 200 } },
	{ "/.well-known/brski/requestvoucher", "POST", VCALL_TYPE,
	    { 401, 400, 400 } },
	{ "/.well-known/brski/voucherrequest", "POST", VCALL_TYPE,
	    { 401, 400, 400 } },
	{ "/.well-known/brski/voucher_status", "POST", "application/json",
	    { 403, 403, 400 } },
	{ "/.well-known/brski/enrollstatus", "POST", "application/json",
	    { 403, 403, 400 } },
	{ REG_CMP, "POST", REG_CMP_TYPE, { 400, 400, 400 } },
	{ REG_CMP "/nested", "POST", REG_CMP_TYPE, { 400, 400, 400 } },
	{ REG_CMP "/p/relay/pkcs10", "POST", REG_CMP_TYPE, { 400, 400, 400 } },
};

static const char *const unknown[] = { "/", "//", "/index.html", "/.well-known",
	"/.well-known/", "/.well-known/est/simpleenroll", "/.well-known/brski/",
	"/.well-known/brski/requestauditlog",
	"/.well-known/brski/requestvoucher/", "/.well-known/BRSKI",
	"/.well-known/brski/../cmp", REG_CMP "/", REG_CMP "/p", REG_CMP "/p/",
	REG_CMP "/p//nested", REG_CMP "/unknown", REG_CMP "/nested/nested",
	"/v1/status", "/v1/queue", "/v1/voucher/import" };

/* GET and POST come with and without the right body; who has no body ends
 * nothing by it. */
static const struct method {
	const char *name;
	bool known, body;
} methods[] = {
	{ "GET", true, false },
	{ "HEAD", true, false },
	{ "POST", true, true },
	{ "PUT", true, true },
	{ "DELETE", true, false },
	{ "OPTIONS", true, false },
	{ "PATCH", true, true },
	{ "TRACE", false, false },
	{ "CONNECT", false, false },
	{ "PROPFIND", false, false },
	{ "BREW", false, false },
	{ "get", false, false },
};

static int
http_want(const struct route *r, const struct method *m, enum who w, bool typed)
{
	if (!m->known)
		return 501;
	if (r == NULL)
		return 404;
	if (strcmp(m->name, r->method) != 0)
		return 405;
	if (r->type != NULL && !typed)
		return 415;
	return r->status[w];
}

static void
http_cell(const char *path, const struct route *r, const struct method *m,
    enum who w, bool typed)
{
	int want_status = http_want(r, m, w, typed);
	struct reg_reply p AUTO_REPLY = { 0 };
	struct reg_http h = { .client = client_of(w),
		.method = m->name,
		.path = path,
		.headers = "Connection: close\r\n",
		.type = typed && r != NULL ? r->type : "text/plain" };
	struct cell c = { 0 };
	char want[TEXT_MAX];

	if (m->body)
		h.body = bytes_of("nonsense", 8);
	snprintf(want, sizeof(want), "HTTP %d", want_status);
	c.want = want;
	if (want_status != 404 && want_status != 405 && want_status != 415 &&
	    want_status != 501)
		snprintf(
		    c.sent, TEXT_MAX, "%s %s, %s", m->name, path, who_names[w]);
	else
		snprintf(c.sent, TEXT_MAX, "%s %s%s", m->name,
		    r != NULL ? "a path served" : "an unknown path",
		    want_status == 415 ? ", another type" : "");
	c.began = now_us();
	reg_http(ho.g, &h, &p);
	snprintf(c.came, TEXT_MAX, "HTTP %d", p.status);
	cell_end(&c, path);
}

static void
http_cells(const char *path, const struct route *r)
{
	for (size_t m = 0; m < NELEMS(methods); m++)
		for (int w = 0; w < WHO__MAX; w++)
			for (int typed = 0; typed < 2; typed++)
				http_cell(path, r, &methods[m], (enum who)w,
				    typed == 1);
}

static void
paths_have_one_method_each(void **state)
{
	ho.g = *state;
	for (size_t i = 0; i < NELEMS(routes); i++)
		http_cells(routes[i].path, &routes[i]);
	for (size_t i = 0; i < NELEMS(unknown); i++)
		http_cells(unknown[i], NULL);
	print_classes();
	print_memory();
	assert_int_equal(ho.wrong, 0);
	assert_int_equal(reg_logged(ho.g, "event=queue.accepted"), 0);
}

/* ---- vouchers ---------------------------------------------------------- */

static void
voucher_cell(const char *path, enum who client, enum who signer, int want)
{
	struct lab_voucher a = { .device = signer_of(signer) };
	struct buf request AUTO_BUF = { 0 };
	struct reg_reply p AUTO_REPLY = { 0 };
	struct reg_http h = {
		.client = client_of(client), .path = path, .type = VCALL_TYPE
	};
	struct cell c = { 0 };
	char nonce[32], text[TEXT_MAX];

	snprintf(nonce, sizeof(nonce), "bm9uY2UgLS%04u==", 1000 + ho.cells);
	a.nonce = nonce;
	lab_prior(ho.g->l, &a, &request);
	h.body = buf_bytes(&request);
	snprintf(text, sizeof(text), "HTTP %d", want);
	c.want = text;
	snprintf(c.sent, TEXT_MAX, "voucher request signed by %s, %s",
	    signer == STRANGER ? "a stranger" : "the device",
	    who_names[client]);
	c.began = now_us();
	reg_http(ho.g, &h, &p);
	snprintf(c.came, TEXT_MAX, "HTTP %d", p.status);
	ho.accepted += want == 202;
	cell_end(&c, path);
}

static void
vouchers_are_for_the_device_that_signs(void **state)
{
	static const char *const paths[] = {
		"/.well-known/brski/requestvoucher",
		"/.well-known/brski/voucherrequest",
	};
	static const struct {
		enum who client, signer;
		int want;
	} cases[] = {
		{ NOBODY, DEVICE, 401 },
		{ NOBODY, STRANGER, 401 },
		{ STRANGER, DEVICE, 404 },
		{ STRANGER, STRANGER, 403 },
		{ DEVICE, STRANGER, 404 },
		{ DEVICE, DEVICE, 202 },
	};

	ho.g = *state;
	for (size_t i = 0; i < NELEMS(paths); i++)
		for (size_t j = 0; j < NELEMS(cases); j++)
			voucher_cell(paths[i], cases[j].client, cases[j].signer,
			    cases[j].want);
	print_classes();
	print_memory();
	assert_int_equal(ho.wrong, 0);
	assert_int_equal(ho.accepted, NELEMS(paths));
	assert_int_equal(
	    reg_logged(ho.g, "event=queue.accepted"), NELEMS(paths));
}

/* ---- around each ------------------------------------------------------- */

/* None of this is about shares: a device that asks ten thousand times. */
static int
setup(void **state)
{
	static const struct reg_want want = {
		.limits = "device-requests: 100000, device-connections: 1000, "
			  "nameless-requests: 100000, device-open: 0, "
			  "device-hour: 0",
	};
	struct reg_lab *g;

	reg_lab_setup(state);
	g = *state;
	memset(&ho, 0, sizeof(ho));
	ho.stranger = lab_device(&g->l->stranger, "WB-0001");
	reg_start(g, &want);
	ho.resident = resident();
	return 0;
}

static int
teardown(void **state)
{
	signer_free(ho.stranger);
	return reg_lab_teardown(state);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(cmp_reaches_admission_by_two_types_alone),
		T(paths_have_one_method_each),
		T(vouchers_are_for_the_device_that_signs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
