/* Certificates, trust and settings of a listener or a backend: see tls.h. */
#include "tls/inside.h"

#include "base/text.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static struct dw_tls_context *new_context(bool server, size_t count, struct dw_error *err)
{
    if (count == 0) {
        dw_error_set(err, DW_ERROR_INTERNAL, "TLS needs a certificate");
        return NULL;
    }
    struct dw_tls_context *context = calloc(1, sizeof *context);
    if (context && (context->sites = calloc(count, sizeof *context->sites))) {
        context->holders = 1;
        context->server = server;
        context->count = count;
        return context;
    }
    free(context);
    dw_error_set(err, DW_ERROR_INTERNAL, "out of memory for TLS");
    return NULL;
}

struct dw_tls_context *dw_tls_context_hold(struct dw_tls_context *context)
{
    if (context)
        atomic_fetch_add_explicit(&context->holders, 1, memory_order_relaxed);
    return context;
}

void dw_tls_context_release(struct dw_tls_context **context)
{
    struct dw_tls_context *gone = *context;
    *context = NULL;
    if (!gone || atomic_fetch_sub_explicit(&gone->holders, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < gone->count; i++) {
        SSL_CTX_free(gone->sites[i].ctx);
        for (char **name = gone->sites[i].names; name && *name; name++)
            free(*name);
        free(gone->sites[i].names);
    }
    free(gone->sites);
    free(gone->alpn);
    free(gone);
}

/* What both sides have in common. */
static SSL_CTX *new_ctx(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (!ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION)) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_default_passwd_cb(ctx, dw_tls_no_password);
    return ctx;
}

/* ---- The server's side. */

static bool names_it(const struct dw_tls_site *site, const char *name)
{
    for (char **one = site->names; one && *one; one++)
        if (strcasecmp(*one, name) == 0)
            return true;
    return false;
}

static struct dw_tls_site *site_for(const struct dw_tls_context *context, const char *name)
{
    for (size_t i = 0; name && i < context->count; i++)
        if (names_it(&context->sites[i], name))
            return &context->sites[i];
    return NULL;
}

