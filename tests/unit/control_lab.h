/* A running registrar that is asked over its control socket. */
#ifndef WAYBILL_TESTS_CONTROL_LAB_H
#define WAYBILL_TESTS_CONTROL_LAB_H

#include "tests/unit/carry_lab.h"

#include "common/sys/control.h"

static struct forwarder fwd;

static inline int
setup(void **state)
{
	int rc = reg_lab_setup(state);

	fwd_init(&fwd, *state, "masa", NULL);
	return rc;
}

static inline int
teardown(void **state)
{
	fwd_close(&fwd);
	return reg_lab_teardown(state);
}

/* ---- asking ------------------------------------------------------------ */

/* The status must be `want`; the answer is JSON. */
static inline json_t *
ask(struct reg_lab *g, const char *method, const char *path, const json_t *body,
    int want)
{
	struct err e = ERR_INIT;
	int status = 0;
	json_t *j = control_call(
	    g->r.conf.control.socket, method, path, body, &status, &e);

	if (j == NULL)
		fail_msg("%s %s: %s", method, path, e.msg);
	if (status != want)
		fail_msg("%s %s: %d", method, path, status);
	return j;
}

static inline json_t *
get(struct reg_lab *g, const char *path)
{
	return ask(g, "GET", path, NULL, 200);
}

/* What is answered in text, octet for octet. */
static inline void
ask_text(
    struct reg_lab *g, const char *method, const char *path, struct buf *out)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct buf in AUTO_BUF = { 0 };
	AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ssize_t n;

	str_copy(a.sun_path, sizeof(a.sun_path), g->r.conf.control.socket);
	client_limit(fd);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	buf_printf(&in,
	    "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	    "Content-Length: 0\r\n\r\n",
	    method, path);
	assert_int_equal(send(fd, in.data, in.len, 0), (ssize_t)in.len);
	do {
		n = recv(fd, buf_grow(out, 4096), 4096, 0);
		out->len -= 4096 - (n > 0 ? (size_t)n : 0);
	} while (n > 0);
}

static inline void
expect_text(
    struct reg_lab *g, const char *method, const char *path, const char *want)
{
	struct buf got AUTO_BUF = { 0 };

	ask_text(g, method, path, &got);
	if (strstr(buf_cstr(&got), want) == NULL)
		fail_msg("%s %s: %s", method, path, buf_cstr(&got));
}

static inline const char *
text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	if (s == NULL)
		fail_msg("no %s", key);
	return s;
}

static inline long long
number_of(const json_t *j, const char *key)
{
	const json_t *n = json_object_get(j, key);

	if (!json_is_integer(n))
		fail_msg("no %s", key);
	return json_integer_value(n);
}

static inline const json_t *
item(const json_t *j, const char *key, size_t i)
{
	const json_t *it = json_array_get(json_object_get(j, key), i);

	if (it == NULL)
		fail_msg("no %s[%zu]", key, i);
	return it;
}

static inline size_t
count(const json_t *j, const char *key)
{
	assert_true(json_is_array(json_object_get(j, key)));
	return json_array_size(json_object_get(j, key));
}

/* Entries 1 to n, each of a profile of its own. */
static inline void
enrol(struct reg_lab *g, int n)
{
	for (int i = 0; i < n; i++) {
		struct lab_ask want = { .cn = "dev" };
		struct buf request AUTO_BUF = { 0 };
		char path[64];

		snprintf(path, sizeof(path), REG_CMP "/p/p%d", i);
		lab_request(g->l, &want, &request);
		AUTO(cmp_msg) m = reg_cmp_at(g, g->l->device, path, &request);
		reg_expect_waiting(m, CMP_IP, 0);
	}
}

#endif
