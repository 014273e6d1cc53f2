/* `waybill init ra|site`: options, and which of its jobs they ask for. */
#include "cli/init.h"

#include <assert.h>
#include <string.h>

#include "cli/programs.h"

enum {
	OPT_NAME = 0x100,
	OPT_HOST,
	OPT_LISTEN,
	OPT_PROXY_LISTEN,
	OPT_VENDOR,
	OPT_VENDOR_TLS,
	OPT_VENDOR_URL,
	OPT_VENDOR_HOST,
	OPT_VENDOR_PRIVATE,
	OPT_VOUCHER_ANCHOR,
	OPT_NO_MASA,
	OPT_MASA_LISTEN,
	OPT_MASA_ADDRESS,
	OPT_MASA_RETRY_MAX,
	OPT_MAP_SIZE,
	OPT_ADDRESS,
	OPT_ORGANIZATION,
	OPT_CA_KEY,
	OPT_HOLD,
	OPT_CHECK_AFTER,
	OPT_RETRY_AFTER,
	OPT_WAIT_MAX,
	OPT_RECONNECT_MAX,
	OPT_PAIR,
	OPT_OUT,
	OPT_AGAIN,
	OPT_CHECK,
};

/* Both commands' options. */
struct args {
	const char *dir, *pair, *out;
	bool check;
	struct ra_options ra;
	struct site_options site;
};

/* ---- --check --------------------------------------------------------- */

static int
check_one(const struct folder *f, const char *daemon, struct err *e)
{
	AUTO(char) conf = folder_path(f, daemon, ".yaml");
	struct buf name AUTO_BUF = { 0 };
	AUTO(char) program = NULL;

	if (!folder_has(f, daemon, ".yaml"))
		return err_set(e, ERR_CONF, "%s: not there yet: %s", conf,
		    strcmp(daemon, "ra") == 0 ? "run init" : "pair the site");
	buf_printf(&name, "waybill-%s", daemon);
	if ((program = program_find(buf_cstr(&name), e)) == NULL)
		return -1;
	return program_run((char *[]){ program, (char *)(intptr_t) "--config",
			       conf, (char *)(intptr_t) "--check", NULL },
	    NULL, e);
}

int
init_check(
    const char *dir, const struct init_daemon *daemons, size_t n, struct err *e)
{
	struct folder f = { 0 };
	struct err first = ERR_INIT, next = ERR_INIT;
	size_t i;

	if (folder_open(&f, dir, true, e) == -1)
		return -1;
	/* All of them speak, whatever the first one says. */
	for (i = 0; i < n; i++)
		if ((!daemons[i].optional ||
			folder_has(&f, daemons[i].name, ".yaml")) &&
		    check_one(&f, daemons[i].name, &next) == -1 &&
		    first.kind == ERR_NONE)
			first = next;
	folder_close(&f);
	if (first.kind == ERR_NONE)
		return 0;
	*e = first;
	return -1;
}

/* ---- options --------------------------------------------------------- */

static void
add(struct words *w, char *arg, struct argp_state *state)
{
	if (!words_add(w, arg))
		argp_error(state, "%s: more than %d of these", arg, WORDS_MAX);
}

/* What both commands understand alike. */
static error_t
on_common(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case OPT_PAIR:
		a->pair = arg;
		return 0;
	case OPT_CHECK:
		a->check = true;
		return 0;
	case ARGP_KEY_ARG:
		if (a->dir != NULL)
			argp_error(state, "'%s' is not expected here", arg);
		a->dir = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->dir == NULL)
			argp_error(state, "which folder?");
		if (a->check && a->pair != NULL)
			argp_error(state, "--check and --pair exclude another");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Options with one value: where it goes. */
struct slot {
	int key;
	const char **value;
	struct words *words;
};

static error_t
on_slot(const struct slot *slots, size_t n, int key, char *arg,
    struct argp_state *state)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (slots[i].key != key)
			continue;
		assert(slots[i].words != NULL || slots[i].value != NULL);
		if (slots[i].words != NULL)
			add(slots[i].words, arg, state);
		else
			*slots[i].value = arg;
		return 0;
	}
	return on_common(key, arg, state);
}

