/* waybill-factory: makes a vendor's certification authorities, the
 * certificates of its MASA, and the factory identities (IDevIDs) of its
 * devices, for labs, tests and the demo. */
#include <argp.h>
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "common/pki/issue.h"
#include "common/pki/sign.h"

#define VENDOR_DEFAULT "Example Vendor"
#define TEXT_MAX       64 /* RFC 5280 A.1: of O, CN, serialNumber */
#define URL_MAX	       200
/* RFC 5612: an enterprise number for examples; under it, a type of ours. */
#define HW_TYPE	       "1.3.6.1.4.1.32473.1.1"

struct opts {
	const char *vendor, *masa_url, *out, *key_type;
	const char *args[3]; /* the command first */
	unsigned n;
};

static bool
exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* A new file, whole and durable, or none: an existing one stays. */
static int
create(const char *path, mode_t mode, struct bytes data, struct err *e)
{
	struct buf name AUTO_BUF = { 0 };
	const char *tmp;
	int rc = 0;

	buf_printf(&name, "%s.%ld", path, (long)getpid());
	tmp = buf_cstr(&name);
	if (file_write(tmp, mode, data, e) == -1)
		return -1;
	if (link(tmp, path) == -1)
		rc = errno == EEXIST
		    ? err_set(e, ERR_POLICY, "%s: exists, and stays", path)
		    : err_errno(e, ERR_LOCAL, "%s: link", path);
	unlink(tmp);
	return rc;
}

/* What the subject's O says: the certificates are the folder's memory. */
static int
vendor_of(X509 *x, char ret[TEXT_MAX + 1], struct err *e)
{
	if (X509_NAME_get_text_by_NID(X509_get_subject_name(x),
		NID_organizationName, ret, TEXT_MAX + 1) <= 0)
		return err_set(e, ERR_INPUT,
		    "vendor's certificate: no organization in its subject");
	return 0;
}

static bool
is_graphic(const char *s)
{
	for (; *s != '\0'; s++)
		if (!isgraph((unsigned char)*s))
			return false;
	return true;
}

#define CERTIFIES "critical,keyCertSign,cRLSign"
#define SIGNS	  "critical,digitalSignature"

/* What lies in the folder: which file, whose name, what for. */
struct member {
	const char *file, *title;
	bool ca;
	int pathlen;
	const char *key_usage, *ext_key_usage;
	bool hosts; /* a server, with names */
};

static const struct member root_ca = { "vendor-root", "Root CA", true, 1,
	CERTIFIES, NULL, false };
static const struct member sub_ca = { "vendor-sub", "Device CA 1", true, 0,
	CERTIFIES, NULL, false };
static const struct member masa = { "masa", "MASA", false, -1, SIGNS,
	"serverAuth", true };
static const struct member masa_voucher = { "masa-voucher", "Vouchers", false,
	-1, SIGNS, NULL, false };

static X509_NAME *
member_name(const struct member *m, const char *vendor)
{
	struct buf cn AUTO_BUF = { 0 };

	buf_printf(&cn, "%s %s", vendor, m->title);
	return issue_name(buf_cstr(&cn), vendor, NULL);
}

/* Before the first key is made.  The sub-CA's name is the longest. */
static int
check_vendor(const char *vendor, struct err *e)
{
	AUTO(X509_NAME) name = member_name(&sub_ca, vendor);
	const char *p;

	for (p = vendor; *p != '\0'; p++)
		if (iscntrl((unsigned char)*p))
			return err_set(e, ERR_USAGE,
			    "--vendor: control characters in the name");
	if (name == NULL)
		return err_set(e, ERR_USAGE,
		    "--vendor %s: empty, too long, or not UTF-8", vendor);
	return 0;
}

/* The host of https://host[:port][/path]. */
static int
url_host(const char *url, char ret[64], struct err *e)
{
	const char *at = url + strlen("https://");
	size_t n = strcspn(at, "/?#");
	struct buf text AUTO_BUF = { 0 };
	char host[64], port[6];

	buf_add(&text, at, n);
	if (hostport_parse(buf_cstr(&text), host, port, NULL) == -1) {
		buf_add_str(&text, ":443");
		if (hostport_parse(buf_cstr(&text), host, port, e) == -1)
			return -1;
	}
	if (!issue_host_valid(host))
		return err_set(e, ERR_USAGE,
		    "%s: neither a DNS name nor an IP address", host);
	memcpy(ret, host, sizeof(host));
	return 0;
}

static int
check_url(const char *url, struct err *e)
{
	char host[64];

	if (!str_starts(url, "https://") || strlen(url) > URL_MAX ||
	    !is_graphic(url) || url_host(url, host, NULL) == -1)
		return err_set(e, ERR_USAGE,
		    "--masa-url %s: wanted https://host..., at most %d "
		    "characters",
		    url, URL_MAX);
	return 0;
}

