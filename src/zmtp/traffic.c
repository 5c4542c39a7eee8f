/* Messages both ways, once READY has been exchanged.  See peer.h for how subscriptions travel. */
#include "zmtp/peer_impl.h"

enum { INNER_MORE = 1, INNER_COMMAND = 2, INNER_SUBSCRIBE = 4, INNER_CANCEL = 8, INNER_RESERVED = 0xf0 };

/* MESSAGE, its token's size, the token's own overhead: RFC 4121 needs 60 with AES, others less than this. */
#define WRAP_OVERHEAD 512
#define MESSAGE_HEAD 12

static bool is_wrapped(const struct dw_zmtp_peer *p)
{
    return p->options.role != DW_ZMTP_NULL && !p->options.plaintext;
}

int dw_zmtp_unwrap(struct dw_zmtp_peer *p, uint8_t *body, size_t size, uint8_t *flags, struct dw_span *plain)
{
    struct dw_span name, rest, token;
    if (dw_command_parse(p->dialect, dw_span_make(body, size), &name, &rest, &p->why) < 0)
        return -1;
    if (!dw_span_equal(name, DW_SPAN_OF("MESSAGE")))
        return dw_error_set(&p->why, DW_ERROR_PROTOCOL, "expected MESSAGE, got command %.*s", (int)name.len,
                            (const char *)name.at);
    if (dw_command_token(rest, &token, &p->why) < 0)
        return -1;
    if (dw_context_unwrap(p->context, body + (token.at - body), token.len, plain, &p->why) < 0)
        return -1;
    if (plain->len == 0)
        return dw_error_set(&p->why, DW_ERROR_PROTOCOL, "a wrapped message without even its flags");
    *flags = plain->at[0];
    if (*flags & INNER_RESERVED)
        return dw_error_set(&p->why, DW_ERROR_PROTOCOL, "reserved bits set in a wrapped message's flags %02x",
                            *flags);
    *plain = dw_span_make(plain->at + 1, plain->len - 1);
    return 0;
}

int dw_zmtp_wrap(struct dw_zmtp_peer *p, uint8_t outer, uint8_t flags, struct dw_span head, struct dw_span body,
                 struct dw_error *err)
{
    struct dw_buf *out = &p->machine.out;
    uint8_t prefix[24];
    size_t start = dw_buf_len(out), wrapped = dw_context_wrapped_size(p->context, 1 + head.len + body.len);
    if (wrapped > UINT32_MAX)
        return dw_error_set(err, DW_ERROR_LIMIT, "a message part of %zu octets does not fit into MESSAGE",
                            body.len);
    prefix[0] = flags;
    memcpy(prefix + 1, head.at, head.len);
    if (dw_frame_begin(out, outer, MESSAGE_HEAD + wrapped) < 0 || dw_command_name(out, p->dialect, "MESSAGE") < 0 ||
        dw_buf_put_u32(out, (uint32_t)wrapped) < 0) {
        dw_buf_cut(out, start);
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    }
    size_t before = dw_buf_len(out);
    if (dw_context_wrap(p->context, dw_span_make(prefix, 1 + head.len), body, out, err) < 0) {
        dw_buf_cut(out, start);
        return -1;
    }
    if (dw_buf_len(out) - before != wrapped) {
        dw_buf_cut(out, start);
        return dw_error_set(err, DW_ERROR_INTERNAL, "gss_wrap gave another size than it had announced");
    }
    return 0;
}

/* RFC 37: PING has a 2-octet TTL in tenths of a second and up to 16 octets of context, PONG the context. */
static enum dw_act take_heartbeat(struct dw_zmtp_peer *p, struct dw_effect *fx, bool is_ping, struct dw_span rest)
{
    struct dw_reader r = dw_reader_make(rest);
    unsigned ttl = is_ping ? dw_reader_u16(&r) : 0;
    if (r.failed || dw_reader_left(&r) > 16)
        return dw_zmtp_refuse(p, fx, DW_ERROR_PROTOCOL, "a malformed %s", is_ping ? "PING" : "PONG");
    if (is_ping)
        p->ttl = ttl * 100;
    memcpy(p->small, is_ping ? "\4PING" : "\4PONG", 5);
    memcpy(p->small + 5, rest.at, rest.len);
    fx->frame = (struct dw_frame){DW_FRAME_COMMAND, dw_span_make(p->small, 5 + rest.len)};
    return DW_DATA;
}

