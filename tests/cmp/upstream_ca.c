/*
 * upstream_ca: a CA that speaks CMP to an RA, one message a connection, and
 * remembers its transactions.
 *
 *   upstream_ca PORT CA-CRT CA-KEY SIGNER-CRT SIGNER-KEY [POLLS [explicit]]
 *
 * ir, cr, p10cr, kur and rr, alone or nested; POLLS times it says "not yet"
 * first.  With "explicit" nobody's implicit confirmation is granted.  A
 * transaction is begun once; each message must answer what was said last, or be
 * the last one again, octet for octet, which has the same answer.  kur and rr
 * must be signed by what they speak of.  A line for each message:
 *
 *   TRANSACTION TYPE [nested] by SERIALNUMBER: WHAT IT SAID
 */
#include "tests/unit/upstream_lab.h"

#include "common/pki/certfacts.h"

#define DAY 86400

struct transaction {
	struct transaction *next;
	struct buf id, last, answer; /* last: message as it came */
	enum cmp_body asked;
	uint8_t nonce[16]; /* of what was said last */
	unsigned polls;	   /* still to be said "not yet" */
	struct buf final;  /* body of the answer that is waited for */
	X509 *cert;	   /* in it; NULL: none */
	bool told, confirmed;
};

static struct {
	X509 *cert;
	EVP_PKEY *key;
	struct signer *signer;
	unsigned polls;
	bool explicit;
	struct transaction *first;
} ca;

/* What came, and what is said to it. */
struct turn {
	const struct cmp_msg *m;
	struct transaction *t;
	struct buf body;
	bool implicit;
	char what[200];
};

static void
no(struct turn *s, uint32_t fail, const char *why)
{
	buf_reset(&s->body);
	cmp_body_error(CMP_REJECTION, fail, why, &s->body);
	str_copy(s->what, sizeof(s->what), why);
}

/* ---- transactions ------------------------------------------------------ */

static struct transaction *
find(const struct cmp_msg *m)
{
	struct transaction *t = ca.first;

	while (t != NULL && !bytes_eq(buf_bytes(&t->id), cmp_transaction_id(m)))
		t = t->next;
	return t;
}

static struct transaction *
begun(const struct cmp_msg *m)
{
	struct transaction *t = xcalloc(1, sizeof(*t));
	struct bytes id = cmp_transaction_id(m);

	buf_add(&t->id, id.p, id.len);
	t->asked = cmp_body(m);
	t->polls = ca.polls;
	t->next = ca.first;
	ca.first = t;
	return t;
}

/* ---- what is asked for ------------------------------------------------- */

static int
check_own(const struct cmp_msg *m, X509 *signer, struct err *e)
{
	struct cmp_revocation rr;
	struct cmp_request r = { 0 };
	bool own;

	if (cmp_body(m) == CMP_RR) {
		if (cmp_read_rr(m, &rr, e) == -1)
			return -1;
		own = cmp_names_cert(&rr.cert, signer);
	} else {
		if (cmp_read_request(m, &r, e) == -1)
			return -1;
		own = !r.has_old || cmp_names_cert(&r.old, signer);
		cmp_request_done(&r);
	}
	if (!own || X509_verify(signer, X509_get0_pubkey(ca.cert)) != 1)
		return err_set(e, ERR_POLICY, "not by what it speaks of");
	return 0;
}

/* As it was asked for, with the serialNumber of who signed. */
static X509_NAME *
subject_of(const struct cmp_request *r, const char *serial)
{
	X509_NAME *n =
	    r->subject != NULL ? X509_NAME_dup(r->subject) : X509_NAME_new();

	if (X509_NAME_get_index_by_NID(n, NID_serialNumber, -1) < 0 &&
	    X509_NAME_add_entry_by_NID(n, NID_serialNumber, MBSTRING_UTF8,
		(const unsigned char *)serial, -1, -1, 0) != 1)
		up_fail("subject");
	return n;
}

