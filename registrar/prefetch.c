#include "registrar/prefetch.h"

#include <string.h>
#include "common/base/cbor.h"
#include "common/base/str.h"
#include "registrar/rvr.h"
#include "registrar/vjudge.h"

struct digest
prefetch_device(const char *vendor, const char *serial)
{
	struct buf text AUTO_BUF = { 0 };

	cbor_write_array(&text, 3);
	cbor_write_text(&text, "waybill-prefetch/1");
	cbor_write_text(&text, vendor);
	cbor_write_text(&text, serial);
	return digest_of(text.data, text.len);
}

void
prefetched_done(struct prefetched *p)
{
	buf_done(&p->voucher);
}

/* ---- using ------------------------------------------------------------ */

static int
prefetch_voucher(struct registrar *r, const struct outbox_entry *en,
    struct prefetched *ret, struct err *e)
{
	struct buf octets AUTO_BUF = { 0 };
	struct vch_answer a;
	struct cms_signed cms = { 0 };
	struct vch v = { 0 };
	int rc = 0;

	if (!registrar_deliverable(en))
		return 0;
	if (outbox_answer(r->outbox, en, &octets, e) == -1 ||
	    vch_answer_parse(buf_bytes(&octets), &a, e) == -1)
		return -1;
	if (a.voucher.len == 0)
		return 0;
	if (cms_open(a.voucher, NULL, &cms, e) == -1 ||
	    vch_parse(buf_bytes(&cms.content), &v, e) == -1) {
		rc = -1;
	} else {
		buf_add(&ret->voucher, a.voucher.p, a.voucher.len);
		ret->expires = v.expires_on;
	}
	vch_done(&v);
	cms_signed_done(&cms);
	return rc;
}

int
prefetch_read(struct registrar *r, const struct outbox_entry *en,
    struct prefetched *ret, struct err *e)
{
	struct outbox_octets x = { 0 };
	const struct fact *mark, *vendor;
	int rc;

	if (en->kind != ENTRY_VOUCHER)
		return 0;
	if (outbox_octets(r->outbox, en->id, &x, e) == -1)
		return -1;
	mark = facts_get(&x.facts, PREFETCH_FACT);
	vendor = facts_get(&x.facts, "vendor");
	rc = mark != NULL && vendor != NULL;
	if (rc == 1) {
		str_copy(ret->vendor, sizeof(ret->vendor), vendor->value);
		str_copy(ret->serial, sizeof(ret->serial), en->label);
	}
	outbox_octets_done(&x);
	if (rc == 1 && prefetch_voucher(r, en, ret, e) == -1)
		return -1;
	return rc;
}

/* A nonceless voucher answers no nonce: the pledge that uses it accepts that
 * by its own policy (RFC 8995 5.6.1). */
bool
prefetch_take(struct registrar *r, const struct admit *a,
    const struct vch_request *request, struct buf *ret,
    struct outbox_entry *ret_entry)
{
	struct digest device = prefetch_device(a->vendor, a->serial);
	struct vch_request nonceless = { 0 };
	struct prefetched p = { 0 };
	struct outbox_entry en;
	struct err e = ERR_INIT;
	bool ok = false;

	if (!r->conf.brski.nonceless || request->serial[0] == '\0')
		return false;
	str_copy(nonceless.serial, sizeof(nonceless.serial), a->serial);
	if (outbox_newest(r->outbox, ENTRY_VOUCHER, &device, &en, &e) == 1 &&
	    prefetch_read(r, &en, &p, &e) == 1 && p.voucher.len > 0)
		ok = vjudge_voucher(r, buf_bytes(&p.voucher), &nonceless,
			 a->signer, a->vendor, &e) == 0;
	if (ok) {
		buf_add(ret, p.voucher.data, p.voucher.len);
		*ret_entry = en;
	}
	prefetched_done(&p);
	return ok;
}

