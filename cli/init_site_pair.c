/* A site's side, second run: what came back is proven and installed. */
#include <string.h>

#include "cli/exchange.h"
#include "cli/init_site.h"
#include "cli/request.h"
#include "common/base/file.h"

/* Each certificate must be for the key that is here. */
static int
check_keys(const struct folder *f, const struct pairing *p, struct err *e)
{
	static const enum pairing_cert ours[SITE_KEY__MAX] = {
		[SITE_REGISTRAR] = PAIRING_REGISTRAR,
		[SITE_BOX] = PAIRING_BOX,
		[SITE_LINK] = PAIRING_LINK,
	};
	size_t i;

	for (i = 0; i < SITE_KEY__MAX; i++) {
		AUTO(char) path = folder_path(f, site_key_names[i], ".key");
		AUTO(EVP_PKEY) key = ossl_load_key(path, e);

		if (key == NULL)
			return -1;
		if (EVP_PKEY_eq(X509_get0_pubkey(p->cert[ours[i]]), key) != 1)
			return err_set(e, ERR_TRUST,
			    "pairing of %s: %s is for another key", p->site,
			    site_key_names[i]);
	}
	return 0;
}

/* Another root would be another domain: people decide that, by hand. */
static int
check_root(const struct folder *f, const struct pairing *p, struct err *e)
{
	AUTO(X509) root = NULL;

	if (!folder_has(f, "domain-root", ".crt"))
		return 0;
	if ((root = folder_cert(f, "domain-root", e)) == NULL)
		return -1;
	if (X509_cmp(root, p->cert[PAIRING_ROOT]) != 0)
		return err_set(e, ERR_TRUST,
		    "pairing of %s: another domain root than %s/"
		    "domain-root.crt: move that away to change the domain",
		    p->site, f->dir);
	return 0;
}

/* NAMEMORE.crt, with the issuing CA behind it or not. */
static int
put_cert(const struct folder *f, const char *name, const char *more, X509 *x,
    X509 *issuer, struct err *e)
{
	struct buf pem AUTO_BUF = { 0 }, file AUTO_BUF = { 0 };

	buf_printf(&file, "%s%s", name, more);
	ossl_cert_pem(x, &pem);
	if (issuer != NULL)
		ossl_cert_pem(issuer, &pem);
	return folder_put(f, buf_cstr(&file), ".crt", 0644, buf_bytes(&pem), e);
}

static int
put_certs(const struct folder *f, const struct pairing *p, struct err *e)
{
	static const struct {
		const char *name;
		enum pairing_cert cert;
		bool chain;
	} files[] = {
		{ "domain-root", PAIRING_ROOT, false },
		{ "link-ca", PAIRING_LINK_CA, false },
		{ "link", PAIRING_LINK, false },
		{ "box", PAIRING_BOX, true },
		{ "registrar", PAIRING_REGISTRAR, true },
	};
	X509 *ca = p->cert[PAIRING_CA];
	size_t i;

	for (i = 0; i < p->n_services; i++) {
		const struct pairing_service *s = &p->services[i];

		if (put_cert(f, "service-", s->name, s->cert, ca, e) == -1 ||
		    put_cert(f, "service-box-", s->name, s->box, ca, e) == -1)
			return -1;
	}
	for (i = 0; i < NELEMS(files); i++)
		if (put_cert(f, files[i].name, "", p->cert[files[i].cert],
			files[i].chain ? ca : NULL, e) == -1)
			return -1;
	return 0;
}

static void
tell_pairing(const struct folder *f, struct bytes text, X509 *root)
{
	char fp[FINGERPRINT_LEN];

	if (f->quiet)
		return;
	printf("Pairing (must be what the RA's people read out), SHA-256:\n"
	       "  %s\n",
	    fingerprint_format(fp, text));
	printf("Domain root, SHA-256:\n  %s\n", fingerprint_cert(fp, root));
}

static int
pair(const struct folder *f, const char *path, struct err *e)
{
	struct buf text AUTO_BUF = { 0 };
	struct pairing p AUTO_PAIRING = { 0 };

	if (file_read(path, EXCHANGE_FILE_MAX, &text, e) == -1)
		return -1;
	if (pairing_parse(buf_bytes(&text), &p, e) == -1)
		return err_prefix(e, "%s", path);
	if (site_check_same(f, p.site, e) == -1 || check_keys(f, &p, e) == -1 ||
	    check_root(f, &p, e) == -1 || put_certs(f, &p, e) == -1 ||
	    site_make_confs(f, &p, e) == -1)
		return -1;
	tell_pairing(f, buf_bytes(&text), p.cert[PAIRING_ROOT]);
	return 0;
}

int
init_site_pair(const char *dir, const char *pairing, bool quiet, struct err *e)
{
	struct folder f = { 0 };
	int rc;

	if (folder_open(&f, dir, quiet, e) == -1)
		return -1;
	rc = pair(&f, pairing, e);
	folder_close(&f);
	return rc;
}
