/* `waybill demo`, and the commands for one that was kept. */
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli/demo.h"
#include "cli/programs.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/str.h"

#define LINK_MS	   8000
#define ENROL_MS   130000
#define SORTED_MAX 48

struct args {
	const char *dir, *word, *what;
	bool keep;
};

static const struct argp_option options[] = {
	{ "dir", 'd', "DIR", 0, "The folder of the demo", 0 },
	{ 0 },
};

static const struct argp_option run_options[] = {
	{ "dir", 'd', "DIR", 0, "Work in DIR, which stays (a temporary folder)",
	    0 },
	{ "keep", 'k', NULL, 0, "Leave everything running; DIR/env tells where",
	    0 },
	{ 0 },
};

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 'd':
		a->dir = arg;
		return 0;
	case 'k':
		a->keep = true;
		return 0;
	case ARGP_KEY_ARG:
		if (a->what == NULL || a->word != NULL)
			argp_error(state, "'%s' is not expected here", arg);
		a->word = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->what != NULL && a->word == NULL)
			argp_error(state, "%s is missing", a->what);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int
demo_command(int argc, char **argv)
{
	struct argp argp = { run_options, on_option, "",
		"A device joins a domain across a link that is down at first: "
		"everything real, on this machine, without network or root." };
	struct args a = { 0 };
	struct err e = ERR_INIT;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	return demo_run(a.dir, a.keep, &e) == -1 ? cli_fail(&e) : cli_flush();
}

/* Parses and opens DIR, which must be a demo's; exits on wrong use. */
static int
open_kept(int argc, char **argv, const char *doc, struct args *a,
    struct folder *f, struct err *e)
{
	struct argp argp = { options, on_option, a->what, doc };
	AUTO(char) env = NULL;

	argp_parse(&argp, argc, argv, 0, NULL, a);
	if (a->dir == NULL)
		return err_set(e, ERR_USAGE, "--dir DIR is needed");
	env = path_join(a->dir, "env");
	if (access(env, F_OK) == -1 && access(a->dir, X_OK) == -1)
		return err_errno(e, ERR_CONF, "%s: no demo there", a->dir);
	return folder_open(f, a->dir, true, e);
}

/* The relay has switched; the site is told by its forwarder, if that runs. */
static void
await_link(const struct folder *f, bool want)
{
	uint64_t end = clock_mono_ms() + LINK_MS;

	while (clock_mono_ms() < end) {
		if (demo_links_are(f, want))
			return;
		poll(NULL, 0, 20);
	}
	fprintf(stderr,
	    "waybill: the relay is %s; the registrar does not say "
	    "so yet\n",
	    want ? "up" : "down");
}

int
demo_link_command(int argc, char **argv)
{
	struct args a = { .what = "up|down" };
	struct folder f = { 0 };
	struct err e = ERR_INIT;
	bool up;
	int rc = open_kept(argc, argv,
	    "Switches the links between the site and its services, and waits "
	    "until the registrar knows.",
	    &a, &f, &e);

	if (rc == 0 && strcmp(a.word, "up") != 0 && strcmp(a.word, "down") != 0)
		rc = err_set(&e, ERR_USAGE, "up or down, not '%s'", a.word);
	if (rc == 0)
		rc = demo_relay_call(&f, a.word, &up, &e);
	if (rc == 0)
		await_link(&f, up);
	folder_close(&f);
	return rc == -1 ? cli_fail(&e) : 0;
}

struct sorted {
	char *ours[SORTED_MAX + 1];
	const char *rest[SORTED_MAX];
	int n_ours;
	size_t n_rest;
};

/* DIR, up or down, and help are ours.  What is not is the MASA's: argp would
 * refuse it. */
