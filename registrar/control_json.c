#include "registrar/control_json.h"

#include "common/queue/queue_json.h"

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

json_t *
json_entry(const struct registrar *r, const struct outbox_entry *en)
{
	uint64_t now = clock_now().time, since = en->received.time;
	json_t *j = json_pack("{s:o, s:I, s:s, s:i, s:s, s:b, s:b, s:o, s:o,"
			      " s:I, s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:o,"
			      " s:o}",
	    "id", json_id(r, en->id), "number", (json_int_t)en->id, "kind",
	    entry_kind_name(en->kind), "step", (int)en->step, "state",
	    entry_state_name(en->state), "held", en->held, "late", en->late,
	    "device", json_text(en->label), "received", json_time(since), "age",
	    (json_int_t)(now > since ? now - since : 0), "changed",
	    json_time(en->changed), "deadline", json_time(en->deadline),
	    "handouts", (int)en->handouts, "carrier", json_text(en->carrier),
	    "replaces", json_id(r, en->replaces), "replaced_by",
	    json_id(r, en->replaced_by), "parent", json_id(r, en->parent),
	    "answer",
	    en->answer_code == 0 ? json_null()
				 : json_text(batch_code_name(en->answer_code)),
	    "reason", json_text(en->reason));

	json_object_set_new(j, "vendor", json_text(en->vendor));
	json_object_set_new(j, "resend", json_boolean(en->resend));
	json_object_set_new(j, "pruned", json_boolean(en->pruned));
	json_object_set_new(j, "held_who", json_text(en->held_who));
	json_object_set_new(j, "held_why", json_text(en->held_why));
	json_object_set_new(j, "held_since", json_time(en->held_since));
	return j;
}

void
json_record(const struct audit_record *a, void *arg)
{
	json_array_append_new(arg, audit_record_json(a));
}

void
control_who(const struct https_req *q, char *ret, size_t size)
{
	snprintf(ret, size, "uid %u", (unsigned)https_peer_uid(q));
}