/* A name that nobody here has is no reason to refuse: clients ask for the host that they connected to. */
static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    (void)alert;
    struct dw_tls *tls = SSL_get_app_data(ssl);
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (!name)
        return SSL_TLSEXT_ERR_NOACK;
    free(tls->name);
    tls->name = strdup(name);
    struct dw_tls_site *site = site_for(arg, name);
    if (site && !SSL_set_SSL_CTX(ssl, site->ctx))
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    return site ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* RFC 7301 section 3.2. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                   unsigned in_len, void *arg)
{
    const struct dw_tls_context *context = arg;
    struct dw_tls *tls = SSL_get_app_data(ssl);
    struct dw_reader list = dw_reader_make(dw_span_make(in, in_len));
    while (dw_reader_left(&list) > 0 && !list.failed) {
        struct dw_span one = dw_reader_take(&list, dw_reader_u8(&list));
        if (one.len && dw_span_equal(one, dw_span_str(context->alpn))) {
            *out = one.at;
            *out_len = (unsigned char)one.len;
            return SSL_TLSEXT_ERR_OK;
        }
    }
    dw_error_set(&tls->why, DW_ERROR_PROTOCOL, "the client speaks other protocols by its ALPN; spoken here is %s",
                 context->alpn);
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int load(struct dw_tls_site *site, const struct dw_tls_certificate *from, struct dw_error *err)
{
    STACK_OF(X509) *chain = dw_tls_read_chain(from->certificate, err);
    EVP_PKEY *key = chain ? dw_tls_read_key(from->key, err) : NULL;
    X509 *leaf = key ? sk_X509_shift(chain) : NULL;
    int rc = -1;
    char reason[200];
    if (!leaf)
        goto done;
    if (!X509_check_private_key(leaf, key))
        dw_error_set(err, DW_ERROR_INTERNAL, "the key %.160s is not that of the certificate %.160s", from->key,
                     from->certificate);
    else if (!SSL_CTX_use_cert_and_key(site->ctx, leaf, key, chain, 1))
        dw_error_set(err, DW_ERROR_INTERNAL, "the certificate %.200s cannot be used: %s", from->certificate,
                     dw_tls_reason(reason));
    else
        rc = 0;
done:
    X509_free(leaf);
    EVP_PKEY_free(key);
    sk_X509_pop_free(chain, X509_free);
    ERR_clear_error();
    return rc;
}

static int copy_names(struct dw_tls_site *site, const char *const *names)
{
    size_t count = 0;
    while (names && names[count])
        count++;
    if (!(site->names = calloc(count + 1, sizeof *site->names)))
        return -1;
    for (size_t i = 0; i < count; i++)
        if (!(site->names[i] = strdup(names[i])))
            return -1;
    return 0;
}

struct dw_tls_context *dw_tls_server_new(const struct dw_tls_certificate *certificates, size_t count,
                                         const char *alpn, struct dw_error *err)
{
    struct dw_tls_context *context = new_context(true, count, err);
    if (!context)
        return NULL;
    ERR_clear_error();
    if (alpn && !(context->alpn = strdup(alpn)))
        goto no_memory;
    for (size_t i = 0; i < count; i++) {
        struct dw_tls_site *site = &context->sites[i];
        if (!(site->ctx = new_ctx(TLS_server_method())) || copy_names(site, certificates[i].names) < 0)
            goto no_memory;
        SSL_CTX_set_num_tickets(site->ctx, 0);
        SSL_CTX_set_dh_auto(site->ctx, 1);
        SSL_CTX_set_tlsext_servername_callback(site->ctx, on_server_name);
        SSL_CTX_set_tlsext_servername_arg(site->ctx, context);
        if (alpn)
            SSL_CTX_set_alpn_select_cb(site->ctx, on_alpn, context);
        if (load(site, &certificates[i], err) < 0) {
            dw_tls_context_release(&context);
            return NULL;
        }
    }
    return context;
no_memory:
    dw_error_set(err, DW_ERROR_INTERNAL, "out of memory for TLS");
    ERR_clear_error();
    dw_tls_context_release(&context);
    return NULL;
}

SSL *dw_tls_ssl_for(struct dw_tls_context *context, const char *domain)
{
    struct dw_tls_site *site = site_for(context, domain);
    return SSL_new(site ? site->ctx : context->sites[0].ctx);
}

/* ---- The client's side. */

static int trust(SSL_CTX *ctx, const char *ca_file, struct dw_error *err)
{
    char reason[200];
    if (!ca_file) {
        if (SSL_CTX_set_default_verify_paths(ctx))
            return 0;
        return dw_error_set(err, DW_ERROR_INTERNAL, "cannot read the system's certificate authorities: %s",
                            dw_tls_reason(reason));
    }
    BIO *readable = dw_tls_open("certificate authority", ca_file, err);
    if (!readable)
        return -1;
    BIO_free(readable);
    if (!SSL_CTX_load_verify_file(ctx, ca_file))
        return dw_error_set(err, DW_ERROR_INTERNAL, "%.200s holds no PEM certificate of an authority: %s", ca_file,
                            dw_tls_reason(reason));
    /* Whoever names a file trusts what stands in it, be it an intermediate authority or the server itself. */
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
    return 0;
}

struct dw_tls_context *dw_tls_client_new(const struct dw_tls_client_options *options, struct dw_error *err)
{
    struct dw_tls_context *context = new_context(false, 1, err);
    if (!context)
        return NULL;
    ERR_clear_error();
    context->verify_nothing = options->verify_nothing;
    SSL_CTX *ctx = context->sites[0].ctx = new_ctx(TLS_client_method());
    int rc = 0;
    if (!ctx)
        rc = dw_error_set(err, DW_ERROR_INTERNAL, "out of memory for TLS");
    else
        rc = trust(ctx, options->ca_file, err);
    ERR_clear_error();
    if (rc < 0) {
        dw_tls_context_release(&context);
        return NULL;
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, dw_tls_verify, context);
    return context;
}
