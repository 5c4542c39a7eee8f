/* TLS over memory (OpenSSL, 1.2 and later): ciphertext in, plaintext out, and the other way.  It never touches a socket;
 * a machine that speaks on TLS feeds it what was read and appends what it gives to its own `out`.
 *
 * A context is made once for a listener or a backend, holds certificates and trust, never changes, and is counted: any
 * thread may hold and release it.  A session belongs to one thread.  Renegotiation, compression and session tickets for
 * clients of unknown identity are off; nothing of a key reaches a log or an error. */
#ifndef DW_TLS_TLS_H
#define DW_TLS_TLS_H

#include "base/buf.h"
#include "base/error.h"

struct dw_tls_context;
struct dw_tls;

/* One certificate of a server and the names that it is shown for (SNI, or the domain that a stream was opened to). */
struct dw_tls_certificate {
    const char *certificate; /* PEM file: the chain, leaf first */
    const char *key; /* PEM file */
    const char *const *names; /* NULL ends the list */
};

/* Reads the files.  The first certificate is shown to who names none of the others.  `alpn`: the one protocol spoken
 * ("xmpp-client"), told to who asks for it; a client that offers ALPN without it is refused (RFC 7301 section 3.2);
 * NULL: ALPN is ignored.  NULL with `err` told: which file, what is wrong with it (unreadable, key does not match,
 * ..). */
struct dw_tls_context *dw_tls_server_new(const struct dw_tls_certificate *certificates, size_t count,
                                         const char *alpn, struct dw_error *err);

struct dw_tls_client_options {
    const char *ca_file; /* PEM file of trusted authorities; NULL: the system's */
    bool verify_nothing; /* for diagnosis alone: the peer's certificate is looked at but not required to be good */
};
struct dw_tls_context *dw_tls_client_new(const struct dw_tls_client_options *options, struct dw_error *err);

struct dw_tls_context *dw_tls_context_hold(struct dw_tls_context *context);
void dw_tls_context_release(struct dw_tls_context **context);

/* The server's side.  `domain`, which may be NULL, chooses the certificate when the client sends no SNI.  NULL when
 * memory is out. */
struct dw_tls *dw_tls_accept(struct dw_tls_context *context, const char *domain);

/* A client's own certificate, for one session: what dw_tls_issue made, or NULL. */
struct dw_tls_pair;
/* The client's side: `name` is sent as SNI and the peer's certificate is verified against it (RFC 6125: DNS-ID, SRV-ID
 * `_xmpp-client`, and id-on-xmppAddr of RFC 6120 section 13.7.1.4); `alpn` may be NULL; `pair` (borrowed until the
 * session is freed) may be NULL.  NULL when memory is out. */
struct dw_tls *dw_tls_connect(struct dw_tls_context *context, const char *name, const char *alpn,
                              const struct dw_tls_pair *pair);
void dw_tls_free(struct dw_tls **tls);

enum dw_tls_state {
    DW_TLS_HANDSHAKE, /* more has to come before there is any plaintext */
    DW_TLS_UP,
    DW_TLS_ENDED, /* the peer has closed orderly (close_notify): no more plaintext comes */
};

/* Takes all of `ciphertext` (which may be empty: a client's first step), appends plaintext to `plain` and what has to be
 * sent to `out`.  At most as much plaintext as ciphertext is made of one call.  The state, or -1 with `err` told
 * (DW_ERROR_PROTOCOL for what is no TLS, DW_ERROR_DENIED for a certificate that does not verify, with the reason and the
 * names it holds); an alert for the peer may then stand in `out`.  Bytes that follow a close_notify are dropped. */
int dw_tls_feed(struct dw_tls *tls, struct dw_span ciphertext, struct dw_buf *plain, struct dw_buf *out,
                struct dw_error *err);
/* Encrypts into `out`; only while DW_TLS_UP. */
int dw_tls_send(struct dw_tls *tls, struct dw_span plain, struct dw_buf *out, struct dw_error *err);
/* Says that nothing more will be sent (close_notify). */
void dw_tls_end(struct dw_tls *tls, struct dw_buf *out);
/* Lets go of what only the handshake needed, so that an idle session is small. */
void dw_tls_settle(struct dw_tls *tls);

/* Known once DW_TLS_UP.  "TLSv1.3", "TLS_AES_256_GCM_SHA384": static.  The name that a client asked for, or NULL. */
const char *dw_tls_version(const struct dw_tls *tls);
const char *dw_tls_cipher(const struct dw_tls *tls);
const char *dw_tls_sni(const struct dw_tls *tls);
/* One line about the peer's certificate (subject, issuer, names, until when) for `probe`; -1 when there is none. */
int dw_tls_describe_peer(const struct dw_tls *tls, struct dw_buf *out);

/* Channel bindings: "tls-exporter" (RFC 9266; TLS 1.3, or 1.2 with extended master secret) and "tls-server-end-point"
 * (RFC 5929), appended to `out`.  -1 with `err` told when the type is another or is not to be had. */
int dw_tls_binding(const struct dw_tls *tls, const char *type, struct dw_buf *out, struct dw_error *err);

#endif
