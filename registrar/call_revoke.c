/* rr (RFC 9483 4.2): a device gives up its own certificate. */
#include "registrar/call_int.h"

static int
revoke_check(struct call *c, struct err *e)
{
	struct cmp_revocation what;

	if (cmp_read_rr(c->m, &what, e) == -1)
		return -1;
	/* RFC 9483 4.2: signed with what is to be revoked. */
	if (!cmp_names_cert(&what.cert, c->admit.signer))
		return err_fail(e, ERR_POLICY, CMP_NOT_AUTHORIZED,
		    "RFC 9483 4.2: not signed with the certificate that is to "
		    "be revoked");
	return 0;
}

void
call_revoke(struct call *c)
{
	struct err e = ERR_INIT;

	if (revoke_check(c, &e) == -1)
		call_rejection(c, &e);
	else
		call_enter(c);
}
