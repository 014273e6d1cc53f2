#include "common/sys/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <event2/event.h>
#include "common/base/buf.h"
#include "common/base/log.h"

struct task {
	struct task *next;
	void (*fn)(void *arg);
	void *arg;
};

struct sig {
	struct sig *next;
	struct event *ev;
	void (*fn)(void *arg);
	void *arg;
};

struct loop {
	struct event_base *base;
	struct event *wake; /* on wake_fd */
	int wake_fd;
	struct sig *sigs;
	pthread_t thread;
	bool spawned;

	pthread_mutex_t lock; /* guards what follows */
	struct task *first, **last;
	bool stop;
};

struct timer {
	struct event *ev;
	void (*fn)(void *arg);
	void *arg;
};

/* libevent writes its warnings to stderr otherwise, where each must be a log
 * line. */
static void
on_libevent_log(int severity, const char *msg)
{
	if (severity >= EVENT_LOG_WARN)
		log_event(LOG_WARN, "loop.libevent", "text", "%s", msg, NULL);
}

static void
set_libevent_log(void)
{
	event_set_log_callback(on_libevent_log);
}

size_t
loop_drain(struct loop *l)
{
	struct task *t, *next;
	size_t n = 0;

	pthread_mutex_lock(&l->lock);
	next = l->first;
	l->first = NULL;
	l->last = &l->first;
	pthread_mutex_unlock(&l->lock);
	while ((t = next) != NULL) {
		next = t->next;
		t->fn(t->arg);
		free(t);
		n++;
	}
	return n;
}

/* The work first, then the end: what was posted before loop_stop still runs. */
static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	eventfd_t count;
	bool stop;

	(void)what;
	(void)eventfd_read((int)fd, &count);
	pthread_mutex_lock(&l->lock);
	stop = l->stop;
	l->stop = false;
	pthread_mutex_unlock(&l->lock);
	loop_drain(l);
	if (stop)
		event_base_loopbreak(l->base);
}

/* An answer takes and gives back its events several times: the kernel is told
 * once a turn what is left of that, which saves a sixth of an answer's time.
 * libevent forbids descriptors that are a dup of another; no loop has any. */
static struct event_base *
base_new(void)
{
	struct event_config *c = event_config_new();
	struct event_base *base = NULL;

	if (c != NULL &&
	    event_config_set_flag(c, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST) == 0)
		base = event_base_new_with_config(c);
	if (c != NULL)
		event_config_free(c);
	return base;
}

struct loop *
loop_new(struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	AUTO(loop) l = xcalloc(1, sizeof(*l));

	pthread_once(&once, set_libevent_log);
	pthread_mutex_init(&l->lock, NULL);
	l->last = &l->first;
	if ((l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) == -1) {
		err_errno(e, ERR_LOCAL, "loop: eventfd");
		return NULL;
	}
	if ((l->base = base_new()) == NULL ||
	    (l->wake = event_new(l->base, l->wake_fd, EV_READ | EV_PERSIST,
		 on_wake, l)) == NULL ||
	    event_add(l->wake, NULL) == -1) {
		err_set(e, ERR_LOCAL, "loop: no event base");
		return NULL;
	}
	return STEAL(l);
}

void
loop_free(struct loop *l)
{
	struct sig *s;
	struct task *t;

	if (l == NULL)
		return;
	loop_join(l);
	while ((s = l->sigs) != NULL) {
		l->sigs = s->next;
		event_free(s->ev);
		free(s);
	}
	if (l->wake != NULL)
		event_free(l->wake);
	if (l->base != NULL)
		event_base_free(l->base);
	if (l->wake_fd != -1)
		close(l->wake_fd);
	while ((t = l->first) != NULL) {
		l->first = t->next;
		free(t);
	}
	pthread_mutex_destroy(&l->lock);
	free(l);
}

void
loop_run(struct loop *l)
{
	event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

void
loop_stop(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_mutex_unlock(&l->lock);
	(void)eventfd_write(l->wake_fd, 1);
}

struct event_base *
loop_base(struct loop *l)
{
	return l->base;
}

void
loop_post(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct task *t = xmalloc(sizeof(*t));
	bool first;

	*t = (struct task){ NULL, fn, arg };
	pthread_mutex_lock(&l->lock);
	first = l->first == NULL;
	*l->last = t;
	l->last = &t->next;
	pthread_mutex_unlock(&l->lock);
	/* One wake-up serves all that joins the queue before it is read. */
	if (first)
		(void)eventfd_write(l->wake_fd, 1);
}

static void
post_to_loop(void *to, void (*fn)(void *arg), void *arg)
{
	loop_post(to, fn, arg);
}

struct post
loop_poster(struct loop *l)
{
	return (struct post){ post_to_loop, l };
}

static void *
loop_thread(void *arg)
{
	loop_run(arg);
	return NULL;
}

int
loop_spawn(struct loop *l, struct err *e)
{
	sigset_t all, old;
	int rc;

	/* Signals belong to the main thread's loop. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	rc = pthread_create(&l->thread, NULL, loop_thread, l);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		errno = rc;
		return err_errno(e, ERR_LOCAL, "loop: thread");
	}
	l->spawned = true;
	return 0;
}

void
loop_join(struct loop *l)
{
	if (!l->spawned)
		return;
	loop_stop(l);
	pthread_join(l->thread, NULL);
	l->spawned = false;
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct timer *t = arg;

	(void)fd;
	(void)what;
	t->fn(t->arg);
}

struct timer *
timer_new(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct timer *t = xmalloc(sizeof(*t));

	t->fn = fn;
	t->arg = arg;
	/* Fails for want of memory only. */
	if ((t->ev = evtimer_new(l->base, on_timer, t)) == NULL)
		abort();
	return t;
}

void
timer_set(struct timer *t, uint64_t ms)
{
	struct timeval tv = { (time_t)(ms / 1000),
		(suseconds_t)(ms % 1000 * 1000) };

	evtimer_add(t->ev, &tv);
}

void
timer_clear(struct timer *t)
{
	evtimer_del(t->ev);
}

void
timer_free(struct timer *t)
{
	if (t == NULL)
		return;
	event_free(t->ev);
	free(t);
}

static void
on_signal(evutil_socket_t signo, short what, void *arg)
{
	struct sig *s = arg;

	(void)signo;
	(void)what;
	s->fn(s->arg);
}

int
loop_signal(
    struct loop *l, int signo, void (*fn)(void *arg), void *arg, struct err *e)
{
	AUTO(void) mem = NULL;
	struct sig *s;

	s = mem = xcalloc(1, sizeof(*s));
	s->fn = fn;
	s->arg = arg;
	if ((s->ev = evsignal_new(l->base, signo, on_signal, s)) == NULL)
		return err_set(e, ERR_LOCAL, "loop: signal %d", signo);
	if (event_add(s->ev, NULL) == -1) {
		event_free(s->ev);
		return err_set(e, ERR_LOCAL, "loop: signal %d", signo);
	}
	s->next = l->sigs;
	l->sigs = STEAL(mem);
	return 0;
}
