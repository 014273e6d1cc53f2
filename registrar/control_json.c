#include "registrar/control_json.h"

json_t *
json_id(const struct registrar *r, uint64_t id)
{
	char text[ENTRY_ID_TEXT];

	return id == 0
	    ? json_null()
	    : json_string(entry_id_format(text, outbox_epoch(r->outbox), id));
}

json_t *
json_time(uint64_t seconds)
{
	char text[21];

	return seconds == 0 ? json_null()
			    : json_string(clock_format(text, seconds));
}
