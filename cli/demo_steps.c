/* The demo's steps with its device: it asks, the registrar dies, the link
 * comes, it has its voucher and its certificate. */
#include <signal.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/demo_run.h"
#include "cli/programs.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "common/sys/control.h"

#define WAITING_MS 10000
#define ENROL_MS   20000
#define LOG_MAX	   ((size_t)1 << 20)
#define FIRST_MAX  10 /* entries that a device makes, and more */
#define VOUCHER	   "voucher"
#define CMP	   "cmp"

/* ---- steps: the device asks ------------------------------------------ */

/* 1 if the pledge's log has a line that begins so, whose rest is then appended
 * to rest (may be NULL); the pledge must still run, or have said it. */
static int
pledge_says(struct demo *d, const char *word, struct buf *rest, struct err *e)
{
	AUTO(char) path = folder_path(&d->folder, "pledge", ".log");
	struct buf text AUTO_BUF = { 0 };
	const char *at;
	int code;

	if (file_read(path, LOG_MAX, &text, NULL) == 0)
		for (at = buf_cstr(&text); at != NULL; at = strchr(at, '\n')) {
			at += *at == '\n';
			if (!str_starts(at, word))
				continue;
			at += strlen(word);
			if (rest != NULL)
				buf_add(rest, at, strcspn(at, "\n"));
			return 1;
		}
	if (program_wait(d->pledge, 0, &code, NULL) == -1)
		return 0;
	d->pledge = 0;
	return err_set(e, cli_kind_of_exit(code),
	    "device: ended with code %d: read %s", code, path);
}

static int
pledge_waits(struct demo *d, struct err *e)
{
	return pledge_says(d, "voucher waiting", NULL, e);
}

static int
pledge_trusts(struct demo *d, struct err *e)
{
	return pledge_says(d, "voucher accepted", NULL, e);
}

/* The device's first entry of a kind. */
static int
queue_entry(struct demo *d, const char *kind, json_t **ret)
{
	AUTO(char) socket = folder_path(&d->folder, DEMO_SITE_CONTROL, "");
	AUTO(json_t) j = NULL;
	char path[64];
	json_t *en;
	size_t i;

	snprintf(path, sizeof(path), "/v1/queue?first=0&max=%d", FIRST_MAX);
	if ((j = ask_get(socket, path, NULL)) == NULL)
		return 0;
	json_array_foreach(json_object_get(j, "entries"), i, en)
	{
		if (strcmp(ask_text(en, "kind"), kind) != 0)
			continue;
		*ret = json_incref(en);
		return 1;
	}
	return 0;
}

static bool
entry_is(struct demo *d, const char *kind, const char *state,
    char ret_id[DEMO_ID_MAX])
{
	AUTO(json_t) en = NULL;

	if (queue_entry(d, kind, &en) == 0 ||
	    strcmp(ask_text(en, "state"), state) != 0)
		return false;
	str_copy(ret_id, DEMO_ID_MAX, ask_text(en, "id"));
	return true;
}

static int
voucher_queued(struct demo *d, struct err *e)
{
	(void)e;
	return entry_is(d, VOUCHER, "queued", d->voucher);
}

int
demo_step_ask(struct demo *d, struct err *e)
{
	AUTO(char) log = folder_path(&d->folder, "pledge", ".log");
	AUTO(argv) argv = NULL;
	char proxy[32];

	snprintf(proxy, sizeof(proxy), "127.0.0.1:%u", d->ports.proxy);
	argv = demo_pledge_argv(&d->folder, DEMO_FIRST_DEVICE, proxy, e);
	if (argv == NULL ||
	    program_start(argv, log, SIGKILL, -1, &d->pledge, e) == -1 ||
	    demo_await(
		d, pledge_waits, WAITING_MS, "device", "pledge.log", e) == -1 ||
	    demo_await(d, voucher_queued, WAITING_MS, "queue", "registrar.log",
		e) == -1)
		return -1;
	demo_say(d,
	    "asks       device -> proxy -> registrar: whose am I? HTTP 202, "
	    "come again; queued as %s",
	    d->voucher);
	return 0;
}

/* ---- steps: the registrar dies, the link comes ----------------------- */

int
demo_step_kill(struct demo *d, struct err *e)
{
	char before[DEMO_ID_MAX];
	pid_t pid;

	str_copy(before, sizeof(before), d->voucher);
	if (demo_pid(&d->folder, "registrar", &pid, e) == -1 ||
	    program_end(pid, SIGKILL, DEMO_START_MS, e) == -1 ||
	    demo_await(d, demo_registrar_there, DEMO_START_MS, "registrar",
		"registrar.log", e) == -1 ||
	    demo_await(d, voucher_queued, DEMO_START_MS, "queue",
		"registrar.log", e) == -1)
		return -1;
	if (strcmp(before, d->voucher) != 0)
		return err_set(
		    e, ERR_DAMAGE, "%s became %s", before, d->voucher);
	demo_say(d,
	    "killed     registrar, kill -9: a new one runs, %s is still there",
	    d->voucher);
	return 0;
}

static int
links_up(struct demo *d, struct err *e)
{
	(void)e;
	return demo_links_are(&d->folder, true);
}

int
demo_step_link(struct demo *d, struct err *e)
{
	bool up;

	if (demo_relay_call(&d->folder, "up", &up, e) == -1 ||
	    demo_await(
		d, links_up, DEMO_START_MS, "link", "forwarder.log", e) == -1)
		return -1;
	demo_say(d, "link UP    forwarder -> RA, forwarder -> masa-client");
	return 0;
}

