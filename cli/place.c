#include "cli/place.h"

#include <string.h>

#include "common/base/str.h"
#include "common/queue/outbox.h"
#include "common/service/ledger.h"
#include "common/sys/conf.h"

#define MAP_DEFAULT "1GiB"

static const struct program {
	const char *name, *conf;
	void (*store)(struct store_conf *ret);
	bool outbox;
} programs[] = {
	{ "registrar", ASK_CONF_DEFAULT, outbox_store_conf, true },
	{ "ra", "/etc/waybill/ra.yaml", ledger_store_conf, false },
	{ "masa-client", "/etc/waybill/masa-client.yaml", ledger_store_conf,
	    false },
};

static const struct program *
program_of(const struct place_args *a)
{
	for (size_t i = 0; i < NELEMS(programs); i++)
		if (a->program != NULL &&
		    strcmp(programs[i].name, a->program) == 0)
			return &programs[i];
	return &programs[0];
}

error_t
place_option(int key, char *arg, struct argp_state *state, struct place_args *a)
{
	switch (key) {
	case PLACE_OPT_PROGRAM:
		a->program = arg;
		if (strcmp(program_of(a)->name, arg) != 0)
			argp_error(state,
			    "--program: '%s' is not one of registrar, ra, "
			    "masa-client",
			    arg);
		return 0;
	case PLACE_OPT_STORE:
		a->store = arg;
		return 0;
	case PLACE_OPT_SEAL:
		a->seal = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const char *
place_config(const struct place_args *a, const struct ask_args *ask)
{
	return ask->conf != NULL ? ask->conf : program_of(a)->conf;
}

char *
place_socket(
    const struct place_args *a, const struct ask_args *ask, struct err *e)
{
	struct ask_args named = *ask;

	named.conf = place_config(a, ask);
	return ask_socket(&named, e);
}

/* What is asked for, else what stands in the configuration. */
static char *
setting(const char *asked, const char *conf, const char *key, struct err *e)
{
	return asked != NULL ? xstrdup(asked)
			     : conf_value(conf, "store", key, e);
}

/* It may be left out there. */
static int
map_size(const char *conf, uint64_t *ret, struct err *e)
{
	AUTO(char) text = conf_value(conf, "store", "map-size", NULL);

	return size_parse(text != NULL ? text : MAP_DEFAULT, ret, e);
}

int
place_find(const struct place_args *a, const struct ask_args *ask,
    struct place *ret, struct err *e)
{
	const char *conf = place_config(a, ask);
	const struct program *program = program_of(a);
	struct place p AUTO_PLACE = { .outbox = program->outbox };

	program->store(&p.conf);
	if ((p.dir = setting(a->store, conf, "directory", e)) == NULL ||
	    (p.seal = setting(a->seal, conf, "seal", e)) == NULL ||
	    map_size(conf, &p.conf.map_size, e) == -1)
		return -1;
	p.conf.dir = p.dir;
	p.conf.seal = p.seal;
	while (strcmp(p.conf.databases[p.audit], "audit") != 0)
		p.audit++;
	*ret = p;
	p = (struct place){ .dir = NULL };
	return 0;
}

void
place_done(struct place *p)
{
	free(p->dir);
	free(p->seal);
}
