/*
 * Every limit on what strangers, peers and files may hand in, in one table.
 * The modules take their constants from it, `waybill limits` prints it, and
 * ARCHITECTURE.md holds what is printed.  Defaults of a configuration stand in
 * it as well, named so; its key has the last word.
 */
#ifndef WAYBILL_BASE_LIMITS_H
#define WAYBILL_BASE_LIMITS_H

#include <stddef.h>

/* LIMIT_<first> is the value; then its name, the value, its unit, what happens
 * to what is beyond it, where. */
/* clang-format off */
#define LIMITS(X) \
	X(TLS_HANDSHAKE, "tls.handshake", 10000, "ms", \
	    "closed", "common/sys/https") \
	X(TLS_CERTIFICATES, "tls.certificates", 32 * 1024, "octets", \
	    "handshake fails", "common/sys/https_tls") \
	X(HTTP_HEADERS, "http.headers", 8192, "octets", \
	    "400", "common/sys/https") \
	X(HTTP_HEADERS_TIME, "http.headers-time", 15000, "ms", \
	    "closed", "common/sys/https") \
	X(HTTP_BODY, "http.body", 64 * 1024, "octets", \
	    "413", "registrar/front") \
	X(HTTP_BODY_TIME, "http.body-time", 30000, "ms", \
	    "closed", "common/sys/https") \
	X(HTTP_LINGER, "http.linger", 1500, "ms of a body that is too long", \
	    "413, closed", "common/sys/https_tls") \
	X(HTTP_IDLE, "http.idle", 30000, "ms", \
	    "closed", "common/sys/https") \
	X(HTTP_AHEAD, "http.ahead", 64 * 1024, "octets", \
	    "not read until the answer is out", "common/sys/https_tls") \
	X(HTTP_CONNECTIONS, "http.connections", 4096, "connections", \
	    "closed; default of limits.connections", "registrar/front") \
	X(DEVICE_CONNECTIONS, "device.connections", 4, "connections", \
	    "closed; default of limits.device-connections", "registrar/caps") \
	X(DEVICE_REQUESTS, "device.requests", 10, "a second", \
	    "429; default of limits.device-requests", "registrar/caps") \
	X(DEVICE_BURST, "device.burst", 2, "seconds' worth of requests", \
	    "429", "registrar/caps") \
	X(DEVICE_HELD, "device.held", 1, "requests held open", \
	    "not held; default of limits.device-held", "registrar/caps") \
	X(DEVICE_OPEN, "device.open", 4, "entries without an end", \
	    "503; default of limits.device-open", \
	    "common/queue/outbox_accept") \
	X(DEVICE_HOUR, "device.hour", 16, "new requests in an hour", \
	    "503; default of limits.device-hour", \
	    "common/queue/outbox_accept") \
	X(VENDOR_OPEN, "vendor.open", 10000, "entries without an end", \
	    "503; default of limits.vendor-open", \
	    "common/queue/outbox_accept") \
	X(SITE_OPEN, "site.open", 100000, "entries without an end", \
	    "503; default of limits.open", "common/queue/outbox_accept") \
	X(NAMELESS_REQUESTS, "nameless.requests", 64, "a second", \
	    "429; default of limits.nameless-requests", "registrar/caps") \
	X(PROXY_CONNECTIONS, "proxy.connections", 1024, "connections", \
	    "closed; default of max-connections", "proxy/circuit") \
	X(PROXY_SOURCE, "proxy.source", 16, "connections of one address", \
	    "closed; default of max-per-source", "proxy/circuit") \
	X(PROXY_IDLE, "proxy.idle", 60000, "ms", \
	    "closed; default of idle-timeout", "proxy/circuit") \
	X(PROXY_TOTAL, "proxy.total", 600000, "ms", \
	    "closed; default of total-timeout", "proxy/circuit") \
	X(CMP_MESSAGE, "cmp.message", 64 * 1024, "octets", \
	    "400", "common/pki/cmp_read") \
	X(CMP_NESTED, "cmp.nested", 96 * 1024, "octets", \
	    "400", "common/pki/cmp_read") \
	X(CMP_HEADER, "cmp.header", 8192, "octets", \
	    "400", "common/pki/cmp_read") \
	X(CMP_EXTRA, "cmp.extra-certs", 10, "certificates", \
	    "badDataFormat", "common/pki/cmp_read") \
	X(CMP_NONCE, "cmp.nonce", 256, "octets", \
	    "badDataFormat", "common/pki/cmp_read") \
	X(CMP_NONCE_LEAST, "cmp.nonce-least", 16, "octets", \
	    "badSenderNonce if shorter", "common/pki/cmp_verify") \
	X(CMP_PROFILE, "cmp.profile", 64, "octets", \
	    "badDataFormat", "common/pki/cmp_read") \
	X(CMP_INFO, "cmp.general-info", 32, "items", \
	    "badDataFormat", "common/pki/cmp_read") \
	X(CMP_PROTECTION, "cmp.protection", 1024, "octets", \
	    "badDataFormat", "common/pki/cmp_read") \
	X(CMP_KEY, "cmp.public-key", 1024, "octets", \
	    "badAlg", "common/pki/cmp_request") \
	X(CMP_TEXT, "cmp.text", 199, "octets", \
	    "cut", "common/pki/cmp_answer") \
	X(DER_DEPTH, "der.depth", 32, "levels", \
	    "refused", "common/pki/cmp_der") \
	X(CMS_MESSAGE, "cms.message", 64 * 1024, "octets", \
	    "400", "common/pki/cms") \
	X(CMS_CERTIFICATES, "cms.certificates", 10, "certificates", \
	    "400", "common/pki/cms") \
	X(VOUCHER_JSON, "voucher.json", 48 * 1024, "octets", \
	    "400", "common/pki/vch_json") \
	X(VOUCHER_NONCE, "voucher.nonce", 64, "octets", \
	    "400", "common/pki/vch_json") \
	X(VOUCHER_SERIAL, "voucher.serial-number", 128, "octets", \
	    "400", "common/pki/vch_json") \
	X(VOUCHER_EVENTS, "voucher.log-events", 256, "events of an audit log", \
	    "the log is not read; voucher withheld", "common/pki/vch_log") \
	X(JSON_DEPTH, "json.depth", 32, "levels", \
	    "refused", "common/base/json") \
	X(CBOR_DEPTH, "cbor.depth", 8, "levels", \
	    "refused", "common/base/cbor") \
	X(CHAIN_DEPTH, "chain.depth", 5, "authorities below the anchor", \
	    "signerNotTrusted", "common/pki/trust") \
	X(CHAIN_GIVEN, "chain.given", 10, "certificates to build it from", \
	    "signerNotTrusted", "common/pki/trust") \
	X(CHAIN_REMEMBERED, "chain.remembered", 60, "seconds", \
	    "verified anew", "common/pki/trust_memo") \
	X(RSA_LEAST, "key.rsa-least", 2048, "bits", \
	    "badAlg if shorter; handshake fails", "common/pki/sign") \
	X(RSA_BITS, "key.rsa", 4096, "bits", \
	    "badAlg; handshake fails", "common/pki/sign") \
	X(RSA_EXPONENT, "key.rsa-exponent", 64, "bits", \
	    "badAlg; handshake fails", "common/pki/sign") \
	X(CERT_TEXT, "certificate.text", 128, "octets of a name or number", \
	    "cut, or refused as the device's own", "common/pki/certfacts") \
	X(FRAME, "frame.size", 256 * 1024, "octets", \
	    "connection ends", "common/link/frame") \
	X(FRAME_BATCHES, "frame.batches", 64, "batches", \
	    "frame refused", "common/link/frame") \
	X(FRAME_SIGNED, "frame.signed", 1024, "octets of hello, signature", \
	    "frame refused", "common/link/frame") \
	X(FRAME_WAIT, "frame.wait", 20, "seconds of a PULL", \
	    "frame refused", "common/link/frame") \
	X(FRAME_CREDIT, "frame.credit", 1024, "outstanding PUTs", \
	    "frame refused", "common/link/frame") \
	X(FRAME_PART, "frame.part", 128 * 1024, "octets of reference data", \
	    "frame refused", "common/link/frame") \
	X(FRAME_DATA, "frame.data", 16 * 1024 * 1024, "octets in all parts", \
	    "manifest refused", "common/link/frame") \
	X(REFERENCE_NAMES, "reference.names", 64, "pieces of a service", \
	    "the rest is not asked for", "registrar/reference") \
	X(REFERENCE_TOTAL, "reference.total", 32 * 1024 * 1024, \
	    "octets of all pieces", "not fetched", "registrar/reference") \
	X(BATCH, "batch.size", 128 * 1024, "octets", \
	    "frame refused", "common/queue/batch") \
	X(BATCH_ITEMS, "batch.items", 256, "items", \
	    "frame refused", "common/queue/batch") \
	X(ENTRY_HEADER, "entry.header", 8192, "octets", \
	    "frame refused", "common/queue/entry") \
	X(ENTRY_FACTS, "entry.facts", 24, "facts", \
	    "header refused", "common/queue/entry") \
	X(LINK_DEPTH, "link.chain-depth", 5, "certificates", \
	    "handshake fails", "common/link/tls_engine") \
	X(CARRY_CONNECTIONS, "carry.connections", 8, "connections", \
	    "closed", "registrar/carry") \
	X(CARRY_LINK, "carry.link", 10000, "ms", \
	    "closed, if it has not said LINK", "registrar/carry") \
	X(CARRY_INPUT, "carry.input", 1024 * 1024, "octets not yet handled", \
	    "connection ends", "registrar/carry") \
	X(CONTROL_BODY, "control.body", 128 * 1024, "octets", \
	    "413", "registrar/control_api") \
	X(CONTROL_IDLE, "control.idle", 60, "seconds", \
	    "closed", "common/sys/https") \
	X(CONTROL_LIST, "control.list", 1000, "entries", \
	    "cut, and said so", "registrar/control_api") \
	X(SERVICE_BODY, "control.service-body", 4096, "octets", \
	    "413", "common/service/service") \
	X(SERVICE_LIST, "control.service-list", 1000, "cases", \
	    "cut, and said so", "common/service/control_api") \
	X(MASA_ANCHORS, "masa.anchors", 256 * 1024, "octets of a file", \
	    "exit 78", "masa-client/masa") \
	X(MASA_URL, "masa.url", 400, "octets", \
	    "not asked", "masa-client/target") \
	X(CONTROL_SERIALS, "control.serials", 1000, "devices of a prefetch", \
	    "400", "registrar/control_voucher") \
	X(CONF_FILE, "configuration.file", 256 * 1024, "octets", \
	    "exit 78", "common/sys/conf_yaml") \
	X(CONF_DEPTH, "configuration.depth", 8, "levels", \
	    "exit 78", "common/sys/conf_yaml") \
	X(CONF_NODES, "configuration.nodes", 20000, "values", \
	    "exit 78", "common/sys/conf_yaml") \
	X(CRL_FILE, "crl.file", 16 * 1024 * 1024, "octets", "exit 78", \
	    "common/pki/crl") \
	X(DENY_FILE, "deny-list.file", 16 * 1024 * 1024, "octets", \
	    "exit 78", "common/pki/denylist") \
	X(PEM_FILE, "certificates.file", 256 * 1024, "octets", \
	    "exit 78", "common/pki/ossl") \
	X(PEM_CERTIFICATES, "certificates.count", 64, "certificates", \
	    "exit 78", "common/pki/ossl") \
	X(KEY_FILE, "key.file", 64 * 1024, "octets", \
	    "exit 78", "common/pki/ossl")
/* clang-format on */

#define LIMIT_VALUE(id, name, value, unit, beyond, where) LIMIT_##id = (value),
enum { LIMITS(LIMIT_VALUE) };
#undef LIMIT_VALUE

struct limit {
	const char *name, *unit;
	unsigned long value;
	const char *beyond, *where;
};

extern const struct limit limit_table[];
extern const size_t limit_count;

#endif