/* ---- steps: the voucher ---------------------------------------------- */

int
demo_step_voucher(struct demo *d, struct err *e)
{
	struct buf said AUTO_BUF = { 0 };

	if (demo_await(d, pledge_trusts, ENROL_MS, "voucher", "masa-client.log",
		e) == -1 ||
	    pledge_says(d, "voucher accepted", &said, e) != 1)
		return -1;
	demo_say(d, "voucher    masa-client -> MASA; device believes it%s",
	    buf_cstr(&said));
	return 0;
}

/* ---- steps: the certificate ------------------------------------------ */

static int
issued(struct demo *d, struct err *e)
{
	AUTO(char) socket = folder_path(&d->folder, DEMO_RA_CONTROL, "");
	AUTO(json_t) j = NULL;
	int status = 0;

	(void)e;
	j = control_call(socket, "GET", "/v1/issued", NULL, &status, NULL);
	return status == 200 &&
		json_array_size(json_object_get(j, "issued")) == 1
	    ? 1
	    : 0;
}

static int
enrolment_there(struct demo *d, struct err *e)
{
	AUTO(json_t) en = NULL;

	(void)e;
	if (queue_entry(d, CMP, &en) == 0)
		return 0;
	str_copy(d->enrolment, sizeof(d->enrolment), ask_text(en, "id"));
	return 1;
}

int
demo_step_issue(struct demo *d, struct err *e)
{
	if (demo_await(d, issued, ENROL_MS, "certificate", "ra.log", e) == -1 ||
	    demo_await(d, enrolment_there, ENROL_MS, "queue", "registrar.log",
		e) == -1)
		return -1;
	demo_say(d, "issued     RA: judged %s, issued one certificate",
	    d->enrolment);
	return 0;
}

static int
pledge_done(struct demo *d, struct err *e)
{
	int code;

	if (program_wait(d->pledge, 0, &code, NULL) == -1)
		return 0;
	d->pledge = 0;
	if (code == 0)
		return 1;
	return err_set(e, cli_kind_of_exit(code),
	    "device: exit code %d: read %s/pledge.log", code, d->folder.dir);
}

int
demo_step_ldevid(struct demo *d, struct err *e)
{
	AUTO(char) path =
	    folder_path(&d->folder, "enrolled/" DEMO_FIRST_DEVICE, ".crt");
	AUTO(X509) x = NULL;
	char subject[128], serial[64];

	if (demo_await(d, pledge_done, ENROL_MS, "device", "pledge.log", e) ==
		-1 ||
	    (x = ossl_load_cert(path, e)) == NULL)
		return -1;
	demo_say(d, "enrolled   device holds its LDevID: %s, serial %s",
	    cert_subject_text(x, subject, sizeof(subject)),
	    cert_serial_hex(x, serial, sizeof(serial)));
	return 0;
}

/* openssl's own word, on stdout as it came. */
int
demo_step_verify(struct demo *d, struct err *e)
{
	AUTO(char) root = folder_path(&d->folder, "site/domain-root.crt", "");
	AUTO(char) cert =
	    folder_path(&d->folder, "enrolled/" DEMO_FIRST_DEVICE, ".crt");
	AUTO(char) chain = folder_path(
	    &d->folder, "enrolled/" DEMO_FIRST_DEVICE, ".chain.pem");

	demo_say(d, "openssl    verify -CAfile domain-root.crt:");
	printf("    ");
	if (program_run(
		(char *[]){ (char *)(intptr_t) "openssl",
		    (char *)(intptr_t) "verify", (char *)(intptr_t) "-CAfile",
		    root, (char *)(intptr_t) "-untrusted", chain, cert, NULL },
		NULL, e) == -1) {
		e->kind = ERR_TRUST;
		return -1;
	}
	return 0;
}

static void
print_history(const json_t *history)
{
	const json_t *r;
	size_t i;

	json_array_foreach(history, i, r)
	{
		struct buf detail AUTO_BUF = { 0 };
		const char *s = ask_text(r, "detail");

		str_escape(&detail, s, strlen(s));
		printf("    %s  %-12s %-12s %s\n", ask_text(r, "time"),
		    ask_text(r, "event"), ask_text(r, "who"),
		    buf_cstr(&detail));
	}
}

/* Implicitly or explicitly: that the answer went out, or was confirmed. */
static int
entries_confirmed(struct demo *d, struct err *e)
{
	(void)e;
	return entry_is(d, VOUCHER, "confirmed", d->voucher) &&
	    entry_is(d, CMP, "confirmed", d->enrolment);
}

static int
tell_audit(struct demo *d, const char *what, const char *id, struct err *e)
{
	AUTO(char) socket = folder_path(&d->folder, DEMO_SITE_CONTROL, "");
	AUTO(json_t) j = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/v1/queue/%s", id);
	if ((j = ask_get(socket, path, e)) == NULL)
		return -1;
	if (json_array_size(json_object_get(j, "history")) == 0)
		return err_set(e, ERR_LOCAL, "%s has no audit trail", id);
	demo_say(d, "audit      of %s, the %s: %s:", id, what,
	    ask_text(json_object_get(j, "entry"), "state"));
	print_history(json_object_get(j, "history"));
	return 0;
}

int
demo_step_audit(struct demo *d, struct err *e)
{
	if (demo_await(d, entries_confirmed, DEMO_START_MS, "confirmation",
		"registrar.log", e) == -1 ||
	    tell_audit(d, "voucher request", d->voucher, e) == -1)
		return -1;
	return tell_audit(d, "enrolment", d->enrolment, e);
}
