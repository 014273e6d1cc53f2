/* waybill: what people type.  One table; each command has its own file. */
#include "cli/audit.h"
#include "cli/cli.h"
#include "cli/ra.h"
#include "cli/store.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct command commands[] = {
	{ "init ra", "make keys and configuration of an off-site RA, or pair",
	    init_ra_command },
	{ "init site", "make keys and the request of a site, or pair it",
	    init_site_command },
	{ "status", "how a site is, on a page", status_command },
	{ "queue list", "requests the site holds, one a line",
	    queue_list_command },
	{ "queue show", "all that is known of one request",
	    queue_show_command },
	{ "queue status", "how the site is, and its links",
	    queue_status_command },
	{ "queue hold", "keep requests from leaving", queue_hold_command },
	{ "queue release", "let them go on", queue_release_command },
	{ "queue withdraw", "give requests up", queue_withdraw_command },
	{ "queue expire", "end what has not left", queue_expire_command },
	{ "queue backup", "copy the outbox while it is used",
	    queue_backup_command },
	{ "queue restore", "put a copy in its place", queue_restore_command },
	{ "queue check", "read all of it, the registrar stopped",
	    queue_check_command },
	{ "queue compact", "copy it without what is empty",
	    queue_compact_command },
	{ "queue rekey", "seal it with a new secret", queue_rekey_command },
	{ "ra list", "cases of an off-site service, one a line",
	    ra_list_command },
	{ "ra show", "all that is known of one case", ra_show_command },
	{ "ra sites", "its sites, and how they stand", ra_sites_command },
	{ "ra recover", "ask a site what a restored service forgot",
	    ra_recover_command },
	{ "ra resolve", "say what became of a case that it forgot",
	    ra_resolve_command },
	{ "ra revoke", "revoke a certificate for good", ra_revoke_command },
	{ "ra backup", "copy its ledger while it runs", ra_backup_command },
	{ "ra restore", "put a copy in its place", ra_restore_command },
	{ "ra check", "read all of it, the service stopped", ra_check_command },
	{ "ra compact", "copy it without what is empty", ra_compact_command },
	{ "ra rekey", "seal it with a new secret", ra_rekey_command },
	{ "audit verify", "whether the audit trail holds",
	    audit_verify_command },
	{ "audit tail", "its last records", audit_tail_command },
	{ "audit export", "all of it, to be verified elsewhere",
	    audit_export_command },
	{ "voucher prefetch", "fetch vouchers before their devices come",
	    voucher_prefetch_command },
	{ "voucher list", "vouchers on hand, and those asked for",
	    voucher_list_command },
	{ "voucher export", "write one to a file", voucher_export_command },
	{ "voucher import", "hand one in that came by another way",
	    voucher_import_command },
	{ "limits", "what is too much, and what happens then", limits_command },
	{ "demo", "a device joins across a dead link, on this machine",
	    demo_command },
	{ "demo link", "up or down, in a demo that was kept",
	    demo_link_command },
	{ "demo masa", "the maker's service up or down, or misbehaving",
	    demo_masa_command },
	{ "demo device", "make a further device's factory identity",
	    demo_device_command },
	{ "demo enrol", "make a device and let it join", demo_enrol_command },
	{ "demo stop", "end all that a demo started", demo_stop_command },
	{ "demo-relay", NULL, demo_relay_command },
	{ "demo-supervise", NULL, demo_supervise_command },
};

static int
usage(FILE *out)
{
	size_t i;

	fprintf(out, "Usage: waybill COMMAND [OPTION...]\n\n");
	for (i = 0; i < NELEMS(commands); i++)
		if (commands[i].help != NULL)
			fprintf(out, "  %-16s %s\n", commands[i].name,
			    commands[i].help);
	fprintf(out, "\nwaybill COMMAND --help tells more.\n");
	return err_exit_code(ERR_USAGE);
}

/* How many of the words make up the command's name; 0: it is another. */
static int
matches(const struct command *c, int argc, char **argv)
{
	const char *space = strchr(c->name, ' ');
	size_t n = space != NULL ? (size_t)(space - c->name) : strlen(c->name);

	if (argc < 1 || strlen(argv[0]) != n ||
	    strncmp(argv[0], c->name, n) != 0)
		return 0;
	if (space == NULL)
		return 1;
	return argc >= 2 && strcmp(argv[1], space + 1) == 0 ? 2 : 0;
}

/* The longest name wins: "demo link" is not "demo" with an argument. */
static const struct command *
find(int argc, char **argv, int *ret_words)
{
	const struct command *found = NULL;
	size_t i;
	int n;

	*ret_words = 0;
	for (i = 0; i < NELEMS(commands); i++) {
		n = matches(&commands[i], argc, argv);
		if (n > *ret_words) {
			*ret_words = n;
			found = &commands[i];
		}
	}
	return found;
}

static bool
is(const char *arg, const char *word)
{
	return arg != NULL && strcmp(arg, word) == 0;
}

int
main(int argc, char **argv)
{
	const struct command *c;
	char name[64];
	int words;

	argp_err_exit_status = err_exit_code(ERR_USAGE);
	signal(SIGPIPE, SIG_IGN);
	umask(077);
	if (is(argv[1], "--help") || is(argv[1], "help")) {
		usage(stdout);
		return cli_flush();
	}
	if (is(argv[1], "--version")) {
		printf("waybill %s\n", WAYBILL_VERSION);
		return cli_flush();
	}
	if ((c = find(argc - 1, argv + 1, &words)) == NULL)
		return usage(stderr);
	snprintf(name, sizeof(name), "waybill %s", c->name);
	argv[words] = name;
	return c->run(argc - words, argv + words);
}
