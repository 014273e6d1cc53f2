/* The command line of lossy_proxy, whose top comment says what each means. */
#ifndef WAYBILL_TESTS_LOSSY_OPTIONS_H
#define WAYBILL_TESTS_LOSSY_OPTIONS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* Times in ms; 0: never. */
struct lossy {
	struct sockaddr_in listen, to;
	uint64_t seed, cut_every, cut_after, cuts, half_open;
	uint64_t stall_every, stall;
	uint64_t rate; /* octets a second, 0: as fast as it goes */
	bool down;
};

/* Ends the program with 2 if they make no sense; draws a seed if none is
 * given. */
void lossy_options(struct lossy *c, char **arg);

#endif
