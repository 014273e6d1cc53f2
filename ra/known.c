#include "ra/known.h"

#include "common/base/cbor.h"
#include "common/base/str.h"
#include "common/service/ledger_certs.h"

/* 1 if the case has this very certificate. */
static int
is_this(struct ledger *l, uint64_t id, X509 *x, struct err *e)
{
	struct buf ours AUTO_BUF = { 0 }, theirs AUTO_BUF = { 0 };
	int rc = ledger_part(l, id, LEDGER_CERT, &ours, e);

	if (rc != 1)
		return rc;
	ossl_cert_der(x, &theirs);
	return bytes_eq(buf_bytes(&ours), buf_bytes(&theirs));
}

int
known_facts(struct ledger *l, uint64_t id, struct facts *ret, struct err *e)
{
	struct buf row AUTO_BUF = { 0 };
	struct cbor_in in;
	int rc = ledger_part(l, id, LEDGER_FACTS, &row, e);

	if (rc != 1)
		return rc == -1 ? -1 : 0;
	cbor_read_init(&in, buf_bytes(&row), "facts");
	facts_read(&in, ret);
	return cbor_read_end(&in, e);
}

static const char *
why_fallen(struct ledger *l, const struct ledger_case *c)
{
	struct ledger_revoked r;
	struct err no = ERR_INIT;

	if (c->confirm == LEDGER_REJECTED)
		return "rejected";
	if (c->withdrawn)
		return "withdrawn";
	return ledger_revoked(l, c->id, &r, &no) == 1 ? "revoked"
						      : "not in force";
}

int
known_by_ledger(void *arg, X509 *x, struct known *ret, struct err *e)
{
	struct known k = { .id = 0 };
	struct ledger *l = arg;
	char serial[CERT_TEXT_MAX];
	struct ledger_case c;
	int rc;

	rc = ledger_find_serial(
	    l, cert_serial_hex(x, serial, sizeof(serial)), &k.id, e);
	if (rc == 1)
		rc = is_this(l, k.id, x, e);
	if (rc != 1)
		return rc;
	if (ledger_get(l, k.id, &c, e) != 1 ||
	    known_facts(l, k.id, &k.facts, e) == -1 ||
	    (rc = ledger_stands(l, k.id, e)) == -1)
		return -1;
	k.revoked = rc == 0;
	k.why = k.revoked ? why_fallen(l, &c) : "";
	*ret = k;
	return 1;
}

/* INTEGER's contents are signed: a serial number may have a zero in front. */
static void
serial_text(const struct cmp_cert_id *id, char ret[LEDGER_SERIAL_MAX])
{
	struct bytes b = id->serial;

	if (b.len > 1 && b.p[0] == 0)
		b = bytes_of(b.p + 1, b.len - 1);
	if (b.len > (LEDGER_SERIAL_MAX - 1) / 2)
		b.len = 0; /* none of ours is so long */
	hex_format(ret, b.p, b.len);
}

int
known_issued(void *arg, const struct cmp_cert_id *id, struct err *e)
{
	struct ledger *l = arg;
	struct buf der AUTO_BUF = { 0 };
	char serial[LEDGER_SERIAL_MAX];
	AUTO(X509) x = NULL;
	uint64_t found;
	int rc;

	serial_text(id, serial);
	rc = ledger_find_serial(l, serial, &found, e);
	if (rc == 1)
		rc = ledger_part(l, found, LEDGER_CERT, &der, e);
	if (rc != 1)
		return rc;
	if ((x = ossl_cert_parse(buf_bytes(&der), e)) == NULL)
		return -1;
	return cmp_names_cert(id, x);
}