/* RFC 8995 2.3.1: a PrintableString; less, so that it fits into file names. */
static int
check_serial(const char *serial, struct err *e)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz"
				      "0123456789.-";
	size_t n = strlen(serial);

	if (n == 0 || n > TEXT_MAX || serial[strspn(serial, allowed)] != '\0')
		return err_set(e, ERR_USAGE,
		    "serial number %s: wanted 1 to %d of A-Z a-z 0-9 . -",
		    serial, TEXT_MAX);
	return 0;
}

/* DIR/masa-url, the text and a newline; "" if the vendor has none. */
static int
load_url(const char *dir, char ret[URL_MAX + 1], struct err *e)
{
	AUTO(char) path = path_join(dir, "masa-url");
	struct buf text AUTO_BUF = { 0 };
	char *url;

	if (!exists(path)) {
		ret[0] = '\0';
		return 0;
	}
	if (file_read(path, URL_MAX + 1, &text, e) == -1)
		return -1;
	buf_cstr(&text);
	url = (char *)text.data;
	url[strcspn(url, "\n")] = '\0';
	if (check_url(url, NULL) == -1)
		return err_set(e, ERR_CONF, "%s: not an https URL", path);
	str_copy(ret, URL_MAX + 1, url);
	return 0;
}

/* Writes the URL down, or finds the same one there. */
static int
remember_url(const char *dir, const char *url, struct err *e)
{
	AUTO(char) path = path_join(dir, "masa-url");
	struct buf text AUTO_BUF = { 0 };
	char old[URL_MAX + 1];

	if (url == NULL)
		return 0;
	if (load_url(dir, old, e) == -1)
		return -1;
	if (strcmp(old, url) == 0)
		return 0;
	if (old[0] != '\0')
		return err_set(
		    e, ERR_POLICY, "%s: says %s, and stays", path, old);
	buf_printf(&text, "%s\n", url);
	return create(path, 0644, buf_bytes(&text), e);
}

static char *
member_path(const char *dir, const struct member *m, const char *suffix)
{
	struct buf name AUTO_BUF = { 0 };

	buf_printf(&name, "%s.%s", m->file, suffix);
	return path_join(dir, buf_cstr(&name));
}

static struct signer *
load_member(const char *dir, const struct member *m, struct err *e)
{
	AUTO(char) key_path = member_path(dir, m, "key");
	AUTO(char) cert_path = member_path(dir, m, "crt");

	return signer_load(key_path, cert_path, e);
}

static EVP_PKEY *
make_key(const char *path, struct err *e)
{
	struct buf pem AUTO_SECRET = { 0 };
	AUTO(EVP_PKEY) key = NULL;

	/* Left by an init that was cut short. */
	if (exists(path))
		return ossl_load_key(path, e);
	key = ossl_new_key_p256();
	ossl_key_pem(key, &pem);
	if (create(path, 0600, buf_bytes(&pem), e) == -1)
		return NULL;
	return STEAL(key);
}

/* Who certifies, for whom, reachable where. */
struct maker {
	const char *dir, *vendor, *san;
	const struct signer *by; /* NULL: self-signed */
};

static X509 *
certify(
    const struct maker *k, const struct member *m, EVP_PKEY *key, struct err *e)
{
	AUTO(X509_NAME) name = member_name(m, k->vendor);
	struct issue_spec spec = { .subject = name,
		.pubkey = key,
		.not_before = clock_now().time,
		.not_after = ISSUE_FOREVER,
		.ca = m->ca,
		.pathlen = m->pathlen,
		.key_usage = m->key_usage,
		.ext_key_usage = m->ext_key_usage,
		.san = m->hosts ? k->san : NULL };

	return issue_cert(&spec, k->by != NULL ? k->by->cert : NULL,
	    k->by != NULL ? k->by->key : key, e);
}

/* Makes what is missing of key and certificate; loads what is there. */
static struct signer *
make(const struct maker *k, const struct member *m, struct err *e)
{
	AUTO(char) key_path = member_path(k->dir, m, "key");
	AUTO(char) cert_path = member_path(k->dir, m, "crt");
	struct buf pem AUTO_BUF = { 0 };
	AUTO(EVP_PKEY) key = NULL;
	AUTO(X509) x = NULL;

	if (exists(cert_path))
		return load_member(k->dir, m, e);
	if ((key = make_key(key_path, e)) == NULL ||
	    (x = certify(k, m, key, e)) == NULL)
		return NULL;
	ossl_cert_pem(x, &pem);
	if (create(cert_path, 0644, buf_bytes(&pem), e) == -1)
		return NULL;
	return signer_new(key, x, NULL);
}

