#include "manufacturer/pledge_int.h"

#include "common/base/clock.h"
#include "manufacturer/pledge_voucher.h"

#define BRSKI	     "/.well-known/brski"
#define VOUCHER_TYPE "application/voucher-cms+json"
#define WAIT_MAX     60 /* RFC 8995 5.6: a longer Retry-After is cut */
#define TELL_MS	     10000

#define AUTO_ANSWER __attribute__((cleanup(pledge_http_answer_done)))

/* The registrar's own word for a status that is no success. */
static int
brski_said(struct pledge_http_answer *a, struct err *e)
{
	enum err_kind kind = a->status >= 500 ? ERR_RETRY
	    : a->status >= 400		      ? ERR_POLICY
					      : ERR_INPUT;

	return err_set(
	    e, kind, "registrar: HTTP %d: %s", a->status, pledge_http_line(a));
}

/* Which failures time may heal. */
static bool
brski_may_heal(const struct err *e)
{
	return e->kind == ERR_PEER || e->kind == ERR_RETRY ||
	    e->kind == ERR_WAITING;
}

/* ---- telemetry -------------------------------------------------------- */

static int
tell_once(struct pledge_http *http, const char *path, struct bytes json,
    struct err *e)
{
	struct pledge_http_answer a AUTO_ANSWER = { 0 };
	struct pledge_http_ask q = { .path = path,
		.type = "application/json",
		.body = json,
		.timeout_s = TELL_MS / 1000 };

	if (pledge_http_send(http, &q, &a, e) == -1)
		return -1;
	return a.status / 100 == 2 ? 0 : brski_said(&a, e);
}

/* False if it should be told again: nobody has heard it. */
static bool
brski_tell(const struct pledge *p, struct pledge_http *http, const char *path,
    const char *what, struct bytes json)
{
	uint64_t until = clock_mono_ms() + TELL_MS;
	struct err e = ERR_INIT;
	char event[40];
	int rc;

	while ((rc = tell_once(http, path, json, &e)) == -1 &&
	    brski_may_heal(&e) && clock_mono_ms() < until &&
	    pledge_left_ms(p) > PLEDGE_RETRY_MS)
		pledge_sleep(PLEDGE_RETRY_MS);
	snprintf(event, sizeof(event), "%s status %ssent", what,
	    rc == 0 ? "" : "not ");
	pledge_say(p, event, rc == 0 ? "" : e.msg);
	return rc == 0 || !brski_may_heal(&e);
}

static bool
brski_tell_voucher(const struct pledge *p, struct bytes json)
{
	return brski_tell(p, p->http, BRSKI "/voucher_status", "voucher", json);
}

void
brski_tell_enrolment(
    const struct pledge *p, struct pledge_http *http, const char *reason)
{
	struct buf json AUTO_BUF = { 0 };

	pledge_voucher_status(reason, &json);
	brski_tell(
	    p, http, BRSKI "/enrollstatus", "enrolment", buf_bytes(&json));
}

/* ---- the request ------------------------------------------------------ */

/* The request names the server's certificate, so a connection must be there
 * before it: any answer to a harmless question will do. */
static int
brski_meet(struct pledge *p, struct err *e)
{
	struct pledge_http_ask q = { .path = BRSKI,
		.timeout_s = PLEDGE_HTTP_TIMEOUT };

	for (;;) {
		struct pledge_http_answer a AUTO_ANSWER = { 0 };

		if (pledge_http_send(p->http, &q, &a, e) == 0)
			return 0;
		if (!brski_may_heal(e) || pledge_left_ms(p) < PLEDGE_RETRY_MS)
			return -1;
		pledge_sleep(PLEDGE_RETRY_MS);
	}
}

/* On disk before it is sent. */
static int
brski_make_request(struct pledge *p, struct buf *ret, struct err *e)
{
	pledge_state_clear(p->o->state);
	if (brski_meet(p, e) == -1 ||
	    pledge_voucher_request(p->idevid, pledge_http_peer(p->http),
		pledge_http_now(), ret, e) == -1)
		return -1;
	return pledge_state_write(
	    p->o->state, PLEDGE_VOUCHER_REQUEST, buf_bytes(ret), e);
}

/* Where it stood when the power went, or a new start. */
static int
brski_resume(
    struct pledge *p, struct buf *request, struct buf *voucher, struct err *e)
{
	AUTO(X509) server = NULL;
	int got =
	    pledge_state_read(p->o->state, PLEDGE_VOUCHER_REQUEST, request, e);

	if (got == 0)
		return brski_make_request(p, request, e);
	if (got == -1 ||
	    (server = pledge_voucher_registrar(buf_bytes(request), e)) ==
		NULL ||
	    pledge_state_read(p->o->state, PLEDGE_VOUCHER, voucher, e) == -1)
		return -1;
	pledge_http_expect(p->http, server);
	pledge_say(p, "resume",
	    voucher->len > 0 ? "voucher is here"
			     : "same voucher request again");
	return 0;
}

/* ---- waiting ---------------------------------------------------------- */

/* What an answer other than 200 means, and after what time it may be another. */
static int
voucher_later(const struct pledge *p, struct pledge_http_answer *a,
    uint64_t *ret_ms, struct err *e)
{
	unsigned s = a->retry_after == 0 || a->retry_after > WAIT_MAX
	    ? WAIT_MAX
	    : a->retry_after;
	char text[32];

	*ret_ms = s * 1000ULL;
	if (a->status == 202) {
		snprintf(text, sizeof(text), "again in %u s", s);
		pledge_say(p, "voucher waiting", text);
		return err_set(e, ERR_WAITING,
		    "voucher: still waiting; run again to go on");
	}
	if (a->retry_after == 0)
		*ret_ms = PLEDGE_RETRY_MS;
	return brski_said(a, e);
}

