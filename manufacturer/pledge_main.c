/* waybill-pledge: the reference device. */
#include <argp.h>
#include <string.h>
#include "common/base/log.h"
#include "common/base/str.h"
#include "manufacturer/pledge.h"

enum { OPT_STATE = 0x100, OPT_EXPLICIT, OPT_SUBJECT, OPT_TIMEOUT, OPT_JSON };

static const struct argp_option options[] = {
	{ "proxy", 'p', "HOST:PORT", 0, "join proxy, or the registrar", 0 },
	{ "cert", 'c', "FILE", 0, "IDevID certificate", 0 },
	{ "key", 'k', "FILE", 0, "its private key", 0 },
	{ "chain", 'C', "FILE", 0, "sub-CAs between it and the vendor's root",
	    0 },
	{ "trust", 't', "FILE", 0, "domain anchors", 0 },
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
parse_end(const struct pledge_opts *o, struct argp_state *state)
{
	if (o->proxy == NULL || o->cert == NULL || o->key == NULL ||
	    o->trust == NULL || o->state == NULL || o->out == NULL)
		argp_error(state,
		    "proxy, cert, key, trust, state and out are "
		    "needed");
}

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct pledge_opts *o = state->input;
	const char **text = key == 'p' ? &o->proxy
	    : key == 'c'	       ? &o->cert
	    : key == 'k'	       ? &o->key
	    : key == 'C'	       ? &o->chain
	    : key == 't'	       ? &o->trust
	    : key == OPT_STATE	       ? &o->state
	    : key == 'o'	       ? &o->out
	    : key == 'P'	       ? &o->profile
	    : key == OPT_SUBJECT       ? &o->subject
				       : NULL;

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
	else if (key == ARGP_KEY_ARG && strcmp(arg, "enrol") != 0)
		argp_error(state, "the one command is enrol, not %s", arg);
	else if (key == ARGP_KEY_NO_ARGS)
		argp_usage(state);
	else if (key == ARGP_KEY_END)
		parse_end(o, state);
	else if (key != ARGP_KEY_ARG)
		return ARGP_ERR_UNKNOWN;
	return 0;
}

int
main(int argc, char **argv)
{
	static const struct argp argp = { options, parse, "enrol",
		"A device that joins its domain: BRSKI-AE with CMP.", NULL,
		NULL, NULL };
	struct pledge_opts o = { .request = CMP_IR, .timeout = 120 };
	struct err e = ERR_INIT;

	argp_err_exit_status = err_exit_code(ERR_USAGE);
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	log_init("waybill-pledge", LOG_WARN);
	if (pledge_enrol(&o, &e) == 0)
		return 0;
	fprintf(stderr, "waybill-pledge: %s\n", e.msg);
	return err_exit_code(e.kind);
}
