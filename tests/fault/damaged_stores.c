/*
 * Copies of a good outbox and a good ledger are damaged, opened, and read from
 * one end to the other: no other octets than were stored, no crash, and nothing
 * is missing of which nobody knows.
 *
 *   damaged_stores [--long] [--seed N]
 *
 * 300 copies, or 10000.  Of each kind of damage it tells what became of them:
 *
 *   clean     nothing of it was to be seen
 *   older     an entry is in a state that it had before; octets are the same
 *   buried    entries are told to be damaged, all others are fine
 *   behind    its numbers are of before, which the next HELLO tells
 *   refused   it does not open: exit 9
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/base/file.h"
#include "tests/fault/good_store.h"

#define SHORT	     300
#define LONG	     10000
#define SECONDS	     20
#define PAGE	     4096
#define FILE_MAX     (2 * GOOD_MAP)
#define EXIT_REFUSED 9

/* ---- damage ------------------------------------------------------------ */

/* The copy under damage: octets, of which `used` are not all zeros. */
static struct image {
	struct buf now, older;
	size_t used;
} image;

static size_t
pages(void)
{
	return image.used / PAGE;
}

static uint8_t *
page(size_t n)
{
	return image.now.data + n * PAGE;
}

static void
flip(size_t from, size_t len)
{
	size_t at = from + lab_random(len);

	image.now.data[at] ^= (uint8_t)(1u << lab_random(8));
}

static void
flip_one(void)
{
	flip(0, image.used);
}

static void
flip_many(void)
{
	for (size_t n = 2 + lab_random(63); n > 0; n--)
		flip(0, image.used);
}

static void
flip_meta(void)
{
	for (size_t n = 1 + lab_random(4); n > 0; n--)
		flip(lab_random(2) * PAGE, 16 + 136);
}

/* Where LMDB keeps its tree: flags 1 is a branch, 2 a leaf. */
static void
flip_tree(void)
{
	size_t n;

	do
		n = 2 + lab_random(pages() - 2);
	while ((page(n)[10] & 3) == 0);
	for (size_t k = 1 + lab_random(4); k > 0; k--)
		flip(n * PAGE, lab_random(2) != 0 ? 64 : PAGE);
}

static void
zero_page(void)
{
	memset(page(lab_random(pages())), 0, PAGE);
}

static void
random_page(void)
{
	uint8_t *p = page(lab_random(pages()));

	/* Half of them keep their head. */
	for (size_t i = lab_random(2) * 16; i < PAGE; i++)
		p[i] = (uint8_t)lab_random(256);
}

static void
truncate_it(void)
{
	size_t n = lab_random(image.used);

	image.now.len = lab_random(2) != 0 ? n : n / PAGE * PAGE;
}

static void
swap_pages(void)
{
	uint8_t *a = page(lab_random(pages())), *b = page(lab_random(pages()));
	uint8_t kept[PAGE];

	memcpy(kept, a, PAGE);
	memcpy(a, b, PAGE);
	memcpy(b, kept, PAGE);
}

static void
older_page(void)
{
	size_t n = lab_random(pages());

	memcpy(page(n), image.older.data + n * PAGE, PAGE);
}

static void
older_copy(void)
{
	memcpy(image.now.data, image.older.data, image.now.len);
}

static void
lock_garbage(void)
{
	/* In store_write. */
}

static const struct damage {
	const char *name;
	void (*do_it)(void);
} damages[] = {
	{ "one bit", flip_one },
	{ "2 to 64 bits", flip_many },
	{ "bits of a meta page", flip_meta },
	{ "bits of a tree page", flip_tree },
	{ "zeroed page", zero_page },
	{ "random page", random_page },
	{ "truncated", truncate_it },
	{ "two pages swapped", swap_pages },
	{ "page of an older copy", older_page },
	{ "older copy", older_copy },
	{ "garbage in lock.mdb", lock_garbage },
};

/* ---- what is sound ----------------------------------------------------- */

struct buf
good_octets(const char *what, unsigned n)
{
	struct buf b = { 0 };

	for (unsigned i = 0; i < 1 + 50 * (n % 3); i++)
		buf_printf(&b, "%s of entry %u, part %u. ", what, n, i);
	return b;
}

bool
good_same(
    struct seen *ret, const struct buf *have, const char *what, unsigned n)
{
	struct buf want AUTO_BUF = good_octets(what, n);

	if (bytes_eq(buf_bytes(have), buf_bytes(&want)))
		return true;
	ret->wrong++;
	return false;
}

/* ---- files ------------------------------------------------------------- */

static void
read_into(const struct lab *l, const char *name, struct buf *ret)
{
	AUTO(char) path = path_join(l->store, name);
	struct err e = ERR_INIT;

	buf_done(ret);
	if (file_read(path, FILE_MAX, ret, &e) == -1)
		err_die(e.msg);
}

static void
write_out(const struct lab *l, const char *name, struct bytes octets)
{
	AUTO(char) path = path_join(l->store, name);
	AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd == -1 || write(fd, octets.p, octets.len) != (ssize_t)octets.len)
		err_die("cannot write a copy");
}

static void
keep_older(const struct lab *l)
{
	read_into(l, "data.mdb", &image.older);
}