static int
voucher_post(const struct pledge *p, struct bytes request, struct buf *ret,
    uint64_t *ret_ms, struct err *e)
{
	struct pledge_http_answer a AUTO_ANSWER = { 0 };
	struct pledge_http_ask q = { .path = BRSKI "/requestvoucher",
		.type = VOUCHER_TYPE,
		.accept = VOUCHER_TYPE,
		.body = request,
		.timeout_s = PLEDGE_HTTP_TIMEOUT };

	*ret_ms = PLEDGE_RETRY_MS;
	if (pledge_http_send(p->http, &q, &a, e) == -1)
		return -1;
	if (a.status != 200)
		return voucher_later(p, &a, ret_ms, e);
	*ret = a.body;
	a.body = (struct buf){ 0 };
	return 0;
}

/* RFC 8995 5.6: the same octets until there is an answer.  What time cannot
 * heal ends the request: the next run has a new nonce. */
static int
voucher_fetch(const struct pledge *p, struct bytes request, struct buf *ret,
    struct err *e)
{
	uint64_t ms;

	pledge_say(p, "voucher asked", "");
	while (voucher_post(p, request, ret, &ms, e) == -1) {
		if (!brski_may_heal(e)) {
			pledge_state_clear(p->o->state);
			return -1;
		}
		if (pledge_left_ms(p) < ms)
			return -1;
		pledge_sleep(ms);
	}
	return 0;
}

/* ---- the end ---------------------------------------------------------- */

static int
voucher_refused(const struct pledge *p, struct err *e)
{
	struct buf json AUTO_BUF = { 0 };

	pledge_say(p, "voucher refused", e->msg);
	pledge_voucher_status(e->msg, &json);
	brski_tell_voucher(p, buf_bytes(&json));
	pledge_state_clear(p->o->state);
	e->kind = ERR_TRUST;
	return -1;
}

/* RFC 8995 5.6.2: the one anchor from now on, for the connection that brought
 * it first of all. */
static int
voucher_pin(struct pledge *p, X509 *pin, struct err *e)
{
	if (trust_add_cert(p->anchors, "domain", pin, e) == -1 ||
	    pledge_http_judge(p->http, p->anchors, e) == -1)
		return err_prefix(e, "pinned-domain-cert: RFC 8995 5.6.2");
	return 0;
}

static int
voucher_keep(
    const struct pledge *p, struct bytes voucher, X509 *pin, struct err *e)
{
	struct buf pem AUTO_BUF = { 0 };

	ossl_cert_pem(pin, &pem);
	if (pledge_state_write(p->o->state, PLEDGE_VOUCHER, voucher, e) == -1 ||
	    pledge_write(p, ".voucher.vcj", 0644, voucher, e) == -1)
		return -1;
	return pledge_write(p, ".pin.pem", 0644, buf_bytes(&pem), e);
}

/* Once, but for a power cut in between. */
static int
voucher_tell(const struct pledge *p, struct err *e)
{
	struct buf json AUTO_BUF = { 0 };
	int told =
	    pledge_state_read(p->o->state, PLEDGE_VOUCHER_STATUS, &json, e);

	if (told != 0)
		return told == -1 ? -1 : 0;
	pledge_voucher_status(NULL, &json);
	if (!brski_tell_voucher(p, buf_bytes(&json)))
		return 0;
	return pledge_state_write(
	    p->o->state, PLEDGE_VOUCHER_STATUS, buf_bytes(&json), e);
}

static int
voucher_accept(struct pledge *p, const struct pledge_voucher *v,
    struct bytes voucher, struct err *e)
{
	AUTO(X509) pin = NULL;
	char domain[CERT_TEXT_MAX], text[CERT_TEXT_MAX + 8];

	if (pledge_voucher_judge(v, voucher, &pin, e) == -1 ||
	    voucher_pin(p, pin, e) == -1)
		return voucher_refused(p, e);
	if (voucher_keep(p, voucher, pin, e) == -1)
		return -1;
	snprintf(text, sizeof(text), "pinned %s",
	    cert_subject_text(pin, domain, sizeof(domain)));
	pledge_say(p, "voucher accepted", text);
	return voucher_tell(p, e);
}

int
brski_learn(struct pledge *p, struct err *e)
{
	AUTO(trust) vendor = trust_new();
	struct buf request AUTO_BUF = { 0 };
	struct buf voucher AUTO_BUF = { 0 };
	struct pledge_voucher v = { .idevid = p->idevid->cert,
		.vendor = vendor };

	if (trust_add_file(vendor, "vendor", p->o->vendor_ca, e) == -1 ||
	    brski_resume(p, &request, &voucher, e) == -1)
		return -1;
	v.request = buf_bytes(&request);
	/* One that was accepted before the power went stays so past its end. */
	if (voucher.len > 0)
		return voucher_accept(p, &v, buf_bytes(&voucher), e);
	if (voucher_fetch(p, v.request, &voucher, e) == -1)
		return -1;
	v.now = pledge_http_now();
	return voucher_accept(p, &v, buf_bytes(&voucher), e);
}
