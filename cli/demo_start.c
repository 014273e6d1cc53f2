/* The demo's first steps: keys, configuration, daemons. */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/demo_run.h"
#include "cli/init.h"
#include "cli/programs.h"
#include "common/base/file.h"
#include "common/sys/control.h"

#define SITE	 "demo"
#define VENDOR	 "demo"
#define LINK_URL "tls+tcp://127.0.0.1:%u"

/* ---- whether they are there ------------------------------------------ */

static int
control_there(const struct demo *d, const char *name)
{
	AUTO(char) socket = folder_path(&d->folder, name, "");
	AUTO(json_t) j = NULL;
	int status = 0;

	j = control_call(socket, "GET", "/v1/status", NULL, &status, NULL);
	return j != NULL && status == 200 ? 1 : 0;
}

static int
relay_there(struct demo *d, struct err *e)
{
	bool up;

	(void)e;
	return demo_relay_call(&d->folder, "status", &up, NULL) == 0 ? 1 : 0;
}

static int
ra_there(struct demo *d, struct err *e)
{
	(void)e;
	return control_there(d, DEMO_RA_CONTROL);
}

static int
masa_client_there(struct demo *d, struct err *e)
{
	(void)e;
	return control_there(d, DEMO_MASA_CONTROL);
}

int
demo_registrar_there(struct demo *d, struct err *e)
{
	(void)e;
	return control_there(d, DEMO_SITE_CONTROL);
}

static int
port_there(unsigned port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	AUTO_FD fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd != -1 && connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0
	    ? 1
	    : 0;
}

static int
proxy_there(struct demo *d, struct err *e)
{
	(void)e;
	return port_there(d->ports.proxy);
}

static int
masa_there(struct demo *d, struct err *e)
{
	(void)e;
	return port_there(d->ports.masa);
}

/* ---- steps: keys and daemons ----------------------------------------- */

int
demo_find_programs(struct err *e)
{
	size_t i;

	for (i = 0; i < DEMO_DAEMON__MAX; i++) {
		const char *name = demo_programs[i].program;
		AUTO(char) path =
		    name != NULL ? program_find(name, e) : program_self(e);

		if (path == NULL)
			return -1;
	}
	return 0;
}

static void
masa_url(const struct demo *d, char ret[64])
{
	snprintf(ret, 64, "https://127.0.0.1:%u", d->ports.masa);
}

static int
make_vendor(struct demo *d, struct err *e)
{
	AUTO(char) factory = program_find("waybill-factory", e);
	AUTO(char) dir = folder_path(&d->folder, "vendor", "");
	AUTO(char) log = folder_path(&d->folder, "factory", ".log");
	char url[64];

	if (factory == NULL)
		return -1;
	masa_url(d, url);
	if (program_run((char *[]){ factory, (char *)(intptr_t) "init", dir,
			    (char *)(intptr_t) "--vendor",
			    (char *)(intptr_t) "Demo Vendor",
			    (char *)(intptr_t) "--masa-url", url, NULL },
		log, e) == -1)
		return err_prefix(e, "%s", log);
	if (demo_masa_set(&d->folder, NULL, 0, e) == -1)
		return -1;
	return demo_device(&d->folder, DEMO_FIRST_DEVICE, e);
}

static const struct words loopback = { { "127.0.0.1", "::1", "localhost" }, 3 };

