#include "registrar/front.h"

#include <string.h>
#include <strings.h>
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/pki/cmp.h"
#include "registrar/brski.h"
#include "registrar/call.h"
#include "registrar/caps.h"
#include "registrar/hold.h"

#define CMP_PATH       "/.well-known/cmp"
#define CMP_TYPE       "application/pkixcmp"
/* The larger of what CMP and CMS take. */
#define FRONT_BODY_MAX LIMIT_HTTP_BODY

/* RFC 9483 6.1: the label says what the first message was; we dispatch by
 * body, but an unknown label is an unknown path. */
static const char *const labels[] = { "initialization", "certification",
	"keyupdate", "pkcs10", "revocation", "getcacerts", "getrootupdate",
	"getcertreqtemplate", "getcrls", "nested" };

static bool
front_label(const char *s)
{
	for (size_t i = 0; i < NELEMS(labels); i++)
		if (strcmp(s, labels[i]) == 0)
			return true;
	return false;
}

/* CMP_PATH [/p/NAME] [/LABEL], as RFC 9483 6.1 has it. */
static bool
front_cmp_path(const char *path, char profile[CMP_PROFILE_MAX])
{
	size_t n;

	profile[0] = '\0';
	if (!str_starts(path, CMP_PATH))
		return false;
	path += strlen(CMP_PATH);
	if (str_starts(path, "/p/")) {
		path += 3;
		n = strcspn(path, "/");
		if (n == 0 || n >= CMP_PROFILE_MAX)
			return false;
		memcpy(profile, path, n);
		profile[n] = '\0';
		path += n;
	}
	return *path == '\0' || (*path == '/' && front_label(path + 1));
}

bool
front_type_is(const struct https_req *q, const char *want)
{
	const char *type = https_header(q, "Content-Type");
	size_t n = strlen(want);

	return type != NULL && strncasecmp(type, want, n) == 0 &&
	    (type[n] == '\0' || type[n] == ';' || type[n] == ' ');
}

/* ---- what one device may take ------------------------------------------ */

static void
front_log_over(struct front *f, const struct digest *device, const char *what)
{
	char hex[2 * DIGEST_LEN + 1] = "none";

	if (!caps_worth_a_line(f->r->caps, device, clock_mono_ms()))
		return;
	if (device != NULL)
		hex_format(hex, device->b, DIGEST_LEN);
	log_event(LOG_WARN, "device.over-share", "certificate", "%s", hex,
	    "what", "%s", what, NULL);
}

static bool
front_enter(void *arg, const struct digest *device)
{
	struct front *f = arg;

	if (caps_enter(f->r->caps, device))
		return true;
	atomic_fetch_add(&f->r->metrics.connections_over, 1);
	front_log_over(f, device, "connections");
	return false;
}

static void
front_leave(void *arg, const struct digest *device)
{
	struct front *f = arg;

	caps_leave(f->r->caps, device);
}

static bool
front_over_share(struct front *f, struct https_req *q)
{
	static const char why[] = "too many requests, ask more slowly\n";
	const struct digest *device = https_peer_id(q);

	if (caps_request(f->r->caps, device, clock_mono_ms()))
		return false;
	atomic_fetch_add(&f->r->metrics.requests_over, 1);
	front_log_over(f, device, "requests");
	https_reply(q,
	    &(struct https_answer){ .status = 429,
		.type = "text/plain",
		.body = bytes_of(why, strlen(why)),
		.retry_after = 1 });
	return true;
}

/* ---- requests ---------------------------------------------------------- */

/* DECISIONS 13: what is no CMP gets one plain line of HTTP. */
static void
front_request(struct https_req *q, void *arg)
{
	struct front *f = arg;
	char profile[CMP_PROFILE_MAX];

	if (front_over_share(f, q) || brski_request(f, q))
		return;
	if (!front_cmp_path(https_path(q), profile))
		https_reply_text(q, 404, "nothing is served here");
	else if (https_method(q) != HTTPS_POST)
		https_reply_text(q, 405, "CMP is spoken by POST");
	else if (!front_type_is(q, CMP_TYPE))
		https_reply_text(q, 415, "Content-Type must be " CMP_TYPE);
	else
		call_start(f, q, profile);
}

static void
front_moved(
    void *arg, uint64_t id, const struct digest *row, enum entry_state state)
{
	(void)id;
	if (state >= ENTRY_ANSWERED)
		hold_wake(arg, row);
}

static int
front_listen(struct front *f, const char *addr, struct err *e)
{
	struct https_conf c = {
		.listen = addr,
		.signer = f->r->signer,
		.max_body = FRONT_BODY_MAX,
		.max_conns = (unsigned)f->r->conf.limits.connections,
		.conns = &f->r->connections,
		.gate = { front_enter, front_leave, f },
	};

	f->servers[f->n_servers] = https_open(f->loop, &c, front_request, f, e);
	if (f->servers[f->n_servers] == NULL)
		return -1;
	f->n_servers++;
	return 0;
}

int
front_open(
    struct registrar *r, struct loop *l, struct front **ret, struct err *e)
{
	struct front *f = xcalloc(1, sizeof(*f));

	f->r = r;
	f->loop = l;
	for (size_t i = 0; i < r->conf.listen.n; i++)
		if (front_listen(f, r->conf.listen.v[i], e) == -1) {
			front_free(f);
			return -1;
		}
	outbox_watch(r->outbox, front_moved, f, loop_poster(l));
	*ret = f;
	return 0;
}

void
front_stop(struct front *f)
{
	if (f == NULL)
		return;
	for (size_t i = 0; i < f->n_servers; i++)
		https_close(f->servers[i]);
	f->n_servers = 0;
}

void
front_free(struct front *f)
{
	front_stop(f);
	free(f);
}

bool
front_noted(struct front *f, uint64_t id)
{
	for (size_t i = 0; i < NELEMS(f->noted); i++)
		if (f->noted[i] == id)
			return true;
	f->noted[f->n_noted++ % NELEMS(f->noted)] = id;
	return false;
}
