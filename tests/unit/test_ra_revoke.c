/* A real waybill-ra and devices that have a certificate of it: they renew it,
 * have it revoked, ask about the domain; and the lists of what is revoked. */
#include "tests/unit/ra_ldevid.h"

#include "ra/control_revoke.h"

/* ---- what devices do --------------------------------------------------- */

/* The old one stays. */
static void
test_renewed_again_and_again(void **state)
{
	AUTO(EVP_PKEY) one = ossl_new_key_p256();
	AUTO(EVP_PKEY) two = ossl_new_key_p256();
	AUTO(signer) first = NULL;
	AUTO(signer) second = NULL;
	AUTO(X509) a = NULL;
	AUTO(X509) b = NULL;
	AUTO(X509) c = NULL;
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	first = enrolled(&s, false);
	a = renewed(&s, 2, first, one);
	second = ldevid(a, one);
	b = renewed(&s, 3, second, two);
	c = renewed(&s, 4, first, two);
	assert_int_equal(issued(), 4);
	site_close(&s);
}

static void
test_further_certificate(void **state)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(X509_NAME) name = issue_name("valve", NULL, NULL);
	struct buf body AUTO_BUF = { 0 };
	struct cmp_response r = { 0 };
	struct err e = ERR_INIT;
	AUTO(signer) first = NULL;
	AUTO(cmp_msg) m = NULL;
	char serial[CERT_TEXT_MAX];
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	first = enrolled(&s, false);
	assert_int_equal(cmp_body_certreq(CMP_CR, key, name, &body, &e), 0);
	m = exchange(&s, 2, first, "other", &body, BATCH_ANSWERED);
	assert_int_equal(cmp_body(m), CMP_CP);
	assert_int_equal(cmp_read_response(m, &r, &e), 0);
	assert_int_equal(cert_subject_serial(r.cert, serial, &e), 0);
	assert_string_equal(serial, "WB-0001");
	cmp_response_done(&r);
	site_close(&s);
}

/* Revoked once; what was revoked signs nothing; it stands in the list, whose
 * number grows, also over a restart. */
static void
test_revoked_by_its_device(void **state)
{
	AUTO(signer) first = NULL;
	struct site s;
	long before, n;

	(void)state;
	service_start(CLOCK);
	before = first_list();
	site_open(&s);
	first = enrolled(&s, false);
	assert_int_equal(rr(&s, 2, first, BATCH_ANSWERED), 0);
	assert_int_equal(rr(&s, 3, first, BATCH_REFUSED), CMP_CERT_REVOKED);
	kur_refused(&s, 4, first);
	n = listed(first->cert);
	assert_true(n > before);
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);
	service_start(CLOCK);
	site_open(&s);
	for (int i = 0; i < 100; i++) {
		AUTO(X509_CRL) crl = list();

		if (number(crl) > n)
			break;
		assert_int_not_equal(i, 99);
		usleep(100000);
	}
	assert_true(listed(first->cert) > n);
	kur_refused(&s, 5, first);
	site_close(&s);
}

/* RFC 9810 5.2.3: of the domain's certificates, and of none. */
static void
test_not_its_own(void **state)
{
	struct lab_ask a = { .cn = "valve" };
	struct buf request AUTO_BUF = { 0 }, answer AUTO_BUF = { 0 };
	AUTO(signer) maker = lab_device(&lab->vendor_sub, "WB-0002");
	AUTO(signer) first = NULL;
	AUTO(X509) other = NULL;
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	first = enrolled(&s, false);
	a.device = maker;
	other = enrol(&s, 2, &a, &request, &answer);
	assert_int_equal(
	    rr_of(&s, 3, first, other, BATCH_REFUSED), CMP_NOT_AUTHORIZED);
	assert_int_equal(
	    rr_of(&s, 4, first, lab->registrar->cert, BATCH_REFUSED),
	    CMP_BAD_CERT_ID);
	/* One of its maker's, which has another issuer. */
	assert_int_equal(
	    rr_of(&s, 5, first, maker->cert, BATCH_REFUSED), CMP_BAD_CERT_ID);
	X509_free(renewed(&s, 6, first, lab->key));
	site_close(&s);
}

