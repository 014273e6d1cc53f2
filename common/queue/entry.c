#include "common/queue/entry.h"

#include <assert.h>
#include <string.h>

#include "common/base/cbor.h"
#include "common/base/str.h"

/* DECISIONS 5, row by row; a cell that is not named here refuses. */
static const uint8_t next[ENTRY_STATE__MAX][ENTRY_EV__MAX] = {
	[ENTRY_RECEIVED] = {
		[ENTRY_EV_ADMIT] = ENTRY_QUEUED,
		[ENTRY_EV_REFUSE] = ENTRY_REFUSED,
		[ENTRY_EV_WITHDRAW] = ENTRY_WITHDRAWN,
		[ENTRY_EV_EXPIRE] = ENTRY_EXPIRED,
		[ENTRY_EV_DIE] = ENTRY_DEAD,
	},
	[ENTRY_QUEUED] = {
		[ENTRY_EV_HANDOUT] = ENTRY_INFLIGHT,
		[ENTRY_EV_RECEIPT] = ENTRY_CUSTODY,
		[ENTRY_EV_ANSWER] = ENTRY_ANSWERED,
		[ENTRY_EV_WITHDRAW] = ENTRY_WITHDRAWN,
		[ENTRY_EV_EXPIRE] = ENTRY_EXPIRED,
		[ENTRY_EV_DIE] = ENTRY_DEAD,
	},
	[ENTRY_INFLIGHT] = {
		[ENTRY_EV_HANDOUT] = ENTRY_INFLIGHT,
		[ENTRY_EV_RECEIPT] = ENTRY_CUSTODY,
		[ENTRY_EV_ANSWER] = ENTRY_ANSWERED,
		[ENTRY_EV_REFUSE] = ENTRY_REFUSED,
		[ENTRY_EV_WITHDRAW] = ENTRY_WITHDRAWN,
		[ENTRY_EV_DIE] = ENTRY_DEAD,
	},
	[ENTRY_CUSTODY] = {
		[ENTRY_EV_HANDOUT] = ENTRY_CUSTODY,
		[ENTRY_EV_RECEIPT] = ENTRY_CUSTODY,
		[ENTRY_EV_ANSWER] = ENTRY_ANSWERED,
		[ENTRY_EV_REFUSE] = ENTRY_REFUSED,
		[ENTRY_EV_WITHDRAW] = ENTRY_WITHDRAWN,
		[ENTRY_EV_DIE] = ENTRY_DEAD,
	},
	[ENTRY_ANSWERED] = {
		[ENTRY_EV_ANSWER] = ENTRY_ANSWERED,
		[ENTRY_EV_DELIVER] = ENTRY_DELIVERED,
		[ENTRY_EV_WITHDRAW] = ENTRY_WITHDRAWN,
		[ENTRY_EV_DIE] = ENTRY_DEAD,
	},
	[ENTRY_DELIVERED] = {
		[ENTRY_EV_DELIVER] = ENTRY_DELIVERED,
		[ENTRY_EV_CONFIRM] = ENTRY_CONFIRMED,
		[ENTRY_EV_DIE] = ENTRY_DEAD,
	},
	[ENTRY_WITHDRAWN] = {
		[ENTRY_EV_RECEIPT] = ENTRY_WITHDRAWN,
		[ENTRY_EV_ANSWER] = ENTRY_WITHDRAWN,
	},
};

static const char *const kinds[ENTRY_KIND__MAX] = {
	[ENTRY_CMP] = "cmp",
	[ENTRY_VOUCHER] = "voucher",
	[ENTRY_WITHDRAW] = "withdraw",
	[ENTRY_AUDIT] = "audit",
	[ENTRY_TELEMETRY] = "telemetry",
};

