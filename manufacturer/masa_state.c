#include "manufacturer/masa_state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/str.h"

#define SALES_MAX ((size_t)4 * 1024 * 1024)
#define LOG_MAX	  ((size_t)256 * 1024)
#define ANY	  "*"

struct masa_state {
	char *dir, *logs, *vouchers;
	json_t *sales; /* serial: [domainID or "*", ...]; NULL: not asked */
};

void
masa_state_free(struct masa_state *s)
{
	if (s == NULL)
		return;
	free(s->dir);
	free(s->logs);
	free(s->vouchers);
	json_decref(s->sales);
	free(s);
}

/*
 * Sales.
 */
static int
add_sale(json_t *sales, char *line)
{
	char *serial, *domain, *rest;
	json_t *domains;

	line[strcspn(line, "#\r")] = '\0';
	if ((serial = strtok_r(line, ", \t", &rest)) == NULL)
		return 0;
	if ((domain = strtok_r(NULL, ", \t", &rest)) == NULL ||
	    strtok_r(NULL, ", \t", &rest) != NULL ||
	    strlen(serial) > MASA_SERIAL_MAX)
		return -1;
	domains = json_object_get(sales, serial);
	if (domains == NULL) {
		domains = json_array();
		if (json_object_set_new(sales, serial, domains) == -1)
			return -1;
	}
	return json_array_append_new(domains, json_string(domain));
}

static json_t *
load_sales(const char *path, struct err *e)
{
	struct buf text AUTO_BUF = { 0 };
	AUTO(json_t) sales = json_object();
	char *line, *next;
	unsigned n = 0;

	if (file_read(path, SALES_MAX, &text, e) == -1)
		return NULL;
	buf_cstr(&text);
	for (next = (char *)text.data; (line = strsep(&next, "\n")) != NULL;) {
		n++;
		if (add_sale(sales, line) == 0)
			continue;
		err_set(e, ERR_CONF, "%s:%u: wanted serial,domainID", path, n);
		return NULL;
	}
	return STEAL(sales);
}

struct masa_state *
masa_state_open(const char *dir, const char *sales, struct err *e)
{
	AUTO(masa_state) s = xcalloc(1, sizeof(*s));

	s->dir = xstrdup(dir);
	s->logs = path_join(dir, "logs");
	s->vouchers = path_join(dir, "vouchers");
	if (file_mkdirs(s->logs, 0700, e) == -1 ||
	    file_mkdirs(s->vouchers, 0700, e) == -1)
		return NULL;
	if (sales != NULL && (s->sales = load_sales(sales, e)) == NULL)
		return NULL;
	return STEAL(s);
}

/*
 * Logs: {"owner": pin, "dropped": n, "events": [...]}.  The owner is the first
 * domain; a domain is told by the SHA-256 of its CA's key, since a
 * SubjectKeyIdentifier can be anybody's choice.
 */
static char *
log_path(const struct masa_state *s, const char *serial)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789-";
	struct buf name AUTO_BUF = { 0 };
	const char *p;

	for (p = serial; *p != '\0'; p++)
		buf_printf(&name, strchr(plain, *p) != NULL ? "%c" : "_%02X",
		    (unsigned char)*p);
	buf_add_str(&name, ".json");
	return path_join(s->logs, buf_cstr(&name));
}

static json_t *
load_log(const struct masa_state *s, const char *serial, struct err *e)
{
	AUTO(char) path = log_path(s, serial);
	struct buf text AUTO_BUF = { 0 };
	AUTO(json_t) log = NULL;

	if (access(path, F_OK) == -1 && errno == ENOENT)
		return json_pack(
		    "{s:s, s:i, s:[]}", "owner", "", "dropped", 0, "events");
	if (file_read(path, LOG_MAX, &text, e) == -1)
		return NULL;
	if ((log = json_parse(buf_bytes(&text), LOG_MAX, e)) == NULL) {
		err_prefix(e, "%s", path);
		return NULL;
	}
	if (!json_is_array(json_object_get(log, "events")) ||
	    !json_is_integer(json_object_get(log, "dropped"))) {
		err_set(e, ERR_DAMAGE, "%s: no audit log", path);
		return NULL;
	}
	return STEAL(log);
}

static int
save_log(
    const struct masa_state *s, const char *serial, json_t *log, struct err *e)
{
	AUTO(char) path = log_path(s, serial);
	struct buf text AUTO_BUF = { 0 };

	json_format(&text, log);
	return file_write(path, 0600, buf_bytes(&text), e);
}

static const char *
member(const json_t *object, const char *name)
{
	const char *s = json_string_value(json_object_get(object, name));

	return s != NULL ? s : "";
}

static char *
pin_text(const struct masa_request *r, char ret[2 * DIGEST_LEN + 1])
{
	struct digest d = spki_digest(X509_get0_pubkey(r->pin));

	return hex_format(ret, d.b, sizeof(d.b));
}

static bool
has_event(const json_t *log, const char *name, const char *value)
{
	const json_t *event;
	size_t i;

	json_array_foreach(json_object_get(log, "events"), i,
	    event) if (strcmp(member(event, name), value) == 0) return true;
	return false;
}

/* RFC 8995 5.5.4: sales channel integration. */
static int
check_sale(const struct masa_state *s, const json_t *log,
    struct masa_request const *r, const char *pin, struct err *e)
{
	const json_t *domains, *domain;
	const char *owner = member(log, "owner");
	size_t i;

