/* The handshake of one security context: see context.h. */
#include "auth/principal.h"
#include "gss/name.h"
#include "gss/request.h"
#include "gss/session.h"
#include "gss/status.h"

#include <errno.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct dw_context *dw_context_accept(const struct dw_cred *cred)
{
    struct dw_context *ctx = calloc(1, sizeof *ctx);
    if (ctx)
        ctx->held = dw_cred_hold(cred);
    return ctx;
}

/* The realm of a service that names none: [domain_realm] of krb5.conf, else empty, for the KDC to refer us. */
static int add_realm(struct dw_service *service, struct dw_buf *text, const char *written, struct dw_error *err)
{
    if (service->name.realm.len)
        return 0;
    krb5_context krb5 = NULL;
    char **realms = NULL, *host = NULL;
    krb5_error_code code = krb5_init_context(&krb5);
    if (!code && service->name.component_count > 1 &&
        !(host = strndup((const char *)service->name.components[1].at, service->name.components[1].len)))
        code = ENOMEM;
    if (!code && host)
        code = krb5_get_host_realm(krb5, host, &realms);
    int rc = code ? dw_status_tell_krb5(err, krb5, code, "the realm of %s", written) : 0;
    if (rc == 0 &&
        (dw_buf_put_u8(text, '@') < 0 || dw_buf_put(text, dw_span_str(realms && realms[0] ? realms[0] : "")) < 0))
        rc = dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    if (realms)
        krb5_free_host_realm(krb5, realms);
    free(host);
    krb5_free_context(krb5);
    return rc;
}

struct dw_context *dw_context_initiate(const struct dw_cred *cred, const char *service, const char *realm,
                                       struct dw_error *err)
{
    struct dw_service parsed;
    struct dw_buf text = {0};
    if (dw_service_parse(&parsed, service, realm, err) < 0)
        return NULL;
    struct dw_context *ctx = calloc(1, sizeof *ctx);
    bool bare = parsed.name.realm.len == 0;
    enum dw_principal_form form = bare ? DW_PRINCIPAL_NO_REALM : DW_PRINCIPAL_FULL;
    if (!ctx || dw_principal_format(&parsed.name, form, DW_SPAN_NONE, &text) < 0) {
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
        goto failed;
    }
    if (add_realm(&parsed, &text, service, err) < 0)
        goto failed;
    ctx->initiator = true;
    ctx->target_text = strndup((const char *)dw_buf_span(&text).at, dw_buf_len(&text));
    if (!ctx->target_text) {
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
        goto failed;
    }
    if (dw_name_import(ctx->target_text, &ctx->service, err) < 0)
        goto failed;
    ctx->held = dw_cred_hold(cred);
    goto done;
failed:
    dw_context_free(&ctx);
done:
    dw_service_free(&parsed);
    dw_buf_free(&text);
    return ctx;
}

static void let_go_of_handshake(struct dw_context *ctx)
{
    OM_uint32 minor;
    gss_release_name(&minor, &ctx->service);
    free(ctx->target_text);
    ctx->target_text = NULL;
    dw_held_free(&ctx->held);
}

void dw_context_free(struct dw_context **ctx)
{
    struct dw_context *gone = *ctx;
    OM_uint32 minor;
    *ctx = NULL;
    if (!gone)
        return;
    let_go_of_handshake(gone);
    gss_delete_sec_context(&minor, &gone->gss, GSS_C_NO_BUFFER);
    dw_facts_free(&gone->facts);
    free(gone->peer);
    free(gone->target);
    free(gone);
}

void dw_context_settle(struct dw_context *ctx)
{
    let_go_of_handshake(ctx);
    dw_facts_free(&ctx->facts);
}

static char *printed(gss_name_t name, bool *anonymous, struct dw_error *err)
{
    OM_uint32 minor;
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    if (dw_name_display(name, &text, anonymous, err) < 0)
        return NULL;
    char *copy = strndup(text.value, text.length);
    gss_release_buffer(&minor, &text);
    if (!copy)
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    return copy;
}

static char *copied(const char *text, struct dw_error *err)
{
    char *copy = strdup(text);
    if (!copy)
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    return copy;
}

/* Compares the two names' realms: not the host's default realm, which says nothing of this service. */
static int compare_realms(struct dw_context *ctx, struct dw_error *err)
{
    struct dw_principal peer, target;
    if (dw_principal_parse(&peer, dw_span_str(ctx->peer), DW_SPAN_NONE, err) < 0)
        return -1;
    ctx->anonymous = ctx->anonymous || dw_principal_is_anonymous(&peer);
    int rc = dw_principal_parse(&target, dw_span_str(ctx->target), DW_SPAN_NONE, err);
    if (rc == 0) {
        ctx->cross_realm = !dw_span_equal(peer.realm, target.realm);
        dw_principal_free(&target);
    }
    dw_principal_free(&peer);
    return rc;
}

/* An acceptor's library adds the tolerated clock skew to what is left.  That grace lets a ticket in; it does
 * not lengthen the life of one that has time left. */
static void set_lifetime(struct dw_context *ctx, OM_uint32 lifetime)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    OM_uint32 grace = ctx->initiator || ctx->held->clockskew < 0 ? 0 : (OM_uint32)ctx->held->clockskew;
    ctx->lifetime = lifetime;
    if (lifetime == GSS_C_INDEFINITE)
        return;
    if (lifetime > grace)
        ctx->lifetime = lifetime - grace;
    ctx->expires = (double)now.tv_sec + (double)ctx->lifetime;
}

