#include "common/service/claims.h"

/* What a registrar's clock may be ahead of ours. */
#define SKEW 300

uint64_t
claims_chain_time(const struct entry_header *h, const struct stamp *now)
{
	return h->received.quality == CLOCK_SYNC && h->received.time > 0 &&
		h->received.time <= now->time + SKEW
	    ? h->received.time
	    : now->time;
}

void
claims_facts(const struct entry_header *h, size_t ours, struct facts *f)
{
	const struct fact *i;

	for (i = h->facts.v; i < h->facts.v + h->facts.n; i++)
		if (f->n + 1 + ours < FACTS_MAX)
			facts_set(f, i->name,
			    i->level > FACT_REGISTRAR ? FACT_REGISTRAR
						      : i->level,
			    i->value);
	facts_set(f, "time.quality", FACT_REGISTRAR,
	    clock_quality_name(h->received.quality));
}

int
claims_deadline(
    const struct entry_header *h, const struct stamp *now, struct err *e)
{
	if (h->deadline != 0 && now->time > h->deadline)
		return err_set(e, ERR_POLICY, "expired");
	return 0;
}
