/*
 * What every daemon does alike: its options (--config FILE, --check,
 * --print-config, --log-level L, --help, --version), its log, its end.
 * main() stays the program's life in order.
 */
#ifndef WAYBILL_SYS_DAEMON_H
#define WAYBILL_SYS_DAEMON_H

#include <stdbool.h>
#include "common/base/err.h"
#include "common/sys/loop.h"

struct daemon_opts {
	/* Default: /etc/waybill/<name without waybill->.yaml */
	const char *conf;
	bool check, print_config;
};

/* Parses argv by argp (exits 2 on wrong use), starts the log, ignores SIGPIPE
 * and SIGHUP, umask 077. */
void daemon_init(struct daemon_opts *o, const char *name, const char *sentence,
    int argc, char **argv);
/* SIGTERM and SIGINT stop the loop; says READY=1 to systemd's NOTIFY_SOCKET. */
int daemon_ready(struct loop *l, struct err *e) WARN_UNUSED;
/* Logs e as event=daemon.failed and returns the exit code for it. */
int daemon_fail(const struct err *e);
/* --check said yes: prints "NAME: configuration ok: <what>" on stdout. */
int daemon_check_ok(const char *fmt, ...) PRINTF(1, 2);

#endif
