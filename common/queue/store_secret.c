#include "common/queue/store_int.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "common/base/file.h"

#define SECRET_MIN	32
#define SECRET_FILE_MAX 4096
#define NAME_LABEL	"waybill-key-name/1"

static int
secret_make(const char *path, struct err *e)
{
	uint8_t secret[SECRET_MIN];
	int rc;

	random_bytes(secret, sizeof(secret));
	rc = file_write(path, 0600, bytes_of(secret, sizeof(secret)), e);
	explicit_bzero(secret, sizeof(secret));
	return rc;
}

int
store_seal_secret(const char *path, bool create, struct buf *ret, struct err *e)
{
	struct buf secret AUTO_SECRET = { 0 };
	struct stat st;

	if (create && stat(path, &st) == -1 && errno == ENOENT &&
	    secret_make(path, e) == -1)
		return err_prefix(e, "seal secret");
	if (file_read(path, SECRET_FILE_MAX, &secret, e) == -1)
		return err_prefix(e, "seal secret");
	if (stat(path, &st) == -1)
		return err_errno(e, ERR_LOCAL, "seal secret %s", path);
	if ((st.st_mode & 077) != 0)
		return err_set(e, ERR_CONF,
		    "seal secret %s: mode %04o: others may use it", path,
		    (unsigned)st.st_mode & 07777);
	if (secret.len < SECRET_MIN)
		return err_set(e, ERR_CONF,
		    "seal secret %s: %zu octets, at least %d", path, secret.len,
		    SECRET_MIN);
	buf_grow(ret, secret.len);
	memcpy(ret->data + ret->len - secret.len, secret.data, secret.len);
	return 0;
}

int
store_key_read(const char *path, uint8_t ret[AEAD_KEY_LEN], struct err *e)
{
	struct buf secret AUTO_SECRET = { 0 };

	if (store_seal_secret(path, false, &secret, e) == -1)
		return -1;
	digest_hkdf(buf_bytes(&secret), STORE_SEAL_LABEL, ret, AEAD_KEY_LEN);
	return 0;
}

void
store_key_name(const uint8_t key[AEAD_KEY_LEN], uint8_t ret[STORE_KEY_ID])
{
	digest_hkdf(bytes_of(key, AEAD_KEY_LEN), NAME_LABEL, ret, STORE_KEY_ID);
}

/* ---- the one that follows it ----------------------------------------- */

static char *
next_path(const char *seal)
{
	struct buf b AUTO_BUF = { 0 };

	buf_printf(&b, "%s.next", seal);
	return xstrdup(buf_cstr(&b));
}

int
store_secret_next(const char *seal, char **ret, struct err *e)
{
	AUTO(char) path = next_path(seal);

	if (secret_make(path, e) == -1)
		return err_prefix(e, "seal secret");
	*ret = STEAL(path);
	return 0;
}

void
store_try_next(struct store *s, const uint8_t name[STORE_KEY_ID])
{
	uint8_t key[AEAD_KEY_LEN], its[STORE_KEY_ID];
	AUTO(char) path = NULL;

	if (s->seal_path == NULL)
		return;
	path = next_path(s->seal_path);
	if (store_key_read(path, key, NULL) == -1)
		return;
	store_key_name(key, its);
	if (memcmp(its, name, STORE_KEY_ID) == 0) {
		memcpy(s->seal.key, key, AEAD_KEY_LEN);
		s->next_key = true;
	}
	explicit_bzero(key, sizeof(key));
}

int
store_settle_secret(const struct store *s, struct err *e)
{
	AUTO(char) path = NULL;
	AUTO(char) dir = NULL;
	char *slash;

	if (s->seal_path == NULL)
		return 0;
	path = next_path(s->seal_path);
	if (!s->next_key) {
		if (unlink(path) == -1 && errno != ENOENT)
			return err_errno(e, ERR_LOCAL, "%s", path);
		return 0;
	}
	if (rename(path, s->seal_path) == -1)
		return err_errno(e, ERR_LOCAL, "%s", path);
	dir = xstrdup(s->seal_path);
	if ((slash = strrchr(dir, '/')) == NULL)
		return file_sync_dir(".", e);
	slash[slash == dir] = '\0';
	return file_sync_dir(dir, e);
}
