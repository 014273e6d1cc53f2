/* What a MASA keeps: its log, whom it sold to, its vouchers. */
#include "masa_case.h"

#include "common/base/file.h"
#include "manufacturer/masa_state.h"

static void
from_elsewhere(struct lab_request *q)
{
	q->registrar = lab->elsewhere.registrar;
	q->seen = lab->elsewhere.registrar->cert;
	q->root = lab->elsewhere.root->cert;
}

/*
 * The state.
 */
struct folder {
	char dir[64];
	char sales[96];
};

static struct folder
folder_new(const char *sales)
{
	struct folder f = { "/tmp/waybill-masa-XXXXXX", "" };
	struct err e = ERR_INIT;

	assert_non_null(mkdtemp(f.dir));
	if (sales == NULL)
		return f;
	snprintf(f.sales, sizeof(f.sales), "%s/sales.csv", f.dir);
	if (file_write(f.sales, 0600, bytes_of(sales, strlen(sales)), &e) == -1)
		fail_msg("%s", e.msg);
	return f;
}

static struct masa_state *
folder_open(const struct folder *f)
{
	struct err e = ERR_INIT;
	struct masa_state *s =
	    masa_state_open(f->dir, f->sales[0] != '\0' ? f->sales : NULL, &e);

	if (s == NULL)
		fail_msg("%s", e.msg);
	return s;
}

static void
folder_done(struct folder *f)
{
	char cmd[96];

	snprintf(cmd, sizeof(cmd), "rm -r %s", f->dir);
	assert_int_equal(system(cmd), 0);
}
#define AUTO_FOLDER struct folder __attribute__((cleanup(folder_done)))

static int
claim(struct masa_state *s, const struct masa_request *r, const char *date)
{
	struct err e = ERR_INIT;
	int status = masa_state_claim(s, r, date, &e);

	assert_int_equal(status != 0, e.msg[0] != '\0');
	return status;
}

static struct vch_log
read_log(struct masa_state *s, const struct masa_request *r, bool foreign)
{
	struct buf text AUTO_BUF = { 0 };
	struct vch_log l = { 0 };
	struct err e = ERR_INIT;

	if (masa_state_log(s, r, foreign, &text, &e) != 0 ||
	    vch_log_parse(buf_bytes(&text), &l, &e) == -1)
		fail_msg("%s", e.msg);
	/* What tells who asked stays here. */
	assert_null(memmem(text.data, text.len, "pin", 3));
	assert_null(memmem(text.data, text.len, "\"request\"", 9));
	return l;
}

static void
keeps_the_log(void **state)
{
	AUTO_FOLDER f = folder_new(NULL);
	AUTO(masa_state) s = folder_open(&f);
	struct masa_request home = judged(no_change);
	struct masa_request bare = judged(nonceless);
	struct masa_request other = judged(from_elsewhere);
	struct buf none AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct vch_log l;

	(void)state;
	assert_int_equal(masa_state_log(s, &home, false, &none, &e), 404);
	assert_int_equal(claim(s, &home, "2026-01-01T00:00:00Z"), 0);
	assert_int_equal(claim(s, &bare, "2026-01-02T00:00:00Z"), 0);
	assert_int_equal(masa_state_log(s, &other, false, &none, &e), 404);
	/* The same request is the same event, also after a restart. */
	masa_state_free(STEAL(s));
	s = folder_open(&f);
	assert_int_equal(claim(s, &home, "2026-01-03T00:00:00Z"), 0);
	l = read_log(s, &home, false);
	assert_int_equal(l.n, 2);
	assert_string_equal(l.events[0].date, "2026-01-01T00:00:00Z");
	assert_int_equal(l.events[0].assertion, VCH_PROXIMITY);
	assert_false(l.events[0].nonceless);
	assert_true(l.events[1].nonceless);
	assert_int_equal(l.events[1].assertion, VCH_LOGGED);
	assert_memory_equal(
	    l.events[0].domain, home.domain.data, home.domain.len);
	assert_false(l.truncated);
	vch_log_done(&l);
	/* Trust on first use: the second domain gets it, and is seen. */
	assert_int_equal(claim(s, &other, "2026-01-04T00:00:00Z"), 0);
	l = read_log(s, &home, true);
	assert_int_equal(l.n, 4);
	assert_string_not_equal(l.events[0].domain, l.events[1].domain);
	assert_string_equal(l.events[3].date, "2026-01-04T00:00:00Z");
	vch_log_done(&l);
	masa_request_done(&home);
	masa_request_done(&bare);
	masa_request_done(&other);
}

/* An attacker's CA can carry the owner's key identifier, not its key. */
static void
log_is_the_owners(void **state)
{
	AUTO_FOLDER f = folder_new(NULL);
	AUTO(masa_state) s = folder_open(&f);
	struct masa_request home = judged(no_change);
	struct masa_request thief = judged(from_elsewhere);
	struct buf none AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	buf_reset(&thief.domain);
	buf_add(&thief.domain, home.domain.data, home.domain.len);
	assert_int_equal(claim(s, &home, "2026-01-01T00:00:00Z"), 0);
	assert_int_equal(masa_state_log(s, &thief, false, &none, &e), 404);
	assert_int_equal(none.len, 0);
	masa_request_done(&home);
	masa_request_done(&thief);
}

