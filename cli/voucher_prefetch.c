/* `waybill voucher prefetch`: asks for nonceless vouchers while there is a
 * link, and waits for them if that is wanted. */
#include <poll.h>
#include <string.h>

#include "cli/table.h"
#include "cli/voucher.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/str.h"

#define LIST_MAX    ((size_t)1 << 20)
#define SERIALS_MAX 10000
#define AT_ONCE	    500 /* serial numbers in one call */
#define POLL_MS	    250
#define WAIT_MAX    86400

enum { OPT_VENDOR = 0x100, OPT_SERIAL, OPT_LIST, OPT_WAIT };

struct want {
	char *serial, *id; /* id NULL: not accepted */
	char *said;	   /* the end of it, or why there is none */
	enum voucher_fate fate;
};

struct prefetch {
	struct ask_args ask;
	const char *vendor, *list;
	struct words serials;
	uint64_t wait; /* seconds */
	bool waits;
	struct want *want;
	size_t n;
};

static void
prefetch_done(struct prefetch *p)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		free(p->want[i].serial);
		free(p->want[i].id);
		free(p->want[i].said);
	}
	free(p->want);
}

/* ---- which devices --------------------------------------------------- */

static struct want *
find(const struct prefetch *p, const char *serial)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (strcmp(p->want[i].serial, serial) == 0)
			return &p->want[i];
	return NULL;
}

/* Once each: a second request would end the first. */
static int
add(struct prefetch *p, const char *serial, struct err *e)
{
	if (find(p, serial) != NULL)
		return 0;
	if (p->n == SERIALS_MAX)
		return err_set(
		    e, ERR_USAGE, "more than %d serial numbers", SERIALS_MAX);
	if (p->n % 64 == 0)
		p->want = xrealloc(p->want, (p->n + 64) * sizeof(*p->want));
	p->want[p->n++] = (struct want){ .serial = xstrdup(serial) };
	return 0;
}

/* A line: what stands before a comma or '#', without space around it. */
static int
add_line(struct prefetch *p, char *line, struct err *e)
{
	size_t n = strcspn(line, ",#");

	while (n > 0 && strchr(" \t\r", line[n - 1]) != NULL)
		n--;
	line[n] = '\0';
	line += strspn(line, " \t\r");
	return *line != '\0' ? add(p, line, e) : 0;
}

static int
add_file(struct prefetch *p, const char *path, struct err *e)
{
	struct buf text AUTO_BUF = { 0 };
	char *line, *rest;

	if (file_read(path, LIST_MAX, &text, e) == -1)
		return -1;
	buf_cstr(&text);
	if (strlen((char *)text.data) != text.len)
		return err_set(e, ERR_INPUT, "%s: octets 0 in it", path);
	for (line = strtok_r((char *)text.data, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest))
		if (add_line(p, line, e) == -1)
			return err_prefix(e, "%s", path);
	if (p->n == 0)
		return err_set(
		    e, ERR_INPUT, "%s: no serial number in it", path);
	return 0;
}

static int
collect(struct prefetch *p, struct err *e)
{
	size_t i;

	if (p->vendor == NULL || (p->list == NULL) == (p->serials.n == 0))
		return err_set(e, ERR_USAGE,
		    "--vendor NAME, and --list FILE or --serial SN are needed");
	for (i = 0; i < p->serials.n; i++)
		if (add(p, p->serials.v[i], e) == -1)
			return -1;
	return p->list != NULL ? add_file(p, p->list, e) : 0;
}

/* ---- asking ---------------------------------------------------------- */

static void
set(struct want *w, enum voucher_fate fate, const char *said)
{
	free(w->said);
	w->said = xstrdup(said);
	w->fate = fate;
}

static void
take_answer(struct prefetch *p, const json_t *answer)
{
	struct want *w;
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(answer, "accepted"), i, item)
	{
		if ((w = find(p, ask_text(item, "serial"))) == NULL ||
		    w->id != NULL)
			continue;
		w->id = xstrdup(ask_text(item, "id"));
		set(w, VOUCHER_WAITING, "asked for");
	}
	json_array_foreach(json_object_get(answer, "failed"), i, item)
	{
		if ((w = find(p, ask_text(item, "serial"))) != NULL)
			set(w, VOUCHER_NEVER, ask_text(item, "error"));
	}
}

