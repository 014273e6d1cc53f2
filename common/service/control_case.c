/* The control API's half for one case: all that is known of it, and what becomes
 * of one that nobody knows. */
#include <string.h>
#include "common/base/cbor.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/service/control_api.h"
#include "common/service/pulls.h"

#define HISTORY_MAX 500

/* ---- GET /v1/case/ID --------------------------------------------------- */

static void
add_history(const struct audit_record *a, void *arg)
{
	json_array_append_new(arg, control_json_record(a));
}

static int
json_facts(struct service *s, uint64_t id, json_t *ret, struct err *e)
{
	static const char *const levels[FACT__MAX] = { "claimed", "registrar",
		"end-to-end" };
	struct buf row AUTO_BUF = { 0 };
	struct facts f = { 0 };
	struct cbor_in in;
	int rc = ledger_part(s->ledger, id, LEDGER_FACTS, &row, e);

	if (rc != 1)
		return rc;
	cbor_read_init(&in, buf_bytes(&row), "facts");
	facts_read(&in, &f);
	if (cbor_read_end(&in, e) == -1)
		return -1;
	for (size_t i = 0; i < f.n; i++)
		json_array_append_new(ret,
		    json_pack("{s:s, s:s, s:s}", "name", f.v[i].name, "level",
			levels[f.v[i].level], "value", f.v[i].value));
	return 0;
}

/* PEM, or null. */
static json_t *
json_certificate(struct service *s, const struct ledger_case *c, struct err *e)
{
	struct buf der AUTO_BUF = { 0 }, pem AUTO_BUF = { 0 };
	AUTO(X509) x = NULL;
	int rc = ledger_part(
	    s->ledger, c->same != 0 ? c->same : c->id, LEDGER_CERT, &der, e);

	if (rc == 0)
		return json_null();
	if (rc == -1 || (x = ossl_cert_parse(buf_bytes(&der), e)) == NULL)
		return NULL;
	ossl_cert_pem(x, &pem);
	return json_string(buf_cstr(&pem));
}

static int
show(struct service *s, uint64_t id, json_t **ret, struct err *e)
{
	AUTO(json_t) facts = json_array();
	AUTO(json_t) history = json_array();
	json_t *certificate;
	struct ledger_case c;
	int rc = ledger_get(s->ledger, id, &c, e);

	if (rc == 0)
		return err_set(
		    e, ERR_INPUT, "no case %llu", (unsigned long long)id);
	if (rc == -1 || json_facts(s, id, facts, e) == -1 ||
	    ledger_audit(s->ledger, id, HISTORY_MAX, add_history, history, e) ==
		-1 ||
	    (certificate = json_certificate(s, &c, e)) == NULL)
		return -1;
	*ret = json_pack("{s:o, s:O, s:O, s:o}", "case", control_json_case(&c),
	    "facts", facts, "history", history, "certificate", certificate);
	return 0;
}

void
control_case(struct service *s, struct https_req *q, const char *rest)
{
	struct err e = ERR_INIT;
	json_t *j = NULL;
	uint64_t id;

	if (number_parse(rest, 1, INT64_MAX, &id, &e) == -1 ||
	    show(s, id, &j, &e) == -1)
		control_error(
		    q, e.kind == ERR_INPUT ? 404 : err_http_status(e.kind), &e);
	else
		control_json(q, 200, j);
}

/* ---- POST /v1/resolve -------------------------------------------------- */

/* The words of the body, and of the log. */
static const struct {
	const char *key, *text;
} outcomes[SERVICE_OUTCOME__MAX] = {
	[SERVICE_ISSUED] = { "issued", "issued" },
	[SERVICE_NOT_ISSUED] = { "not_issued", "not issued" },
	[SERVICE_REVOKED] = { "revoked", "revoked" },
	[SERVICE_NOT_REVOKED] = { "not_revoked", "not revoked" },
};

struct resolve {
	struct service *service;
	enum service_outcome outcome;
	struct https_req *q;
	char who[32], why[LEDGER_REASON_MAX];
	struct service_proof proof;
	struct ledger_resolve x;
};

static void
resolve_free(struct resolve *r)
{
	service_proof_done(&r->proof);
	free(r);
}

