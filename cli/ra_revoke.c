/* waybill ra revoke: a person's word that a certificate shall no longer hold. */
#include "cli/ra.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/ask.h"
#include "common/base/str.h"

#define CONF_DEFAULT "/etc/waybill/ra.yaml"
#define SERIAL_MAX   64
/* Serial numbers of ours have 32 digits, a few less at times; no ledger has as
 * many cases. */
#define CASE_DIGITS  18

struct revoke_args {
	struct ask_args ask;
	const char *word, *reason, *text;
};

enum { OPT_REASON = 0x400, OPT_TEXT };

static const struct argp_option options[] = {
	{ "reason", OPT_REASON, "REASON", 0,
	    "keyCompromise, cessationOfOperation, superseded, "
	    "affiliationChanged, privilegeWithdrawn, cACompromise, "
	    "aACompromise or unspecified",
	    0 },
	{ "text", OPT_TEXT, "TEXT", 0,
	    "How you know: stands in the audit trail", 0 },
	{ "config", ASK_OPT_CONFIG, "FILE", 0,
	    "The RA's configuration (" CONF_DEFAULT ")", 0 },
	{ "socket", ASK_OPT_SOCKET, "PATH", 0,
	    "Its control socket, instead of --config", 0 },
	ASK_OPTION_JSON,
	{ 0 },
};

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct revoke_args *a = state->input;

	switch (key) {
	case OPT_REASON:
		a->reason = arg;
		return 0;
	case OPT_TEXT:
		a->text = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (a->word != NULL)
			argp_error(state, "'%s' is not expected here", arg);
		a->word = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->word == NULL || a->reason == NULL)
			argp_error(
			    state, "which certificate, and --reason why?");
		return 0;
	default:
		return ask_option(key, arg, &a->ask);
	}
}

/* As people copy it: AA:BB or aabb. */
static int
read_serial(const char *word, char ret[SERIAL_MAX], struct err *e)
{
	size_t n = 0;

	for (; *word != '\0'; word++) {
		if (*word == ':')
			continue;
		if (!isxdigit((unsigned char)*word) || n + 1 >= SERIAL_MAX)
			return err_set(e, ERR_USAGE,
			    "neither a case nor a serial number in "
			    "hexadecimal");
		ret[n++] = (char)tolower((unsigned char)*word);
	}
	ret[n] = '\0';
	return 0;
}

static json_t *
revoke_body(const struct revoke_args *a, struct err *e)
{
	char serial[SERIAL_MAX];
	uint64_t id = 0;
	json_t *j;

	if (strlen(a->word) <= CASE_DIGITS &&
	    number_parse(a->word, 1, INT64_MAX, &id, e) == 0) {
		j = json_pack(
		    "{s:I, s:s}", "case", (json_int_t)id, "reason", a->reason);
	} else {
		if (read_serial(a->word, serial, e) == -1)
			return NULL;
		j = json_pack(
		    "{s:s, s:s}", "serial", serial, "reason", a->reason);
	}
	if (j != NULL && a->text != NULL)
		json_object_set_new(j, "why", json_string(a->text));
	if (j == NULL)
		err_set(e, ERR_USAGE, "--reason is not UTF-8");
	return j;
}

int
ra_revoke_command(int argc, char **argv)
{
	static const struct argp argp = { options, on_option, "CASE|SERIAL",
		"Revokes a certificate for good: it stands in the next list, "
		"and its key signs no further request.",
		.children = NULL };
	struct revoke_args a = { .word = NULL };
	struct err e = ERR_INIT;
	AUTO(char) socket = NULL;
	AUTO(json_t) body = NULL;
	AUTO(json_t) j = NULL;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (a.ask.conf == NULL)
		a.ask.conf = CONF_DEFAULT;
	if ((socket = ask_socket(&a.ask, &e)) == NULL ||
	    (body = revoke_body(&a, &e)) == NULL ||
	    (j = ask_post(socket, "/v1/revoke", body, &e)) == NULL)
		return cli_fail(&e);
	if (a.ask.json)
		return ask_print_json(j);
	printf("Certificate %s, of case %llu, is revoked: %s.\n",
	    ask_text(j, "serial"), (unsigned long long)ask_number(j, "case"),
	    ask_text(j, "reason"));
	return cli_flush();
}
