/* Read before each file by tests/lint/tidy: clang-tidy sees one file at a time,
 * and would think that these may return 0, after which outputs are not set. */
#ifndef WAYBILL_LINT_TIDY_H
#define WAYBILL_LINT_TIDY_H

#include "common/pki/ossl.h"

#define err_set(...)	(err_set(__VA_ARGS__), -1)
#define err_fail(...)	(err_fail(__VA_ARGS__), -1)
#define err_errno(...)	(err_errno(__VA_ARGS__), -1)
#define err_prefix(...) (err_prefix(__VA_ARGS__), -1)
#define err_ossl(...)	(err_ossl(__VA_ARGS__), -1)

#endif
