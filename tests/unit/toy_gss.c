/* A toy GSSAPI: see toy_gss.h. */
#include "toy_gss.h"

#include <stdio.h>
#include <stdlib.h>

enum { MARK = 0x54, CHANGE = 0x5a };

bool toy_trusts;

struct dw_cred {
    const char *principal;
};

struct dw_context {
    const struct dw_cred *cred;
    bool accepts, halfway, silent, done, bound;
    char peer[256], target[256], binding[256];
    uint32_t sent, received;
};

const struct dw_cred *toy_cred(void)
{
    static const struct dw_cred cred = {"app@HOME.EXAMPLE"};
    return &cred;
}

static struct dw_context *make(const struct dw_cred *cred, bool accepts)
{
    struct dw_context *ctx = calloc(1, sizeof *ctx);
    if (ctx) {
        ctx->cred = cred;
        ctx->accepts = accepts;
    }
    return ctx;
}

struct dw_context *dw_context_accept(const struct dw_cred *cred)
{
    return make(cred, true);
}

struct dw_context *dw_context_initiate(const struct dw_cred *cred, const char *service, const char *realm,
                                       struct dw_error *err)
{
    struct dw_context *ctx = make(cred, false);
    if (!ctx)
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    else
        snprintf(ctx->peer, sizeof ctx->peer, "%s@%s", service, realm ? realm : "HOME.EXAMPLE");
    return ctx;
}

void dw_context_free(struct dw_context **ctx)
{
    free(*ctx);
    *ctx = NULL;
}

/* Whether `text` begins with `word`, which is then dropped. */
static bool begins(struct dw_span *text, const char *word)
{
    size_t len = strlen(word);
    if (text->len < len || memcmp(text->at, word, len) != 0)
        return false;
    *text = dw_span_make(text->at + len, text->len - len);
    return true;
}

static int fail(struct dw_span why, struct dw_error *err)
{
    if (begins(&why, "denied"))
        return dw_error_set(err, DW_ERROR_DENIED, "the ticket is for another service");
    return dw_error_set(err, DW_ERROR_TEMPORARY, "the ticket has expired");
}

static int answer(struct dw_context *ctx, const char *text, int progress, struct dw_buf *reply,
                  struct dw_error *err)
{
    if (text && dw_buf_put(reply, dw_span_str(text)) < 0)
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    ctx->done = progress == DW_CONTEXT_DONE;
    return progress;
}

/* The value of "name=value;", if it stands there; it is then dropped. */
static void take_setting(struct dw_span *text, const char *name, char into[256])
{
    struct dw_span rest = *text;
    const uint8_t *end = begins(&rest, name) && rest.len ? memchr(rest.at, ';', rest.len) : NULL;
    if (!end)
        return;
    size_t len = (size_t)(end - rest.at);
    snprintf(into, 256, "%.*s", (int)len, (const char *)rest.at);
    *text = dw_span_make(end + 1, rest.len - len - 1);
}

static int accept_step(struct dw_context *ctx, struct dw_span token, struct dw_buf *reply, struct dw_error *err)
{
    begins(&token, "\x60");
    if (!begins(&token, "toy:"))
        return dw_error_set(err, DW_ERROR_PROTOCOL, "not a token");
    if (begins(&token, "fail:"))
        return fail(token, err);
    if (ctx->halfway) {
        if (!begins(&token, "rest") || token.len > 0)
            return dw_error_set(err, DW_ERROR_PROTOCOL, "not the token that was awaited");
        return answer(ctx, "toy:done", DW_CONTEXT_DONE, reply, err);
    }
    take_setting(&token, "for=", ctx->target);
    take_setting(&token, "bind=", ctx->binding);
    ctx->halfway = begins(&token, "more:");
    ctx->silent = !ctx->halfway && begins(&token, "silent:");
    snprintf(ctx->peer, sizeof ctx->peer, "%.*s", (int)token.len, (const char *)token.at);
    if (ctx->halfway)
        return answer(ctx, "toy:more", DW_CONTEXT_MORE, reply, err);
    return answer(ctx, ctx->silent ? NULL : "toy:done", DW_CONTEXT_DONE, reply, err);
}

static int initiate_step(struct dw_context *ctx, struct dw_span token, struct dw_buf *reply, struct dw_error *err)
{
    if (!ctx->halfway) {
        if (token.len > 0)
            return dw_error_set(err, DW_ERROR_PROTOCOL, "a token before the first");
        ctx->halfway = true;
        if (answer(ctx, "toy:", DW_CONTEXT_MORE, reply, err) < 0)
            return -1;
        return answer(ctx, ctx->cred->principal, DW_CONTEXT_MORE, reply, err);
    }
    if (!begins(&token, "toy:"))
        return dw_error_set(err, DW_ERROR_PROTOCOL, "not a token");
    if (begins(&token, "fail:"))
        return fail(token, err);
    if (begins(&token, "more"))
        return answer(ctx, "toy:rest", DW_CONTEXT_MORE, reply, err);
    if (begins(&token, "done") && token.len == 0)
        return answer(ctx, NULL, DW_CONTEXT_DONE, reply, err);
    return dw_error_set(err, DW_ERROR_PROTOCOL, "not the token that was awaited");
}

int dw_context_step(struct dw_context *ctx, struct dw_span token, struct dw_buf *reply, struct dw_error *err)
{
    return ctx->accepts ? accept_step(ctx, token, reply, err) : initiate_step(ctx, token, reply, err);
}

const char *dw_context_peer(const struct dw_context *ctx)
{
    return ctx->done ? ctx->peer : NULL;
}

