#include "manufacturer/pledge_int.h"

#include <string.h>
#include <time.h>
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "common/pki/issue.h"
static void
pledge_done(struct pledge *p)
{
	pledge_http_free(p->http);
	signer_free(p->idevid);
	trust_free(p->anchors);
	EVP_PKEY_free(p->key);
	buf_done(&p->request);
	cmp_free(p->first);
	cmp_free(p->last);
	cmp_free(p->final);
}

void
pledge_say(const struct pledge *p, const char *event, const char *detail)
{
	struct buf line AUTO_BUF = { 0 };
	AUTO(json_t) j = NULL;

	if (!p->o->json) {
		printf(
		    "%s%s%s\n", event, detail[0] != '\0' ? ": " : "", detail);
		fflush(stdout);
		return;
	}
	j = json_pack("{s:s, s:s, s:s}", "event", event, "detail", detail,
	    "device", p->serial);
	json_format(&line, j);
	fputs(buf_cstr(&line), stdout);
	fflush(stdout);
}

/* ---- sending ---------------------------------------------------------- */

void
pledge_sleep(uint64_t ms)
{
	struct timespec t = { (time_t)(ms / 1000),
		(long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

uint64_t
pledge_left_ms(const struct pledge *p)
{
	uint64_t now = clock_mono_ms();

	return now < p->until ? p->until - now : 0;
}

/* RFC 9483 3.5 on what came back; either nonce is good for the final response
 * of a delayed transaction. */
static int
pledge_check_reply(const struct pledge *p, const struct cmp_msg *sent,
    const struct cmp_msg *m, struct err *e)
{
	const char *anchor;
	X509 *signer;

	if (cmp_check_header(m, e) == -1 ||
	    (signer = cmp_find_signer(m, NULL, e)) == NULL ||
	    trust_check(p->anchors, signer, cmp_extra_certs(m),
		pledge_http_now(), &anchor, NULL, e) == -1 ||
	    cmp_verify(m, signer, e) == -1)
		return -1;
	if (!bytes_eq(cmp_transaction_id(m), cmp_transaction_id(sent)))
		return err_set(e, ERR_TRUST, "reply: another transactionID");
	if (bytes_eq(cmp_recip_nonce(m), cmp_sender_nonce(sent)))
		return 0;
	if (cmp_body(m) != CMP_POLLREP && p->first != NULL &&
	    bytes_eq(cmp_recip_nonce(m), cmp_sender_nonce(p->first)))
		return 0;
	return err_set(e, ERR_TRUST, "reply: recipNonce is none of ours");
}

/* 0 with a 200; ERR_RETRY with a 503. */
static int
pledge_post(
    const struct pledge *p, struct bytes der, struct buf *ret, struct err *e)
{
	struct pledge_http_answer a = { 0 };
	struct pledge_http_ask q = { .path = p->path,
		.type = "application/pkixcmp",
		.body = der,
		.timeout_s = PLEDGE_HTTP_TIMEOUT };

	if (pledge_http_send(p->http, &q, &a, e) == -1)
		return -1;
	if (a.status == 200) {
		*ret = a.body;
		return 0;
	}
	err_set(e, a.status == 503 ? ERR_RETRY : ERR_INPUT,
	    "registrar: HTTP %d: %s", a.status, pledge_http_line(&a));
	pledge_http_answer_done(&a);
	return -1;
}

/* Sends until somebody answers or the time is up. */
static int
pledge_exchange(const struct pledge *p, const struct cmp_msg *m,
    struct cmp_msg **ret, struct err *e)
{
	AUTO(cmp_msg) reply = NULL;
	struct buf in AUTO_BUF = { 0 };

	while (pledge_post(p, cmp_der(m), &in, e) == -1) {
		if ((e->kind != ERR_PEER && e->kind != ERR_RETRY) ||
		    pledge_left_ms(p) < PLEDGE_RETRY_MS)
			return -1;
		pledge_sleep(PLEDGE_RETRY_MS);
	}
	if (cmp_parse(buf_bytes(&in), &reply, e) == -1 ||
	    pledge_check_reply(p, m, reply, e) == -1)
		return err_prefix(e, "registrar");
	*ret = STEAL(reply);
	return 0;
}

static int
pledge_build(const struct pledge *p, const struct cmp_head *h,
    struct bytes body, struct buf *out, struct err *e)
{
	return cmp_build(h, body, p->idevid, NULL, out, e);
}

/* ---- the request ------------------------------------------------------ */

static int
pledge_make_key(struct pledge *p, struct err *e)
{
	struct buf pem AUTO_SECRET = { 0 };

	p->key = ossl_new_key_p256();
	ossl_key_pem(p->key, &pem);
	return pledge_state_write(p->o->state, PLEDGE_KEY, buf_bytes(&pem), e);
}

/* Key on disk first, then the request that is signed with it. */
static int
pledge_make_request(struct pledge *p, struct err *e)
{
	struct buf body AUTO_BUF = { 0 };
	uint8_t tid[CMP_TID_LEN];
	AUTO(X509_NAME) subject = issue_name(
	    p->o->subject != NULL ? p->o->subject : p->serial, NULL, p->serial);
	struct cmp_head h = {
		.recipient = NULL,
		.transaction_id = bytes_of(tid, sizeof(tid)),
		.implicit_confirm = !p->o->explicit_confirm,
		.profile = p->o->profile,
	};
	int rc;

	random_bytes(tid, sizeof(tid));
	if (pledge_make_key(p, e) == -1)
		return -1;
	rc = p->o->request == CMP_P10CR
	    ? cmp_body_p10cr(p->key, subject, &body, e)
	    : cmp_body_certreq(CMP_IR, p->key, subject, &body, e);
	if (rc == -1 ||
	    pledge_build(p, &h, buf_bytes(&body), &p->request, e) == -1)
		return -1;
	return pledge_state_write(
	    p->o->state, PLEDGE_REQUEST, buf_bytes(&p->request), e);
}

static int
pledge_load_msg(const struct pledge *p, enum pledge_file f,
    struct cmp_msg **ret, struct err *e)
{
	struct buf der AUTO_BUF = { 0 };
	int got = pledge_state_read(p->o->state, f, &der, e);

	if (got <= 0)
		return got;
	return cmp_parse(buf_bytes(&der), ret, e);
}

static int
pledge_load_key(struct pledge *p, struct err *e)
{
	AUTO(char) path = path_join(p->o->state, "key.pem");

	return (p->key = ossl_load_key(path, e)) != NULL ? 0 : -1;
}

/* Where it stood when the power went, or a new start. */
static int
pledge_resume(struct pledge *p, struct err *e)
{
	int got =
	    pledge_state_read(p->o->state, PLEDGE_REQUEST, &p->request, e);

	if (got == -1)
		return -1;
	if (got == 0) {
		pledge_state_clear_enrolment(p->o->state);
		if (pledge_make_request(p, e) == -1)
			return -1;
		pledge_say(p, "start", cmp_body_name(p->o->request));
	} else {
		if (pledge_load_key(p, e) == -1 ||
		    pledge_load_msg(p, PLEDGE_LAST, &p->last, e) == -1 ||
		    pledge_load_msg(p, PLEDGE_FINAL, &p->final, e) == -1)
			return -1;
		pledge_say(p, "resume",
		    p->final != NULL	  ? "final response is here"
			: p->last != NULL ? "polling"
					  : "same request again");
	}
	return cmp_parse(buf_bytes(&p->request), &p->first, e);
}

/* ---- waiting ---------------------------------------------------------- */

/* ip/cp(waiting) or error(waiting), RFC 9483 4.4. */
static bool
pledge_is_waiting(const struct cmp_msg *m)
{
	struct cmp_response r = { 0 };
	struct err e = ERR_INIT;
	bool waiting;

	if (cmp_body(m) == CMP_ERROR ? cmp_read_error(m, &r, &e) == -1
				     : cmp_read_response(m, &r, &e) == -1)
		return false;
	waiting = r.status == CMP_WAITING;
	cmp_response_done(&r);
	return waiting;
}

static int
pledge_keep_last(struct pledge *p, struct cmp_msg *m, struct err *e)
{
	cmp_free(p->last);
	p->last = m;
	return pledge_state_write(p->o->state, PLEDGE_LAST, cmp_der(m), e);
}

static int
pledge_keep_final(struct pledge *p, struct cmp_msg *m, struct err *e)
{
	p->final = m;
	return pledge_state_write(p->o->state, PLEDGE_FINAL, cmp_der(m), e);
}

static int
pledge_first_exchange(struct pledge *p, struct err *e)
{
	struct cmp_msg *m = NULL;

	if (pledge_exchange(p, p->first, &m, e) == -1)
		return -1;
	if (!pledge_is_waiting(m))
		return pledge_keep_final(p, m, e);
	pledge_say(p, "waiting", "");
	return pledge_keep_last(p, m, e);
}

static int
pledge_pollreq(const struct pledge *p, struct cmp_msg **ret, struct err *e)
{
	struct buf body AUTO_BUF = { 0 };
	struct buf der AUTO_BUF = { 0 };
	struct cmp_head h = { 0 };

	cmp_head_reply(p->last, &h);
	cmp_body_pollreq(cmp_body(p->first) == CMP_P10CR ? -1 : 0, &body);
	if (pledge_build(p, &h, buf_bytes(&body), &der, e) == -1)
		return -1;
	return cmp_parse(buf_bytes(&der), ret, e);
}

static int
pledge_poll_once(struct pledge *p, struct err *e)
{
	AUTO(cmp_msg) poll = NULL;
	struct cmp_msg *m = NULL;
	char text[32];
	long id;

	if (pledge_pollreq(p, &poll, e) == -1 ||
	    pledge_exchange(p, poll, &m, e) == -1)
		return -1;
	if (cmp_body(m) != CMP_POLLREP)
		return pledge_keep_final(p, m, e);
	if (cmp_read_pollrep(m, &id, &p->check_after, e) == -1) {
		cmp_free(m);
		return -1;
	}
	snprintf(text, sizeof(text), "again in %u s", p->check_after);
	pledge_say(p, "not yet", text);
	return pledge_keep_last(p, m, e);
}

static int
pledge_poll(struct pledge *p, struct err *e)
{
	while (p->final == NULL) {
		if (pledge_left_ms(p) < p->check_after * 1000ULL)
			return err_set(e, ERR_WAITING,
			    "still waiting; run again to go on");
		pledge_sleep(p->check_after * 1000ULL);
		if (pledge_poll_once(p, e) == -1)
			return -1;
	}
	return 0;
}

/* ---- the end ---------------------------------------------------------- */

static int
pledge_refused(const struct pledge *p, struct cmp_response *r, struct err *e)
{
	pledge_state_clear(p->o->state);
	err_set(e, ERR_POLICY, "refused: %s",
	    r->text[0] != '\0' ? r->text : "no reason was given");
	cmp_response_done(r);
	return -1;
}

static int
pledge_check_cert(
    const struct pledge *p, X509 *cert, STACK_OF(X509) * *chain, struct err *e)
{
	const char *anchor;

	if (EVP_PKEY_eq(X509_get0_pubkey(cert), p->key) != 1)
		return err_set(e, ERR_TRUST,
		    "certificate: not for the key that was asked for");
	return trust_check(p->anchors, cert, cmp_extra_certs(p->final),
	    pledge_http_now(), &anchor, chain, e);
}

int
pledge_write(const struct pledge *p, const char *suffix, mode_t mode,
    struct bytes data, struct err *e)
{
	struct buf path AUTO_BUF = { 0 };

	buf_printf(&path, "%s%s", p->o->out, suffix);
	return file_write(buf_cstr(&path), mode, data, e);
}

/* PREFIX.key, PREFIX.chain.pem (neither leaf nor anchor), PREFIX.crt. */
static int
pledge_write_results(const struct pledge *p, X509 *cert,
    const STACK_OF(X509) * chain, struct err *e)
{
	struct buf key AUTO_SECRET = { 0 };
	struct buf above AUTO_BUF = { 0 };
	struct buf leaf AUTO_BUF = { 0 };

	ossl_key_pem(p->key, &key);
	ossl_cert_pem(cert, &leaf);
	for (int i = 1; i + 1 < sk_X509_num(chain); i++)
		ossl_cert_pem(sk_X509_value(chain, i), &above);
	if (pledge_write(p, ".key", 0600, buf_bytes(&key), e) == -1 ||
	    pledge_write(p, ".chain.pem", 0644, buf_bytes(&above), e) == -1)
		return -1;
	return pledge_write(p, ".crt", 0644, buf_bytes(&leaf), e);
}

static int
pledge_make_certconf(struct pledge *p, X509 *cert, long id, struct err *e)
{
	struct buf body AUTO_BUF = { 0 };
	struct buf der AUTO_BUF = { 0 };
	struct cmp_head h = { 0 };

	cmp_head_reply(p->final, &h);
	cmp_body_certconf(id, cert, true, NULL, &body);
	if (pledge_build(p, &h, buf_bytes(&body), &der, e) == -1)
		return -1;
	return pledge_state_write(
	    p->o->state, PLEDGE_CERTCONF, buf_bytes(&der), e);
}

static int
pledge_confirm(struct pledge *p, X509 *cert, long id, struct err *e)
{
	AUTO(cmp_msg) conf = NULL;
	AUTO(cmp_msg) reply = NULL;

	if (p->first != NULL && cmp_implicit_confirm(p->first) &&
	    cmp_implicit_confirm(p->final)) {
		pledge_say(p, "confirmed", "implicitly");
		return 0;
	}
	if (pledge_load_msg(p, PLEDGE_CERTCONF, &conf, e) == -1)
		return -1;
	if (conf == NULL &&
	    (pledge_make_certconf(p, cert, id, e) == -1 ||
		pledge_load_msg(p, PLEDGE_CERTCONF, &conf, e) == -1))
		return -1;
	if (pledge_exchange(p, conf, &reply, e) == -1)
		return -1;
	if (cmp_body(reply) != CMP_PKICONF)
		return err_set(e, ERR_POLICY, "certConf was answered by %s",
		    cmp_body_name(cmp_body(reply)));
	pledge_say(p, "confirmed", "pkiConf received");
	return 0;
}

/* RFC 8995 5.9.4: on a connection made with the new certificate. */
static void
pledge_tell_joined(
    const struct pledge *p, X509 *cert, const STACK_OF(X509) * chain)
{
	AUTO(X509S) above = sk_X509_new_null();
	AUTO(signer) ldevid = NULL;
	AUTO(pledge_http) http = NULL;

	for (int i = 1; i + 1 < sk_X509_num(chain); i++)
		if (X509_add_cert(above, sk_X509_value(chain, i),
			X509_ADD_FLAG_UP_REF) != 1)
			err_die("out of memory");
	ldevid = signer_new(p->key, cert, above);
	http = pledge_http_new(p->o->proxy, ldevid, p->anchors);
	brski_tell_enrolment(p, http, NULL);
}

static int
pledge_accept(struct pledge *p, struct cmp_response *r, struct err *e)
{
	AUTO(X509S) chain = NULL;

	if (pledge_check_cert(p, r->cert, &chain, e) == -1 ||
	    pledge_confirm(p, r->cert, r->id, e) == -1 ||
	    pledge_write_results(p, r->cert, chain, e) == -1)
		return -1;
	pledge_say(p, "enrolled", p->o->out);
	if (p->o->trust == NULL)
		pledge_tell_joined(p, r->cert, chain);
	pledge_state_clear(p->o->state);
	return 0;
}

static int
pledge_finish(struct pledge *p, struct err *e)
{
	struct cmp_response r = { 0 };
	int rc;

	if (cmp_body(p->final) == CMP_ERROR) {
		if (cmp_read_error(p->final, &r, e) == -1)
			return -1;
		return pledge_refused(p, &r, e);
	}
	if (cmp_read_response(p->final, &r, e) == -1)
		return -1;
	if (r.cert == NULL)
		return pledge_refused(p, &r, e);
	rc = pledge_accept(p, &r, e);
	cmp_response_done(&r);
	return rc;
}

/* ---- the whole -------------------------------------------------------- */

static int
pledge_load_idevid(struct pledge *p, struct err *e)
{
	AUTO(EVP_PKEY) key = ossl_load_key(p->o->key, e);
	AUTO(X509) cert = NULL;
	AUTO(X509S) chain = NULL;

	if (key == NULL || (cert = ossl_load_cert(p->o->cert, e)) == NULL)
		return -1;
	if (p->o->chain != NULL &&
	    (chain = ossl_load_certs(p->o->chain, e)) == NULL)
		return -1;
	p->idevid = signer_new(key, cert, chain);
	return cert_subject_serial(cert, p->serial, e);
}

static int
pledge_open(struct pledge *p, struct err *e)
{
	const char *profile = p->o->profile;

	p->until = clock_mono_ms() + p->o->timeout * 1000ULL;
	p->check_after = 1;
	p->anchors = trust_new();
	snprintf(p->path, sizeof(p->path), "/.well-known/cmp%s%s/%s",
	    profile != NULL ? "/p/" : "", profile != NULL ? profile : "",
	    p->o->request == CMP_P10CR ? "pkcs10" : "initialization");
	if ((p->o->trust != NULL &&
		trust_add_file(p->anchors, "domain", p->o->trust, e) == -1) ||
	    file_mkdirs(p->o->state, 0700, e) == -1 ||
	    pledge_load_idevid(p, e) == -1)
		return -1;
	p->http = pledge_http_new(
	    p->o->proxy, p->idevid, p->o->trust != NULL ? p->anchors : NULL);
	return 0;
}

int
pledge_learn(const struct pledge_opts *o, struct err *e)
{
	struct pledge p = { .o = o };
	int rc = -1;

	if (pledge_open(&p, e) == 0)
		rc = brski_learn(&p, e);
	pledge_done(&p);
	return rc;
}

static int
pledge_join(struct pledge *p, struct err *e)
{
	if (pledge_resume(p, e) == -1)
		return -1;
	if (p->last == NULL && p->final == NULL &&
	    pledge_first_exchange(p, e) == -1)
		return -1;
	if (p->final == NULL && pledge_poll(p, e) == -1)
		return -1;
	return pledge_finish(p, e);
}

/* RFC 8995 5.9.4: on the connection of the attempt, if it is still there. */
static void
pledge_tell_failed(const struct pledge *p, const struct err *e)
{
	if (p->o->trust == NULL &&
	    (e->kind == ERR_POLICY || e->kind == ERR_TRUST ||
		e->kind == ERR_INPUT))
		brski_tell_enrolment(p, p->http, e->msg);
}

int
pledge_enrol(const struct pledge_opts *o, struct err *e)
{
	struct pledge p = { .o = o };
	int rc = -1;

	if (pledge_open(&p, e) == 0 &&
	    (o->trust != NULL || brski_learn(&p, e) == 0) &&
	    (rc = pledge_join(&p, e)) == -1)
		pledge_tell_failed(&p, e);
	pledge_done(&p);
	return rc;
}
