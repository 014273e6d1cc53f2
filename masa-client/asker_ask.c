/* What a MASA is asked for, and what its answers mean (RFC 8995 5.5, 5.6,
 * 5.8). */
#include "masa-client/asker_int.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "common/base/log.h"
#include "common/base/str.h"

#define VOUCHER_TYPE "application/voucher-cms+json"
#define JSON_TYPE    "application/json"
#define TEXT_TYPE    "text/plain"

/* ---- reading answers --------------------------------------------------- */

static bool
has_type(const struct fetch_answer *a, const char *type)
{
	size_t n = strlen(type);

	return strncasecmp(a->type, type, n) == 0 &&
	    strchr("; \t", a->type[n]) != NULL;
}

/* RFC 8995 5.6; whose it is and what it pins is the registrar's to judge. */
static bool
is_voucher(const struct fetch_answer *a)
{
	return a->status == 200 && has_type(a, VOUCHER_TYPE) &&
	    a->body.len > 0 && a->body.p[0] == 0x30; /* SEQUENCE */
}

/* RFC 8995 5.8.1; what it tells is the registrar's to judge as well. */
static bool
is_log(const struct fetch_answer *a)
{
	return a->status == 200 && has_type(a, JSON_TYPE) && a->body.len > 0;
}

/* RFC 8995 5.6: its word on this device, not on this hour. */
static bool
is_refusal(unsigned status)
{
	return status >= 400 && status < 500 && status != 408 && status != 429;
}

/* The first line of what it says to people, else nothing. */
static void
plain_reason(const struct fetch_answer *a, char *ret, size_t size)
{
	char line[LEDGER_REASON_MAX];
	size_t n = a->body.len < sizeof(line) ? a->body.len : sizeof(line) - 1;

	if (!has_type(a, TEXT_TYPE))
		n = 0;
	if (n > 0)
		memcpy(line, a->body.p, n);
	line[n] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	entry_text(ret, size, line);
}

/* Why it came to nothing this time. */
static void
tell_why(const struct fetch_answer *a, char *ret, size_t size)
{
	char reason[100], text[300];

	plain_reason(a, reason, sizeof(reason));
	if (a->status == 0)
		str_copy(text, sizeof(text), a->why);
	else if (a->status >= 300 && a->status < 400)
		snprintf(text, sizeof(text),
		    "HTTP %u: a redirect is not followed", a->status);
	else if (a->status < 300)
		snprintf(text, sizeof(text), "HTTP %u: not what was asked for",
		    a->status);
	else
		snprintf(text, sizeof(text), "HTTP %u%s%s", a->status,
		    reason[0] != '\0' ? ": " : "", reason);
	entry_text(ret, size, text);
}

/* ---- not yet ----------------------------------------------------------- */

static void
on_late(void *arg)
{
	struct work *w = arg;

	work_place(w, WORK_READY);
	asker_wake(w->asker);
}

/* Doubling, and a quarter more or less, so that a MASA that comes back is not
 * asked by all at once. */
static uint64_t
delay_ms(const struct work *w, unsigned tries, unsigned retry_after)
{
	const struct masa *m = w->asker->masa;
	uint64_t ms = m->conf.masa.retry_min, max = m->conf.masa.retry_max;
	uint8_t dice;

	while (--tries > 0 && ms < max)
		ms *= 2;
	if (ms < retry_after * 1000ULL)
		ms = retry_after * 1000ULL;
	if (ms > max)
		ms = max;
	random_bytes(&dice, sizeof(dice));
	return ms - ms / 4 + ms * dice / 512;
}

static void
work_later(struct work *w, unsigned tries, const struct fetch_answer *a)
{
	uint64_t ms = delay_ms(w, tries, a->retry_after);
	char id[ENTRY_ID_TEXT], why[LEDGER_REASON_MAX];

	tell_why(a, why, sizeof(why));
	w->unreachable = a->status == 0;
	/* Said when it is news. */
	log_event(strcmp(why, w->why) != 0 ? LOG_WARN : LOG_DEBUG, "masa.later",
	    "site", "%s", w->entry.site, "id", "%s",
	    entry_id_format(id, w->entry.epoch, w->entry.id), "vendor", "%s",
	    w->maker->conf->name, "host", "%s", w->job->target.host, "reason",
	    "%s", why, "retry-ms", "%llu", (unsigned long long)ms, NULL);
	str_copy(w->why, sizeof(w->why), why);
	if (w->job->voucher.len == 0)
		work_drop_job(w);
	if (w->timer == NULL)
		w->timer = timer_new(w->asker->masa->service.loop, on_late, w);
	timer_set(w->timer, ms);
	work_place(w, WORK_LATE);
	asker_wake(w->asker);
}

