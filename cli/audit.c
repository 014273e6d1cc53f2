#include "cli/audit.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cli/place.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/queue/queue_json.h"

#define PAGE	    500
#define TAIL	    20
#define FOLLOW_SECS 1

enum { OPT_LINES = 0x200, OPT_FOLLOW, OPT_OFFLINE, OPT_FROM };

struct args {
	struct ask_args ask;
	struct place_args place;
	uint64_t lines, from;
	bool follow, offline;
};

static void
number(
    uint64_t *ret, const char *name, const char *arg, struct argp_state *state)
{
	struct err e = ERR_INIT;

	if (number_parse(arg, 1, INT64_MAX, ret, &e) == -1)
		argp_error(state, "%s: %s", name, e.msg);
}

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;
	error_t rc;

	switch (key) {
	case OPT_LINES:
		number(&a->lines, "--lines", arg, state);
		return 0;
	case OPT_FROM:
		number(&a->from, "--from", arg, state);
		return 0;
	case OPT_FOLLOW:
		a->follow = true;
		return 0;
	case OPT_OFFLINE:
		a->offline = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is not expected here", arg);
		return 0;
	case ARGP_KEY_END:
		a->offline |= a->place.store != NULL || a->place.seal != NULL;
		if (a->offline && a->follow)
			argp_error(state, "nothing comes to follow, offline");
		return 0;
	default:
		rc = place_option(key, arg, state, &a->place);
		return rc == ARGP_ERR_UNKNOWN ? ask_option(key, arg, &a->ask)
					      : rc;
	}
}

/* clang-format off: lines of a table. */
#define OPTIONS_WHERE \
	{ "offline", OPT_OFFLINE, NULL, 0, \
		"Read the store of a program that does not run", 0 }, \
	    PLACE_OPTION_PROGRAM, PLACE_OPTIONS, ASK_OPTIONS_WHERE
/* clang-format on */

static const struct argp_option verify_options[] = {
	ASK_OPTION_JSON,
	OPTIONS_WHERE,
	{ 0 },
};

static const struct argp_option tail_options[] = {
	{ "lines", OPT_LINES, "N", 0, "The last N records (20)", 0 },
	{ "follow", OPT_FOLLOW, NULL, 0, "And those that come", 0 },
	ASK_OPTION_JSON,
	OPTIONS_WHERE,
	{ 0 },
};

static const struct argp_option export_options[] = {
	{ "from", OPT_FROM, "SEQ", 0, "From this record on", 0 },
	OPTIONS_WHERE,
	{ 0 },
};

/* ---- where records come from ----------------------------------------- */

struct trail {
	char *socket; /* NULL: the store */
	struct place place;
};

static void
trail_done(struct trail *t)
{
	free(t->socket);
	place_done(&t->place);
}
#define AUTO_TRAIL __attribute__((cleanup(trail_done)))

static int
trail_find(const struct args *a, struct trail *ret, struct err *e)
{
	if (a->offline)
		return place_find(&a->place, &a->ask, &ret->place, e);
	ret->socket = place_socket(&a->place, &a->ask, e);
	return ret->socket != NULL ? 0 : -1;
}

struct page {
	unsigned db;
	uint64_t first;
	size_t max;
	json_t *all;
};

static void
page_add(const struct audit_record *r, void *arg)
{
	json_array_append_new(arg, audit_record_json(r));
}

static int
page_job(struct store_txn *t, void *arg, struct err *e)
{
	struct page *p = arg;

	return audit_page(t, p->db, p->first, p->max, page_add, p->all, e);
}

static json_t *
page_of_store(
    const struct place *place, uint64_t first, size_t max, struct err *e)
{
	AUTO(json_t) all = json_array();
	struct page p = { place->audit, first, max, all };

	if (store_look(&place->conf, NULL, page_job, &p, e) == -1)
		return NULL;
	return STEAL(all);
}

/* At most max records from this one on. */
static json_t *
trail_page(const struct trail *t, uint64_t first, size_t max, struct err *e)
{
	char path[96];
	AUTO(json_t) j = NULL;
	json_t *all;

	if (t->socket == NULL)
		return page_of_store(&t->place, first, max, e);
	snprintf(path, sizeof(path), "/v1/audit?first=%" PRIu64 "&max=%zu",
	    first, max);
	if ((j = ask_get(t->socket, path, e)) == NULL)
		return NULL;
	/* As the registrar and the services call it. */
	if ((all = json_object_get(j, "history")) == NULL)
		all = json_object_get(j, "audit");
	if (!json_is_array(all)) {
		err_set(
		    e, ERR_PEER, "%s: no audit trail in the answer", t->socket);
		return NULL;
	}
	return json_incref(all);
}

/* Shows what comes from *next on, which moves on. */
typedef int (*show_fn)(const json_t *record);

static int
trail_show(const struct trail *t, uint64_t *next, show_fn show, struct err *e)
{
	for (;;) {
		AUTO(json_t) all = trail_page(t, *next, PAGE, e);
		const json_t *r;
		size_t i;

		if (all == NULL)
			return -1;
		json_array_foreach(all, i, r)
		{
			/* Never back: an answer that repeats itself must not
			 * keep us. */
			if (ask_number(r, "seq") < *next)
				return err_set(e, ERR_PEER,
				    "audit trail: records out of order");
			*next = ask_number(r, "seq") + 1;
			if (show(r) != 0 || ferror(stdout))
				return 0;
		}
		if (json_array_size(all) == 0)
			return 0;
	}
}

static int
there(const struct trail *t, uint64_t seq, bool *ret, struct err *e)
{
	AUTO(json_t) all = trail_page(t, seq, 1, e);

	if (all == NULL)
		return -1;
	*ret = json_array_size(all) > 0;
	return 0;
}

