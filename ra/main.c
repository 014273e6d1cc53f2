/* waybill-ra: judges each entry once, has it issued once, keeps the answer. */
#include "common/queue/store.h"
#include "common/sys/daemon.h"
#include "ra/ra.h"

static int
print_config(struct ra *r, const char *path)
{
	struct buf out AUTO_BUF = { 0 };

	conf_print(path, ra_conf_table, &r->conf, &out);
	fputs(buf_cstr(&out), stdout);
	return 0;
}

static int
fail(struct ra *r, const struct err *e)
{
	ra_close(r);
	return daemon_fail(e);
}

int
main(int argc, char **argv)
{
	static struct ra r;
	struct sandbox box;
	struct daemon_opts opts = { 0 };
	struct err e = ERR_INIT;

	daemon_init(&opts, "waybill-ra",
	    "judges each entry once, has it issued once, keeps the answer",
	    argc, argv);
	if (ra_configure(&r, opts.conf, &e) == -1)
		return fail(&r, &e);
	if (opts.print_config)
		return print_config(&r, opts.conf);
	/* The CA child is forked while there is nothing to share with it. */
	if (ra_start_ca(&r, opts.no_sandbox, &e) == -1 || ra_load(&r, &e) == -1)
		return fail(&r, &e);
	ra_conf_sandbox(&r.conf, &box);
	if (opts.check) {
		daemon_check_sandbox(&opts, &box);
		ca_stop(r.ca);
		if (store_check_ends(r.conf.service.store.directory, &e) == -1)
			return daemon_fail(&e);
		return daemon_check_ok("service %s, %zu vendors, %zu sites",
		    r.conf.service.name, r.conf.vendors.n,
		    sites_count(r.service.sites));
	}
	if (ra_open(&r, &e) == -1 || daemon_confine(&opts, &box, &e) == -1 ||
	    ra_run(&r, &e) == -1)
		return fail(&r, &e);
	ra_close(&r);
	return 0;
}
