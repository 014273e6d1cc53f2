#include "registrar/brski.h"

#include <string.h>
#include "common/base/str.h"
#include "registrar/telemetry.h"
#include "registrar/vcall.h"

/* What is offered here (RFC 9733 4.3: one path an operation). */
static void
brski_list(struct front *f, struct https_req *q)
{
	static const char links[] =
	    "<" BRSKI_PATH "/requestvoucher>;rt=\"brski.rv\","
	    "<" BRSKI_PATH "/voucher_status>;rt=\"brski.vs\","
	    "<" BRSKI_PATH "/enrollstatus>;rt=\"brski.es\","
	    "</.well-known/cmp>;rt=\"brski.cmp\"\n";

	(void)f;
	https_reply(q,
	    &(struct https_answer){ .status = 200,
		.type = "application/link-format",
		.body = bytes_of(links, strlen(links)) });
}

static const struct {
	const char *path; /* below BRSKI_PATH */
	enum https_method method;
	const char *type; /* of the body; NULL: none */
	void (*handle)(struct front *f, struct https_req *q);
} routes[] = {
	{ "", HTTPS_GET, NULL, brski_list },
	{ "/requestvoucher", HTTPS_POST, VCALL_TYPE, vcall_start },
	/* RFC 9733 4.3 spells its example so. */
	{ "/voucherrequest", HTTPS_POST, VCALL_TYPE, vcall_start },
	{ "/voucher_status", HTTPS_POST, "application/json",
	    telemetry_voucher },
	{ "/enrollstatus", HTTPS_POST, "application/json", telemetry_enrol },
};

bool
brski_request(struct front *f, struct https_req *q)
{
	const char *path = https_path(q);

	if (!str_starts(path, BRSKI_PATH))
		return false;
	path += strlen(BRSKI_PATH);
	for (size_t i = 0; i < NELEMS(routes); i++) {
		if (strcmp(routes[i].path, path) != 0)
			continue;
		if (https_method(q) != routes[i].method)
			https_reply_text(q, 405, "%s is spoken here",
			    routes[i].method == HTTPS_GET ? "GET" : "POST");
		else if (routes[i].type != NULL &&
		    !front_type_is(q, routes[i].type))
			https_reply_text(
			    q, 415, "Content-Type must be %s", routes[i].type);
		else
			routes[i].handle(f, q);
		return true;
	}
	return false;
}