/* The last record's number, without reading them all. */
static int
trail_last(const struct trail *t, uint64_t *ret, struct err *e)
{
	uint64_t low = 0, high = 1, middle;
	bool is;

	for (;; low = high, high *= 2) {
		if (there(t, high, &is, e) == -1)
			return -1;
		if (!is || high > INT64_MAX / 4)
			break;
	}
	while (high - low > 1) {
		middle = low + (high - low) / 2;
		if (there(t, middle, &is, e) == -1)
			return -1;
		*(is ? &low : &high) = middle;
	}
	*ret = low;
	return 0;
}

/* ---- records --------------------------------------------------------- */

static int
show_json(const json_t *record)
{
	struct buf out AUTO_BUF = { 0 };

	json_format(&out, record);
	fputs(buf_cstr(&out), stdout);
	return 0;
}

/* 12  2026-11-22T09:00:00Z  entry 3  answered  service ra: by ra */
static int
show_line(const json_t *record)
{
	struct buf out AUTO_BUF = { 0 };
	const char *who = ask_text(record, "who");
	const char *detail = ask_text(record, "detail");
	uint64_t id = ask_number(record,
	    json_object_get(record, "case") != NULL ? "case" : "number");

	buf_printf(&out, "%8" PRIu64 "  %s  ", ask_number(record, "seq"),
	    ask_text(record, "time"));
	if (id != 0)
		buf_printf(&out, "%8" PRIu64 "  ", id);
	else
		buf_printf(&out, "%8s  ", "-");
	str_escape(
	    &out, ask_text(record, "event"), strlen(ask_text(record, "event")));
	buf_add_str(&out, "  ");
	str_escape(&out, who, strlen(who));
	buf_add_str(&out, ": ");
	str_escape(&out, detail, strlen(detail));
	printf("%s\n", buf_cstr(&out));
	return 0;
}

/* ---- verify ---------------------------------------------------------- */

struct verify {
	unsigned db;
	uint64_t records;
	struct store_audit head;
};

static int
verify_job(struct store_txn *t, void *arg, struct err *e)
{
	struct verify *v = arg;

	v->head = *store_audit_head(t);
	return audit_verify(t, v->db, &v->records, e);
}

/* As GET /v1/audit/verify answers. */
static json_t *
verify_store(const struct place *p, struct err *e)
{
	char hash[2 * DIGEST_LEN + 1];
	struct verify v = { .db = p->audit };
	struct err broken = ERR_INIT;
	bool sound;

	sound = store_look(&p->conf, NULL, verify_job, &v, &broken) == 0;
	if (!sound && broken.kind != ERR_DAMAGE) {
		*e = broken;
		return NULL;
	}
	return json_pack("{s:b, s:I, s:I, s:s, s:o}", "sound", sound, "records",
	    (json_int_t)v.records, "head", (json_int_t)v.head.seq, "hash",
	    hex_format(hash, v.head.hash.b, DIGEST_LEN), "trouble",
	    sound ? json_null() : json_string(broken.msg));
}

int
audit_verify_command(int argc, char **argv)
{
	struct argp argp = { verify_options, on_option, "",
		"Reads the whole audit trail: whether each record is the one "
		"that the next one names." };
	struct args a = { .lines = 0 };
	struct trail t AUTO_TRAIL = { .socket = NULL };
	struct err e = ERR_INIT;
	AUTO(json_t) j = NULL;
	int rc;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (trail_find(&a, &t, &e) == -1)
		return cli_fail(&e);
	j = t.socket != NULL ? ask_long(t.socket, "/v1/audit/verify", NULL, &e)
			     : verify_store(&t.place, &e);
	if (j == NULL)
		return cli_fail(&e);
	if (a.ask.json && (rc = ask_print_json(j)) != 0)
		return rc;
	if (!json_is_true(json_object_get(j, "sound"))) {
		err_set(&e, ERR_DAMAGE, "%s", ask_text(j, "trouble"));
		return cli_fail(&e);
	}
	if (!a.ask.json)
		printf("%" PRIu64 " records hold, head %s\n",
		    ask_number(j, "records"), ask_text(j, "hash"));
	return cli_flush();
}

/* ---- tail and export ------------------------------------------------- */

int
audit_tail_command(int argc, char **argv)
{
	struct argp argp = { tail_options, on_option, "",
		"Shows the last records of the audit trail." };
	struct args a = { .lines = TAIL };
	struct trail t AUTO_TRAIL = { .socket = NULL };
	struct err e = ERR_INIT;
	uint64_t next = 0;
	int rc;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (trail_find(&a, &t, &e) == -1 || trail_last(&t, &next, &e) == -1)
		return cli_fail(&e);
	next = next > a.lines ? next - a.lines + 1 : 1;
	for (;;) {
		if (trail_show(&t, &next, a.ask.json ? show_json : show_line,
			&e) == -1)
			return cli_fail(&e);
		if ((rc = cli_flush()) != 0 || !a.follow)
			return rc;
		sleep(FOLLOW_SECS);
	}
}

int
audit_export_command(int argc, char **argv)
{
	struct argp argp = { export_options, on_option, "",
		"Writes the audit trail, a JSON object a line, each with the "
		"text whose SHA-256 is its hash." };
	struct args a = { .from = 1 };
	struct trail t AUTO_TRAIL = { .socket = NULL };
	struct err e = ERR_INIT;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (trail_find(&a, &t, &e) == -1 ||
	    trail_show(&t, &a.from, show_json, &e) == -1)
		return cli_fail(&e);
	return cli_flush();
}