/* The names under which the MASA is reached: of this machine, and its URL's. */
static int
masa_san(const char *dir, struct buf *out, struct err *e)
{
	static const char *const local[] = { "DNS:localhost", "IP:127.0.0.1",
		"IP:::1" };
	struct buf own AUTO_BUF = { 0 };
	struct in6_addr a;
	char url[URL_MAX + 1], host[64];
	bool ip;
	size_t i;

	if (load_url(dir, url, e) == -1)
		return -1;
	buf_printf(out, "%s,%s,%s", local[0], local[1], local[2]);
	if (url[0] == '\0')
		return 0;
	if (url_host(url, host, e) == -1)
		return -1;
	ip = inet_pton(AF_INET, host, &a) == 1 ||
	    inet_pton(AF_INET6, host, &a) == 1;
	buf_printf(&own, "%s:%s", ip ? "IP" : "DNS", host);
	for (i = 0; i < NELEMS(local); i++)
		if (strcmp(buf_cstr(&own), local[i]) == 0)
			return 0;
	buf_printf(out, ",%s", buf_cstr(&own));
	return 0;
}

/* The root first and the voucher signer last: the last one's certificate
 * tells that all are there. */
static int
make_all(const char *dir, const char *vendor, struct err *e)
{
	struct buf san AUTO_BUF = { 0 };
	struct maker k = { .dir = dir, .vendor = vendor };
	const struct member *const below[] = { &sub_ca, &masa, &masa_voucher };
	AUTO(signer) root = NULL;
	size_t i;

	if (masa_san(dir, &san, e) == -1 ||
	    (root = make(&k, &root_ca, e)) == NULL)
		return -1;
	k.san = buf_cstr(&san);
	k.by = root;
	for (i = 0; i < NELEMS(below); i++) {
		AUTO(signer) one = make(&k, below[i], e);

		if (one == NULL)
			return -1;
	}
	return 0;
}

/* Who made the folder already; "" if nobody has. */
static int
made_for(const char *dir, char ret[TEXT_MAX + 1], struct err *e)
{
	AUTO(char) path = member_path(dir, &root_ca, "crt");
	AUTO(X509) x = NULL;

	if (!exists(path)) {
		ret[0] = '\0';
		return 0;
	}
	if ((x = ossl_load_cert(path, e)) == NULL)
		return -1;
	return vendor_of(x, ret, e);
}

static int
init(const struct opts *o, struct err *e)
{
	const char *dir = o->args[1];
	const char *vendor = o->vendor != NULL ? o->vendor : VENDOR_DEFAULT;
	AUTO(char) last = member_path(dir, &masa_voucher, "crt");
	char old[TEXT_MAX + 1];
	bool made = exists(last);

	if (check_vendor(vendor, e) == -1 ||
	    (o->masa_url != NULL && check_url(o->masa_url, e) == -1) ||
	    made_for(dir, old, e) == -1)
		return -1;
	if (old[0] != '\0' && o->vendor != NULL && strcmp(old, vendor) != 0)
		return err_set(e, ERR_POLICY,
		    "%s: made for vendor %s, and stays", dir, old);
	if (old[0] != '\0')
		vendor = old;
	if (file_mkdirs(dir, 0755, e) == -1 ||
	    remember_url(dir, o->masa_url, e) == -1)
		return -1;
	/* A made folder need not have the root's key any more. */
	if (!made && make_all(dir, vendor, e) == -1)
		return -1;
	printf("%s: %s for vendor %s\n", dir,
	    made ? "was already made" : "made", vendor);
	return 0;
}

static X509 *
certify_device(const struct signer *by, const char *serial, const char *url,
    EVP_PKEY *key, struct err *e)
{
	AUTO(X509_NAME) name = NULL;
	char vendor[TEXT_MAX + 1];
	/* IEEE 802.1AR 8: the factory identity does not end. */
	struct issue_spec spec = { .pubkey = key,
		.not_before = clock_now().time,
		.not_after = ISSUE_FOREVER,
		.key_usage = SIGNS,
		.masa_url = url[0] != '\0' ? url : NULL,
		.hw_type_oid = HW_TYPE,
		.hw_serial = bytes_of(serial, strlen(serial)) };

	if (vendor_of(by->cert, vendor, e) == -1)
		return NULL;
	if ((name = issue_name(serial, vendor, serial)) == NULL) {
		err_set(e, ERR_LOCAL, "device %s: no name for it", serial);
		return NULL;
	}
	spec.subject = name;
	return issue_cert(&spec, by->cert, by->key, e);
}

/* What a device gets, one file each. */
struct product {
	const char *suffix;
	mode_t mode;
	struct bytes data;
};