static const char *const states[ENTRY_STATE__MAX] = {
	[ENTRY_NONE] = "-",
	[ENTRY_RECEIVED] = "received",
	[ENTRY_QUEUED] = "queued",
	[ENTRY_INFLIGHT] = "in-flight",
	[ENTRY_CUSTODY] = "custody",
	[ENTRY_ANSWERED] = "answered",
	[ENTRY_DELIVERED] = "delivered",
	[ENTRY_CONFIRMED] = "confirmed",
	[ENTRY_REFUSED] = "refused",
	[ENTRY_EXPIRED] = "expired",
	[ENTRY_WITHDRAWN] = "withdrawn",
	[ENTRY_DEAD] = "dead",
};

static const char *const events[ENTRY_EV__MAX] = {
	[ENTRY_EV_ADMIT] = "admit",
	[ENTRY_EV_HANDOUT] = "hand-out",
	[ENTRY_EV_RECEIPT] = "receipt",
	[ENTRY_EV_ANSWER] = "answer",
	[ENTRY_EV_DELIVER] = "deliver",
	[ENTRY_EV_CONFIRM] = "confirm",
	[ENTRY_EV_REFUSE] = "refuse",
	[ENTRY_EV_WITHDRAW] = "withdraw",
	[ENTRY_EV_EXPIRE] = "expire",
	[ENTRY_EV_DIE] = "die",
};

enum entry_state
entry_next(enum entry_state s, enum entry_event ev)
{
	if ((unsigned)s >= ENTRY_STATE__MAX || (unsigned)ev >= ENTRY_EV__MAX)
		return ENTRY_NONE;
	return (enum entry_state)next[s][ev];
}

/* Nothing but a copy kept as late can come after these. */
bool
entry_terminal(enum entry_state s)
{
	return s >= ENTRY_CONFIRMED && s < ENTRY_STATE__MAX;
}

const char *
entry_kind_name(enum entry_kind k)
{
	if ((unsigned)k >= ENTRY_KIND__MAX || kinds[k] == NULL)
		return "unknown";
	return kinds[k];
}

const char *
entry_state_name(enum entry_state s)
{
	return (unsigned)s < ENTRY_STATE__MAX ? states[s] : "unknown";
}

const char *
entry_event_name(enum entry_event ev)
{
	return (unsigned)ev < ENTRY_EV__MAX ? events[ev] : "unknown";
}

void
entry_table(struct buf *out)
{
	enum entry_state s;
	enum entry_event ev;

	buf_printf(out, "%-10s", "state");
	for (ev = 0; ev < ENTRY_EV__MAX; ev++)
		buf_printf(out, " %-9s", events[ev]);
	buf_add_str(out, " end\n");
	for (s = ENTRY_RECEIVED; s < ENTRY_STATE__MAX; s++) {
		buf_printf(out, "%-10s", states[s]);
		for (ev = 0; ev < ENTRY_EV__MAX; ev++)
			buf_printf(out, " %-9s", states[entry_next(s, ev)]);
		buf_printf(out, " %s\n", entry_terminal(s) ? "yes" : "no");
	}
}

/* ---- ids ------------------------------------------------------------- */

#define ID_EPOCH_CHARS 3
#define ID_DIGITS_MAX  20 /* of UINT64_MAX */

static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* The digit that a person meant, or -1. */
static int
crockford_value(char c)
{
	const char *p;

	if (c >= 'a' && c <= 'z')
		c = (char)(c - 'a' + 'A');
	if (c == 'I' || c == 'L')
		c = '1';
	if (c == 'O')
		c = '0';
	if (c == '\0' || (p = strchr(crockford, c)) == NULL)
		return -1;
	return (int)(p - crockford);
}

/* The first 15 bits of the epoch, five a character. */
static void
id_epoch(const uint8_t epoch[ENTRY_EPOCH_LEN], int ret[ID_EPOCH_CHARS])
{
	ret[0] = epoch[0] >> 3;
	ret[1] = (epoch[0] & 7) << 2 | epoch[1] >> 6;
	ret[2] = (epoch[1] >> 1) & 31;
}

