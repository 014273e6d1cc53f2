/* Every path with every method, and voucher requests of one device or another. */
#include "dispatch_cells.h"

#include "tests/unit/voucher_lab.h"

#include "registrar/vcall.h"

/* ---- HTTP -------------------------------------------------------------- */

/* What octets that mean nothing are answered with, by who sends them. */
static const struct route {
	const char *path, *method, *type;
	int status[WHO__MAX];
} routes[] = {
	{ "/.well-known/brski", "GET", NULL, { 200, 200, 200, 200 } },
	{ "/.well-known/brski/requestvoucher", "POST", VCALL_TYPE,
	    { 401, 400, 400, 400 } },
	{ "/.well-known/brski/voucherrequest", "POST", VCALL_TYPE,
	    { 401, 400, 400, 400 } },
	{ "/.well-known/brski/voucher_status", "POST", "application/json",
	    { 403, 403, 400, 400 } },
	{ "/.well-known/brski/enrollstatus", "POST", "application/json",
	    { 403, 403, 400, 400 } },
	{ REG_CMP, "POST", REG_CMP_TYPE, { 400, 400, 400, 400 } },
	{ REG_CMP "/nested", "POST", REG_CMP_TYPE, { 400, 400, 400, 400 } },
	{ REG_CMP "/p/relay/pkcs10", "POST", REG_CMP_TYPE,
	    { 400, 400, 400, 400 } },
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
	    signer == STRANGER	   ? "a stranger"
		: signer == MEMBER ? "one of the domain"
				   : "the device",
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
		{ MEMBER, DEVICE, 404 },
		{ DEVICE, MEMBER, 404 },
		{ MEMBER, MEMBER, 403 },
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

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(paths_have_one_method_each),
		T(vouchers_are_for_the_device_that_signs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
