/*
 * cmp_client: one CMP transaction, right or wrong, and one line about it.
 *
 *   cmp_client OPERATION --server HOST:PORT --root FILE --cert FILE --key FILE
 *       [OPTION...]
 *
 * Operations: ir cr kur p10cr rr genm-cacerts genm-root genm-template genm-crl
 * genm-odd, and those that begin no transaction: pollreq certconf error pkiconf
 * genp ip pollrep.  What the options mean stands in their table below; fields
 * and values of --wrong are those that client_make.c and client_body.c ask for.
 *
 * The line: HTTP's status unless 200; the last body's name; its status; its
 * failInfo; by=registrar or by=ra; waited=N polls=N; implicit; confirmed-by=WHO;
 * text="...".  Ends 0 if the responses were what RFC 9483 wants of responses,
 * 1 if not (the line begins with BAD), 2 when called wrongly.
 */
#include "tests/cmp/client.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/str.h"

/* ---- what is wrong ------------------------------------------------------ */

const char *
wrong(const struct client *c, const char *field)
{
	for (size_t i = 0; c->now == c->stage && i < c->n_wrongs; i++)
		if (strcmp(c->wrongs[i].field, field) == 0)
			return c->wrongs[i].value;
	return NULL;
}

bool
wrong_is(const struct client *c, const char *field, const char *value)
{
	const char *v = wrong(c, field);

	return v != NULL && strcmp(v, value) == 0;
}

long
wrong_long(const struct client *c, const char *field, long right)
{
	const char *v = wrong(c, field);

	return v != NULL ? strtol(v, NULL, 10) : right;
}

/* ---- one step ----------------------------------------------------------- */

/* What came of one message of ours. */
struct came {
	struct http http;
	struct cmp_msg *m; /* NULL: no CMP */
	enum cmp_body body;
	struct cmp_response r;
	X509 *signer; /* borrowed of m or the client */
};

static void
came_done(struct came *k)
{
	buf_done(&k->http.body);
	cmp_free(k->m);
	cmp_response_done(&k->r);
	*k = (struct came){ 0 };
}
#define AUTO_CAME __attribute__((cleanup(came_done)))

static int
read_body(struct client *c, struct came *k, struct err *e)
{
	uint32_t seconds;
	long id;

	switch ((int)k->body) {
	case CMP_ERROR:
		return cmp_read_error(k->m, &k->r, e);
	case CMP_RP:
		return cmp_read_rp(k->m, &k->r, e);
	case CMP_IP:
	case CMP_CP:
	case CMP_KUP:
		return cmp_read_response(k->m, &k->r, e);
	case CMP_POLLREP:
		if (cmp_read_pollrep(k->m, &id, &seconds, e) == -1)
			return -1;
		if (id != c->poll_id && wrong(c, "certreqid") == NULL)
			return err_set(
			    e, ERR_INPUT, "4.4: pollRep for %ld", id);
		return 0;
	default:
		return 0;
	}
}

static void
tell_http(struct client *c, const struct came *k)
{
	buf_printf(&c->line, "http-%d text=\"", k->http.status);
	str_escape(&c->line, (const char *)k->http.body.data, k->http.body.len);
	buf_add_str(&c->line, "\"");
}

/* Sends a body and judges what answers it. */
static int
step(struct client *c, struct bytes body, struct came *k, struct err *e)
{
	if ((body.p != NULL && message_make(c, body, e) == -1) ||
	    talk(c, &k->http, e) == -1)
		return -1;
	if (k->http.status != 200) {
		tell_http(c, k);
		return 0;
	}
	if (strcmp(k->http.type, "application/pkixcmp") != 0)
		return err_set(
		    e, ERR_INPUT, "RFC 9811 3.1: type %s", k->http.type);
	if (cmp_parse(buf_bytes(&k->http.body), &k->m, e) == -1)
		return -1;
	k->body = cmp_body(k->m);
	if (judge_message(c, k->m, e) == -1 || read_body(c, k, e) == -1)
		return -1;
	k->signer = judge_signer(c, k->m);
	return 0;
}

/* ---- what is told ------------------------------------------------------- */

