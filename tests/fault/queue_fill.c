/*
 * Entries by the thousand, as a registrar would have accepted them, and a look
 * at what has become of them; the registrar of this configuration is stopped
 * meanwhile.
 *
 *   queue_fill fill REGISTRAR.yaml VENDOR-DIR COUNT   each of a device of its own
 *   queue_fill check REGISTRAR.yaml                   one line of figures
 *
 * Each request is a genuine CMP ir, admitted as any other and accepted through
 * the outbox, so that a service will issue for it.
 */
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/str.h"
#include "common/pki/cmp.h"
#include "common/pki/certfacts.h"
#include "common/pki/issue.h"
#include "registrar/admit.h"
#include "registrar/registrar.h"

#define AT_ONCE 256 /* submitted and not yet committed */
#define PAGE	1000

/* One request on its way into the outbox; lives until that is committed. */
struct request {
	struct outbox_accept accept;
	struct cmp_msg *m;
	struct buf wrapped;
	struct admit admit;
};

static sem_t room;
static _Atomic unsigned failed;

static void
here(void *to, void (*fn)(void *arg), void *arg)
{
	(void)to;
	fn(arg);
}

static void
request_free(struct request *q)
{
	cmp_free(q->m);
	buf_done(&q->wrapped);
	free(q);
}

/* In the committer. */
static void
accepted(struct outbox_accept *a, const struct err *e)
{
	if (e != NULL && atomic_fetch_add(&failed, 1) == 0)
		fprintf(stderr, "queue_fill: %s\n", e->msg);
	request_free(a->user);
	sem_post(&room);
}

/* ---- devices ----------------------------------------------------------- */

static struct signer *
vendor_load(const char *dir, struct err *e)
{
	AUTO(char) key = path_join(dir, "vendor-sub.key");
	AUTO(char) cert = path_join(dir, "vendor-sub.crt");

	return signer_load(key, cert, e);
}

static struct signer *
device_new(const struct signer *vendor, unsigned n, struct err *e)
{
	char serial[32];
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(X509_NAME) name = NULL;
	AUTO(X509) x = NULL;
	STACK_OF(X509) * chain;
	struct issue_spec spec = { .pubkey = key,
		.not_before = clock_now().time,
		.not_after = ISSUE_FOREVER,
		.key_usage = "critical,digitalSignature" };
	struct signer *s;

	snprintf(serial, sizeof(serial), "FILL-%06u", n);
	spec.subject = name = issue_name(serial, "Acme", serial);
	if ((x = issue_cert(&spec, vendor->cert, vendor->key, e)) == NULL)
		return NULL;
	chain = sk_X509_new_null();
	sk_X509_push(chain, vendor->cert);
	s = signer_new(key, x, chain);
	sk_X509_free(chain);
	return s;
}

static int
device_ask(const struct signer *device, struct cmp_msg **ret, struct err *e)
{
	struct buf body AUTO_BUF = { 0 }, der AUTO_BUF = { 0 };
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	uint8_t transaction[CMP_TID_LEN];
	struct cmp_head h = { 0 };

	random_bytes(transaction, sizeof(transaction));
	h.transaction_id = bytes_of(transaction, sizeof(transaction));
	if (cmp_body_certreq(CMP_IR, key, X509_get_subject_name(device->cert),
		&body, e) == -1 ||
	    cmp_build(&h, buf_bytes(&body), device, NULL, &der, e) == -1)
		return -1;
	return cmp_parse(buf_bytes(&der), ret, e);
}

/* ---- filling ----------------------------------------------------------- */

static int
request_admit(const struct registrar *r, struct request *q,
    const struct signer *device, struct err *e)
{
	struct admit *a = &q->admit;

	a->kind = ENTRY_CMP;
	a->profile = "";
	a->tls_client = device->cert;
	a->sent = cmp_extra_certs(q->m);
	if ((a->signer = cmp_find_signer(q->m, device->cert, e)) == NULL ||
	    admit_check(r, a, e) == -1 || cmp_verify(q->m, a->signer, e) == -1)
		return -1;
	return cmp_nest(q->m, r->signer, &q->wrapped, e);
}

static void
request_submit(struct registrar *r, struct request *q)
{
	struct outbox_accept *a = &q->accept;
	struct digest spki = cert_spki_digest(q->admit.signer);

	a->kind = ENTRY_CMP;
	a->row = entry_row(ENTRY_CMP, &spki, cmp_transaction_id(q->m), 0);
	a->initial = true;
	a->device = cert_device(q->admit.signer, "");
	a->bytes = cmp_der(q->m);
	a->wrapped = buf_bytes(&q->wrapped);
	a->facts = &q->admit.facts;
	a->label = q->admit.serial;
	a->vendor = q->admit.vendor;
	a->received = clock_now();
	a->deadline = a->received.time + r->conf.deadline / 1000;
	a->user = q;
	outbox_accept(r->outbox, a, accepted, (struct post){ here, NULL });
}

