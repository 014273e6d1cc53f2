#include "cmp_written.h"

static const struct bytes poll_nonce = { (const uint8_t *)"poll nonce 00001",
	16 };

static void
reply_to_a_request(void **state)
{
	struct fixture *f = *state;
	struct buf ir AUTO_BUF = { 0 }, body AUTO_BUF = { 0 };
	struct buf der AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	AUTO(cmp_msg) r = NULL;
	struct cmp_head h;
	struct err e = ERR_INIT;

	fixture_ir(f, &ir);
	m = fixture_parse(buf_bytes(&ir));
	cmp_head_reply(m, &h);
	cmp_body_waiting(CMP_IR, 0, &body);
	fixture_build(&h, buf_bytes(&body), f->registrar, &der);
	r = fixture_parse(buf_bytes(&der));
	assert_int_equal(cmp_check_header(r, &e), 0);
	assert_int_equal(cmp_pvno(r), 2);
	assert_true(bytes_eq(cmp_transaction_id(r), cmp_transaction_id(m)));
	assert_true(bytes_eq(cmp_recip_nonce(r), cmp_sender_nonce(m)));
	assert_int_equal(cmp_sender_nonce(r).len, 16);
	assert_false(bytes_eq(cmp_sender_nonce(r), cmp_sender_nonce(m)));
	assert_int_equal(X509_NAME_cmp(cmp_recipient(r), cmp_sender(m)), 0);
	assert_int_equal(X509_NAME_cmp(cmp_sender(r),
			     X509_get_subject_name(f->registrar->cert)),
	    0);
	/* Ours first, then the chain, then no more. */
	assert_int_equal(sk_X509_num(cmp_extra_certs(r)), 2);
	assert_int_equal(
	    X509_cmp(sk_X509_value(cmp_extra_certs(r), 0), f->registrar->cert),
	    0);
	assert_int_equal(
	    X509_cmp(sk_X509_value(cmp_extra_certs(r), 1), f->sub), 0);
	assert_int_equal(cmp_field(r, CMP_MESSAGE_TIME).len, 0);
	assert_int_equal(r->field[CMP_GENERAL_INFO].len, 0);
}

static void
versions_in_replies(void **state)
{
	static const struct {
		int theirs, ours;
	} cases[] = { { 2, 2 }, { 3, 3 }, { 1, 2 }, { 99, 2 } };
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 };
	struct cmp_head h = fixture_head(), reply;
	size_t i;

	cmp_body_pollreq(0, &body);
	for (i = 0; i < NELEMS(cases); i++) {
		struct buf der AUTO_BUF = { 0 };
		AUTO(cmp_msg) m = NULL;

		h.pvno = cases[i].theirs;
		fixture_build(&h, buf_bytes(&body), f->device, &der);
		m = fixture_parse(buf_bytes(&der));
		assert_int_equal(cmp_pvno(m), cases[i].theirs);
		cmp_head_reply(m, &reply);
		assert_int_equal(reply.pvno, cases[i].ours);
	}
}

static void
nonces_are_fresh(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 }, der AUTO_BUF = { 0 };
	AUTO(cmp_msg) a = NULL;
	AUTO(cmp_msg) b = NULL;
	struct cmp_head h = fixture_head();

	h.sender_nonce = bytes_of(NULL, 0);
	cmp_body_pkiconf(&body);
	fixture_build(&h, buf_bytes(&body), f->registrar, &der);
	a = fixture_parse(buf_bytes(&der));
	buf_reset(&der);
	fixture_build(&h, buf_bytes(&body), f->registrar, &der);
	b = fixture_parse(buf_bytes(&der));
	assert_int_equal(cmp_sender_nonce(a).len, 16);
	assert_false(bytes_eq(cmp_sender_nonce(a), cmp_sender_nonce(b)));
}

static void
all_of_a_header(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 }, der AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct cmp_head h = fixture_head();
	struct bytes time;

	h.implicit_confirm = true;
	h.profile = "railcar";
	h.message_time = 1700000000;
	cmp_body_pollreq(0, &body);
	/* What stands in front is kept. */
	buf_add_str(&der, "front");
	fixture_build(&h, buf_bytes(&body), f->device, &der);
	assert_memory_equal(der.data, "front", 5);
	m = fixture_parse(bytes_of(der.data + 5, der.len - 5));
	assert_true(cmp_implicit_confirm(m));
	assert_string_equal(cmp_profile(m), "railcar");
	time = cmp_field(m, CMP_MESSAGE_TIME);
	assert_int_equal(time.len, 15);
	assert_memory_equal(time.p, "20231114221320Z", 15);
}

