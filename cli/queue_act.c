/* `waybill queue hold|release|withdraw|expire`. */
#include <string.h>

#include "cli/queue.h"
#include "common/base/str.h"

#define IDS_MAX 1000 /* of one command line, and of one question */

struct verb {
	const char *past, *path, *doc;
	/* Where the entries are that ALL means; NULL ends. */
	const char *states[6];
	bool held; /* of those only the held */
};

enum { OPT_REASON = 0x300, OPT_YES };

struct args {
	struct ask_args ask;
	struct queue_query query;
	const char *reason;
	const char *ids[IDS_MAX];
	size_t n;
	bool all, yes;
};

static const struct argp_option options[] = {
	{ "reason", OPT_REASON, "TEXT", 0, "Why: stands in the audit trail",
	    0 },
	{ "yes", OPT_YES, NULL, 0, "ALL is meant", 0 },
	QUEUE_OPTIONS_WHICH,
	ASK_OPTION_JSON,
	ASK_OPTIONS_WHERE,
	{ 0 },
};

static void
on_id(struct args *a, const char *arg, struct argp_state *state)
{
	struct err e = ERR_INIT;

	if (strcmp(arg, "ALL") == 0)
		a->all = true;
	else if (ask_check_id(arg, &e) == -1)
		argp_error(state, "%s", e.msg);
	else if (a->n == IDS_MAX)
		argp_error(state, "at most %d ids", IDS_MAX);
	else
		a->ids[a->n++] = arg;
}

static void
on_end(const struct args *a, struct argp_state *state)
{
	const struct queue_query *q = &a->query;

	if (a->reason == NULL || a->reason[0] == '\0')
		argp_error(state, "--reason is needed");
	if (a->all == (a->n > 0))
		argp_error(state, "ids, or ALL");
	if (a->all && !a->yes)
		argp_error(state, "ALL needs --yes");
	if (!a->all && (q->kind != NULL || q->device != NULL || q->older > 0))
		argp_error(state, "--kind, --device and --older go with ALL");
}

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case OPT_REASON:
		a->reason = arg;
		return 0;
	case OPT_YES:
		a->yes = true;
		return 0;
	case ARGP_KEY_ARG:
		on_id(a, arg, state);
		return 0;
	case ARGP_KEY_END:
		on_end(a, state);
		return 0;
	default:
		if (queue_option(key, arg, state, &a->query) == 0)
			return 0;
		return ask_option(key, arg, &a->ask);
	}
}

/* ---- which ----------------------------------------------------------- */

static int
find_all(const char *socket, const struct verb *v, const struct args *a,
    json_t *ids, struct err *e)
{
	struct queue_query q = a->query;
	bool more;
	size_t i, k;

	q.held = v->held;
	for (i = 0; v->states[i] != NULL; i++) {
		AUTO(json_t) entries = json_array();
		json_t *en;

		q.state = v->states[i];
		if (queue_ask(socket, &q, entries, &more, e) == -1)
			return -1;
		json_array_foreach(entries, k, en)
		    json_array_append(ids, json_object_get(en, "id"));
	}
	return 0;
}

static int
find(const char *socket, const struct verb *v, const struct args *a,
    json_t *ids, struct err *e)
{
	size_t i;

	if (a->all)
		return find_all(socket, v, a, ids, e);
	for (i = 0; i < a->n; i++)
		json_array_append_new(ids, json_string(a->ids[i]));
	return 0;
}

/* ---- asking ---------------------------------------------------------- */

static int
act(const char *socket, const struct verb *v, const char *reason,
    const json_t *ids, json_t *done, json_t *refused, struct err *e)
{
	size_t i, n = json_array_size(ids);

	for (i = 0; i < n;) {
		json_t *some = json_array();
		AUTO(json_t) body =
		    json_pack("{s:o, s:s}", "ids", some, "reason", reason);
		AUTO(json_t) answer = NULL;

		if (body == NULL)
			return err_set(e, ERR_USAGE, "--reason: not UTF-8");
		for (; i < n && json_array_size(some) < IDS_MAX; i++)
			json_array_append(some, json_array_get(ids, i));
		if ((answer = ask_post(socket, v->path, body, e)) == NULL)
			return -1;
		json_array_extend(done, json_object_get(answer, "done"));
		json_array_extend(refused, json_object_get(answer, "refused"));
	}
	return 0;
}

static void
print_outcome(const struct verb *v, size_t done, const json_t *refused)
{
	struct buf line AUTO_BUF = { 0 };
	const json_t *r;
	size_t i;

	json_array_foreach(refused, i, r)
	{
		const char *why = ask_text(r, "error");

		buf_printf(&line, "%s: ", ask_text(r, "id"));
		str_escape(&line, why, strlen(why));
		buf_add_str(&line, "\n");
	}
	fputs(buf_cstr(&line), stderr);
	printf("%zu %s", done, v->past);
	if (i > 0)
		printf(", %zu refused", i);
	printf("\n");
}

static int
outcome(size_t done, size_t refused)
{
	if (refused == 0)
		return 0;
	return err_exit_code(done > 0 ? ERR_PARTLY : ERR_POLICY);
}

static int
run(const struct verb *v, int argc, char **argv)
{
	struct argp argp = { options, on_option, "ID... | ALL", v->doc };
	struct args a = { .ask.conf = ASK_CONF_DEFAULT };
	AUTO(json_t) ids = json_array(), done = json_array();
	AUTO(json_t) refused = json_array(), all = NULL;
	struct err e = ERR_INIT;
	AUTO(char) socket = NULL;
	int rc;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if ((socket = ask_socket(&a.ask, &e)) == NULL ||
	    find(socket, v, &a, ids, &e) == -1 ||
	    act(socket, v, a.reason, ids, done, refused, &e) == -1)
		return cli_fail(&e);
	if (a.ask.json) {
		all = json_pack("{s:O, s:O}", "done", done, "refused", refused);
		rc = ask_print_json(all);
	} else {
		print_outcome(v, json_array_size(done), refused);
		rc = cli_flush();
	}
	return rc != 0
	    ? rc
	    : outcome(json_array_size(done), json_array_size(refused));
}

/* ---- commands -------------------------------------------------------- */

int
queue_hold_command(int argc, char **argv)
{
	static const struct verb v = { "held", "/v1/queue/hold",
		"Keeps requests that have not left from leaving, and from "
		"expiring.",
		{ "received", "queued" }, false };

	return run(&v, argc, argv);
}

int
queue_release_command(int argc, char **argv)
{
	static const struct verb v = { "released", "/v1/queue/release",
		"Lets requests go on that were held; the time that they were "
		"is added to their deadline.",
		{ "received", "queued" }, true };

	return run(&v, argc, argv);
}

int
queue_withdraw_command(int argc, char **argv)
{
	static const struct verb v = { "withdrawn", "/v1/queue/withdraw",
		"Gives up requests; of what has left the service is told, and "
		"what it issues all the same is never delivered.",
		{ "received", "queued", "in-flight", "custody", "answered" },
		false };

	return run(&v, argc, argv);
}

int
queue_expire_command(int argc, char **argv)
{
	static const struct verb v = { "expired", "/v1/queue/expire",
		"Ends requests that have not left as if their time was over.",
		{ "received", "queued" }, false };

	return run(&v, argc, argv);
}
