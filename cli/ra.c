#include "cli/ra.h"

#include <stdio.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/table.h"
#include "cli/tell.h"
#include "common/base/str.h"
#include "common/pki/ossl.h"
#include "common/sys/control_json.h"

#define PAGE 1000

/* What a command takes besides --json and where to ask. */
enum takes {
	TAKES_FILTER = 1, /* --state, --site, --limit */
	TAKES_WORD = 2,	  /* one argument */
	TAKES_OUTCOME = 4 /* --issued or --not-issued, --reason */
};

struct args {
	struct ask_args ask;
	const char *program, *state, *site, *issued, *reason;
	const char *outcome; /* what became of a case */
	unsigned outcomes;   /* how often it was said */
	uint64_t limit;
	const char *word;
	unsigned takes;
	const char *what; /* the argument, for people */
};

enum {
	OPT_PROGRAM = 0x400,
	OPT_STATE,
	OPT_SITE,
	OPT_LIMIT,
	OPT_ISSUED,
	OPT_NOT_ISSUED,
	OPT_REVOKED,
	OPT_NOT_REVOKED,
	OPT_REASON
};

/* clang-format off: lines of a table. */
#define OPTIONS_WHERE \
	{ "program", OPT_PROGRAM, "NAME", 0, \
		"The service: ra (the default) or masa-client", 0 }, \
	    { "config", ASK_OPT_CONFIG, "FILE", 0, \
		    "Its configuration (/etc/waybill/NAME.yaml)", 0 }, \
	    { "socket", ASK_OPT_SOCKET, "PATH", 0, \
		    "Its control socket, instead of --config", 0 }, \
	    ASK_OPTION_JSON
/* clang-format on */

static const struct argp_option plain_options[] = {
	OPTIONS_WHERE,
	{ 0 },
};

static const struct argp_option list_options[] = {
	{ "state", OPT_STATE, "STATE", 0,
	    "Those that are open, intent, done, unknown or rejected", 0 },
	{ "site", OPT_SITE, "NAME", 0, "Those of this site", 0 },
	{ "limit", OPT_LIMIT, "N", 0, "So many at most", 0 },
	OPTIONS_WHERE,
	{ 0 },
};

static const struct argp_option resolve_options[] = {
	{ "issued", OPT_ISSUED, "FILE", 0,
	    "This certificate was issued for it (PEM)", 0 },
	{ "not-issued", OPT_NOT_ISSUED, NULL, 0,
	    "None was: it is judged as if it were new", 0 },
	{ "revoked", OPT_REVOKED, NULL, 0,
	    "Of a request for revocation: it was done", 0 },
	{ "not-revoked", OPT_NOT_REVOKED, NULL, 0,
	    "It was not done: it is judged as if it were new", 0 },
	{ "reason", OPT_REASON, "TEXT", 0,
	    "How you know: stands in the audit trail", 0 },
	OPTIONS_WHERE,
	{ 0 },
};

static void
on_limit(struct args *a, const char *arg, struct argp_state *state)
{
	struct err e = ERR_INIT;

	if (number_parse(arg, 1, INT64_MAX, &a->limit, &e) == -1)
		argp_error(state, "--limit: %s", e.msg);
}

/* As the control socket names it; only what was issued has a file. */
static void
on_outcome(struct args *a, int key, const char *file)
{
	a->outcomes++;
	a->issued = file;
	a->outcome = key == OPT_ISSUED ? "issued"
	    : key == OPT_NOT_ISSUED    ? "not_issued"
	    : key == OPT_REVOKED       ? "revoked"
				       : "not_revoked";
}

static void
on_end(const struct args *a, struct argp_state *state)
{
	if ((a->takes & TAKES_WORD) != 0 && a->word == NULL)
		argp_error(state, "which %s?", a->what);
	if ((a->takes & TAKES_OUTCOME) == 0)
		return;
	if (a->outcomes != 1)
		argp_error(state,
		    "one of --issued FILE, --not-issued, --revoked, "
		    "--not-revoked");
	if (a->reason == NULL || a->reason[0] == '\0')
		argp_error(state, "--reason is needed");
}

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case OPT_PROGRAM:
		a->program = arg;
		return 0;
	case OPT_STATE:
		a->state = arg;
		return 0;
	case OPT_SITE:
		a->site = arg;
		return 0;
	case OPT_LIMIT:
		on_limit(a, arg, state);
		return 0;
	case OPT_ISSUED:
	case OPT_NOT_ISSUED:
	case OPT_REVOKED:
	case OPT_NOT_REVOKED:
		on_outcome(a, key, arg);
		return 0;
	case OPT_REASON:
		a->reason = arg;
		return 0;
	case ARGP_KEY_ARG:
		if ((a->takes & TAKES_WORD) == 0 || a->word != NULL)
			argp_error(state, "'%s' is not expected here", arg);
		a->word = arg;
		return 0;
	case ARGP_KEY_END:
		on_end(a, state);
		return 0;
	default:
		return ask_option(key, arg, &a->ask);
	}
}