static int
ask_some(struct prefetch *p, const char *socket, size_t from, size_t n,
    struct err *e)
{
	AUTO(json_t) body =
	    json_pack("{s:s, s:[]}", "vendor", p->vendor, "serials");
	AUTO(json_t) answer = NULL;
	size_t i;

	for (i = from; i < from + n; i++) {
		set(&p->want[i], VOUCHER_NEVER, "the registrar passed it over");
		if (json_array_append_new(json_object_get(body, "serials"),
			json_string(p->want[i].serial)) == -1)
			return err_set(
			    e, ERR_USAGE, "vendor or serial number: not UTF-8");
	}
	answer = ask_post(socket, VOUCHER_PATH "/prefetch", body, e);
	if (answer == NULL)
		return -1;
	take_answer(p, answer);
	return 0;
}

/* What fails at once fails as a whole; later, for the rest. */
static int
ask_all(struct prefetch *p, const char *socket, struct err *e)
{
	size_t i, k, n;

	for (i = 0; i < p->n; i += n) {
		n = p->n - i < AT_ONCE ? p->n - i : AT_ONCE;
		if (ask_some(p, socket, i, n, e) == 0)
			continue;
		if (i == 0)
			return -1;
		for (k = i; k < i + n; k++)
			set(&p->want[k], VOUCHER_NEVER, e->msg);
	}
	return 0;
}

/* ---- waiting --------------------------------------------------------- */

static size_t
count(const struct prefetch *p, enum voucher_fate fate)
{
	size_t i, n = 0;

	for (i = 0; i < p->n; i++)
		n += p->want[i].fate == fate;
	return n;
}

static struct want *
find_id(const struct prefetch *p, const char *id)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (p->want[i].id != NULL && strcmp(p->want[i].id, id) == 0)
			return &p->want[i];
	return NULL;
}

static void
learn(struct want *w, const json_t *v)
{
	const char *state = ask_text(v, "state");
	enum voucher_fate fate = voucher_fate_of(state);
	const char *expires = ask_text(v, "expires");
	struct buf said AUTO_BUF = { 0 };

	if (fate == VOUCHER_NEVER)
		buf_printf(&said, "%s: %s", state, ask_text(v, "reason"));
	else if (fate == VOUCHER_WAITING)
		buf_printf(&said, "not yet: %s", state);
	else if (strcmp(expires, "-") == 0)
		buf_add_str(&said, "on hand");
	else
		buf_printf(&said, "on hand until %s", expires);
	set(w, fate, buf_cstr(&said));
}

static int
look(struct prefetch *p, const char *socket, struct err *e)
{
	AUTO(json_t) list = ask_get(socket, VOUCHER_PATH, e);
	struct want *w;
	const json_t *v;
	size_t i;

	if (list == NULL)
		return -1;
	json_array_foreach(json_object_get(list, "vouchers"), i, v)
	{
		if ((w = find_id(p, ask_text(v, "id"))) != NULL)
			learn(w, v);
	}
	return 0;
}

/* A registrar that is started again in between is waited for as well. */
static int
await(struct prefetch *p, const char *socket, struct err *e)
{
	uint64_t end = clock_mono_ms() + p->wait * 1000;
	int rc;

	for (;;) {
		rc = look(p, socket, e);
		if (rc == -1 && e->kind != ERR_PEER)
			return -1;
		if (count(p, VOUCHER_WAITING) == 0)
			return 0;
		if (clock_mono_ms() >= end)
			return rc;
		poll(NULL, 0, POLL_MS);
	}
}

/* ---- telling --------------------------------------------------------- */

static int
print_json(const struct prefetch *p)
{
	static const char *const fates[] = { [VOUCHER_WAITING] = "waiting",
		[VOUCHER_HERE] = "here",
		[VOUCHER_NEVER] = "failed" };
	AUTO(json_t) all = json_pack("{s:[]}", "vouchers");
	size_t i;

	for (i = 0; i < p->n; i++)
		json_array_append_new(json_object_get(all, "vouchers"),
		    json_pack("{s:s, s:s?, s:s, s:s}", "serial",
			p->want[i].serial, "id", p->want[i].id, "result",
			fates[p->want[i].fate], "detail", p->want[i].said));
	return ask_print_json(all);
}

