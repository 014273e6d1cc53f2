/* What a MASA tells of its requests, and what the checker says of them, which
 * knows nothing of our code. */
#include "masa_process.h"

static void
tells_what_it_was_asked(void **state)
{
	struct buf rvr AUTO_BUF = { 0 }, name AUTO_BUF = { 0 };
	struct buf kept AUTO_BUF = { 0 };
	AUTO(json_t) all = NULL;
	char hex[2 * DIGEST_LEN + 1];
	struct err e = ERR_INIT;
	struct digest d;

	(void)state;
	forget();
	make_sound(&rvr);
	d = digest_of(rvr.data, rvr.len);
	hex_format(hex, d.b, sizeof(d.b));
	start(NULL, NULL);
	AUTO_REPLY voucher = post(VOUCHER, &rvr);
	AUTO_REPLY nowhere =
	    ask("GET", "/", "", bytes_of(NULL, 0), lab->home.member);
	AUTO_REPLY log = ask("GET", "/log.json", "", bytes_of(NULL, 0), NULL);
	stop();
	assert_int_equal(voucher.status, 200);
	assert_int_equal(nowhere.status, 404);
	all = json_parse(reply_body(&log), 1 << 16, &e);
	assert_non_null(all);
	assert_int_equal(json_array_size(all), 2);
	const struct {
		const char *path, *serial, *sha256;
		int status, client;
	} * w,
	    want[] = { { VOUCHER, LAB_SERIAL, hex, 200, 0 },
		    { "/", "", NULL, 404, 1 } };

	for (size_t i = 0; i < NELEMS(want); i++) {
		const char *path, *serial, *sha256, *date;
		int status, client;

		w = &want[i];
		assert_int_equal(
		    json_unpack(json_array_get(all, i),
			"{s:s, s:s, s:s, s:i, s:b, s:s}", "path", &path,
			"serial", &serial, "sha256", &sha256, "status", &status,
			"client_certificate", &client, "time", &date),
		    0);
		assert_string_equal(path, w->path);
		assert_string_equal(serial, w->serial);
		if (w->sha256 != NULL)
			assert_string_equal(sha256, w->sha256);
		assert_int_equal(status, w->status);
		assert_int_equal(client, w->client);
	}
	buf_printf(&name, "kept/%s.rvr", hex);
	assert_int_equal(
	    file_read(path_of(buf_cstr(&name)), 1 << 16, &kept, &e), 0);
	assert_true(bytes_eq(buf_bytes(&kept), buf_bytes(&rvr)));
}

/*
 * The checker knows nothing of our code.
 */
static void
c_sound(struct lab_request *q)
{
	(void)q;
}

static void
c_nonceless(struct lab_request *q)
{
	q->device = NULL;
	q->rvr.nonce[0] = '\0';
}

static void
c_no_prior(struct lab_request *q)
{
	q->device = NULL;
}

static void
c_no_cmcra(struct lab_request *q)
{
	q->registrar = lab->home.member;
	q->seen = lab->home.member->cert;
}

static void
c_no_root(struct lab_request *q)
{
	q->root = NULL;
}

static void
c_type(struct lab_request *q)
{
	q->type = NID_pkcs7_data;
}

static void
c_date(struct lab_request *q)
{
	str_copy(q->rvr.created_on, VCH_TIME_MAX, "today");
}

static void
c_future(struct lab_request *q)
{
	clock_format(q->rvr.created_on, lab->now + 86400);
}

static void
c_serial(struct lab_request *q)
{
	q->device = lab->other_device;
}

static void
c_fake(struct lab_request *q)
{
	q->device = lab->fake;
	q->issuer_of = lab->fake->cert;
}

static void
c_nonce(struct lab_request *q)
{
	q->rvr.nonce[0] = 'x';
}

static void
c_issuer(struct lab_request *q)
{
	q->issuer_of = lab->fake->cert;
}

static void
c_proximity(struct lab_request *q)
{
	q->seen = lab->elsewhere.registrar->cert;
}

static void
c_unseen(struct lab_request *q)
{
	q->seen = NULL;
}

static void
c_assertion(struct lab_request *q)
{
	q->pledge.assertion = VCH_LOGGED;
}

static void
c_elsewhere(struct lab_request *q)
{
	q->registrar = lab->elsewhere.registrar;
	q->seen = q->registrar->cert;
	q->root = lab->elsewhere.root->cert;
}

static const struct {
	void (*change)(struct lab_request *q);
	const char *no; /* the one line that says no */
} views[] = {
	{ c_sound, NULL },
	{ c_nonceless, NULL },
	{ c_no_prior, "prior-signed-voucher-request is there" },
	{ c_no_cmcra, "signer has id-kp-cmcRA" },
	{ c_no_root, "the domain's CA came along" },
	{ c_type, "content is of type id-ct-animaJSONVoucher" },
	{ c_date, "created-on is a date" },
	{ c_future, "created-on is not in the future" },
	{ c_serial, "serial-number is that of the pledge's certificate" },
	{ c_fake, "the pledge's certificate chains to the vendor" },
	{ c_nonce, "nonce is the pledge's" },
	{ c_issuer, "idevid-issuer, if there, is the AKI" },
	{ c_proximity, "its key is in the chain of the request's signer" },
	{ c_unseen, "proximity-registrar-cert is a certificate" },
	{ c_assertion, "the pledge asserts proximity" },
	{ c_elsewhere, "the topmost certificate is the one expected" },
};

static int
view(struct bytes body, struct buf *ret)
{
	const char *argv[] = { checker, path_of("seen.rvr"), "--vendor",
		path_of("vendor-root.crt"), "--pinned", path_of("domain.crt"),
		NULL };
	struct err e = ERR_INIT;
	int code;

	put("seen.rvr", body);
	code = ended(spawn((char *const *)(intptr_t)argv));
	if (file_read(path_of("out"), 1 << 16, ret, &e) == -1)
		fail_msg("%s", e.msg);
	return code;
}

static void
checker_sees(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEMS(views); i++) {
		struct lab_request q = lab_request(lab);
		struct buf body AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
		const char *no = views[i].no, *line;
		int code;

		views[i].change(&q);
		lab_make(&q, &body);
		code = view(buf_bytes(&body), &out);
		line = strstr(buf_cstr(&out), "no   ");
		if (code != (no != NULL) || (line != NULL) != (no != NULL) ||
		    (no != NULL && strstr(line, no) == NULL))
			fail_msg("%s: %d\n%s", no != NULL ? no : "sound", code,
			    buf_cstr(&out));
	}
}

static void
checker_sees_signatures(void **state)
{
	struct buf body AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };

	(void)state;
	make_sound(&body);
	body.data[body.len - 1] ^= 1;
	assert_int_equal(view(buf_bytes(&body), &out), 1);
	assert_non_null(strstr(
	    buf_cstr(&out), "no   5.5     voucher request: signature holds"));
	buf_reset(&out);
	assert_int_equal(view(bytes_of("no CMS", 6), &out), 1);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(tells_what_it_was_asked, clear),
		cmocka_unit_test_teardown(checker_sees, clear),
		cmocka_unit_test_teardown(checker_sees_signatures, clear),
	};

	if (argc != 3) {
		fprintf(stderr, "usage: %s WAYBILL-MASA CHECKER\n", argv[0]);
		return 2;
	}
	program = argv[1];
	checker = argv[2];
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, setup, teardown);
}
