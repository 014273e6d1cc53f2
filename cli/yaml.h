/* Configuration files as `init` writes them. */
#ifndef WAYBILL_CLI_YAML_H
#define WAYBILL_CLI_YAML_H

#include "cli/folder.h"

/* "KEY: "VALUE"", quoted so that any path may stand there.  indent in steps of
 * two spaces. */
void yaml_text(
    struct buf *out, unsigned indent, const char *key, const char *value);
/* The same with DIR/NAME as the value. */
void yaml_file(struct buf *out, unsigned indent, const char *key,
    const struct folder *f, const char *name);
/* "KEY:" and its values, one a line. */
void yaml_list(
    struct buf *out, unsigned indent, const char *key, const json_t *texts);
/* "vendors:" with a map for each file NAME.pem of vendors/, by name; `more`
 * (NULL: nothing) adds the lines of one, indent 2, that name and anchor do not
 * tell. */
int yaml_vendors(struct buf *out, const struct folder *f,
    void (*more)(struct buf *out, const struct folder *f, const char *name,
	const void *arg),
    const void *arg, struct err *e) WARN_UNUSED;
/* KEY with vendors/NAMESUFFIX, if that is there. */
void yaml_vendor_file(struct buf *out, const struct folder *f, const char *key,
    const char *name, const char *suffix);

#endif