/*
 * Digits weighted with powers of 3, a primitive root of 31, from the right:
 * a wrong digit and two neighbours exchanged are always found, and leading
 * zeros do not count.
 */
static char
id_check(const int prefix[ID_EPOCH_CHARS], uint64_t id)
{
	unsigned sum = 0, weight = 1;
	int i;

	for (i = 0; i < ID_DIGITS_MAX; i++) {
		weight = weight * 3 % 31;
		sum += (unsigned)(id % 10) * weight;
		id /= 10;
	}
	for (i = ID_EPOCH_CHARS - 1; i >= 0; i--) {
		weight = weight * 3 % 31;
		sum += (unsigned)prefix[i] * weight;
	}
	return crockford[sum % 31];
}

char *
entry_id_format(
    char ret[ENTRY_ID_TEXT], const uint8_t epoch[ENTRY_EPOCH_LEN], uint64_t id)
{
	int v[ID_EPOCH_CHARS];

	id_epoch(epoch, v);
	snprintf(ret, ENTRY_ID_TEXT, "%c%c%c%c-%05llu", crockford[v[0]],
	    crockford[v[1]], crockford[v[2]], id_check(v, id),
	    (unsigned long long)id);
	return ret;
}

/* The number alone, with I, L and O forgiven. */
static int
id_number(const char *text, const char *s, uint64_t *ret, struct err *e)
{
	char digits[ENTRY_ID_TEXT];
	size_t i;
	int v;

	for (i = 0; s[i] != '\0'; i++) {
		if (i == sizeof(digits) - 1 ||
		    (v = crockford_value(s[i])) > 9 || v == -1)
			return err_set(e, ERR_INPUT,
			    "id %.40s: not a number of an entry", text);
		digits[i] = crockford[v];
	}
	digits[i] = '\0';
	if (number_parse(digits, 1, UINT64_MAX, ret, e) == -1)
		return err_set(
		    e, ERR_INPUT, "id %.40s: not a number of an entry", text);
	return 0;
}

int
entry_id_parse(const char *text, const uint8_t epoch[ENTRY_EPOCH_LEN],
    uint64_t *ret, struct err *e)
{
	const char *dash = strchr(text, '-');
	int ours[ID_EPOCH_CHARS], v[ID_EPOCH_CHARS + 1], i;
	uint64_t id;

	if (dash == NULL)
		return id_number(text, text, ret, e);
	if (dash - text != ID_EPOCH_CHARS + 1)
		return err_set(
		    e, ERR_INPUT, "id %.40s: not of the form 7F3K-00012", text);
	for (i = 0; i <= ID_EPOCH_CHARS; i++)
		if ((v[i] = crockford_value(text[i])) == -1)
			return err_set(e, ERR_INPUT,
			    "id %.40s: no id has the character '%c'", text,
			    text[i]);
	if (id_number(text, dash + 1, &id, e) == -1)
		return -1;
	if (crockford[v[ID_EPOCH_CHARS]] != id_check(v, id))
		return err_set(e, ERR_INPUT,
		    "id %.40s: the check character is wrong: mistyped", text);
	id_epoch(epoch, ours);
	if (memcmp(ours, v, sizeof(ours)) != 0)
		return err_set(e, ERR_INPUT,
		    "id %.40s: of another epoch; ours start with %c%c%c", text,
		    crockford[ours[0]], crockford[ours[1]], crockford[ours[2]]);
	*ret = id;
	return 0;
}

/* ---- keys of identity ------------------------------------------------ */

struct digest
entry_row(enum entry_kind k, const struct digest *spki,
    struct bytes transaction_id, unsigned step)
{
	struct buf b AUTO_BUF = { 0 };

	cbor_write_array(&b, 5);
	cbor_write_text(&b, "waybill-tx/1");
	cbor_write_uint(&b, k);
	cbor_write_bytes(&b, spki->b, sizeof(spki->b));
	cbor_write_bytes(&b, transaction_id.p, transaction_id.len);
	cbor_write_uint(&b, step);
	return digest_of(b.data, b.len);
}

