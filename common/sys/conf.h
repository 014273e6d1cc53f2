/*
 * Configuration by table: libyaml reads, one table per section says what is
 * allowed.  The parser, --print-config and the man page test read the same
 * table.  Every mistake is one line: file:line:col: path: reason.
 */
#ifndef WAYBILL_SYS_CONF_H
#define WAYBILL_SYS_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "common/base/err.h"

enum conf_type {
	CONF_STR,  /* char *; min and max are its length */
	CONF_INT,  /* uint64_t; min and max */
	CONF_BOOL, /* bool; only true and false */
	CONF_DUR,  /* uint64_t milliseconds; "30s"; min and max in ms */
	CONF_SIZE, /* uint64_t octets; "1GiB" */
	CONF_ENUM, /* int, index into names */
	CONF_MAP,  /* nested struct by sub */
	CONF_STRS, /* struct conf_strs: list of strings; min and max count them,
		      check sees each */
	CONF_LIST  /* struct conf_list: list of maps by sub, item size `size`;
		      min and max count them */
};

struct conf_strs {
	char **v;
	size_t n;
};

struct conf_list {
	void *v; /* n structs of the item's size */
	size_t n;
};

struct conf_item {
	const char *key;
	enum conf_type type;
	size_t off; /* offsetof in the struct of this table */
	/* Default as text, parsed like the file; NULL: required.  For MAP "":
	 * may be left out; what it requires then stays zero, the rest gets its
	 * defaults.  For STRS and LIST "" is empty, other text one string.  For
	 * STR "" leaves NULL. */
	const char *def;
	uint64_t min, max; /* 0, 0: no limits */
	const char *const *names;
	const struct conf_item *sub;
	size_t size;
	int (*check)(const char *value, struct err *e);
	const char *help; /* one phrase for --print-config and the man page */
};
/* A table ends with an item whose key is NULL. */

/*
 * Reads path (a regular file of at most 256 KiB) into `out`, which must be
 * zeroed.  Refused: unknown and duplicate keys, anchors, aliases, tags, second
 * documents, depth over 8, octets 0.  ERR_CONF.  On failure `out` is freed and
 * zeroed again.
 */
int conf_load(const char *path, const struct conf_item *table, void *out,
    struct err *e) WARN_UNUSED;
void conf_free(const struct conf_item *table, void *out);
/* For commands, which have no table of another program's file: the malloc'd
 * text that stands under section and key, or NULL; ERR_CONF as conf_load, or
 * if it is not there. */
char *conf_value(const char *path, const char *section, const char *key,
    struct err *e) WARN_UNUSED;
/* YAML text of every value, each with "# file:line" or "# default"; conf_load
 * reads it back.  Reads path once more, for the lines alone. */
void conf_print(const char *path, const struct conf_item *table, void *loaded,
    struct buf *out);

/* Checks for items: name_valid, host:port, an existing file. */
int conf_check_name(const char *value, struct err *e);
int conf_check_hostport(const char *value, struct err *e);

#endif
