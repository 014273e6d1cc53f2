#include "common/service/sites.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "common/pki/sign.h"

#define READ_GAP_MS 1000

struct site {
	struct site *next;
	char name[33];
	STACK_OF(X509) * certs; /* believed, each of them; may be empty */
	uint64_t read_at;	/* monotonic milliseconds; 0: never */
	struct err why;		/* the last reading that failed */
};

struct sites {
	const char *dir;
	const struct trust *domain;
	struct site *first;
};

struct sites *
sites_new(const char *dir, const struct trust *domain)
{
	struct sites *s = xcalloc(1, sizeof(*s));

	s->dir = dir;
	s->domain = domain;
	return s;
}

void
sites_reload(struct sites *s)
{
	struct site *i, *next;

	for (i = s->first; i != NULL; i = next) {
		next = i->next;
		x509s_free(i->certs);
		free(i);
	}
	s->first = NULL;
}

void
sites_free(struct sites *s)
{
	if (s == NULL)
		return;
	sites_reload(s);
	free(s);
}

/* DESIGN 8a: domain CA, cmcRA, SAN site. */
static int
site_check(const struct sites *s, const char *name, X509 *x,
    const STACK_OF(X509) * all, struct err *e)
{
	const char *anchor;
	char san[33];

	if (trust_check(s->domain, x, all, clock_judge_time(), &anchor, NULL,
		e) == -1 ||
	    cert_site(x, san, e) == -1)
		return -1;
	if (strcmp(san, name) != 0)
		return err_set(e, ERR_TRUST,
		    "certificate: it is of site %s, not %s", san, name);
	if (!cert_has_cmcra(x))
		return err_set(e, ERR_TRUST,
		    "certificate: RFC 8995 5.5.4: lacks id-kp-cmcRA");
	return 0;
}

/* Those of a file that are to be believed; the others are said once. */
static STACK_OF(X509) *
    site_load(const struct sites *s, const char *name, struct err *e)
{
	AUTO(char) file = NULL, path = NULL;
	AUTO(X509S) all = NULL, good = sk_X509_new_null();

	if (good == NULL || asprintf(&file, "%s.pem", name) == -1)
		err_die("out of memory");
	path = path_join(s->dir, file);
	if ((all = ossl_load_certs(path, e)) == NULL)
		return NULL;
	for (int i = 0; i < sk_X509_num(all); i++) {
		X509 *x = sk_X509_value(all, i);

		if (cert_is_ca(x))
			continue;
		if (site_check(s, name, x, all, e) == -1) {
			err_prefix(e, "%s", path);
			log_err(LOG_ALARM, "site.untrusted", e, "site", "%s",
			    name, NULL);
			continue;
		}
		if (X509_up_ref(x) != 1 || sk_X509_push(good, x) == 0)
			err_die("out of memory");
	}
	if (sk_X509_num(good) > 0)
		return STEAL(good);
	if (e->kind == ERR_NONE)
		err_set(e, ERR_TRUST, "%s: no registrar's certificate", path);
	return NULL;
}

static struct site *
site_get(struct sites *s, const char *name)
{
	struct site *i;

	for (i = s->first; i != NULL; i = i->next)
		if (strcmp(i->name, name) == 0)
			return i;
	i = xcalloc(1, sizeof(*i));
	str_copy(i->name, sizeof(i->name), name);
	i->next = s->first;
	s->first = i;
	return i;
}

static X509 *
site_cert(const struct site *i, const struct digest *signer)
{
	for (int n = 0; n < sk_X509_num(i->certs); n++) {
		X509 *x = sk_X509_value(i->certs, n);
		struct digest d = cert_digest(x);

		if (digest_eq(&d, signer))
			return x;
	}
	return NULL;
}

/* A file that cannot be read changes nothing: what was known stays. */
static void
site_read(struct sites *s, struct site *i)
{
	uint64_t now = clock_mono_ms();
	STACK_OF(X509) * certs;

	if (i->read_at != 0 && now - i->read_at < READ_GAP_MS)
		return;
	i->read_at = now;
	i->why = (struct err)ERR_INIT;
	if ((certs = site_load(s, i->name, &i->why)) == NULL)
		return;
	x509s_free(i->certs);
	i->certs = certs;
}

X509 *
sites_find(struct sites *s, const char *name, const struct digest *signer,
    struct err *e)
{
	struct site *i = site_get(s, name);
	uint64_t from, to, now = clock_judge_time();
	X509 *x = site_cert(i, signer);

	if (x == NULL) {
		site_read(s, i);
		x = site_cert(i, signer);
	}
	if (x == NULL && i->why.kind != ERR_NONE) {
		err_set(e, i->why.kind, "site %s: %s", name, i->why.msg);
		return NULL;
	}
	if (x == NULL) {
		err_set(e, ERR_TRUST,
		    "site %s: signer is no certificate of its", name);
		return NULL;
	}
	/* It was valid when it was read; that may be long ago. */
	if (cert_validity(x, &from, &to, e) == -1)
		return NULL;
	if (now != 0 && now > to) {
		err_set(e, ERR_TRUST, "site %s: certificate has expired", name);
		return NULL;
	}
	return x;
}

size_t
sites_count(const struct sites *s)
{
	DIR *d = opendir(s->dir);
	struct dirent *de;
	size_t n = 0, len;

	while (d != NULL && (de = readdir(d)) != NULL) {
		len = strlen(de->d_name);
		n += len > 4 && strcmp(de->d_name + len - 4, ".pem") == 0;
	}
	if (d != NULL)
		closedir(d);
	return n;
}