/* A certificate that its device rejected signs nothing either. */
static void
test_rejected_signs_nothing(void **state)
{
	struct lab_ask a = { .cn = "pump", .no_implicit = true };
	struct buf request AUTO_BUF = { 0 }, answer AUTO_BUF = { 0 };
	struct buf conf AUTO_BUF = { 0 }, pkiconf AUTO_BUF = { 0 };
	struct buf out AUTO_BUF = { 0 };
	struct lab_entry en;
	AUTO(X509) cert = NULL;
	AUTO(signer) first = NULL;
	AUTO(cmp_msg) m = NULL;
	char reason[160];
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	cert = enrol(&s, 1, &a, &request, &answer);
	first = ldevid(cert, lab->key);
	m = lab_parse(buf_bytes(&answer));
	lab_certconf(lab, m, cert, false, &conf);
	lab_wrap(lab, lab->registrar, s.name, 2, buf_bytes(&conf), &en);
	en.h.step = 1;
	en.h.parent = 1;
	lab_entry_sign(&en, lab->registrar);
	frame_put(++s.tag, buf_bytes(&en.header), buf_bytes(&en.octets),
	    buf_bytes(&en.sig), &out);
	assert_int_equal(site_put_frame(&s, 2, &out), BATCH_STORED);
	lab_entry_done(&en);
	assert_int_equal(site_answer(&s, 2, &pkiconf, reason), BATCH_ANSWERED);
	kur_refused(&s, 3, first);
	site_close(&s);
}

/* ---- what people do ---------------------------------------------------- */

static int
post_revoke(const char *body)
{
	struct err e = ERR_INIT;
	AUTO(json_t) in = json_loads(body, 0, NULL);
	AUTO(json_t) j = NULL;
	int status = 0;

	assert_non_null(in);
	j = control_call(
	    lab_path(lab, "control"), "POST", "/v1/revoke", in, &status, &e);
	return status;
}

static void
test_revoked_by_people(void **state)
{
	AUTO(signer) first = NULL;
	char body[200], serial[CERT_TEXT_MAX];
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	first = enrolled(&s, false);
	snprintf(body, sizeof(body),
	    "{\"serial\": \"%s\", \"reason\": \"keyCompromise\"}",
	    cert_serial_hex(first->cert, serial, sizeof(serial)));
	assert_int_not_equal(
	    post_revoke("{\"case\": 1, \"reason\": \"removeFromCRL\"}"), 200);
	assert_int_not_equal(
	    post_revoke("{\"case\": 99, \"reason\": \"keyCompromise\"}"), 200);
	assert_int_not_equal(
	    post_revoke("{\"serial\": \"0a\", \"reason\": \"unspecified\"}"),
	    200);
	assert_int_equal(post_revoke(body), 200);
	assert_int_not_equal(post_revoke(body), 200);
	kur_refused(&s, 2, first);
	listed(first->cert);
	site_close(&s);
}

static void
test_reasons(void **state)
{
	(void)state;
	assert_int_equal(revoke_reason("unspecified"), 0);
	assert_int_equal(revoke_reason("keyCompromise"), 1);
	assert_int_equal(revoke_reason("aACompromise"), 10);
	assert_int_equal(revoke_reason("certificateHold"), -1);
	assert_int_equal(revoke_reason("removeFromCRL"), -1);
	assert_int_equal(revoke_reason(""), -1);
}

/* ---- the CA's key ------------------------------------------------------ */