static void
more_certificates_each_once(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 }, der AUTO_BUF = { 0 };
	STACK_OF(X509) *more = sk_X509_new_null();
	struct cmp_head h = fixture_head();
	AUTO(cmp_msg) m = NULL;
	struct err e = ERR_INIT;
	const X509 *third;

	sk_X509_push(more, f->sub);
	sk_X509_push(more, f->registrar->cert);
	sk_X509_push(more, f->ra->cert);
	cmp_body_pkiconf(&body);
	assert_int_equal(
	    cmp_build(&h, buf_bytes(&body), f->registrar, more, &der, &e), 0);
	sk_X509_free(more);
	m = fixture_parse(buf_bytes(&der));
	assert_int_equal(sk_X509_num(cmp_extra_certs(m)), 3);
	third = sk_X509_value(cmp_extra_certs(m), 2);
	assert_int_equal(X509_cmp(third, f->ra->cert), 0);
}

static void
never_more_than_receivers_take(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 }, der AUTO_BUF = { 0 };
	AUTO(X509S) more = sk_X509_new_null();
	struct cmp_head h = fixture_head();
	AUTO(cmp_msg) m = NULL;
	struct err e = ERR_INIT;
	char name[16];
	int i;

	for (i = 0; i < CMP_EXTRA_MAX; i++) {
		snprintf(name, sizeof(name), "more %d", i);
		sk_X509_push(
		    more, fixture_cert(name, f->new_key, f->sub, f->sub_key));
	}
	cmp_body_pkiconf(&body);
	assert_int_equal(
	    cmp_build(&h, buf_bytes(&body), f->registrar, more, &der, &e), 0);
	m = fixture_parse(buf_bytes(&der));
	assert_int_equal(sk_X509_num(cmp_extra_certs(m)), CMP_EXTRA_MAX);
}

/* A final by the RA with freeText and two items of generalInfo: by hand, for
 * we never write freeText ourselves. */
static void
final_of_the_ra(struct fixture *f, struct buf *out)
{
	static const uint8_t free_text[] = { 0xa7, 7, 0x30, 5, 0x0c, 3, 'h',
		'o', '!' };
	struct buf body AUTO_BUF = { 0 }, der AUTO_BUF = { 0 };
	struct cmp_head h = fixture_head();
	AUTO(cmp_msg) m = NULL;
	struct bytes fields;
	size_t info, at;
	struct der d;

	h.implicit_confirm = true;
	h.profile = "plant";
	h.message_time = 1600000000;
	h.recip_nonce = bytes_of(fixture_nonce, 16);
	cmp_body_issued(CMP_IP, 0, f->issued, f->root, &body);
	fixture_build(&h, buf_bytes(&body), f->ra, &der);
	m = fixture_parse(buf_bytes(&der));
	/* generalInfo, [8], is the last element of the header. */
	d = der_open(m->header);
	fields = der_value(&d, DER_SEQ);
	info = m->field[CMP_GENERAL_INFO].len + 2;
	buf_add(out, fields.p, fields.len - info);
	buf_add(out, free_text, sizeof(free_text));
	buf_add(out, fields.p + fields.len - info, info);
	der_close(out, 0, DER_SEQ);
	buf_add(out, m->body.p, m->body.len);
	at = out->len;
	buf_add(out, m->protection.p, m->protection.len);
	der_close(out, at, DER_CTX(0));
	at = out->len;
	ossl_cert_der(f->ra->cert, out);
	ossl_cert_der(f->sub, out);
	der_close(out, at, DER_SEQ);
	der_close(out, at, DER_CTX(1));
	der_close(out, 0, DER_SEQ);
}