static void
store_write(
    const struct lab *l, const struct damage *d, const struct buf *owner)
{
	uint8_t garbage[16384];
	size_t n = lab_random(sizeof(garbage));

	lab_clear(l);
	write_out(l, "data.mdb", buf_bytes(&image.now));
	write_out(l, "owner", buf_bytes(owner));
	if (d->do_it != lock_garbage)
		return;
	for (size_t i = 0; i < n; i++)
		garbage[i] = (uint8_t)lab_random(256);
	write_out(l, "lock.mdb", bytes_of(garbage, n));
}

/* ---- one copy ---------------------------------------------------------- */

struct trial {
	const struct lab *l;
	const struct good_store *store;
	struct seen *seen; /* shared with the child */
};

static struct counts {
	unsigned copies, clean, older, buried, behind, refused, wrong, lost,
	    crashed;
} counts[NELEMS(damages)];

static int
child_look(void *arg)
{
	struct trial *t = arg;
	struct err e = ERR_INIT;

	if (t->store->look(t->l, t->seen, &e) == 0)
		return 0;
	fprintf(stderr, "%s\n", e.msg);
	return err_exit_code(e.kind);
}

/* The first few of what must not be are shown whole. */
static void
show(const struct trial *t, const struct damage *d, uint64_t seed,
    const char *what, struct lab_end *end)
{
	static unsigned shown;

	if (shown++ < 20)
		printf("%s: %s, %s, seed %llu: code %d signal %d\n%s", what,
		    t->store->name, d->name, (unsigned long long)seed,
		    end->code, end->signal, buf_cstr(&end->said));
}

static void
judge(const struct trial *t, size_t kind, uint64_t seed, struct lab_end *end)
{
	const struct seen *s = t->seen;
	struct counts *c = &counts[kind];

	c->copies++;
	c->wrong += s->wrong > 0;
	if (s->wrong > 0)
		show(t, &damages[kind], seed, "WRONG", end);
	if (end->code == EXIT_REFUSED) {
		c->refused++;
	} else if (end->code != 0) {
		c->crashed++;
		show(t, &damages[kind], seed, "CRASHED", end);
	} else if (s->absent > 0 && !s->behind) {
		c->lost++;
		show(t, &damages[kind], seed, "LOST", end);
	} else if (s->behind) {
		c->behind++;
	} else if (s->damaged > 0) {
		c->buried++;
	} else if (s->older > 0) {
		c->older++;
	} else {
		c->clean++;
	}
}

static void
trials(const struct lab *l, const struct good_store *store, unsigned n,
    uint64_t seed)
{
	struct trial t = { l, store, lab_shared(sizeof(*t.seen)) };
	struct buf good AUTO_BUF = { 0 }, owner AUTO_BUF = { 0 };
	struct lab_end end;

	lab_clear(l);
	store->make(l, keep_older);
	read_into(l, "data.mdb", &good);
	read_into(l, "owner", &owner);
	for (image.used = good.len; good.data[image.used - 1] == 0;)
		image.used--;
	image.used = (image.used + PAGE - 1) / PAGE * PAGE;
	for (unsigned i = 0; i < n; i++) {
		size_t kind = i % NELEMS(damages);

		lab_seed(seed + i);
		buf_reset(&image.now);
		buf_add(&image.now, good.data, good.len);
		damages[kind].do_it();
		store_write(l, &damages[kind], &owner);
		*t.seen = (struct seen){ 0 };
		end = lab_child(child_look, &t, SECONDS);
		judge(&t, kind, seed + i, &end);
		lab_end_done(&end);
	}
	buf_done(&image.now);
	buf_done(&image.older);
}

static int
report(void)
{
	struct counts all = { 0 };

	printf("%-22s %6s %6s %6s %6s %6s %7s %6s %6s %7s\n", "damage",
	    "copies", "clean", "older", "buried", "behind", "refused", "wrong",
	    "lost", "crashed");
	for (size_t i = 0; i < NELEMS(damages); i++) {
		const struct counts *c = &counts[i];

		printf("%-22s %6u %6u %6u %6u %6u %7u %6u %6u %7u\n",
		    damages[i].name, c->copies, c->clean, c->older, c->buried,
		    c->behind, c->refused, c->wrong, c->lost, c->crashed);
		all.copies += c->copies;
		all.clean += c->clean;
		all.older += c->older;
		all.buried += c->buried;
		all.behind += c->behind;
		all.refused += c->refused;
		all.wrong += c->wrong;
		all.lost += c->lost;
		all.crashed += c->crashed;
	}
	printf("figure: damaged-copies %u\n", all.copies);
	printf("figure: nothing-to-be-seen %u\n", all.clean);
	printf("figure: a-state-of-before %u\n", all.older);
	printf("figure: entries-buried %u\n", all.buried);
	printf("figure: found-by-HELLO %u\n", all.behind);
	printf("figure: refused-with-exit-9 %u\n", all.refused);
	printf("figure: other-octets-than-stored %u\n", all.wrong);
	printf("figure: missing-and-not-told %u\n", all.lost);
	printf("figure: crashes %u\n", all.crashed);
	return all.wrong + all.lost + all.crashed != 0;
}

int
main(int argc, char **argv)
{
	unsigned n = SHORT;
	uint64_t seed = 1;
	struct lab l;
	int rc;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--long") == 0)
			n = LONG;
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 10);
	}
	lab_init(&l);
	trials(&l, &good_outbox, n / 2, seed);
	trials(&l, &good_ledger, n - n / 2, seed);
	rc = report();
	lab_done(&l);
	return rc;
}
