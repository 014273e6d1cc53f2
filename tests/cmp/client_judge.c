/* What a response must be: RFC 9483 3.1 to 3.5, 4.1 and 4.4, by OpenSSL's own
 * CMP where that can read it, and by what is written here. */
#include "tests/cmp/client.h"

#include <string.h>
#include <time.h>

#include <openssl/cmp.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "tests/cmp/fail_names.h"

AUTO_DEFINE(X509_STORE, X509_STORE, X509_STORE_free);
AUTO_DEFINE(X509_STORE_CTX, X509_STORE_CTX, X509_STORE_CTX_free);
AUTO_DEFINE(OSSL_CMP_CTX, OSSL_CMP_CTX, OSSL_CMP_CTX_free);
AUTO_DEFINE(OSSL_CMP_MSG, OSSL_CMP_MSG, OSSL_CMP_MSG_free);

void
add_fail_names(uint32_t fail, struct buf *out)
{
	for (size_t i = 0; i < NELEMS(fail_names); i++)
		if ((fail & fail_names[i].bit) != 0)
			buf_printf(out, " %s", fail_names[i].name);
}

const char *
judge_who(const struct client *c, X509 *signer)
{
	return c->server != NULL && X509_cmp(c->server, signer) == 0
	    ? "registrar"
	    : "ra";
}

/* ---- trust ------------------------------------------------------------- */

/* To the domain's root, by what was sent so far. */
static int
chains(const struct client *c, X509 *x, const char *what, struct err *e)
{
	AUTO(X509_STORE) store = X509_STORE_new();
	AUTO(X509_STORE_CTX) ctx = X509_STORE_CTX_new();

	X509_STORE_add_cert(store, c->root);
	X509_STORE_CTX_init(ctx, store, x, c->extras);
	if (X509_verify_cert(ctx) != 1)
		return err_set(e, ERR_INPUT, "%s: %s", what,
		    X509_verify_cert_error_string(
			X509_STORE_CTX_get_error(ctx)));
	return 0;
}

/* RFC 9483 3.3: extraCerts begins with who signed; later messages may leave
 * out what was sent before. */
X509 *
judge_signer(const struct client *c, const struct cmp_msg *m)
{
	const STACK_OF(X509) *sent = cmp_extra_certs(m);
	int n = sk_X509_num(c->extras);

	if (sk_X509_num(sent) > 0)
		return sk_X509_value(sent, 0);
	while (n-- > 0)
		if (cmp_sender(m) != NULL &&
		    X509_NAME_cmp(
			X509_get_subject_name(sk_X509_value(c->extras, n)),
			cmp_sender(m)) == 0)
			return sk_X509_value(c->extras, n);
	return NULL;
}

static void
remember_extras(struct client *c, const struct cmp_msg *m)
{
	const STACK_OF(X509) *sent = cmp_extra_certs(m);

	for (int i = 0; i < sk_X509_num(sent); i++)
		if (X509_up_ref(sk_X509_value(sent, i)) != 1 ||
		    sk_X509_push(c->extras, sk_X509_value(sent, i)) == 0)
			err_die("out of memory");
}

static int
is_self_issued_sent(const struct cmp_msg *m)
{
	const STACK_OF(X509) *sent = cmp_extra_certs(m);

	for (int i = 0; i < sk_X509_num(sent); i++)
		if (X509_self_signed(sk_X509_value(sent, i), 0) == 1)
			return 1;
	return 0;
}

/* The other opinion: messages that OpenSSL 3.0 can read must be valid to it. */
static int
judge_by_openssl(const struct client *c, const struct cmp_msg *m, struct err *e)
{
	struct bytes der = cmp_der(m);
	const uint8_t *p = der.p;
	AUTO(OSSL_CMP_MSG) msg = d2i_OSSL_CMP_MSG(NULL, &p, (long)der.len);
	AUTO(OSSL_CMP_CTX) ctx = OSSL_CMP_CTX_new(NULL, NULL);
	X509_STORE *store = X509_STORE_new();

	ERR_clear_error();
	X509_STORE_add_cert(store, c->root);
	OSSL_CMP_CTX_set0_trustedStore(ctx, store);
	OSSL_CMP_CTX_set1_untrusted(ctx, c->extras);
	if (msg == NULL)
		return err_set(e, ERR_INPUT, "OpenSSL cannot read it");
	if (OSSL_CMP_validate_msg(ctx, msg) != 1)
		return err_ossl(e, ERR_INPUT, "OpenSSL does not accept it");
	return 0;
}

