/* What tests/long/07-cppcheck reads before each file: macros of libraries whose
 * headers it does not see, in words that it understands. */
#define LIST_HEAD(name, type) \
	struct name { \
		struct type *lh_first; \
	}
#define LIST_ENTRY(type) \
	struct { \
		struct type *le_next, **le_prev; \
	}
#define TAILQ_HEAD(name, type) \
	struct name { \
		struct type *tqh_first, **tqh_last; \
	}
#define TAILQ_ENTRY(type) \
	struct { \
		struct type *tqe_next, **tqe_prev; \
	}
#define STAILQ_HEAD(name, type) \
	struct name { \
		struct type *stqh_first, **stqh_last; \
	}
#define STAILQ_ENTRY(type) \
	struct { \
		struct type *stqe_next; \
	}
#define STACK_OF(type) struct stack_st_##type
#define json_array_foreach(a, i, v) \
	for (i = 0; (v = json_array_get(a, i)) != NULL; i++)
#define json_object_foreach(o, k, v) \
	for (k = json_key(o); (v = json_object_get(o, k)) != NULL; \
	     k = json_key(o))
#define TAILQ_FOREACH(v, head, field) \
	for (v = (head)->tqh_first; v != NULL; v = v->field.tqe_next)
#define LIST_FOREACH(v, head, field) \
	for (v = (head)->lh_first; v != NULL; v = v->field.le_next)
/* It ends the process. */
#define err_die(why) abort()
