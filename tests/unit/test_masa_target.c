/* Where a MASA is, and whom the MASA client may ask. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <arpa/inet.h>

#include "common/sys/fetch.h"
#include "masa-client/address.h"
#include "masa-client/target.h"

static const char *
either(const char *s, const char *def)
{
	return s != NULL ? s : def;
}

static void
test_urls(void **state)
{
	static const struct {
		const char *text, *host, *base;
	} cases[] = {
		{ "masa.example", "masa.example",
		    "https://masa.example:443/.well-known/brski" },
		{ "masa.example:9443", "masa.example",
		    "https://masa.example:9443/.well-known/brski" },
		{ "https://masa.example", "masa.example",
		    "https://masa.example:443/.well-known/brski" },
		{ "HTTPS://masa.example/", "masa.example",
		    "https://masa.example:443/.well-known/brski" },
		{ "https://masa.example:8443/.well-known/brski/",
		    "masa.example",
		    "https://masa.example:8443/.well-known/brski" },
		{ "https://gw.example/a/b", "gw.example",
		    "https://gw.example:443/a/b" },
		{ "https://[2001:db8::1]:8443", "2001:db8::1",
		    "https://[2001:db8::1]:8443/.well-known/brski" },
		{ "[2001:db8::1]", "2001:db8::1",
		    "https://[2001:db8::1]:443/.well-known/brski" },
		{ "http://masa.example" },
		{ "ftp://masa.example/" },
		{ "https://user@masa.example" },
		{ "https://user:pw@masa.example:1/" },
		{ "https://masa.example?x=y" },
		{ "https://masa.example/#x" },
		{ "https://masa.example/a?b" },
		{ "https://masa.example/a/../b" },
		{ "https://masa.example/./b" },
		{ "https://masa.example/.." },
		{ "https://masa.example//b" },
		{ "https://masa.example/a%2fb" },
		{ "https://" },
		{ "https:///a" },
		{ "masa.example:0" },
		{ "masa.example:70000" },
		{ "masa.example:" },
		{ "masa example" },
		{ "10.0.0.256" },
		{ "" },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct target t = { .host = "untouched" };
		struct err e = ERR_INIT;
		int rc = target_parse(cases[i].text, &t, &e);

		if ((rc == 0) != (cases[i].host != NULL))
			fail_msg("%s: %d %s", cases[i].text, rc, e.msg);
		assert_string_equal(
		    t.host, rc == 0 ? cases[i].host : "untouched");
		if (rc == 0)
			assert_string_equal(t.base, cases[i].base);
	}
}

static void
test_hosts(void **state)
{
	static char *names[] = { (char *)"masa.acme.example",
		(char *)"192.0.2.7" };
	static const struct {
		const char *url, *idevid;
		size_t n;	  /* of names */
		const char *host; /* NULL: refused */
	} cases[] = {
		{ NULL, "any.example", 0, "any.example" },
		{ NULL, "MASA.acme.example:1", 2, "MASA.acme.example" },
		{ NULL, "192.0.2.7", 2, "192.0.2.7" },
		{ NULL, "masa.acme.example", 1, "masa.acme.example" },
		{ NULL, "192.0.2.7", 1, NULL },
		{ NULL, "evil.example", 2, NULL },
		{ NULL, "masa.acme.example.evil.example", 2, NULL },
		{ NULL, "", 0, NULL },
		{ "ours.example", "evil.example", 0, "ours.example" },
		{ "ours.example", "", 0, "ours.example" },
		{ "ours.example", "masa.acme.example", 2, NULL },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct masa_vendor v = { .name = (char *)"acme",
			.url = (char *)cases[i].url,
			.hosts = { names, cases[i].n } };
		struct target t = { .host = "" };
		struct err e = ERR_INIT;
		int rc = target_find(&v, cases[i].idevid, &t, &e);

		if ((rc == 0) != (cases[i].host != NULL))
			fail_msg("%zu: %d %s", i, rc, e.msg);
		assert_string_equal(t.host, either(cases[i].host, ""));
	}
}

static void
test_private_addresses(void **state)
{
	static const struct {
		const char *text;
		bool is;
	} cases[] = {
		{ "0.0.0.0", true },
		{ "10.255.0.1", true },
		{ "100.63.255.255", false },
		{ "100.64.0.1", true },
		{ "100.128.0.1", false },
		{ "127.0.0.1", true },
		{ "127.255.255.255", true },
		{ "128.0.0.1", false },
		{ "169.254.169.254", true },
		{ "169.253.0.1", false },
		{ "172.15.255.255", false },
		{ "172.16.0.1", true },
		{ "172.31.255.255", true },
		{ "172.32.0.1", false },
		{ "192.0.0.8", true },
		{ "192.168.1.1", true },
		{ "192.169.1.1", false },
		{ "198.18.0.1", true },
		{ "198.19.255.255", true },
		{ "198.20.0.1", false },
		{ "203.0.113.9", false },
		{ "224.0.0.251", true },
		{ "255.255.255.255", true },
		{ "8.8.8.8", false },
		{ "::", true },
		{ "::1", true },
		{ "::127.0.0.1", true },
		{ "fe80::1", true },
		{ "fec0::1", true },
		{ "fd00::1", true },
		{ "ff02::1", true },
		{ "2001:4860:4860::8888", false },
		{ "2606:4700::1111", false },
		{ "::ffff:127.0.0.1", true },
		{ "::ffff:8.8.8.8", false },
		{ "64:ff9b::10.0.0.1", true },
		{ "64:ff9b::8.8.8.8", false },
		{ "2002:7f00:1::", true },
		{ "2002:c0a8:101::", true },
		{ "2002:808:808::", false },
		{ "4000::1", true },
	};
	struct sockaddr local = { .sa_family = AF_UNIX };

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
		struct sockaddr_in in = { .sin_family = AF_INET };
		bool v6 = strchr(cases[i].text, ':') != NULL;

		assert_int_equal(v6
			? inet_pton(AF_INET6, cases[i].text, &in6.sin6_addr)
			: inet_pton(AF_INET, cases[i].text, &in.sin_addr),
		    1);
		if (address_is_private(v6
			    ? (struct sockaddr *)&in6
			    : (struct sockaddr *)&in) != cases[i].is)
			fail_msg("%s", cases[i].text);
	}
	assert_true(address_is_private(&local));
}

static void
test_locations(void **state)
{
	static const struct {
		const char *location, *url;
	} cases[] = {
		{ "/log/1", "https://masa.example:443/log/1" },
		{ "log", "https://masa.example:443/.well-known/brski/log" },
		{ "https://masa.example/x?id=5",
		    "https://masa.example/x?id=5" },
		{ "https://MASA.example:443/x", "https://MASA.example:443/x" },
		{ "https://masa.example:8443/x" },
		{ "https://evil.example/x" },
		{ "//evil.example/x" },
		{ "http://masa.example/x" },
		{ "https://me:pw@masa.example/x" },
		{ "file:///etc/passwd" },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct err e = ERR_INIT;
		AUTO(char) url =
		    fetch_resolve("https://masa.example:443/.well-known/brski/"
				  "requestauditlog",
			cases[i].location, &e);

		if ((url == NULL) != (cases[i].url == NULL))
			fail_msg("%s: %s", cases[i].location,
			    url != NULL ? url : e.msg);
		if (url != NULL)
			assert_string_equal(url, cases[i].url);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_private_addresses),
		cmocka_unit_test(test_locations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
