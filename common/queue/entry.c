/* What entries are: states and events, ids, keys of identity. */
#include "common/queue/entry.h"

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
