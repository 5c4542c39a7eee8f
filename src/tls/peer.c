/* Who the other side is, and what binds a login to it: see tls.h. */
#include "tls/inside.h"

#include "base/text.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

static const char *cure_of(int code)
{
    switch (code) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: return "; is its authority in ca_file?";
    case X509_V_ERR_CERT_NOT_YET_VALID: return "; are the clocks right?";
    default: return "";
    }
}

/* What of `names` has room in an error. */
static int most(const struct dw_buf *names, size_t room)
{
    size_t len = dw_buf_len(names);
    return (int)(len < room ? len : room);
}

int dw_tls_verify(X509_STORE_CTX *store, void *arg)
{
    const struct dw_tls_context *context = arg;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct dw_tls *tls = SSL_get_app_data(ssl);
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    struct dw_buf names = {0};
    bool good = X509_verify_cert(store) == 1;
    int code = X509_STORE_CTX_get_error(store), depth = X509_STORE_CTX_get_error_depth(store);
    if (good && !dw_tls_is_for(leaf, tls->name)) {
        good = false;
        code = X509_V_ERR_HOSTNAME_MISMATCH;
        X509_STORE_CTX_set_error(store, code);
    }
    if (!good) {
        dw_tls_put_names(leaf, &names);
        if (code == X509_V_ERR_HOSTNAME_MISMATCH)
            dw_error_set(&tls->why, DW_ERROR_DENIED, "the peer's certificate is not for %.100s: it holds %.*s",
                         tls->name, most(&names, 200), (const char *)dw_buf_span(&names).at);
        else
            dw_error_set(&tls->why, DW_ERROR_DENIED,
                         "the certificate that %.80s shows%s does not verify: %s%s; it holds %.*s", tls->name,
                         depth > 0 ? ", or one that it stands on," : "", X509_verify_cert_error_string(code),
                         cure_of(code), most(&names, 120), (const char *)dw_buf_span(&names).at);
        dw_buf_free(&names);
    }
    return good || context->verify_nothing;
}

static int put_name(struct dw_buf *out, const char *what, const X509_NAME *name)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    int rc = -1;
    if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
        long len = BIO_get_mem_data(bio, &text);
        rc = dw_buf_printf(out, "%s %.*s; ", what, (int)(len < 300 ? len : 300), len ? text : "(empty)");
    }
    BIO_free(bio);
    return rc;
}

int dw_tls_describe_peer(const struct dw_tls *tls, struct dw_buf *out)
{
    X509 *peer = SSL_get0_peer_certificate(tls->ssl);
    char until[32];
    if (!peer)
        return -1;
    size_t start = dw_buf_len(out);
    ERR_clear_error();
    int rc = put_name(out, "subject", X509_get_subject_name(peer));
    if (rc == 0)
        rc = put_name(out, "issuer", X509_get_issuer_name(peer));
    if (rc == 0)
        rc = dw_tls_put_names(peer, out);
    if (rc == 0)
        rc = dw_buf_printf(out, "; until %s", dw_text_time(until, (long long)dw_tls_end_of(peer) * 1000000));
    if (rc == 0 && tls->why.kind == DW_ERROR_DENIED)
        rc = dw_buf_printf(out, "; not accepted otherwise: %s", tls->why.detail);
    if (rc < 0)
        dw_buf_cut(out, start);
    ERR_clear_error();
    return rc;
}

/* ---- Channel bindings. */

/* RFC 9266: the context is there, and empty; with TLS 1.2 that is not the same as none. */
static int exporter(const struct dw_tls *tls, struct dw_buf *out, struct dw_error *err)
{
    static const char label[] = "EXPORTER-Channel-Binding";
    enum { LEN = 32 };
    if (SSL_version(tls->ssl) < TLS1_3_VERSION && SSL_get_extms_support(tls->ssl) != 1)
        return dw_error_set(err, DW_ERROR_PROTOCOL,
                            "tls-exporter needs TLS 1.3 or the extended master secret, and the peer has neither");
    uint8_t *room = dw_buf_room(out, LEN);
    if (!room ||
        SSL_export_keying_material(tls->ssl, room, LEN, label, sizeof label - 1, (const uint8_t *)"", 0, 1) != 1)
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory for a channel binding");
    dw_buf_added(out, LEN);
    return 0;
}

/* RFC 5929 section 4.1: the certificate's own hash, but nothing weaker than SHA-256. */
static int server_end_point(const struct dw_tls *tls, struct dw_buf *out, struct dw_error *err)
{
    X509 *server = tls->context->server ? SSL_get_certificate(tls->ssl) : SSL_get0_peer_certificate(tls->ssl);
    int hash = NID_undef;
    if (!server || !X509_get_signature_info(server, &hash, NULL, NULL, NULL) || hash == NID_undef)
        return dw_error_set(err, DW_ERROR_PROTOCOL,
                            "tls-server-end-point is not defined for the hash of the server's certificate");
    if (hash == NID_md5 || hash == NID_sha1 || hash == NID_md5_sha1)
        hash = NID_sha256;
    const EVP_MD *md = EVP_get_digestbynid(hash);
    uint8_t *room = dw_buf_room(out, EVP_MAX_MD_SIZE);
    unsigned len = 0;
    if (!md || !room || !X509_digest(server, md, room, &len))
        return dw_error_set(err, DW_ERROR_INTERNAL, "cannot make a channel binding of the server's certificate");
    dw_buf_added(out, len);
    return 0;
}

int dw_tls_binding(const struct dw_tls *tls, const char *type, struct dw_buf *out, struct dw_error *err)
{
    int rc;
    ERR_clear_error();
    if (!tls->up)
        rc = dw_error_set(err, DW_ERROR_INTERNAL, "a channel binding before TLS is up");
    else if (strcmp(type, "tls-exporter") == 0)
        rc = exporter(tls, out, err);
    else if (strcmp(type, "tls-server-end-point") == 0)
        rc = server_end_point(tls, out, err);
    else
        rc =
            dw_error_set(err, DW_ERROR_PROTOCOL,
                         "no channel binding of type %.60s: tls-exporter and tls-server-end-point are known", type);
    ERR_clear_error();
    return rc;
}
