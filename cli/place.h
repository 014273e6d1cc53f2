/* Where a program keeps its store, for commands that look into it, or change
 * it, while that program does not run. */
#ifndef WAYBILL_CLI_PLACE_H
#define WAYBILL_CLI_PLACE_H

#include "cli/ask.h"
#include "common/queue/store.h"

enum { PLACE_OPT_PROGRAM = 0x100, PLACE_OPT_STORE, PLACE_OPT_SEAL };

struct place_args {
	const char *program; /* NULL: the registrar */
	const char *store, *seal;
};

/* clang-format off: lines of a table. */
#define PLACE_OPTION_PROGRAM \
	{ \
		"program", PLACE_OPT_PROGRAM, "NAME", 0, \
		    "Of registrar (default), ra or masa-client", 0 \
	}
#define PLACE_OPTIONS \
	{ "store", PLACE_OPT_STORE, "DIR", 0, \
		"The folder of the store, instead of --config's", 0 }, \
	{ \
		"seal", PLACE_OPT_SEAL, "FILE", 0, \
		    "Its seal secret, instead of --config's", 0 \
	}
/* clang-format on */

struct place {
	struct store_conf conf; /* all but what read_only says */
	unsigned audit;		/* the audit trail's database */
	bool outbox;		/* a site's; else a service's ledger */
	char *dir, *seal;
};

/* For an argp parser: ARGP_ERR_UNKNOWN if it is none of these. */
error_t place_option(
    int key, char *arg, struct argp_state *state, struct place_args *a);
/* The configuration that is asked for, or the default of the program. */
const char *place_config(
    const struct place_args *a, const struct ask_args *ask);
/* malloc'd path of the program's control socket. */
char *place_socket(const struct place_args *a, const struct ask_args *ask,
    struct err *e) WARN_UNUSED;
int place_find(const struct place_args *a, const struct ask_args *ask,
    struct place *ret, struct err *e) WARN_UNUSED;
void place_done(struct place *p);
#define AUTO_PLACE __attribute__((cleanup(place_done)))

#endif
