/*
 * One voucher request of a pledge (RFC 8995 5.2 to 5.6), from its octets to
 * the one answer it gets: the voucher, "later" (202), or a refusal of one
 * plain line.
 */
#ifndef WAYBILL_REGISTRAR_VCALL_H
#define WAYBILL_REGISTRAR_VCALL_H

#include "registrar/front.h"

#define VCALL_TYPE "application/voucher-cms+json"

void vcall_start(struct front *f, struct https_req *q);

#endif