static int
fill_one(
    struct registrar *r, const struct signer *vendor, unsigned n, struct err *e)
{
	AUTO(signer) device = device_new(vendor, n, e);
	struct request *q;

	if (device == NULL)
		return -1;
	q = xcalloc(1, sizeof(*q));
	if (device_ask(device, &q->m, e) == -1 ||
	    request_admit(r, q, device, e) == -1) {
		request_free(q);
		return -1;
	}
	while (sem_wait(&room) == -1)
		;
	request_submit(r, q);
	return 0;
}

static int
fill(struct registrar *r, char **arg, struct err *e)
{
	AUTO(signer) vendor = vendor_load(arg[0], e);
	unsigned n = (unsigned)strtoul(arg[1], NULL, 10);

	if (vendor == NULL)
		return -1;
	sem_init(&room, 0, AT_ONCE);
	for (unsigned i = 0; i < n; i++)
		if (fill_one(r, vendor, i, e) == -1)
			return -1;
	outbox_flush(r->outbox);
	if (failed > 0)
		return err_set(
		    e, ERR_LOCAL, "%u of %u not accepted", (unsigned)failed, n);
	return 0;
}

/* ---- looking ----------------------------------------------------------- */

/* What a device asked for; entries of our own do not count. */
struct look {
	uint64_t records, ids, entries;
	uint64_t answered, never, more;
	uint8_t *times; /* answered, by id, up to ids */
};

static void
on_record(const struct audit_record *r, void *arg)
{
	struct look *l = arg;

	l->records++;
	if (r->id < l->ids && strcmp(r->event, "answered") == 0)
		l->times[r->id]++;
}

static void
on_entry(const struct outbox_entry *en, void *arg)
{
	struct look *l = arg;

	if (en->id >= l->ids)
		return;
	l->entries++;
	l->answered += en->state == ENTRY_ANSWERED;
	l->never += l->times[en->id] == 0;
	l->more += l->times[en->id] > 1;
}

static int
look_trail(struct registrar *r, struct look *l, struct err *e)
{
	uint64_t before = UINT64_MAX;

	while (l->records != before) {
		before = l->records;
		if (outbox_audit_page(
			r->outbox, l->records + 1, PAGE, on_record, l, e) == -1)
			return -1;
	}
	return 0;
}

static int
look_entries(struct registrar *r, struct look *l, struct err *e)
{
	const struct outbox_filter cmp = { .kinds = 1U << ENTRY_CMP };
	uint64_t next = 1;

	while (next != 0)
		if (outbox_select(r->outbox, &cmp, next, PAGE, on_entry, l,
			&next, e) == -1)
			return -1;
	return 0;
}

static int
check(struct registrar *r, char **arg, struct err *e)
{
	struct outbox_counts n;
	struct look l = { 0 };
	int rc;

	(void)arg;
	outbox_count(r->outbox, &n);
	l.ids = n.next_id;
	l.times = xcalloc(l.ids + 1, 1);
	rc = look_trail(r, &l, e) == -1 ? -1 : look_entries(r, &l, e);
	free(l.times);
	if (rc == 0)
		printf("{\"entries\": %llu, \"answered\": %llu, "
		       "\"never\": %llu, \"more\": %llu, \"records\": %llu}\n",
		    (unsigned long long)l.entries,
		    (unsigned long long)l.answered, (unsigned long long)l.never,
		    (unsigned long long)l.more, (unsigned long long)l.records);
	return rc;
}

/* ---- commands ---------------------------------------------------------- */

static const struct {
	const char *name;
	int args;
	int (*run)(struct registrar *r, char **arg, struct err *e);
} commands[] = {
	{ "fill", 5, fill },
	{ "check", 3, check },
};

static int
run(int argc, char **argv, struct err *e)
{
	struct registrar r = { 0 };
	int rc = -1;

	for (size_t i = 0; i < NELEMS(commands); i++) {
		if (argc != commands[i].args ||
		    strcmp(argv[1], commands[i].name) != 0)
			continue;
		if (registrar_configure(&r, argv[2], e) == 0 &&
		    registrar_open(&r, e) == 0)
			rc = commands[i].run(&r, argv + 3, e);
		registrar_close(&r);
		return rc;
	}
	return err_set(e, ERR_USAGE,
	    "usage: queue_fill fill REGISTRAR.yaml VENDOR-DIR COUNT | "
	    "check REGISTRAR.yaml");
}

int
main(int argc, char **argv)
{
	struct err e = ERR_INIT;

	if (run(argc, argv, &e) == 0)
		return 0;
	fprintf(stderr, "queue_fill: %s\n", e.msg);
	return err_exit_code(e.kind);
}
