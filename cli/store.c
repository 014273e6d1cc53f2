#include "cli/store.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cli/place.h"
#include "cli/table.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/queue/outbox.h"
#include "common/queue/queue_json.h"
#include "common/service/ledger.h"

#define RENEW_ROOM (16u << 20) /* octets that a new beginning may need */

enum { OPT_CONFIRM = 0x200 };

struct args {
	struct ask_args ask;
	struct place_args place;
	const char *file;
	bool takes_file, wants_file;
	bool confirm;
};

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;
	error_t rc;

	switch (key) {
	case OPT_CONFIRM:
		a->confirm = true;
		return 0;
	case ARGP_KEY_ARG:
		if (!a->takes_file || a->file != NULL)
			argp_error(state, "'%s' is not expected here", arg);
		a->file = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->wants_file && a->file == NULL)
			argp_error(state, "which file?");
		return 0;
	default:
		rc = place_option(key, arg, state, &a->place);
		return rc == ARGP_ERR_UNKNOWN ? ask_option(key, arg, &a->ask)
					      : rc;
	}
}

static const struct argp_option live_options[] = {
	PLACE_OPTION_PROGRAM,
	ASK_OPTION_JSON,
	ASK_OPTIONS_WHERE,
	{ 0 },
};

static const struct argp_option offline_options[] = {
	PLACE_OPTION_PROGRAM,
	PLACE_OPTIONS,
	ASK_OPTION_JSON,
	ASK_OPTIONS_WHERE,
	{ 0 },
};

static const struct argp_option restore_options[] = {
	{ "confirm", OPT_CONFIRM, NULL, 0, "This is meant", 0 },
	PLACE_OPTION_PROGRAM,
	PLACE_OPTIONS,
	ASK_OPTION_JSON,
	ASK_OPTIONS_WHERE,
	{ 0 },
};

/* ---- telling --------------------------------------------------------- */

static void
print_report(const json_t *j)
{
	static const char *const titles[] = { "DATABASE", "ROWS", "EXPECTED",
		"DAMAGED" };
	static const char *const keys[] = { "rows", "expected", "damaged" };
	AUTO(table) t = table_new(titles, NELEMS(titles));
	struct buf out AUTO_BUF = { 0 };
	const json_t *db;
	char number[24];
	size_t i, k;

	json_array_foreach(json_object_get(j, "databases"), i, db)
	{
		table_add(t, ask_text(db, "name"));
		for (k = 0; k < NELEMS(keys); k++) {
			snprintf(number, sizeof(number), "%llu",
			    (unsigned long long)ask_number(db, keys[k]));
			table_add(t, number);
		}
	}
	table_format(t, &out);
	fputs(buf_cstr(&out), stdout);
	printf("version %llu, epoch %s, next id %llu\n"
	       "audit trail: %llu of %llu records hold, head %s\n",
	    (unsigned long long)ask_number(j, "version"), ask_text(j, "epoch"),
	    (unsigned long long)ask_number(j, "next_id"),
	    (unsigned long long)ask_number(j, "records"),
	    (unsigned long long)ask_number(j, "audit_head"),
	    ask_text(j, "audit_hash"));
}

/* The exit code: damage is one, wherever it was found. */
static int
tell_report(const json_t *j, bool as_json)
{
	struct err e = ERR_INIT;
	int rc;

	if (as_json)
		rc = ask_print_json(j);
	else {
		print_report(j);
		rc = cli_flush();
	}
	if (rc != 0 || json_is_null(json_object_get(j, "trouble")))
		return rc;
	err_set(&e, ERR_DAMAGE, "%s", ask_text(j, "trouble"));
	return cli_fail(&e);
}

static int
tell_lost(uint64_t lost, const char *what)
{
	struct err e = ERR_INIT;

	if (lost == 0) {
		printf("%s\n", what);
		return cli_flush();
	}
	err_set(&e, ERR_DAMAGE, "%s; %llu rows did not open and stayed behind",
	    what, (unsigned long long)lost);
	return cli_fail(&e);
}

/* Now, as it may stand in the name of a copy. */
static void
name_now(char ret[32])
{
	time_t now = (time_t)clock_now().time;
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(ret, 32, "%Y%m%dT%H%M%SZ", &tm);
}

/* ---- backup ---------------------------------------------------------- */