static bool is_of_handshake(struct dw_span name)
{
    return dw_span_equal(name, DW_SPAN_OF("READY")) || dw_span_equal(name, DW_SPAN_OF("INITIATE")) ||
           dw_span_equal(name, DW_SPAN_OF("HELLO"));
}

/* DW_NEED here means: nothing for the other side, look at the next frame. */
static enum dw_act take_command(struct dw_zmtp_peer *p, struct dw_effect *fx, struct dw_span command)
{
    struct dw_span name, rest;
    if (dw_command_parse(p->dialect, command, &name, &rest, &p->why) < 0)
        return dw_zmtp_fail(p, fx);
    if (dw_span_equal(name, DW_SPAN_OF("PING")) || dw_span_equal(name, DW_SPAN_OF("PONG")))
        return take_heartbeat(p, fx, name.at[1] == 'I', rest);
    bool subscribe = dw_span_equal(name, DW_SPAN_OF("SUBSCRIBE"));
    if ((subscribe || dw_span_equal(name, DW_SPAN_OF("CANCEL"))) && p->kind != DW_KIND_OTHER) {
        fx->frame = (struct dw_frame){subscribe ? DW_FRAME_SUBSCRIBE : DW_FRAME_CANCEL, rest};
        return DW_DATA;
    }
    if (dw_span_equal(name, DW_SPAN_OF("ERROR")) || is_of_handshake(name))
        return dw_zmtp_unexpected(p, fx, name, rest, "traffic");
    /* RFC 23: a command that is not known is passed over. */
    return DW_NEED;
}

static enum dw_act take_message(struct dw_zmtp_peer *p, struct dw_effect *fx, unsigned inner, struct dw_span body)
{
    fx->frame = (struct dw_frame){inner & INNER_MORE ? DW_FRAME_MORE : 0, body};
    if (p->kind == DW_KIND_OTHER && inner > INNER_MORE)
        return dw_zmtp_refuse(p, fx, DW_ERROR_PROTOCOL, "a subscription from a socket that is no SUB or XSUB");
    if (p->kind == DW_KIND_OTHER)
        return DW_DATA;
    if (inner & (INNER_SUBSCRIBE | INNER_CANCEL)) {
        fx->frame.flags = inner & INNER_SUBSCRIBE ? DW_FRAME_SUBSCRIBE : DW_FRAME_CANCEL;
        return DW_DATA;
    }
    if (p->kind == DW_KIND_XSUB)
        return DW_DATA;
    if (inner & INNER_MORE)
        return dw_zmtp_refuse(p, fx, DW_ERROR_PROTOCOL, "a multipart message from a SUB");
    /* Before 3.1 libzmq led a topic with an octet itself, so there GSSAPI did not lose it. */
    bool bare = p->minor >= 1 || body.len == 0 || body.at[0] > 1;
    if (is_wrapped(p) && bare) {
        fx->frame.flags = DW_FRAME_SUBSCRIBE;
        return DW_DATA;
    }
    if (body.len == 0 || body.at[0] > 1)
        return dw_zmtp_refuse(p, fx, DW_ERROR_PROTOCOL, "a message from a SUB that is no subscription");
    fx->frame.flags = body.at[0] ? DW_FRAME_SUBSCRIBE : DW_FRAME_CANCEL;
    fx->frame.body = dw_span_make(body.at + 1, body.len - 1);
    return DW_DATA;
}

