/* Seeds of fuzz_crl: lists as makers publish them. */
#include <openssl/x509v3.h>

#include "common/pki/crl.h"
#include "tests/fuzz/make_corpus.h"

static void
crl_make(struct fixture *f, const struct crl_spec *spec, struct buf *out)
{
	struct buf tbs AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	check(crl_tbs(spec, f->sub, &tbs, &e), &e);
	check(sign_octets(f->sub_key, buf_bytes(&tbs), "list", &sig, &e), &e);
	check(
	    crl_finish(buf_bytes(&tbs), buf_bytes(&sig), f->sub, out, &e), &e);
}

static void
crl_seed(struct fixture *f, const char *name, const struct crl_spec *spec)
{
	struct buf out AUTO_BUF = { 0 };

	crl_make(f, spec, &out);
	seed_buf("crl", name, &out);
}

/* With one extension more, or of version 1 with none (value NULL). */
static void
crl_other_seed(struct fixture *f, const char *name, const struct crl_spec *spec,
    int nid, const char *value)
{
	struct buf out AUTO_BUF = { 0 };
	AUTO(X509_CRL) crl = NULL;
	X509_EXTENSION *x = NULL;
	struct err e = ERR_INIT;
	uint8_t *p;

	crl_make(f, spec, &out);
	crl = crl_parse(buf_bytes(&out), &e);
	if (value != NULL) {
		x = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
		check(X509_CRL_add_ext(crl, x, -1) == 1 ? 0 : -1, &e);
	} else {
		while (X509_CRL_get_ext_count(crl) > 0)
			X509_EXTENSION_free(X509_CRL_delete_ext(crl, 0));
		check(X509_CRL_set_version(crl, 0) == 1 ? 0 : -1, &e);
	}
	X509_EXTENSION_free(x);
	X509_CRL_sign(crl, f->sub_key, EVP_sha256());
	buf_reset(&out);
	p = buf_grow(&out, (size_t)i2d_X509_CRL(crl, NULL));
	i2d_X509_CRL(crl, &p);
	seed_buf("crl", name, &out);
}

void
crl_seeds(struct fixture *f)
{
	static const uint8_t one[] = { 1 }, long_one[20] = { 0x7f };
	const struct crl_entry entries[] = {
		{ { one, sizeof(one) }, 1700000000, 1 },
		{ { long_one, sizeof(long_one) }, 2600000000, 0 },
	};
	struct crl_spec spec = { .this_update = 1700000000,
		.next_update = 1900000000,
		.number = 7,
		.entries = entries,
		.n = 2 };

	crl_seed(f, "two", &spec);
	crl_other_seed(f, "critical", &spec, NID_issuing_distribution_point,
	    "critical,onlyuser:TRUE");
	crl_other_seed(f, "delta", &spec, NID_delta_crl, "critical,DER:020106");
	spec.entries = &entries[1];
	spec.n = 1;
	crl_other_seed(f, "version-1", &spec, 0, NULL);
	spec.n = 0;
	spec.next_update = 2600000000; /* GeneralizedTime */
	crl_seed(f, "nobody", &spec);
}