static int
issue(struct turn *s, const char *serial, struct err *e)
{
	struct cmp_request r = { 0 };
	AUTO(X509_NAME) subject = NULL;
	uint64_t now = clock_now().time;
	struct issue_spec spec = { .not_before = now - 300,
		.not_after = now + DAY,
		.pathlen = -1,
		.key_usage = "critical,digitalSignature",
		.ext_key_usage = "clientAuth" };
	bool same;

	if (cmp_read_request(s->m, &r, e) == -1)
		return -1;
	spec.subject = subject = subject_of(&r, serial);
	spec.pubkey = r.pubkey;
	same = r.subject == NULL || X509_NAME_cmp(r.subject, subject) == 0;
	s->t->cert = issue_cert(&spec, ca.cert, ca.key, e);
	if (s->t->cert != NULL)
		cmp_body_granted(cmp_response_to(s->t->asked), r.id,
		    same ? CMP_ACCEPTED : CMP_GRANTED_WITH_MODS, s->t->cert,
		    NULL, &s->t->final);
	cmp_request_done(&r);
	return s->t->cert != NULL ? 0 : -1;
}

static int
decide(struct turn *s, X509 *signer, const char *serial, struct err *e)
{
	enum cmp_body asked = cmp_body(s->m);

	if ((asked == CMP_KUR || asked == CMP_RR) &&
	    check_own(s->m, signer, e) == -1)
		return -1;
	if (asked != CMP_RR)
		return issue(s, serial, e);
	cmp_body_rp(CMP_ACCEPTED, 0, NULL, &s->t->final);
	return 0;
}

/* The answer, if nobody has to wait for it any more. */
static void
say_final(struct turn *s)
{
	char serial[CERT_TEXT_MAX] = "";

	buf_add(&s->body, s->t->final.data, s->t->final.len);
	s->implicit = s->t->cert != NULL && !ca.explicit;
	s->t->told = true;
	if (s->t->cert != NULL)
		cert_serial_hex(s->t->cert, serial, sizeof(serial));
	snprintf(s->what, sizeof(s->what), "%s %s",
	    s->t->cert != NULL ? "issued" : "revoked", serial);
}

static void
take_request(struct turn *s, X509 *signer, const char *serial)
{
	struct err e = ERR_INIT;

	if (s->t != NULL) {
		no(s, CMP_TRANSACTION_ID_IN_USE, "transactionID in use");
		return;
	}
	s->t = begun(s->m);
	if (decide(s, signer, serial, &e) == -1) {
		no(s, CMP_BAD_REQUEST, e.msg);
	} else if (s->t->polls > 0) {
		cmp_body_waiting(
		    s->t->asked, s->t->asked == CMP_P10CR ? -1 : 0, &s->body);
		str_copy(s->what, sizeof(s->what), "waiting");
	} else {
		say_final(s);
	}
}

static void
take_poll(struct turn *s)
{
	struct err e = ERR_INIT;
	long id;

	if (s->t == NULL || s->t->told ||
	    cmp_read_pollreq(s->m, &id, &e) == -1) {
		no(s, CMP_BAD_REQUEST, "nobody waits here");
	} else if (--s->t->polls > 0) {
		cmp_body_pollrep(id, 1, &s->body);
		str_copy(s->what, sizeof(s->what), "not yet");
	} else {
		say_final(s);
	}
}

static void
take_confirm(struct turn *s)
{
	struct cmp_certconf c;
	struct err e = ERR_INIT;

	if (s->t == NULL || !s->t->told || s->t->confirmed ||
	    s->t->cert == NULL) {
		no(s, CMP_BAD_REQUEST, "nothing to be confirmed");
	} else if (cmp_read_certconf(s->m, &c, &e) == -1 ||
	    (c.status != CMP_REJECTION &&
		cmp_check_certhash(&c, s->t->cert, &e) == -1)) {
		no(s, CMP_BAD_CERT_ID, e.msg);
	} else {
		s->t->confirmed = true;
		cmp_body_pkiconf(&s->body);
		str_copy(s->what, sizeof(s->what),
		    c.status == CMP_REJECTION ? "rejected" : "confirmed");
	}
}

/* ---- a message --------------------------------------------------------- */

/* Who signed; a certConf may come without certificates: then whoever did. */
static X509 *
signer_of(const struct cmp_msg *m, char serial[CERT_TEXT_MAX], struct err *e)
{
	static X509 *last;
	X509 *x = cmp_find_signer(m, last, e);

	if (x == NULL || cmp_verify(m, x, e) == -1)
		return NULL;
	X509_up_ref(x);
	X509_free(last);
	last = x;
	if (cert_subject_serial(x, serial, e) == -1)
		cert_subject_text(x, serial, CERT_TEXT_MAX);
	return x;
}

