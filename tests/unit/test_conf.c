#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "common/sys/conf.h"

struct tls {
	char *key, *cert;
};

struct upstream {
	char *name, *url;
	int kind;
	uint64_t hold;
};

struct conf {
	char *site, *note;
	uint64_t port, map;
	bool relay;
	struct tls tls;
	struct conf_strs hosts;
	struct conf_list upstreams;
};

static const char *const kinds[] = { "link", "bundle", NULL };

static const struct conf_item tls_items[] = {
	{ "key", CONF_STR, offsetof(struct tls, key), NULL, 1, 200 },
	{ "cert", CONF_STR, offsetof(struct tls, cert), "cert.pem", 1, 200 },
	{ 0 },
};

static const struct conf_item upstream_items[] = {
	{ "name", CONF_STR, offsetof(struct upstream, name), NULL,
	    .check = conf_check_name },
	{ "url", CONF_STR, offsetof(struct upstream, url), "" },
	{ "kind", CONF_ENUM, offsetof(struct upstream, kind), "link",
	    .names = kinds },
	{ "hold", CONF_DUR, offsetof(struct upstream, hold), "10s", 0, 60000 },
	{ 0 },
};

static const struct conf_item items[] = {
	{ "site", CONF_STR, offsetof(struct conf, site), NULL,
	    .check = conf_check_name },
	{ "note", CONF_STR, offsetof(struct conf, note), "", 0, 20 },
	{ "port", CONF_INT, offsetof(struct conf, port), "8443", 1, 65535 },
	{ "map", CONF_SIZE, offsetof(struct conf, map), "1GiB" },
	{ "relay", CONF_BOOL, offsetof(struct conf, relay), "false" },
	{ "tls", CONF_MAP, offsetof(struct conf, tls), "", .sub = tls_items },
	{ "hosts", CONF_STRS, offsetof(struct conf, hosts), "localhost:80", 0,
	    3, .check = conf_check_hostport },
	{ "upstreams", CONF_LIST, offsetof(struct conf, upstreams), "",
	    .sub = upstream_items, .size = sizeof(struct upstream) },
	{ 0 },
};

static char dir[] = "/tmp/waybill-conf-XXXXXX";
static char *path;

