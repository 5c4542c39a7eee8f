/* Framing (RFC 23): flags, size in one octet or eight, body. */
#ifndef DW_ZMTP_FRAME_H
#define DW_ZMTP_FRAME_H

#include "base/buf.h"
#include "base/error.h"

/* Flag octet on the wire. */
enum { DW_WIRE_MORE = 1, DW_WIRE_LONG = 2, DW_WIRE_COMMAND = 4, DW_WIRE_RESERVED = 0xf8 };

struct dw_frame_header {
    uint8_t flags;
    size_t header; /* octets that the header takes: 2 or 9 */
    size_t size; /* of the body */
};

/* 1 when the header is whole and good, 0 when more octets are needed, -1 with `err` told: reserved bits,
 * a command with MORE, or a body of more than `limit` octets. */
int dw_frame_parse(struct dw_frame_header *header, struct dw_span bytes, size_t limit, struct dw_error *err);

/* Appends the header of a frame with a body of `size` octets; `flags` without LONG.  -1: memory. */
int dw_frame_begin(struct dw_buf *out, uint8_t flags, size_t size);

#endif
