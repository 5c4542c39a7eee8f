/* What tests of the GSSAPI room share: shell commands in the realm that tests/realm runs, a stock initiator
 * (the library itself, used as libzmq uses it), and a handshake in one call. */
#ifndef DW_TESTS_GSS_REALM_H
#define DW_TESTS_GSS_REALM_H

#include "check.h"

#include "gss/context.h"
#include "gss/cred.h"

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <stdarg.h>
#include <stdlib.h>

#define UNUSED __attribute__((unused))

/* Text that lives until the 512th next call. */
UNUSED __attribute__((format(printf, 1, 2))) static const char *fmt(const char *format, ...)
{
    static char texts[512][1024];
    static int turn;
    char *text = texts[turn++ % 512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof texts[0], format, args);
    va_end(args);
    return text;
}

static const char *in_dir(const char *name)
{
    return fmt("%s/%s", getenv("REALM_DIR"), name);
}

/* Runs a shell command; its chatter goes to a file, which is shown when it fails. */
UNUSED static int run(const char *command)
{
    const char *log = in_dir("command.log");
    int rc = system(fmt("{ %s ; } >%s 2>&1", command, log));
    if (rc != 0)
        printf("    %s\n    failed, saying:\n", command);
    fflush(stdout);
    return rc != 0 && system(fmt("cat %s", log)) != 0 ? -1 : rc;
}

UNUSED static void kadmin(const char *query)
{
    CHECK_INT(
        run(fmt("kadmin.local -r HOME.TEST -q '%s' && ! grep -q '^[a-z_]*: ' %s", query, in_dir("command.log"))),
        0);
}

/* Fresh tickets for `principal`, in a cache that the name of which is given back. */
UNUSED static const char *login_for(const char *principal, const char *options)
{
    static int serial;
    const char *cache = in_dir(fmt("cache.%d", serial++));
    CHECK_INT(run(fmt("kinit %s -k -t %s -c %s %s", options, getenv("REALM_USERS"), cache, principal)), 0);
    return cache;
}

UNUSED static const char *login(const char *principal)
{
    return login_for(principal, "");
}

/* ---- A stock initiator. */

struct stock {
    gss_cred_id_t cred;
    gss_ctx_id_t ctx;
    gss_name_t service;
    struct dw_buf token;
};

enum { LIBZMQ_FLAGS = GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG };

static int stock_step(struct stock *s, struct dw_span token, OM_uint32 flags)
{
    static gss_OID_desc krb5 = {9, (void *)"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"};
    OM_uint32 minor, ignored;
    gss_buffer_desc in = {token.len, (void *)token.at}, out = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_init_sec_context(&minor, s->cred, &s->ctx, s->service, &krb5, flags, 0, NULL,
                                           token.len ? &in : NULL, NULL, &out, NULL, NULL);
    dw_buf_clear(&s->token, 0);
    dw_buf_put(&s->token, dw_span_make(out.value, out.length));
    gss_release_buffer(&ignored, &out);
    if (GSS_ERROR(major)) {
        gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
        OM_uint32 more = 0;
        gss_display_status(&ignored, minor, GSS_C_MECH_CODE, GSS_C_NO_OID, &more, &text);
        printf("    stock initiator: %.*s\n", (int)text.length, (char *)text.value);
        gss_release_buffer(&ignored, &text);
    }
    return GSS_ERROR(major) ? -1 : major & GSS_S_CONTINUE_NEEDED ? DW_CONTEXT_MORE : DW_CONTEXT_DONE;
}

/* The first token for `principal`, with the tickets in `cache`; it stands in `s->token`. */
UNUSED static struct stock stock_start(const char *cache, const char *principal, OM_uint32 flags)
{
    struct stock s = {.cred = GSS_C_NO_CREDENTIAL};
    gss_key_value_element_desc element = {"ccache", cache};
    gss_key_value_set_desc store = {1, &element};
    gss_buffer_desc text = {strlen(principal), (void *)principal};
    OM_uint32 minor;
    CHECK_INT(gss_acquire_cred_from(&minor, NULL, 0, NULL, GSS_C_INITIATE, &store, &s.cred, NULL, NULL), 0);
    CHECK_INT(gss_import_name(&minor, &text, (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME, &s.service), 0);
    CHECK(stock_step(&s, DW_SPAN_NONE, flags) >= 0);
    return s;
}

UNUSED static void stock_end(struct stock *s)
{
    OM_uint32 minor;
    gss_delete_sec_context(&minor, &s->ctx, NULL);
    gss_release_name(&minor, &s->service);
    gss_release_cred(&minor, &s->cred);
    dw_buf_free(&s->token);
}

/* ---- Ours. */

UNUSED static struct dw_cred *acceptor(const char *keytab, const char *service, const char *realm,
                                       const char *rcache)
{
    struct dw_acceptor_options options = {.keytab = keytab, .service = service, .realm = realm, .rcache = rcache};
    struct dw_error err = {0};
    struct dw_cred *cred = dw_cred_acceptor(&options, &err);
    if (!CHECK(cred != NULL))
        printf("    %s\n", err.detail);
    return cred;
}

UNUSED static struct dw_cred *usual_acceptor(void)
{
    return acceptor(getenv("REALM_KEYTAB"), "zmq@localhost", "HOME.TEST", NULL);
}

/* Puts one token to a new context of `cred`.  A context, or NULL with `err` told. */
UNUSED static struct dw_context *accept_token(const struct dw_cred *cred, struct dw_span token,
                                              struct dw_buf *reply, struct dw_error *err)
{
    struct dw_context *ctx = dw_context_accept(cred);
    struct dw_buf ignored = {0};
    *err = (struct dw_error){.kind = DW_ERROR_NONE};
    int rc = dw_context_step(ctx, token, reply ? reply : &ignored, err);
    dw_buf_free(&ignored);
    CHECK(rc < 0 ? err->kind != DW_ERROR_NONE && *err->detail : rc == DW_CONTEXT_DONE);
    if (rc < 0)
        dw_context_free(&ctx);
    return ctx;
}

/* What accepting a first token for `principal` comes to: DW_ERROR_NONE when it is let in. */
UNUSED static enum dw_error_kind try_login(const struct dw_cred *cred, const char *cache, const char *principal,
                                           struct dw_error *err)
{
    struct stock s = stock_start(cache, principal, LIBZMQ_FLAGS);
    struct dw_context *ctx = accept_token(cred, dw_buf_span(&s.token), NULL, err);
    dw_context_free(&ctx);
    stock_end(&s);
    return err->kind;
}

/* A stock initiator and one of our contexts, joined. */
UNUSED static struct dw_context *join(const struct dw_cred *cred, struct stock *s, const char *cache,
                                      const char *principal, OM_uint32 flags)
{
    struct dw_error err = {0};
    struct dw_buf reply = {0};
    *s = stock_start(cache, principal, flags);
    struct dw_context *ctx = accept_token(cred, dw_buf_span(&s->token), &reply, &err);
    if (!CHECK(ctx != NULL))
        printf("    %s\n", err.detail);
    if (ctx && (flags & GSS_C_MUTUAL_FLAG))
        CHECK_INT(stock_step(s, dw_buf_span(&reply), flags), DW_CONTEXT_DONE);
    dw_buf_free(&reply);
    return ctx;
}

#endif
