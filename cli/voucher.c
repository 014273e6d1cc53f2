/* `waybill voucher list|export|import`: nonceless vouchers that a site has on
 * hand before their devices come. */
#include "cli/voucher.h"

#include <string.h>

#include "cli/table.h"
#include "common/base/file.h"
#include "common/base/str.h"

#define VOUCHER_MAX ((size_t)64 * 1024)

enum { OPT_SERIAL = 0x100, OPT_VENDOR, OPT_OUT };

struct args {
	struct ask_args ask;
	const char *word; /* the argument that is no option */
	const char *serial, *vendor, *out;
	bool takes_word;
};

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case OPT_SERIAL:
		a->serial = arg;
		return 0;
	case OPT_VENDOR:
		a->vendor = arg;
		return 0;
	case OPT_OUT:
		a->out = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (!a->takes_word || a->word != NULL)
			argp_error(state, "'%s' is not expected here", arg);
		a->word = arg;
		return 0;
	default:
		return ask_option(key, arg, &a->ask);
	}
}

enum voucher_fate
voucher_fate_of(const char *state)
{
	static const struct {
		const char *state;
		enum voucher_fate fate;
	} fates[] = {
		{ "answered", VOUCHER_HERE },
		{ "delivered", VOUCHER_HERE },
		{ "confirmed", VOUCHER_HERE },
		{ "refused", VOUCHER_NEVER },
		{ "expired", VOUCHER_NEVER },
		{ "withdrawn", VOUCHER_NEVER },
		{ "dead", VOUCHER_NEVER },
	};
	size_t i;

	for (i = 0; i < NELEMS(fates); i++)
		if (strcmp(state, fates[i].state) == 0)
			return fates[i].fate;
	return VOUCHER_WAITING;
}

/* ---- list ------------------------------------------------------------ */

static int
print_list(const json_t *j)
{
	static const char *const titles[] = { "ID", "SERIAL", "VENDOR", "STATE",
		"EXPIRES", "REASON" };
	static const char *const keys[] = { "id", "serial", "vendor", "state",
		"expires", "reason" };
	AUTO(table) t = table_new(titles, NELEMS(titles));
	struct buf out AUTO_BUF = { 0 };
	const json_t *v;
	size_t i, k;

	json_array_foreach(json_object_get(j, "vouchers"), i, v)
	{
		for (k = 0; k < NELEMS(keys); k++)
			table_add(t, ask_text(v, keys[k]));
	}
	table_format(t, &out);
	fputs(buf_cstr(&out), stdout);
	return cli_flush();
}

int
voucher_list_command(int argc, char **argv)
{
	static const struct argp_option options[] = { ASK_OPTION_JSON,
		ASK_OPTIONS_WHERE, { 0 } };
	struct argp argp = { options, on_option, "",
		"Shows the vouchers on hand, and those that were asked for." };
	struct args a = { .ask.conf = ASK_CONF_DEFAULT };
	struct err e = ERR_INIT;
	AUTO(char) socket = NULL;
	AUTO(json_t) j = NULL;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if ((socket = ask_socket(&a.ask, &e)) == NULL ||
	    (j = ask_get(socket, VOUCHER_PATH, &e)) == NULL)
		return cli_fail(&e);
	return a.ask.json ? ask_print_json(j) : print_list(j);
}

/* ---- export ---------------------------------------------------------- */

static bool
is_wanted(const json_t *v, const struct args *a)
{
	if (a->word != NULL)
		return strcmp(ask_text(v, "id"), a->word) == 0;
	return strcmp(ask_text(v, "serial"), a->serial) == 0 &&
	    (a->vendor == NULL ||
		strcmp(ask_text(v, "vendor"), a->vendor) == 0);
}

/* One that is here before one that is not, then the newest. */
static bool
is_better(const json_t *v, const json_t *than)
{
	bool here = voucher_fate_of(ask_text(v, "state")) == VOUCHER_HERE;
	bool was = voucher_fate_of(ask_text(than, "state")) == VOUCHER_HERE;

	return here != was
	    ? here
	    : ask_number(v, "number") > ask_number(than, "number");
}

/* The listed one that is meant; borrowed from list. */
static const json_t *
find(const json_t *list, const struct args *a, struct err *e)
{
	const json_t *v, *best = NULL;
	size_t i;

	json_array_foreach(json_object_get(list, "vouchers"), i, v)
	{
		if (!is_wanted(v, a))
			continue;
		/* Two makers may count alike. */
		if (best != NULL &&
		    strcmp(ask_text(v, "vendor"), ask_text(best, "vendor")) !=
			0) {
			err_set(e, ERR_USAGE,
			    "%s: devices of %s and of %s: give --vendor",
			    a->serial, ask_text(best, "vendor"),
			    ask_text(v, "vendor"));
			return NULL;
		}
		if (best == NULL || is_better(v, best))
			best = v;
	}
	if (best == NULL)
		err_set(e, ERR_INPUT, "no voucher was asked for under %s",
		    a->word != NULL ? a->word : a->serial);
	return best;
}