	if (s->sales == NULL)
		return 0;
	if ((domains = json_object_get(s->sales, r->serial)) == NULL) {
		err_set(e, ERR_POLICY,
		    "device %s: RFC 8995 5.6: not known to this MASA",
		    r->serial);
		return 404;
	}
	json_array_foreach(domains, i, domain)
	{
		const char *to = json_string_value(domain);

		if (strcmp(to, ANY) == 0
			? owner[0] == '\0' || strcmp(owner, pin) == 0
			: bytes_eq(
			      bytes_of(to, strlen(to)), buf_bytes(&r->domain)))
			return 0;
	}
	err_set(e, ERR_POLICY,
	    "device %s: RFC 8995 5.6: not sold to domain %.*s", r->serial,
	    (int)r->domain.len, (const char *)r->domain.data);
	return 403;
}

static int
add_event(json_t *log, const struct masa_request *r, const char *pin,
    const char *request, const char *date)
{
	json_t *events = json_object_get(log, "events");
	json_t *event = json_pack("{s:s, s:s%, s:s?, s:s, s:s, s:s, s:i}",
	    "date", date, "domainID", (const char *)r->domain.data,
	    r->domain.len, "nonce", r->nonce[0] != '\0' ? r->nonce : NULL,
	    "assertion", vch_assertion_name(r->assertion), "pin", pin,
	    "request", request, "truncated", 0);

	if (json_array_size(events) >= MASA_EVENTS_MAX) {
		json_t *n = json_object_get(log, "dropped");

		json_array_remove(events, 0);
		json_integer_set(n, json_integer_value(n) + 1);
	}
	if (member(log, "owner")[0] == '\0')
		json_object_set_new(log, "owner", json_string(pin));
	return json_array_append_new(events, event);
}

static int
lock(const struct masa_state *s, struct err *e)
{
	AUTO(char) path = path_join(s->dir, "lock");
	AUTO_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd == -1 || flock(fd, LOCK_EX) == -1)
		return err_errno(e, ERR_LOCAL, "%s", path);
	return fd_steal(&fd);
}

int
masa_state_claim(struct masa_state *s, const struct masa_request *r,
    const char *date, struct err *e)
{
	AUTO_FD fd = lock(s, e);
	AUTO(json_t) log = NULL;
	char pin[2 * DIGEST_LEN + 1], request[2 * DIGEST_LEN + 1];
	int status;

	if (fd == -1 || (log = load_log(s, r->serial, e)) == NULL)
		return 500;
	pin_text(r, pin);
	hex_format(request, r->digest.b, DIGEST_LEN);
	if ((status = check_sale(s, log, r, pin, e)) != 0)
		return status;
	if (has_event(log, "request", request))
		return 0;
	if (add_event(log, r, pin, request, date) == -1) {
		err_set(e, ERR_LOCAL, "device %s: no event of it", r->serial);
		return 500;
	}
	return save_log(s, r->serial, log, e) == -1 ? 500 : 0;
}

/* An event as the domain is told: without what is for us alone. */
static json_t *
tell_event(const json_t *event)
{
	static const char *const own[] = { "pin", "request" };
	json_t *told = json_copy((json_t *)event);
	size_t i;

	for (i = 0; i < NELEMS(own); i++)
		json_object_del(told, own[i]);
	return told;
}

static json_t *
foreign_event(void)
{
	struct digest d = digest_of("elsewhere", 9);
	struct buf domain AUTO_BUF = { 0 };

	/* As long as a key identifier of SHA-1. */
	base64_format(&domain, d.b, 20);
	return json_pack("{s:s, s:s, s:n, s:s, s:i}", "date",
	    "2024-01-01T00:00:00Z", "domainID", buf_cstr(&domain), "nonce",
	    "assertion", "logged", "truncated", 0);
}

int
masa_state_log(struct masa_state *s, const struct masa_request *r, bool foreign,
    struct buf *out, struct err *e)
{
	AUTO(json_t) log = load_log(s, r->serial, e);
	AUTO(json_t) told = NULL;
	char pin[2 * DIGEST_LEN + 1];
	const json_t *event;
	json_t *events;
	size_t i;

	if (log == NULL)
		return 500;
	/* RFC 8995 5.8: not a device, or never this domain's. */
	if (!has_event(log, "pin", pin_text(r, pin))) {
		err_set(e, ERR_POLICY,
		    "device %s: RFC 8995 5.8: never of this domain", r->serial);
		return 404;
	}
	events = json_array();
	if (foreign)
		json_array_append_new(events, foreign_event());
	json_array_foreach(json_object_get(log, "events"), i, event)
	    json_array_append_new(events, tell_event(event));
	told = json_pack("{s:i, s:o, s:{s:i, s:i, s:O}}", "version", 1,
	    "events", events, "truncation", "nonced duplicates", 0,
	    "nonceless duplicates", 0, "arbitrary",
	    json_object_get(log, "dropped"));
	json_format(out, told);
	return 0;
}

/*
 * Vouchers.
 */
static char *
voucher_path(
    const struct masa_state *s, const struct digest *request, const char *fault)
{
	char hex[2 * DIGEST_LEN + 1];
	struct buf name AUTO_BUF = { 0 };

	buf_printf(
	    &name, "%s%s.vch", hex_format(hex, request->b, DIGEST_LEN), fault);
	return path_join(s->vouchers, buf_cstr(&name));
}

int
masa_state_voucher(struct masa_state *s, const struct digest *request,
    const char *fault, struct buf *ret, struct err *e)
{
	AUTO(char) path = voucher_path(s, request, fault);

	if (access(path, F_OK) == -1 && errno == ENOENT)
		return 0;
	return file_read(path, CMS_OCTETS_MAX, ret, e);
}

int
masa_state_keep(struct masa_state *s, const struct digest *request,
    const char *fault, struct bytes voucher, struct err *e)
{
	AUTO(char) path = voucher_path(s, request, fault);

	return file_write(path, 0600, voucher, e);
}