/* vendor: "demo=FILE". */
static int
make_ra(struct demo *d, const char *vendor, struct err *e)
{
	AUTO(char) dir = folder_path(&d->folder, "ra", "");
	char listen[64], address[64], masa_listen[64], masa_address[64];
	char url[64], vendor_url[80];
	struct ra_options o = RA_OPTIONS_INIT;

	masa_url(d, url);
	snprintf(vendor_url, sizeof(vendor_url), VENDOR "=%s", url);
	snprintf(listen, sizeof(listen), LINK_URL, d->ports.ra);
	snprintf(address, sizeof(address), LINK_URL, d->ports.relay);
	snprintf(
	    masa_listen, sizeof(masa_listen), LINK_URL, d->ports.masa_client);
	snprintf(
	    masa_address, sizeof(masa_address), LINK_URL, d->ports.masa_relay);
	o.dir = dir;
	o.address = address;
	o.masa_address = masa_address;
	o.masa_retry_max = "2s";
	o.map_size = "64MiB";
	o.hosts = loopback;
	o.quiet = true;
	words_add(&o.listens, listen);
	words_add(&o.masa_listens, masa_listen);
	words_add(&o.vendors, vendor);
	words_add(&o.vendor_tls, vendor);
	/* Its devices say so too, but a voucher may be asked for before one of
	 * them was seen. */
	words_add(&o.vendor_urls, vendor_url);
	words_add(&o.vendor_private, VENDOR);
	return init_ra(&o, e);
}

static int
make_site(struct demo *d, const char *vendor, struct err *e)
{
	AUTO(char) dir = folder_path(&d->folder, "site", "");
	char listen[32], proxy[32];
	struct site_options o = { .dir = dir,
		.name = SITE,
		.map_size = "64MiB",
		.hold = "3s",
		.check_after = "1s",
		.retry_after = "1s",
		.wait_max = "2s",
		.reconnect_max = "1s",
		.hosts = loopback,
		.quiet = true };

	snprintf(listen, sizeof(listen), "127.0.0.1:%u", d->ports.registrar);
	snprintf(proxy, sizeof(proxy), "127.0.0.1:%u", d->ports.proxy);
	words_add(&o.listens, listen);
	words_add(&o.proxy_listens, proxy);
	words_add(&o.vendors, vendor);
	return init_site(&o, e);
}

static int
pair(struct demo *d, struct err *e)
{
	AUTO(char) ra = folder_path(&d->folder, "ra", "");
	AUTO(char) site = folder_path(&d->folder, "site", "");
	AUTO(char) request = path_join(site, SITE ".request");
	AUTO(char) pairing = path_join(site, SITE ".pairing");
	struct ra_options o = { .dir = ra, .quiet = true };

	if (init_ra_pair(&o, request, NULL, e) == -1)
		return -1;
	return init_site_pair(site, pairing, true, e);
}

int
demo_step_keys(struct demo *d, struct err *e)
{
	AUTO(char) root = folder_path(&d->folder, DEMO_VENDOR_ROOT, "");
	struct buf vendor AUTO_BUF = { 0 };

	buf_printf(&vendor, VENDOR "=%s", root);
	if (demo_ports_pick(&d->ports, e) == -1 || make_vendor(d, e) == -1 ||
	    make_ra(d, buf_cstr(&vendor), e) == -1 ||
	    make_site(d, buf_cstr(&vendor), e) == -1 || pair(d, e) == -1)
		return -1;
	demo_say(d,
	    "made       vendor and its MASA, device %s, domain CA, keys of RA, "
	    "masa-client and site",
	    DEMO_FIRST_DEVICE);
	return 0;
}

int
demo_step_start(struct demo *d, struct err *e)
{
	static const struct {
		demo_test test;
		const char *what, *log;
	} await[] = {
		{ relay_there, "relay", "relay.log" },
		{ masa_there, "MASA", "masa.log" },
		{ ra_there, "RA", "ra.log" },
		{ masa_client_there, "masa-client", "masa-client.log" },
		{ demo_registrar_there, "registrar", "registrar.log" },
		{ proxy_there, "proxy", "proxy.log" },
	};
	size_t i;

	if (demo_supervisor_start(
		&d->folder, &d->ports, &d->supervisor, &d->leash, e) == -1)
		return -1;
	for (i = 0; i < NELEMS(await); i++)
		if (demo_await(d, await[i].test, DEMO_START_MS, await[i].what,
			await[i].log, e) == -1)
			return -1;
	demo_say(d,
	    "started    proxy :%u, registrar :%u, forwarder, RA :%u, "
	    "masa-client, MASA :%u on 127.0.0.1; link DOWN",
	    d->ports.proxy, d->ports.registrar, d->ports.ra, d->ports.masa);
	return 0;
}
