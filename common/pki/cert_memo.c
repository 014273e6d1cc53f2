#include "common/pki/cert_memo.h"

#include <pthread.h>

#include "common/pki/sign.h"

#define PLACES 128

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t uses;
static struct place {
	struct digest der;
	uint64_t used; /* as `uses` was; 0: nothing is here */
	X509 *x;
} places[PLACES];

/* NULL if it is not here. */
static struct place *
find(const struct digest *der)
{
	for (size_t i = 0; i < PLACES; i++)
		if (places[i].used != 0 && digest_eq(&places[i].der, der))
			return &places[i];
	return NULL;
}

static struct place *
oldest(void)
{
	struct place *p = places;

	for (size_t i = 1; i < PLACES; i++)
		if (places[i].used < p->used)
			p = &places[i];
	return p;
}

static void
up_ref(X509 *x)
{
	if (X509_up_ref(x) != 1)
		err_die("out of memory");
}

/* NULL if it is not remembered. */
static X509 *
get(const struct digest *der)
{
	struct place *p;
	X509 *x = NULL;

	pthread_mutex_lock(&lock);
	if ((p = find(der)) != NULL) {
		p->used = ++uses;
		up_ref(x = p->x);
	}
	pthread_mutex_unlock(&lock);
	return x;
}

/* i2d_X509(x) has this digest. */
static void
keep(const struct digest *der, X509 *x)
{
	struct place *p;
	X509 *gone = NULL;

	pthread_mutex_lock(&lock);
	if ((p = find(der)) == NULL) {
		p = oldest();
		gone = p->x;
		up_ref(x);
		*p = (struct place){ .der = *der, .x = x };
	}
	p->used = ++uses;
	pthread_mutex_unlock(&lock);
	X509_free(gone);
}

X509 *
cert_memo_parse(struct bytes der, struct err *e)
{
	struct digest d = digest_of(der.p, der.len);
	X509 *x = get(&d);

	if (x == NULL && (x = ossl_cert_parse(der, e)) != NULL)
		keep(&d, x);
	return x;
}

static void
keep_one(X509 *x)
{
	struct digest d = cert_digest(x);

	keep(&d, x);
}

void
cert_memo_keep(X509 *x, const STACK_OF(X509) * chain)
{
	if (x != NULL)
		keep_one(x);
	for (int i = 0; i < sk_X509_num(chain); i++)
		keep_one(sk_X509_value(chain, i));
}

void
cert_memo_share(STACK_OF(X509) * chain)
{
	for (int i = 0; i < sk_X509_num(chain); i++) {
		X509 *x = sk_X509_value(chain, i);
		struct digest d = cert_digest(x);
		X509 *same = get(&d);

		if (same == NULL) {
			keep(&d, x);
			continue;
		}
		sk_X509_set(chain, i, same);
		X509_free(x);
	}
}
