/*
 * A figure: what a device asks about the domain, told on a kept connection from
 * reference data.  Unlike the row kept-answer this is verified and signed.
 */
#include "tests/bench/bench_tls.h"

#include <string.h>
#include <unistd.h>
#include "common/sys/control.h"

#define WAIT_US 20e6
#define PIECE	"ca-certs"

struct asker {
	struct buf genm;
	struct bytes tid;
	size_t left;
};

static void
asker_new(const struct tls_bench *t, size_t times, struct asker *ret)
{
	static const uint8_t tid[CMP_TID_LEN] = "kept-genm";
	struct cmp_head h = { .transaction_id = { tid, sizeof(tid) } };
	struct buf body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	*ret = (struct asker){ .tid = h.transaction_id, .left = times };
	cmp_body_info(CMP_GENM, CMP_INFO_CA_CERTS, bytes_of(NULL, 0), &body);
	if (cmp_build(&h, buf_bytes(&body), t->devices[0], NULL, &ret->genm,
		&e) == -1)
		bench_fail("genm: %s", e.msg);
}

/* Told at once, and told something. */
static bool
is_told(const struct asker *a, struct bytes der)
{
	AUTO(cmp_msg) m = NULL;
	struct cmp_info info;
	struct err e = ERR_INIT;

	return cmp_parse(der, &m, &e) == 0 && cmp_body(m) == CMP_GENP &&
	    bytes_eq(cmp_transaction_id(m), a->tid) &&
	    cmp_read_info(m, &info, &e) == 0 && info.value.len > 0;
}

static enum load_next
next(void *arg, int status, struct bytes body, struct buf *request)
{
	struct asker *a = arg;

	if (status != 0 && (status != 200 || !is_told(a, body)))
		return LOAD_WRONG;
	if (a->left-- == 0)
		return LOAD_END;
	load_request(request, "POST", "/.well-known/cmp/getcacerts",
	    "application/pkixcmp", buf_bytes(&a->genm), false);
	return LOAD_SEND;
}

static bool
has_piece(const struct site *s)
{
	struct err e = ERR_INIT;
	int code;
	json_t *status =
	    control_call(s->control, "GET", "/v1/status", NULL, &code, &e);
	const json_t *piece;
	bool has = false;
	size_t i;

	json_array_foreach(json_object_get(status, "reference"), i, piece)
	{
		const char *name =
		    json_string_value(json_object_get(piece, "name"));

		has = has || (name != NULL && strcmp(name, PIECE) == 0);
	}
	json_decref(status);
	return has;
}

/* A registrar that was told by its RA and is alone again. */
static struct server
informed_registrar(struct tls_bench *t)
{
	struct server s = tls_registrar_start(t);
	double until = bench_now() + WAIT_US;

	site_start(&t->site, SITE_RA);
	site_start(&t->site, SITE_FORWARDER);
	while (!has_piece(&t->site)) {
		if (bench_now() > until)
			bench_fail("the registrar has no " PIECE);
		usleep(10000);
	}
	site_stop(&t->site, SITE_FORWARDER);
	site_stop(&t->site, SITE_RA);
	return s;
}

void
tls_genm(struct tls_bench *t, struct bench_row *rows)
{
	struct server s = informed_registrar(t);
	struct load_pace pace = { .seconds = TLS_SECONDS };

	for (int i = 0; i < BENCH_ROUNDS; i++) {
		AUTO(load) l = load_new(s.port);
		struct asker a;
		struct load_client c = { t->devices[0], next, &a };
		struct load_sum sum;
		double cpu = bench_cpu(s.pid);

		asker_new(t, tls_many(t, 1000), &a);
		load_run(l, &c, 1, &pace, &sum);
		load_sum_sound(&sum, rows->name);
		cpu = (bench_cpu(s.pid) - cpu) / (double)sum.n_answers;
		bench_add(rows,
		    (struct bench_round){ .value = 1e6 / cpu, .cpu_us = cpu });
		load_sum_done(&sum);
		buf_done(&a.genm);
	}
	rows->peak_kb = bench_memory(s.pid, "VmHWM");
	tls_registrar_stop(t);
}
