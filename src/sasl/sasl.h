/* The server's side of the SASL mechanisms that end in a Kerberos principal, sans I/O; the fronts (XMPP, Dovecot's
 * protocol) carry the messages and do the base64.
 *
 *   GSSAPI         RFC 4752: context tokens, then the layer negotiation.  Only layer 1 (none) is offered, size 0; what
 *                  clients really answer is taken: layer octet 0 or 1, any size with it, an authzid or none.
 *   GS2-KRB5       RFC 5801: gs2-header, one context token (and ours, if mutual), the rest implied.
 *   GS2-KRB5-PLUS  the same bound to the TLS channel: the client's binding must be ours.
 *
 * RFC 4752 section 3.1: an AP-REP goes out only when the client asked for mutual authentication; a client may also send
 * its empty response before the challenge with the layers.
 *
 * One thread at a time. */
#ifndef DW_SASL_SASL_H
#define DW_SASL_SASL_H

#include "gss/context.h"

struct dw_sasl;

/* A channel binding that this connection has ("tls-exporter", "tls-server-end-point") and its octets. */
struct dw_sasl_binding {
    const char *type;
    struct dw_span octets;
};

struct dw_sasl_options {
    const struct dw_cred *cred; /* must outlive the exchange; usually not pinned to one service */
    /* Whether a ticket for `target` (full principal, "xmpp/host/domain@REALM") is one that is answered here; asked once
     * the context is whole.  NULL: any.  A ticket for another is DW_ERROR_DENIED. */
    bool (*is_ours)(void *arg, const char *target);
    void *arg;
    bool require_mutual;
    const struct dw_sasl_binding *bindings; /* copied */
    size_t binding_count;
    bool plus_offered; /* GS2: a -PLUS was offered, so gs2-cbind-flag "y" is a downgrade (RFC 5801 section 5) */
};

/* "GSSAPI", "GS2-KRB5", "GS2-KRB5-PLUS". */
bool dw_sasl_knows(struct dw_span mechanism);
/* NULL when the mechanism is none of them, or memory is out. */
struct dw_sasl *dw_sasl_new(struct dw_span mechanism, const struct dw_sasl_options *options);
void dw_sasl_free(struct dw_sasl **sasl);

enum {
    DW_SASL_DONE =
        0, /* principal and authzid are known; nothing has to be sent (`challenge` is empty), or it goes as
                         additional data with success (`has_final`) */
    DW_SASL_CHALLENGE = 1, /* `challenge`, which may be empty, goes to the client */
};
/* Takes the client's message: `has_initial` false at the first step means that there was none at all (no initial
 * response; an empty challenge is then due), which differs from an empty one only for a client that speaks first.
 * DW_SASL_DONE, DW_SASL_CHALLENGE, or -1 with `err` told: DW_ERROR_PROTOCOL (malformed-request), DW_ERROR_DENIED
 * (not-authorized), DW_ERROR_TEMPORARY and DW_ERROR_INTERNAL (temporary-auth-failure).  Not called again after -1 or
 * DONE. */
int dw_sasl_step(struct dw_sasl *sasl, struct dw_span message, bool has_message, struct dw_buf *challenge,
                 struct dw_error *err);

/* Once DONE.  The context (peer, target, lifetime, facts); the authorization identity, empty when none was given: valid
 * UTF-8 without NUL, at most 3071 octets. */
const struct dw_context *dw_sasl_context(const struct dw_sasl *sasl);
struct dw_span dw_sasl_authzid(const struct dw_sasl *sasl);
/* Whether the last challenge is to go with success (RFC 4422 section 5, "additional data"). */
bool dw_sasl_has_final(const struct dw_sasl *sasl);
bool dw_sasl_channel_bound(const struct dw_sasl *sasl);

#endif
