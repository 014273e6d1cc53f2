#include "common/service/words.h"

#include <string.h>
#include "common/base/cbor.h"

#define WITHDRAW_LABEL	 "waybill-withdraw/1"
#define CHECKPOINT_LABEL "waybill-checkpoint/1"
#define DONE_LABEL	 "waybill-done/1"
#define ONCE_LABEL	 "waybill-word-once/1"

static void
read_label(struct cbor_in *in, const char *label)
{
	char text[32];

	cbor_read_text(in, text, sizeof(text));
	if (in->bad == NULL && strcmp(text, label) != 0)
		cbor_read_bad(in, "another label");
}

int
withdrawal_parse(struct bytes text, struct withdrawal *ret, struct err *e)
{
	struct withdrawal w = { .id = 0 };
	struct cbor_in in;

	cbor_read_init(&in, text, "withdrawal");
	cbor_read_array(&in, 5);
	read_label(&in, WITHDRAW_LABEL);
	cbor_read_fixed(&in, w.epoch, sizeof(w.epoch));
	w.id = cbor_read_uint(&in, UINT64_MAX);
	cbor_read_fixed(&in, w.digest.b, sizeof(w.digest.b));
	cbor_read_text(&in, w.reason, sizeof(w.reason));
	if (cbor_read_end(&in, e) == -1)
		return -1;
	*ret = w;
	return 0;
}

int
checkpoint_parse(struct bytes text, struct checkpoint *ret, struct err *e)
{
	struct checkpoint c = { .seq = 0 };
	struct cbor_in in;

	cbor_read_init(&in, text, "checkpoint");
	cbor_read_array(&in, 4);
	read_label(&in, CHECKPOINT_LABEL);
	c.seq = cbor_read_uint(&in, UINT64_MAX);
	cbor_read_fixed(&in, c.hash.b, sizeof(c.hash.b));
	c.time = cbor_read_uint(&in, UINT64_MAX);
	if (cbor_read_end(&in, e) == -1)
		return -1;
	*ret = c;
	return 0;
}

int
words_check(const struct entry_header *h, struct bytes octets, struct err *e)
{
	struct digest d = digest_of(octets.p, octets.len);
	struct withdrawal w;
	struct checkpoint c;

	if (!digest_eq(&d, &h->digest))
		return err_set(e, ERR_INPUT,
		    "entry: the header's digest is not the octets'");
	return h->kind == ENTRY_WITHDRAW ? withdrawal_parse(octets, &w, e)
					 : checkpoint_parse(octets, &c, e);
}

struct digest
words_once(const struct entry_header *h, struct bytes octets)
{
	struct buf text AUTO_BUF = { 0 };

	cbor_write_array(&text, 4);
	cbor_write_text(&text, ONCE_LABEL);
	cbor_write_uint(&text, h->kind);
	cbor_write_text(&text, h->site);
	cbor_write_bytes(&text, octets.p, octets.len);
	return digest_of(text.data, text.len);
}

void
words_done(const char *text, struct buf *out)
{
	cbor_write_array(out, 2);
	cbor_write_text(out, DONE_LABEL);
	cbor_write_text(out, text);
}
