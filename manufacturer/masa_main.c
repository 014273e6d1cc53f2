/* waybill-masa: the manufacturer's service. */
#include <argp.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/sys/daemon.h"
#include "manufacturer/masa.h"

/* Faults follow OPT_FAULT by their number. */
enum {
	OPT_STATE = 0x100,
	OPT_TLS_CERT,
	OPT_TLS_KEY,
	OPT_OWNER,
	OPT_FILE,
	OPT_REGISTRAR_CA,
	OPT_LIFE,
	OPT_KEEP,
	OPT_SLOW,
	OPT_FAULT
};

static const struct argp_option options[] = {
	{ "listen", 'l', "HOST:PORT", 0, "where; port 0: any that is free", 0 },
	{ "vendor", 'v', "DIR", 0, "folder made by waybill-factory init", 0 },
	{ "state", OPT_STATE, "DIR", 0, "audit logs and vouchers", 0 },
	{ "tls-cert", OPT_TLS_CERT, "FILE", 0,
	    "server certificate and chain (DIR/masa.crt)", 0 },
	{ "tls-key", OPT_TLS_KEY, "FILE", 0, "its key (DIR/masa.key)", 0 },
	{ "owner", OPT_OWNER, "tofu|sales", 0,
	    "who may have a device: whoever asks (tofu), or as sold", 0 },
	{ "file", OPT_FILE, "CSV", 0, "sales: lines serial,domainID", 0 },
	{ "registrar-ca", OPT_REGISTRAR_CA, "FILE", 0,
	    "anchors of registrars that may ask without a nonce", 0 },
	{ "nonceless-life", OPT_LIFE, "DURATION", 0,
	    "of a voucher without a nonce (20m)", 0 },
	{ "keep-requests", OPT_KEEP, "DIR", 0,
	    "writes each request to a file, as it came", 0 },
	{ NULL, 0, NULL, 0, "Misbehaviour, for tests; one at a time:", 2 },
	{ "deny", OPT_FAULT + MASA_DENY, NULL, 0, "no voucher: 403", 2 },
	{ "500", OPT_FAULT + MASA_BROKEN, NULL, 0, "out of order: 500", 2 },
	{ "wrong-serial", OPT_FAULT + MASA_WRONG_SERIAL, NULL, 0,
	    "vouchers name another device", 2 },
	{ "wrong-pin", OPT_FAULT + MASA_WRONG_PIN, NULL, 0,
	    "vouchers pin another domain", 2 },
	{ "bad-signature", OPT_FAULT + MASA_BAD_SIGNATURE, NULL, 0,
	    "vouchers' signatures do not hold", 2 },
	{ "expired", OPT_FAULT + MASA_EXPIRED, NULL, 0, "vouchers have ended",
	    2 },
	{ "foreign-entry", OPT_FAULT + MASA_FOREIGN_ENTRY, NULL, 0,
	    "audit logs have an event of another domain", 2 },
	{ "down", OPT_FAULT + MASA_DOWN, NULL, 0, "does not listen", 2 },
	{ "slow", OPT_SLOW, "SECONDS", 0,
	    "answers come late (beside the others)", 2 },
	{ 0 },
};

struct parsing {
	struct masa_opts o;
	bool by_sales;
};

static const char **
text_option(struct masa_opts *o, int key)
{
	return key == 'l'	      ? &o->listen
	    : key == 'v'	      ? &o->vendor
	    : key == OPT_STATE	      ? &o->state
	    : key == OPT_TLS_CERT     ? &o->tls_cert
	    : key == OPT_TLS_KEY      ? &o->tls_key
	    : key == OPT_FILE	      ? &o->sales
	    : key == OPT_REGISTRAR_CA ? &o->registrar_ca
	    : key == OPT_KEEP	      ? &o->keep
				      : NULL;
}

static void
parse_owner(struct parsing *p, const char *arg, struct argp_state *state)
{
	p->by_sales = strcmp(arg, "sales") == 0;
	if (!p->by_sales && strcmp(arg, "tofu") != 0)
		argp_error(state, "--owner: tofu or sales, not %s", arg);
}

static void
parse_number(
    struct masa_opts *o, int key, const char *arg, struct argp_state *state)
{
	struct err e = ERR_INIT;
	uint64_t v;

	if (key == OPT_SLOW) {
		if (number_parse(arg, 1, 3600, &v, &e) == -1)
			argp_error(state, "--slow: %s", e.msg);
		o->slow = (unsigned)v;
		return;
	}
	if (duration_parse(arg, &v, &e) == -1)
		argp_error(state, "--nonceless-life: %s", e.msg);
	if (v < 1000)
		argp_error(state, "--nonceless-life: less than a second");
	o->nonceless_life = v / 1000;
}

static void
parse_end(const struct parsing *p, struct argp_state *state)
{
	const struct masa_opts *o = &p->o;

	if (o->listen == NULL || o->vendor == NULL || o->state == NULL)
		argp_error(state, "listen, vendor and state are needed");
	if ((o->tls_cert == NULL) != (o->tls_key == NULL))
		argp_error(state, "tls-cert and tls-key go together");
	if (p->by_sales != (o->sales != NULL))
		argp_error(state, "--owner sales and --file go together");
}

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct parsing *p = state->input;
	const char **text = text_option(&p->o, key);

	if (text != NULL) {
		*text = arg;
	} else if (key == OPT_OWNER) {
		parse_owner(p, arg, state);
	} else if (key == OPT_SLOW || key == OPT_LIFE) {
		parse_number(&p->o, key, arg, state);
	} else if (key > OPT_FAULT && key < OPT_FAULT + MASA__MAX) {
		if (p->o.fault != MASA_SOUND)
			argp_error(state, "one misbehaviour at a time");
		p->o.fault = (enum masa_fault)(key - OPT_FAULT);
	} else if (key == ARGP_KEY_END) {
		parse_end(p, state);
	} else {
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static int
run(const struct masa_opts *o, struct err *e)
{
	AUTO(loop) l = loop_new(e);
	AUTO(masa) m = NULL;

	if (l == NULL || (m = masa_open(l, o, e)) == NULL ||
	    daemon_ready(l, e) == -1)
		return -1;
	loop_run(l);
	return 0;
}

const char *argp_program_version = "waybill-masa " WAYBILL_VERSION;

int
main(int argc, char **argv)
{
	static const struct argp argp = { options, parse, NULL,
		"Gives vouchers for a vendor's devices and keeps their audit "
		"logs (RFC 8995); for laboratories and tests.",
		NULL, NULL, NULL };
	struct parsing p = { .o = { .nonceless_life = 20 * 60 } };
	struct err e = ERR_INIT;

	argp_err_exit_status = err_exit_code(ERR_USAGE);
	argp_parse(&argp, argc, argv, 0, NULL, &p);
	log_init("waybill-masa", LOG_INFO);
	signal(SIGPIPE, SIG_IGN);
	umask(077);
	if (run(&p.o, &e) == -1)
		return daemon_fail(&e);
	return 0;
}
