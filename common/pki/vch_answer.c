#include <assert.h>
#include <stddef.h>

#include "common/base/cbor.h"
#include "common/base/str.h"
#include "common/pki/vch_json.h"

#define FORMAT	   1
#define STATUS_MAX 999 /* of HTTP */

/* ---- what a pledge says of its voucher ----------------------------------- */

#define MEMBER(n, read, field, must) \
	{ \
		n, "RFC 8995 5.7", read, offsetof(struct vch_status, field), \
		    sizeof(((struct vch_status *)NULL)->field), must \
	}

int
vch_status_parse(struct bytes json, struct vch_status *ret, struct err *e)
{
	static const struct vch_member members[] = {
		MEMBER("version", vch_read_number, version, true),
		MEMBER("status", vch_read_bool, status, true),
		MEMBER("reason", vch_read_line, reason, false),
	};
	AUTO(json_t) j = json_parse(json, VCH_JSON_MAX, e);
	struct vch_status s = { 0 };

	if (j == NULL)
		return err_prefix(e, "status");
	if (vch_read(j, members, NELEMS(members), "status", &s, e) == -1)
		return -1;
	*ret = s;
	return 0;
}

void
vch_status_format(const struct vch_status *s, struct buf *out)
{
	AUTO(json_t) j = json_pack("{s:b, s:I}", "status", s->status, "version",
	    (json_int_t)s->version);
	char reason[sizeof(s->reason)];

	if (j == NULL)
		err_die("json: cannot be built");
	vch_copy_line(reason, sizeof(reason), s->reason);
	vch_set_text(j, "reason", reason);
	json_format(out, j);
}

/* ---- what the MASA said -------------------------------------------------- */

void
vch_answer_format(const struct vch_answer *a, struct buf *out)
{
	char reason[sizeof(a->reason)];

	assert(a->status <= STATUS_MAX && a->log_status <= STATUS_MAX);
	assert(a->voucher.len <= CMS_OCTETS_MAX && a->log.len <= VCH_JSON_MAX);
	vch_copy_line(reason, sizeof(reason), a->reason);
	cbor_write_array(out, 6);
	cbor_write_uint(out, FORMAT);
	cbor_write_uint(out, a->status);
	cbor_write_text(out, reason);
	cbor_write_bytes_or_null(out, a->voucher.p, a->voucher.len);
	cbor_write_uint(out, a->log_status);
	cbor_write_bytes_or_null(out, a->log.p, a->log.len);
}

int
vch_answer_parse(struct bytes in, struct vch_answer *ret, struct err *e)
{
	struct vch_answer a = { 0 };
	struct cbor_in r;

	cbor_read_init(&r, in, "voucher answer");
	cbor_read_array(&r, 6);
	if (cbor_read_uint(&r, UINT64_MAX) != FORMAT)
		cbor_read_bad(&r, "format unknown");
	a.status = (unsigned)cbor_read_uint(&r, STATUS_MAX);
	cbor_read_text(&r, a.reason, sizeof(a.reason));
	cbor_read_bytes_or_null(&r, CMS_OCTETS_MAX, &a.voucher);
	a.log_status = (unsigned)cbor_read_uint(&r, STATUS_MAX);
	cbor_read_bytes_or_null(&r, VCH_JSON_MAX, &a.log);
	if (cbor_read_end(&r, e) == -1)
		return -1;
	*ret = a;
	return 0;
}
