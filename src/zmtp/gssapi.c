/* The GSSAPI handshake, both sides (RFC 38 as libzmq puts it on the wire):
 *
 *   client  INITIATE token      server  INITIATE token      until the context is whole
 *   client  an empty command    server  READY               client  READY
 *
 * READY travels inside MESSAGE unless nothing is protected.  In the draft's literal form the client's
 * first command is HELLO and every name takes 8 octets, padded with spaces; the rest is the same. */
#include "zmtp/peer_impl.h"

static enum dw_act await_token(struct dw_zmtp_peer *p, struct dw_effect *fx);
static enum dw_act await_go_ahead(struct dw_zmtp_peer *p, struct dw_effect *fx);
static enum dw_act await_ready(struct dw_zmtp_peer *p, struct dw_effect *fx);

static bool is_protected(const struct dw_zmtp_peer *p)
{
    return !p->options.plaintext;
}

static int put_token(struct dw_zmtp_peer *p, const char *name, struct dw_span token)
{
    struct dw_buf *out = &p->machine.out;
    size_t start = dw_buf_len(out);
    if (dw_frame_begin(out, DW_WIRE_COMMAND, dw_command_name_size(p->dialect, name) + 4 + token.len) < 0 ||
        dw_command_name(out, p->dialect, name) < 0 || dw_buf_put_u32(out, (uint32_t)token.len) < 0 ||
        dw_buf_put(out, token) < 0) {
        dw_buf_cut(out, start);
        return dw_error_set(&p->why, DW_ERROR_INTERNAL, "out of memory");
    }
    return 0;
}

/* A handshake frame with the COMMAND flag. */
static int take_command(struct dw_zmtp_peer *p, uint8_t **body, size_t *size)
{
    uint8_t flags;
    int rc = dw_zmtp_take_frame(p, DW_ZMTP_HANDSHAKE_BYTES, &flags, body, size);
    if (rc > 0 && !(flags & DW_WIRE_COMMAND))
        return dw_error_set(&p->why, DW_ERROR_PROTOCOL, "a message where a handshake command was expected");
    return rc;
}

/* The token of the command, copied: it has to outlive the question that comes before it is stepped. */
static int keep_token(struct dw_zmtp_peer *p, struct dw_span payload)
{
    struct dw_span token = payload;
    /* The draft does not say whether a size stands before the token; a token itself begins with 60. */
    bool bare = p->dialect == DW_DIALECT_DRAFT && payload.len > 0 && payload.at[0] == 0x60;
    if (!bare && dw_command_token(payload, &token, &p->why) < 0)
        return -1;
    dw_buf_clear(&p->token, 4096);
    if (dw_buf_put(&p->token, token) < 0)
        return dw_error_set(&p->why, DW_ERROR_INTERNAL, "out of memory");
    return 0;
}

static enum dw_act step(struct dw_zmtp_peer *p, struct dw_effect *fx)
{
    struct dw_buf reply = {0};
    int progress = dw_context_step(p->context, dw_buf_span(&p->token), &reply, &p->why);
    dw_buf_free(&p->token);
    int rc = progress < 0 ? -1 : dw_buf_len(&reply) ? put_token(p, "INITIATE", dw_buf_span(&reply)) : 0;
    dw_buf_free(&reply);
    if (rc < 0)
        return dw_zmtp_fail(p, fx);
    if (progress == DW_CONTEXT_MORE) {
        p->state = await_token;
        return p->state(p, fx);
    }
    p->context_done = true;
    p->asked = true;
    p->state = await_go_ahead;
    return DW_ASK_ADMIT;
}

static enum dw_act await_credential(struct dw_zmtp_peer *p, struct dw_effect *fx)
{
    if (!p->cred)
        return DW_NEED;
    p->context = dw_context_accept(p->cred);
    if (!p->context)
        return dw_zmtp_refuse(p, fx, DW_ERROR_INTERNAL, "out of memory");
    return step(p, fx);
}

/* RFC 38 has 8 octets, space padded; libzmq a length octet.  The first octets tell. */
static bool is_draft(struct dw_span command)
{
    return command.len >= 8 && memcmp(command.at, "HELLO   ", 8) == 0;
}

