/* waybill-registrar: admits, co-signs, stores, and answers now, "waiting", or
 * later. */
#include "common/pki/ossl_decoders.h"
#include "common/sys/daemon.h"
#include "registrar/registrar.h"

static int
print_config(const struct registrar *r, const char *path)
{
	struct buf out AUTO_BUF = { 0 };

	conf_print(path, reg_conf_table, (void *)&r->conf, &out);
	fputs(buf_cstr(&out), stdout);
	return 0;
}

int
main(int argc, char **argv)
{
	static struct registrar r;
	struct sandbox box;
	struct daemon_opts opts = { 0 };
	struct err e = ERR_INIT;

	daemon_init(&opts, "waybill-registrar",
	    "admits, co-signs, stores, and answers now, waiting, or later",
	    argc, argv);
	ossl_decoders_few();
	if (registrar_configure(&r, opts.conf, &e) == -1)
		return daemon_fail(&e);
	if (opts.print_config)
		return print_config(&r, opts.conf);
	reg_conf_sandbox(&r.conf, &box);
	if (opts.check) {
		daemon_check_sandbox(&opts, &box);
		if (store_check_ends(r.conf.store.directory, &e) == -1)
			return daemon_fail(&e);
		return daemon_check_ok("site %s, %zu vendors, %zu services",
		    r.conf.site, r.conf.vendors.n, r.n_services);
	}
	if (registrar_open(&r, &e) == -1 ||
	    daemon_confine(&opts, &box, &e) == -1 ||
	    registrar_run(&r, &e) == -1) {
		registrar_close(&r);
		return daemon_fail(&e);
	}
	registrar_close(&r);
	return 0;
}