static void
tell(struct client *c, const struct came *k)
{
	static const char *const names[] = { "accepted", "grantedWithMods",
		"rejection", "waiting" };
	bool stated = k->body == CMP_IP || k->body == CMP_CP ||
	    k->body == CMP_KUP || k->body == CMP_RP || k->body == CMP_ERROR;
	struct cmp_info i;
	struct err e = ERR_INIT;

	buf_printf(&c->line, "%s", cmp_body_name(k->body));
	if (stated)
		buf_printf(&c->line, " %s",
		    (size_t)k->r.status < NELEMS(names) ? names[k->r.status]
							: "warning");
	add_fail_names(k->r.fail, &c->line);
	if (k->body == CMP_GENP && cmp_read_info(k->m, &i, &e) == 0)
		buf_printf(&c->line, " info-%d%s", (int)i.type,
		    i.value.len == 0 ? " no-value" : "");
	buf_printf(&c->line, " by=%s", judge_who(c, k->signer));
	if (c->waits > 0)
		buf_printf(&c->line, " waited polls=%u", c->polls);
	if (stated && cmp_implicit_confirm(k->m))
		buf_add_str(&c->line, " implicit");
	if (k->r.ca_pubs != NULL)
		buf_add_str(&c->line, " caPubs");
	if (k->r.text[0] != '\0')
		buf_printf(&c->line, " text=\"%s\"", k->r.text);
}

/* ---- polling ------------------------------------------------------------ */

static bool
is_waiting(const struct came *k)
{
	return k->m != NULL && k->r.status == CMP_WAITING &&
	    (k->body == CMP_ERROR || k->body == CMP_IP || k->body == CMP_CP ||
		k->body == CMP_KUP);
}

/* RFC 9483 4.4: waiting in a CertRepMessage for what has one, else in an
 * error; 0 polls for the former, -1 for the latter. */
static int
judge_waiting(
    struct client *c, const struct came *k, const char *op, struct err *e)
{
	enum cmp_body want = op_response(op);
	bool rep = want == CMP_IP || want == CMP_CP || want == CMP_KUP;

	if (k->body != (rep ? want : CMP_ERROR))
		return err_set(e, ERR_INPUT, "4.4: %s says waiting for %s",
		    cmp_body_name(k->body), op);
	if (rep && k->r.id != op_id(op))
		return err_set(e, ERR_INPUT, "4.1: certReqId %ld", k->r.id);
	if (k->r.fail != 0)
		return err_set(e, ERR_INPUT, "4.4: failInfo while waiting");
	if (judge_who(c, k->signer)[1] != 'e')
		return err_set(e, ERR_INPUT,
		    "RFC 9733 4.2.4: waiting is not by the registrar");
	c->waits++;
	c->poll_id = rep ? op_id(op) : -1;
	return 0;
}

static int
run_hook(const struct client *c, const char *when)
{
	size_t n = strlen(when);

	if (c->before == NULL || strncmp(c->before, when, n) != 0 ||
	    c->before[n] != '=')
		return 0;
	/* A line of the shell is what the caller asked for. */
	return system(c->before + n + 1); // NOLINT(cert-env33-c)
}

/* From a waiting on until something else comes; k is it. */
static int
poll_until(struct client *c, const char *op, struct came *k, struct err *e)
{
	struct buf body AUTO_BUF = { 0 };
	uint32_t seconds = 1;
	long id;

	if (judge_waiting(c, k, op, e) == -1)
		return -1;
	c->now = STAGE_POLL;
	for (int n = 0; n < c->polls_max; n++) {
		if (n > 0)
			sleep(seconds < 2 ? seconds : 2);
		if (run_hook(c, "poll") != 0)
			return err_set(e, ERR_USAGE, "%s failed", c->before);
		came_done(k);
		buf_reset(&body);
		body_of_poll(c, &body);
		c->polls++;
		if (step(c, buf_bytes(&body), k, e) == -1)
			return -1;
		if (k->body != CMP_POLLREP)
			return is_waiting(k)
			    ? err_set(e, ERR_INPUT, "4.4: waiting to a poll")
			    : 0;
		if (cmp_read_pollrep(k->m, &id, &seconds, e) == -1)
			return -1;
	}
	return 0;
}

/* ---- the transaction ---------------------------------------------------- */

static bool
is_outcome(const struct client *c, const char *name)
{
	return c->outcome != NULL && strcmp(c->outcome, name) == 0;
}

