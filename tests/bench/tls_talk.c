#include "tests/bench/bench_tls.h"

#include <stdlib.h>
#include <string.h>

struct tls_ask {
	const struct tls_bench *t;
	enum tls_way way;
	size_t times, done;
};

size_t
tls_many(const struct tls_bench *t, size_t n)
{
	if (t->quick)
		n /= 10;
	return n > 0 ? n : 1;
}

static enum load_next
next(void *arg, int status, struct bytes body, struct buf *request)
{
	struct tls_ask *a = arg;
	struct bytes want = bytes_of(a->t->body, strlen(a->t->body));

	if (status == 0)
		a->done = 0;
	else if (status != 200 || !bytes_eq(body, want))
		return LOAD_WRONG;
	else
		a->done++;
	if (a->done == a->times)
		return a->way == TLS_KEEP ? LOAD_KEEP : LOAD_END;
	load_request(request, "GET", TLS_PATH, NULL, bytes_of(NULL, 0),
	    a->way == TLS_FRESH);
	return LOAD_SEND;
}

void
tls_talk_new(const struct tls_bench *t, size_t n, enum tls_way way,
    size_t times, struct tls_talk *ret)
{
	ret->clients = xcalloc(n, sizeof(*ret->clients));
	ret->asks = xcalloc(n, sizeof(*ret->asks));
	ret->n = n;
	for (size_t i = 0; i < n; i++) {
		ret->asks[i] = (struct tls_ask){ t, way, times, 0 };
		ret->clients[i] =
		    (struct load_client){ t->devices[i % t->n_devices], next,
			    &ret->asks[i] };
	}
}

void
tls_talk_done(struct tls_talk *k)
{
	free(k->clients);
	free(k->asks);
}

double
tls_talk_run(const struct tls_talk *k, struct load *l, pid_t server,
    unsigned at_once, const char *what, struct load_sum *ret)
{
	struct load_pace pace = { .at_once = at_once, .seconds = TLS_SECONDS };
	struct load_sum own = { 0 }, *sum = ret != NULL ? ret : &own;
	double cpu = bench_cpu(server);

	load_run(l, k->clients, k->n, &pace, sum);
	cpu = (bench_cpu(server) - cpu) / (double)sum->n_answers;
	load_sum_sound(sum, what);
	load_sum_done(&own);
	return cpu;
}