static int
judge_protection(const struct client *c, const struct cmp_msg *m, X509 *signer,
    struct err *e)
{
	const ASN1_OCTET_STRING *ski = X509_get0_subject_key_id(signer);
	struct bytes kid = cmp_field(m, CMP_SENDER_KID);
	uint32_t usage = X509_get_key_usage(signer);
	struct buf part AUTO_BUF = { 0 };

	if (cmp_sender(m) == NULL ||
	    X509_NAME_cmp(cmp_sender(m), X509_get_subject_name(signer)) != 0)
		return err_set(e, ERR_INPUT, "3.1: sender is not the signer");
	if (ski != NULL &&
	    !bytes_eq(kid,
		bytes_of(ASN1_STRING_get0_data(ski),
		    (size_t)ASN1_STRING_length(ski))))
		return err_set(e, ERR_INPUT, "3.1: senderKID is not the SKI");
	if ((usage & KU_DIGITAL_SIGNATURE) == 0)
		return err_set(e, ERR_INPUT,
		    "3.5: the signer's keyUsage lacks "
		    "digitalSignature");
	buf_add(&part, m->header.p, m->header.len);
	buf_add(&part, m->body.p, m->body.len);
	der_close(&part, 0, DER_SEQ);
	if (m->protection.len == 0 ||
	    !cmp_signed(buf_bytes(&part), m->field[CMP_PROTECTION_ALG],
		m->protection, X509_get0_pubkey(signer)))
		return err_set(e, ERR_INPUT, "3.2: protection does not hold");
	if (chains(c, signer, "3.5: the signer", e) == -1)
		return -1;
	return judge_by_openssl(c, m, e);
}

/* ---- header ------------------------------------------------------------ */

static int
judge_nonce(struct client *c, const struct cmp_msg *m, struct err *e)
{
	struct bytes n = cmp_sender_nonce(m);
	struct digest d = digest_of(n.p, n.len);

	if (n.len < 16)
		return err_set(
		    e, ERR_INPUT, "3.1: senderNonce of %zu octets", n.len);
	for (size_t i = 0; i < c->n_seen; i++)
		if (!c->repeats && digest_eq(&c->seen[i], &d))
			return err_set(
			    e, ERR_INPUT, "3.1: senderNonce used before");
	if (c->n_seen < CLIENT_SEEN)
		c->seen[c->n_seen++] = d;
	buf_reset(&c->peer_nonce);
	buf_add(&c->peer_nonce, n.p, n.len);
	return 0;
}

/* RFC 9483 3.5, 4.4: a final response may answer the request or the last
 * poll; all else answers our last message. */
static int
judge_recip_nonce(
    const struct client *c, const struct cmp_msg *m, struct err *e)
{
	struct bytes got = cmp_recip_nonce(m);
	bool last = bytes_eq(got, bytes_of(c->nonce, sizeof(c->nonce)));
	bool first =
	    bytes_eq(got, bytes_of(c->first_nonce, sizeof(c->first_nonce)));
	bool polled = c->now == STAGE_POLL && cmp_body(m) != CMP_POLLREP &&
	    cmp_body(m) != CMP_ERROR;

	/* What could not be read cannot be repeated. */
	if (wrong(c, "nonce") != NULL || wrong(c, "outer") != NULL)
		return 0;
	if (polled && strcmp(c->nonce_of, "either") == 0 && (first || last))
		return 0;
	if (polled && strcmp(c->nonce_of, "first") == 0 ? first : last)
		return 0;
	return err_set(e, ERR_INPUT, "3.1: recipNonce of %s",
	    got.len == 0 ? "nothing"
		: first	 ? "the request"
		: last	 ? "the poll"
			 : "another message");
}