enum dw_act dw_gssapi_await_first(struct dw_zmtp_peer *p, struct dw_effect *fx)
{
    uint8_t *body;
    size_t size;
    int rc = take_command(p, &body, &size);
    if (rc <= 0)
        return rc < 0 ? dw_zmtp_fail(p, fx) : DW_NEED;
    struct dw_span command = dw_span_make(body, size), name, rest;
    p->dialect = is_draft(command) ? DW_DIALECT_DRAFT : DW_DIALECT_LIBZMQ;
    const char *expected = p->dialect == DW_DIALECT_DRAFT ? "HELLO" : "INITIATE";
    if (dw_command_parse(p->dialect, command, &name, &rest, &p->why) < 0)
        return dw_zmtp_fail(p, fx);
    if (!dw_span_equal(name, dw_span_str(expected)))
        return dw_zmtp_unexpected(p, fx, name, rest, expected);
    if (keep_token(p, rest) < 0 || dw_request_parse(&p->request, dw_buf_span(&p->token), &p->why) < 0)
        return dw_zmtp_fail(p, fx);
    fx->token = dw_buf_span(&p->token);
    p->state = await_credential;
    return DW_ASK_REALM;
}

static enum dw_act await_token(struct dw_zmtp_peer *p, struct dw_effect *fx)
{
    uint8_t *body;
    size_t size;
    int rc = take_command(p, &body, &size);
    if (rc <= 0)
        return rc < 0 ? dw_zmtp_fail(p, fx) : DW_NEED;
    struct dw_span name, rest;
    if (dw_command_parse(p->dialect, dw_span_make(body, size), &name, &rest, &p->why) < 0)
        return dw_zmtp_fail(p, fx);
    if (!dw_span_equal(name, DW_SPAN_OF("INITIATE")))
        return dw_zmtp_unexpected(p, fx, name, rest, "INITIATE");
    if (keep_token(p, rest) < 0)
        return dw_zmtp_fail(p, fx);
    if (p->options.role == DW_ZMTP_ACCEPTOR)
        return step(p, fx);
    fx->token = dw_buf_span(&p->token);
    p->state = dw_gssapi_begin;
    return DW_STEP;
}

static enum dw_act denied(struct dw_zmtp_peer *p, struct dw_effect *fx)
{
    if (p->options.error_on_deny)
        dw_zmtp_put_error(p, dw_error_phrase(DW_ERROR_DENIED));
    return dw_zmtp_refuse(p, fx, DW_ERROR_DENIED, "refused by the policy");
}

/* The client's "context complete" (its content means nothing), the verdict and the backend's word are
 * waited for together; whichever comes last lets READY go. */
static enum dw_act await_go_ahead(struct dw_zmtp_peer *p, struct dw_effect *fx)
{
    if (!p->go_ahead) {
        uint8_t *body;
        size_t size;
        int rc = take_command(p, &body, &size);
        if (rc < 0)
            return dw_zmtp_fail(p, fx);
        if (rc > 0 && size > 0)
            return dw_zmtp_refuse(p, fx, DW_ERROR_PROTOCOL,
                                  "expected the empty command that ends the token exchange");
        p->go_ahead = rc > 0;
    }
    bool refused = p->answered && !p->allowed;
    /* ERROR is understood only where the client waits for READY. */
    if (refused && (p->go_ahead || !p->options.error_on_deny))
        return denied(p, fx);
    if (!p->go_ahead)
        return DW_NEED;
    if (dw_gssapi_send_ready(p) < 0)
        return dw_zmtp_fail(p, fx);
    p->state = await_ready;
    return p->state(p, fx);
}

static enum dw_act await_ready(struct dw_zmtp_peer *p, struct dw_effect *fx)
{
    if (p->options.role == DW_ZMTP_ACCEPTOR && !p->sent_ready) {
        if (p->answered && !p->allowed)
            return denied(p, fx);
        if (dw_gssapi_send_ready(p) < 0)
            return dw_zmtp_fail(p, fx);
        if (!p->sent_ready)
            return DW_NEED;
    }
    uint8_t flags, *body;
    size_t size;
    int rc = dw_zmtp_take_frame(p, DW_ZMTP_HANDSHAKE_BYTES, &flags, &body, &size);
    if (rc <= 0)
        return rc < 0 ? dw_zmtp_fail(p, fx) : DW_NEED;
    struct dw_span command = dw_span_make(body, size), name, rest;
    if (dw_command_parse(p->dialect, command, &name, &rest, &p->why) < 0)
        return dw_zmtp_fail(p, fx);
    bool wrapped = dw_span_equal(name, DW_SPAN_OF("MESSAGE"));
    if (is_protected(p) && wrapped) {
        uint8_t inner;
        if (dw_zmtp_unwrap(p, body, size, &inner, &command) < 0)
            return dw_zmtp_fail(p, fx);
        /* libzmq leaves out the command flag on its own READY. */
        if (inner != 2 && inner != 0)
            return dw_zmtp_refuse(p, fx, DW_ERROR_PROTOCOL, "expected READY, got a message");
        if (dw_command_parse(p->dialect, command, &name, &rest, &p->why) < 0)
            return dw_zmtp_fail(p, fx);
    } else if (is_protected(p) && dw_span_equal(name, DW_SPAN_OF("READY"))) {
        return dw_zmtp_refuse(
            p, fx, DW_ERROR_PROTOCOL,
            "READY came unprotected: the peer has GSSAPI in plaintext mode, here it is encrypted");
    } else if (wrapped) {
        return dw_zmtp_refuse(p, fx, DW_ERROR_PROTOCOL,
                              "READY came encrypted: the peer has GSSAPI in encrypted mode, here it is plaintext");
    } else if (!(flags & DW_WIRE_COMMAND)) {
        return dw_zmtp_refuse(p, fx, DW_ERROR_PROTOCOL, "a message where READY was expected");
    }
    if (!dw_span_equal(name, DW_SPAN_OF("READY")))
        return dw_zmtp_unexpected(p, fx, name, rest, "READY");
    dw_buf_free(&p->token);
    return dw_zmtp_take_ready(p, fx, rest);
}

