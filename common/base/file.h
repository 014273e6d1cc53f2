/*
 * Whole files: read with a limit, replaced atomically and durably.  Failures
 * of the system are ERR_PERM (EACCES, EPERM), ERR_RETRY (no space) or
 * ERR_LOCAL; a file of the wrong type or over the limit is ERR_INPUT.
 */
#ifndef WAYBILL_BASE_FILE_H
#define WAYBILL_BASE_FILE_H

#include <sys/types.h>
#include "common/base/buf.h"
#include "common/base/err.h"

/* Reads a regular file of at most max octets into ret (which must be empty). */
int file_read(
    const char *path, size_t max, struct buf *ret, struct err *e) WARN_UNUSED;
/* Writes path.tmp, fsyncs, renames, fsyncs the folder.  The file gets exactly
 * `mode`.  On failure path is as it was, but for a failing fsync of the
 * folder: then it may be either. */
int file_write(const char *path, mode_t mode, struct bytes data,
    struct err *e) WARN_UNUSED;
/* Copies a regular file of any size; `to` must not be there, gets mode 0600 and
 * is on the disk when this returns, but for its name in the folder.  On failure
 * it is not there. */
int file_copy(const char *from, const char *to, struct err *e) WARN_UNUSED;
/* mkdir -p for the last component and its parents, each made durable; an
 * existing folder is fine. */
int file_mkdirs(const char *path, mode_t mode, struct err *e) WARN_UNUSED;
int file_sync_dir(const char *path, struct err *e) WARN_UNUSED;
/* malloc'd "dir/name". */
char *path_join(const char *dir, const char *name);

#endif
