/* Pairing with answers that somebody has changed. */
#include "init_lab.h"

#include "cli/pairing.h"

/* ---- hostile files --------------------------------------------------- */

/* What is of a service: 0 the RA, 1 the masa-client. */
static json_t *
service(json_t *j, size_t i)
{
	json_t *s = json_array_get(json_object_get(j, "services"), i);

	assert_non_null(s);
	return s;
}

static void
twist_address(json_t *j)
{
	set(service(j, 0), "address", "tcp://127.0.0.1:1");
}

static void
swap(json_t *a, const char *of_a, json_t *b, const char *of_b)
{
	AUTO(char) x = get(a, of_a);
	AUTO(char) y = get(b, of_b);

	set(a, of_a, y);
	set(b, of_b, x);
}

static void
twist_swap(json_t *j)
{
	swap(j, "registrar", j, "box");
}

static void
twist_service_box(json_t *j)
{
	swap(service(j, 0), "certificate", service(j, 0), "box");
}

static void
twist_services(json_t *j)
{
	swap(service(j, 0), "certificate", service(j, 1), "certificate");
}

static void
twist_boxes(json_t *j)
{
	swap(service(j, 0), "box", service(j, 1), "box");
}

static void
twist_roles(json_t *j)
{
	swap(j, "registrar", service(j, 0), "certificate");
}

static void
twist_service_name(json_t *j)
{
	set(service(j, 0), "name", "rb");
}

static void
twist_service_twice(json_t *j)
{
	AUTO(json_t) again = json_deep_copy(service(j, 0));

	assert_int_equal(
	    json_array_set(json_object_get(j, "services"), 1, again), 0);
}

static void
twist_kinds(json_t *j, size_t i, const char *kind)
{
	assert_int_equal(
	    json_object_set_new(service(j, i), "kinds",
		kind != NULL ? json_pack("[s]", kind) : json_array()),
	    0);
}

static void
twist_kind_twice(json_t *j)
{
	twist_kinds(j, 1, "cmp");
}

static void
twist_kind_unknown(json_t *j)
{
	twist_kinds(j, 1, "audit");
}

static void
twist_kinds_none(json_t *j)
{
	twist_kinds(j, 1, NULL);
}

static void
twist_no_ra(json_t *j)
{
	assert_int_equal(
	    json_array_remove(json_object_get(j, "services"), 0), 0);
}

static void
twist_no_services(json_t *j)
{
	assert_int_equal(json_array_clear(json_object_get(j, "services")), 0);
}

static void
twist_many_services(json_t *j)
{
	size_t i;

	for (i = 0; i < PAIRING_SERVICES_MAX; i++)
		assert_int_equal(
		    json_array_append(
			json_object_get(j, "services"), service(j, 0)),
		    0);
}

static void
twist_service_surplus(json_t *j)
{
	set(service(j, 1), "url", "x");
}

static void
twist_link_ca(json_t *j)
{
	AUTO(char) root = get(j, "domain-root");

	set(j, "link-ca", root);
}

static void
twist_foreign_root(json_t *j)
{
	struct buf pem AUTO_BUF = slurp("rb/domain-root.crt");

	set(j, "domain-root", (char *)pem.data);
}

static void
twist_foreign_service(json_t *j)
{
	AUTO(X509) x = cert("rb/service.crt");
	struct buf pem AUTO_BUF = { 0 };

	ossl_cert_pem(x, &pem);
	set(service(j, 0), "certificate", buf_cstr(&pem));
}

static void
twist_leaf_as_ca(json_t *j)
{
	AUTO(char) leaf = get(service(j, 0), "certificate");

	set(j, "domain-ca", leaf);
}

static void
twist_no_link(json_t *j)
{
	json_object_del(j, "link");
	set(j, "link2", "x");
}

static void
twist_old_format(json_t *j)
{
	set(j, "format", "waybill-pairing/1");
}

static void
twist_pairing_surplus(json_t *j)
{
	set(j, "hosts", "x");
}

static void
hostile_pairings_are_refused(void **state)
{
	static const struct {
		const char *what, *msg;
		void (*twist)(json_t *j);
		enum err_kind kind;
	} cases[] = {
		{ "a plain address", "tls+tcp://HOST:PORT", twist_address,
		    ERR_USAGE },
		{ "registrar and box swapped", "registrar: lacks id-kp-cmcRA",
		    twist_swap, ERR_TRUST },
		{ "service and box swapped",
		    "service ra: certificate: lacks id-kp-cmcRA",
		    twist_service_box, ERR_TRUST },
		{ "two services swapped",
		    "service ra: certificate: names 'masa'", twist_services,
		    ERR_TRUST },
		{ "their boxes swapped", "service ra: box: names 'masa'",
		    twist_boxes, ERR_TRUST },
		{ "registrar and service swapped", "registrar: ", twist_roles,
		    ERR_TRUST },
		{ "another service's name", "certificate: names 'ra'",
		    twist_service_name, ERR_TRUST },
		{ "a service twice", "service ra: stands there twice",
		    twist_service_twice, ERR_INPUT },
		{ "two that answer", "2 of them answer cmp", twist_kind_twice,
		    ERR_INPUT },
		{ "what is no kind", "masa: kinds: 'audit' is none",
		    twist_kind_unknown, ERR_INPUT },
		{ "no kind", "kinds: a list of 1 to 2", twist_kinds_none,
		    ERR_INPUT },
		{ "no RA", "none answers cmp", twist_no_ra, ERR_INPUT },
		{ "no service", "services: a list of 1 to 8", twist_no_services,
		    ERR_INPUT },
		{ "ten services", "services: a list of 1 to 8",
		    twist_many_services, ERR_INPUT },
		{ "a surplus of a service", "6 keys, expected 5",
		    twist_service_surplus, ERR_INPUT },
		{ "the root as link CA", "link: not issued by link-ca",
		    twist_link_ca, ERR_TRUST },
		{ "another root", "domain-ca: not issued by domain-root",
		    twist_foreign_root, ERR_TRUST },
		{ "another domain's service",
		    "certificate: not issued by domain-ca",
		    twist_foreign_service, ERR_TRUST },
		{ "a leaf as CA", "not issued by", twist_leaf_as_ca,
		    ERR_TRUST },
		{ "no link", "link: a text", twist_no_link, ERR_INPUT },
		{ "the old format", "expected 'waybill-pairing/2'",
		    twist_old_format, ERR_INPUT },
		{ "a surplus", "10 keys, expected 9", twist_pairing_surplus,
		    ERR_INPUT },
	};
	size_t i;

	(void)state;
	make_pair();
	make_ra("rb");
	for (i = 0; i < NELEMS(cases); i++) {
		AUTO(json_t) j = load_json("north/north.pairing");
		struct buf text AUTO_BUF = { 0 };
		struct err e = ERR_INIT;

		cases[i].twist(j);
		json_format(&text, j);
		assert_int_equal(
		    file_write("bad.pairing", 0600, buf_bytes(&text), &e), 0);
		if (init_site_pair("north", "bad.pairing", true, &e) != -1)
			fail_msg("%s: installed", cases[i].what);
		if (e.kind != cases[i].kind ||
		    strstr(e.msg, cases[i].msg) == NULL)
			fail_msg(
			    "%s: kind %d, %s", cases[i].what, e.kind, e.msg);
		assert_int_equal(access("north/registrar.crt", F_OK), -1);
		assert_int_equal(access("north/domain-root.crt", F_OK), -1);
		assert_int_equal(access("north/registrar.yaml", F_OK), -1);
	}
	install();
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		IN_FOLDER(hostile_pairings_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
