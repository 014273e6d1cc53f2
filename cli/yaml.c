#include "cli/yaml.h"

#include <dirent.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/str.h"

/* JSON's strings are YAML's: but json_format ends its text with a newline. */
static void
add_quoted(struct buf *out, const char *text)
{
	AUTO(json_t) j = json_string(text);
	struct buf quoted AUTO_BUF = { 0 };

	if (j == NULL) /* not UTF-8: a path may be anything */
		j = json_string("?");
	json_format(&quoted, j);
	buf_add(out, quoted.data, quoted.len - 1);
}

void
yaml_text(struct buf *out, unsigned indent, const char *key, const char *value)
{
	buf_printf(out, "%*s%s: ", (int)(2 * indent), "", key);
	add_quoted(out, value);
	buf_add_str(out, "\n");
}

void
yaml_file(struct buf *out, unsigned indent, const char *key,
    const struct folder *f, const char *name)
{
	AUTO(char) path = folder_path(f, name, "");

	yaml_text(out, indent, key, path);
}

void
yaml_list(
    struct buf *out, unsigned indent, const char *key, const json_t *texts)
{
	int spaces = (int)(2 * indent);
	size_t i;

	buf_printf(out, "%*s%s:\n", spaces, "", key);
	for (i = 0; i < json_array_size(texts); i++) {
		buf_printf(out, "%*s  - ", spaces, "");
		add_quoted(out, json_string_value(json_array_get(texts, i)));
		buf_add_str(out, "\n");
	}
}

/* malloc'd: what stands before ".pem", if it is a vendor's name, else NULL. */
static char *
vendor_of(const char *file)
{
	AUTO(char) name = xstrdup(file);
	size_t n = strlen(name);

	if (n <= strlen(".pem") || strcmp(name + n - 4, ".pem") != 0)
		return NULL;
	name[n - 4] = '\0';
	return name_valid(name) ? STEAL(name) : NULL;
}

static int
is_vendor(const struct dirent *d)
{
	AUTO(char) name = vendor_of(d->d_name);

	return name != NULL;
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

void
yaml_vendor_file(struct buf *out, const struct folder *f, const char *key,
    const char *name, const char *suffix)
{
	AUTO(char) file = path_join("vendors", name);
	AUTO(char) path = folder_path(f, file, suffix);

	if (folder_has(f, file, suffix))
		yaml_text(out, 2, key, path);
}

int
yaml_vendors(struct buf *out, const struct folder *f,
    void (*more)(struct buf *out, const struct folder *f, const char *name,
	const void *arg),
    const void *arg, struct err *e)
{
	AUTO(char) dir = folder_path(f, "vendors", "");
	struct dirent **found;
	int i, n;

	if (!folder_has(f, "vendors", "")) {
		buf_add_str(out, "vendors: []\n");
		return 0;
	}
	if ((n = scandir(dir, &found, is_vendor, by_name)) == -1)
		return err_errno(e, ERR_LOCAL, "%s", dir);
	buf_add_str(out, n > 0 ? "vendors:\n" : "vendors: []\n");
	for (i = 0; i < n; i++) {
		AUTO(char) name = vendor_of(found[i]->d_name);

		buf_printf(out, "  - name: %s\n", name);
		yaml_vendor_file(out, f, "anchor", name, ".pem");
		if (more != NULL)
			more(out, f, name, arg);
		free(found[i]);
	}
	free(found);
	return 0;
}
