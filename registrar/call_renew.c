/* kur (RFC 9483 4.1.3): a device of this domain renews what it signs with. */
#include "registrar/call_int.h"

static int
renew_check(struct call *c, struct err *e)
{
	if (cmp_read_request(c->m, &c->want, e) == -1)
		return -1;
	/* RFC 9483 4.1.3: oldCertId may be left out. */
	if (c->want.has_old && !cmp_names_cert(&c->want.old, c->admit.signer))
		return err_fail(e, ERR_INPUT, CMP_BAD_CERT_ID,
		    "RFC 9483 4.1.3: oldCertId is not the signer's "
		    "certificate");
	return 0;
}

void
call_renew(struct call *c)
{
	struct err e = ERR_INIT;

	if (renew_check(c, &e) == -1)
		call_rejection(c, &e);
	else
		call_enter(c);
}
