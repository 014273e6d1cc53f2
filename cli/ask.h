/* A site's registrar as commands ask it, over its control socket: the options
 * that say where it is, GET and POST, and what stands in its answers. */
#ifndef WAYBILL_CLI_ASK_H
#define WAYBILL_CLI_ASK_H

#include "cli/cli.h"
#include "common/base/json.h"

#define ASK_CONF_DEFAULT "/etc/waybill/registrar.yaml"
#define ASK_ID_MAX	 40

enum { ASK_OPT_JSON = 0x80, ASK_OPT_CONFIG, ASK_OPT_SOCKET };

struct ask_args {
	const char *conf, *socket;
	bool json;
};

/* clang-format off: lines of a table. */
#define ASK_OPTION_JSON \
	{ \
		"json", ASK_OPT_JSON, NULL, 0, \
		    "One JSON object instead of a table", 0 \
	}
#define ASK_OPTIONS_WHERE \
	{ "config", ASK_OPT_CONFIG, "FILE", 0, \
		"The registrar's configuration (" ASK_CONF_DEFAULT ")", 0 }, \
	{ \
		"socket", ASK_OPT_SOCKET, "PATH", 0, \
		    "The registrar's control socket, instead of --config", 0 \
	}
/* clang-format on */

/* For an argp parser: ARGP_ERR_UNKNOWN if it is none of these. */
error_t ask_option(int key, char *arg, struct ask_args *a);
/* malloc'd path of the control socket. */
char *ask_socket(const struct ask_args *a, struct err *e) WARN_UNUSED;

/* The object that is answered with 200, or the error that the registrar says,
 * of the kind it says. */
json_t *ask_get(
    const char *socket, const char *path, struct err *e) WARN_UNUSED;
json_t *ask_post(const char *socket, const char *path, const json_t *body,
    struct err *e) WARN_UNUSED;
/* For what takes as long as a store is large, at most an hour: POST with a
 * body, GET without. */
json_t *ask_long(const char *socket, const char *path, const json_t *body,
    struct err *e) WARN_UNUSED;

/* 0 if there is none. */
uint64_t ask_number(const json_t *j, const char *key);
/* "-" if there is none; borrowed. */
const char *ask_text(const json_t *j, const char *key);
/* An id becomes part of a path: letters, digits and '-' are all it may have. */
int ask_check_id(const char *id, struct err *e) WARN_UNUSED;

/* On stdout; the exit code. */
int ask_print_json(const json_t *j);

#endif