/* certConf, or an error instead of it, and what answers. */
static int
confirm(struct client *c, X509 *cert, struct err *e)
{
	struct came k AUTO_CAME = { 0 };
	struct buf body AUTO_BUF = { 0 };

	c->now = STAGE_CONFIRM;
	c->began = false; /* what is polled for from here on answers this */
	if (run_hook(c, "confirm") != 0)
		return err_set(e, ERR_USAGE, "%s failed", c->before);
	if (is_outcome(c, "error"))
		cmp_body_error(CMP_REJECTION, CMP_BAD_REQUEST, "no", &body);
	else
		body_of_confirm(c, cert, &body);
	buf_add_str(&c->line, " then=");
	if (step(c, buf_bytes(&body), &k, e) == -1 ||
	    (is_waiting(&k) && poll_until(c, "certconf", &k, e) == -1))
		return -1;
	if (k.m != NULL)
		tell(c, &k);
	return 0;
}

static int
accepted(struct client *c, const struct came *k, struct err *e)
{
	bool more = c->outcome == NULL || !is_outcome(c, "leave");

	if (k->r.id != op_id(c->op))
		return err_set(e, ERR_INPUT, "4.1: certReqId %ld", k->r.id);
	if (judge_certificate(c, k->m, &k->r, e) == -1)
		return -1;
	return more && !cmp_implicit_confirm(k->m) ? confirm(c, k->r.cert, e)
						   : 0;
}

/* --then op:OP, new:OP; NULL if it is neither. */
static const char *
next_op(const struct client *c)
{
	if (c->outcome == NULL ||
	    (!str_starts(c->outcome, "op:") && !str_starts(c->outcome, "new:")))
		return NULL;
	return strchr(c->outcome, ':') + 1;
}

/* The same octets again, or other ones, under the same transactionID or in a
 * new transaction. */
static int
again(struct client *c, struct err *e)
{
	struct came k AUTO_CAME = { 0 };
	struct buf body AUTO_BUF = { 0 };
	const char *op = next_op(c);

	buf_add_str(&c->line, " then=");
	c->repeats = op == NULL;
	if (str_starts(c->outcome, "new:")) {
		random_bytes(c->tid, sizeof(c->tid));
		c->began = false;
	}
	if (op != NULL && body_of_op(c, op, &body, e) == -1)
		return -1;
	if (step(c, buf_bytes(&body), &k, e) == -1)
		return -1;
	if (k.m != NULL)
		tell(c, &k);
	return 0;
}

static int
write_result(const char *path, X509 *cert, struct err *e)
{
	struct buf pem AUTO_BUF = { 0 };

	if (path == NULL)
		return 0;
	ossl_cert_pem(cert, &pem);
	return file_write(path, 0600, buf_bytes(&pem), e);
}

static int
transaction(struct client *c, const char *out, struct err *e)
{
	struct came k AUTO_CAME = { 0 };
	struct buf body AUTO_BUF = { 0 };

	if (body_of_op(c, c->op, &body, e) == -1 ||
	    step(c, buf_bytes(&body), &k, e) == -1)
		return -1;
	if (is_waiting(&k) && c->polls_max > 0 &&
	    poll_until(c, c->op, &k, e) == -1)
		return -1;
	if (k.m == NULL)
		return 0;
	if (is_waiting(&k) && judge_waiting(c, &k, c->op, e) == -1)
		return -1;
	if (k.body != CMP_ERROR && k.body != CMP_POLLREP &&
	    k.body != op_response(c->op))
		return err_set(e, ERR_INPUT, "4: %s answers %s",
		    cmp_body_name(k.body), c->op);
	tell(c, &k);
	if (is_outcome(c, "again") || next_op(c) != NULL)
		return again(c, e);
	if (k.r.cert == NULL)
		return 0;
	return accepted(c, &k, e) == -1 ? -1 : write_result(out, k.r.cert, e);
}

/* ---- the command line --------------------------------------------------- */

struct names {
	const char *cert, *key, *other_cert, *other_key, *tls_cert, *tls_key;
	const char *root, *old, *new_key, *out;
	bool no_tls;
};

