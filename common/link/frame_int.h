/*
 * Inside of the frames, for frame*.c alone.
 *
 *  frame.c         the types, and how they are read
 *  frame_write.c   how they are written; the carry socket's framing
 *  frame_signed.c  what is signed in them: HELLO's body, DATA's manifest
 */
#ifndef WAYBILL_LINK_FRAME_INT_H
#define WAYBILL_LINK_FRAME_INT_H

#include "common/base/cbor.h"
#include "common/link/frame.h"

#define HEAD_ITEMS 3 /* version, type, tag */
#define BODY_ITEMS 5 /* at most, behind them */
#define WAIT_MAX   LIMIT_FRAME_WAIT
#define RETRY_MAX  86400
#define CREDIT_MAX LIMIT_FRAME_CREDIT

/* Of the whole array; a type that exists. */
size_t frame_items(enum frame_type t);
void frame_read_name(struct cbor_in *in, char ret[ENTRY_NAME_MAX]);
void frame_read_data_name(struct cbor_in *in, char ret[FRAME_DATA_NAME]);
/* Names come from configuration and from certificates, checked there. */
void frame_write_name(struct buf *out, const char *name);
void frame_write_start(enum frame_type type, uint64_t tag, struct buf *out);

#endif