struct digest
entry_once(enum entry_kind k, struct bytes device_bytes)
{
	struct buf b AUTO_BUF = { 0 };

	cbor_write_array(&b, 3);
	cbor_write_text(&b, "waybill-once/1");
	cbor_write_uint(&b, k);
	cbor_write_bytes(&b, device_bytes.p, device_bytes.len);
	return digest_of(b.data, b.len);
}

/* ---- facts ----------------------------------------------------------- */

void
entry_text(char *dst, size_t size, const char *src)
{
	size_t n = strlen(src), i;
	bool utf8;

	if (n > size - 1)
		for (n = size - 1; n > 0 && ((uint8_t)src[n] & 0xc0) == 0x80;)
			n--;
	memset(dst, 0, size);
	memcpy(dst, src, n);
	utf8 = utf8_valid(dst, n);
	for (i = 0; i < n; i++)
		if ((uint8_t)dst[i] < 0x20 || dst[i] == 0x7f ||
		    ((uint8_t)dst[i] >= 0x80 && !utf8))
			dst[i] = '?';
}

static struct fact *
facts_find(struct facts *f, const char *name)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		if (strcmp(f->v[i].name, name) == 0)
			return &f->v[i];
	return NULL;
}

void
facts_set(
    struct facts *f, const char *name, enum fact_level level, const char *value)
{
	struct fact *v = facts_find(f, name);

	if (v == NULL) {
		assert(f->n < FACTS_MAX && strlen(name) < FACT_NAME_MAX);
		v = &f->v[f->n++];
		str_copy(v->name, sizeof(v->name), name);
	}
	v->level = level;
	entry_text(v->value, sizeof(v->value), value);
}

const struct fact *
facts_get(const struct facts *f, const char *name)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		if (strcmp(f->v[i].name, name) == 0)
			return &f->v[i];
	return NULL;
}

void
facts_encode(const struct facts *f, struct buf *out)
{
	size_t i;

	cbor_write_array(out, f->n);
	for (i = 0; i < f->n; i++) {
		cbor_write_array(out, 3);
		cbor_write_text(out, f->v[i].name);
		cbor_write_uint(out, f->v[i].level);
		cbor_write_text(out, f->v[i].value);
	}
}

/* A name is what our own code writes: anything else is no fact of ours. */
static bool
fact_name_valid(const char *s)
{
	return s[0] != '\0' &&
	    s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789.-")] == '\0';
}

void
facts_read(struct cbor_in *in, struct facts *ret)
{
	size_t n = cbor_read_array_upto(in, 0, FACTS_MAX), i;
	struct fact v;

	memset(ret, 0, sizeof(*ret));
	for (i = 0; i < n && in->bad == NULL; i++) {
		cbor_read_array(in, 3);
		cbor_read_text(in, v.name, sizeof(v.name));
		v.level = (enum fact_level)cbor_read_uint(in, FACT__MAX - 1);
		cbor_read_text(in, v.value, sizeof(v.value));
		if (in->bad == NULL && !fact_name_valid(v.name))
			cbor_read_bad(in, "name of a fact is not plain");
		if (in->bad == NULL && facts_find(ret, v.name) != NULL)
			cbor_read_bad(in, "fact given twice");
		ret->v[ret->n++] = v;
	}
	if (in->bad != NULL)
		memset(ret, 0, sizeof(*ret));
}

/* ---- header ---------------------------------------------------------- */

void
entry_stamp_encode(const struct stamp *s, struct buf *out)
{
	cbor_write_array(out, 3);
	cbor_write_uint(out, s->time);
	cbor_write_uint(out, s->quality);
	cbor_write_uint(out, s->age);
}

void
entry_stamp_read(struct cbor_in *in, struct stamp *ret)
{
	cbor_read_array(in, 3);
	ret->time = cbor_read_uint(in, UINT64_MAX);
	ret->quality = (enum clock_quality)cbor_read_uint(in, CLOCK__MAX - 1);
	ret->age = cbor_read_uint(in, UINT64_MAX);
}