static void
reprotected_final(void **state)
{
	struct fixture *f = *state;
	struct buf theirs AUTO_BUF = { 0 }, ours AUTO_BUF = { 0 };
	X509_NAME *device = X509_get_subject_name(f->device->cert);
	AUTO(cmp_msg) a = NULL;
	AUTO(cmp_msg) b = NULL;
	struct cmp_response r = { 0 };
	struct err e = ERR_INIT;
	X509 *signer;

	final_of_the_ra(f, &theirs);
	a = fixture_parse(buf_bytes(&theirs));
	assert_int_equal(a->field[CMP_FREE_TEXT].len, 7);
	assert_int_equal(
	    cmp_reprotect(a, device, poll_nonce, 0, f->registrar, &ours, &e),
	    0);
	b = fixture_parse(buf_bytes(&ours));
	/* Kept. */
	assert_int_equal(cmp_pvno(b), cmp_pvno(a));
	assert_true(bytes_eq(b->body, a->body));
	assert_true(bytes_eq(cmp_transaction_id(b), cmp_transaction_id(a)));
	assert_true(bytes_eq(cmp_sender_nonce(b), cmp_sender_nonce(a)));
	assert_true(
	    bytes_eq(b->field[CMP_GENERAL_INFO], a->field[CMP_GENERAL_INFO]));
	assert_true(bytes_eq(b->field[CMP_FREE_TEXT], a->field[CMP_FREE_TEXT]));
	assert_true(cmp_implicit_confirm(b));
	/* Replaced. */
	assert_true(bytes_eq(cmp_recip_nonce(b), poll_nonce));
	assert_int_equal(X509_NAME_cmp(cmp_recipient(b), device), 0);
	assert_int_equal(X509_NAME_cmp(cmp_sender(b),
			     X509_get_subject_name(f->registrar->cert)),
	    0);
	assert_int_equal(b->field[CMP_MESSAGE_TIME].len, 0);
	assert_non_null(signer = cmp_find_signer(b, NULL, &e));
	assert_int_equal(X509_cmp(signer, f->registrar->cert), 0);
	assert_int_equal(cmp_verify(b, signer, &e), 0);
	/* Ours first, then the RA's, the sub-CA of both once. */
	assert_int_equal(sk_X509_num(b->extra), 3);
	assert_int_equal(
	    X509_cmp(sk_X509_value(b->extra, 0), f->registrar->cert), 0);
	assert_int_equal(X509_cmp(sk_X509_value(b->extra, 1), f->sub), 0);
	assert_int_equal(X509_cmp(sk_X509_value(b->extra, 2), f->ra->cert), 0);
	assert_int_equal(cmp_read_response(b, &r, &e), 0);
	assert_int_equal(X509_cmp(r.cert, f->issued), 0);
	cmp_response_done(&r);
}

static void
reprotected_with_a_time(void **state)
{
	struct fixture *f = *state;
	struct buf theirs AUTO_BUF = { 0 }, ours AUTO_BUF = { 0 };
	AUTO(cmp_msg) a = NULL;
	AUTO(cmp_msg) b = NULL;
	struct err e = ERR_INIT;

	final_of_the_ra(f, &theirs);
	a = fixture_parse(buf_bytes(&theirs));
	assert_int_equal(cmp_reprotect(a, NULL, poll_nonce, 1700000000,
			     f->registrar, &ours, &e),
	    0);
	b = fixture_parse(buf_bytes(&ours));
	assert_memory_equal(
	    cmp_field(b, CMP_MESSAGE_TIME).p, "20231114221320Z", 15);
	assert_int_equal(X509_NAME_entry_count(cmp_recipient(b)), 0);
}

static void
time_ends(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 }, der AUTO_BUF = { 0 };
	struct cmp_head h = fixture_head();
	AUTO(cmp_msg) m = NULL;

	h.message_time = UINT64_MAX;
	cmp_body_pkiconf(&body);
	fixture_build(&h, buf_bytes(&body), f->registrar, &der);
	m = fixture_parse(buf_bytes(&der));
	assert_memory_equal(
	    cmp_field(m, CMP_MESSAGE_TIME).p, "99991231235959Z", 15);
}

static void
nested_and_unwrapped(void **state)
{
	struct fixture *f = *state;
	struct buf ir AUTO_BUF = { 0 }, der AUTO_BUF = { 0 };
	struct buf twice AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	AUTO(cmp_msg) outer = NULL;
	struct err e = ERR_INIT;
	struct bytes inner;
	X509 *signer;

	fixture_ir(f, &ir);
	m = fixture_parse(buf_bytes(&ir));
	assert_int_equal(cmp_nest(m, f->registrar, &der, &e), 0);
	outer = fixture_parse(buf_bytes(&der));
	assert_int_equal(cmp_body(outer), CMP_NESTED);
	assert_int_equal(cmp_check_header(outer, &e), 0);
	assert_non_null(signer = cmp_find_signer(outer, NULL, &e));
	assert_int_equal(X509_cmp(signer, f->registrar->cert), 0);
	assert_int_equal(cmp_verify(outer, signer, &e), 0);
	assert_true(bytes_eq(cmp_transaction_id(outer), cmp_transaction_id(m)));
	assert_true(bytes_eq(cmp_sender_nonce(outer), cmp_sender_nonce(m)));
	assert_int_equal(cmp_recip_nonce(outer).len, 0);
	assert_string_equal(cmp_profile(outer), "");
	assert_int_equal(cmp_read_nested(outer, &inner, &e), 0);
	assert_true(bytes_eq(inner, buf_bytes(&ir)));
	/* Not again. */
	assert_int_equal(cmp_nest(outer, f->registrar, &twice, &e), -1);
	assert_int_equal(twice.len, 0);
	assert_int_equal(err_cmp_fail(&e), CMP_BAD_REQUEST);
}

