/* waybill-proxy: relays bytes it does not understand to the one registrar it
 * knows. */
#include <sys/resource.h>
#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/sys/conf.h"
#include "common/sys/daemon.h"
#include "proxy/listener.h"

struct proxy_conf {
	struct conf_strs listen;
	char *registrar;
	uint64_t max_conns, max_per_source, idle_ms, total_ms, connect_ms;
};

struct proxy {
	struct proxy_conf conf;
	struct address registrar;
	struct loop *loop;
	struct circuits *circuits;
	struct listener **listeners;
	size_t n_listeners;
};

#define DAY 86400000

static int
check_listen(const char *value, struct err *e)
{
	struct address a;

	return address_parse(value, false, &a, e);
}

#define F(field) offsetof(struct proxy_conf, field)
static const struct conf_item items[] = {
	{ "listen", CONF_STRS, F(listen), NULL, 1, 32, .check = check_listen,
	    .help = "addresses and ports where pledges connect" },
	{ "registrar", CONF_STR, F(registrar), NULL,
	    .check = conf_check_hostport,
	    .help = "host and port of the registrar, looked up at start" },
	{ "max-connections", CONF_INT, F(max_conns), "1024", 1, 16384,
	    .help = "connections in all" },
	{ "max-per-source", CONF_INT, F(max_per_source), "16", 1, 16384,
	    .help = "connections of one source address" },
	{ "idle-timeout", CONF_DUR, F(idle_ms), "60s", 100, DAY,
	    .help = "end of a connection without an octet either way" },
	{ "total-timeout", CONF_DUR, F(total_ms), "10m", 100, DAY,
	    .help = "end of any connection" },
	{ "connect-timeout", CONF_DUR, F(connect_ms), "10s", 100, DAY,
	    .help = "how long the registrar may take to accept" },
	{ 0 },
};
#undef F

static int
proxy_configure(struct proxy *p, const char *path, struct err *e)
{
	return conf_load(path, items, &p->conf, e);
}

static int
proxy_resolve(struct proxy *p, struct err *e)
{
	return address_parse(p->conf.registrar, true, &p->registrar, e);
}

static int
proxy_print(struct proxy *p, const char *path)
{
	struct buf b AUTO_BUF = { 0 };

	conf_print(path, items, &p->conf, &b);
	fputs(buf_cstr(&b), stdout);
	return fflush(stdout) == 0 ? 0 : err_exit_code(ERR_LOCAL);
}

/* It opens no file and makes no thread: the registrar's name was looked up. */
static const struct sandbox box = { .may = SANDBOX_SERVE | SANDBOX_DIAL };

static int
proxy_check(const struct proxy *p, const struct daemon_opts *o)
{
	char host[ADDRESS_TEXT];

	daemon_check_sandbox(o, &box);
	return daemon_check_ok("%zu addresses, relayed to %s port %u",
	    p->conf.listen.n, address_host(host, &p->registrar),
	    address_port(&p->registrar));
}

/* Two descriptors a connection; the usual limit of 1024 is soft. */
static int
proxy_raise_limit(const struct proxy *p, struct err *e)
{
	rlim_t need = 2 * p->conf.max_conns + 64;
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == -1)
		return err_errno(e, ERR_LOCAL, "RLIMIT_NOFILE");
	if (r.rlim_cur >= need)
		return 0;
	if (r.rlim_max < need)
		return err_set(e, ERR_CONF,
		    "max-connections %llu: needs %llu descriptors, "
		    "RLIMIT_NOFILE allows %llu",
		    (unsigned long long)p->conf.max_conns,
		    (unsigned long long)need, (unsigned long long)r.rlim_max);
	r.rlim_cur = need;
	if (setrlimit(RLIMIT_NOFILE, &r) == -1)
		return err_errno(e, ERR_LOCAL, "RLIMIT_NOFILE");
	return 0;
}

static int
proxy_listen(struct proxy *p, struct err *e)
{
	const struct conf_strs *on = &p->conf.listen;
	struct listener *n;

	p->listeners = xcalloc(on->n, sizeof(*p->listeners));
	while (p->n_listeners < on->n) {
		n = listener_open(
		    p->loop, on->v[p->n_listeners], p->circuits, e);
		if (n == NULL)
			return -1;
		p->listeners[p->n_listeners++] = n;
	}
	return 0;
}

static int
proxy_open(struct proxy *p, struct err *e)
{
	struct circuit_conf c = { p->registrar, (unsigned)p->conf.max_conns,
		(unsigned)p->conf.max_per_source, p->conf.idle_ms,
		p->conf.total_ms, p->conf.connect_ms };

	if (proxy_raise_limit(p, e) == -1 || (p->loop = loop_new(e)) == NULL)
		return -1;
	p->circuits = circuits_new(p->loop, &c);
	return proxy_listen(p, e);
}

static int
proxy_run(struct proxy *p, struct err *e)
{
	if (daemon_ready(p->loop, e) == -1)
		return -1;
	loop_run(p->loop);
	return 0;
}

static void
proxy_close(struct proxy *p)
{
	while (p->n_listeners > 0)
		listener_close(p->listeners[--p->n_listeners]);
	free(p->listeners);
	circuits_free(p->circuits);
	loop_free(p->loop);
	conf_free(items, &p->conf);
}

int
main(int argc, char **argv)
{
	struct proxy p __attribute__((cleanup(proxy_close))) = { 0 };
	struct err e = ERR_INIT;
	struct daemon_opts o;

	daemon_init(&o, "waybill-proxy",
	    "Relays bytes it does not understand to the one registrar it "
	    "knows.",
	    argc, argv);
	if (proxy_configure(&p, o.conf, &e) == -1)
		return daemon_fail(&e);
	if (o.print_config)
		return proxy_print(&p, o.conf);
	if (proxy_resolve(&p, &e) == -1)
		return daemon_fail(&e);
	if (o.check)
		return proxy_check(&p, &o);
	if (proxy_open(&p, &e) == -1 || daemon_confine(&o, &box, &e) == -1 ||
	    proxy_run(&p, &e) == -1)
		return daemon_fail(&e);
	return 0;
}
