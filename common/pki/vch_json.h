/*
 * Members of the JSON that vouchers are made of, private to the vch_* files:
 * a table says which there are, one loop reads them into a struct.
 */
#ifndef WAYBILL_PKI_VCH_JSON_H
#define WAYBILL_PKI_VCH_JSON_H

#include "common/base/json.h"
#include "common/pki/voucher.h"

struct vch_member {
	const char *name, *clause; /* for messages: "RFC 8366 5.3" */
	/* What is found becomes `dst`, which has `size` octets if it is text;
	 * returns what is wrong, or NULL. */
	const char *(*read)(const json_t *j, void *dst, size_t size);
	size_t offset, size;
	bool required;
};

/* Of the members of j those in the table; others are ignored.  On failure ret
 * is half filled. */
int vch_read(const json_t *j, const struct vch_member *table, size_t n,
    const char *what, void *ret, struct err *e) WARN_UNUSED;

/* Readers, by what they fill. */
const char *vch_read_text(const json_t *j, void *dst, size_t size);
const char *vch_read_opaque(const json_t *j, void *dst, size_t size);
const char *vch_read_line(const json_t *j, void *dst, size_t size);
const char *vch_read_bool(const json_t *j, void *dst, size_t size);
const char *vch_read_number(const json_t *j, void *dst, size_t size);
const char *vch_read_assertion(const json_t *j, void *dst, size_t size);
const char *vch_read_octets(const json_t *j, void *dst, size_t size);
const char *vch_read_cert(const json_t *j, void *dst, size_t size);
const char *vch_read_time(const json_t *j, void *dst, size_t size);

/* The one object of this name in the text. */
int vch_read_top(struct bytes text, const char *name, const char *what,
    json_t **ret, struct err *e) WARN_UNUSED;

/* What is empty is left out; s is UTF-8. */
void vch_set_text(json_t *j, const char *name, const char *s);
void vch_set_octets(json_t *j, const char *name, struct bytes b);
void vch_set_assertion(json_t *j, enum vch_assertion a);
/* Appends {"name": j}; j is taken. */
void vch_write_top(const char *name, json_t *j, struct buf *out);

/* Copies what is printable ASCII, '?' for the rest; always terminates. */
void vch_copy_line(char *dst, size_t size, const char *src);

#endif
