#include "registrar/finals.h"

#include <string.h>

void
finals_init(struct finals *f)
{
	memset(f, 0, sizeof(*f));
	pthread_mutex_init(&f->lock, NULL);
}

void
finals_relayed(struct finals *f, uint64_t id)
{
	pthread_mutex_lock(&f->lock);
	f->relayed[f->next] = id;
	f->next = (f->next + 1) % FINALS;
	pthread_mutex_unlock(&f->lock);
}

bool
finals_was_relayed(struct finals *f, uint64_t id)
{
	bool found = false;

	pthread_mutex_lock(&f->lock);
	for (unsigned i = 0; i < FINALS && !found; i++)
		found = f->relayed[i] == id;
	pthread_mutex_unlock(&f->lock);
	return found;
}
