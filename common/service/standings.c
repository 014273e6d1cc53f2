#include "common/service/standings.h"

#include <string.h>
#include "common/base/buf.h"
#include "common/base/str.h"

struct standing {
	struct standing *next;
	char site[33];
	bool sound;
};

struct standings {
	struct standing *first;
};

struct standings *
standings_new(void)
{
	return xcalloc(1, sizeof(struct standings));
}

void
standings_free(struct standings *s)
{
	struct standing *i, *next;

	if (s == NULL)
		return;
	for (i = s->first; i != NULL; i = next) {
		next = i->next;
		free(i);
	}
	free(s);
}

static struct standing *
find(const struct standings *s, const char *site)
{
	struct standing *i = s->first;

	while (i != NULL && strcmp(i->site, site) != 0)
		i = i->next;
	return i;
}

bool
standings_sound(const struct standings *s, const char *site)
{
	const struct standing *i = find(s, site);

	return i != NULL && i->sound;
}

bool
standings_heard(const struct standings *s, const char *site)
{
	return find(s, site) != NULL;
}

bool
standings_set(struct standings *s, const char *site, bool sound)
{
	struct standing *i = find(s, site);
	bool was = i != NULL && i->sound;

	if (i == NULL) {
		i = xcalloc(1, sizeof(*i));
		str_copy(i->site, sizeof(i->site), site);
		i->next = s->first;
		s->first = i;
	}
	i->sound = sound;
	return was != sound;
}
