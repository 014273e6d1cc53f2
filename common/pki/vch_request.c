#include <stddef.h>

#include "common/pki/vch_json.h"

#define TOP "ietf-voucher-request:voucher"

#define MEMBER(n, read, field, must) \
	{ \
		n, "RFC 8995 3.4", read, offsetof(struct vch_request, field), \
		    sizeof(((struct vch_request *)NULL)->field), must \
	}

void
vch_request_done(struct vch_request *v)
{
	buf_done(&v->idevid_issuer);
	buf_done(&v->proximity);
	buf_done(&v->prior);
	*v = (struct vch_request){ 0 };
}

int
vch_request_parse(struct bytes json, struct vch_request *ret, struct err *e)
{
	static const struct vch_member members[] = {
		MEMBER("created-on", vch_read_text, created_on, false),
		MEMBER("assertion", vch_read_assertion, assertion, false),
		MEMBER("nonce", vch_read_opaque, nonce, false),
		MEMBER("serial-number", vch_read_text, serial, true),
		MEMBER("idevid-issuer", vch_read_octets, idevid_issuer, false),
		MEMBER("proximity-registrar-cert", vch_read_octets, proximity,
		    false),
		MEMBER("prior-signed-voucher-request", vch_read_octets, prior,
		    false),
	};
	__attribute__((cleanup(vch_request_done))) struct vch_request v = { 0 };
	AUTO(json_t) j = NULL;

	if (vch_read_top(json, TOP, "voucher request", &j, e) == -1 ||
	    vch_read(j, members, NELEMS(members), "voucher request", &v, e) ==
		-1)
		return -1;
	*ret = v;
	v = (struct vch_request){ 0 };
	return 0;
}

void
vch_request_format(const struct vch_request *v, struct buf *out)
{
	json_t *j = json_object();

	vch_set_text(j, "created-on", v->created_on);
	vch_set_assertion(j, v->assertion);
	vch_set_text(j, "nonce", v->nonce);
	vch_set_text(j, "serial-number", v->serial);
	vch_set_octets(j, "idevid-issuer", buf_bytes(&v->idevid_issuer));
	vch_set_octets(j, "proximity-registrar-cert", buf_bytes(&v->proximity));
	vch_set_octets(j, "prior-signed-voucher-request", buf_bytes(&v->prior));
	vch_write_top(TOP, j, out);
}
