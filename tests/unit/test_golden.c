/* What earlier releases wrote is read by this one, and goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/queue/outbox.h"
#include "golden.h"
#include "queue_signer.h"

#define OLDEST 1
#define MAP    (4u << 20)

static char dir[64], seal[80];
static struct signer *registrar;
static struct outbox_conf conf;

static void
bring(unsigned version, const char *name)
{
	struct buf from AUTO_BUF = { 0 };
	AUTO(char) to = path_join(dir, name);
	struct err e = ERR_INIT;

	buf_printf(&from, GOLDEN "/store-%u/%s", version, name);
	if (file_copy(buf_cstr(&from), to, &e) == -1)
		fail_msg("%s", e.msg);
}

static void
clear(void)
{
	DIR *d = opendir(dir);
	struct dirent *f;

	while ((f = readdir(d)) != NULL)
		unlinkat(dirfd(d), f->d_name, 0);
	closedir(d);
}

static int
setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_golden.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(seal, sizeof(seal), "%s/seal.key", dir);
	log_set_level(LOG_ALARM);
	registrar = queue_signer("golden");
	conf = (struct outbox_conf){ .site = "golden",
		.signer = registrar,
		.full_percent = 85,
		.store = { .dir = dir, .seal = seal, .map_size = MAP } };
	outbox_store_conf(&conf.store);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	signer_free(registrar);
	clear();
	return rmdir(dir);
}

static bool
there(unsigned version)
{
	struct buf path AUTO_BUF = { 0 };
	struct stat st;

	buf_printf(&path, GOLDEN "/store-%u", version);
	return stat(buf_cstr(&path), &st) == 0;
}

static void
is_sound(unsigned version, uint64_t at_least)
{
	struct store_report r;
	struct err e = ERR_INIT;

	if (store_check(&conf.store, NULL, &r, &e) == -1)
		fail_msg("%s", e.msg);
	assert_int_equal(r.version, version);
	assert_true(r.records >= at_least);
}

static void
answer_is(struct outbox *o, const struct outbox_entry *en, const char *want)
{
	struct buf got AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	int rc = en->late ? outbox_late(o, en, &got, &e)
			  : outbox_answer(o, en, &got, &e);

	if (*want == '\0') {
		assert_int_equal(rc, -1);
		return;
	}
	if (rc == -1)
		fail_msg("%s", e.msg);
	assert_string_equal(buf_cstr(&got), want);
}

static void
holds(struct outbox *o, const struct golden *g)
{
	struct outbox_octets x = { 0 };
	struct outbox_entry en;
	struct entry_header h;
	struct err e = ERR_INIT;

	if (outbox_get(o, g->id, &en, &e) != 1)
		fail_msg("entry %llu: %s", (unsigned long long)g->id, e.msg);
	assert_int_equal(en.kind, ENTRY_CMP);
	assert_string_equal(
	    entry_state_name(en.state), entry_state_name(g->state));
	assert_string_equal(en.label, g->label);
	assert_int_equal(en.received.time, GOLDEN_TIME);
	assert_int_equal(en.deadline, GOLDEN_TIME + 2592000);
	assert_int_equal(en.late, g->state == ENTRY_WITHDRAWN);
	answer_is(o, &en, g->answer);
	if (outbox_octets(o, g->id, &x, &e) == -1)
		fail_msg("%s", e.msg);
	assert_string_equal(buf_cstr(&x.bytes), g->octets);
	assert_int_equal(entry_header_parse(buf_bytes(&x.header), &h, &e), 0);
	assert_int_equal(h.id, g->id);
	assert_string_equal(h.site, "golden");
	outbox_octets_done(&x);
}

static void
all_there(void)
{
	struct outbox *o = NULL;
	struct outbox_counts n;
	struct outbox_peer ra;
	struct err e = ERR_INIT;

	if (outbox_open(&conf, &o, &e) == -1)
		fail_msg("%s", e.msg);
	for (size_t i = 0; i < NELEMS(golden); i++)
		holds(o, &golden[i]);
	outbox_count(o, &n);
	assert_int_equal(n.next_id, golden[NELEMS(golden) - 1].id + 2);
	assert_int_equal(n.by_state[ENTRY_DEAD], 0);
	assert_int_equal(outbox_peer(o, "ra", &ra, &e), 0);
	assert_int_equal(ra.seq, 9);
	outbox_close(o);
}

static void
test_what_was_written_is_read(void **state)
{
	unsigned version = OLDEST;

	(void)state;
	for (; there(version); version++) {
		print_message("version %u\n", version);
		bring(version, "data.mdb");
		bring(version, "seal.key");
		is_sound(version, NELEMS(golden));
		all_there();
		/* What it became is read the same. */
		is_sound(conf.store.version, NELEMS(golden));
		all_there();
		clear();
	}
	/* None may be missing: make_golden writes this release's. */
	assert_int_equal(version, conf.store.version + 1);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_what_was_written_is_read, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
