/* Framing: see frame.h. */
#include "zmtp/frame.h"

int dw_frame_parse(struct dw_frame_header *header, struct dw_span bytes, size_t limit, struct dw_error *err)
{
    if (bytes.len < 1)
        return 0;
    uint8_t flags = bytes.at[0];
    if (flags & DW_WIRE_RESERVED)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "reserved bits set in frame flags %02x", flags);
    if ((flags & DW_WIRE_COMMAND) && (flags & DW_WIRE_MORE))
        return dw_error_set(err, DW_ERROR_PROTOCOL, "a command frame with the MORE flag");
    header->flags = flags;
    header->header = flags & DW_WIRE_LONG ? 9 : 2;
    if (bytes.len < header->header)
        return 0;
    struct dw_reader r = dw_reader_make(dw_span_make(bytes.at + 1, header->header - 1));
    uint64_t size = flags & DW_WIRE_LONG ? dw_reader_u64(&r) : dw_reader_u8(&r);
    if (size > limit)
        return dw_error_set(err, DW_ERROR_LIMIT, "a frame of %llu octets, over the limit of %zu",
                            (unsigned long long)size, limit);
    header->size = (size_t)size;
    return 1;
}

int dw_frame_begin(struct dw_buf *out, uint8_t flags, size_t size)
{
    uint8_t header[9];
    if (size <= 255) {
        header[0] = flags;
        header[1] = (uint8_t)size;
        return dw_buf_put(out, dw_span_make(header, 2));
    }
    header[0] = flags | DW_WIRE_LONG;
    dw_put_u64(header + 1, size);
    return dw_buf_put(out, dw_span_make(header, 9));
}