static void
resolved(void *arg, const struct err *failed)
{
	struct ledger_resolve *x = arg;
	struct resolve *r = x->user;
	bool done = x->proof.code != 0;
	struct err e = ERR_INIT;

	if (failed == NULL && !x->changed)
		err_set(&e, ERR_POLICY, "case %llu is not unknown",
		    (unsigned long long)x->id);
	if (failed != NULL || !x->changed) {
		control_reply_error(r->q, failed != NULL ? failed : &e);
		resolve_free(r);
		return;
	}
	log_event(LOG_WARN, "case.resolved", "case", "%llu",
	    (unsigned long long)x->id, "site", "%s", x->site, "what", "%s",
	    outcomes[r->outcome].text, "certificate", "%s", r->proof.serial,
	    "who", "%s", r->who, "reason", "%s", r->why, NULL);
	if (done)
		pulls_wake(r->service->pulls, x->site);
	else
		r->service->trade->reopened(r->service, x->id);
	if (x->proof.revoke != 0)
		r->service->trade->revoked(r->service);
	control_json(r->q, 200,
	    json_pack("{s:I, s:s}", "case", (json_int_t)x->id, "state",
		ledger_state_name(done ? LEDGER_DONE : LEDGER_OPEN)));
	resolve_free(r);
}

/* Which one word the body has; of "issued" its text. */
static int
read_outcome(const json_t *in, enum service_outcome *ret,
    const char **ret_certificate, struct err *e)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SERVICE_OUTCOME__MAX; i++) {
		const json_t *v = json_object_get(in, outcomes[i].key);

		if (i == SERVICE_ISSUED ? !json_is_string(v) : !json_is_true(v))
			continue;
		*ret = (enum service_outcome)i;
		*ret_certificate = json_string_value(v);
		n++;
	}
	return n == 1 ? 0
		      : err_set(e, ERR_INPUT,
			    "wanted: {\"case\": N, \"reason\": TEXT} with one "
			    "of \"issued\": BASE64, \"not_issued\", "
			    "\"revoked\", \"not_revoked\": true");
}

/* What stands in the body, checked against the case. */
static int
resolve_read(struct resolve *r, json_t *in, struct err *e)
{
	struct service *s = r->service;
	const char *certificate = NULL, *why;
	json_int_t id;
	struct ledger_case c;
	int rc;

	if (read_outcome(in, &r->outcome, &certificate, e) == -1)
		return -1;
	if (json_unpack(in, "{s:I, s:s}", "case", &id, "reason", &why) == -1 ||
	    id < 1)
		return err_set(
		    e, ERR_INPUT, "wanted: \"case\": N, \"reason\": TEXT");
	entry_text(r->why, sizeof(r->why), why);
	r->x.id = (uint64_t)id;
	r->x.revocation =
	    r->outcome == SERVICE_REVOKED || r->outcome == SERVICE_NOT_REVOKED;
	if ((rc = ledger_get(s->ledger, r->x.id, &c, e)) == -1)
		return -1;
	if (rc == 0 || c.state != LEDGER_UNKNOWN)
		return err_set(e, ERR_POLICY, "case %llu is not unknown",
		    (unsigned long long)r->x.id);
	if (s->trade->resolve == NULL)
		return r->outcome == SERVICE_NOT_ISSUED
		    ? 0
		    : err_set(e, ERR_POLICY, "nothing is issued here");
	return s->trade->resolve(s, &c, r->outcome, certificate, &r->proof, e);
}

void
control_resolve(struct service *s, struct https_req *q, const char *rest)
{
	struct err e = ERR_INIT;
	AUTO(json_t) in = control_body(q, &e);
	struct resolve *r = xcalloc(1, sizeof(*r));

	(void)rest;
	r->service = s;
	r->q = q;
	control_who(q, r->who, sizeof(r->who));
	if (in == NULL || resolve_read(r, in, &e) == -1) {
		control_reply_error(q, &e);
		resolve_free(r);
		return;
	}
	r->x.proof = service_proof_get(&r->proof);
	r->x.who = r->who;
	r->x.why = r->why;
	r->x.user = r;
	ledger_resolve(s->ledger, &r->x, resolved, loop_poster(s->loop));
}