static void
nested_keeps_recip_nonce(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 }, conf AUTO_BUF = { 0 };
	struct buf der AUTO_BUF = { 0 };
	struct cmp_head h = fixture_head();
	AUTO(cmp_msg) m = NULL;
	AUTO(cmp_msg) outer = NULL;
	struct err e = ERR_INIT;

	h.recip_nonce = poll_nonce;
	cmp_body_certconf(0, f->issued, true, NULL, &body);
	fixture_build(&h, buf_bytes(&body), f->device, &conf);
	m = fixture_parse(buf_bytes(&conf));
	assert_int_equal(cmp_nest(m, f->registrar, &der, &e), 0);
	outer = fixture_parse(buf_bytes(&der));
	assert_true(bytes_eq(cmp_recip_nonce(outer), poll_nonce));
}

static void
what_we_write_we_read(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 };
	struct cmp_response r = { 0 };
	struct cmp_certconf c;
	AUTO(cmp_msg) ip = NULL;
	AUTO(cmp_msg) no = NULL;
	AUTO(cmp_msg) rep = NULL;
	AUTO(cmp_msg) conf = NULL;
	struct err e = ERR_INIT;
	uint32_t secs;
	long id;

	cmp_body_issued(CMP_CP, -1, f->issued, f->root, &body);
	ip = message(f->ra, buf_bytes(&body));
	assert_int_equal(cmp_read_response(ip, &r, &e), 0);
	assert_int_equal(r.id, -1);
	assert_int_equal(r.status, CMP_ACCEPTED);
	assert_int_equal(X509_cmp(r.cert, f->issued), 0);
	assert_int_equal(sk_X509_num(r.ca_pubs), 1);
	cmp_response_done(&r);

	buf_reset(&body);
	cmp_body_rejection(CMP_IR, 0, CMP_BAD_POP | CMP_SYSTEM_FAILURE,
	    "no possession", &body);
	no = message(f->ra, buf_bytes(&body));
	assert_int_equal(cmp_read_response(no, &r, &e), 0);
	assert_int_equal(r.status, CMP_REJECTION);
	assert_int_equal(r.fail, CMP_BAD_POP | CMP_SYSTEM_FAILURE);
	assert_string_equal(r.text, "no possession");
	assert_null(r.cert);
	cmp_response_done(&r);

	buf_reset(&body);
	cmp_body_pollrep(-1, UINT32_MAX, &body);
	rep = message(f->registrar, buf_bytes(&body));
	assert_int_equal(cmp_read_pollrep(rep, &id, &secs, &e), 0);
	assert_int_equal(id, -1);
	assert_int_equal(secs, INT32_MAX);

	buf_reset(&body);
	cmp_body_certconf(-1, f->issued, false, "not mine", &body);
	conf = message(f->device, buf_bytes(&body));
	assert_int_equal(cmp_read_certconf(conf, &c, &e), 0);
	assert_int_equal(c.id, -1);
	assert_int_equal(c.status, CMP_REJECTION);
	assert_string_equal(c.text, "not mine");
	assert_int_equal(cmp_check_certhash(&c, f->issued, &e), 0);
	assert_int_equal(cmp_check_certhash(&c, f->root, &e), -1);
	assert_int_equal(err_cmp_fail(&e), CMP_BAD_CERT_ID);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reply_to_a_request),
		cmocka_unit_test(versions_in_replies),
		cmocka_unit_test(nonces_are_fresh),
		cmocka_unit_test(all_of_a_header),
		cmocka_unit_test(more_certificates_each_once),
		cmocka_unit_test(never_more_than_receivers_take),
		cmocka_unit_test(reprotected_final),
		cmocka_unit_test(reprotected_with_a_time),
		cmocka_unit_test(time_ends),
		cmocka_unit_test(nested_and_unwrapped),
		cmocka_unit_test(nested_keeps_recip_nonce),
		cmocka_unit_test(what_we_write_we_read),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