/* The lab's CA anew, with a key of this kind. */
static void
ca_with(const char *kind)
{
	struct lab_want w = { .cn = "Domain CA", .ca = true };
	struct lab_want of_ra = { .cn = "ra",
		.san = "URI:urn:waybill:service:ra",
		.eku = LAB_CMCRA };
	struct err e = ERR_INIT;

	lab_ca_free(&lab->ca);
	lab->ca.key = ossl_new_key(kind, &e);
	assert_non_null(lab->ca.key);
	lab->ca.cert = lab_cert(&w, lab->ca.key, &lab->root);
	signer_free(lab->service);
	lab->service = lab_signer(&of_ra, &lab->ca);
	signer_free(lab->registrar);
	lab->registrar = lab_registrar(lab, LAB_SAN, LAB_REG_EKU);
	lab_pair(lab, LAB_SITE, lab->registrar);
	lab_save(lab, "ca", lab->ca.key, lab->ca.cert, NULL);
	lab_save(lab, "service", lab->service->key, lab->service->cert,
	    lab->ca.cert);
}

static void
life_under(const char *kind)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(signer) first = NULL;
	AUTO(signer) second = NULL;
	AUTO(X509) x = NULL;
	struct site s;

	ca_with(kind);
	service_start(CLOCK);
	site_open(&s);
	first = enrolled(&s, false);
	x = renewed(&s, 2, first, key);
	second = ldevid(x, key);
	assert_int_equal(rr(&s, 3, second, BATCH_ANSWERED), 0);
	listed(x);
	site_close(&s);
}

static void
test_ca_p384(void **state)
{
	(void)state;
	life_under("p384");
}

static void
test_ca_rsa(void **state)
{
	(void)state;
	life_under("rsa");
}

/* ---- what is told of the domain ---------------------------------------- */

static void
test_told_of_the_domain(void **state)
{
	static const enum cmp_info_type types[] = { CMP_INFO_CA_CERTS,
		CMP_INFO_TEMPLATE, CMP_INFO_ROOT_CERT };
	AUTO(signer) first = NULL;
	struct err e = ERR_INIT;
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	first = enrolled(&s, false);
	for (size_t i = 0; i < NELEMS(types); i++) {
		struct buf body AUTO_BUF = { 0 };
		struct cmp_info info;
		AUTO(cmp_msg) m = NULL;
		AUTO(X509S) certs = NULL;

		cmp_body_info(CMP_GENM, types[i], bytes_of("", 0), &body);
		m = exchange(&s, 2 + i, first, NULL, &body, BATCH_ANSWERED);
		assert_int_equal(cmp_body(m), CMP_GENP);
		assert_int_equal(cmp_read_info(m, &info, &e), 0);
		assert_int_equal(info.type, cmp_info_answer(types[i]));
		assert_int_equal(
		    info.value.len > 0, types[i] != CMP_INFO_ROOT_CERT);
		if (types[i] != CMP_INFO_CA_CERTS)
			continue;
		certs = cmp_info_read_certs(info.value, &e);
		assert_int_equal(sk_X509_num(certs), 1);
		assert_int_equal(
		    X509_cmp(sk_X509_value(certs, 0), lab->ca.cert), 0);
	}
	site_close(&s);
}

static void
test_lists_are_made_in_time(void **state)
{
	(void)state;
	/* Of a week, when a quarter is left; looked at every hour. */
	assert_int_equal(crlmaker_pause(0, 604800, 604800), 3600);
	assert_int_equal(crlmaker_pause(453600 - 60, 604800, 604800), 60);
	assert_int_equal(crlmaker_pause(453600, 604800, 604800), 0);
	assert_int_equal(crlmaker_pause(700000, 604800, 604800), 0);
	assert_int_equal(crlmaker_pause(0, 3600, 3600), 2700);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_renewed_again_and_again),
		TEST(test_further_certificate),
		TEST(test_revoked_by_its_device),
		TEST(test_not_its_own),
		TEST(test_rejected_signs_nothing),
		TEST(test_revoked_by_people),
		TEST(test_told_of_the_domain),
		TEST(test_ca_p384),
		TEST(test_ca_rsa),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_lists_are_made_in_time),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: test_ra_revoke WAYBILL-RA\n");
		return 2;
	}
	program = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
