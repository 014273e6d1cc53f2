/* What all commands share: how one is described, how it fails, lists of words
 * from its options. */
#ifndef WAYBILL_CLI_CLI_H
#define WAYBILL_CLI_CLI_H

#include <argp.h>
#include <stdbool.h>
#include "common/base/err.h"

/* `name` is one word or two; argv[0] of run is "waybill NAME", as usage lines
 * need it.  run returns the exit code.  Without help the command is for the
 * program itself and not listed. */
struct command {
	const char *name;
	const char *help;
	int (*run)(int argc, char **argv);
};

int init_ra_command(int argc, char **argv);
int init_site_command(int argc, char **argv);
int status_command(int argc, char **argv);
int queue_list_command(int argc, char **argv);
int queue_show_command(int argc, char **argv);
int queue_status_command(int argc, char **argv);
int queue_hold_command(int argc, char **argv);
int queue_release_command(int argc, char **argv);
int queue_withdraw_command(int argc, char **argv);
int queue_expire_command(int argc, char **argv);
int limits_command(int argc, char **argv);
int voucher_prefetch_command(int argc, char **argv);
int voucher_list_command(int argc, char **argv);
int voucher_export_command(int argc, char **argv);
int voucher_import_command(int argc, char **argv);
int demo_command(int argc, char **argv);
int demo_link_command(int argc, char **argv);
int demo_masa_command(int argc, char **argv);
int demo_device_command(int argc, char **argv);
int demo_enrol_command(int argc, char **argv);
int demo_stop_command(int argc, char **argv);
int demo_relay_command(int argc, char **argv);
int demo_supervise_command(int argc, char **argv);

#define WORDS_MAX 16

/* The values of a repeatable option, borrowed. */
struct words {
	const char *v[WORDS_MAX];
	size_t n;
};

/* False if it is full. */
bool words_add(struct words *w, const char *word);

/* One line on stderr; returns the exit code for it. */
int cli_fail(const struct err *e);
/* 0 if all that was printed reached stdout, else the code of a failure. */
int cli_flush(void);
/* The kind whose exit code this is; ERR_LOCAL if there is none. */
enum err_kind cli_kind_of_exit(int code);

#endif
