/* Entry ids, as people type them. */
#include <stdlib.h>
#include <string.h>

#include "common/queue/entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t epoch[ENTRY_EPOCH_LEN] = "an epoch of 16 .";
	char text[2 * ENTRY_ID_TEXT], again[ENTRY_ID_TEXT];
	struct err e = ERR_INIT;
	uint64_t id = 7777, second = 0;

	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (entry_id_parse(text, epoch, &id, &e) == -1) {
		if (e.kind != ERR_INPUT || id != 7777)
			abort();
		return 0;
	}
	entry_id_format(again, epoch, id);
	if (entry_id_parse(again, epoch, &second, &e) == -1 || second != id)
		abort();
	return 0;
}
