/*
 * CMP messages, good and bad, for scenarios: makes them, spoils them, reads
 * what comes back.  curl carries them.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/str.h"
#include "common/pki/cmp_msg.h"
#include "common/pki/issue.h"
#include "common/pki/sign.h"
#include "common/pki/trust.h"
#include "tests/cmp/fail_names.h"

static int
message_load(const char *path, struct cmp_msg **ret, struct err *e)
{
	struct buf der AUTO_BUF = { 0 };

	if (file_read(path, CMP_NESTED_MAX, &der, e) == -1 ||
	    cmp_parse(buf_bytes(&der), ret, e) == -1)
		return err_prefix(e, "%s", path);
	return 0;
}

/* ---- make -------------------------------------------------------------- */

/* Well formed as far as a registrar looks at types that it does not speak. */
static const struct {
	const char *name;
	enum cmp_body type;
	const char *hex; /* the body's octets; NULL: made */
} bodies[] = {
	{ "ir", CMP_IR, NULL },
	{ "cr", CMP_CR, NULL },
	{ "kur", CMP_KUR, NULL },
	{ "p10cr", CMP_P10CR, NULL },
	{ "pollreq", CMP_POLLREQ, NULL },
	{ "rr", CMP_RR, "ab023000" },
	{ "genm", CMP_GENM, "b5023000" },
	{ "certconf", CMP_CERTCONF,
	    "b8293027302504200000000000000000000000000000000000000000000000000"
	    "000000000000000020100" },
};

static int
body_of_hex(const char *hex, struct buf *out, struct err *e)
{
	size_t n = strlen(hex) / 2;

	return hex_parse(hex, buf_grow(out, n), n, e);
}

static int
make_body(const char *name, struct buf *out, struct err *e)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(X509_NAME) subject = issue_name("spoiled", NULL, NULL);
	size_t i = 0;

	while (i < NELEMS(bodies) && strcmp(bodies[i].name, name) != 0)
		i++;
	if (i == NELEMS(bodies))
		return err_set(e, ERR_USAGE, "no body %s is made here", name);
	if (bodies[i].hex != NULL)
		return body_of_hex(bodies[i].hex, out, e);
	if (bodies[i].type == CMP_P10CR)
		return cmp_body_p10cr(key, subject, out, e);
	if (bodies[i].type != CMP_POLLREQ)
		return cmp_body_certreq(bodies[i].type, key, subject, out, e);
	cmp_body_pollreq(0, out);
	return 0;
}

/* BODY KEY CERT OUT [LIKE [REPLY]]: of LIKE's transaction, answering REPLY. */
static int
make(char **arg, struct err *e)
{
	struct buf body AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
	AUTO(cmp_msg) like = NULL;
	AUTO(cmp_msg) reply = NULL;
	AUTO(signer) s = NULL;
	uint8_t fresh[CMP_TID_LEN];
	struct cmp_head h = { 0 };

	random_bytes(fresh, sizeof(fresh));
	h.transaction_id = bytes_of(fresh, sizeof(fresh));
	if (arg[4] != NULL && message_load(arg[4], &like, e) == -1)
		return -1;
	if (like != NULL)
		h.transaction_id = cmp_transaction_id(like);
	if (like != NULL && arg[5] != NULL) {
		if (message_load(arg[5], &reply, e) == -1)
			return -1;
		h.recip_nonce = cmp_sender_nonce(reply);
	}
	if ((s = signer_load(arg[1], arg[2], e)) == NULL ||
	    make_body(arg[0], &body, e) == -1 ||
	    cmp_build(&h, buf_bytes(&body), s, NULL, &out, e) == -1)
		return -1;
	return file_write(arg[3], 0600, buf_bytes(&out), e);
}

/* ---- flip -------------------------------------------------------------- */

static struct bytes
leaf_of(const struct cmp_msg *m, struct buf *der)
{
	struct bytes all = cmp_der(m);

	ossl_cert_der(sk_X509_value(cmp_extra_certs(m), 0), der);
	return bytes_of(memmem(all.p, all.len, der->data, der->len), der->len);
}

static struct bytes
region_of(const struct cmp_msg *m, const char *name, struct buf *scratch)
{
	static const struct {
		const char *name;
		enum cmp_field field;
	} fields[] = {
		{ "algorithm", CMP_PROTECTION_ALG },
		{ "transaction", CMP_TRANSACTION_ID },
		{ "nonce", CMP_SENDER_NONCE },
		{ "kid", CMP_SENDER_KID },
	};

	for (size_t i = 0; i < NELEMS(fields); i++)
		if (strcmp(fields[i].name, name) == 0)
			return m->field[fields[i].field];
	if (strcmp(name, "header") == 0)
		return m->header;
	if (strcmp(name, "body") == 0)
		return m->body;
	if (strcmp(name, "protection") == 0)
		return m->protection;
	if (strcmp(name, "certificate") == 0 && cmp_extra_certs(m) != NULL)
		return leaf_of(m, scratch);
	if (strcmp(name, "chain") == 0)
		return cmp_der(m);
	return bytes_of(NULL, 0);
}

