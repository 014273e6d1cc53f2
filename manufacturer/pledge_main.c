/* waybill-pledge: the reference device. */
#include <argp.h>
#include <signal.h>
#include <string.h>
#include "common/base/log.h"
#include "common/base/str.h"
#include "manufacturer/pledge.h"

enum {
	OPT_STATE = 0x100,
	OPT_EXPLICIT,
	OPT_SUBJECT,
	OPT_TIMEOUT,
	OPT_JSON,
	OPT_VENDOR_CA
};

static const struct command {
	const char *name;
	int (*run)(const struct pledge_opts *o, struct err *e);
} commands[] = {
	{ "enrol", pledge_enrol },
	{ "voucher", pledge_learn },
};

struct options {
	struct pledge_opts o;
	const struct command *command;
};

static const struct argp_option options[] = {
	{ "proxy", 'p', "HOST:PORT", 0, "join proxy, or the registrar", 0 },
	{ "cert", 'c', "FILE", 0, "IDevID certificate", 0 },
	{ "key", 'k', "FILE", 0, "its private key", 0 },
	{ "chain", 'C', "FILE", 0, "sub-CAs between it and the vendor's root",
	    0 },
	{ "trust", 't', "FILE", 0, "domain anchors: no voucher is needed", 0 },
	{ "vendor-ca", OPT_VENDOR_CA, "FILE", 0,
	    "the maker's anchors: the domain's comes in a voucher", 0 },
	{ "state", OPT_STATE, "DIR", 0, "what survives a power cut", 0 },
	{ "out", 'o', "PREFIX", 0,
	    "PREFIX.crt, PREFIX.key, PREFIX.chain.pem are written", 0 },
	{ "request", 'r', "ir|p10cr", 0, "kind of request (ir)", 0 },
	{ "profile", 'P', "NAME", 0, "certProfile", 0 },
	{ "subject", OPT_SUBJECT, "CN", 0, "common name asked for", 0 },
	{ "explicit-confirm", OPT_EXPLICIT, NULL, 0,
	    "send certConf instead of asking for implicit confirmation", 0 },
	{ "timeout", OPT_TIMEOUT, "SECONDS", 0, "give up after (120)", 0 },
	{ "json", OPT_JSON, NULL, 0, "one JSON object a line", 0 },
	{ 0 },
};

static void
parse_number(const char *arg, unsigned *ret, struct argp_state *state)
{
	uint64_t v;
	struct err e = ERR_INIT;

	if (number_parse(arg, 1, 30 * 86400, &v, &e) == -1)
		argp_error(state, "timeout: %s", e.msg);
	*ret = (unsigned)v;
}

static void
parse_request(const char *arg, enum cmp_body *ret, struct argp_state *state)
{
	if (strcmp(arg, "ir") == 0)
		*ret = CMP_IR;
	else if (strcmp(arg, "p10cr") == 0)
		*ret = CMP_P10CR;
	else
		argp_error(state, "request: ir or p10cr, not %s", arg);
}

static void
parse_command(
    const char *arg, const struct command **ret, struct argp_state *state)
{
	if (*ret != NULL)
		argp_error(state, "one command, not %s as well", arg);
	for (size_t i = 0; i < NELEMS(commands); i++)
		if (strcmp(arg, commands[i].name) == 0)
			*ret = &commands[i];
	if (*ret == NULL)
		argp_error(state, "enrol or voucher, not %s", arg);
}

static void
parse_end(const struct options *opts, struct argp_state *state)
{
	const struct pledge_opts *o = &opts->o;

	if (o->proxy == NULL || o->cert == NULL || o->key == NULL ||
	    o->state == NULL || o->out == NULL)
		argp_error(state, "proxy, cert, key, state and out are needed");
	if ((o->trust == NULL) == (o->vendor_ca == NULL))
		argp_error(state, "either trust or vendor-ca is needed");
	if (opts->command->run == pledge_learn && o->trust != NULL)
		argp_error(state, "voucher needs vendor-ca, not trust");
}

static const char **
parse_text(struct pledge_opts *o, int key)
{
	switch (key) {
	case 'p':
		return &o->proxy;
	case 'c':
		return &o->cert;
	case 'k':
		return &o->key;
	case 'C':
		return &o->chain;
	case 't':
		return &o->trust;
	case OPT_VENDOR_CA:
		return &o->vendor_ca;
	case OPT_STATE:
		return &o->state;
	case 'o':
		return &o->out;
	case 'P':
		return &o->profile;
	case OPT_SUBJECT:
		return &o->subject;
	default:
		return NULL;
	}
}

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct options *opts = state->input;
	struct pledge_opts *o = &opts->o;
	const char **text = parse_text(o, key);

	if (text != NULL)
		*text = arg;
	else if (key == 'r')
		parse_request(arg, &o->request, state);
	else if (key == OPT_EXPLICIT)
		o->explicit_confirm = true;
	else if (key == OPT_JSON)
		o->json = true;
	else if (key == OPT_TIMEOUT)
		parse_number(arg, &o->timeout, state);
	else if (key == ARGP_KEY_ARG)
		parse_command(arg, &opts->command, state);
	else if (key == ARGP_KEY_NO_ARGS)
		argp_usage(state);
	else if (key == ARGP_KEY_END && opts->command != NULL)
		parse_end(opts, state);
	else if (key != ARGP_KEY_END)
		return ARGP_ERR_UNKNOWN;
	return 0;
}

int
main(int argc, char **argv)
{
	static const struct argp argp = { options, parse, "enrol|voucher",
		"A device that joins its domain: BRSKI-AE with CMP.", NULL,
		NULL, NULL };
	struct options opts = { .o = { .request = CMP_IR, .timeout = 120 } };
	struct err e = ERR_INIT;

	argp_err_exit_status = err_exit_code(ERR_USAGE);
	argp_parse(&argp, argc, argv, 0, NULL, &opts);
	log_init("waybill-pledge", LOG_WARN);
	/* A registrar may end a connection that we still write to. */
	signal(SIGPIPE, SIG_IGN);
	if (opts.command->run(&opts.o, &e) == 0)
		return 0;
	fprintf(stderr, "waybill-pledge: %s\n", e.msg);
	return err_exit_code(e.kind);
}
