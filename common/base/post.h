/* How a thread hands work to another thread's loop, without knowing what the
 * loop is made of: queue posts results, sys/loop receives them. */
#ifndef WAYBILL_BASE_POST_H
#define WAYBILL_BASE_POST_H

struct post {
	/* Runs fn(arg) soon on the thread of `to`.  Callable from any thread;
	 * never blocks for long, never fails. */
	void (*post)(void *to, void (*fn)(void *arg), void *arg);
	void *to;
};

#endif
