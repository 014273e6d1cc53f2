/* A real waybill-ra, whose path is the first argument, and its sites. */
#ifndef WAYBILL_TESTS_RA_PROCESS_H
#define WAYBILL_TESTS_RA_PROCESS_H

#include "tests/unit/service_process.h"

#include "ra/judge.h"

static inline void
configure(const char *ca_key)
{
	struct buf y AUTO_BUF = { 0 };
	const char *d = lab->dir;

	buf_printf(&y,
	    "name: ra\n"
	    "listen: [tls+tcp://127.0.0.1:0]\n"
	    "key: %s/service.key\ncertificate: %s/service.crt\n"
	    "domain-ca: %s/root.crt\nsites: %s/sites\n",
	    d, d, d, d);
	buf_printf(&y,
	    "link: {key: %s/link-ra.key, certificate: %s/link-ra.crt, "
	    "ca: %s/link-ca.crt}\n"
	    "vendors: [{name: acme, anchor: %s/vendor.crt}]\n"
	    "profiles: [{name: other}, {name: two, max-live: 2}]\n",
	    d, d, d, d);
	buf_printf(&y,
	    "store: {directory: %s/store, seal: %s/seal.key, map-size: 8MiB}\n"
	    "ca: {key: %s/%s, certificate: %s/ca.crt, lifetime: 30d, "
	    "organization: Plant}\n"
	    "control: {socket: %s/control}\n",
	    d, d, d, ca_key, d, d);
	lab_write(lab, "ra.yaml", buf_bytes(&y));
}

static inline void
put_frame(
    struct site *s, uint64_t id, const struct buf *octets, struct buf *out)
{
	struct lab_entry en;

	lab_wrap(lab, lab->registrar, s->name, id, buf_bytes(octets), &en);
	frame_put(++s->tag, buf_bytes(&en.header), buf_bytes(&en.octets),
	    buf_bytes(&en.sig), out);
	lab_entry_done(&en);
}

static inline enum batch_code
site_put(struct site *s, uint64_t id, const struct buf *octets)
{
	struct buf out AUTO_BUF = { 0 };

	put_frame(s, id, octets, &out);
	return site_put_frame(s, id, &out);
}

/* ---- around each test -------------------------------------------------- */

static inline int
setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	lab = lab_new();
	link_keys("ra", "URI:urn:waybill:service:ra", "serverAuth");
	link_keys("berlin", LAB_SAN, "clientAuth");
	link_keys("paris", "URI:urn:waybill:site:paris", "clientAuth");
	configure("ca.key");
	service.conf = "ra.yaml";
	service.ready = "event=ra.ready";
	if ((loop = loop_new(&e)) == NULL)
		fail_msg("%s", e.msg);
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	if (service.pid != 0)
		service_stop(SIGKILL);
	loop_free(loop);
	lab_free(lab);
	return 0;
}

/* ---- answers ----------------------------------------------------------- */

/* RFC 9810 5.2.3: whether it is told the truth of what it asked for. */
static inline void
check_status(const struct cmp_msg *request, const struct cmp_response *r)
{
	struct cmp_request q = { 0 };
	struct err e = ERR_INIT;
	bool same;

	assert_int_equal(cmp_read_request(request, &q, &e), 0);
	same = q.subject == NULL ||
	    X509_NAME_cmp(q.subject, X509_get_subject_name(r->cert)) == 0;
	assert_int_equal(
	    r->status, same ? CMP_ACCEPTED : CMP_GRANTED_WITH_MODS);
	cmp_request_done(&q);
}

/* What a device would check of an ip or cp, and its certificate. */
static inline X509 *
check_issued(const struct buf *request, const struct buf *answer)
{
	AUTO(cmp_msg) req = lab_parse(buf_bytes(request));
	AUTO(cmp_msg) m = lab_parse(buf_bytes(answer));
	AUTO(trust) domain = trust_new();
	struct cmp_response r = { 0 };
	const char *anchor;
	struct err e = ERR_INIT;
	X509 *cert;

	/* The chains must come along: the root alone is known here. */
	assert_int_equal(
	    trust_add_cert(domain, "domain", lab->root.cert, &e), 0);
	if (cmp_read_response(m, &r, &e) == -1)
		fail_msg("%s", e.msg);
	assert_non_null(r.cert);
	check_status(req, &r);
	if (cmp_verify(m, cmp_find_signer(m, NULL, &e), &e) == -1 ||
	    trust_check(domain, cmp_find_signer(m, NULL, &e),
		cmp_extra_certs(m), clock_now().time, &anchor, NULL,
		&e) == -1 ||
	    trust_check(domain, r.cert, cmp_extra_certs(m), clock_now().time,
		&anchor, NULL, &e) == -1)
		fail_msg("%s", e.msg);
	assert_true(bytes_eq(cmp_transaction_id(m), cmp_transaction_id(req)));
	assert_true(bytes_eq(cmp_recip_nonce(m), cmp_sender_nonce(req)));
	assert_int_equal(cmp_implicit_confirm(m), cmp_implicit_confirm(req));
	assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(r.cert), lab->key), 1);
	cert = r.cert;
	r.cert = NULL;
	cmp_response_done(&r);
	return cert;
}

static inline X509 *
enrol(struct site *s, uint64_t id, const struct lab_ask *a, struct buf *request,
    struct buf *answer)
{
	char reason[160];

	lab_request(lab, a, request);
	assert_int_equal(site_put(s, id, request), BATCH_STORED);
	assert_int_equal(site_answer(s, id, answer, reason), BATCH_ANSWERED);
	return check_issued(request, answer);
}

static inline json_t *
control(const char *path)
{
	struct err e = ERR_INIT;
	int status = 0;
	json_t *j = control_call(
	    lab_path(lab, "control"), "GET", path, NULL, &status, &e);

	if (j == NULL)
		fail_msg("%s: %s", path, e.msg);
	assert_int_equal(status, 200);
	return j;
}

static inline size_t
issued(void)
{
	AUTO(json_t) j = control("/v1/issued");

	return json_array_size(json_object_get(j, "issued"));
}

/* HELLO with what the site remembers of us. */
static inline struct frame_hello
hello_of(struct site *s, const uint8_t *service_epoch, uint64_t service_seq)
{
	struct frame_hello h = {
		.service = "ra", .site_next_id = 100, .service_seq = service_seq
	};
	struct frame f AUTO_FRAME = { 0 };
	struct buf out AUTO_BUF = { 0 };
	struct question q;
	struct err e = ERR_INIT;

	str_copy(h.site, sizeof(h.site), s->name);
	memcpy(h.site_epoch, lab->epoch, sizeof(h.site_epoch));
	memcpy(h.service_epoch, service_epoch, sizeof(h.service_epoch));
	assert_int_equal(
	    frame_hello(FRAME_HELLO, ++s->tag, &h, lab->registrar, &out, &e),
	    0);
	ask(s, &out, FRAME_WELCOME, &q, &f);
	assert_int_equal(frame_hello_parse(f.u.hello.body, &h, &e), 0);
	buf_done(&q.reply);
	return h;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

#endif