/* To another file system it is copied, then removed here. */
static int
move_file(const char *from, const char *to, struct err *e)
{
	struct stat st;

	if (lstat(to, &st) == 0)
		return err_set(e, ERR_INPUT,
		    "%s: there already; the copy stays as %s", to, from);
	if (rename(from, to) == 0)
		return 0;
	if (file_copy(from, to, e) == -1)
		return err_prefix(e, "the copy stays as %s", from);
	unlink(from);
	return 0;
}

static int
run_backup(int argc, char **argv, const char *program)
{
	struct argp argp = {
		live_options, on_option, "[FILE]",
		"Copies the store of a program that runs, and reads all of the "
		"copy.  It is sealed: keep the seal secret as well, elsewhere."
	};
	struct args a = { .place.program = program, .takes_file = true };
	struct err e = ERR_INIT;
	AUTO(char) socket = NULL;
	AUTO(json_t) body = NULL;
	AUTO(json_t) j = NULL;
	const char *path;
	char name[32];

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	name_now(name);
	body = json_pack("{s:s}", "name", name);
	if ((socket = place_socket(&a.place, &a.ask, &e)) == NULL ||
	    (j = ask_long(socket, "/v1/backup", body, &e)) == NULL)
		return cli_fail(&e);
	path = ask_text(j, "path");
	if (a.file != NULL) {
		if (move_file(path, a.file, &e) == -1)
			return cli_fail(&e);
		path = a.file;
		json_object_set_new(j, "path", json_string(path));
	}
	if (!a.ask.json)
		printf("%s\n", path);
	return tell_report(j, a.ask.json);
}

/* ---- restore --------------------------------------------------------- */

struct renewal {
	const struct place *place;
	const struct store_report *report;
	struct outbox_counts counts; /* out */
	struct err e;
};

static void
post_here(void *to, void (*fn)(void *arg), void *arg)
{
	(void)to;
	fn(arg);
}

static void
renew_done(void *user, const struct err *e)
{
	struct renewal *n = user;

	if (e != NULL)
		n->e = *e;
}

/* The copy begins again before it takes the place of the other: who starts the
 * registrar too early starts the old one. */
static int
renew(const char *dir, void *arg, struct err *e)
{
	struct renewal *n = arg;
	struct outbox_conf c = {
		.store = n->place->conf, .site = "restored", .full_percent = 100
	};
	struct outbox *o = NULL;
	char who[32];

	c.store.dir = dir;
	/* No more of the disk than it needs: what is there is kept. */
	c.store.map_size = 2 * n->report->octets + RENEW_ROOM;
	if (outbox_open(&c, &o, e) == -1)
		return -1;
	snprintf(who, sizeof(who), "uid %u", (unsigned)getuid());
	outbox_renew(o, who, renew_done, n, (struct post){ post_here, NULL });
	outbox_flush(o);
	outbox_count(o, &n->counts);
	outbox_close(o);
	if (n->e.kind == ERR_NONE)
		return 0;
	*e = n->e;
	return -1;
}

static int
renew_ledger(const char *dir, void *arg, struct err *e)
{
	struct renewal *n = arg;
	struct store_conf c = n->place->conf;
	char who[32];

	c.dir = dir;
	c.map_size = 2 * n->report->octets + RENEW_ROOM;
	snprintf(who, sizeof(who), "uid %u", (unsigned)getuid());
	return ledger_renew(&c, who, e);
}

static void
print_restored(const struct place *p, const char *name,
    const struct store_report *r, const struct outbox_counts *n)
{
	printf("restored; what was there is %s/before-%s.mdb\n", p->dir, name);
	printf(
	    "audit trail: %llu records hold\n", (unsigned long long)r->records);
	if (p->outbox)
		printf("%llu requests that are open will be sent again, under "
		       "a new epoch\n",
		    (unsigned long long)n->resend);
	else
		printf("each site is kept out until: waybill ra recover "
		       "SITE\n");
}

static int
restore_file(const struct args *a)
{
	struct place p AUTO_PLACE = { .dir = NULL };
	struct store_report r = { 0 };
	struct renewal n = { .place = &p, .report = &r };
	struct err e = ERR_INIT;
	char name[32];

	name_now(name);
	if (place_find(&a->place, &a->ask, &p, &e) == -1 ||
	    store_restore(&p.conf, a->file, name,
		p.outbox ? renew : renew_ledger, &n, &r, &e) == -1)
		return cli_fail(&e);
	if (!a->ask.json)
		print_restored(&p, name, &r, &n.counts);
	else {
		AUTO(json_t) j = store_report_json(&r);

		json_object_set_new(
		    j, "resend", json_integer((json_int_t)n.counts.resend));
		return ask_print_json(j);
	}
	return cli_flush();
}

