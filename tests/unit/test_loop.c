#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "common/base/clock.h"
#include "common/sys/loop.h"

#define POSTERS 4
#define POSTS	2000

struct fixture {
	struct loop *l;
	unsigned last[POSTERS], count;
	bool order, in_thread;
	pthread_t self;
};

struct posted {
	struct fixture *f;
	unsigned poster, n;
};

static struct loop *
new_loop(void)
{
	struct err e = ERR_INIT;
	struct loop *l = loop_new(&e);

	if (l == NULL)
		fail_msg("%s", e.msg);
	return l;
}

static void
on_post(void *arg)
{
	struct posted *p = arg;

	p->f->order = p->f->order && p->n == p->f->last[p->poster] + 1;
	p->f->last[p->poster] = p->n;
	p->f->count++;
	free(p);
}

struct poster {
	struct fixture *f;
	unsigned n;
};

static void *
post_many(void *arg)
{
	struct poster *me = arg;
	struct post post = loop_poster(me->f->l);
	struct posted *p;
	unsigned i;

	for (i = 1; i <= POSTS; i++) {
		p = malloc(sizeof(*p));
		*p = (struct posted){ me->f, me->n, i };
		post.post(post.to, on_post, p);
	}
	return NULL;
}

static void
posts_of_many_threads_keep_their_order(void **state)
{
	struct fixture f = { .l = new_loop(), .order = true };
	struct poster posters[POSTERS];
	pthread_t threads[POSTERS];
	struct err e = ERR_INIT;
	unsigned i;

	(void)state;
	assert_int_equal(loop_spawn(f.l, &e), 0);
	for (i = 0; i < POSTERS; i++) {
		posters[i] = (struct poster){ &f, i };
		pthread_create(&threads[i], NULL, post_many, &posters[i]);
	}
	for (i = 0; i < POSTERS; i++)
		pthread_join(threads[i], NULL);
	/* Posted before the stop: must have run after the join. */
	loop_join(f.l);
	assert_int_equal(f.count, POSTERS * POSTS);
	assert_true(f.order);
	loop_free(f.l);
}

static void
stop(void *arg)
{
	loop_stop(arg);
}

static void
where_am_i(void *arg)
{
	struct fixture *f = arg;

	f->in_thread = !pthread_equal(pthread_self(), f->self);
	loop_stop(f->l);
}

static void
a_spawned_loop_runs_elsewhere(void **state)
{
	struct fixture f = { .l = new_loop(), .self = pthread_self() };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(loop_spawn(f.l, &e), 0);
	loop_post(f.l, where_am_i, &f);
	loop_join(f.l);
	assert_true(f.in_thread);
	loop_free(f.l);
}

static void
a_stop_before_the_run_counts(void **state)
{
	struct loop *l = new_loop();

	(void)state;
	loop_stop(l);
	loop_run(l);
	/* And it is used up: the loop can run again. */
	loop_post(l, stop, l);
	loop_run(l);
	loop_free(l);
}

static void
what_never_ran_is_dropped(void **state)
{
	struct loop *l = new_loop();

	(void)state;
	loop_post(l, stop, l);
	loop_post(l, stop, l);
	loop_free(l);
}

struct ticks {
	struct loop *l;
	struct timer *again;
	unsigned first, second, never;
};

static void
on_first(void *arg)
{
	struct ticks *t = arg;

	if (++t->first < 3)
		timer_set(t->again, 1);
	else
		loop_stop(t->l);
}

static void
on_never(void *arg)
{
	((struct ticks *)arg)->never++;
}

static void
timers_fire_once_and_move(void **state)
{
	struct ticks t = { .l = new_loop() };
	struct timer *cleared = timer_new(t.l, on_never, &t);
	struct timer *moved = timer_new(t.l, on_never, &t);
	uint64_t start = clock_mono_ms();

	(void)state;
	t.again = timer_new(t.l, on_first, &t);
	timer_set(cleared, 1);
	timer_clear(cleared);
	timer_set(moved, 1);
	timer_set(moved, 3600000);
	timer_set(t.again, 20);
	loop_run(t.l);
	assert_int_equal(t.first, 3);
	assert_int_equal(t.never, 0);
	/* 20 + 1 + 1, less what the cached clock may be behind. */
	assert_in_range(clock_mono_ms() - start, 15, 20000);
	timer_free(cleared);
	timer_free(moved);
	timer_free(t.again);
	timer_free(NULL);
	loop_free(t.l);
}

static void
a_signal_runs_in_the_loop(void **state)
{
	struct loop *l = new_loop();
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(loop_signal(l, SIGUSR1, stop, l, &e), 0);
	raise(SIGUSR1);
	loop_run(l);
	loop_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(posts_of_many_threads_keep_their_order),
		cmocka_unit_test(a_spawned_loop_runs_elsewhere),
		cmocka_unit_test(a_stop_before_the_run_counts),
		cmocka_unit_test(what_never_ran_is_dropped),
		cmocka_unit_test(timers_fire_once_and_move),
		cmocka_unit_test(a_signal_runs_in_the_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