static const struct option options[] = {
	{ "server", 1, NULL, 's' },	/* HOST:PORT */
	{ "path", 1, NULL, 'p' },	/* of the URI */
	{ "cert", 1, NULL, 'c' },	/* signs; the chain behind it */
	{ "key", 1, NULL, 'k' },	/* its key */
	{ "other-cert", 1, NULL, 'C' }, /* for --wrong signer=other and such */
	{ "other-key", 1, NULL, 'K' },
	{ "tls-cert", 1, NULL, 't' }, /* of TLS, if another than --cert */
	{ "tls-key", 1, NULL, 'T' },
	{ "no-tls-cert", 0, NULL, 'N' },
	{ "root", 1, NULL, 'r' },     /* the domain's */
	{ "old", 1, NULL, 'o' },      /* kur, rr: another certificate */
	{ "new-key", 1, NULL, 'n' },  /* made if the file is not there */
	{ "key-type", 1, NULL, 'y' }, /* P-256, P-384, P-521, RSA, RSA4096,
					    ED25519, ED448 */
	{ "out", 1, NULL, 'O' },      /* the certificate */
	{ "subject", 1, NULL, 'S' },  /* commonName alone asked for */
	{ "profile", 1, NULL, 'P' },  /* certProfile */
	{ "reason", 1, NULL, 'R' },   /* rr */
	{ "implicit", 0, NULL, 'i' }, /* implicitConfirm */
	{ "pvno", 1, NULL, 'v' },     /* 2 */
	{ "polls", 1, NULL, 'l' },    /* at most; 30 */
	{ "final", 1, NULL, 'f' },    /* either, first, last */
	{ "then", 1, NULL, 'h' },     /* reject, error, leave, again,
					    op:OP, new:OP */
	{ "before", 1, NULL, 'b' },   /* poll=COMMAND, confirm=COMMAND */
	{ "wrong", 1, NULL, 'w' },    /* FIELD=VALUE */
	{ "at", 1, NULL, 'a' },	      /* first, poll, confirm */
	{ "sign-alg", 1, NULL, 'g' }, /* sha384, pss-sha256 and so on */
	{ "pop-alg", 1, NULL, 'G' },  /* the same of the proof */
	{ "method", 1, NULL, 'm' },   /* of HTTP */
	{ "type", 1, NULL, 'e' },     /* Content-Type */
	{ NULL, 0, NULL, 0 },
};

static int
add_wrong(struct client *c, const char *text)
{
	struct wrong *w = &c->wrongs[c->n_wrongs];
	const char *eq = strchr(text, '=');

	if (eq == NULL || c->n_wrongs == CLIENT_WRONGS ||
	    (size_t)(eq - text) >= sizeof(w->field))
		return -1;
	memcpy(w->field, text, (size_t)(eq - text));
	str_copy(w->value, sizeof(w->value), eq + 1);
	c->n_wrongs++;
	return 0;
}

static int
set_server(struct client *c, const char *text)
{
	static char host[64], port[6];
	struct err e = ERR_INIT;

	c->host = host;
	c->port = port;
	return hostport_parse(text, host, port, &e);
}

static int
set_stage(struct client *c, const char *text)
{
	static const char *const names[] = { "first", "poll", "confirm" };

	for (size_t i = 0; i < NELEMS(names); i++)
		if (strcmp(names[i], text) == 0) {
			c->stage = (enum stage)i;
			return 0;
		}
	return -1;
}

/* Options that are a text and nothing more. */
static const char **
text_of(struct client *c, struct names *n, int option)
{
	const struct {
		int option;
		const char **to;
	} texts[] = { { 'p', &c->path }, { 'c', &n->cert }, { 'k', &n->key },
		{ 'C', &n->other_cert }, { 'K', &n->other_key },
		{ 't', &n->tls_cert }, { 'T', &n->tls_key }, { 'r', &n->root },
		{ 'o', &n->old }, { 'n', &n->new_key }, { 'O', &n->out },
		{ 'S', &c->subject }, { 'P', &c->profile },
		{ 'f', &c->nonce_of }, { 'h', &c->outcome },
		{ 'g', &c->sign_alg }, { 'G', &c->pop_alg },
		{ 'b', &c->before }, { 'm', &c->method }, { 'e', &c->type } };

	for (size_t i = 0; i < NELEMS(texts); i++)
		if (texts[i].option == option)
			return texts[i].to;
	return NULL;
}

static const char *key_type = "P-256";