/* REGION IN OUT: one bit of its last octet. */
static int
flip(char **arg, struct err *e)
{
	struct buf out AUTO_BUF = { 0 }, scratch AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct bytes r;

	if (message_load(arg[1], &m, e) == -1)
		return -1;
	r = region_of(m, arg[0], &scratch);
	if (r.p == NULL || r.len == 0)
		return err_set(e, ERR_INPUT, "%s has no %s", arg[1], arg[0]);
	buf_add(&out, cmp_der(m).p, cmp_der(m).len);
	out.data[r.p + r.len - 1 - cmp_der(m).p] ^= 1;
	return file_write(arg[2], 0600, buf_bytes(&out), e);
}

/* ---- show, check ------------------------------------------------------- */

static void
show_status(const struct cmp_response *r)
{
	static const char *const names[] = { "accepted", "grantedWithMods",
		"rejection", "waiting" };

	printf(" status=%s",
	    (size_t)r->status < NELEMS(names) ? names[r->status] : "other");
	for (size_t i = 0; i < NELEMS(fail_names); i++)
		if ((r->fail & fail_names[i].bit) != 0)
			printf(" fail=%s", fail_names[i].name);
	if (r->cert != NULL)
		printf(" certificate");
	if (r->text[0] != '\0')
		printf(" text=\"%s\"", r->text);
}

static int
show_message(const struct cmp_msg *m, struct err *e)
{
	struct cmp_response r = { 0 };
	enum cmp_body body = cmp_body(m);

	printf("body=%s", cmp_body_name(body));
	if (body == CMP_ERROR || body == CMP_IP || body == CMP_CP) {
		if ((body == CMP_ERROR ? cmp_read_error : cmp_read_response)(
			m, &r, e) == -1)
			return -1;
		show_status(&r);
		cmp_response_done(&r);
	}
	putchar('\n');
	return 0;
}

/* FILE */
static int
show(char **arg, struct err *e)
{
	AUTO(cmp_msg) m = NULL;

	return message_load(arg[0], &m, e) == -1 ? -1 : show_message(m, e);
}

/* REQUEST REPLY ANCHOR: protected by whom the anchor believes, and an answer
 * to this request (RFC 9483 3.5). */
static int
check(char **arg, struct err *e)
{
	AUTO(cmp_msg) q = NULL;
	AUTO(cmp_msg) m = NULL;
	AUTO(trust) t = trust_new();
	const char *anchor;
	X509 *signer;

	if (message_load(arg[0], &q, e) == -1 ||
	    message_load(arg[1], &m, e) == -1 ||
	    trust_add_file(t, "domain", arg[2], e) == -1 ||
	    (signer = cmp_find_signer(m, NULL, e)) == NULL ||
	    trust_check(t, signer, cmp_extra_certs(m), clock_now().time,
		&anchor, NULL, e) == -1 ||
	    cmp_verify(m, signer, e) == -1)
		return -1;
	if (!bytes_eq(cmp_transaction_id(q), cmp_transaction_id(m)))
		return err_set(e, ERR_INPUT, "reply: another transactionID");
	if (!bytes_eq(cmp_sender_nonce(q), cmp_recip_nonce(m)))
		return err_set(e, ERR_INPUT,
		    "reply: recipNonce is not the request's senderNonce");
	return show_message(m, e);
}

/* ---- commands ----------------------------------------------------------- */

static const struct {
	const char *name;
	int args;
	int (*run)(char **arg, struct err *e);
	const char *usage;
} commands[] = {
	{ "make", 4, make, "BODY KEY CERT OUT [LIKE [REPLY]]" },
	{ "flip", 3, flip, "REGION IN OUT" },
	{ "show", 1, show, "FILE" },
	{ "check", 3, check, "REQUEST REPLY ANCHOR" },
};

int
main(int argc, char **argv)
{
	struct err e = ERR_INIT;

	for (size_t i = 0; i < NELEMS(commands); i++) {
		if (argc < 2 + commands[i].args ||
		    strcmp(argv[1], commands[i].name) != 0)
			continue;
		if (commands[i].run(argv + 2, &e) == 0)
			return 0;
		fprintf(stderr, "cmp_tool %s: %s\n", argv[1], e.msg);
		return err_exit_code(e.kind);
	}
	for (size_t i = 0; i < NELEMS(commands); i++)
		fprintf(stderr, "usage: cmp_tool %s %s\n", commands[i].name,
		    commands[i].usage);
	return 2;
}
