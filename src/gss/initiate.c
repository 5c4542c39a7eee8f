/* The initiator's handshake, by the GSSAPI: see context.h and session.h.
 *
 * It may talk to the KDC, and is made far more seldom than an acceptor's; so it is left to the library, which gives its
 * keys out when it is over. */
#include "auth/principal.h"
#include "gss/name.h"
#include "gss/session.h"
#include "gss/status.h"

#include <errno.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <stdlib.h>
#include <time.h>

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

/* Takes the keys and numbers out of the library's context, which ends with that. */
static int take_keys(struct dw_context *ctx, struct dw_error *err)
{
    void *given = NULL;
    OM_uint32 major, minor;
    major = gss_krb5_export_lucid_sec_context(&minor, &ctx->gss, 1, &given);
    if (GSS_ERROR(major))
        return dw_status_tell(err, major, minor, "cannot take the keys of a new context");
    const gss_krb5_lucid_context_v1_t *v1 = given;
    bool cfx = v1->protocol == 1, subkey = cfx && v1->cfx_kd.have_acceptor_subkey;
    const gss_krb5_lucid_key_t *key = !cfx     ? &v1->rfc1964_kd.ctx_key
                                      : subkey ? &v1->cfx_kd.acceptor_subkey
                                               : &v1->cfx_kd.ctx_key;
    const struct dw_seal_key taken = {(int32_t)key->type, dw_span_make(key->data, key->length), subkey};
    int rc = dw_seal_make(&ctx->seal, &taken, true, v1->send_seq, v1->recv_seq, err);
    gss_krb5_free_lucid_sec_context(&minor, given);
    return rc;
}

static void set_lifetime(struct dw_context *ctx, OM_uint32 lifetime)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    ctx->lifetime = lifetime;
    if (lifetime != GSS_C_INDEFINITE)
        ctx->expires = (double)now.tv_sec + (double)lifetime;
}

static int finish(struct dw_context *ctx, OM_uint32 lifetime, struct dw_error *err)
{
    gss_name_t target = GSS_C_NO_NAME;
    OM_uint32 ignored, minor;
    OM_uint32 major = gss_inquire_context(&minor, ctx->gss, NULL, &target, NULL, NULL, NULL, NULL, NULL);
    if (GSS_ERROR(major))
        return dw_status_tell(err, major, minor, "cannot read the service's name of a new context");
    ctx->peer = printed(target, &ctx->anonymous, err);
    gss_release_name(&ignored, &target);
    if (!ctx->peer || take_keys(ctx, err) < 0)
        return -1;
    ctx->target = strdup(ctx->peer);
    if (!ctx->target)
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    set_lifetime(ctx, lifetime);
    ctx->done = true;
    return 0;
}

static int append_reply(gss_buffer_t token, struct dw_buf *reply, struct dw_error *err)
{
    OM_uint32 minor;
    int rc = dw_buf_put(reply, dw_span_make(token->value, token->length));
    gss_release_buffer(&minor, token);
    return rc < 0 ? dw_error_set(err, DW_ERROR_INTERNAL, "out of memory") : 0;
}

int dw_initiate_step(struct dw_context *ctx, struct dw_span token, struct dw_buf *reply, struct dw_error *err)
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
    return finish(ctx, lifetime, err);
}
