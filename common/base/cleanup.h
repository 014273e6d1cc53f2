/*
 * AUTO(name) declares a pointer that frees itself at the end of its scope;
 * STEAL(p) hands it on and leaves NULL behind.  Never a goto in a function
 * that has an AUTO: it would jump over the initialisation.
 */
#ifndef WAYBILL_BASE_CLEANUP_H
#define WAYBILL_BASE_CLEANUP_H

#include <stdlib.h>
#include <stdio.h>
#include <unistd.h>

#define WARN_UNUSED  __attribute__((warn_unused_result))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Teaches AUTO(name) to own a `type *` that `free_fn` frees (NULL is fine). */
#define AUTO_DEFINE(name, type, free_fn) \
	typedef type *auto_##name; \
	static inline void auto_free_##name(auto_##name *p) \
	{ \
		free_fn(*p); \
	} \
	struct auto_##name##_needs_a_semicolon

#define AUTO(name) __attribute__((cleanup(auto_free_##name))) auto_##name

#define STEAL(p) \
	__extension__({ \
		__typeof__(p) stolen_ = (p); \
		(p) = NULL; \
		stolen_; \
	})

AUTO_DEFINE(char, char, free);
AUTO_DEFINE(void, void, free);

static inline void
file_autoclose(FILE *f)
{
	if (f != NULL)
		fclose(f);
}
AUTO_DEFINE(FILE, FILE, file_autoclose);

/* AUTO_FD fd = -1; closes itself. */
static inline void
fd_autoclose(int *fd)
{
	if (*fd != -1)
		close(*fd);
}
#define AUTO_FD __attribute__((cleanup(fd_autoclose))) int

static inline int
fd_steal(int *fd)
{
	int r = *fd;

	*fd = -1;
	return r;
}

#define NELEMS(a) (sizeof(a) / sizeof((a)[0]))

#endif
