/* A configuration file, read by the registrar's table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/str.h"
#include "registrar/reg_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file in memory, by a name that conf_load can open. */
static int
memory_file(const void *p, size_t n, char path[32])
{
	int fd = memfd_create("conf", MFD_CLOEXEC);

	if (fd == -1 || (n > 0 && write(fd, p, n) != (ssize_t)n))
		abort();
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return fd;
}

/* What --print-config says is read back, and says the same again. */
static void
print_and_read_back(const char *path, struct reg_conf *c)
{
	struct buf first AUTO_BUF = { 0 };
	struct reg_conf again = { 0 };
	struct err e = ERR_INIT;
	char printed[32];
	int fd;

	conf_print(path, reg_conf_table, c, &first);
	fd = memory_file(first.data, first.len, printed);
	if (conf_load(printed, reg_conf_table, &again, &e) == -1)
		err_die(e.msg);
	if (again.deadline != c->deadline || again.listen.n != c->listen.n ||
	    strcmp(again.site, c->site) != 0 ||
	    strcmp(again.key, c->key) != 0 ||
	    again.store.map_size != c->store.map_size)
		abort();
	conf_free(reg_conf_table, &again);
	close(fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reg_conf c = { 0 };
	struct err e = ERR_INIT;
	char path[32];
	int fd = memory_file(data, size, path);

	if (conf_load(path, reg_conf_table, &c, &e) == 0) {
		print_and_read_back(path, &c);
		conf_free(reg_conf_table, &c);
	} else if (e.kind != ERR_CONF || c.site != NULL || c.listen.v != NULL ||
	    c.vendors.v != NULL || c.store.directory != NULL)
		abort();
	close(fd);
	return 0;
}
