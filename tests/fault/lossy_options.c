#include "tests/fault/lossy_options.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/str.h"

static struct sockaddr_in
address(const char *text)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	const char *colon = strrchr(text, ':');
	char host[INET_ADDRSTRLEN] = "127.0.0.1";

	if (colon != NULL)
		snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	a.sin_port = htons(
	    (uint16_t)strtoul(colon != NULL ? colon + 1 : text, NULL, 10));
	if (inet_pton(AF_INET, host, &a.sin_addr) != 1 || a.sin_port == 0) {
		fprintf(stderr, "lossy_proxy: %s is no address\n", text);
		exit(2);
	}
	return a;
}

static const struct {
	const char *name;
	size_t off;
} numbers[] = {
	{ "--seed", offsetof(struct lossy, seed) },
	{ "--cut-every", offsetof(struct lossy, cut_every) },
	{ "--cut-after", offsetof(struct lossy, cut_after) },
	{ "--cuts", offsetof(struct lossy, cuts) },
	{ "--half-open", offsetof(struct lossy, half_open) },
	{ "--stall-every", offsetof(struct lossy, stall_every) },
	{ "--stall", offsetof(struct lossy, stall) },
	{ "--rate", offsetof(struct lossy, rate) },
};

static void
usage(void)
{
	fprintf(stderr,
	    "usage: lossy_proxy --listen [ADDR:]PORT --to [ADDR:]PORT "
	    "[--seed N]\n\t[--cut-every MS] [--cut-after OCTETS] [--cuts N] "
	    "[--half-open PERCENT]\n\t[--stall-every MS] [--stall MS] "
	    "[--rate OCTETS/S] [--down]\n");
	exit(2);
}

static void
option(struct lossy *c, const char *name, const char *value)
{
	char *end = NULL;
	uint64_t *to;

	if (value == NULL)
		usage();
	if (strcmp(name, "--listen") == 0) {
		c->listen = address(value);
		return;
	}
	if (strcmp(name, "--to") == 0) {
		c->to = address(value);
		return;
	}
	for (size_t i = 0; i < NELEMS(numbers); i++)
		if (strcmp(name, numbers[i].name) == 0) {
			to = (uint64_t *)((char *)c + numbers[i].off);
			*to = strtoull(value, &end, 10);
			if (*value == '\0' || *end != '\0')
				usage();
			return;
		}
	usage();
}

void
lossy_options(struct lossy *c, char **arg)
{
	while (*++arg != NULL) {
		if (strcmp(*arg, "--down") == 0) {
			c->down = true;
			continue;
		}
		option(c, arg[0], arg[1]);
		arg++;
	}
	if (c->listen.sin_port == 0 || c->to.sin_port == 0)
		usage();
	if (c->seed == 0)
		c->seed = clock_mono_ms() ^ (uint64_t)getpid() << 32;
}
