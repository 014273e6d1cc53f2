/* Cells of a table of what is sent and what comes back, by who sends it; a line
 * for each class of them: what was sent, what came back, how many, how long. */
#ifndef WAYBILL_TESTS_DISPATCH_CELLS_H
#define WAYBILL_TESTS_DISPATCH_CELLS_H

#include "tests/unit/registrar_lab.h"

enum who { NOBODY, STRANGER, DEVICE, MEMBER, WHO__MAX };
static const char *const who_names[] = { "no certificate", "an unknown maker's",
	"the device's", "its own of the domain" };

static struct hostile {
	struct reg_lab *g;
	struct signer *stranger;
	struct signer *member; /* the device, when it is one of the domain */
	unsigned cells, wrong, accepted, refused;
	unsigned long resident; /* before the first cell */
} ho;

/* ---- classes of cells -------------------------------------------------- */

#define CLASSES_MAX 512
#define TEXT_MAX    96
#define MEMORY_MAX  8192 /* KiB more than at the start */

struct cell {
	char sent[TEXT_MAX]; /* the class */
	const char *want;
	char came[TEXT_MAX];
	uint64_t began; /* microseconds */
};

static struct class
{
	char sent[TEXT_MAX], came[TEXT_MAX];
	unsigned n;
	uint64_t total, worst;
} classes[CLASSES_MAX];
static size_t n_classes;

static inline uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static inline struct class *
class_of(const struct cell *c)
{
	size_t i = 0;

	while (i < n_classes &&
	    (strcmp(classes[i].sent, c->sent) != 0 ||
		strcmp(classes[i].came, c->came) != 0))
		i++;
	assert_true(i < CLASSES_MAX);
	if (i == n_classes) {
		str_copy(classes[i].sent, TEXT_MAX, c->sent);
		str_copy(classes[i].came, TEXT_MAX, c->came);
		n_classes++;
	}
	return &classes[i];
}

/* Also that nothing was stored but what was accepted. */
static inline void
cell_end(const struct cell *c, const char *where)
{
	uint64_t took = now_us() - c->began, stored = reg_next_id(ho.g) - 1;
	struct class *k = class_of(c);

	ho.cells++;
	k->n++;
	k->total += took;
	if (took > k->worst)
		k->worst = took;
	if (strcmp(c->came, c->want) != 0) {
		ho.wrong++;
		printf("WRONG  %s at %s: %s, not %s\n", c->sent, where, c->came,
		    c->want);
	}
	if (stored != ho.accepted) {
		ho.wrong++;
		printf("WRONG  %s at %s: %llu entries, not %u\n", c->sent,
		    where, (unsigned long long)stored, ho.accepted);
		ho.accepted = (unsigned)stored;
	}
}

static inline void
print_classes(void)
{
	for (size_t i = 0; i < n_classes; i++)
		printf("%-60s %-22s %5u x %5.1f ms, worst %5.1f\n",
		    classes[i].sent, classes[i].came, classes[i].n,
		    (double)classes[i].total / classes[i].n / 1000,
		    (double)classes[i].worst / 1000);
	n_classes = 0;
	memset(classes, 0, sizeof(classes));
	fflush(stdout);
}

/* In KiB, of all of us: the registrar and who asks it are one process. */
static inline unsigned long
resident(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*u %lu", &pages), 1);
	fclose(f);
	return pages * (unsigned long)sysconf(_SC_PAGESIZE) / 1024;
}

/* Thousands of refusals leave nothing of each. */
static inline void
print_memory(void)
{
	unsigned long now = resident();

	printf("%u cells, %u stored; resident %lu KiB before, %lu KiB after\n",
	    ho.cells, ho.accepted, ho.resident, now);
	fflush(stdout);
	assert_true(now < ho.resident + MEMORY_MAX);
}

static inline const struct signer *
client_of(enum who w)
{
	return w == NOBODY  ? NULL
	    : w == STRANGER ? ho.stranger
	    : w == MEMBER   ? ho.member
			    : ho.g->l->device;
}

/* Who shows nothing signs as the device. */
static inline const struct signer *
signer_of(enum who w)
{
	return w == NOBODY ? ho.g->l->device : client_of(w);
}

/* ---- around each ------------------------------------------------------- */

/* None of this is about shares: a device that asks ten thousand times. */
static inline int
setup(void **state)
{
	static const struct reg_want want = {
		.limits = "device-requests: 100000, device-connections: 1000, "
			  "nameless-requests: 100000, device-open: 0, "
			  "device-hour: 0",
	};
	struct reg_lab *g;

	reg_lab_setup(state);
	g = *state;
	memset(&ho, 0, sizeof(ho));
	ho.stranger = lab_device(&g->l->stranger, "WB-0001");
	ho.member = lab_device(&g->l->ca, "WB-0001");
	reg_start(g, &want);
	ho.resident = resident();
	return 0;
}

static inline int
teardown(void **state)
{
	signer_free(ho.stranger);
	signer_free(ho.member);
	return reg_lab_teardown(state);
}

#endif
