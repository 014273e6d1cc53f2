#include "cli/queue.h"

#include "common/base/str.h"
#include "common/sys/control_json.h"

#define PAGE 500

static void
option_older(struct queue_query *q, const char *arg, struct argp_state *state)
{
	struct err e = ERR_INIT;
	uint64_t ms = 0;

	if (duration_parse(arg, &ms, &e) == -1)
		argp_error(state, "--older: %s", e.msg);
	q->older = ms < 1000 ? 1 : ms / 1000;
}

error_t
queue_option(
    int key, char *arg, struct argp_state *state, struct queue_query *q)
{
	struct err e = ERR_INIT;

	switch (key) {
	case QUEUE_OPT_STATE:
		q->state = arg;
		return 0;
	case QUEUE_OPT_KIND:
		q->kind = arg;
		return 0;
	case QUEUE_OPT_DEVICE:
		q->device = arg;
		return 0;
	case QUEUE_OPT_OLDER:
		option_older(q, arg, state);
		return 0;
	case QUEUE_OPT_HELD:
		q->held = true;
		return 0;
	case QUEUE_OPT_LATE:
		q->late = true;
		return 0;
	case QUEUE_OPT_LIMIT:
		if (number_parse(arg, 1, UINT32_MAX, &q->limit, &e) == -1)
			argp_error(state, "--limit: %s", e.msg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void
add_text(struct buf *path, const char *key, const char *value)
{
	if (value == NULL)
		return;
	buf_printf(path, "&%s=", key);
	control_query_escape(path, value);
}

static void
page_path(
    const struct queue_query *q, uint64_t first, uint64_t max, struct buf *path)
{
	buf_printf(path, "/v1/queue?first=%llu&max=%llu",
	    (unsigned long long)first, (unsigned long long)max);
	add_text(path, "state", q->state);
	add_text(path, "kind", q->kind);
	add_text(path, "device", q->device);
	if (q->older > 0)
		buf_printf(path, "&older=%llu", (unsigned long long)q->older);
	buf_add_str(path, q->held ? "&held=1" : "");
	buf_add_str(path, q->late ? "&late=1" : "");
}

/* *first becomes where the next page begins, 0 after the last. */
static int
ask_page(const char *socket, const struct queue_query *q, uint64_t max,
    uint64_t *first, json_t *all, struct err *e)
{
	struct buf path AUTO_BUF = { 0 };
	AUTO(json_t) page = NULL;
	uint64_t next;

	page_path(q, *first, max, &path);
	if ((page = ask_get(socket, buf_cstr(&path), e)) == NULL)
		return -1;
	json_array_extend(all, json_object_get(page, "entries"));
	next = ask_number(page, "next");
	/* Never back: an answer that repeats itself must not keep us. */
	*first = next > *first ? next : 0;
	return 0;
}

int
queue_ask(const char *socket, const struct queue_query *q, json_t *all,
    bool *ret_more, struct err *e)
{
	uint64_t first = 0, left = q->limit, max;
	size_t before;

	do {
		max = q->limit == 0 || left > PAGE ? PAGE : left;
		before = json_array_size(all);
		if (ask_page(socket, q, max, &first, all, e) == -1)
			return -1;
		left -= json_array_size(all) - before;
	} while (first != 0 && (q->limit == 0 || left > 0));
	*ret_more = first != 0;
	return 0;
}
