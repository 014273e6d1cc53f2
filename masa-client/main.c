/* waybill-masa-client: trades registrar voucher requests for vouchers and
 * audit logs. */
#include "common/queue/store.h"
#include "common/sys/daemon.h"
#include "masa-client/masa.h"

static int
print_config(struct masa *m, const char *path)
{
	struct buf out AUTO_BUF = { 0 };

	conf_print(path, masa_conf_table, &m->conf, &out);
	fputs(buf_cstr(&out), stdout);
	return 0;
}

static int
fail(struct masa *m, const struct err *e)
{
	masa_close(m);
	return daemon_fail(e);
}

int
main(int argc, char **argv)
{
	static struct masa m;
	struct sandbox box;
	struct daemon_opts opts = { 0 };
	struct err e = ERR_INIT;

	daemon_init(&opts, "waybill-masa-client",
	    "trades registrar voucher requests for vouchers and audit logs",
	    argc, argv);
	if (masa_configure(&m, opts.conf, &e) == -1)
		return fail(&m, &e);
	if (opts.print_config)
		return print_config(&m, opts.conf);
	if (masa_load(&m, &e) == -1)
		return fail(&m, &e);
	masa_conf_sandbox(&m.conf, &box);
	if (opts.check) {
		daemon_check_sandbox(&opts, &box);
		if (store_check_ends(m.conf.service.store.directory, &e) == -1)
			return fail(&m, &e);
		return daemon_check_ok("service %s, %zu vendors, %zu sites",
		    m.conf.service.name, m.conf.vendors.n,
		    sites_count(m.service.sites));
	}
	if (masa_open(&m, &e) == -1 || daemon_confine(&opts, &box, &e) == -1 ||
	    masa_run(&m, &e) == -1)
		return fail(&m, &e);
	masa_close(&m);
	return 0;
}
