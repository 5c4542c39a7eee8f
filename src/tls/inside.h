/* What the files of this room share; for no other room. */
#ifndef DW_TLS_INSIDE_H
#define DW_TLS_INSIDE_H

#include "tls/tls.h"

#include <openssl/ssl.h>

/* A certificate with its key and the names that it is shown for. */
struct dw_tls_site {
    SSL_CTX *ctx;
    char **names; /* NULL ends the list */
};

struct dw_tls_context {
    _Atomic unsigned holders;
    bool server, verify_nothing;
    char *alpn; /* NULL: ignored */
    struct dw_tls_site *sites; /* a client has one, without names */
    size_t count;
};

/* A certificate of our own for one session; `chain` may be NULL. */
struct dw_tls_pair {
    X509 *certificate;
    EVP_PKEY *key;
    STACK_OF(X509) * chain;
};

struct dw_tls {
    SSL *ssl;
    struct dw_tls_context *context;
    char *name; /* a client's: what the peer has to be; a server's: the name asked for, or NULL */
    struct dw_span in; /* the ciphertext of the call that is under way, */
    struct dw_buf *out; /* where it answers to, */
    bool starved; /* and whether memory ran out in it */
    bool up, ended, said_end, broken;
    struct dw_error why; /* what a callback found; once `broken`, what every further call is told */
};

/* The first thing that OpenSSL has to say, as words; its queue is empty afterwards. */
const char *dw_tls_reason(char into[200]);
/* The same about a file: tells `err` and returns -1. */
int dw_tls_file_error(struct dw_error *err, const char *what, const char *path);
/* Opens a PEM file; NULL with `err` told.  `what` names it: "certificate". */
BIO *dw_tls_open(const char *what, const char *path, struct dw_error *err);
/* Never asks at a terminal for what a file is locked with. */
int dw_tls_no_password(char *into, int size, int writing, void *arg);
/* Every certificate of a PEM file, the leaf first; NULL with `err` told. */
STACK_OF(X509) * dw_tls_read_chain(const char *path, struct dw_error *err);
EVP_PKEY *dw_tls_read_key(const char *path, struct dw_error *err);

/* Whether a certificate is one for `name`: DNS-ID, SRV-ID, id-on-xmppAddr, or an address. */
bool dw_tls_is_for(X509 *certificate, const char *name);
/* Appends the names that it holds: "DNS example.com, XMPP example.com", or "no names". */
int dw_tls_put_names(X509 *certificate, struct dw_buf *out);
/* A session with the certificate for `domain`, which may be NULL.  NULL when memory is out. */
SSL *dw_tls_ssl_for(struct dw_tls_context *context, const char *domain);
/* OpenSSL's verification, then ours of the name; `arg` is the context. */
int dw_tls_verify(X509_STORE_CTX *store, void *arg);
/* Its end, in seconds since 1970. */
double dw_tls_end_of(const X509 *certificate);

#endif
