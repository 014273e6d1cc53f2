#include <stddef.h>

#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "common/pki/sign.h"
#include "common/pki/vch_json.h"

#define CLAUSE "RFC 8995 5.8.1"
#define WHAT   "audit log"

void
vch_log_done(struct vch_log *l)
{
	free(l->events);
	*l = (struct vch_log){ 0 };
}

/* Null or none: the voucher was nonceless (RFC 8995 5.8.1). */
static const char *
read_nonceless(const json_t *j, void *dst, size_t size)
{
	(void)size;
	if (!json_is_null(j) && !json_is_string(j))
		return "neither a string nor null";
	*(bool *)dst = json_is_null(j);
	return NULL;
}

#define MEMBER(n, read, field, must) \
	{ \
		n, CLAUSE, read, offsetof(struct vch_event, field), \
		    sizeof(((struct vch_event *)NULL)->field), must \
	}

static int
read_event(const json_t *j, struct vch_event *ret, unsigned *ret_missing,
    struct err *e)
{
	static const struct vch_member members[] = {
		MEMBER("date", vch_read_text, date, true),
		MEMBER("domainID", vch_read_text, domain, true),
		MEMBER("nonce", read_nonceless, nonceless, false),
		MEMBER("assertion", vch_read_assertion, assertion, false),
	};
	static const struct vch_member missing[] = {
		{ "truncated", CLAUSE, vch_read_number, 0, 0, false },
	};

	if (!json_is_object(j))
		return err_set(
		    e, ERR_INPUT, WHAT ": " CLAUSE ": event is no object");
	ret->nonceless = true;
	if (vch_read(j, members, NELEMS(members), WHAT ": event", ret, e) ==
		-1 ||
	    vch_read(j, missing, NELEMS(missing), WHAT ": event", ret_missing,
		e) == -1)
		return -1;
	return 0;
}

/* Each number counts events of some sort that are not in the log. */
static int
read_truncation(const json_t *j, bool *ret, struct err *e)
{
	static const struct vch_member counts[] = {
		{ "nonced duplicates", CLAUSE, vch_read_number, 0, 0, false },
		{ "nonceless duplicates", CLAUSE, vch_read_number,
		    sizeof(unsigned), 0, false },
		{ "arbitrary", CLAUSE, vch_read_number, 2 * sizeof(unsigned), 0,
		    false },
	};
	unsigned n[NELEMS(counts)] = { 0 };
	size_t i;

	if (j == NULL)
		return 0;
	if (!json_is_object(j))
		return err_set(
		    e, ERR_INPUT, WHAT ": " CLAUSE ": truncation is no object");
	if (vch_read(j, counts, NELEMS(counts), WHAT ": truncation", n, e) ==
	    -1)
		return -1;
	for (i = 0; i < NELEMS(n); i++)
		*ret = *ret || n[i] > 0;
	return 0;
}

static int
read_events(const json_t *j, struct vch_log *l, struct err *e)
{
	unsigned missing;
	size_t i;

	if (!json_is_array(j))
		return err_set(
		    e, ERR_INPUT, WHAT ": " CLAUSE ": no array events");
	if (json_array_size(j) > VCH_LOG_EVENTS_MAX)
		return err_set(e, ERR_INPUT, WHAT ": %zu events, limit %d",
		    json_array_size(j), VCH_LOG_EVENTS_MAX);
	l->n = json_array_size(j);
	l->events = xcalloc(l->n, sizeof(*l->events));
	for (i = 0; i < l->n; i++) {
		missing = 0;
		if (read_event(
			json_array_get(j, i), &l->events[i], &missing, e) == -1)
			return -1;
		l->truncated = l->truncated || missing > 0;
	}
	return 0;
}

int
vch_log_parse(struct bytes json, struct vch_log *ret, struct err *e)
{
	static const struct vch_member members[] = {
		{ "version", CLAUSE, vch_read_number,
		    offsetof(struct vch_log, version), 0, true },
	};
	__attribute__((cleanup(vch_log_done))) struct vch_log l = { 0 };
	AUTO(json_t) j = json_parse(json, VCH_JSON_MAX, e);

	if (j == NULL)
		return err_prefix(e, WHAT);
	if (vch_read(j, members, NELEMS(members), WHAT, &l, e) == -1 ||
	    read_events(json_object_get(j, "events"), &l, e) == -1 ||
	    read_truncation(
		json_object_get(j, "truncation"), &l.truncated, e) == -1)
		return -1;
	*ret = l;
	l = (struct vch_log){ 0 };
	return 0;
}

void
vch_domain_id(X509 *domain_ca, struct buf *ret)
{
	struct bytes id = cert_ski(domain_ca);
	struct digest md;

	if (id.len == 0) {
		md = spki_digest(X509_get0_pubkey(domain_ca));
		id = bytes_of(md.b, sizeof(md.b));
	}
	base64_format(ret, id.p, id.len);
}