/* Why there is none. */
static int
tell_absence(const json_t *v, struct err *e)
{
	const char *state = ask_text(v, "state");

	if (voucher_fate_of(state) == VOUCHER_NEVER)
		return err_set(e, ERR_POLICY, "voucher %s: %s: %s",
		    ask_text(v, "id"), state, ask_text(v, "reason"));
	return err_set(e, ERR_WAITING, "voucher %s: not here yet: %s",
	    ask_text(v, "id"), state);
}

static int
export_one(const char *socket, const struct args *a, struct err *e)
{
	AUTO(json_t) list = ask_get(socket, VOUCHER_PATH, e);
	AUTO(json_t) one = NULL;
	struct buf voucher AUTO_BUF = { 0 };
	const json_t *v;
	const char *text;
	char path[64];

	if (list == NULL || (v = find(list, a, e)) == NULL ||
	    ask_check_id(ask_text(v, "id"), e) == -1)
		return -1;
	snprintf(path, sizeof(path), VOUCHER_PATH "/%s", ask_text(v, "id"));
	if ((one = ask_get(socket, path, e)) == NULL)
		return -1;
	text = json_string_value(json_object_get(one, "voucher"));
	if (text == NULL)
		return tell_absence(v, e);
	if (base64_decode(text, VOUCHER_MAX, &voucher, e) == -1)
		return err_prefix(e, "voucher %s", ask_text(v, "id"));
	return file_write(a->out, 0644, buf_bytes(&voucher), e);
}

int
voucher_export_command(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "serial", OPT_SERIAL, "SN", 0,
		    "The newest of this device, instead of ID", 0 },
		{ "vendor", OPT_VENDOR, "NAME", 0,
		    "Of this maker, if two have a device of that number", 0 },
		{ "out", OPT_OUT, "FILE", 0, "Where it goes", 0 },
		ASK_OPTIONS_WHERE,
		{ 0 },
	};
	struct argp argp = { options, on_option, "[ID]",
		"Writes a voucher to a file, as the maker signed it." };
	struct args a = { .ask.conf = ASK_CONF_DEFAULT, .takes_word = true };
	struct err e = ERR_INIT;
	AUTO(char) socket = NULL;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if ((a.word == NULL) == (a.serial == NULL) || a.out == NULL)
		err_set(&e, ERR_USAGE,
		    "ID or --serial SN, and --out FILE are needed");
	else if ((socket = ask_socket(&a.ask, &e)) != NULL &&
	    export_one(socket, &a, &e) == 0)
		return 0;
	return cli_fail(&e);
}

/* ---- import ---------------------------------------------------------- */

static int
import_one(const char *socket, const struct args *a, struct err *e)
{
	struct buf voucher AUTO_BUF = { 0 }, text AUTO_BUF = { 0 };
	AUTO(json_t) body = NULL;
	AUTO(json_t) answer = NULL;

	if (file_read(a->word, VOUCHER_MAX, &voucher, e) == -1)
		return -1;
	base64_format(&text, voucher.data, voucher.len);
	body = json_pack("{s:s, s:s, s:s}", "vendor", a->vendor, "serial",
	    a->serial, "voucher", buf_cstr(&text));
	if (body == NULL)
		return err_set(e, ERR_USAGE, "an option is not UTF-8");
	answer = ask_post(socket, VOUCHER_PATH "/import", body, e);
	if (answer == NULL)
		return err_prefix(e, "%s", a->word);
	printf("%s\n", ask_text(answer, "id"));
	return 0;
}

int
voucher_import_command(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "vendor", OPT_VENDOR, "NAME", 0, "The device's maker", 0 },
		{ "serial", OPT_SERIAL, "SN", 0, "Its serial number", 0 },
		ASK_OPTIONS_WHERE,
		{ 0 },
	};
	struct argp argp = { options, on_option, "FILE",
		"Hands in a nonceless voucher that came by another way.  The "
		"registrar judges it as one that it asked for." };
	struct args a = { .ask.conf = ASK_CONF_DEFAULT, .takes_word = true };
	struct err e = ERR_INIT;
	AUTO(char) socket = NULL;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (a.word == NULL || a.vendor == NULL || a.serial == NULL)
		err_set(&e, ERR_USAGE,
		    "FILE, --vendor NAME and --serial SN are needed");
	else if ((socket = ask_socket(&a.ask, &e)) != NULL &&
	    import_one(socket, &a, &e) == 0)
		return cli_flush();
	return cli_fail(&e);
}
