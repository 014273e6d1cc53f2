/* What bench_link.c holds a drain against; ceiling_nng.c. */
#ifndef WAYBILL_TESTS_CEILING_NNG_H
#define WAYBILL_TESTS_CEILING_NNG_H

#define NNG_OUTSTANDING 64
#define NNG_REQUEST	2048 /* octets; a PUT has more, a receipt too */
#define NNG_REPLY	64

#endif
