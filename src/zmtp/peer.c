/* The peer machine: greeting, state keeping, the ends.  See peer.h. */
#include "zmtp/peer_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char *mechanism_of(const struct dw_zmtp_peer *p)
{
    return p->options.role == DW_ZMTP_NULL ? "NULL" : "GSSAPI";
}

static enum dw_act closed(struct dw_zmtp_peer *p, struct dw_effect *fx)
{
    fx->why = p->why;
    return DW_CLOSE;
}

enum dw_act dw_zmtp_fail(struct dw_zmtp_peer *p, struct dw_effect *fx)
{
    p->state = closed;
    return closed(p, fx);
}

enum dw_act dw_zmtp_refuse(struct dw_zmtp_peer *p, struct dw_effect *fx, enum dw_error_kind kind,
                           const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(p->why.detail, sizeof p->why.detail, format, args);
    va_end(args);
    p->why.kind = kind;
    return dw_zmtp_fail(p, fx);
}

enum dw_act dw_zmtp_unexpected(struct dw_zmtp_peer *p, struct dw_effect *fx, struct dw_span name,
                               struct dw_span rest, const char *expected)
{
    if (dw_span_equal(name, DW_SPAN_OF("ERROR"))) {
        struct dw_reader r = dw_reader_make(rest);
        struct dw_span reason = dw_reader_take(&r, dw_reader_u8(&r));
        return dw_zmtp_refuse(p, fx, DW_ERROR_CLOSED, "the peer sent ERROR: %.*s", (int)reason.len,
                              (const char *)reason.at);
    }
    return dw_zmtp_refuse(p, fx, DW_ERROR_PROTOCOL, "expected %s, got command %.*s", expected, (int)name.len,
                          (const char *)name.at);
}

int dw_zmtp_take_frame(struct dw_zmtp_peer *p, size_t limit, uint8_t *flags, uint8_t **body, size_t *size)
{
    struct dw_machine *m = &p->machine;
    struct dw_frame_header h;
    int rc = dw_frame_parse(&h, dw_span_make(m->at, m->left), limit, &p->why);
    if (rc <= 0)
        return rc;
    if (m->left < h.header + h.size) {
        m->wanted = h.header + h.size;
        return 0;
    }
    *flags = h.flags;
    *body = m->at + h.header;
    *size = h.size;
    dw_machine_consume(m, h.header + h.size);
    return 1;
}

static enum dw_act await_greeting(struct dw_zmtp_peer *p, struct dw_effect *fx)
{
    struct dw_greeting greeting;
    int rc = dw_greeting_parse(&greeting, dw_span_make(p->machine.at, p->machine.left), &p->why);
    if (rc < 0)
        return dw_zmtp_fail(p, fx);
    if (rc == 0)
        return DW_NEED;
    if (strcmp(greeting.mechanism, mechanism_of(p)) != 0)
        return dw_zmtp_refuse(p, fx, DW_ERROR_PROTOCOL, "the peer offers mechanism %s where %s is spoken",
                              greeting.mechanism, mechanism_of(p));
    p->minor = greeting.major > 3 ? 1 : greeting.minor;
    dw_machine_consume(&p->machine, DW_GREETING_SIZE);
    p->state = p->options.role == DW_ZMTP_ACCEPTOR    ? dw_gssapi_await_first
               : p->options.role == DW_ZMTP_INITIATOR ? dw_gssapi_begin
                                                      : dw_null_await_ready;
    return p->state(p, fx);
}

enum dw_act dw_zmtp_take_ready(struct dw_zmtp_peer *p, struct dw_effect *fx, struct dw_span meta)
{
    if (dw_properties_check(meta, &p->why) < 0)
        return dw_zmtp_fail(p, fx);
    struct dw_span type = dw_properties_find(meta, "Socket-Type");
    if (!dw_socket_type_known(type))
        return dw_zmtp_refuse(p, fx, DW_ERROR_PROTOCOL, "READY names no known Socket-Type");
    if (dw_properties_find(meta, "Identity").len > 255)
        return dw_zmtp_refuse(p, fx, DW_ERROR_PROTOCOL, "READY has an Identity of more than 255 octets");
    p->kind = dw_socket_type_is(type, "SUB")    ? DW_KIND_SUB
              : dw_socket_type_is(type, "XSUB") ? DW_KIND_XSUB
                                                : DW_KIND_OTHER;
    p->meta_given = true;
    p->state = dw_zmtp_await_open;
    fx->meta = meta;
    return DW_META;
}

static enum dw_act peer_next(struct dw_machine *m, struct dw_effect *fx)
{
    struct dw_zmtp_peer *p = dw_zmtp_peer_of(m);
    return p->state(p, fx);
}