static int
judge_header(struct client *c, const struct cmp_msg *m, struct err *e)
{
	long pvno = wrong_long(c, "pvno", c->pvno);

	if (cmp_pvno(m) != (pvno == 3 ? 3 : 2))
		return err_set(e, ERR_INPUT, "3.1: pvno %d", cmp_pvno(m));
	if (wrong(c, "tid") == NULL && wrong(c, "outer") == NULL &&
	    !bytes_eq(cmp_transaction_id(m), bytes_of(c->tid, sizeof(c->tid))))
		return err_set(e, ERR_INPUT, "3.1: another transactionID");
	if (wrong(c, "sender") == NULL && wrong(c, "signer") == NULL &&
	    wrong(c, "nested") == NULL &&
	    (cmp_recipient(m) == NULL ||
		X509_NAME_cmp(cmp_recipient(m),
		    X509_get_subject_name(c->signer->cert)) != 0))
		return err_set(e, ERR_INPUT, "5.1: recipient is not who asked");
	if (judge_recip_nonce(c, m, e) == -1)
		return -1;
	return judge_nonce(c, m, e);
}

/* RFC 9483 4.1.1, 4.4: by whom the first response was. */
static int
judge_same_signer(const struct client *c, const struct cmp_msg *m, X509 *signer,
    struct err *e)
{
	enum cmp_body b = cmp_body(m);

	/* A device's error is answered by who hears it (3.6.1). */
	if (c->outcome != NULL && strcmp(c->outcome, "error") == 0)
		return 0;
	if ((b == CMP_PKICONF || b == CMP_POLLREP) &&
	    X509_cmp(c->first_signer, signer) != 0)
		return err_set(e, ERR_INPUT,
		    "4.4: %s is by %s, the first response was by %s",
		    cmp_body_name(b), judge_who(c, signer),
		    judge_who(c, c->first_signer));
	return 0;
}

int
judge_message(struct client *c, const struct cmp_msg *m, struct err *e)
{
	bool first = c->first_signer == NULL;
	X509 *signer;

	remember_extras(c, m);
	if ((signer = judge_signer(c, m)) == NULL)
		return err_set(
		    e, ERR_INPUT, "3.3: no certificate of the signer");
	if (first && sk_X509_num(cmp_extra_certs(m)) == 0)
		return err_set(e, ERR_INPUT, "3.3: no extraCerts");
	if (is_self_issued_sent(m))
		return err_set(e, ERR_INPUT, "3.3: a root in extraCerts");
	if (judge_header(c, m, e) == -1 ||
	    judge_protection(c, m, signer, e) == -1)
		return -1;
	if (first && X509_up_ref(signer) == 1)
		c->first_signer = signer;
	return judge_same_signer(c, m, signer, e);
}

/* ---- certificates ------------------------------------------------------ */

/* RFC 9483 4.1.1 to 4.1.4 */
int
judge_certificate(struct client *c, const struct cmp_msg *m,
    const struct cmp_response *r, struct err *e)
{
	EVP_PKEY *key = X509_get0_pubkey(r->cert);

	if (key == NULL || EVP_PKEY_eq(key, c->new_key) != 1)
		return err_set(e, ERR_INPUT, "4.1.1: issued for another key");
	if (X509_check_ca(r->cert) != 0)
		return err_set(e, ERR_INPUT, "4.1.1: a CA was made");
	if (ASN1_INTEGER_get(X509_get0_serialNumber(r->cert)) == 5)
		return err_set(
		    e, ERR_INPUT, "4.1.1: the serial number is the template's");
	if (chains(c, r->cert, "4.1.1: the new certificate", e) == -1)
		return -1;
	if (cmp_body(m) != CMP_IP && sk_X509_num(r->ca_pubs) > 0)
		return err_set(e, ERR_INPUT, "4.1.2: caPubs in %s",
		    cmp_body_name(cmp_body(m)));
	if (sk_X509_num(r->ca_pubs) > 0 &&
	    X509_cmp(sk_X509_value(r->ca_pubs, 0), c->root) != 0)
		return err_set(
		    e, ERR_INPUT, "4.1.1: caPubs is not the root above it");
	if (cmp_implicit_confirm(m) && !c->implicit)
		return err_set(e, ERR_INPUT,
		    "4.1.1: implicitConfirm that nobody asked for");
	return 0;
}