static int finish(struct dw_context *ctx, gss_name_t peer, OM_uint32 lifetime, struct dw_error *err)
{
    OM_uint32 major, minor;
    gss_name_t target = GSS_C_NO_NAME;
    int rc = -1;
    /* An acceptor whose keytab copy has but one principal knows that the ticket was for that. */
    if (ctx->initiator || !ctx->held->only) {
        major = gss_inquire_context(&minor, ctx->gss, NULL, &target, NULL, NULL, NULL, NULL, NULL);
        if (GSS_ERROR(major)) {
            dw_status_tell(err, major, minor, "cannot read the service's name of a new context");
            goto done;
        }
    }
    ctx->peer = printed(ctx->initiator ? target : peer, &ctx->anonymous, err);
    if (!ctx->peer)
        goto done;
    ctx->target = target ? printed(target, NULL, err) : copied(ctx->held->only, err);
    if (!ctx->target || compare_realms(ctx, err) < 0)
        goto done;
    ctx->anonymous = ctx->anonymous || (ctx->flags & GSS_C_ANON_FLAG);
    set_lifetime(ctx, lifetime);
    ctx->facts = ctx->initiator ? NULL : dw_facts_gather(peer, err);
    if ((!ctx->initiator && !ctx->facts) || dw_message_shape(ctx, err) < 0)
        goto done;
    ctx->done = true;
    rc = 0;
done:
    gss_release_name(&minor, &target);
    return rc;
}

static int append_reply(gss_buffer_t token, struct dw_buf *reply, struct dw_error *err)
{
    OM_uint32 minor;
    int rc = dw_buf_put(reply, dw_span_make(token->value, token->length));
    gss_release_buffer(&minor, token);
    return rc < 0 ? dw_error_set(err, DW_ERROR_INTERNAL, "out of memory") : 0;
}

static int accept_step(struct dw_context *ctx, struct dw_span token, struct dw_buf *reply, struct dw_error *err)
{
    struct dw_request request;
    /* Nothing reaches the library that is not a Kerberos AP-REQ through and through. */
    if (dw_request_parse(&request, token, err) < 0)
        return -1;
    OM_uint32 major, minor, lifetime = 0;
    gss_buffer_desc in = {token.len, (void *)token.at}, out = GSS_C_EMPTY_BUFFER;
    gss_name_t peer = GSS_C_NO_NAME;
    int rc = -1;
    major = gss_accept_sec_context(&minor, &ctx->gss, ctx->held->acceptor, &in, GSS_C_NO_CHANNEL_BINDINGS, &peer,
                                   NULL, &out, &ctx->flags, &lifetime, NULL);
    if (GSS_ERROR(major)) {
        struct dw_buf service = {0};
        dw_request_format(&request, &service);
        dw_status_tell(err, major, minor, "ticket for %.*s", (int)dw_buf_len(&service),
                       (const char *)dw_buf_span(&service).at);
        dw_buf_free(&service);
        append_reply(&out, reply, NULL);
    } else if (major & GSS_S_CONTINUE_NEEDED) {
        /* Only DCE style asks an acceptor for a third leg; its messages are not laid out as ours. */
        dw_error_set(err, DW_ERROR_PROTOCOL, "the client asks for a DCE style context, which is not spoken here");
    } else if (finish(ctx, peer, lifetime, err) == 0) {
        rc = append_reply(&out, reply, err);
    }
    gss_release_buffer(&minor, &out);
    gss_release_name(&minor, &peer);
    return rc;
}

static int initiate_step(struct dw_context *ctx, struct dw_span token, struct dw_buf *reply, struct dw_error *err)
{
    static const OM_uint32 wanted =
        GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG;
    OM_uint32 major, minor, lifetime = 0;
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    gss_buffer_desc in = {token.len, (void *)token.at}, out = GSS_C_EMPTY_BUFFER;
    if (token.len == 0 && ctx->gss)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "%s answered with an empty token", ctx->target_text);
    if (token.len > 0 && !ctx->gss)
        return dw_error_set(err, DW_ERROR_INTERNAL, "a token came before ours was made");
    /* Acquired anew for each context: tickets are renewed, and a cache that was written again is read again. */
    if (!ctx->gss && dw_held_acquire(ctx->held, &cred, NULL, err) < 0)
        return -1;
    major = gss_init_sec_context(&minor, cred, &ctx->gss, ctx->service, dw_mech_krb5, wanted, 0,
                                 GSS_C_NO_CHANNEL_BINDINGS, token.len ? &in : GSS_C_NO_BUFFER, NULL, &out,
                                 &ctx->flags, &lifetime);
    int rc = -1;
    if (GSS_ERROR(major)) {
        dw_status_tell(err, major, minor, "login to %s", ctx->target_text);
        append_reply(&out, reply, NULL);
    } else if (append_reply(&out, reply, err) == 0) {
        rc = DW_CONTEXT_MORE;
    }
    gss_release_cred(&minor, &cred);
    if (rc < 0 || (major & GSS_S_CONTINUE_NEEDED))
        return rc;
    if ((ctx->flags & GSS_C_MUTUAL_FLAG) == 0 || (ctx->flags & GSS_C_CONF_FLAG) == 0)
        return dw_error_set(err, DW_ERROR_DENIED, "%s did not prove itself or offers no confidentiality",
                            ctx->target_text);
    return finish(ctx, GSS_C_NO_NAME, lifetime, err);
}

int dw_context_step(struct dw_context *ctx, struct dw_span token, struct dw_buf *reply, struct dw_error *err)
{
    if (ctx->done || !ctx->held)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "a token after the handshake was over");
    int rc = ctx->initiator ? initiate_step(ctx, token, reply, err) : accept_step(ctx, token, reply, err);
    /* A failed context is not stepped again. */
    if (rc < 0)
        dw_held_free(&ctx->held);
    return rc;
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