static void peer_answer(struct dw_machine *m, bool allowed)
{
    struct dw_zmtp_peer *p = dw_zmtp_peer_of(m);
    p->answered = true;
    p->allowed = allowed;
}

static void peer_free(struct dw_machine *m)
{
    struct dw_zmtp_peer *p = dw_zmtp_peer_of(m);
    dw_context_free(&p->context);
    dw_buf_free(&p->token);
    dw_buf_free(&p->ready);
    free(p);
}

static const struct dw_machine_ops ops = {peer_next, dw_zmtp_push, peer_answer, peer_free};

struct dw_machine *dw_zmtp_peer_new(const struct dw_zmtp_options *options)
{
    struct dw_zmtp_peer *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    dw_machine_init(&p->machine, &ops, options->meter);
    p->options = *options;
    p->token.meter = p->ready.meter = options->meter;
    p->state = await_greeting;
    uint8_t greeting[DW_GREETING_SIZE];
    dw_greeting_encode(greeting, mechanism_of(p), options->role == DW_ZMTP_ACCEPTOR);
    if (dw_buf_put(&p->machine.out, dw_span_make(greeting, sizeof greeting)) < 0) {
        free(p);
        return NULL;
    }
    return &p->machine;
}

int dw_zmtp_peer_ready(struct dw_machine *m, struct dw_span meta)
{
    struct dw_zmtp_peer *p = dw_zmtp_peer_of(m);
    if (p->state == closed)
        return 0;
    if (dw_buf_put(&p->ready, meta) < 0)
        return -1;
    p->have_ready = true;
    int rc = p->options.role == DW_ZMTP_NULL ? dw_null_send_ready(p) : dw_gssapi_send_ready(p);
    if (rc < 0)
        p->state = closed;
    return rc;
}

void dw_zmtp_peer_open(struct dw_machine *m)
{
    struct dw_zmtp_peer *p = dw_zmtp_peer_of(m);
    if (p->context && !p->opened)
        dw_context_settle(p->context);
    p->opened = true;
}

int dw_zmtp_put_error(struct dw_zmtp_peer *p, const char *phrase)
{
    struct dw_buf *out = &p->machine.out;
    size_t len = strlen(phrase), start = dw_buf_len(out);
    if (dw_frame_begin(out, DW_WIRE_COMMAND, dw_command_name_size(p->dialect, "ERROR") + 1 + len) < 0 ||
        dw_command_name(out, p->dialect, "ERROR") < 0 || dw_buf_put_u8(out, (uint8_t)len) < 0 ||
        dw_buf_put(out, dw_span_str(phrase)) < 0) {
        dw_buf_cut(out, start);
        return -1;
    }
    return 0;
}

void dw_zmtp_peer_refuse(struct dw_machine *m, enum dw_error_kind kind, const char *detail)
{
    struct dw_zmtp_peer *p = dw_zmtp_peer_of(m);
    if (p->state == closed)
        return;
    /* After ERROR a stock client stays away for good: not for what time cures. */
    bool for_good = kind == DW_ERROR_DENIED || kind == DW_ERROR_PROTOCOL;
    if (p->options.error_on_deny && for_good && !p->sent_ready)
        dw_zmtp_put_error(p, dw_error_phrase(kind));
    dw_error_set(&p->why, kind, "%s", detail);
    p->state = closed;
}

unsigned dw_zmtp_peer_ttl(const struct dw_machine *m)
{
    return ((const struct dw_zmtp_peer *)(const void *)m)->ttl;
}

bool dw_zmtp_peer_has_commands(const struct dw_machine *m)
{
    const struct dw_zmtp_peer *p = (const struct dw_zmtp_peer *)(const void *)m;
    return p->options.role != DW_ZMTP_NULL || p->minor >= 1;
}

bool dw_zmtp_peer_is_silent(const struct dw_machine *m)
{
    return ((const struct dw_zmtp_peer *)(const void *)m)->state == dw_gssapi_await_first;
}

const char *dw_zmtp_peer_state(const struct dw_machine *m)
{
    const struct dw_zmtp_peer *p = (const struct dw_zmtp_peer *)(const void *)m;
    if (p->state == await_greeting)
        return "greeting";
    if (p->state == closed)
        return "closed";
    if (p->opened)
        return "traffic";
    if (p->meta_given)
        return "joining";
    if (p->options.role == DW_ZMTP_NULL)
        return "ready";
    if (!p->context_done)
        return "token";
    if (p->options.role == DW_ZMTP_ACCEPTOR && !p->go_ahead)
        return "empty command";
    return p->sent_ready || p->options.role == DW_ZMTP_INITIATOR ? "ready" : "decision";
}