/* Called when anything that READY waits for may have come. */
int dw_gssapi_send_ready(struct dw_zmtp_peer *p)
{
    bool due = p->options.role == DW_ZMTP_ACCEPTOR ? p->go_ahead && p->answered && p->allowed : p->meta_given;
    if (!due || !p->have_ready || p->sent_ready)
        return 0;
    uint8_t raw[16];
    size_t len = dw_command_name_size(p->dialect, "READY");
    struct dw_buf name = {0};
    if (dw_command_name(&name, p->dialect, "READY") < 0)
        return dw_error_set(&p->why, DW_ERROR_INTERNAL, "out of memory");
    memcpy(raw, dw_buf_span(&name).at, len);
    dw_buf_free(&name);
    struct dw_span head = dw_span_make(raw, len), meta = dw_buf_span(&p->ready);
    struct dw_buf *out = &p->machine.out;
    size_t start = dw_buf_len(out);
    if (is_protected(p)) {
        if (dw_zmtp_wrap(p, DW_WIRE_COMMAND, 2, head, meta, &p->why) < 0)
            return -1;
    } else if (dw_frame_begin(out, DW_WIRE_COMMAND, head.len + meta.len) < 0 || dw_buf_put(out, head) < 0 ||
               dw_buf_put(out, meta) < 0) {
        dw_buf_cut(out, start);
        return dw_error_set(&p->why, DW_ERROR_INTERNAL, "out of memory");
    }
    p->sent_ready = true;
    dw_buf_free(&p->ready);
    return 0;
}

const struct dw_request *dw_zmtp_peer_request(const struct dw_machine *m)
{
    return &((const struct dw_zmtp_peer *)(const void *)m)->request;
}

void dw_zmtp_peer_credential(struct dw_machine *m, const struct dw_cred *cred)
{
    dw_zmtp_peer_of(m)->cred = cred;
}

const struct dw_context *dw_zmtp_peer_context(const struct dw_machine *m)
{
    return ((const struct dw_zmtp_peer *)(const void *)m)->context;
}

/* Initiator: waits for the driver, which steps the context. */
enum dw_act dw_gssapi_begin(struct dw_zmtp_peer *p, struct dw_effect *fx)
{
    if (p->asked)
        return DW_NEED;
    p->asked = true;
    fx->token = dw_buf_span(&p->token);
    return DW_STEP;
}

void dw_zmtp_peer_initiate(struct dw_machine *m, struct dw_context *context)
{
    dw_zmtp_peer_of(m)->context = context;
}

struct dw_context *dw_zmtp_peer_stepping(struct dw_machine *m)
{
    return dw_zmtp_peer_of(m)->context;
}

void dw_zmtp_peer_stepped(struct dw_machine *m, int progress, struct dw_span reply, const struct dw_error *err)
{
    struct dw_zmtp_peer *p = dw_zmtp_peer_of(m);
    dw_buf_free(&p->token);
    /* Refused while the step was under way. */
    if (p->state != dw_gssapi_begin)
        return;
    int rc = 0;
    if (progress < 0) {
        p->why = *err;
        rc = -1;
    } else if (reply.len) {
        rc = put_token(p, "INITIATE", reply);
    }
    if (rc == 0 && progress == DW_CONTEXT_DONE) {
        p->context_done = true;
        if (dw_frame_begin(&p->machine.out, DW_WIRE_COMMAND, 0) < 0)
            rc = dw_error_set(&p->why, DW_ERROR_INTERNAL, "out of memory");
    }
    p->state = rc < 0 ? dw_zmtp_fail : progress == DW_CONTEXT_DONE ? await_ready : await_token;
}