static void
put(const void *text, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static int
load(const char *text, struct conf *c, struct err *e)
{
	put(text, strlen(text));
	memset(c, 0, sizeof(*c));
	return conf_load(path, items, c, e);
}

static const char good[] = "site: depot\n"
			   "note: \"a \\\"b\\\" \\x07\"\n"
			   "port: 1\n"
			   "map: 64KiB\n"
			   "relay: true\n"
			   "tls:\n"
			   "  key: k.pem\n"
			   "hosts: [ \"[fe80::1%eth0]:443\", 'a:1' ]\n"
			   "upstreams:\n"
			   "  - name: ra\n"
			   "    kind: bundle\n"
			   "    hold: 9s\n"
			   "  - url: u\n"
			   "    name: masa\n";

static void
assert_good(const struct conf *c)
{
	const struct upstream *u = c->upstreams.v;

	assert_string_equal(c->site, "depot");
	assert_string_equal(c->note, "a \"b\" \a");
	assert_int_equal(c->port, 1);
	assert_int_equal(c->map, 65536);
	assert_true(c->relay);
	assert_string_equal(c->tls.key, "k.pem");
	assert_string_equal(c->tls.cert, "cert.pem");
	assert_int_equal(c->hosts.n, 2);
	assert_string_equal(c->hosts.v[0], "[fe80::1%eth0]:443");
	assert_string_equal(c->hosts.v[1], "a:1");
	assert_int_equal(c->upstreams.n, 2);
	assert_string_equal(u[0].name, "ra");
	assert_null(u[0].url);
	assert_int_equal(u[0].kind, 1);
	assert_int_equal(u[0].hold, 9000);
	assert_string_equal(u[1].name, "masa");
	assert_string_equal(u[1].url, "u");
	assert_int_equal(u[1].kind, 0);
	assert_int_equal(u[1].hold, 10000);
}

static void
every_type_is_read(void **state)
{
	struct err e = ERR_INIT;
	struct conf c;

	(void)state;
	if (load(good, &c, &e) == -1)
		fail_msg("%s", e.msg);
	assert_good(&c);
	conf_free(items, &c);
}

static void
defaults_stand_in(void **state)
{
	struct err e = ERR_INIT;
	struct conf c;

	(void)state;
	/* With a byte order mark, which libyaml no longer skips by itself. */
	if (load("\xef\xbb\xbfsite: a\n", &c, &e) == -1)
		fail_msg("%s", e.msg);
	assert_string_equal(c.site, "a");
	assert_null(c.note);
	assert_int_equal(c.port, 8443);
	assert_int_equal(c.map, 1 << 30);
	assert_false(c.relay);
	/* A section left out needs none of its required keys. */
	assert_null(c.tls.key);
	assert_string_equal(c.tls.cert, "cert.pem");
	assert_int_equal(c.hosts.n, 1);
	assert_string_equal(c.hosts.v[0], "localhost:80");
	assert_int_equal(c.upstreams.n, 0);
	conf_free(items, &c);
}

#define S "site: a\n"

static const struct {
	const char *what, *in, *why; /* "line:col: path: reason", or a part */
} bad[] = {
	{ "nothing", "", ":1:1: 'site' is missing" },
	{ "a scalar", "site\n", ":1:1: expected lines of 'key: value'" },
	{ "a list", "- site\n", ":1:1: expected lines of 'key: value'" },
	{ "unknown key", S "prot: 1\n",
	    ":2:1: unknown key 'prot'; known here: site note port map relay "
	    "tls hosts upstreams" },
	{ "unknown in a list", S "upstreams:\n  - name: a\n    nam: b\n",
	    ":4:5: upstreams[0]: unknown key 'nam'; known here: name" },
	{ "merge key", S "<<: {}\n", ":2:1: unknown key '<<'" },
	{ "twice", S "port: 1\nport: 2\n",
	    ":3:1: 'port' is given twice, first on line 2" },
	{ "twice below", S "tls:\n  key: a\n  key: b\n",
	    ":4:3: 'key' is given twice, first on line 3" },
	{ "missing below", S "tls: { cert: a }\n",
	    ":2:6: tls: 'key' is missing" },
	{ "number and text", S "port: 84a3\n",
	    ":2:7: port: '84a3' is not a whole number" },
	{ "hexadecimal", S "port: 0x20fb\n", "port: '0x20fb' is not" },
	{ "negative", S "port: -1\n", "port: '-1' is not" },
	{ "zero", S "port: 0\n",
	    ":2:7: port: '0' is out of range, 1 to 65535" },
	{ "over", S "port: 65536\n", "port: '65536' is out of range" },
	{ "over 64 bits", S "port: 18446744073709551616\n", "is not a whole" },
	{ "no value", S "port:\n", ":2:6: port: no value" },
	{ "no unit", S "upstreams: [ { name: a, hold: 30 } ]\n",
	    ":2:31: upstreams[0].hold: '30' is not a duration" },
	{ "too long", S "upstreams: [ { name: a, hold: 90s } ]\n",
	    ":2:31: upstreams[0].hold: '90s' is out of range, 0 to 60000 ms" },
	{ "bad size", S "map: 1 GiB\n", ":2:6: map: '1 GiB' is not a size" },
	{ "maybe", S "relay: maybe\n",
	    ":2:8: relay: 'maybe' is not one of true, false" },
	{ "yes", S "relay: yes\n", "relay: 'yes' is not one of" },
	{ "bad word", S "upstreams: [ { name: a, kind: bundel } ]\n",
	    ":2:31: upstreams[0].kind: 'bundel' is not one of link, bundle" },
	{ "list for text", "site: [ a ]\n",
	    ":1:7: site: expected a single value, found a list" },
	{ "text for list", S "hosts: a:1\n",
	    ":2:8: hosts: expected a list, found a single value" },
	{ "text for section", S "tls: a\n",
	    ":2:6: tls: expected a section of keys, found a single value" },
	{ "text in a list of sections", S "upstreams: [ a ]\n",
	    ":2:14: upstreams[0]: expected a section of keys" },
	{ "section in a list of text", S "hosts: [ a:1, { a: 1 } ]\n",
	    ":2:15: hosts[1]: expected a single value" },
	{ "too many", S "hosts: [ a:1, a:2, a:3, a:4 ]\n",
	    ":2:8: hosts: number of entries 4, expected 0 to 3" },
	{ "check of an entry", S "hosts: [ a:1, b ]\n",
	    ":2:15: hosts[1]: 'b' is not host:port" },
	{ "check", "site: Depot\n", ":1:7: site: 'Depot' is not a name" },
	{ "length", S "note: 123456789012345678901\n",
	    ":2:7: note: length 21, expected 0 to 20" },
	{ "anchor", S "note: &x b\n", ":2:7: anchors" },
	{ "anchor of a section", S "tls: &x { key: a }\n", ":2:6: anchors" },
	{ "alias", S "note: *x\n", ":2:7: aliases" },
	{ "tag", S "note: !!str b\n", ":2:7: tags" },
	{ "tag of a key", "!x site: b\n", ":1:1: tags" },
	{ "tag of a list", S "hosts: !x []\n", ":2:8: tags" },
	{ "second document", S "---\nsite: b\n", ":2:1: a second document" },
	{ "a section as key", S "? { a: b }\n: c\n", ":2:3: a key must be" },
	{ "tab", S "tls:\n\tkey: a\n", ":3:1: found character that cannot" },
	{ "octet 0", S "note: \"r\\0evil\"\n",
	    ":2:7: a value with an octet 0" },
	{ "octet 0 in a key", S "\"port\\0\": 1\n", ":2:1: a value with" },
	{ "not UTF-8", S "note: \xff\n", ": near octet 14: " },
	{ "UTF-16", "\xff\xfes", ": near octet 0: " },
	{ "escape in a key", S "\"\\e[2J\": 1\n", ":2:1: unknown key '?[2J'" },
	{ "deep", S "tls: { key: [[[[[[[[[[]]]]]]]]]] }\n",
	    "more than 8 levels" },
	{ "unclosed", S "tls: {\n", ":3:1: did not find expected" },
};

static void
mistakes_are_one_line_with_their_place(void **state)
{
	struct conf c, zero;
	struct err e;
	size_t i;

	(void)state;
	memset(&zero, 0, sizeof(zero));
	for (i = 0; i < NELEMS(bad); i++) {
		e = (struct err)ERR_INIT;
		if (load(bad[i].in, &c, &e) != -1)
			fail_msg("%s: was accepted", bad[i].what);
		if (strncmp(e.msg, path, strlen(path)) != 0 ||
		    strstr(e.msg, bad[i].why) == NULL ||
		    strpbrk(e.msg, "\n\033") != NULL)
			fail_msg("%s: %s", bad[i].what, e.msg);
		assert_int_equal(e.kind, ERR_CONF);
		assert_memory_equal(&c, &zero, sizeof(c));
	}
}

static void
files_have_limits(void **state)
{
	struct buf b AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct conf c = { 0 };
	size_t i;

	(void)state;
	buf_add_str(&b, "site: a\nhosts: [");
	for (i = 0; i < 20001; i++)
		buf_add_str(&b, "a:1,");
	buf_add_str(&b, "]\n");
	assert_int_equal(load(buf_cstr(&b), &c, &e), -1);
	assert_non_null(strstr(e.msg, "more than 20000 values"));

	buf_reset(&b);
	buf_add_str(&b, "site: a\n#");
	memset(buf_grow(&b, 256 * 1024), '#', 256 * 1024);
	put(b.data, b.len);
	assert_int_equal(conf_load(path, items, &c, &e), -1);
	assert_int_equal(e.kind, ERR_CONF);

	assert_int_equal(conf_load(dir, items, &c, &e), -1);
	assert_int_equal(e.kind, ERR_CONF);
	assert_int_equal(conf_load("/nonexistent", items, &c, &e), -1);
	assert_int_equal(e.kind, ERR_CONF);
	put("site: \0a", 8);
	assert_int_equal(conf_load(path, items, &c, &e), -1);
}

static void
a_print_names_origins_and_loads_again(void **state)
{
	static const char *const wants[] = {
		"site: \"depot\"  # %s:1\n",
		"note: \"a \\\"b\\\" \\x07\"  # %s:2\n",
		"map: 64KiB  # %s:4\n",
		"tls:  # %s:7\n  key: \"k.pem\"  # %s:7\n"
		"  cert: \"cert.pem\"  # default\n",
		"hosts:  # %s:8\n  - \"[fe80::1%%eth0]:443\"  # %s:8\n",
		"  - name: \"ra\"  # %s:10\n    # url: not set  # default\n"
		"    kind: bundle  # %s:11\n    hold: 9s  # %s:12\n",
		"    kind: link  # default\n    hold: 10s  # default\n",
	};
	struct buf b AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct conf c;
	char want[400];
	size_t i;

	(void)state;
	assert_int_equal(load(good, &c, &e), 0);
	conf_print(path, items, &c, &b);
	conf_free(items, &c);
	for (i = 0; i < NELEMS(wants); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(want, sizeof(want), wants[i], path, path, path);
#pragma GCC diagnostic pop
		if (strstr(buf_cstr(&b), want) == NULL)
			fail_msg("no %s in:\n%s", want, buf_cstr(&b));
	}
	if (load(buf_cstr(&b), &c, &e) == -1)
		fail_msg("%s in:\n%s", e.msg, buf_cstr(&b));
	assert_good(&c);
	conf_free(items, &c);
}

static void
a_print_of_defaults_loads_again(void **state)
{
	struct buf b AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct conf c;

	(void)state;
	assert_int_equal(load(S "tls: { key: a }\n", &c, &e), 0);
	conf_print(path, items, &c, &b);
	conf_free(items, &c);
	if (load(buf_cstr(&b), &c, &e) == -1)
		fail_msg("%s in:\n%s", e.msg, buf_cstr(&b));
	assert_int_equal(c.port, 8443);
	assert_int_equal(c.map, 1 << 30);
	assert_int_equal(c.upstreams.n, 0);
	conf_free(items, &c);
}

static int
setup(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	path = path_join(dir, "c.yaml");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(path);
	free(path);
	return rmdir(dir);
}

static void
one_value_is_found(void **state)
{
	static const struct {
		const char *section, *key, *want;
	} cases[] = {
		{ "tls", "key", "k.pem" },
		{ "tls", "cert", NULL },
		{ "none", "key", NULL },
		{ "site", "depot", NULL },
		{ "hosts", "a:1", NULL },
	};
	struct err e = ERR_INIT;
	size_t i;

	(void)state;
	put(good, strlen(good));
	for (i = 0; i < NELEMS(cases); i++) {
		AUTO(char) got =
		    conf_value(path, cases[i].section, cases[i].key, &e);

		if (cases[i].want != NULL) {
			assert_non_null(got);
			assert_string_equal(got, cases[i].want);
			continue;
		}
		assert_null(got);
		assert_int_equal(e.kind, ERR_CONF);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_is_read),
		cmocka_unit_test(defaults_stand_in),
		cmocka_unit_test(mistakes_are_one_line_with_their_place),
		cmocka_unit_test(files_have_limits),
		cmocka_unit_test(one_value_is_found),
		cmocka_unit_test(a_print_names_origins_and_loads_again),
		cmocka_unit_test(a_print_of_defaults_loads_again),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
