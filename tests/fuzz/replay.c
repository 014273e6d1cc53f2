/* Feeds every file of a corpus to a fuzz target, without a fuzzer: what was
 * found once is tried with every compiler, in every run of the tests. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/file.h"

#define INPUT_MAX (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
replay_file(const char *dir, const char *name)
{
	AUTO(char) path = path_join(dir, name);
	struct buf in AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	/* Before the target runs: it may not come back. */
	printf("%s\n", name);
	fflush(stdout);
	if (file_read(path, INPUT_MAX, &in, &e) == -1) {
		fprintf(stderr, "%s\n", e.msg);
		return -1;
	}
	return LLVMFuzzerTestOneInput(in.data, in.len);
}

int
main(int argc, char **argv)
{
	struct dirent *entry;
	unsigned n = 0;
	DIR *dir;

	if (argc != 2 || (dir = opendir(argv[1])) == NULL) {
		fprintf(stderr, "usage: replay DIR\n");
		return 2;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		if (replay_file(argv[1], entry->d_name) != 0)
			return 1;
		n++;
	}
	closedir(dir);
	printf("%u inputs\n", n);
	/* An empty folder is the wrong folder. */
	return n > 0 ? 0 : 1;
}
