#include "cli/folder.h"

#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/pki/sign.h"

#define SEAL_LEN     32
#define SETTINGS_MAX ((size_t)64 * 1024)

int
folder_open(struct folder *f, const char *path, bool quiet, struct err *e)
{
	char *dir;

	if (file_mkdirs(path, 0700, e) == -1)
		return -1;
	if ((dir = realpath(path, NULL)) == NULL)
		return err_errno(e, ERR_LOCAL, "%s", path);
	*f = (struct folder){ dir, quiet };
	return 0;
}

void
folder_close(struct folder *f)
{
	free(f->dir);
	f->dir = NULL;
}

void
folder_say(const struct folder *f, const char *fmt, ...)
{
	va_list ap;

	if (f->quiet)
		return;
	va_start(ap, fmt);
	printf("  ");
	vprintf(fmt, ap);
	putchar('\n');
	va_end(ap);
}

char *
folder_path(const struct folder *f, const char *name, const char *suffix)
{
	struct buf b = { 0 };

	buf_printf(&b, "%s/%s%s", f->dir, name, suffix);
	buf_cstr(&b);
	return (char *)b.data;
}

bool
folder_has(const struct folder *f, const char *name, const char *suffix)
{
	AUTO(char) path = folder_path(f, name, suffix);

	return access(path, F_OK) == 0;
}

int
folder_put(const struct folder *f, const char *name, const char *suffix,
    mode_t mode, struct bytes data, struct err *e)
{
	AUTO(char) path = folder_path(f, name, suffix);

	if (file_write(path, mode, data, e) == -1)
		return -1;
	folder_say(f, "%s%s: made", name, suffix);
	return 0;
}

int
folder_put_new(const struct folder *f, const char *name, const char *suffix,
    mode_t mode, struct bytes data, struct err *e)
{
	if (folder_has(f, name, suffix)) {
		folder_say(f, "%s%s: there already, kept", name, suffix);
		return 0;
	}
	return folder_put(f, name, suffix, mode, data, e);
}

EVP_PKEY *
folder_key(
    const struct folder *f, const char *name, const char *kind, struct err *e)
{
	struct buf pem AUTO_SECRET = { 0 };
	AUTO(char) path = folder_path(f, name, ".key");
	AUTO(EVP_PKEY) key = NULL;

	if (folder_has(f, name, ".key")) {
		folder_say(f, "%s.key: there already, kept", name);
		return ossl_load_key(path, e);
	}
	/* A new key under an old certificate would be no identity at all. */
	if (folder_has(f, name, ".crt")) {
		err_set(e, ERR_CONF, "%s/%s.crt is there and its key is not",
		    f->dir, name);
		return NULL;
	}
	if ((key = ossl_new_key(kind != NULL ? kind : "p256", e)) == NULL)
		return NULL;
	ossl_key_pem(key, &pem);
	if (folder_put(f, name, ".key", 0600, buf_bytes(&pem), e) == -1)
		return NULL;
	return STEAL(key);
}

X509 *
folder_cert(const struct folder *f, const char *name, struct err *e)
{
	AUTO(char) path = folder_path(f, name, ".crt");

	return ossl_load_cert(path, e);
}

int
folder_seal(const struct folder *f, const char *name, struct err *e)
{
	uint8_t secret[SEAL_LEN];
	int rc;

	random_bytes(secret, sizeof(secret));
	rc = folder_put_new(
	    f, name, ".key", 0600, bytes_of(secret, sizeof(secret)), e);
	OPENSSL_cleanse(secret, sizeof(secret));
	return rc;
}

int
vendor_split(
    const char *option, char *text, const char **ret_value, struct err *e)
{
	char *value = strchr(text, '=');

	if (value == NULL)
		return err_set(
		    e, ERR_USAGE, "%s %s: NAME=... expected", option, text);
	*value++ = '\0';
	if (!name_valid(text))
		return err_set(e, ERR_USAGE,
		    "%s %s: a name is a-z, 0-9 and '-'", option, text);
	*ret_value = value;
	return 0;
}

int
folder_vendor(const struct folder *f, const char *option, const char *vendor,
    const char *suffix, struct err *e)
{
	struct buf pem AUTO_BUF = { 0 };
	AUTO(char) dir = folder_path(f, "vendors", "");
	AUTO(char) name = xstrdup(vendor);
	AUTO(char) file = NULL;
	AUTO(X509S) certs = NULL;
	const char *path;
	int i;

	if (vendor_split(option, name, &path, e) == -1)
		return -1;
	if ((certs = ossl_load_certs(path, e)) == NULL)
		return err_prefix(e, "%s %s", option, name);
	for (i = 0; i < sk_X509_num(certs); i++)
		ossl_cert_pem(sk_X509_value(certs, i), &pem);
	if (file_mkdirs(dir, 0700, e) == -1)
		return -1;
	file = path_join("vendors", name);
	return folder_put_new(f, file, suffix, 0644, buf_bytes(&pem), e);
}

int
folder_remember(const struct folder *f, const json_t *settings, struct err *e)
{
	struct buf text AUTO_BUF = { 0 };

	json_format(&text, settings);
	return folder_put_new(f, "init", ".json", 0600, buf_bytes(&text), e);
}

json_t *
folder_recall(const struct folder *f, struct err *e)
{
	struct buf text AUTO_BUF = { 0 };
	AUTO(char) path = folder_path(f, "init", ".json");
	json_t *j;

	if (!folder_has(f, "init", ".json")) {
		err_set(e, ERR_CONF, "%s: init has not been run here", f->dir);
		return NULL;
	}
	if (file_read(path, SETTINGS_MAX, &text, e) == -1)
		return NULL;
	if ((j = json_parse(buf_bytes(&text), SETTINGS_MAX, e)) == NULL)
		err_prefix(e, "%s", path);
	return j;
}

int
folder_check_socket(const struct folder *f, const char *name, struct err *e)
{
	struct sockaddr_un *un = NULL;
	size_t n = strlen(f->dir) + 1 + strlen(name);

	if (n >= sizeof(un->sun_path))
		return err_set(e, ERR_USAGE,
		    "%s/%s: %zu octets, limit %zu for a socket: "
		    "take a folder with a shorter name",
		    f->dir, name, n, sizeof(un->sun_path) - 1);
	return 0;
}

char *
fingerprint_format(char ret[FINGERPRINT_LEN], struct bytes data)
{
	struct digest d = digest_of(data.p, data.len);
	char *p = ret;
	size_t i;

	for (i = 0; i < DIGEST_LEN; i++)
		p += sprintf(
		    p, "%s%02X", i > 0 && i % 2 == 0 ? " " : "", d.b[i]);
	return ret;
}

char *
fingerprint_cert(char ret[FINGERPRINT_LEN], X509 *x)
{
	struct buf der AUTO_BUF = { 0 };

	ossl_cert_der(x, &der);
	return fingerprint_format(ret, buf_bytes(&der));
}
