/*
 * The demo: one site, one RA with its masa-client and a maker's MASA on this
 * machine, in one folder.  A supervisor runs the daemons and a byte relay that
 * is the links; the demo itself takes a device through it.
 */
#ifndef WAYBILL_CLI_DEMO_H
#define WAYBILL_CLI_DEMO_H

#include <stdbool.h>
#include <stdint.h>
#include "cli/folder.h"

/* In the order they are started. */
enum demo_daemon {
	DEMO_RELAY,
	DEMO_MASA,
	DEMO_RA,
	DEMO_MASA_CLIENT,
	DEMO_REGISTRAR,
	DEMO_FORWARDER,
	DEMO_PROXY,
	DEMO_DAEMON__MAX
};

/* name: DIR/NAME.log, DIR/NAME.pid; env: its prefix in DIR/env, NULL for what
 * is not a daemon of the product. */
struct demo_program {
	const char *name, *env, *program, *conf;
};
extern const struct demo_program demo_programs[DEMO_DAEMON__MAX];

#define DEMO_FIRST_DEVICE "device-1"
#define DEMO_SUPERVISOR	  "supervisor"
#define DEMO_RELAY_SOCKET "relay.sock"
#define DEMO_SITE_CONTROL "site/control.sock"
#define DEMO_RA_CONTROL	  "ra/control.sock"
#define DEMO_MASA_CONTROL "ra/masa-control.sock"
#define DEMO_VENDOR_ROOT  "vendor/vendor-root.crt"

struct demo_ports {
	unsigned ra, relay, registrar, proxy, masa, masa_client, masa_relay;
};

/* Free ports of 127.0.0.1, outside the range the kernel gives away. */
int demo_ports_pick(struct demo_ports *ret, struct err *e) WARN_UNUSED;

/* DIR/env, to be sourced by shells.  demo_env_get gives one malloc'd value. */
int demo_env_write(const struct folder *f, const struct demo_ports *ports,
    struct err *e) WARN_UNUSED;
char *demo_env_get(
    const struct folder *f, const char *name, struct err *e) WARN_UNUSED;

/* The pid in DIR/NAME.pid. */
int demo_pid(const struct folder *f, const char *name, pid_t *ret,
    struct err *e) WARN_UNUSED;

/* Says "up", "down" or "status" to the relay; *ret_up is what it then is. */
int demo_relay_call(const struct folder *f, const char *word, bool *ret_up,
    struct err *e) WARN_UNUSED;
/* True if the registrar believes this of the links to all its services. */
bool demo_links_are(const struct folder *f, bool up);

/* The MASA's command line: a port, and the switches in DIR/masa.switches, one
 * a line; frees with demo_argv_free. */
char **demo_masa_argv(
    const struct folder *f, const char *port, struct err *e) WARN_UNUSED;
/* Writes its switches, for its next start. */
int demo_masa_set(const struct folder *f, const char *const *switches, size_t n,
    struct err *e) WARN_UNUSED;
/* The same, ends the one that runs and waits for the next.  Switches that it
 * does not understand change nothing. */
int demo_masa_switch(const struct folder *f, const char *const *switches,
    size_t n, struct err *e) WARN_UNUSED;

/* Makes DIR/devices/NAME.crt, .key, .chain.pem unless they are there. */
int demo_device(
    const struct folder *f, const char *name, struct err *e) WARN_UNUSED;
/* The pledge's command line for a device, which knows its maker alone; frees
 * with demo_argv_free. */
char **demo_pledge_argv(const struct folder *f, const char *name,
    const char *proxy, struct err *e) WARN_UNUSED;
void demo_argv_free(char **argv);
AUTO_DEFINE(argv, char *, demo_argv_free);

/*
 * Starts the supervisor.  It ends, with all that it started, when it gets
 * SIGTERM or when *ret_leash (ours to close) is closed, unless
 * demo_supervisor_keep was called before.
 */
int demo_supervisor_start(const struct folder *f,
    const struct demo_ports *ports, pid_t *ret_pid, int *ret_leash,
    struct err *e) WARN_UNUSED;
int demo_supervisor_keep(int leash, struct err *e) WARN_UNUSED;
/* Ends a demo that was kept, and waits until all of it has gone. */
int demo_supervisor_stop(const struct folder *f, struct err *e) WARN_UNUSED;
/* True while a supervisor lives in the folder. */
bool demo_supervisor_there(const struct folder *f);

/* Runs the whole demo; dir NULL: a temporary folder. */
int demo_run(const char *dir, bool keep, struct err *e) WARN_UNUSED;

#endif