/* All of them, or none; what was there before stays. */
static int
deliver(const char *prefix, const struct product *p, size_t n, struct err *e)
{
	struct buf path AUTO_BUF = { 0 };

	if (n == 0)
		return 0;
	buf_printf(&path, "%s%s", prefix, p->suffix);
	if (create(buf_cstr(&path), p->mode, p->data, e) == -1)
		return -1;
	if (deliver(prefix, p + 1, n - 1, e) == 0)
		return 0;
	unlink(buf_cstr(&path));
	return -1;
}

static int
device(const struct opts *o, struct err *e)
{
	const char *dir = o->args[1], *serial = o->args[2];
	AUTO(signer) sub = NULL;
	AUTO(EVP_PKEY) key = NULL;
	AUTO(X509) x = NULL;
	struct buf secret AUTO_SECRET = { 0 };
	struct buf leaf AUTO_BUF = { 0 }, chain AUTO_BUF = { 0 };
	char url[URL_MAX + 1];

	if (check_serial(serial, e) == -1 || load_url(dir, url, e) == -1 ||
	    (sub = load_member(dir, &sub_ca, e)) == NULL)
		return -1;
	key = ossl_new_key(o->key_type != NULL ? o->key_type : "p256", e);
	if (key == NULL)
		return err_prefix(e, "--key-type");
	if ((x = certify_device(sub, serial, url, key, e)) == NULL)
		return -1;
	ossl_key_pem(key, &secret);
	ossl_cert_pem(x, &leaf);
	ossl_cert_pem(sub->cert, &chain);
	const struct product products[] = {
		{ ".key", 0600, buf_bytes(&secret) },
		{ ".chain.pem", 0644, buf_bytes(&chain) },
		{ ".crt", 0644, buf_bytes(&leaf) },
	};
	if (deliver(o->out, products, NELEMS(products), e) == -1)
		return -1;
	printf("%s.crt: device %s made\n", o->out, serial);
	return 0;
}

static const struct command {
	const char *name, *shape;
	unsigned args;
	bool vendor, out; /* takes --vendor and --masa-url; needs --out */
	int (*run)(const struct opts *o, struct err *e);
} commands[] = {
	{ "init", "DIR [--vendor NAME] [--masa-url URL]", 1, true, false,
	    init },
	{ "device", "DIR SERIAL --out PREFIX [--key-type KIND]", 2, false, true,
	    device },
};

static error_t
parse(int opt, char *arg, struct argp_state *state)
{
	struct opts *o = state->input;

	switch (opt) {
	case 'v':
		o->vendor = arg;
		return 0;
	case 'm':
		o->masa_url = arg;
		return 0;
	case 'o':
		o->out = arg;
		return 0;
	case 'k':
		o->key_type = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (o->n < NELEMS(o->args))
			o->args[o->n] = arg;
		o->n++;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int
run(const struct opts *o, struct err *e)
{
	const struct command *c;
	size_t i;

	for (i = 0; i < NELEMS(commands); i++) {
		c = &commands[i];
		if (o->n == 0 || strcmp(o->args[0], c->name) != 0)
			continue;
		if (o->n != c->args + 1 || (o->out != NULL) != c->out ||
		    (o->key_type != NULL && !c->out) ||
		    (!c->vendor && (o->vendor != NULL || o->masa_url != NULL)))
			return err_set(e, ERR_USAGE,
			    "usage: waybill-factory %s %s", c->name, c->shape);
		return c->run(o, e);
	}
	return err_set(e, ERR_USAGE,
	    "usage: waybill-factory init|device DIR ..., see --help");
}

const char *argp_program_version = "waybill-factory " WAYBILL_VERSION;

int
main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "vendor", 'v', "NAME", 0,
		    "init: the vendor (" VENDOR_DEFAULT ")", 0 },
		{ "masa-url", 'm', "URL", 0,
		    "init: where its devices' vouchers come from", 0 },
		{ "out", 'o', "PREFIX", 0,
		    "device: makes PREFIX.crt, PREFIX.key, PREFIX.chain.pem",
		    0 },
		{ "key-type", 'k', "KIND", 0,
		    "device: p256 (the default), p384, p521, rsa, ed25519 or "
		    "ed448",
		    0 },
		{ 0 },
	};
	static const struct argp argp = { options, parse,
		"init DIR\ndevice DIR SERIAL",
		"Makes a vendor's authorities, and the factory identities of "
		"its devices." };
	struct opts o = { 0 };
	struct err e = ERR_INIT;

	argp_err_exit_status = err_exit_code(ERR_USAGE);
	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return err_exit_code(ERR_USAGE);
	if (run(&o, &e) == -1) {
		fprintf(stderr, "waybill-factory: %s\n", e.msg);
		return err_exit_code(e.kind);
	}
	return 0;
}
