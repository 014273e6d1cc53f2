/* registrar.yaml: what it may say, and as what it is read. */
#ifndef WAYBILL_REGISTRAR_REG_CONF_H
#define WAYBILL_REGISTRAR_REG_CONF_H

#include "common/sys/conf.h"
#include "common/sys/sandbox.h"

enum reg_final { REG_FINAL_REPROTECT, REG_FINAL_RELAY, REG_FINAL_ALWAYS };
enum reg_unknown { REG_UNKNOWN_ACCEPT, REG_UNKNOWN_REFUSE };
enum reg_certconf { REG_CERTCONF_LOCAL, REG_CERTCONF_DELAY };

struct reg_vendor {
	char *name, *anchor;
	char *voucher_anchor; /* NULL: anchor */
	char *sub_ca;	      /* NULL: none */
	struct conf_strs crl;
	int crl_unknown; /* enum revocation_unknown */
};

struct reg_service {
	char *name, *certificate;
	struct conf_strs kinds;
};

struct reg_conf {
	char *site;
	struct conf_strs listen;
	uint64_t threads;
	char *key, *certificate, *domain_ca, *deny_list;
	int domain_crl_unknown;	   /* enum reg_unknown */
	struct conf_list vendors;  /* struct reg_vendor */
	struct conf_list services; /* struct reg_service */
	struct {
		char *directory, *seal;
		uint64_t map_size;
	} store;
	struct {
		char *socket;
		uint64_t uid; /* UINT32_MAX: our own */
	} carry;
	struct {
		char *socket;
		struct conf_strs viewers, field, admins; /* uids */
	} control;
	struct {
		uint64_t hold, check_after, check_after_max; /* milliseconds */
		int final, certconf;
		struct conf_strs lra; /* PEM files */
	} cmp;
	struct {
		bool verify_voucher, nonceless, enrol_without_voucher;
		uint64_t retry_after, retry_after_max; /* milliseconds */
	} brski;
	struct {
		uint64_t connections; /* in all */
		uint64_t device_connections, device_requests, device_held;
		uint64_t nameless_requests;
		/* Entries; 0: no limit. */
		uint64_t device_open, device_hour, vendor_open, open;
	} limits;
	/* Milliseconds. */
	uint64_t deadline, sweep, checkpoint, retention, reference;
};

extern const struct conf_item reg_conf_table[];

/* What the registrar of this configuration needs once it is open; the paths
 * are c's. */
void reg_conf_sandbox(const struct reg_conf *c, struct sandbox *ret);

#endif
