#include "ra/control_revoke.h"

#include <string.h>
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/service/control_api.h"
#include "common/service/ledger_certs.h"
#include "ra/crlmaker.h"

static const char *const reasons[] = {
	[0] = "unspecified",
	[1] = "keyCompromise",
	[2] = "cACompromise",
	[3] = "affiliationChanged",
	[4] = "superseded",
	[5] = "cessationOfOperation",
	[9] = "privilegeWithdrawn",
	[10] = "aACompromise",
};

int
revoke_reason(const char *name)
{
	for (size_t i = 0; i < NELEMS(reasons); i++)
		if (reasons[i] != NULL && strcmp(reasons[i], name) == 0)
			return (int)i;
	return -1;
}

/* A request under way. */
struct revoking {
	struct service *service;
	struct https_req *q;
	char who[32], why[LEDGER_REASON_MAX];
	struct ledger_revoke x;
};

static void
reply(struct revoking *r, const struct err *failed)
{
	struct ra *ra = r->service->owner;
	struct ledger_revoke *x = &r->x;
	struct err e = ERR_INIT;

	if (failed == NULL && x->is == LEDGER_REVOKED_BEFORE)
		err_set(&e, ERR_POLICY, "certificate %s is revoked already",
		    x->serial);
	else if (failed == NULL && x->is == LEDGER_NO_CERTIFICATE)
		err_set(&e, ERR_POLICY, "case %llu has no certificate",
		    (unsigned long long)x->id);
	if (failed != NULL || e.kind != ERR_NONE) {
		control_reply_error(r->q, failed != NULL ? failed : &e);
		return;
	}
	log_event(LOG_WARN, "certificate.revoked", "certificate", "%s",
	    x->serial, "case", "%llu", (unsigned long long)x->id, "who", "%s",
	    r->who, "reason", "%s", reasons[x->reason], NULL);
	crlmaker_wake(ra->crlmaker);
	control_json(r->q, 200,
	    json_pack("{s:I, s:s, s:s}", "case", (json_int_t)x->id, "serial",
		x->serial, "reason", reasons[x->reason]));
}

static void
revoked(void *arg, const struct err *failed)
{
	struct ledger_revoke *x = arg;
	struct revoking *r = x->user;

	reply(r, failed);
	free(r);
}

/* By case or by serial number. */
static int
which(struct service *s, const json_t *body, uint64_t *ret, struct err *e)
{
	const char *serial = json_string_value(json_object_get(body, "serial"));
	json_int_t id = json_integer_value(json_object_get(body, "case"));
	int rc;

	if ((serial == NULL) == (id <= 0))
		return err_set(
		    e, ERR_INPUT, "one of case and serial is needed");
	if (serial == NULL) {
		*ret = (uint64_t)id;
		return 0;
	}
	if ((rc = ledger_find_serial(s->ledger, serial, ret, e)) == 0)
		return err_set(e, ERR_INPUT,
		    "no certificate %.64s was issued here", serial);
	return rc == -1 ? -1 : 0;
}

static int
read_body(
    struct service *s, struct https_req *q, struct revoking *r, struct err *e)
{
	AUTO(json_t) body = control_body(q, e);
	const char *reason, *why;
	int n;

	if (body == NULL)
		return -1;
	reason = json_string_value(json_object_get(body, "reason"));
	why = json_string_value(json_object_get(body, "why"));
	n = reason != NULL ? revoke_reason(reason) : -1;
	if (n == -1)
		return err_set(e, ERR_INPUT,
		    "reason: unspecified, keyCompromise, cACompromise, "
		    "affiliationChanged, superseded, cessationOfOperation, "
		    "privilegeWithdrawn or aACompromise");
	if (which(s, body, &r->x.id, e) == -1)
		return -1;
	entry_text(r->why, sizeof(r->why), why != NULL ? why : reason);
	r->x.reason = (unsigned)n;
	return 0;
}

void
control_revoke(struct service *s, struct https_req *q, const char *rest)
{
	struct revoking *r = xcalloc(1, sizeof(*r));
	struct err e = ERR_INIT;

	(void)rest;
	if (read_body(s, q, r, &e) == -1) {
		control_reply_error(q, &e);
		free(r);
		return;
	}
	r->service = s;
	r->q = q;
	control_who(q, r->who, sizeof(r->who));
	r->x.who = r->who;
	r->x.why = r->why;
	r->x.user = r;
	ledger_revoke(s->ledger, &r->x, revoked, loop_poster(s->loop));
}