/* The control socket, malloc'd. */
static char *
open_args(struct args *a, const struct argp_option *options, const char *words,
    const char *doc, int argc, char **argv, struct err *e)
{
	struct argp argp = { options, on_option, words, doc };
	AUTO(char) conf = NULL;

	a->program = "ra";
	a->limit = INT64_MAX;
	argp_parse(&argp, argc, argv, 0, NULL, a);
	if (!name_valid(a->program)) {
		err_set(e, ERR_USAGE, "'%s' is no program", a->program);
		return NULL;
	}
	if (a->ask.conf != NULL || a->ask.socket != NULL)
		return ask_socket(&a->ask, e);
	if (asprintf(&conf, "/etc/waybill/%s.yaml", a->program) == -1)
		err_die("out of memory");
	return ask_socket(&(struct ask_args){ .conf = conf }, e);
}

/* ---- list ------------------------------------------------------------ */

static void
add_text(struct buf *path, const char *key, const char *text)
{
	if (text == NULL)
		return;
	buf_printf(path, "&%s=", key);
	control_query_escape(path, text);
}

/* Appends a page; *after is the last case in it, 0 if there is no more. */
static int
list_page(const char *socket, const struct args *a, uint64_t *after,
    json_t *all, struct err *e)
{
	uint64_t left = a->limit - json_array_size(all);
	uint64_t max = left < PAGE ? left : PAGE, last;
	struct buf path AUTO_BUF = { 0 };
	AUTO(json_t) page = NULL;
	json_t *entries;
	size_t n;

	buf_printf(&path, "/v1/entries?after=%llu&max=%llu",
	    (unsigned long long)*after, (unsigned long long)max);
	add_text(&path, "state", a->state);
	add_text(&path, "site", a->site);
	if ((page = ask_get(socket, buf_cstr(&path), e)) == NULL)
		return -1;
	entries = json_object_get(page, "entries");
	n = json_array_size(entries);
	last = ask_number(json_array_get(entries, n - 1), "case");
	json_array_extend(all, entries);
	/* Never back: an answer that repeats itself must not keep us. */
	*after = n == max && last > *after && json_array_size(all) < a->limit
	    ? last
	    : 0;
	return 0;
}

static json_t *
ask_list(const char *socket, const struct args *a, struct err *e)
{
	AUTO(json_t) all = json_array();
	AUTO(json_t) status = ask_get(socket, "/v1/status", e);
	uint64_t after = 0;

	if (status == NULL)
		return NULL;
	do {
		if (list_page(socket, a, &after, all, e) == -1)
			return NULL;
	} while (after != 0);
	return json_pack("{s:O, s:O}", "entries", all, "status", status);
}

static void
add_case(struct table *t, const json_t *c)
{
	char number[24], state[64], last[32];

	snprintf(number, sizeof(number), "%llu",
	    (unsigned long long)ask_number(c, "case"));
	snprintf(state, sizeof(state), "%s%s", ask_text(c, "state"),
	    json_is_true(json_object_get(c, "withdrawn")) ? " (withdrawn)"
							  : "");
	table_add(t, number);
	table_add(t, ask_text(c, "site"));
	table_add(t, ask_text(c, "entry"));
	table_add(t, ask_text(c, "kind"));
	table_add(t, state);
	table_add(t, ask_text(c, "answer"));
	table_add(t, ask_text(c, "device"));
	table_add(t, ask_text(c, "confirm"));
	table_add(t, tell_ago(last, ask_text(c, "changed")));
}

