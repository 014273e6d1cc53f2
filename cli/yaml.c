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
yaml_list(struct buf *out, const char *key, const json_t *texts)
{
	size_t i;

	buf_printf(out, "%s:\n", key);
	for (i = 0; i < json_array_size(texts); i++) {
		buf_add_str(out, "  - ");
		add_quoted(out, json_string_value(json_array_get(texts, i)));
		buf_add_str(out, "\n");
	}
}

static int
is_vendor(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return d->d_name[0] != '.' && n > strlen(".pem") &&
	    strcmp(d->d_name + n - strlen(".pem"), ".pem") == 0;
}

int
yaml_vendors(struct buf *out, const struct folder *f, struct err *e)
{
	AUTO(char) dir = folder_path(f, "vendors", "");
	struct dirent **found;
	int i, n;

	if (!folder_has(f, "vendors", "")) {
		buf_add_str(out, "vendors: []\n");
		return 0;
	}
	if ((n = scandir(dir, &found, is_vendor, alphasort)) == -1)
		return err_errno(e, ERR_LOCAL, "%s", dir);
	buf_add_str(out, n > 0 ? "vendors:\n" : "vendors: []\n");
	for (i = 0; i < n; i++) {
		AUTO(char) path = path_join(dir, found[i]->d_name);

		found[i]->d_name[strlen(found[i]->d_name) - 4] = '\0';
		buf_printf(out, "  - name: %s\n", found[i]->d_name);
		yaml_text(out, 2, "anchor", path);
		free(found[i]);
	}
	free(found);
	return 0;
}