void
work_hold(struct work *w)
{
	static const char why[] = "its maker's list of revoked devices is "
				  "missing or stale";
	char id[ENTRY_ID_TEXT];

	/* Said when it is news. */
	log_event(strcmp(why, w->why) != 0 ? LOG_WARN : LOG_DEBUG, "masa.held",
	    "site", "%s", w->entry.site, "id", "%s",
	    entry_id_format(id, w->entry.epoch, w->entry.id), "vendor", "%s",
	    w->maker->conf->name, "reason", "%s", why, NULL);
	str_copy(w->why, sizeof(w->why), why);
	w->unreachable = false;
	work_drop_job(w);
	if (w->timer == NULL)
		w->timer = timer_new(w->asker->masa->service.loop, on_late, w);
	timer_set(w->timer, w->asker->masa->conf.masa.retry_max);
	work_place(w, WORK_LATE);
	asker_wake(w->asker);
}

/* It is there again: who waits because it was not need not wait longer. */
static void
maker_reached(struct maker *k)
{
	struct work *w, *next;

	for (w = TAILQ_FIRST(&k->late); w != NULL; w = next) {
		next = TAILQ_NEXT(w, place);
		if (!w->unreachable)
			continue;
		timer_clear(w->timer);
		work_place(w, WORK_READY);
	}
}

/* ---- asking ------------------------------------------------------------ */

static void
ask(struct work *w, const char *path, const char *accept, size_t max,
    fetch_done done)
{
	struct job *j = w->job;
	struct buf url AUTO_BUF = { 0 };
	struct fetch_ask a = {
		.accept = accept,
		.type = VOUCHER_TYPE,
		.body = buf_bytes(&j->octets),
		.max = max,
	};

	buf_printf(&url, "%s%s", j->target.base, path);
	free(j->url);
	j->url = xstrdup(buf_cstr(&url));
	a.url = j->url;
	w->fetch = fetch_start(w->maker->fetcher, &a, done, w);
}

static void
take_log(struct work *w, const struct fetch_answer *a)
{
	struct job *j = w->job;

	j->log_status = a->status;
	if (is_log(a))
		buf_add(&j->log, a->body.p, a->body.len);
	else
		log_event(LOG_WARN, "masa.no-log", "site", "%s", w->entry.site,
		    "device", "%s", w->serial, "reason", "%s", w->why, NULL);
	work_answer(w);
}

/* The log is asked for, not required: after some tries the voucher goes without
 * one, and the registrar judges that. */
static void
log_failed(struct work *w, const struct fetch_answer *a)
{
	struct job *j = w->job;

	if (++j->log_tries < w->asker->masa->conf.masa.log_tries &&
	    !is_refusal(a->status)) {
		work_later(w, j->log_tries, a);
		return;
	}
	tell_why(a, w->why, sizeof(w->why));
	take_log(w, a);
}

static void
moved_log_came(void *arg, const struct fetch_answer *a)
{
	struct work *w = arg;

	w->fetch = NULL;
	if (is_log(a))
		take_log(w, a);
	else
		log_failed(w, a);
}

/* RFC 8995 5.8: 201 and where the log is. */
static bool
follow_log(struct work *w, const struct fetch_answer *a)
{
	struct job *j = w->job;
	struct fetch_ask ask = { .accept = JSON_TYPE, .max = VCH_JSON_MAX };
	struct err e = ERR_INIT;
	char *url;

	if (a->status != 201 || a->location[0] == '\0')
		return false;
	if ((url = fetch_resolve(j->url, a->location, &e)) == NULL) {
		log_err(LOG_ALARM, "masa.elsewhere", &e, "host", "%s",
		    j->target.host, NULL);
		return false;
	}
	free(j->url);
	ask.url = j->url = url;
	w->fetch = fetch_start(w->maker->fetcher, &ask, moved_log_came, w);
	return true;
}

static void
log_came(void *arg, const struct fetch_answer *a)
{
	struct work *w = arg;

	w->fetch = NULL;
	if (is_log(a))
		take_log(w, a);
	else if (!follow_log(w, a))
		log_failed(w, a);
}

static void
voucher_came(void *arg, const struct fetch_answer *a)
{
	struct work *w = arg;
	char reason[LEDGER_REASON_MAX];

	w->fetch = NULL;
	w->tries++;
	if (a->status != 0)
		maker_reached(w->maker);
	if (is_voucher(a)) {
		buf_add(&w->job->voucher, a->body.p, a->body.len);
		work_ask(w);
	} else if (is_refusal(a->status)) {
		plain_reason(a, reason, sizeof(reason));
		work_refuse(w, "refused", a->status, reason);
	} else {
		work_later(w, w->tries, a);
	}
}

void
work_ask(struct work *w)
{
	work_place(w, WORK_ASKING);
	if (w->job->voucher.len == 0)
		ask(w, "/requestvoucher", VOUCHER_TYPE, CMS_OCTETS_MAX,
		    voucher_came);
	else if (w->asker->masa->conf.masa.log_tries > 0)
		ask(w, "/requestauditlog", JSON_TYPE, VCH_JSON_MAX, log_came);
	else
		work_answer(w);
}
