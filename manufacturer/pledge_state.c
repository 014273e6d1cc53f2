#include "manufacturer/pledge_state.h"

#include <unistd.h>
#include "common/base/file.h"
#include "common/pki/cmp.h"

static const char *const names[PLEDGE_FILE__MAX] = {
	[PLEDGE_VOUCHER_REQUEST] = "voucher-request.der",
	[PLEDGE_VOUCHER] = "voucher.vcj",
	[PLEDGE_VOUCHER_STATUS] = "voucher-status.json",
	[PLEDGE_KEY] = "key.pem",
	[PLEDGE_REQUEST] = "request.der",
	[PLEDGE_LAST] = "last.der",
	[PLEDGE_FINAL] = "final.der",
	[PLEDGE_CERTCONF] = "certconf.der",
};

static void
state_remove(const char *dir, const enum pledge_file *order, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		AUTO(char) path = path_join(dir, names[order[i]]);

		unlink(path);
	}
}

int
pledge_state_read(
    const char *dir, enum pledge_file f, struct buf *ret, struct err *e)
{
	AUTO(char) path = path_join(dir, names[f]);

	if (access(path, F_OK) == -1)
		return 0;
	return file_read(path, CMP_MAX, ret, e) == -1 ? -1 : 1;
}

int
pledge_state_write(
    const char *dir, enum pledge_file f, struct bytes data, struct err *e)
{
	AUTO(char) path = path_join(dir, names[f]);

	return file_write(path, 0600, data, e);
}

/* A request goes first and the key last: a power cut in between leaves files
 * that the next run can only start anew from. */
void
pledge_state_clear_enrolment(const char *dir)
{
	static const enum pledge_file order[] = { PLEDGE_REQUEST, PLEDGE_LAST,
		PLEDGE_FINAL, PLEDGE_CERTCONF, PLEDGE_KEY };

	state_remove(dir, order, NELEMS(order));
}

void
pledge_state_clear(const char *dir)
{
	static const enum pledge_file order[] = { PLEDGE_VOUCHER_REQUEST,
		PLEDGE_VOUCHER, PLEDGE_VOUCHER_STATUS };

	state_remove(dir, order, NELEMS(order));
	pledge_state_clear_enrolment(dir);
}
