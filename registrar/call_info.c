/* genm (RFC 9483 4.3): what a device may ask about the domain. */
#include "registrar/call_int.h"

#include "common/base/str.h"

static const enum cmp_info_type known[] = { CMP_INFO_CA_CERTS,
	CMP_INFO_TEMPLATE, CMP_INFO_ROOT_CERT, CMP_INFO_CRL_STATUS };

static int
info_check(struct call *c, struct cmp_info *ret, struct err *e)
{
	if (cmp_read_info(c->m, ret, e) == -1)
		return -1;
	for (size_t i = 0; i < NELEMS(known); i++)
		if (known[i] == ret->type)
			return 0;
	return err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
	    "genm: id-it %d is not told here", (int)ret->type);
}

/* RFC 9483 3.6.2: whatever is wrong with a genm is an error. */
void
call_info(struct call *c)
{
	struct cmp_info asked;
	struct err e = ERR_INIT;

	if (info_check(c, &asked, &e) == -1)
		call_error(c, &e);
	else
		call_enter(c);
}
