#include "ra/crlmaker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/pki/crl.h"
#include "common/service/ledger_certs.h"
#include "common/service/reference.h"

#define SOON_MS	 500
#define RETRY_MS 5000
#define BACKDATE 300 /* as certificates */
#define HOUR	 3600

struct crlmaker {
	struct ra *ra;
	struct timer *timer;
	bool busy, again;
	struct ledger_number number;
	struct buf tbs;
	uint64_t from, next; /* of the list in work */
	size_t n;
};

uint64_t
crlmaker_pause(uint64_t now, uint64_t next, uint64_t lifetime)
{
	uint64_t left =
	    next > now + lifetime / 4 ? next - now - lifetime / 4 : 0;

	return left < HOUR ? left : HOUR;
}

static uint64_t
lifetime(const struct crlmaker *c)
{
	return c->ra->conf.ca.crl_lifetime / 1000;
}

/* ---- what is in it ----------------------------------------------------- */

struct gathering {
	struct crl_entry *v;
	uint8_t (*serials)[LEDGER_SERIAL_MAX / 2 + 1];
	size_t n, size;
	uint64_t since; /* what ended before stands there no more */
};

static int
gather(const struct ledger_revoked *r, void *arg)
{
	struct gathering *g = arg;
	size_t len = strlen(r->serial) / 2;
	struct err no = ERR_INIT;
	uint8_t *s;

	if (r->until < g->since)
		return 0;
	if (g->n == g->size) {
		g->size = g->size * 2 + 16;
		g->v = xrealloc(g->v, g->size * sizeof(*g->v));
		g->serials =
		    xrealloc(g->serials, g->size * sizeof(*g->serials));
	}
	/* An INTEGER above zero: an octet 0 in front of a high bit. */
	s = g->serials[g->n];
	s[0] = 0;
	if (hex_parse(r->serial, s + 1, len, &no) == -1)
		return 0;
	g->v[g->n++] = (struct crl_entry){ .serial = { NULL, len },
		.when = r->when,
		.reason = (int)r->reason };
	return 0;
}

static int
build(struct crlmaker *c, struct err *e)
{
	uint64_t now = clock_now().time;
	/* RFC 5280 3.3: what ended stands in one more list. */
	struct gathering g = { .since = now - 2 * lifetime(c) };
	struct crl_spec spec = { .this_update = now - BACKDATE,
		.next_update = now + lifetime(c),
		.number = c->number.number };
	int rc = ledger_list_revoked(c->ra->service.ledger, gather, &g, e);

	for (size_t i = 0; i < g.n; i++) {
		const uint8_t *s = g.serials[i];
		bool high = (s[1] & 0x80) != 0;

		g.v[i].serial =
		    bytes_of(high ? s : s + 1, g.v[i].serial.len + high);
	}
	spec.entries = g.v;
	spec.n = c->n = g.n;
	c->from = now;
	c->next = spec.next_update;
	buf_reset(&c->tbs);
	if (rc == 0)
		rc = crl_tbs(&spec, ra_issuer(c->ra), &c->tbs, e);
	free(g.v);
	free(g.serials);
	return rc;
}

/* ---- where it goes ----------------------------------------------------- */

/* Made anew at each start, so nobody waits for a disk. */
static int
write_file(const struct crlmaker *c, struct err *e)
{
	const char *dir = c->ra->conf.service.store.directory;
	struct bytes der = buf_bytes(&c->ra->crl);
	AUTO(char) path = path_join(dir, CRLMAKER_FILE);
	AUTO(char) tmp = path_join(dir, CRLMAKER_FILE ".tmp");
	int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool ok;

	if (fd == -1)
		return err_errno(e, ERR_LOCAL, "%s", tmp);
	ok = write(fd, der.p, der.len) == (ssize_t)der.len;
	if (close(fd) == -1 || !ok || rename(tmp, path) == -1)
		return err_errno(e, ERR_LOCAL, "%s", path);
	return 0;
}

static void
publish(struct crlmaker *c)
{
	struct ra *r = c->ra;
	struct err e = ERR_INIT;

	if (write_file(c, &e) == -1)
		log_err(LOG_ALARM, "crl.not-written", &e, NULL);
	if (reference_publish(
		&r->service, "crl", buf_bytes(&r->crl), c->next, &e) == -1)
		log_err(LOG_ALARM, "crl.not-published", &e, NULL);
	log_event(LOG_INFO, "crl.made", "number", "%llu",
	    (unsigned long long)c->number.number, "revoked", "%zu", c->n, NULL);
}

/* ---- making ------------------------------------------------------------ */

static void
failed(struct crlmaker *c, const struct err *e)
{
	c->busy = false;
	c->again = true;
	log_err(LOG_ALARM, "crl.failed", e, NULL);
	timer_set(c->timer, RETRY_MS);
}

static void
numbered(void *arg, const struct err *trouble)
{
	struct ledger_number *x = arg;
	struct crlmaker *c = x->user;
	struct err e = ERR_INIT;

	if (trouble != NULL)
		failed(c, trouble);
	else if (build(c, &e) == -1 ||
	    ca_sign_list(c->ra->ca, CRLMAKER_ID, buf_bytes(&c->tbs), &e) == -1)
		failed(c, &e);
}

static void
make(void *arg)
{
	struct crlmaker *c = arg;
	struct stamp now = clock_now();

	/* Without a clock it would have no dates. */
	if (now.quality < CLOCK_RTC) {
		timer_set(c->timer, RETRY_MS);
		return;
	}
	if (!c->again && c->next != 0 && c->from <= now.time &&
	    crlmaker_pause(now.time, c->next, lifetime(c)) > 0) {
		timer_set(c->timer,
		    1000 * crlmaker_pause(now.time, c->next, lifetime(c)));
		return;
	}
	c->busy = true;
	c->again = false;
	c->number = (struct ledger_number){ .name = "crl", .user = c };
	ledger_number(c->ra->service.ledger, &c->number, numbered,
	    loop_poster(c->ra->service.loop));
}

void
crlmaker_signed(struct crlmaker *c, struct bytes signature)
{
	struct buf der AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	if (c == NULL || !c->busy)
		return;
	if (crl_finish(buf_bytes(&c->tbs), signature, ra_issuer(c->ra), &der,
		&e) == -1) {
		failed(c, &e);
		return;
	}
	buf_reset(&c->ra->crl);
	buf_add(&c->ra->crl, der.data, der.len);
	c->busy = false;
	publish(c);
	timer_set(c->timer,
	    c->again ? SOON_MS
		     : 1000 * crlmaker_pause(c->from, c->next, lifetime(c)));
}

void
crlmaker_wake(struct crlmaker *c)
{
	if (c == NULL || c->again)
		return;
	/* Several within a moment are one list. */
	c->again = true;
	if (!c->busy)
		timer_set(c->timer, SOON_MS);
}

struct crlmaker *
crlmaker_new(struct ra *r)
{
	struct crlmaker *c = xcalloc(1, sizeof(*c));

	c->ra = r;
	c->timer = timer_new(r->service.loop, make, c);
	crlmaker_wake(c);
	return c;
}

void
crlmaker_free(struct crlmaker *c)
{
	if (c == NULL)
		return;
	timer_free(c->timer);
	buf_done(&c->tbs);
	free(c);
}
