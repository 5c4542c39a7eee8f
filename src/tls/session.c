/* One session over memory: see tls.h.  OpenSSL reads from the octets of the call that is under way and writes to the
 * caller's buffer, so that nothing is kept between calls but part of a record. */
#include "tls/inside.h"

#include <openssl/err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- The place of a socket. */

static int on_read(BIO *bio, char *into, size_t len, size_t *got)
{
    struct dw_tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *got = len < tls->in.len ? len : tls->in.len;
    if (*got == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(into, tls->in.at, *got);
    tls->in.at += *got;
    tls->in.len -= *got;
    return 1;
}

static int on_write(BIO *bio, const char *from, size_t len, size_t *put)
{
    struct dw_tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *put = 0;
    if (!tls->out || dw_buf_put(tls->out, dw_span_make(from, len)) < 0) {
        tls->starved = true;
        return 0;
    }
    *put = len;
    return 1;
}

static long on_ctrl(BIO *bio, int command, long number, void *at)
{
    (void)bio, (void)number, (void)at;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *memory;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_memory(void)
{
    memory = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "durward memory");
    if (!memory)
        return;
    BIO_meth_set_read_ex(memory, on_read);
    BIO_meth_set_write_ex(memory, on_write);
    BIO_meth_set_ctrl(memory, on_ctrl);
}

static struct dw_tls *new_session(struct dw_tls_context *context, const char *domain)
{
    pthread_once(&once, make_memory);
    ERR_clear_error();
    struct dw_tls *tls = memory ? calloc(1, sizeof *tls) : NULL;
    BIO *bio = tls ? BIO_new(memory) : NULL;
    if (bio && (tls->ssl = dw_tls_ssl_for(context, domain))) {
        BIO_set_data(bio, tls);
        BIO_set_init(bio, 1);
        SSL_set_bio(tls->ssl, bio, bio);
        SSL_set_app_data(tls->ssl, tls);
        tls->context = dw_tls_context_hold(context);
        return tls;
    }
    BIO_free(bio);
    free(tls);
    ERR_clear_error();
    return NULL;
}

struct dw_tls *dw_tls_accept(struct dw_tls_context *context, const char *domain)
{
    struct dw_tls *tls = new_session(context, domain);
    if (tls)
        SSL_set_accept_state(tls->ssl);
    return tls;
}

/* RFC 6066 section 3: an address is no name. */
static bool is_address(const char *name)
{
    return strchr(name, ':') || name[strspn(name, "0123456789.")] == '\0';
}

static int set_up_client(struct dw_tls *tls, const char *name, const char *alpn, const struct dw_tls_pair *pair)
{
    uint8_t list[256];
    size_t len = alpn ? strlen(alpn) : 0;
    if (!(tls->name = strdup(name)))
        return -1;
    if (!is_address(name) && !SSL_set_tlsext_host_name(tls->ssl, name))
        return -1;
    if (len && len < sizeof list) {
        list[0] = (uint8_t)len;
        memcpy(list + 1, alpn, len);
        if (SSL_set_alpn_protos(tls->ssl, list, (unsigned)len + 1) != 0)
            return -1;
    }
    if (pair && SSL_use_cert_and_key(tls->ssl, pair->certificate, pair->key, pair->chain, 1) != 1)
        return -1;
    SSL_set_connect_state(tls->ssl);
    return 0;
}

struct dw_tls *dw_tls_connect(struct dw_tls_context *context, const char *name, const char *alpn,
                              const struct dw_tls_pair *pair)
{
    struct dw_tls *tls = new_session(context, NULL);
    if (tls && set_up_client(tls, name, alpn, pair) < 0)
        dw_tls_free(&tls);
    ERR_clear_error();
    return tls;
}

void dw_tls_free(struct dw_tls **tls)
{
    struct dw_tls *gone = *tls;
    *tls = NULL;
    if (!gone)
        return;
    gone->out = NULL;
    SSL_free(gone->ssl);
    dw_tls_context_release(&gone->context);
    free(gone->name);
    free(gone);
    ERR_clear_error();
}

/* ---- What goes wrong. */

static void say_alert(struct dw_tls *tls, int alert)
{
    const char *cure = "";
    if (alert == SSL_AD_UNKNOWN_CA)
        cure = ": it does not trust who signed our certificate";
    else if (alert == SSL_AD_CERTIFICATE_EXPIRED)
        cure = ": our certificate";
    else if (alert == SSL_AD_NO_APPLICATION_PROTOCOL)
        cure = ": it does not speak our ALPN protocol";
    dw_error_set(&tls->why, DW_ERROR_PROTOCOL, "the peer ended TLS with an alert, \"%s\"%s",
                 SSL_alert_desc_string_long(alert), cure);
}

/* Finds words for what OpenSSL says, once; from then on the session is of no use. */
static int fail(struct dw_tls *tls, const char *during, struct dw_error *err)
{
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_REASON(code);
    bool of_ssl = ERR_GET_LIB(code) == ERR_LIB_SSL;
    char words[200];
    tls->broken = true;
    if (tls->starved || reason == ERR_R_MALLOC_FAILURE)
        dw_error_set(&tls->why, DW_ERROR_INTERNAL, "out of memory in TLS");
    else if (tls->why.kind != DW_ERROR_NONE)
        ; /* a callback knows better */
    else if (of_ssl && reason > SSL_AD_REASON_OFFSET)
        say_alert(tls, reason - SSL_AD_REASON_OFFSET);
    else if (of_ssl &&
             (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
              reason == SSL_R_HTTPS_PROXY_REQUEST || reason == SSL_R_BAD_RECORD_TYPE ||
              reason == SSL_R_PACKET_LENGTH_TOO_LONG) &&
             !tls->up)
        dw_error_set(&tls->why, DW_ERROR_PROTOCOL, "what the peer sent is no TLS (%s)", dw_tls_reason(words));
    else if (of_ssl && (reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_VERSION_TOO_LOW ||
                        reason == SSL_R_VERSION_TOO_HIGH))
        dw_error_set(&tls->why, DW_ERROR_PROTOCOL, "the peer speaks no TLS 1.2 or later");
    else if (of_ssl && reason == SSL_R_NO_SHARED_CIPHER)
        dw_error_set(&tls->why, DW_ERROR_PROTOCOL,
                     "no cipher in common: the peer offers none that is safe and fits our certificate");
    else
        dw_error_set(&tls->why, DW_ERROR_PROTOCOL, "%s: %s", during, dw_tls_reason(words));
    ERR_clear_error();
    if (err)
        *err = tls->why;
    return -1;
}

static int broken_already(const struct dw_tls *tls, struct dw_error *err)
{
    if (err)
        *err = tls->why;
    return -1;
}

/* ---- Octets. */

static int shake(struct dw_tls *tls, struct dw_error *err)
{
    int rc = SSL_do_handshake(tls->ssl);
    if (rc == 1)
        tls->up = true;
    else if (SSL_get_error(tls->ssl, rc) != SSL_ERROR_WANT_READ)
        return fail(tls, "the TLS handshake failed", err);
    ERR_clear_error();
    return 0;
}

/* One record's worth: 1, 0 when there is none, -1. */
static int take_plain(struct dw_tls *tls, struct dw_buf *plain, struct dw_error *err)
{
    char first;
    size_t got = 0;
    ERR_clear_error();
    int rc = SSL_peek(tls->ssl, &first, 1);
    if (rc <= 0) {
        int what = SSL_get_error(tls->ssl, rc);
        if (what == SSL_ERROR_ZERO_RETURN)
            tls->ended = true;
        else if (what != SSL_ERROR_WANT_READ)
            return fail(tls, "TLS broke", err);
        return 0;
    }
    int len = SSL_pending(tls->ssl);
    uint8_t *room = len > 0 ? dw_buf_room(plain, (size_t)len) : NULL;
    if (!room) {
        tls->starved = true;
        return fail(tls, "TLS broke", err);
    }
    if (SSL_read_ex(tls->ssl, room, (size_t)len, &got) != 1)
        return fail(tls, "TLS broke", err);
    dw_buf_added(plain, got);
    return 1;
}

int dw_tls_feed(struct dw_tls *tls, struct dw_span ciphertext, struct dw_buf *plain, struct dw_buf *out,
                struct dw_error *err)
{
    if (tls->broken)
        return broken_already(tls, err);
    if (tls->ended)
        return DW_TLS_ENDED;
    tls->in = ciphertext;
    tls->out = out;
    ERR_clear_error();
    int rc = tls->up ? 0 : shake(tls, err);
    while (rc == 0 && tls->up && !tls->ended && (rc = take_plain(tls, plain, err)) > 0)
        rc = 0;
    ERR_clear_error();
    tls->in = DW_SPAN_NONE;
    tls->out = NULL;
    if (rc < 0)
        return -1;
    return tls->ended ? DW_TLS_ENDED : tls->up ? DW_TLS_UP : DW_TLS_HANDSHAKE;
}

int dw_tls_send(struct dw_tls *tls, struct dw_span plain, struct dw_buf *out, struct dw_error *err)
{
    size_t put = 0;
    if (tls->broken)
        return broken_already(tls, err);
    if (!tls->up || tls->said_end)
        return dw_error_set(err, DW_ERROR_INTERNAL, "nothing can be sent %s TLS",
                            tls->up ? "after the end of" : "before");
    if (plain.len == 0)
        return 0;
    tls->out = out;
    ERR_clear_error();
    int rc = SSL_write_ex(tls->ssl, plain.at, plain.len, &put) == 1 ? 0 : fail(tls, "TLS broke", err);
    tls->out = NULL;
    return rc;
}

void dw_tls_end(struct dw_tls *tls, struct dw_buf *out)
{
    if (tls->broken || !tls->up || tls->said_end)
        return;
    tls->said_end = true;
    tls->out = out;
    ERR_clear_error();
    SSL_shutdown(tls->ssl);
    ERR_clear_error();
    tls->out = NULL;
}

/* The records' buffers go by themselves (SSL_MODE_RELEASE_BUFFERS).  SSL_free_buffers is not for us: with half a record
 * read, releases before 3.0.14 use what it has freed. */
void dw_tls_settle(struct dw_tls *tls)
{
    if (tls->context->server || !tls->up)
        return;
    free(tls->name);
    tls->name = NULL;
}

/* ---- What is known of it. */

const char *dw_tls_version(const struct dw_tls *tls)
{
    return tls->up ? SSL_get_version(tls->ssl) : NULL;
}

const char *dw_tls_cipher(const struct dw_tls *tls)
{
    return tls->up ? SSL_get_cipher_name(tls->ssl) : NULL;
}

const char *dw_tls_sni(const struct dw_tls *tls)
{
    return tls->context->server ? tls->name : NULL;
}