/* An older copy that was put in place by other means. */
static int
restore_running(const struct args *a)
{
	struct err e = ERR_INIT;
	AUTO(char) socket = NULL;
	AUTO(json_t) body = json_pack("{s:b}", "confirm", 1);
	AUTO(json_t) j = NULL;

	if ((socket = place_socket(&a->place, &a->ask, &e)) == NULL ||
	    (j = ask_long(socket, "/v1/restore", body, &e)) == NULL)
		return cli_fail(&e);
	if (a->ask.json)
		return ask_print_json(j);
	printf(
	    "the outbox begins again, its epoch is %s\n", ask_text(j, "epoch"));
	return cli_flush();
}

static int
run_restore(int argc, char **argv, const char *program)
{
	struct argp argp = { restore_options, on_option, "[FILE]",
		"Puts a backup in the place of the store of a program that "
		"does not run.  Without FILE, a registrar that runs on an "
		"older copy begins again with it." };
	struct args a = { .place.program = program, .takes_file = true };
	struct err e = ERR_INIT;

	a.wants_file = program != NULL;
	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (!a.confirm) {
		err_set(&e, ERR_USAGE,
		    "what came since that copy is lost here: --confirm");
		return cli_fail(&e);
	}
	return a.file != NULL ? restore_file(&a) : restore_running(&a);
}

/* ---- check, compact, rekey ------------------------------------------- */

static int
run_check(int argc, char **argv, const char *program)
{
	struct argp argp = { offline_options, on_option, "[FILE]",
		"Reads all of the store of a program that does not run, or of "
		"a backup." };
	struct args a = { .place.program = program, .takes_file = true };
	struct place p AUTO_PLACE = { .dir = NULL };
	struct store_report r;
	struct err e = ERR_INIT;
	AUTO(json_t) j = NULL;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (place_find(&a.place, &a.ask, &p, &e) == -1)
		return cli_fail(&e);
	if (store_check(&p.conf, a.file, &r, &e) == -1 && r.trouble[0] == '\0')
		return cli_fail(&e);
	j = store_report_json(&r);
	return tell_report(j, a.ask.json);
}

static int
run_compact(int argc, char **argv, const char *program)
{
	struct argp argp = { offline_options, on_option, "",
		"Copies the store of a program that does not run without what "
		"is empty, and puts the copy in its place." };
	struct args a = { .place.program = program };
	struct place p AUTO_PLACE = { .dir = NULL };
	struct err e = ERR_INIT;
	uint64_t lost = 0;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (place_find(&a.place, &a.ask, &p, &e) == -1 ||
	    store_compact(&p.conf, &lost, &e) == -1)
		return cli_fail(&e);
	return tell_lost(lost, "compacted");
}

static int
run_rekey(int argc, char **argv, const char *program)
{
	struct argp argp = { offline_options, on_option, "",
		"Seals the store of a program that does not run with a new "
		"secret.  Backups made before need the old one." };
	struct args a = { .place.program = program };
	struct place p AUTO_PLACE = { .dir = NULL };
	struct err e = ERR_INIT;
	uint64_t lost = 0;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (place_find(&a.place, &a.ask, &p, &e) == -1 ||
	    store_rekey(&p.conf, &lost, &e) == -1)
		return cli_fail(&e);
	return tell_lost(lost, "sealed with a new secret");
}

/* ---- commands -------------------------------------------------------- */

int
queue_backup_command(int argc, char **argv)
{
	return run_backup(argc, argv, NULL);
}

int
queue_restore_command(int argc, char **argv)
{
	return run_restore(argc, argv, NULL);
}

int
queue_check_command(int argc, char **argv)
{
	return run_check(argc, argv, NULL);
}

int
queue_compact_command(int argc, char **argv)
{
	return run_compact(argc, argv, NULL);
}

int
queue_rekey_command(int argc, char **argv)
{
	return run_rekey(argc, argv, NULL);
}

int
ra_restore_command(int argc, char **argv)
{
	return run_restore(argc, argv, "ra");
}

int
ra_check_command(int argc, char **argv)
{
	return run_check(argc, argv, "ra");
}

int
ra_compact_command(int argc, char **argv)
{
	return run_compact(argc, argv, "ra");
}

int
ra_rekey_command(int argc, char **argv)
{
	return run_rekey(argc, argv, "ra");
}