static bool
answers_last(const struct turn *s)
{
	return s->t == NULL ||
	    bytes_eq(cmp_recip_nonce(s->m),
		bytes_of(s->t->nonce, sizeof(s->t->nonce)));
}

static void
take(struct turn *s, char serial[CERT_TEXT_MAX])
{
	struct err e = ERR_INIT;
	X509 *signer = signer_of(s->m, serial, &e);
	enum cmp_body is = cmp_body(s->m);

	s->t = find(s->m);
	if (signer == NULL)
		no(s, CMP_BAD_MESSAGE_CHECK, e.msg);
	else if (is != CMP_POLLREQ && is != CMP_CERTCONF)
		take_request(s, signer, serial);
	else if (!answers_last(s))
		no(s, CMP_BAD_RECIPIENT_NONCE, "answers another message");
	else if (is == CMP_POLLREQ)
		take_poll(s);
	else
		take_confirm(s);
}

static void
reply(struct turn *s, struct bytes came, struct buf *out)
{
	uint8_t nonce[16];
	struct err e = ERR_INIT;
	struct cmp_head h;

	random_bytes(nonce, sizeof(nonce));
	cmp_head_reply(s->m, &h);
	h.sender_nonce = bytes_of(nonce, sizeof(nonce));
	h.implicit_confirm = s->implicit && cmp_implicit_confirm(s->m);
	if (cmp_build(&h, buf_bytes(&s->body), ca.signer, NULL, out, &e) == -1)
		up_fail(e.msg);
	if (s->t == NULL)
		return;
	memcpy(s->t->nonce, nonce, sizeof(nonce));
	buf_reset(&s->t->last);
	buf_add(&s->t->last, came.p, came.len);
	buf_reset(&s->t->answer);
	buf_add(&s->t->answer, out->data, out->len);
}

static void
tell(const struct turn *s, bool nested, const char *serial)
{
	char tid[2 * CMP_TID_LEN + 1];
	struct bytes id = cmp_transaction_id(s->m);

	printf("%.8s %s%s by %s: %s\n",
	    hex_format(tid, id.p, id.len < CMP_TID_LEN ? id.len : CMP_TID_LEN),
	    cmp_body_name(cmp_body(s->m)), nested ? " nested" : "", serial,
	    s->what);
	fflush(stdout);
}

static void
answer(struct bytes came, struct buf *out)
{
	AUTO(cmp_msg) m = up_open(came);
	struct turn s = { .m = m };
	char serial[CERT_TEXT_MAX] = "?";

	s.t = find(m);
	if (s.t != NULL && bytes_eq(buf_bytes(&s.t->last), came)) {
		str_copy(s.what, sizeof(s.what), "the same again");
		buf_add(out, s.t->answer.data, s.t->answer.len);
	} else {
		take(&s, serial);
		reply(&s, came, out);
	}
	tell(&s, !bytes_eq(cmp_der(m), came), serial);
	buf_done(&s.body);
}

/* ---- its life ---------------------------------------------------------- */

static int
listen_at(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == -1 ||
	    listen(fd, 16) == -1)
		up_fail("listen");
	return fd;
}

static void
serve(int fd)
{
	struct up_wire w = { .fd = accept(fd, NULL, NULL) };
	struct buf came AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };

	if (w.fd == -1)
		up_fail("accept");
	if (up_request(&w, &came)) {
		answer(buf_bytes(&came), &out);
		up_reply(&w, 200, "application/pkixcmp", buf_bytes(&out));
	}
	close(w.fd);
}

int
main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	int fd;

	if (argc < 6 || argc > 8) {
		fprintf(stderr,
		    "usage: upstream_ca PORT CA-CRT CA-KEY SIGNER-CRT "
		    "SIGNER-KEY [POLLS [explicit]]\n");
		return 2;
	}
	ca.cert = ossl_load_cert(argv[2], &e);
	ca.key = ossl_load_key(argv[3], &e);
	ca.signer = signer_load(argv[5], argv[4], &e);
	if (ca.cert == NULL || ca.key == NULL || ca.signer == NULL)
		up_fail(e.msg);
	ca.polls = argc > 6 ? (unsigned)atoi(argv[6]) : 0;
	ca.explicit = argc > 7;
	for (fd = listen_at(atoi(argv[1]));;)
		serve(fd);
}
