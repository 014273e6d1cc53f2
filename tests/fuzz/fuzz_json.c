/* JSON of vouchers, audit logs and the control sockets: what is read is written
 * in one form, which reads as itself. */
#include <stdlib.h>

#include "common/base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX (48 * 1024)

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf first AUTO_BUF = { 0 }, second AUTO_BUF = { 0 };
	AUTO(json_t) j = NULL, again = NULL;
	struct err e = ERR_INIT;

	if ((j = json_parse(bytes_of(data, size), TEXT_MAX, &e)) == NULL) {
		if (e.kind != ERR_INPUT)
			abort();
		return 0;
	}
	if (size > TEXT_MAX)
		abort();
	json_format(&first, j);
	/* Escapes may take it over the limit. */
	if ((again = json_parse(buf_bytes(&first), SIZE_MAX, &e)) == NULL)
		err_die(e.msg);
	json_format(&second, again);
	if (!bytes_eq(buf_bytes(&first), buf_bytes(&second)))
		abort();
	return 0;
}
