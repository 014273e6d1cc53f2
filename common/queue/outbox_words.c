#include <assert.h>
#include <string.h>

#include "common/base/cbor.h"
#include "common/base/str.h"
#include "common/queue/outbox_int.h"

/* Also where the rows' version is too new, this is what a reader would see. */
#define WORDS_FORMAT 2

static void
read_peer(struct cbor_in *in, struct outbox_peer *p)
{
	cbor_read_array(in, 5);
	cbor_read_text(in, p->service, sizeof(p->service));
	cbor_read_fixed(in, p->epoch, sizeof(p->epoch));
	p->seq = cbor_read_uint(in, UINT64_MAX);
	p->seen.seq = cbor_read_uint(in, UINT64_MAX);
	cbor_read_fixed(in, p->seen.hash.b, DIGEST_LEN);
}

int
outbox_words_parse(struct bytes text, struct outbox_words *ret, struct err *e)
{
	struct outbox_words w = { .watermark = 1 };
	struct cbor_in in;
	uint64_t format;
	size_t i;

	if (text.len == 0) {
		*ret = w;
		return 0;
	}
	cbor_read_init(&in, text, "words of the outbox");
	cbor_read_array(&in, 7);
	format = cbor_read_uint(&in, UINT64_MAX);
	if (in.bad == NULL && format != WORDS_FORMAT)
		return err_set(e, ERR_DAMAGE,
		    "words of the outbox: format %llu, this program knows %d",
		    (unsigned long long)format, WORDS_FORMAT);
	w.n_peers = cbor_read_array_upto(&in, 0, PEERS_MAX);
	for (i = 0; i < w.n_peers; i++)
		read_peer(&in, &w.peers[i]);
	w.watermark = cbor_read_uint(&in, UINT64_MAX);
	w.floor = cbor_read_uint(&in, UINT64_MAX);
	w.renewal = (unsigned)cbor_read_uint(&in, UINT32_MAX);
	cbor_read_fixed(&in, w.nonce_key, sizeof(w.nonce_key));
	cbor_read_text(&in, w.suspended, sizeof(w.suspended));
	if (cbor_read_end(&in, e) == 0) {
		*ret = w;
		return 0;
	}
	if (e != NULL)
		e->kind = ERR_DAMAGE;
	return -1;
}

void
outbox_words_format(const struct outbox_words *w, struct buf *out)
{
	const struct outbox_peer *p;
	size_t i;

	cbor_write_array(out, 7);
	cbor_write_uint(out, WORDS_FORMAT);
	cbor_write_array(out, w->n_peers);
	for (i = 0; i < w->n_peers; i++) {
		p = &w->peers[i];
		cbor_write_array(out, 5);
		cbor_write_text(out, p->service);
		cbor_write_bytes(out, p->epoch, sizeof(p->epoch));
		cbor_write_uint(out, p->seq);
		cbor_write_uint(out, p->seen.seq);
		cbor_write_bytes(out, p->seen.hash.b, DIGEST_LEN);
	}
	cbor_write_uint(out, w->watermark);
	cbor_write_uint(out, w->floor);
	cbor_write_uint(out, w->renewal);
	cbor_write_bytes(out, w->nonce_key, sizeof(w->nonce_key));
	cbor_write_text(out, w->suspended);
}

int
outbox_words_read(struct store_txn *t, struct outbox_words *ret, struct err *e)
{
	return outbox_words_parse(store_user(t), ret, e);
}

void
outbox_words_write(struct store_txn *t, const struct outbox_words *w)
{
	struct buf text AUTO_SECRET = { 0 };

	buf_grow(&text, STORE_USER_MAX);
	buf_reset(&text);
	outbox_words_format(w, &text);
	assert(text.len <= STORE_USER_MAX);
	store_set_user(t, buf_bytes(&text));
}

struct outbox_peer *
outbox_words_peer(struct outbox_words *w, const char *service)
{
	struct outbox_peer *p;
	size_t i;

	for (i = 0; i < w->n_peers; i++)
		if (strcmp(w->peers[i].service, service) == 0)
			return &w->peers[i];
	if (w->n_peers == PEERS_MAX)
		return NULL;
	p = &w->peers[w->n_peers++];
	*p = (struct outbox_peer){ 0 };
	str_copy(p->service, sizeof(p->service), service);
	return p;
}

/* ---- what readers ask for --------------------------------------------- */

struct peer_job {
	const char *service;
	struct outbox_peer *ret;
};

static int
peer_run(struct store_txn *t, void *arg, struct err *e)
{
	struct peer_job *j = arg;
	const struct outbox_peer *p;
	struct outbox_words w;

	if (outbox_words_read(t, &w, e) == -1)
		return -1;
	p = outbox_words_peer(&w, j->service);
	*j->ret = p != NULL ? *p : (struct outbox_peer){ 0 };
	return 0;
}

int
outbox_peer(struct outbox *o, const char *service, struct outbox_peer *ret,
    struct err *e)
{
	struct outbox_peer found;
	struct peer_job j = { service, &found };

	if (store_read(o->store, peer_run, &j, e) == -1)
		return -1;
	str_copy(found.service, sizeof(found.service), service);
	*ret = found;
	return 0;
}
