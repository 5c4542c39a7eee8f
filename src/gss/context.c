/* What all contexts have: see context.h. */
#include "gss/context.h"

#include "gss/session.h"

#include <gssapi/gssapi_ext.h>
#include <stdlib.h>

struct dw_context *dw_context_accept(const struct dw_cred *cred)
{
    struct dw_context *ctx = calloc(1, sizeof *ctx);
    if (ctx)
        ctx->held = dw_cred_hold(cred);
    return ctx;
}

static void let_go_of_handshake(struct dw_context *ctx)
{
    OM_uint32 minor;
    gss_release_name(&minor, &ctx->service);
    if (ctx->gss)
        gss_delete_sec_context(&minor, &ctx->gss, GSS_C_NO_BUFFER);
    free(ctx->target_text);
    ctx->target_text = NULL;
    dw_held_free(&ctx->held);
}

void dw_context_free(struct dw_context **ctx)
{
    struct dw_context *gone = *ctx;
    *ctx = NULL;
    if (!gone)
        return;
    let_go_of_handshake(gone);
    dw_seal_wipe(&gone->seal);
    dw_facts_free(&gone->facts);
    free(gone->peer);
    free(gone->target);
    free(gone);
}

void dw_context_settle(struct dw_context *ctx)
{
    let_go_of_handshake(ctx);
    dw_facts_free(&ctx->facts);
    dw_seal_settle(&ctx->seal);
}

int dw_context_step(struct dw_context *ctx, struct dw_span token, struct dw_buf *reply, struct dw_error *err)
{
    if (ctx->done || !ctx->held)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "a token after the handshake was over");
    int rc = ctx->initiator ? dw_initiate_step(ctx, token, reply, err) : dw_accept_step(ctx, token, reply, err);
    /* A failed context is not stepped again. */
    if (rc < 0)
        dw_held_free(&ctx->held);
    return rc;
}

size_t dw_context_wrapped_size(struct dw_context *ctx, size_t plain)
{
    return ctx->done ? plain + dw_seal_overhead(&ctx->seal) : plain;
}

int dw_context_wrap(struct dw_context *ctx, struct dw_span head, struct dw_span body, struct dw_buf *out,
                    struct dw_error *err)
{
    if (!ctx->done)
        return dw_error_set(err, DW_ERROR_INTERNAL, "a message before the handshake was over");
    return dw_seal_wrap(&ctx->seal, head, body, out, err);
}

int dw_context_unwrap(struct dw_context *ctx, uint8_t *token, size_t len, struct dw_span *plain,
                      struct dw_error *err)
{
    *plain = dw_span_make("", 0);
    if (!ctx->done)
        return dw_error_set(err, DW_ERROR_INTERNAL, "a message before the handshake was over");
    return dw_seal_unwrap(&ctx->seal, token, len, plain, err);
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
    return ctx->anonymous;
}

double dw_context_expires(const struct dw_context *ctx)
{
    return ctx->expires;
}

void dw_context_describe(const struct dw_context *ctx, struct dw_event *event)
{
    event->gss = (struct dw_event_gss){
        .present = ctx->done,
        .lifetime = ctx->lifetime,
        .expires = ctx->expires,
        .mutual = (ctx->flags & GSS_C_MUTUAL_FLAG) != 0,
        .confidential = (ctx->flags & GSS_C_CONF_FLAG) != 0,
        .delegated = (ctx->flags & GSS_C_DELEG_FLAG) != 0,
        .channel_bound = (ctx->flags & GSS_C_CHANNEL_BOUND_FLAG) != 0,
        .cross_realm = ctx->cross_realm,
    };
    if (ctx->facts) {
        event->gss.indicators = ctx->facts->indicators;
        event->gss.indicator_count = ctx->facts->indicator_count;
        event->gss.attributes = ctx->facts->attributes;
        event->gss.attribute_count = ctx->facts->attribute_count;
    }
}
