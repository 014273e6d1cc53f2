/* What ra.yaml may say of a profile. */
#include "ra/profile_int.h"

#include <stdio.h>
#include <string.h>
#include "common/base/str.h"
#include "common/link/frame.h"

#define OFF(m) offsetof(struct profile, m)

static const char *const cn_names[] = { "request", "serial", "fixed", NULL };
static const char *const san_names[] = { "none", "copy", NULL };
static const char *const others_names[] = { "ignore", "drop", "refuse", NULL };

static const char *const key_kinds[] = { "p256", "p384", "p521", "rsa",
	"ed25519", "ed448" };

static int
check_key_kind(const char *value, struct err *e)
{
	for (size_t i = 0; i < NELEMS(key_kinds); i++)
		if (strcmp(value, key_kinds[i]) == 0)
			return 0;
	return err_set(e, ERR_CONF, "'%s' is no kind of key", value);
}

static int
check_eku(const char *value, struct err *e)
{
	ASN1_OBJECT *o = OBJ_txt2obj(value, 0);
	bool ok = o != NULL && strpbrk(value, ", ") == NULL;

	ASN1_OBJECT_free(o);
	return ok ? 0 : err_set(e, ERR_CONF, "'%s' is no purpose", value);
}

static int
check_pattern(const char *value, struct err *e)
{
	if (str_starts(value, "DNS:") || str_starts(value, "IP:") ||
	    str_starts(value, "URI:"))
		return 0;
	return err_set(e, ERR_CONF, "DNS:, IP: or URI: and a pattern");
}

static const struct {
	const char *name;
	uint32_t bit;
} usages[] = {
	{ "digitalSignature", KU_DIGITAL_SIGNATURE },
	{ "nonRepudiation", KU_NON_REPUDIATION },
	{ "keyEncipherment", KU_KEY_ENCIPHERMENT },
	{ "dataEncipherment", KU_DATA_ENCIPHERMENT },
	{ "keyAgreement", KU_KEY_AGREEMENT },
};

/* 0 if one of them is no usage of a device's key. */
uint32_t
profile_usage_bits(const char *text)
{
	uint32_t bits = 0, one;

	while (*text != '\0') {
		size_t n = strcspn(text, ",");

		one = 0;
		for (size_t i = 0; i < NELEMS(usages); i++)
			if (strlen(usages[i].name) == n &&
			    memcmp(usages[i].name, text, n) == 0)
				one = usages[i].bit;
		if (one == 0)
			return 0;
		bits |= one;
		text += n + (text[n] == ',');
	}
	return bits;
}

static int
check_usage(const char *value, struct err *e)
{
	/* What signs no kur can never be renewed or revoked by its device. */
	if ((profile_usage_bits(value) & KU_DIGITAL_SIGNATURE) != 0)
		return 0;
	return err_set(e, ERR_CONF,
	    "key usages of a device with commas between, digitalSignature "
	    "among them");
}

const struct conf_item profile_table[] = {
	{ .key = "name",
	    .type = CONF_STR,
	    .off = OFF(name),
	    .min = 1,
	    .max = CMP_PROFILE_MAX,
	    .help = "as requests name it" },
	{ .key = "cn",
	    .type = CONF_ENUM,
	    .off = OFF(cn),
	    .def = "request",
	    .names = cn_names,
	    .help = "where the common name comes from" },
	{ .key = "common-name",
	    .type = CONF_STR,
	    .off = OFF(common_name),
	    .def = "",
	    .max = 64,
	    .help = "the common name, if it is fixed" },
	{ .key = "organization",
	    .type = CONF_STR,
	    .off = OFF(organization),
	    .def = "",
	    .max = 64,
	    .help = "O of subjects" },
	{ .key = "unit",
	    .type = CONF_STR,
	    .off = OFF(unit),
	    .def = "",
	    .max = 64,
	    .help = "OU of subjects" },
	{ .key = "san",
	    .type = CONF_ENUM,
	    .off = OFF(san),
	    .def = "none",
	    .names = san_names,
	    .help = "where subjectAltName comes from" },
	{ .key = "san-allowed",
	    .type = CONF_STRS,
	    .off = OFF(san_allowed),
	    .def = "",
	    .max = 32,
	    .check = check_pattern,
	    .help = "patterns of names that are copied" },
	{ .key = "key-usage",
	    .type = CONF_STR,
	    .off = OFF(key_usage),
	    .def = "digitalSignature",
	    .check = check_usage,
	    .help = "what the key may do" },
	{ .key = "ext-key-usage",
	    .type = CONF_STRS,
	    .off = OFF(ext_key_usage),
	    .def = "clientAuth",
	    .max = 16,
	    .check = check_eku,
	    .help = "what for" },
	{ .key = "keys",
	    .type = CONF_STRS,
	    .off = OFF(keys),
	    .def = "",
	    .max = NELEMS(key_kinds),
	    .check = check_key_kind,
	    .help = "kinds of keys that are certified" },
	{ .key = "others",
	    .type = CONF_ENUM,
	    .off = OFF(others),
	    .def = "refuse",
	    .names = others_names,
	    .help = "what is asked for and not foreseen" },
	{ .key = "lifetime",
	    .type = CONF_DUR,
	    .off = OFF(lifetime),
	    .def = "365d",
	    .min = 3600000,
	    .max = 36500ULL * 86400000,
	    .help = "of certificates" },
	{ .key = "max-live",
	    .type = CONF_INT,
	    .off = OFF(max_live),
	    .def = "0",
	    .max = 32,
	    .help = "certificates a device may have at a time; 0: no limit" },
	{ .key = "implicit-confirm",
	    .type = CONF_BOOL,
	    .off = OFF(implicit_confirm),
	    .def = "true",
	    .help = "devices that ask for it need not confirm" },
	{ .key = "ca-pubs",
	    .type = CONF_BOOL,
	    .off = OFF(ca_pubs),
	    .def = "false",
	    .help = "the root goes along in the first answer" },
	{ .key = NULL },
};

/* Sites are told of each profile under its name. */
static int
check_name(const char *name, struct err *e)
{
	char piece[sizeof(PROFILE_TEMPLATE) + CMP_PROFILE_MAX];

	snprintf(piece, sizeof(piece), PROFILE_TEMPLATE "%s", name);
	if (frame_data_name(piece))
		return 0;
	return err_set(e, ERR_CONF,
	    "profiles: '%s': a name has 1 to %zu of a-z A-Z 0-9 . _ -, and "
	    "does "
	    "not begin with a dot",
	    name, FRAME_DATA_NAME - sizeof(PROFILE_TEMPLATE));
}

int
profile_check(const struct conf_list *list, struct err *e)
{
	const struct profile *v = list->v;

	for (size_t i = 0; i < list->n; i++) {
		if (check_name(v[i].name, e) == -1)
			return -1;
		for (size_t k = 0; k < i; k++)
			if (strcmp(v[i].name, v[k].name) == 0)
				return err_set(e, ERR_CONF,
				    "profiles: %s stands there twice",
				    v[i].name);
		if (v[i].cn == PROFILE_CN_FIXED && v[i].common_name == NULL)
			return err_set(e, ERR_CONF,
			    "profiles: %s: a fixed cn needs common-name",
			    v[i].name);
	}
	return 0;
}
