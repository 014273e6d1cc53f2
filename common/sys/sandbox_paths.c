#include "common/sys/sandbox_int.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Rights by the version that brought them; older headers lack the newer. */
#define FS_REFER	(1ULL << 13) /* 2 */
#define FS_TRUNCATE	(1ULL << 14) /* 3 */
#define FS_IOCTL_DEV	(1ULL << 15) /* 5 */
#define NET_BIND_TCP	(1ULL << 0)  /* 4 */
#define NET_CONNECT_TCP (1ULL << 1)  /* 4 */

/* The first fields of the kernel's struct, up to version 4. */
struct rules_attr {
	uint64_t fs, net;
};

#define FS_FIRST (FS_REFER - 1) /* what version 1 knows */

static const uint64_t fs_since[] = { 0, FS_FIRST, FS_REFER, FS_TRUNCATE, 0,
	FS_IOCTL_DEV };

#define ON_FILES \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | \
	    FS_TRUNCATE)
#define READING (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITING \
	(READING | ON_FILES | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
	    LANDLOCK_ACCESS_FS_MAKE_REG)

static const uint64_t rights[] = {
	[SANDBOX_READ] = READING,
	[SANDBOX_REREAD] = READING,
	[SANDBOX_WRITE] = WRITING,
	[SANDBOX_REMOVE] = LANDLOCK_ACCESS_FS_REMOVE_FILE,
};

/* glibc's own, then where those who write resolv.conf keep the real one, then
 * the modules that nsswitch.conf may name. */
const char *const sandbox_resolver_files[] = { "/etc/resolv.conf", "/etc/hosts",
	"/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf",
	"/etc/services", "/etc/ld.so.cache", "/run/systemd/resolve",
	"/run/NetworkManager", "/run/resolvconf", "/lib", "/lib64", "/usr/lib",
	NULL };

int
sandbox_landlock(void)
{
	long v = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);

	return v > 0 ? (int)v : 0;
}

/* All that this kernel can forbid. */
static uint64_t
fs_handled(int landlock)
{
	uint64_t all = 0;

	for (size_t i = 1; i < NELEMS(fs_since) && i <= (size_t)landlock; i++)
		all |= fs_since[i];
	return all;
}

static int
rules_new(const struct sandbox *s, int landlock, struct err *e)
{
	struct rules_attr a = { .fs = fs_handled(landlock) };
	size_t size = landlock < 4 ? sizeof(a.fs) : sizeof(a);
	long fd;

	/* Nobody opens a port after the start, few connect. */
	a.net = NET_BIND_TCP;
	if ((s->may & SANDBOX_DIAL) == 0)
		a.net |= NET_CONNECT_TCP;
	fd = syscall(SYS_landlock_create_ruleset, &a, size, 0);
	if (fd == -1)
		return err_errno(e, ERR_LOCAL, "sandbox: landlock");
	return (int)fd;
}

static int
rules_add(int rules, int fd, uint64_t allowed, struct err *e, const char *path)
{
	struct landlock_path_beneath_attr a = { .allowed_access = allowed,
		.parent_fd = fd };
	struct stat st;

	if (fstat(fd, &st) == -1)
		return err_errno(e, ERR_LOCAL, "sandbox: %s", path);
	if (!S_ISDIR(st.st_mode))
		a.allowed_access &= ON_FILES;
	if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH,
		&a, 0) == -1)
		return err_errno(e, ERR_LOCAL, "sandbox: %s: landlock", path);
	return 0;
}

static int
rules_allow(int rules, uint64_t allowed, const char *path, struct err *e)
{
	AUTO_FD fd = open(path, O_PATH | O_CLOEXEC);

	if (fd == -1 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd == -1)
		return err_errno(e, ERR_LOCAL, "sandbox: %s", path);
	return rules_add(rules, fd, allowed, e, path);
}

static char *
folder_of(const char *path)
{
	char *s = xstrdup(path), *end = strrchr(s, '/');

	if (end == NULL) {
		free(s);
		return xstrdup(".");
	}
	end[end == s] = '\0';
	return s;
}

static int
allow_paths(const struct sandbox *s, int rules, uint64_t handled, struct err *e)
{
	for (size_t i = 0; i < s->n; i++) {
		enum sandbox_access access = s->paths[i].access;
		AUTO(char)
		path = access == SANDBOX_REMOVE || access == SANDBOX_REREAD
		    ? folder_of(s->paths[i].path)
		    : xstrdup(s->paths[i].path);

		if (rules_allow(rules, rights[access] & handled, path, e) == -1)
			return -1;
	}
	return 0;
}

static int
allow_list(int rules, const char *const *list, struct err *e)
{
	for (; *list != NULL; list++)
		if (rules_allow(rules, READING, *list, e) == -1)
			return -1;
	return 0;
}

int
sandbox_rules(const struct sandbox *s, int landlock, int *ret_fd, struct err *e)
{
	AUTO_FD rules = rules_new(s, landlock, e);

	if (rules == -1 || allow_paths(s, rules, fs_handled(landlock), e) == -1)
		return -1;
	if ((s->may & SANDBOX_RESOLVE) != 0 &&
	    allow_list(rules, sandbox_resolver_files, e) == -1)
		return -1;
	*ret_fd = fd_steal(&rules);
	return 0;
}