const char *dw_context_target(const struct dw_context *ctx)
{
    return ctx->done ? ctx->target : NULL;
}

bool dw_context_is_anonymous(const struct dw_context *ctx)
{
    return strncmp(ctx->peer, "WELLKNOWN/ANONYMOUS", 19) == 0;
}

double dw_context_expires(const struct dw_context *ctx)
{
    (void)ctx;
    return 0;
}

void dw_context_describe(const struct dw_context *ctx, struct dw_event *event)
{
    event->gss = (struct dw_event_gss){.present = ctx->done, .mutual = !ctx->silent, .channel_bound = ctx->bound};
}

bool dw_context_is_bound_to(const struct dw_context *ctx, struct dw_span data)
{
    return ctx->done && *ctx->binding && dw_span_equal(dw_span_str(ctx->binding), data);
}

void dw_context_mark_bound(struct dw_context *ctx)
{
    ctx->bound = true;
}

void dw_context_settle(struct dw_context *ctx)
{
    ctx->cred = NULL;
}

static uint32_t sum(struct dw_span head, struct dw_span body)
{
    uint32_t value = 2166136261u;
    for (size_t i = 0; i < head.len; i++)
        value = (value ^ head.at[i]) * 16777619u;
    for (size_t i = 0; i < body.len; i++)
        value = (value ^ body.at[i]) * 16777619u;
    return value;
}

static int put_wrapped(struct dw_buf *out, unsigned flags, uint32_t number, struct dw_span head,
                       struct dw_span body)
{
    uint8_t *at = dw_buf_room(out, TOY_OVERHEAD + head.len + body.len);
    if (!at)
        return -1;
    *at++ = MARK;
    *at++ = (uint8_t)flags;
    dw_put_u32(at, number);
    dw_put_u32(at + 4, sum(head, body));
    at += 8;
    for (size_t i = 0; i < head.len; i++)
        *at++ = head.at[i] ^ CHANGE;
    for (size_t i = 0; i < body.len; i++)
        *at++ = body.at[i] ^ CHANGE;
    dw_buf_added(out, TOY_OVERHEAD + head.len + body.len);
    return 0;
}

int toy_wrap(struct dw_buf *out, unsigned flags, uint32_t number, struct dw_span plain)
{
    return put_wrapped(out, flags, number, DW_SPAN_OF(""), plain);
}

int dw_context_wrap(struct dw_context *ctx, struct dw_span head, struct dw_span body, struct dw_buf *out,
                    struct dw_error *err)
{
    unsigned flags = TOY_CONFIDENTIAL | (ctx->accepts ? TOY_FROM_ACCEPTOR : 0);
    if (put_wrapped(out, flags, ctx->sent, head, body) < 0)
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    ctx->sent++;
    return 0;
}

int dw_context_sign(struct dw_context *ctx, struct dw_span plain, struct dw_buf *out, struct dw_error *err)
{
    if (put_wrapped(out, TOY_CLEAR | (ctx->accepts ? TOY_FROM_ACCEPTOR : 0), ctx->sent, DW_SPAN_OF(""), plain) < 0)
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    ctx->sent++;
    return 0;
}

size_t dw_context_wrapped_size(struct dw_context *ctx, size_t plain)
{
    (void)ctx;
    return TOY_OVERHEAD + plain;
}

int dw_context_open(struct dw_context *ctx, uint8_t *token, size_t len, struct dw_span *plain, bool *confidential,
                    struct dw_error *err)
{
    struct dw_reader r = dw_reader_make(dw_span_make(token, len));
    uint8_t mark = dw_reader_u8(&r), flags = dw_reader_u8(&r);
    uint32_t number = dw_reader_u32(&r), told = dw_reader_u32(&r);
    *plain = dw_reader_rest(&r);
    if (r.failed || mark != MARK || !(flags & TOY_FROM_ACCEPTOR) != ctx->accepts)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "not a token of this context");
    if (number != ctx->received && !toy_trusts)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "a replayed token");
    *confidential = flags & TOY_CONFIDENTIAL;
    for (size_t i = TOY_OVERHEAD; i < len; i++)
        token[i] ^= CHANGE;
    if (sum(*plain, DW_SPAN_OF("")) != told && !toy_trusts)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "a token that was altered");
    ctx->received++;
    return 0;
}

int dw_context_unwrap(struct dw_context *ctx, uint8_t *token, size_t len, struct dw_span *plain,
                      struct dw_error *err)
{
    bool confidential;
    if (len > 1 && token[0] == MARK && !(token[1] & TOY_CONFIDENTIAL))
        return dw_error_set(err, DW_ERROR_PROTOCOL, "wrapped without confidentiality");
    return dw_context_open(ctx, token, len, plain, &confidential, err);
}

int dw_request_parse(struct dw_request *request, struct dw_span token, struct dw_error *err)
{
    begins(&token, "\x60");
    if (!begins(&token, "toy:"))
        return dw_error_set(err, DW_ERROR_PROTOCOL, "not a Kerberos token");
    request->realm = DW_SPAN_OF("HOME.EXAMPLE");
    request->components[0] = DW_SPAN_OF("zmq");
    request->components[1] = DW_SPAN_OF("broker.example.com");
    request->component_count = 2;
    return 0;
}

int dw_request_format(const struct dw_request *request, struct dw_buf *out)
{
    for (size_t i = 0; i < request->component_count; i++)
        if ((i > 0 && dw_buf_put_u8(out, '/') < 0) || dw_buf_put(out, request->components[i]) < 0)
            return -1;
    return dw_buf_put_u8(out, '@') < 0 ? -1 : dw_buf_put(out, request->realm);
}
