#include "registrar/control_voucher.h"

#include <string.h>
#include "common/base/limits.h"
#include "common/base/str.h"
#include "registrar/control_json.h"
#include "registrar/prefetch.h"

#define LIST_MAX    10000
#define SERIALS_MAX LIMIT_CONTROL_SERIALS

/* ---- listing ---------------------------------------------------------- */

struct listing {
	struct registrar *r;
	json_t *vouchers;
};

static json_t *
voucher_json(struct registrar *r, const struct outbox_entry *en,
    const struct prefetched *p)
{
	return json_pack("{s:o, s:I, s:s, s:s, s:s, s:o, s:o}", "id",
	    json_id(r, en->id), "number", (json_int_t)en->id, "serial",
	    p->serial, "vendor", p->vendor, "state",
	    entry_state_name(en->state), "expires", json_time(p->expires),
	    "reason", json_text(en->reason));
}

static void
list_one(const struct outbox_entry *en, void *arg)
{
	struct listing *l = arg;
	struct prefetched p = { 0 };
	struct err e = ERR_INIT;

	if (prefetch_read(l->r, en, &p, &e) == 1)
		json_array_append_new(l->vouchers, voucher_json(l->r, en, &p));
	prefetched_done(&p);
}

void
voucher_list(struct registrar *r, struct https_req *q, const char *rest)
{
	struct listing l = { r, json_array() };
	struct err e = ERR_INIT;

	(void)rest;
	if (outbox_list(r->outbox, 0, LIST_MAX, list_one, &l, &e) == -1) {
		json_decref(l.vouchers);
		control_error(q, 500, &e);
		return;
	}
	control_json(q, 200, json_pack("{s:o}", "vouchers", l.vouchers));
}

void
voucher_show(struct registrar *r, struct https_req *q, const char *rest)
{
	struct outbox_entry en;
	struct prefetched p = { 0 };
	struct buf text AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	uint64_t id;

	if (entry_id_parse(rest, outbox_epoch(r->outbox), &id, &e) == -1 ||
	    outbox_get(r->outbox, id, &en, &e) != 1 ||
	    prefetch_read(r, &en, &p, &e) != 1) {
		err_set(&e, ERR_INPUT, "no voucher on hand under %s", rest);
		control_error(q, 404, &e);
	} else {
		base64_format(&text, p.voucher.data, p.voucher.len);
		control_json(q, 200,
		    json_pack("{s:o, s:s, s:s, s:o}", "id", json_id(r, id),
			"serial", p.serial, "vendor", p.vendor, "voucher",
			json_text(buf_cstr(&text))));
	}
	prefetched_done(&p);
}

/* ---- prefetch --------------------------------------------------------- */

/* One command's list, answered when the last of it is committed. */
struct prefetches {
	struct registrar *r;
	struct https_req *q;
	json_t *accepted, *failed;
	size_t pending;
};

static void
prefetches_end(struct prefetches *all)
{
	if (--all->pending > 0)
		return;
	control_json(all->q, 200,
	    json_pack("{s:o, s:o}", "accepted", all->accepted, "failed",
		all->failed));
	free(all);
}

static void
prefetches_failed(
    struct prefetches *all, const char *serial, const struct err *e)
{
	json_array_append_new(all->failed,
	    json_pack(
		"{s:s, s:o}", "serial", serial, "error", json_text(e->msg)));
}

static void
prefetch_kept(struct prefetch *p, const struct err *e)
{
	struct prefetches *all = p->user;

	if (e != NULL)
		prefetches_failed(all, p->serial, e);
	else
		json_array_append_new(all->accepted,
		    json_pack("{s:s, s:o}", "serial", p->serial, "id",
			json_id(all->r, p->accept.entry.id)));
	prefetches_end(all);
}

static void
prefetches_start(struct prefetches *all, const char *vendor, json_t *serials)
{
	struct err e = ERR_INIT;
	json_t *item;
	size_t i;

	all->pending = 1;
	json_array_foreach(serials, i, item)
	{
		const char *serial = json_string_value(item);

		all->pending++;
		if (prefetch_start(all->r, all->r->loops[0], vendor, serial,
			bytes_of(NULL, 0), prefetch_kept, all, &e) == 0)
			continue;
		prefetches_failed(all, serial, &e);
		all->pending--;
	}
	prefetches_end(all);
}

static bool
are_serials(const json_t *a)
{
	size_t n = json_array_size(a);

	for (size_t i = 0; i < n; i++)
		if (!json_is_string(json_array_get(a, i)))
			return false;
	return n > 0 && n <= SERIALS_MAX;
}

void
voucher_prefetch(struct registrar *r, struct https_req *q, const char *rest)
{
	struct err e = ERR_INIT;
	AUTO(json_t) in = json_parse(https_body(q), CONTROL_BODY_MAX, &e);
	struct prefetches *all;
	const char *vendor;
	json_t *serials;

	(void)rest;
	if (in == NULL ||
	    json_unpack(in, "{s:s, s:o}", "vendor", &vendor, "serials",
		&serials) == -1 ||
	    !are_serials(serials)) {
		err_set(&e, ERR_INPUT,
		    "wanted: {\"vendor\": NAME, \"serials\": [1 to %d of "
		    "them]}",
		    SERIALS_MAX);
		control_error(q, 400, &e);
		return;
	}
	all = xcalloc(1, sizeof(*all));
	all->r = r;
	all->q = q;
	all->accepted = json_array();
	all->failed = json_array();
	prefetches_start(all, vendor, serials);
}

/* ---- import ----------------------------------------------------------- */

struct import {
	struct registrar *r;
	struct https_req *q;
};

static void
import_kept(struct prefetch *p, const struct err *e)
{
	struct import *i = p->user;

	if (e != NULL)
		control_error(i->q, err_http_status(e->kind), e);
	else
		control_json(i->q, 200,
		    json_pack(
			"{s:o}", "id", json_id(i->r, p->accept.entry.id)));
	free(i);
}

static int
import_start(struct import *i, const json_t *in, struct err *e)
{
	const char *vendor, *serial, *text;
	struct buf voucher AUTO_BUF = { 0 };

	if (json_unpack((json_t *)in, "{s:s, s:s, s:s}", "vendor", &vendor,
		"serial", &serial, "voucher", &text) == -1)
		return err_set(e, ERR_INPUT,
		    "wanted: {\"vendor\", \"serial\", \"voucher\": base64}");
	if (base64_decode(text, CMS_OCTETS_MAX, &voucher, e) == -1)
		return -1;
	return prefetch_start(i->r, i->r->loops[0], vendor, serial,
	    buf_bytes(&voucher), import_kept, i, e);
}

void
voucher_import(struct registrar *r, struct https_req *q, const char *rest)
{
	struct err e = ERR_INIT;
	AUTO(json_t) in = json_parse(https_body(q), CONTROL_BODY_MAX, &e);
	struct import *i;

	(void)rest;
	if (in == NULL) {
		control_error(q, 400, &e);
		return;
	}
	i = xcalloc(1, sizeof(*i));
	i->r = r;
	i->q = q;
	if (import_start(i, in, &e) == -1) {
		control_error(q, err_http_status(e.kind), &e);
		free(i);
	}
}