static enum dw_act await_message(struct dw_zmtp_peer *p, struct dw_effect *fx)
{
    size_t limit = p->options.frame_bytes + (is_wrapped(p) ? MESSAGE_HEAD + WRAP_OVERHEAD : 0);
    for (;;) {
        uint8_t flags, *at;
        size_t size;
        int rc = dw_zmtp_take_frame(p, limit, &flags, &at, &size);
        if (rc <= 0)
            return rc < 0 ? dw_zmtp_fail(p, fx) : DW_NEED;
        struct dw_span body = dw_span_make(at, size);
        unsigned inner = (flags & DW_WIRE_MORE ? INNER_MORE : 0) | (flags & DW_WIRE_COMMAND ? INNER_COMMAND : 0);
        if (is_wrapped(p)) {
            uint8_t wrapped_flags;
            if (dw_zmtp_unwrap(p, at, size, &wrapped_flags, &body) < 0)
                return dw_zmtp_fail(p, fx);
            inner = wrapped_flags;
        }
        if (inner & (inner - 1))
            return dw_zmtp_refuse(p, fx, DW_ERROR_PROTOCOL, "flags %02x contradict one another", inner);
        if (body.len > p->options.frame_bytes)
            return dw_zmtp_refuse(p, fx, DW_ERROR_LIMIT, "a message part of %zu octets, over the limit of %zu",
                                  body.len, p->options.frame_bytes);
        enum dw_act act = inner & INNER_COMMAND ? take_command(p, fx, body) : take_message(p, fx, inner, body);
        if (act != DW_NEED)
            return act;
    }
}

enum dw_act dw_zmtp_await_open(struct dw_zmtp_peer *p, struct dw_effect *fx)
{
    if (p->options.role == DW_ZMTP_INITIATOR && dw_gssapi_send_ready(p) < 0)
        return dw_zmtp_fail(p, fx);
    if (!p->opened)
        return DW_NEED;
    p->state = await_message;
    return p->state(p, fx);
}

static int put_plain(struct dw_zmtp_peer *p, uint8_t flags, struct dw_span head, struct dw_span body,
                     struct dw_error *err)
{
    struct dw_buf *out = &p->machine.out;
    size_t start = dw_buf_len(out);
    uint8_t outer = (flags & INNER_MORE ? DW_WIRE_MORE : 0) | (flags & INNER_COMMAND ? DW_WIRE_COMMAND : 0);
    if (dw_frame_begin(out, outer, head.len + body.len) < 0 || dw_buf_put(out, head) < 0 ||
        dw_buf_put(out, body) < 0) {
        dw_buf_cut(out, start);
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    }
    return 0;
}

int dw_zmtp_push(struct dw_machine *m, struct dw_frame frame, struct dw_error *err)
{
    struct dw_zmtp_peer *p = dw_zmtp_peer_of(m);
    struct dw_span head = DW_SPAN_OF(""), body = frame.body;
    uint8_t flags = frame.flags & DW_FRAME_MORE ? INNER_MORE : 0;
    bool draft = p->dialect == DW_DIALECT_DRAFT;
    if (frame.flags & (DW_FRAME_SUBSCRIBE | DW_FRAME_CANCEL)) {
        bool subscribe = frame.flags & DW_FRAME_SUBSCRIBE;
        /* SUBSCRIBE does not fit into the draft's 8 octets; there, as in ZMTP 3.0, an octet leads the topic. */
        if (p->minor >= 1 && !draft) {
            head = subscribe ? DW_SPAN_OF("\x09SUBSCRIBE")
                             : DW_SPAN_OF("\x06"
                                          "CANCEL");
            flags = INNER_COMMAND;
        } else {
            head = subscribe ? DW_SPAN_OF("\1") : DW_SPAN_OF("\0");
        }
    } else if (frame.flags & DW_FRAME_COMMAND) {
        flags = INNER_COMMAND;
        if (draft && body.len >= 5) {
            head = body.at[2] == 'I' ? DW_SPAN_OF("PING    ") : DW_SPAN_OF("PONG    ");
            body = dw_span_make(body.at + 5, body.len - 5);
        }
    }
    return is_wrapped(p) ? dw_zmtp_wrap(p, 0, flags, head, body, err) : put_plain(p, flags, head, body, err);
}
