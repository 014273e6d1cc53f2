/*
 * What every daemon does alike: its options (--config FILE, --check,
 * --print-config, --log-level L, --no-sandbox, --help, --version), its log, its
 * sandbox, its end.
 * main() stays the program's life in order.
 */
#ifndef WAYBILL_SYS_DAEMON_H
#define WAYBILL_SYS_DAEMON_H

#include <stdbool.h>
#include "common/base/err.h"
#include "common/sys/loop.h"
#include "common/sys/sandbox.h"

struct daemon_opts {
	/* Default: /etc/waybill/<name without waybill->.yaml */
	const char *conf;
	bool check, print_config;
	bool no_sandbox; /* for tests that watch a daemon from within */
};

/* Parses argv by argp (exits 2 on wrong use), starts the log, ignores SIGPIPE
 * and SIGHUP, umask 077, hides its memory. */
void daemon_init(struct daemon_opts *o, const char *name, const char *sentence,
    int argc, char **argv);
/* Confines the process and says so, after keys, stores and listeners are open
 * and before the first foreign octet. */
int daemon_confine(const struct daemon_opts *o, const struct sandbox *s,
    struct err *e) WARN_UNUSED;
/* SIGTERM and SIGINT stop the loop; says READY=1 to systemd's NOTIFY_SOCKET. */
int daemon_ready(struct loop *l, struct err *e) WARN_UNUSED;
/* Logs e as event=daemon.failed and returns the exit code for it. */
int daemon_fail(const struct err *e);
/* --check, first: prints "NAME: sandbox: ...", what would be confined. */
void daemon_check_sandbox(const struct daemon_opts *o, const struct sandbox *s);
/* --check said yes: prints "NAME: configuration ok: <what>" on stdout. */
int daemon_check_ok(const char *fmt, ...) PRINTF(1, 2);

#endif
