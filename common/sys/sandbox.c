#include "common/sys/sandbox_int.h"

#include <assert.h>
#include <sys/prctl.h>
#include <sys/resource.h>

void
sandbox_allow(struct sandbox *s, enum sandbox_access access, const char *path)
{
	if (path == NULL)
		return;
	assert(s->n < SANDBOX_PATHS_MAX);
	s->paths[s->n].access = access;
	s->paths[s->n++].path = path;
}

/* Without the wish, or with all of it, nothing is to be told. */
static uint64_t
raise_files(uint64_t want)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == -1 || r.rlim_cur >= want)
		return 0;
	r.rlim_cur = r.rlim_max < want ? r.rlim_max : want;
	if (setrlimit(RLIMIT_NOFILE, &r) == -1)
		(void)getrlimit(RLIMIT_NOFILE, &r);
	return r.rlim_cur < want ? r.rlim_cur : 0;
}

int
sandbox_enter(
    const struct sandbox *s, struct sandbox_report *ret, struct err *e)
{
	struct sandbox_report r = { .files = raise_files(s->files) };
	AUTO_FD rules = -1;

	if (SANDBOX_SANITIZED) {
		*ret = r;
		return 0;
	}
	r.landlock = sandbox_landlock();
	r.calls = sandbox_count_calls(s);
	if (r.landlock > 0 && sandbox_rules(s, r.landlock, &rules, e) == -1)
		return -1;
	if (sandbox_threads(rules, e) == -1 || sandbox_filter(s, e) == -1)
		return -1;
	*ret = r;
	return 0;
}

/* LeakSanitizer looks at us from a process of its own. */
void
sandbox_hide_memory(void)
{
	struct rlimit none = { 0, 0 };

	(void)setrlimit(RLIMIT_CORE, &none);
	if (!SANDBOX_SANITIZED)
		(void)prctl(PR_SET_DUMPABLE, 0);
}

/* ---- in words ---------------------------------------------------------- */

static void
describe_paths(const struct sandbox *s, enum sandbox_access access,
    const char *title, struct buf *out)
{
	bool any = false;

	for (size_t i = 0; i < s->n; i++) {
		if (s->paths[i].access != access)
			continue;
		if (!any)
			buf_printf(out, ", %s:", title);
		any = true;
		buf_printf(out, " %s", s->paths[i].path);
	}
	if (access == SANDBOX_READ && (s->may & SANDBOX_RESOLVE) != 0)
		buf_printf(
		    out, "%s the resolver's files", any ? " and" : ", read:");
}

void
sandbox_describe(const struct sandbox *s, struct buf *out)
{
	int landlock = sandbox_landlock();

	buf_printf(out, "sandbox: ");
	if (SANDBOX_SANITIZED) {
		buf_printf(out, "none in a build with a sanitizer");
		return;
	}
	if (landlock > 0)
		buf_printf(out, "landlock ABI %d", landlock);
	else
		buf_printf(out, "no landlock in this kernel");
	buf_printf(out, ", seccomp %u calls", sandbox_count_calls(s));
	describe_paths(s, SANDBOX_READ, "read", out);
	describe_paths(s, SANDBOX_REREAD, "read beside", out);
	describe_paths(s, SANDBOX_WRITE, "write", out);
	describe_paths(s, SANDBOX_REMOVE, "remove", out);
}
