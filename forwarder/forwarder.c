#include "forwarder/lane.h"

#include "common/base/log.h"
#include "common/sys/daemon.h"

int
forwarder_open(struct forwarder *f, struct err *e)
{
	const struct fwd_service *v = f->conf.services.v;

	if ((f->loop = loop_new(e)) == NULL)
		return -1;
	f->lanes = xcalloc(f->conf.services.n, sizeof(struct lane *));
	for (; f->n < f->conf.services.n; f->n++)
		if (lane_open(
			f->loop, &f->conf, &v[f->n], &f->lanes[f->n], e) == -1)
			return -1;
	return 0;
}

int
forwarder_run(struct forwarder *f, struct err *e)
{
	if (daemon_ready(f->loop, e) == -1)
		return -1;
	log_event(LOG_INFO, "forwarder.ready", "site", "%s", f->conf.site,
	    "services", "%zu", f->n, NULL);
	loop_run(f->loop);
	return 0;
}

void
forwarder_close(struct forwarder *f)
{
	while (f->n > 0)
		lane_close(f->lanes[--f->n]);
	free(f->lanes);
	/* What nng's threads told last holds the wires. */
	if (f->loop != NULL)
		(void)loop_drain(f->loop);
	loop_free(f->loop);
	conf_free(fwd_conf_table, &f->conf);
	*f = (struct forwarder){ 0 };
}
