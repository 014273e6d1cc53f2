/*
 * What write_record.c writes down and crash_disk.c reads: every change of a
 * folder's files and names, and every sync, in the order in which they
 * happened.  One record is this head, then `len` octets, padded to nothing.
 */
#ifndef WAYBILL_TESTS_RECORD_H
#define WAYBILL_TESTS_RECORD_H

#include <stddef.h>
#include <stdint.h>

/* Files and folders are known by their inode. */
enum record_op {
	RECORD_ROOT = 1,   /* file: the recorded folder */
	RECORD_MKDIR,	   /* folder `dir` names `file` so; octets: the name */
	RECORD_CREATE,	   /* the same of a regular file */
	RECORD_RENAME,	   /* `at`: the folder it leaves; octets: the old name,
			      NUL, the new one, which stands in `dir` */
	RECORD_UNLINK,	   /* folder `dir`; octets: the name */
	RECORD_WRITE,	   /* octets at `at` */
	RECORD_WRITE_SYNC, /* the same by O_DSYNC or O_SYNC: on disk */
	RECORD_SYNC,	   /* all of `file`; of a folder: its names */
	RECORD_TRUNCATE,   /* to `at` octets */
	RECORD_ALLOCATE,   /* at least `at` octets */
	RECORD_UNKNOWN,	   /* octets: a call that the model does not know */
	RECORD_MARK,	   /* octets of the recorded program's own */
	RECORD_OP__MAX
};

struct record {
	uint32_t op, len;
	uint64_t file, dir, at;
};

/* Puts a mark into the record.  NULL in a program that is not recorded. */
__attribute__((weak)) void write_record_mark(const void *p, size_t n);

#endif
