/* What is told to who sent a message that cannot be read. */
#include "common/pki/cmp_msg.h"

#include <openssl/err.h>

/* It is repeated as it came: none but DER may stand in an answer of ours. */
static X509_NAME *
read_name(struct der *header)
{
	struct der d = der_open(der_whole(header, der_peek(header)));
	struct bytes name = der_value(&d, DER_CTX(4));
	AUTO(X509_NAME) ret = NULL;
	const uint8_t *p = name.p;

	if (name.p != NULL && der_strict(name))
		ret = d2i_X509_NAME(NULL, &p, (long)name.len);
	ERR_clear_error();
	return ret != NULL && p == name.p + name.len ? STEAL(ret) : NULL;
}

/* Those that a reply repeats; the rest may be wrong in any way. */
static void
read_fields(struct cmp_msg *m, struct der *header)
{
	uint8_t tag;

	while ((tag = der_peek(header)) != 0) {
		struct der d = der_enter(header, tag);
		size_t f = tag & 0x1f;

		if (tag == DER_CTX(CMP_TRANSACTION_ID) ||
		    tag == DER_CTX(CMP_SENDER_NONCE))
			m->field[f] = der_whole(&d, DER_OCTETS);
	}
}

struct cmp_msg *
cmp_parse_refused(struct bytes der)
{
	AUTO(cmp_msg) m = xcalloc(1, sizeof(*m));
	struct der top, d, header;
	uint8_t tag;

	if (der.len > CMP_NESTED_MAX)
		return NULL;
	m->der = bytes_dup(der);
	top = der_open(buf_bytes(&m->der));
	d = der_enter(&top, DER_SEQ);
	m->header = der_whole(&d, DER_SEQ);
	tag = der_peek(&d);
	der_whole(&d, tag);
	if (top.rest.len > 0 || d.bad || m->header.len > LIMIT_CMP_HEADER)
		return NULL;
	m->type = (tag & 0xe0) == 0xa0 && (tag & 0x1f) < CMP_BODY__MAX
	    ? (enum cmp_body)(tag & 0x1f)
	    : CMP_BODY__MAX;
	top = der_open(m->header);
	header = der_enter(&top, DER_SEQ);
	m->pvno = der_long(&header);
	m->sender = read_name(&header);
	m->recipient = read_name(&header);
	if (header.bad)
		return NULL;
	read_fields(m, &header);
	return STEAL(m);
}
