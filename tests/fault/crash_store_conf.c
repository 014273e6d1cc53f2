/* How both the script and the judge open the bare store. */
#include "common/queue/store.h"
#include "tests/fault/crash_script.h"

static const char *const databases[] = { "row", "mirror", NULL };

/* Nothing changes but the version. */
static int
keep(unsigned db, struct bytes key, struct bytes value, struct buf *ret,
    struct err *e)
{
	(void)db, (void)key, (void)e;
	buf_add(ret, value.p, value.len);
	return 1;
}

static const struct store_upgrade upgrades[] = { { 1, keep, NULL }, { 0 } };

void
script_store_conf(const char *dir, const char *seal, struct store_conf *ret)
{
	*ret = (struct store_conf){ .dir = dir,
		.databases = databases,
		.map_size = CRASH_MAP,
		.seal = seal,
		.version = 2,
		.upgrades = upgrades };
}
