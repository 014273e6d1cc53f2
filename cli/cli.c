#include "cli/cli.h"

#include <stdio.h>

bool
words_add(struct words *w, const char *word)
{
	if (w->n == WORDS_MAX)
		return false;
	w->v[w->n++] = word;
	return true;
}

int
cli_fail(const struct err *e)
{
	/* What was said before comes before it. */
	fflush(stdout);
	fprintf(stderr, "waybill: %s\n", e->msg);
	return err_exit_code(e->kind);
}

int
cli_flush(void)
{
	struct err e = ERR_INIT;

	if (fflush(stdout) == 0 && ferror(stdout) == 0)
		return 0;
	err_errno(&e, ERR_LOCAL, "standard output");
	return cli_fail(&e);
}

enum err_kind
cli_kind_of_exit(int code)
{
	static const enum err_kind first[] = { ERR_LOCAL, ERR_USAGE,
		ERR_WAITING, ERR_POLICY, ERR_PEER, ERR_TRUST, ERR_PERM,
		ERR_DAMAGE, ERR_CONF, ERR_PARTLY };
	size_t i;

	for (i = 0; i < NELEMS(first); i++)
		if (err_exit_code(first[i]) == code)
			return first[i];
	return ERR_LOCAL;
}