static error_t
on_ra(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;
	const struct slot slots[] = {
		{ OPT_NAME, &a->ra.name, NULL },
		{ OPT_HOST, NULL, &a->ra.hosts },
		{ OPT_LISTEN, NULL, &a->ra.listens },
		{ OPT_ADDRESS, &a->ra.address, NULL },
		{ OPT_VENDOR, NULL, &a->ra.vendors },
		{ OPT_VENDOR_TLS, NULL, &a->ra.vendor_tls },
		{ OPT_VENDOR_URL, NULL, &a->ra.vendor_urls },
		{ OPT_VENDOR_HOST, NULL, &a->ra.vendor_hosts },
		{ OPT_VENDOR_PRIVATE, NULL, &a->ra.vendor_private },
		{ OPT_MASA_LISTEN, NULL, &a->ra.masa_listens },
		{ OPT_MASA_ADDRESS, &a->ra.masa_address, NULL },
		{ OPT_MASA_RETRY_MAX, &a->ra.masa_retry_max, NULL },
		{ OPT_MAP_SIZE, &a->ra.map_size, NULL },
		{ OPT_ORGANIZATION, &a->ra.organization, NULL },
		{ OPT_CA_KEY, &a->ra.ca_key, NULL },
		{ OPT_OUT, &a->out, NULL },
	};

	if (key == OPT_AGAIN || key == OPT_NO_MASA) {
		*(key == OPT_AGAIN ? &a->ra.again : &a->ra.no_masa) = true;
		return 0;
	}
	return on_slot(slots, NELEMS(slots), key, arg, state);
}

static error_t
on_site(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;
	const struct slot slots[] = {
		{ OPT_NAME, &a->site.name, NULL },
		{ OPT_HOST, NULL, &a->site.hosts },
		{ OPT_LISTEN, NULL, &a->site.listens },
		{ OPT_PROXY_LISTEN, NULL, &a->site.proxy_listens },
		{ OPT_VENDOR, NULL, &a->site.vendors },
		{ OPT_VOUCHER_ANCHOR, NULL, &a->site.voucher_anchors },
		{ OPT_MAP_SIZE, &a->site.map_size, NULL },
		{ OPT_HOLD, &a->site.hold, NULL },
		{ OPT_CHECK_AFTER, &a->site.check_after, NULL },
		{ OPT_RETRY_AFTER, &a->site.retry_after, NULL },
		{ OPT_WAIT_MAX, &a->site.wait_max, NULL },
		{ OPT_RECONNECT_MAX, &a->site.reconnect_max, NULL },
	};

	if (key == ARGP_KEY_END && a->site.name == NULL && a->pair == NULL &&
	    !a->check)
		argp_error(state, "--name, --pair or --check is needed");
	return on_slot(slots, NELEMS(slots), key, arg, state);
}

static const struct argp_option ra_argp_options[] = {
	{ "name", OPT_NAME, "NAME", 0, "Name of the service (ra)", 0 },
	{ "host", OPT_HOST, "NAME|IP", 0,
	    "A name or address this machine is reached by; repeatable", 0 },
	{ "listen", OPT_LISTEN, "URL", 0,
	    "Where links come in (tls+tcp://0.0.0.0:5740); repeatable", 0 },
	{ "address", OPT_ADDRESS, "URL", 0,
	    "Where sites dial (first host, first port)", 0 },
	{ "vendor", OPT_VENDOR, "NAME=FILE", 0,
	    "Root certificates of a maker whose devices may join; repeatable",
	    0 },
	{ "map-size", OPT_MAP_SIZE, "SIZE", 0, "Size of each store (1GiB)", 0 },
	{ "organization", OPT_ORGANIZATION, "TEXT", 0,
	    "Organization in the certificates issued", 0 },
	{ "ca-key", OPT_CA_KEY, "KIND", 0,
	    "Keys of the domain's root and CA: p256, p384 or rsa3072 (p256)",
	    0 },
	{ NULL, 0, NULL, 0,
	    "The masa-client, which asks makers for vouchers:", 1 },
	{ "no-masa", OPT_NO_MASA, NULL, 0, "None beside this RA", 1 },
	{ "masa-listen", OPT_MASA_LISTEN, "URL", 0,
	    "Where its links come in (the RA's, next port); repeatable", 1 },
	{ "masa-address", OPT_MASA_ADDRESS, "URL", 0,
	    "Where sites dial it (first host, its first port)", 1 },
	{ "masa-retry-max", OPT_MASA_RETRY_MAX, "TIME", 0,
	    "Longest pause before a MASA is asked again (300s)", 1 },
	{ "vendor-tls", OPT_VENDOR_TLS, "NAME=FILE", 0,
	    "Whose certificates a vendor's MASA may show (web PKI); "
	    "repeatable",
	    1 },
	{ "vendor-url", OPT_VENDOR_URL, "NAME=URL", 0,
	    "A vendor's MASA, whatever its devices say; repeatable", 1 },
	{ "vendor-host", OPT_VENDOR_HOST, "NAME=HOST", 0,
	    "A host that a vendor's devices may name as their MASA; repeatable",
	    1 },
	{ "vendor-private", OPT_VENDOR_PRIVATE, "NAME", 0,
	    "A vendor's MASA may be in a private network; repeatable", 1 },
	{ NULL, 0, NULL, 0, "Other jobs:", 2 },
	{ "pair", OPT_PAIR, "NAME.request", 0, "Certify a site", 2 },
	{ "out", OPT_OUT, "FILE", 0,
	    "Where the pairing goes (beside the request)", 2 },
	{ "again", OPT_AGAIN, NULL, 0, "Certify a site that is paired already",
	    2 },
	{ "check", OPT_CHECK, NULL, 0, "Let the daemons check their files", 2 },
	{ 0 },
};