static int
sort_args(int argc, char **argv, struct sorted *ret, struct err *e)
{
	bool dir, word = false;
	int i;

	if (argc > SORTED_MAX)
		return err_set(e, ERR_USAGE, "too many arguments");
	ret->ours[ret->n_ours++] = argv[0];
	for (i = 1; i < argc; i++) {
		dir =
		    strcmp(argv[i], "--dir") == 0 || strcmp(argv[i], "-d") == 0;
		if (!word &&
		    (strcmp(argv[i], "up") == 0 ||
			strcmp(argv[i], "down") == 0))
			word = true;
		else if (!dir && !str_starts(argv[i], "--dir=") &&
		    strcmp(argv[i], "--help") != 0) {
			ret->rest[ret->n_rest++] = argv[i];
			continue;
		}
		ret->ours[ret->n_ours++] = argv[i];
		if (dir && i + 1 < argc)
			ret->ours[ret->n_ours++] = argv[++i];
	}
	return 0;
}

static int
switch_masa(const struct folder *f, const char *word, const struct sorted *args,
    struct err *e)
{
	if (strcmp(word, "up") == 0)
		return demo_masa_switch(f, args->rest, args->n_rest, e);
	if (strcmp(word, "down") != 0)
		return err_set(e, ERR_USAGE, "up or down, not '%s'", word);
	if (args->n_rest > 0)
		return err_set(e, ERR_USAGE,
		    "down, and %s: switches are for up", args->rest[0]);
	return demo_masa_switch(f, (const char *[]){ "--down" }, 1, e);
}

int
demo_masa_command(int argc, char **argv)
{
	struct args a = { .what = "up|down [SWITCH...]" };
	struct sorted args = { 0 };
	struct folder f = { 0 };
	struct err e = ERR_INIT;
	int rc = sort_args(argc, argv, &args, &e);

	if (rc == 0)
		rc = open_kept(args.n_ours, args.ours,
		    "Lets the maker's MASA listen or not, and waits until it "
		    "does.  All other options are passed on to waybill-masa: "
		    "its --help tells them.",
		    &a, &f, &e);
	if (rc == 0)
		rc = switch_masa(&f, a.word, &args, &e);
	folder_close(&f);
	return rc == -1 ? cli_fail(&e) : 0;
}

int
demo_device_command(int argc, char **argv)
{
	struct args a = { .what = "NAME" };
	struct folder f = { 0 };
	struct err e = ERR_INIT;
	int rc = open_kept(argc, argv,
	    "Makes DIR/devices/NAME.crt, .key and .chain.pem: a further "
	    "device of the demo's vendor.",
	    &a, &f, &e);

	if (rc == 0)
		rc = demo_device(&f, a.word, &e);
	if (rc == 0)
		printf("%s/devices/%s.crt\n", f.dir, a.word);
	folder_close(&f);
	return rc == -1 ? cli_fail(&e) : cli_flush();
}

static int
enrol(const struct folder *f, const char *name, int *ret_code, struct err *e)
{
	AUTO(char) proxy = demo_env_get(f, "PROXY", e);
	AUTO(argv) argv = NULL;
	pid_t pid;

	if (proxy == NULL || demo_device(f, name, e) == -1 ||
	    (argv = demo_pledge_argv(f, name, proxy, e)) == NULL ||
	    program_start(argv, NULL, SIGTERM, -1, &pid, e) == -1)
		return -1;
	return program_wait(pid, ENROL_MS, ret_code, e);
}

int
demo_enrol_command(int argc, char **argv)
{
	struct args a = { .what = "NAME" };
	struct folder f = { 0 };
	struct err e = ERR_INIT;
	int code = 0;
	int rc = open_kept(argc, argv,
	    "Makes a device and lets it join, voucher first: "
	    "DIR/enrolled/NAME.crt is its "
	    "certificate.  The exit code is the device's.",
	    &a, &f, &e);

	if (rc == 0)
		rc = enrol(&f, a.word, &code, &e);
	folder_close(&f);
	return rc == -1 ? cli_fail(&e) : code;
}

int
demo_stop_command(int argc, char **argv)
{
	struct args a = { 0 };
	struct folder f = { 0 };
	struct err e = ERR_INIT;
	int rc = open_kept(argc, argv,
	    "Ends all processes of the demo in DIR and waits for their end.",
	    &a, &f, &e);

	if (rc == 0)
		rc = demo_supervisor_stop(&f, &e);
	folder_close(&f);
	return rc == -1 ? cli_fail(&e) : 0;
}