static int
print_table(const struct prefetch *p)
{
	static const char *const titles[] = { "SERIAL", "ID", "RESULT" };
	AUTO(table) t = table_new(titles, NELEMS(titles));
	struct buf out AUTO_BUF = { 0 };
	size_t i;

	for (i = 0; i < p->n; i++) {
		table_add(t, p->want[i].serial);
		table_add(t, p->want[i].id);
		table_add(t, p->want[i].said);
	}
	table_format(t, &out);
	fputs(buf_cstr(&out), stdout);
	return cli_flush();
}

/* The exit code is told by what is missing. */
static int
judge(const struct prefetch *p, struct err *e)
{
	size_t waiting = count(p, VOUCHER_WAITING);
	size_t never = count(p, VOUCHER_NEVER);

	if (p->waits && waiting > 0)
		return err_set(e, ERR_WAITING,
		    "%zu of %zu vouchers are not here yet", waiting, p->n);
	if (never == 0)
		return 0;
	if (never < p->n)
		return err_set(e, ERR_PARTLY,
		    "%zu of %zu vouchers will not come", never, p->n);
	return err_set(e, ERR_POLICY, "none of the vouchers will come");
}

static int
run(struct prefetch *p, struct err *e)
{
	AUTO(char) socket = NULL;
	struct err told = ERR_INIT;
	int rc;

	if (collect(p, e) == -1 || (socket = ask_socket(&p->ask, e)) == NULL ||
	    ask_all(p, socket, e) == -1)
		return cli_fail(e);
	rc = p->waits ? await(p, socket, &told) : 0;
	if (rc == 0)
		rc = judge(p, &told);
	/* In any case: they are asked for. */
	if ((p->ask.json ? print_json(p) : print_table(p)) != 0)
		return err_exit_code(ERR_LOCAL);
	return rc == -1 ? cli_fail(&told) : 0;
}

/* ---- the command ----------------------------------------------------- */

static void
parse_wait(struct prefetch *p, const char *arg, struct argp_state *state)
{
	struct err e = ERR_INIT;

	if (number_parse(arg, 0, WAIT_MAX, &p->wait, &e) == -1)
		argp_error(state, "--wait: %s", e.msg);
	p->waits = true;
}

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct prefetch *p = state->input;

	switch (key) {
	case OPT_VENDOR:
		p->vendor = arg;
		return 0;
	case OPT_LIST:
		p->list = arg;
		return 0;
	case OPT_SERIAL:
		if (!words_add(&p->serials, arg))
			argp_error(
			    state, "more than %d: take --list", WORDS_MAX);
		return 0;
	case OPT_WAIT:
		parse_wait(p, arg, state);
		return 0;
	default:
		return ask_option(key, arg, &p->ask);
	}
}

int
voucher_prefetch_command(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "vendor", OPT_VENDOR, "NAME", 0, "The devices' maker", 0 },
		{ "list", OPT_LIST, "FILE", 0,
		    "Serial numbers, one a line; what follows a comma or '#' "
		    "is passed over",
		    0 },
		{ "serial", OPT_SERIAL, "SN", 0, "A device; repeatable", 0 },
		{ "wait", OPT_WAIT, "SECONDS", 0,
		    "Wait so long for the vouchers", 0 },
		ASK_OPTION_JSON,
		ASK_OPTIONS_WHERE,
		{ 0 },
	};
	struct argp argp = { options, on_option, "",
		"Asks a maker for vouchers before its devices come, so that "
		"they can join while the maker is out of reach.  Exits 3 if "
		"some are not here after --wait, 8 if some will not come." };
	struct prefetch p = { .ask.conf = ASK_CONF_DEFAULT };
	struct err e = ERR_INIT;
	int code;

	argp_parse(&argp, argc, argv, 0, NULL, &p);
	code = run(&p, &e);
	prefetch_done(&p);
	return code;
}
