/* What the commands for vouchers share. */
#ifndef WAYBILL_CLI_VOUCHER_H
#define WAYBILL_CLI_VOUCHER_H

#include "cli/ask.h"

#define VOUCHER_PATH "/v1/voucher"

/* What an entry's state means for who wants its voucher. */
enum voucher_fate {
	VOUCHER_WAITING, /* nobody has answered yet */
	VOUCHER_HERE,
	VOUCHER_NEVER /* refused, or given up */
};
enum voucher_fate voucher_fate_of(const char *state);

#endif