/* Home asks first, elsewhere then. */
static void
sells_once(void **state)
{
	struct masa_request home = judged(no_change);
	struct masa_request other = judged(from_elsewhere);
	struct buf named AUTO_BUF = { 0 }, both AUTO_BUF = { 0 };

	(void)state;
	buf_printf(&named, "# serial,domainID\n\n" LAB_SERIAL ",%.*s # home\n",
	    (int)home.domain.len, (const char *)home.domain.data);
	buf_printf(&both, "%s" LAB_SERIAL ",%.*s\r\n", buf_cstr(&named),
	    (int)other.domain.len, (const char *)other.domain.data);
	const struct {
		const char *sales;
		int home, other;
	} sold[] = {
		{ buf_cstr(&named), 0, 403 },
		{ buf_cstr(&both), 0, 0 },
		{ LAB_SERIAL ",*\n", 0, 403 },
		{ LAB_SERIAL ",bm9ib2R5\n", 403, 403 },
		{ "SN-2,*\n", 404, 404 },
		{ "", 404, 404 },
	};

	for (size_t i = 0; i < NELEMS(sold); i++) {
		AUTO_FOLDER f = folder_new(sold[i].sales);
		AUTO(masa_state) s = folder_open(&f);

		assert_int_equal(
		    claim(s, &home, "2026-01-01T00:00:00Z"), sold[i].home);
		assert_int_equal(
		    claim(s, &other, "2026-01-01T00:00:01Z"), sold[i].other);
		assert_int_equal(
		    claim(s, &home, "2026-01-01T00:00:02Z"), sold[i].home);
	}
	masa_request_done(&home);
	masa_request_done(&other);
}

static void
refuses_sales(void **state)
{
	static const char *const bad[] = { "SN-1\n", "a,b,c\n", "ok,*\nx\n" };
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < NELEMS(bad); i++) {
		AUTO_FOLDER f = folder_new(bad[i]);

		assert_null(masa_state_open(f.dir, f.sales, &e));
		assert_int_equal(e.kind, ERR_CONF);
	}
}

static void
log_has_an_end(void **state)
{
	AUTO_FOLDER f = folder_new(NULL);
	AUTO(masa_state) s = folder_open(&f);
	struct masa_request r = judged(no_change);
	struct vch_log l;

	(void)state;
	for (unsigned i = 0; i < MASA_EVENTS_MAX + 1; i++) {
		char date[21];

		r.digest = digest_of(&i, sizeof(i));
		assert_int_equal(
		    claim(s, &r, clock_format(date, 86400 * (i + 1))), 0);
	}
	l = read_log(s, &r, false);
	assert_int_equal(l.n, MASA_EVENTS_MAX);
	assert_true(l.truncated);
	assert_string_equal(l.events[0].date, "1970-01-03T00:00:00Z");
	vch_log_done(&l);
	masa_request_done(&r);
}

/* A serial number is a PrintableString, and may look like a path. */
static void
serial_is_no_path(void **state)
{
	AUTO_FOLDER f = folder_new(NULL);
	AUTO(masa_state) s = folder_open(&f);
	AUTO(char) inside = NULL;
	struct masa_request r = judged(no_change);

	(void)state;
	str_copy(r.serial, sizeof(r.serial), "../../x");
	assert_int_equal(claim(s, &r, "2026-01-01T00:00:00Z"), 0);
	inside = path_join(f.dir, "logs/_2E_2E_2F_2E_2E_2Fx.json");
	assert_int_equal(access(inside, F_OK), 0);
	masa_request_done(&r);
}

static void
keeps_vouchers(void **state)
{
	AUTO_FOLDER f = folder_new(NULL);
	AUTO(masa_state) s = folder_open(&f);
	struct digest one = digest_of("1", 1), two = digest_of("2", 1);
	struct buf got AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(
	    masa_state_keep(s, &one, "", bytes_of("abc", 3), &e), 0);
	assert_int_equal(masa_state_voucher(s, &two, "", &got, &e), 0);
	assert_int_equal(got.len, 0);
	assert_int_equal(masa_state_voucher(s, &one, ".expired", &got, &e), 0);
	assert_int_equal(got.len, 0);
	assert_int_equal(masa_state_voucher(s, &one, "", &got, &e), 0);
	assert_string_equal(buf_cstr(&got), "abc");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_the_log),
		cmocka_unit_test(log_is_the_owners),
		cmocka_unit_test(sells_once),
		cmocka_unit_test(refuses_sales),
		cmocka_unit_test(log_has_an_end),
		cmocka_unit_test(serial_is_no_path),
		cmocka_unit_test(keeps_vouchers),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