static int
print_list(const json_t *j)
{
	static const char *const titles[] = { "CASE", "SITE", "ENTRY", "KIND",
		"STATE", "ANSWER", "DEVICE", "CONFIRM", "LAST" };
	AUTO(table) t = table_new(titles, NELEMS(titles));
	const json_t *status = json_object_get(j, "status"), *c;
	struct buf out AUTO_BUF = { 0 };
	size_t i;

	json_array_foreach(json_object_get(j, "entries"), i, c) add_case(t, c);
	table_format(t, &out);
	fputs(buf_cstr(&out), stdout);
	printf("%llu open, %llu to be signed, %llu unknown; %llu of %llu sites "
	       "not sound; %llu %% full; clock %s\n",
	    (unsigned long long)ask_number(status, "open"),
	    (unsigned long long)ask_number(status, "intents"),
	    (unsigned long long)ask_number(status, "unknown"),
	    (unsigned long long)ask_number(status, "unsound"),
	    (unsigned long long)ask_number(status, "sites"),
	    (unsigned long long)ask_number(status, "used_percent"),
	    ask_text(status, "clock"));
	return cli_flush();
}

int
ra_list_command(int argc, char **argv)
{
	struct args a = { .takes = TAKES_FILTER };
	struct err e = ERR_INIT;
	AUTO(json_t) j = NULL;
	AUTO(char)
	socket = open_args(&a, list_options, "",
	    "Shows the cases of an off-site service, oldest first.", argc, argv,
	    &e);

	if (socket == NULL || (j = ask_list(socket, &a, &e)) == NULL)
		return cli_fail(&e);
	return a.ask.json ? ask_print_json(j) : print_list(j);
}

/* ---- show ------------------------------------------------------------ */

static int
print_show(const json_t *j)
{
	static const char *const fields[] = { "case", "site", "entry", "kind",
		"step", "state", "answer", "reason", "device", "serial",
		"confirm", "withdrawn", "pruned", "same", "parent", "stored",
		"changed" };
	static const char *const facts[] = { "name", "level", "value" };
	static const char *const history[] = { "time", "clock", "event", "who",
		"detail" };
	const json_t *c = json_object_get(j, "case");
	const char *pem = json_string_value(json_object_get(j, "certificate"));

	for (size_t i = 0; i < NELEMS(fields); i++)
		tell_value(fields[i], json_object_get(c, fields[i]));
	tell_objects(
	    "Facts", json_object_get(j, "facts"), facts, NELEMS(facts));
	tell_objects(
	    "History", json_object_get(j, "history"), history, NELEMS(history));
	if (pem != NULL)
		printf("\nCertificate\n%s", pem);
	return cli_flush();
}

static int
case_number(const struct args *a, uint64_t *ret, struct err *e)
{
	if (number_parse(a->word, 1, INT64_MAX, ret, e) == 0)
		return 0;
	return err_set(e, ERR_USAGE, "'%s' is no case", a->word);
}

int
ra_show_command(int argc, char **argv)
{
	struct args a = { .takes = TAKES_WORD, .what = "case" };
	struct err e = ERR_INIT;
	AUTO(json_t) j = NULL;
	AUTO(char)
	socket = open_args(&a, plain_options, "CASE",
	    "Shows all that is known of one case: facts, history, certificate.",
	    argc, argv, &e);
	char path[64];
	uint64_t id;

	if (socket == NULL || case_number(&a, &id, &e) == -1)
		return cli_fail(&e);
	snprintf(path, sizeof(path), "/v1/case/%llu", (unsigned long long)id);
	if ((j = ask_get(socket, path, &e)) == NULL)
		return cli_fail(&e);
	return a.ask.json ? ask_print_json(j) : print_show(j);
}

/* ---- sites, recover -------------------------------------------------- */

static int
print_sites(const json_t *j)
{
	static const char *const titles[] = { "SITE", "STANDING", "SINCE",
		"BATCHES", "ACKNOWLEDGED", "WHY" };
	static const char *const numbers[] = { "batches", "acknowledged" };
	AUTO(table) t = table_new(titles, NELEMS(titles));
	struct buf out AUTO_BUF = { 0 };
	char text[32], standing[40];
	const json_t *s;
	size_t i;

	json_array_foreach(json_object_get(j, "sites"), i, s)
	{
		snprintf(standing, sizeof(standing), "%s%s",
		    ask_text(s, "standing"),
		    json_is_true(json_object_get(s, "heard")) ? ""
							      : " (silent)");
		table_add(t, ask_text(s, "site"));
		table_add(t, standing);
		table_add(t, tell_ago(text, ask_text(s, "since")));
		for (size_t k = 0; k < NELEMS(numbers); k++) {
			snprintf(text, sizeof(text), "%llu",
			    (unsigned long long)ask_number(s, numbers[k]));
			table_add(t, text);
		}
		table_add(t, ask_text(s, "why"));
	}
	table_format(t, &out);
	fputs(buf_cstr(&out), stdout);
	return cli_flush();
}

