/* The NULL mechanism (RFC 23): each side sends READY as soon as it can. */
#include "zmtp/peer_impl.h"

enum dw_act dw_null_await_ready(struct dw_zmtp_peer *p, struct dw_effect *fx)
{
    uint8_t flags, *body;
    size_t size;
    int rc = dw_zmtp_take_frame(p, DW_ZMTP_HANDSHAKE_BYTES, &flags, &body, &size);
    if (rc < 0)
        return dw_zmtp_fail(p, fx);
    if (rc == 0)
        return DW_NEED;
    struct dw_span name, rest;
    if (!(flags & DW_WIRE_COMMAND))
        return dw_zmtp_refuse(p, fx, DW_ERROR_PROTOCOL, "expected READY, got a message");
    if (dw_command_parse(p->dialect, dw_span_make(body, size), &name, &rest, &p->why) < 0)
        return dw_zmtp_fail(p, fx);
    if (!dw_span_equal(name, DW_SPAN_OF("READY")))
        return dw_zmtp_unexpected(p, fx, name, rest, "READY");
    return dw_zmtp_take_ready(p, fx, rest);
}

int dw_null_send_ready(struct dw_zmtp_peer *p)
{
    struct dw_buf *out = &p->machine.out;
    struct dw_span meta = dw_buf_span(&p->ready);
    size_t start = dw_buf_len(out);
    if (dw_frame_begin(out, DW_WIRE_COMMAND, dw_command_name_size(p->dialect, "READY") + meta.len) < 0 ||
        dw_command_name(out, p->dialect, "READY") < 0 || dw_buf_put(out, meta) < 0) {
        dw_buf_cut(out, start);
        return dw_error_set(&p->why, DW_ERROR_INTERNAL, "out of memory");
    }
    p->sent_ready = true;
    dw_buf_free(&p->ready);
    return 0;
}