static const struct argp_option site_argp_options[] = {
	{ "name", OPT_NAME, "NAME", 0, "Name of the site", 0 },
	{ "host", OPT_HOST, "NAME|IP", 0,
	    "A name or address pledges reach the registrar by; repeatable", 0 },
	{ "listen", OPT_LISTEN, "HOST:PORT", 0,
	    "Where the registrar listens (0.0.0.0:8443); repeatable", 0 },
	{ "proxy-listen", OPT_PROXY_LISTEN, "HOST:PORT", 0,
	    "Where the join proxy listens (0.0.0.0:8444); repeatable", 0 },
	{ "vendor", OPT_VENDOR, "NAME=FILE", 0,
	    "Root certificates of a maker whose devices may join; repeatable",
	    0 },
	{ "voucher-anchor", OPT_VOUCHER_ANCHOR, "NAME=FILE", 0,
	    "Who may sign a vendor's vouchers (its --vendor); repeatable", 0 },
	{ "map-size", OPT_MAP_SIZE, "SIZE", 0, "Size of the outbox (1GiB)", 0 },
	{ "hold", OPT_HOLD, "TIME", 0,
	    "How long a request waits for its answer, link up (10s)", 0 },
	{ "check-after", OPT_CHECK_AFTER, "TIME", 0,
	    "How often a waiting device asks at first (5s)", 0 },
	{ "retry-after", OPT_RETRY_AFTER, "TIME", 0,
	    "How often a device asks that waits for its voucher (5s)", 0 },
	{ "wait-max", OPT_WAIT_MAX, "TIME", 0,
	    "How long a waiting device is sent away at most (300s, 1h)", 0 },
	{ "reconnect-max", OPT_RECONNECT_MAX, "TIME", 0,
	    "Longest pause between two attempts to reach the RA (30s)", 0 },
	{ "pair", OPT_PAIR, "NAME.pairing", 0,
	    "Install what came back from the RA", 1 },
	{ "check", OPT_CHECK, NULL, 0, "Let the daemons check their files", 2 },
	{ 0 },
};

/* ---- commands -------------------------------------------------------- */

int
init_ra_command(int argc, char **argv)
{
	static const struct init_daemon daemons[] = { { "ra", false },
		{ "masa-client", true } };
	struct argp argp = { ra_argp_options, on_ra, "DIR",
		"Make keys, certificates and configuration of an off-site RA "
		"and its masa-client in DIR.  What is there already is kept." };
	struct args a = { .ra = RA_OPTIONS_INIT };
	struct err e = ERR_INIT;
	int rc;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	a.ra.dir = a.dir;
	if (a.check)
		rc = init_check(a.dir, daemons, NELEMS(daemons), &e);
	else if (a.pair != NULL)
		rc = init_ra_pair(&a.ra, a.pair, a.out, &e);
	else
		rc = init_ra(&a.ra, &e);
	return rc == -1 ? cli_fail(&e) : cli_flush();
}

int
init_site_command(int argc, char **argv)
{
	static const struct init_daemon daemons[] = { { "registrar", false },
		{ "forwarder", false }, { "proxy", false } };
	struct argp argp = { site_argp_options, on_site, "DIR",
		"Make keys and the request of a site in DIR, or install the "
		"pairing that answers it.  What is there already is kept." };
	struct args a = { .site = SITE_OPTIONS_INIT };
	struct err e = ERR_INIT;
	int rc;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	a.site.dir = a.dir;
	if (a.check)
		rc = init_check(a.dir, daemons, NELEMS(daemons), &e);
	else if (a.pair != NULL)
		rc = init_site_pair(a.dir, a.pair, false, &e);
	else
		rc = init_site(&a.site, &e);
	return rc == -1 ? cli_fail(&e) : cli_flush();
}