int
ra_sites_command(int argc, char **argv)
{
	struct args a = { .takes = 0 };
	struct err e = ERR_INIT;
	AUTO(json_t) j = NULL;
	AUTO(char)
	socket = open_args(&a, plain_options, "",
	    "Shows the sites of an off-site service and how they stand: sound, "
	    "suspended, recovering; silent: not heard of since its start.",
	    argc, argv, &e);

	if (socket == NULL || (j = ask_get(socket, "/v1/sites", &e)) == NULL)
		return cli_fail(&e);
	return a.ask.json ? ask_print_json(j) : print_sites(j);
}

int
ra_recover_command(int argc, char **argv)
{
	struct args a = { .takes = TAKES_WORD, .what = "site" };
	struct err e = ERR_INIT;
	AUTO(json_t) j = NULL;
	AUTO(json_t) body = NULL;
	AUTO(char)
	socket = open_args(&a, plain_options, "SITE",
	    "Lets a suspended site tell what it knows of what we forgot; then "
	    "it is sound again, and what nobody can prove is unknown.",
	    argc, argv, &e);

	if (socket == NULL)
		return cli_fail(&e);
	body = json_pack("{s:s}", "site", a.word);
	if ((j = ask_post(socket, "/v1/recover", body, &e)) == NULL)
		return cli_fail(&e);
	if (a.ask.json)
		return ask_print_json(j);
	printf("%s is asked what it knows as soon as it is heard.\n"
	       "Then look for what nobody knows: waybill ra list --state "
	       "unknown\n",
	    a.word);
	return cli_flush();
}

/* ---- resolve --------------------------------------------------------- */

static json_t *
resolve_body(const struct args *a, struct err *e)
{
	struct buf der AUTO_BUF = { 0 }, text AUTO_BUF = { 0 };
	AUTO(X509) cert = NULL;
	uint64_t id;

	if (case_number(a, &id, e) == -1)
		return NULL;
	if (a->issued == NULL)
		return json_pack("{s:I, s:s, s:b}", "case", (json_int_t)id,
		    "reason", a->reason, a->outcome, 1);
	if ((cert = ossl_load_cert(a->issued, e)) == NULL)
		return NULL;
	ossl_cert_der(cert, &der);
	base64_format(&text, der.data, der.len);
	return json_pack("{s:I, s:s, s:s}", "case", (json_int_t)id, "reason",
	    a->reason, "issued", buf_cstr(&text));
}

int
ra_resolve_command(int argc, char **argv)
{
	struct args a = { .takes = TAKES_WORD | TAKES_OUTCOME, .what = "case" };
	struct err e = ERR_INIT;
	AUTO(json_t) j = NULL;
	AUTO(json_t) body = NULL;
	AUTO(char)
	socket = open_args(&a, resolve_options, "CASE",
	    "Says what became of a case that the service forgot.", argc, argv,
	    &e);

	if (socket == NULL || (body = resolve_body(&a, &e)) == NULL ||
	    (j = ask_post(socket, "/v1/resolve", body, &e)) == NULL)
		return cli_fail(&e);
	if (a.ask.json)
		return ask_print_json(j);
	printf("Case %s is %s.\n", a.word, ask_text(j, "state"));
	return cli_flush();
}

/* ---- backup ---------------------------------------------------------- */

int
ra_backup_command(int argc, char **argv)
{
	struct args a = { .takes = TAKES_WORD, .what = "name" };
	struct err e = ERR_INIT;
	AUTO(json_t) j = NULL;
	AUTO(json_t) body = NULL;
	AUTO(char)
	socket = open_args(&a, plain_options, "NAME",
	    "Copies the ledger of a running service to backup-NAME.mdb in its "
	    "folder, and reads the copy whole.",
	    argc, argv, &e);

	if (socket == NULL)
		return cli_fail(&e);
	body = json_pack("{s:s}", "name", a.word);
	if ((j = ask_long(socket, "/v1/backup", body, &e)) == NULL)
		return cli_fail(&e);
	if (a.ask.json)
		return ask_print_json(j);
	printf("%s: %llu octets, audit record %llu, epoch %s\n",
	    ask_text(j, "path"), (unsigned long long)ask_number(j, "octets"),
	    (unsigned long long)ask_number(j, "audit_head"),
	    ask_text(j, "epoch"));
	if (!json_is_null(json_object_get(j, "trouble"))) {
		err_set(&e, ERR_DAMAGE, "%s", ask_text(j, "trouble"));
		return cli_fail(&e);
	}
	return cli_flush();
}
