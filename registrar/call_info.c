/*
 * genm (RFC 9483 4.3): what a device may ask about the domain.  Told at once,
 * under our protection, from what the RA sent down; else it travels as any
 * request, and the device waits.
 */
#include "registrar/call_int.h"

#include <string.h>
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/pki/crl.h"
#include "registrar/reference.h"

/* RFC 9483 4.3.4: the list, if it is of the issuer that is named and newer than
 * the asker's, else nothing.  Our certificates name no distribution point. */
static int
value_crl(struct bytes asked, struct bytes have, struct buf *out, struct err *e)
{
	uint64_t theirs, ours, next;
	AUTO(X509_CRL) crl = NULL;

	if (cmp_info_read_crl_status(asked, &theirs, e) == -1)
		return -1;
	if (have.len == 0)
		return 0;
	if ((crl = crl_parse(have, e)) == NULL ||
	    crl_dates(crl, &ours, &next, e) == -1) {
		e->kind = ERR_LOCAL;
		return -1;
	}
	if (ours > theirs && crl_is_by(crl, cmp_info_crl_issuer(asked)))
		cmp_info_crls(&have, 1, out);
	return 0;
}

/* The first element of a RootCaKeyUpdateContent is the newest root. */
static bool
is_newest_root(struct bytes root, struct bytes update)
{
	const uint8_t *p = update.p;
	int tag, class;
	long len;

	if (root.len == 0 || update.len == 0 ||
	    (ASN1_get_object(&p, &len, &tag, &class, (long)update.len) & 0x80))
		return false;
	return (size_t)len >= root.len && memcmp(p, root.p, root.len) == 0;
}

/* RFC 9483 4.3.2: nothing, if the asker has the newest. */
static int
value_root(
    struct bytes asked, struct bytes have, struct buf *out, struct err *e)
{
	AUTO(X509) root = NULL;

	if (asked.len > 0 && (root = cmp_info_read_root(asked, e)) == NULL)
		return -1;
	if (!is_newest_root(asked, have))
		buf_add(out, have.p, have.len);
	return 0;
}

static int
value_as_it_is(
    struct bytes asked, struct bytes have, struct buf *out, struct err *e)
{
	(void)asked, (void)e;
	buf_add(out, have.p, have.len);
	return 0;
}

/* What is told of each, by the name of its reference data.  `value` appends it;
 * with nothing to tell from it only looks at what was asked. */
static const struct info {
	enum cmp_info_type asked;
	const char *name;
	bool profiled; /* NAME/PROFILE if one was asked for */
	int (*value)(struct bytes asked, struct bytes have, struct buf *out,
	    struct err *e);
} infos[] = {
	{ CMP_INFO_CA_CERTS, "ca-certs", false, value_as_it_is },
	{ CMP_INFO_ROOT_CERT, "root-update", false, value_root },
	{ CMP_INFO_TEMPLATE, "template", true, value_as_it_is },
	{ CMP_INFO_CRL_STATUS, "crl", false, value_crl },
};

static const struct info *
info_read(const struct call *c, struct cmp_info *ret, struct err *e)
{
	struct buf none AUTO_BUF = { 0 };

	if (cmp_read_info(c->m, ret, e) == -1)
		return NULL;
	for (size_t i = 0; i < NELEMS(infos); i++)
		if (infos[i].asked == ret->type)
			return infos[i].value(
				   ret->value, bytes_of(NULL, 0), &none, e) == 0
			    ? &infos[i]
			    : NULL;
	err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
	    "genm: id-it %d is not told here", (int)ret->type);
	return NULL;
}

static void
info_note(const struct call *c, const char *name, uint64_t age)
{
	char text[32] = "unknown";

	if (age != REFERENCE_AGE_UNKNOWN)
		snprintf(text, sizeof(text), "%llu", (unsigned long long)age);
	log_event(LOG_INFO, "cmp.told", "device", "%s", c->admit.serial, "what",
	    "%s", name, "age", "%s", text, NULL);
}

/* From what is here: 1 told, 0 there is none, -1. */
static int
info_tell(struct call *c, const struct info *i, const struct cmp_info *asked,
    struct buf *body, struct err *e)
{
	char name[CMP_PROFILE_MAX + 16];
	struct buf have AUTO_BUF = { 0 }, value AUTO_BUF = { 0 };
	bool profiled = i->profiled && c->profile[0] != '\0';
	uint64_t age = 0;

	snprintf(name, sizeof(name), "%s%s%s", i->name, profiled ? "/" : "",
	    profiled ? c->profile : "");
	if (!reference_get(c->r, name, &have, &age))
		return 0;
	if (i->value(asked->value, buf_bytes(&have), &value, e) == -1)
		return -1;
	cmp_body_info(
	    CMP_GENP, cmp_info_answer(asked->type), buf_bytes(&value), body);
	info_note(c, name, age);
	return 1;
}

/* Whether this transaction travels already: then its answer is the RA's. */
static bool
info_travels(struct call *c)
{
	struct outbox_entry en;
	struct err e = ERR_INIT;

	return outbox_find(c->r->outbox, &c->row, &en, &e) != 0;
}

/* RFC 9483 3.6.2: whatever is wrong with a genm is an error. */
void
call_info(struct call *c)
{
	struct buf body AUTO_BUF = { 0 };
	struct cmp_info asked;
	struct err e = ERR_INIT;
	const struct info *i = info_read(c, &asked, &e);
	bool travels = i != NULL && info_travels(c);
	int told = i == NULL ? -1 : 0;

	if (i != NULL && !travels && admit_new(c->r, &c->admit, &e) == -1) {
		call_revoked(c, &e);
		return;
	}
	if (i != NULL && !travels)
		told = info_tell(c, i, &asked, &body, &e);
	if (told == -1)
		call_error(c, &e);
	else if (told == 1)
		call_answer(c, buf_bytes(&body));
	else
		call_enter(c);
}
