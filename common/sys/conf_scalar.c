#include "common/sys/conf_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "common/base/str.h"

int
conf_fail(struct conf_walk *w, const struct node *at, const char *fmt, ...)
{
	char why[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (at == NULL)
		return err_set(w->e, ERR_CONF, "%s: default: %s: %s", w->file,
		    w->path, why);
	return err_set(w->e, ERR_CONF, "%s:%u:%u: %s%s%s", w->file, at->line,
	    at->col, w->path, w->path[0] != '\0' ? ": " : "", why);
}

int
conf_in_range(struct conf_walk *w, const struct conf_item *it,
    const struct node *at, uint64_t v, const char *what)
{
	if ((it->min == 0 && it->max == 0) || (v >= it->min && v <= it->max))
		return 0;
	return conf_fail(w, at, "%s %llu, expected %llu to %llu", what,
	    (unsigned long long)v, (unsigned long long)it->min,
	    (unsigned long long)it->max);
}

static int
set_text(struct conf_walk *w, const struct conf_item *it, const struct node *at,
    const char *text, char **ret)
{
	if (conf_in_range(w, it, at, strlen(text), "length") == -1)
		return -1;
	*ret = xstrdup(text);
	return 0;
}

/* One parser a kind of number; "30s, 5m" and "64KiB" name their form. */
static int
set_number(struct conf_walk *w, const struct conf_item *it,
    const struct node *at, const char *text, uint64_t *ret)
{
	static const char *const forms[] = {
		[CONF_INT] = "a whole number",
		[CONF_DUR] = "a duration such as 250ms, 30s, 5m, 12h, 30d",
		[CONF_SIZE] = "a size such as 512, 64KiB, 1GiB",
	};
	uint64_t v;
	int rc;

	if (it->type == CONF_DUR)
		rc = duration_parse(text, &v, NULL);
	else if (it->type == CONF_SIZE)
		rc = size_parse(text, &v, NULL);
	else
		rc = number_parse(text, 0, UINT64_MAX, &v, NULL);
	if (rc == -1)
		return conf_fail(
		    w, at, "'%s' is not %s", text, forms[it->type]);
	if ((it->min != 0 || it->max != 0) && (v < it->min || v > it->max))
		return conf_fail(w, at, "'%s' is out of range, %llu to %llu%s",
		    text, (unsigned long long)it->min,
		    (unsigned long long)it->max,
		    it->type == CONF_DUR ? " ms" : "");
	*ret = v;
	return 0;
}

static int
set_bool(
    struct conf_walk *w, const struct node *at, const char *text, bool *ret)
{
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return conf_fail(w, at, "'%s' is not one of true, false", text);
	*ret = text[0] == 't';
	return 0;
}

static int
set_enum(struct conf_walk *w, const struct conf_item *it, const struct node *at,
    const char *text, int *ret)
{
	struct buf known AUTO_BUF = { 0 };
	int i;

	for (i = 0; it->names[i] != NULL; i++) {
		if (strcmp(it->names[i], text) == 0) {
			*ret = i;
			return 0;
		}
		buf_printf(&known, "%s%s", i > 0 ? ", " : "", it->names[i]);
	}
	return conf_fail(
	    w, at, "'%s' is not one of %s", text, buf_cstr(&known));
}

int
conf_set_scalar(struct conf_walk *w, const struct conf_item *it,
    const struct node *at, const char *text, void *ret)
{
	struct err why = ERR_INIT;

	if (it->check != NULL && it->check(text, &why) == -1)
		return conf_fail(w, at, "%s", why.msg);
	switch (it->type) {
	case CONF_STR:
	case CONF_STRS:
		return set_text(w, it, at, text, ret);
	case CONF_INT:
	case CONF_DUR:
	case CONF_SIZE:
		return set_number(w, it, at, text, ret);
	case CONF_BOOL:
		return set_bool(w, at, text, ret);
	case CONF_ENUM:
		return set_enum(w, it, at, text, ret);
	case CONF_MAP:
	case CONF_LIST:
		break;
	}
	return conf_fail(w, at, "no scalar");
}

int
conf_check_name(const char *value, struct err *e)
{
	if (name_valid(value))
		return 0;
	return err_set(e, ERR_CONF,
	    "'%s' is not a name: 1 to 32 of a-z, 0-9, '-', "
	    "a letter first",
	    value);
}

int
conf_check_hostport(const char *value, struct err *e)
{
	char host[64], port[6];

	if (hostport_parse(value, host, port, NULL) == 0)
		return 0;
	return err_set(
	    e, ERR_CONF, "'%s' is not host:port or [v6]:port", value);
}