int
prefetch_given(const struct registrar *r, const char *vendor,
    const char *serial, struct outbox_entry *ret, struct err *e)
{
	struct digest device = prefetch_device(vendor, serial);
	int found = outbox_newest(r->outbox, ENTRY_VOUCHER, &device, ret, e);

	while (found == 1 && ret->state != ENTRY_DELIVERED &&
	    ret->state != ENTRY_CONFIRMED)
		found = outbox_older(r->outbox, ret, ret, e);
	return found;
}

/* ---- fetching --------------------------------------------------------- */

static void
prefetch_free(struct prefetch *p)
{
	buf_done(&p->rvr);
	buf_done(&p->answer);
	free(p);
}

static void
prefetch_accepted(struct outbox_accept *a, const struct err *e)
{
	struct prefetch *p = a->user;

	p->done(p, e);
	prefetch_free(p);
}

static void
prefetch_facts(struct prefetch *p)
{
	facts_set(&p->facts, "vendor", FACT_REGISTRAR, p->vendor);
	facts_set(&p->facts, "idevid.subject-serial", FACT_CLAIMED, p->serial);
	facts_set(&p->facts, PREFETCH_FACT, FACT_REGISTRAR, "true");
	facts_set(&p->facts, "time.quality", FACT_REGISTRAR,
	    clock_quality_name(clock_now().quality));
}

static void
prefetch_accept(struct prefetch *p)
{
	struct outbox_accept *a = &p->accept;
	struct digest spki = cert_spki_digest(p->r->signer->cert);
	uint8_t tid[16];

	random_bytes(tid, sizeof(tid));
	prefetch_facts(p);
	a->kind = ENTRY_VOUCHER;
	a->row = entry_row(ENTRY_VOUCHER, &spki, bytes_of(tid, sizeof(tid)), 0);
	a->initial = true;
	a->device = prefetch_device(p->vendor, p->serial);
	a->bytes = buf_bytes(&p->rvr);
	a->answer = buf_bytes(&p->answer);
	a->facts = &p->facts;
	a->label = p->serial;
	a->received = clock_now();
	if (a->received.quality >= CLOCK_RTC)
		a->deadline = a->received.time + p->r->conf.deadline / 1000;
	a->user = p;
	outbox_accept(p->r->outbox, a, prefetch_accepted, loop_poster(p->loop));
}

static int
prefetch_prepare(struct prefetch *p, struct bytes voucher, struct err *e)
{
	struct vch_request nonceless = { 0 };
	struct vch_answer a = { .status = 200, .voucher = voucher };

	if (rvr_make_nonceless(p->r, p->serial, &p->rvr, e) == -1)
		return -1;
	if (voucher.len == 0)
		return 0;
	str_copy(nonceless.serial, sizeof(nonceless.serial), p->serial);
	if (vjudge_voucher(p->r, voucher, &nonceless, NULL, p->vendor, e) == -1)
		return -1;
	vch_answer_format(&a, &p->answer);
	return 0;
}

static bool
vendor_known(const struct registrar *r, const char *name)
{
	const struct reg_vendor *v = r->conf.vendors.v;

	for (size_t i = 0; i < r->conf.vendors.n; i++)
		if (strcmp(v[i].name, name) == 0)
			return true;
	return false;
}

int
prefetch_start(struct registrar *r, struct loop *l, const char *vendor,
    const char *serial, struct bytes voucher,
    void (*done)(struct prefetch *p, const struct err *e), void *user,
    struct err *e)
{
	struct prefetch *p;

	if (!vendor_known(r, vendor))
		return err_set(
		    e, ERR_INPUT, "no vendor %s is configured", vendor);
	if (serial[0] == '\0' || strlen(serial) >= VCH_SERIAL_MAX)
		return err_set(e, ERR_INPUT, "serial: 1 to %d characters",
		    VCH_SERIAL_MAX - 1);
	p = xcalloc(1, sizeof(*p));
	p->r = r;
	p->loop = l;
	p->done = done;
	p->user = user;
	str_copy(p->vendor, sizeof(p->vendor), vendor);
	str_copy(p->serial, sizeof(p->serial), serial);
	if (prefetch_prepare(p, voucher, e) == -1) {
		prefetch_free(p);
		return -1;
	}
	prefetch_accept(p);
	return 0;
}