static void
header_encode(const struct entry_header *h, struct buf *out)
{
	cbor_write_array(out, 13);
	cbor_write_text(out, h->site);
	cbor_write_bytes(out, h->epoch, sizeof(h->epoch));
	cbor_write_uint(out, h->id);
	cbor_write_uint(out, h->kind);
	cbor_write_uint(out, h->step);
	cbor_write_bytes(out, h->digest.b, DIGEST_LEN);
	entry_stamp_encode(&h->received, out);
	cbor_write_uint(out, h->deadline);
	facts_encode(&h->facts, out);
	cbor_write_bytes(out, h->audit.b, DIGEST_LEN);
	cbor_write_uint(out, h->replaces);
	cbor_write_uint(out, h->parent);
	cbor_write_bytes(out, h->signer.b, DIGEST_LEN);
}

/* What the encoding allows and the meaning does not. */
static const char *
header_bad(const struct entry_header *h)
{
	if (!name_valid(h->site))
		return "site is not a name";
	if (h->id == 0)
		return "id is 0";
	if (h->kind == 0)
		return "kind is 0";
	if ((h->step > 0) != (h->parent > 0))
		return "a later step needs a parent, and only it has one";
	if (h->parent >= h->id || h->replaces >= h->id)
		return "parent or replaced entry is not older";
	return NULL;
}

int
entry_header_parse(struct bytes header, struct entry_header *ret, struct err *e)
{
	struct entry_header h = { 0 };
	struct cbor_in in;
	const char *bad;

	if (header.len > ENTRY_HEADER_MAX)
		return err_set(e, ERR_INPUT,
		    "entry header: %zu octets, limit %d", header.len,
		    ENTRY_HEADER_MAX);
	cbor_read_init(&in, header, "entry header");
	cbor_read_array(&in, 13);
	cbor_read_text(&in, h.site, sizeof(h.site));
	cbor_read_fixed(&in, h.epoch, sizeof(h.epoch));
	h.id = cbor_read_uint(&in, UINT64_MAX);
	h.kind = (enum entry_kind)cbor_read_uint(&in, ENTRY_KIND__MAX - 1);
	h.step = (unsigned)cbor_read_uint(&in, ENTRY_STEP_MAX);
	cbor_read_fixed(&in, h.digest.b, DIGEST_LEN);
	entry_stamp_read(&in, &h.received);
	h.deadline = cbor_read_uint(&in, UINT64_MAX);
	facts_read(&in, &h.facts);
	cbor_read_fixed(&in, h.audit.b, DIGEST_LEN);
	h.replaces = cbor_read_uint(&in, UINT64_MAX);
	h.parent = cbor_read_uint(&in, UINT64_MAX);
	cbor_read_fixed(&in, h.signer.b, DIGEST_LEN);
	if (cbor_read_end(&in, e) == -1)
		return -1;
	if ((bad = header_bad(&h)) != NULL)
		return err_set(e, ERR_INPUT, "entry header: %s", bad);
	*ret = h;
	return 0;
}

int
entry_header_sign(struct entry_header *h, const struct signer *s,
    struct buf *header, struct buf *sig, struct err *e)
{
	struct buf text AUTO_BUF = { 0 }, mark AUTO_BUF = { 0 };
	struct entry_header check;

	h->signer = s->id;
	header_encode(h, &text);
	/* Nothing is signed that the other side would not read. */
	if (entry_header_parse(buf_bytes(&text), &check, e) == -1)
		return err_set(e, ERR_LOCAL, "entry %llu: not signed: %s",
		    (unsigned long long)h->id,
		    e != NULL ? e->msg : "header does not parse");
	if (sign_data(s, ENTRY_LABEL, buf_bytes(&text), &mark, e) == -1)
		return -1;
	buf_add(header, text.data, text.len);
	buf_add(sig, mark.data, mark.len);
	return 0;
}
