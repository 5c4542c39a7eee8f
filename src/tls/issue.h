/* A small certificate authority: short-lived client certificates that carry an XMPP address, one a login, for backends
 * that take SASL EXTERNAL (XEP-0178): subjectAltName id-on-xmppAddr (RFC 6120 section 13.7.1.4), extended key usage
 * clientAuth and serverAuth (Prosody asks for the latter), ECDSA P-256, valid from a minute ago for `seconds`. */
#ifndef DW_TLS_ISSUE_H
#define DW_TLS_ISSUE_H

#include "tls/tls.h"

/* The authority; counted like a context, any thread, immutable. */
struct dw_tls_issuer;
/* Reads PEM files.  NULL with `err` told: which file, what is wrong (unreadable, no CA, expired, key does not match). */
struct dw_tls_issuer *dw_tls_issuer_new(const char *certificate, const char *key, struct dw_error *err);
struct dw_tls_issuer *dw_tls_issuer_hold(struct dw_tls_issuer *issuer);
void dw_tls_issuer_release(struct dw_tls_issuer **issuer);

/* A certificate for `jid` (a bare JID), and its key.  NULL with `err` told. */
struct dw_tls_pair *dw_tls_issue(struct dw_tls_issuer *issuer, const char *jid, unsigned seconds,
                                 struct dw_error *err);
void dw_tls_pair_free(struct dw_tls_pair **pair);

/* HMAC-SHA256 of `text`, appended to `out` (32 octets); for the tokens that xmpp/token.h makes. */
int dw_tls_hmac(struct dw_span secret, struct dw_span text, struct dw_buf *out);
/* `len` octets that nobody can guess. */
int dw_tls_random(uint8_t *at, size_t len);

#endif