static int
option_take(struct client *c, struct names *n, int option, char *arg)
{
	const char **text = text_of(c, n, option);

	if (text != NULL) {
		*text = arg;
		return 0;
	}
	switch (option) {
	case 's':
		return set_server(c, arg);
	case 'N':
		n->no_tls = true;
		return 0;
	case 'y':
		key_type = arg;
		return 0;
	case 'R':
		c->reason = atoi(arg);
		return 0;
	case 'i':
		c->implicit = true;
		return 0;
	case 'v':
		c->pvno = atoi(arg);
		return 0;
	case 'l':
		c->polls_max = atoi(arg);
		return 0;
	case 'w':
		return add_wrong(c, arg);
	case 'a':
		return set_stage(c, arg);
	default:
		return -1;
	}
}

static EVP_PKEY *
key_made(void)
{
	if (strncmp(key_type, "RSA", 3) == 0)
		return EVP_RSA_gen(
		    key_type[3] != '\0' ? (unsigned)atoi(key_type + 3) : 2048);
	if (strncmp(key_type, "P-", 2) == 0)
		return EVP_EC_gen(key_type);
	return EVP_PKEY_Q_keygen(NULL, NULL, key_type);
}

/* As in the file, or made and left there. */
static EVP_PKEY *
new_key(const char *path, struct err *e)
{
	struct buf pem AUTO_SECRET = { 0 };
	EVP_PKEY *k;

	if (path != NULL && access(path, R_OK) == 0)
		return ossl_load_key(path, e);
	if ((k = key_made()) == NULL) {
		err_ossl(e, ERR_USAGE, "no key of type %s", key_type);
		return NULL;
	}
	ossl_key_pem(k, &pem);
	if (path != NULL && file_write(path, 0600, buf_bytes(&pem), e) == -1) {
		EVP_PKEY_free(k);
		return NULL;
	}
	return k;
}

static int
load(struct client *c, const struct names *n, struct err *e)
{
	const char *tls_cert = n->tls_cert != NULL ? n->tls_cert : n->cert;
	const char *tls_key = n->tls_key != NULL ? n->tls_key : n->key;

	if (c->host == NULL || n->cert == NULL || n->key == NULL ||
	    n->root == NULL)
		return err_set(e, ERR_USAGE,
		    "usage: cmp_client OPERATION --server HOST:PORT --root "
		    "FILE --cert FILE --key FILE [OPTION...]");
	if ((c->signer = signer_load(n->key, n->cert, e)) == NULL ||
	    (c->root = ossl_load_cert(n->root, e)) == NULL ||
	    (c->new_key = new_key(n->new_key, e)) == NULL)
		return -1;
	if (!n->no_tls && (c->tls = signer_load(tls_key, tls_cert, e)) == NULL)
		return -1;
	if (n->other_cert != NULL &&
	    (c->other = signer_load(n->other_key, n->other_cert, e)) == NULL)
		return -1;
	if (n->old != NULL && (c->old = ossl_load_cert(n->old, e)) == NULL)
		return -1;
	random_bytes(c->tid, sizeof(c->tid));
	c->extras = sk_X509_new_null();
	return 0;
}

static void
unload(struct client *c)
{
	signer_free(c->signer);
	signer_free(c->other);
	signer_free(c->tls);
	EVP_PKEY_free(c->new_key);
	X509_free(c->old);
	X509_free(c->root);
	X509_free(c->server);
	X509_free(c->first_signer);
	x509s_free(c->extras);
	buf_done(&c->peer_nonce);
	buf_done(&c->sent);
	buf_done(&c->line);
}

static int
run(struct client *c, const struct names *n)
{
	struct err e = ERR_INIT;
	int rc = load(c, n, &e);

	if (rc == 0)
		rc = transaction(c, n->out, &e);
	if (rc == 0)
		printf("%s\n", buf_cstr(&c->line));
	else
		printf("BAD %s (%s)\n", e.msg, buf_cstr(&c->line));
	return rc == 0 ? 0 : e.kind == ERR_USAGE ? 2 : 1;
}

int
main(int argc, char **argv)
{
	struct client c = { .path = "/.well-known/cmp",
		.pvno = 2,
		.reason = 0,
		.polls_max = 30,
		.nonce_of = "either" };
	struct names n = { 0 };
	int option, rc;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (option_take(&c, &n, option, optarg) == -1) {
			fprintf(stderr,
			    "cmp_client: no such option, or not "
			    "with this value\n");
			return 2;
		}
	if (optind != argc - 1) {
		fprintf(stderr, "cmp_client: one operation, please\n");
		return 2;
	}
	c.op = argv[optind];
	rc = run(&c, &n);
	unload(&c);
	return rc;
}
