/* waybill-forwarder: moves copies of entries out and answers in, over the
 * link. */
#include <stdio.h>

#include "common/sys/daemon.h"
#include "forwarder/forwarder.h"

static int
print_config(struct forwarder *f, const char *path)
{
	struct buf out AUTO_BUF = { 0 };

	conf_print(path, fwd_conf_table, &f->conf, &out);
	fputs(buf_cstr(&out), stdout);
	return fflush(stdout) == 0 ? 0 : err_exit_code(ERR_LOCAL);
}

static int
check(const struct forwarder *f, const struct daemon_opts *opts)
{
	daemon_check_sandbox(opts, &fwd_sandbox);
	return daemon_check_ok(
	    "site %s, %zu services", f->conf.site, f->conf.services.n);
}

int
main(int argc, char **argv)
{
	struct forwarder f = { 0 };
	struct daemon_opts opts;
	struct err e = ERR_INIT;
	int rc = 0;

	daemon_init(&opts, "waybill-forwarder",
	    "moves copies of entries out and answers in, over the link", argc,
	    argv);
	if (forwarder_configure(&f, opts.conf, &e) == -1)
		rc = daemon_fail(&e);
	else if (opts.print_config)
		rc = print_config(&f, opts.conf);
	else if (forwarder_identify(&f, &e) == -1)
		rc = daemon_fail(&e);
	else if (opts.check)
		rc = check(&f, &opts);
	else if (forwarder_open(&f, &e) == -1 ||
	    daemon_confine(&opts, &fwd_sandbox, &e) == -1 ||
	    forwarder_run(&f, &e) == -1)
		rc = daemon_fail(&e);
	forwarder_close(&f);
	return rc;
}
