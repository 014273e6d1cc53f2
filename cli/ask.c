#include "cli/ask.h"

#include <string.h>

#include "common/sys/conf.h"
#include "common/sys/control.h"

#define ASK_MS	    10000
#define ASK_LONG_MS ((uint64_t)3600 * 1000)

error_t
ask_option(int key, char *arg, struct ask_args *a)
{
	switch (key) {
	case ASK_OPT_JSON:
		a->json = true;
		return 0;
	case ASK_OPT_CONFIG:
		a->conf = arg;
		return 0;
	case ASK_OPT_SOCKET:
		a->socket = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

char *
ask_socket(const struct ask_args *a, struct err *e)
{
	return a->socket != NULL ? xstrdup(a->socket)
				 : conf_value(a->conf, "control", "socket", e);
}

static enum err_kind
kind_of(const json_t *j, int status)
{
	const char *name = json_string_value(json_object_get(j, "kind"));
	int kind;

	for (kind = ERR_NONE + 1; name != NULL && kind < ERR__MAX; kind++)
		if (strcmp(name, err_kind_name((enum err_kind)kind)) == 0)
			return (enum err_kind)kind;
	return status == 404 ? ERR_INPUT : ERR_LOCAL;
}

static json_t *
ask(const char *socket, uint64_t ms, const char *method, const char *path,
    const json_t *body, struct err *e)
{
	int status = 0;
	AUTO(json_t) j =
	    control_call_within(socket, ms, method, path, body, &status, e);
	const char *why;

	if (j == NULL)
		return NULL;
	if (status == 200 && json_is_object(j))
		return STEAL(j);
	why = json_string_value(json_object_get(j, "error"));
	err_set(e, kind_of(j, status), "%s",
	    why != NULL ? why : "the registrar answers otherwise than agreed");
	return NULL;
}

json_t *
ask_get(const char *socket, const char *path, struct err *e)
{
	return ask(socket, ASK_MS, "GET", path, NULL, e);
}

json_t *
ask_post(
    const char *socket, const char *path, const json_t *body, struct err *e)
{
	return ask(socket, ASK_MS, "POST", path, body, e);
}

json_t *
ask_long(
    const char *socket, const char *path, const json_t *body, struct err *e)
{
	return ask(
	    socket, ASK_LONG_MS, body != NULL ? "POST" : "GET", path, body, e);
}

uint64_t
ask_number(const json_t *j, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(j, key));

	return n > 0 ? (uint64_t)n : 0;
}

const char *
ask_text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s != NULL ? s : "-";
}

int
ask_check_id(const char *id, struct err *e)
{
	size_t n = strspn(id,
	    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-");

	if (n == 0 || n > ASK_ID_MAX || id[n] != '\0')
		return err_set(e, ERR_USAGE, "'%s' is no id", id);
	return 0;
}

int
ask_print_json(const json_t *j)
{
	struct buf out AUTO_BUF = { 0 };

	json_format(&out, j);
	fputs(buf_cstr(&out), stdout);
	return cli_flush();
}
