/* One security context: step, wrap, unwrap, and what it tells of the peer.
 *
 * One thread at a time.  `err->kind` after a failed step says what the peer may be told:
 * DW_ERROR_TEMPORARY when time or a new ticket cures it (expired, clock skew, unknown kvno, replay),
 * DW_ERROR_DENIED when it does not (wrong service, untrusted realm, anonymous, enctype), DW_ERROR_PROTOCOL for a
 * token that is none.
 *
 * Tickets may be of any enctype that the Kerberos library takes.  The key that a context ends up with, which the two
 * sides agree on by what they prefer (RFC 4537), must be of RFC 3962 or RFC 8009 (aes128-, aes256-cts-hmac-sha1-96,
 * aes128-cts-hmac-sha256-128, aes256-cts-hmac-sha384-192); a context of another enctype is refused. */
#ifndef DW_GSS_CONTEXT_H
#define DW_GSS_CONTEXT_H

#include "auth/event.h"
#include "base/buf.h"
#include "gss/cred.h"

struct dw_context;

/* Accepts with `cred`, in its thread until settled; Kerberos 5 alone, and nothing that is not a well-formed AP-REQ.
 * A credential that the client delegates is told of and left unread.  NULL when memory is out. */
struct dw_context *dw_context_accept(const struct dw_cred *cred);
/* Initiates towards `service` ("zmq@host", or a full principal "zmq/host@REALM"; `realm`, if not NULL, is
 * appended to a name that has none).  Mutual authentication, replay detection and confidentiality are asked for. */
struct dw_context *dw_context_initiate(const struct dw_cred *cred, const char *service, const char *realm,
                                       struct dw_error *err);
void dw_context_free(struct dw_context **ctx); /* wipes what it held */

enum { DW_CONTEXT_DONE = 0, DW_CONTEXT_MORE = 1 };

/* Takes the peer's token (empty for an initiator's first step), appends ours, if any, to `reply`.
 * DW_CONTEXT_MORE, DW_CONTEXT_DONE, or -1 with `err` told; an error token for the peer may then stand in
 * `reply`.  An initiator's step may talk to the KDC: off the loop. */
int dw_context_step(struct dw_context *ctx, struct dw_span token, struct dw_buf *reply, struct dw_error *err);

/* Valid once DONE. */
const char *dw_context_peer(const struct dw_context *ctx); /* full principal name, quoted; borrowed */
const char *dw_context_target(const struct dw_context *ctx); /* acceptor's own name that the ticket was for */
bool dw_context_is_anonymous(const struct dw_context *ctx);
/* Seconds since 1970; 0: without end.  The ticket's own end: a ticket that is past it is refused as expired, whatever
 * clock skew krb5.conf tolerates. */
double dw_context_expires(const struct dw_context *ctx);
/* Fills event->gss (and nothing else); its lists live until dw_context_settle, and are empty from then on.  Only what
 * stands authenticated in the ticket is listed; a PAC is left out. */
void dw_context_describe(const struct dw_context *ctx, struct dw_event *event);

/* Appends gss_wrap(head || body) to `out`, with confidentiality.  Exactly the octets that gss_wrap would
 * give, made in place: no allocation but `out`'s growth.  -1 with `err` told; `out` is then as before. */
int dw_context_wrap(struct dw_context *ctx, struct dw_span head, struct dw_span body, struct dw_buf *out,
                    struct dw_error *err);
/* How many octets dw_context_wrap appends for `plain` octets. */
size_t dw_context_wrapped_size(struct dw_context *ctx, size_t plain);

/* Unwraps in place: `plain` points into `token`, whose octets are overwritten.  -1 with `err` told
 * (DW_ERROR_PROTOCOL) when the token is not the peer's, was not made with confidentiality, or is not the
 * one that follows its predecessor, or for the first the handshake. */
int dw_context_unwrap(struct dw_context *ctx, uint8_t *token, size_t len, struct dw_span *plain,
                      struct dw_error *err);

/* For SASL (RFC 4752), until settled.  Appends gss_wrap of `plain` without confidentiality. */
int dw_context_sign(struct dw_context *ctx, struct dw_span plain, struct dw_buf *out, struct dw_error *err);
/* As dw_context_unwrap, but takes messages of either kind; `confidential` tells which it was. */
int dw_context_open(struct dw_context *ctx, uint8_t *token, size_t len, struct dw_span *plain, bool *confidential,
                    struct dw_error *err);

/* Whether the client gave channel bindings (RFC 4121 section 4.1.1.2) with `data` as their application data and no
 * addresses.  Of an acceptor once DONE: until then, and for a client that gave none, false. */
bool dw_context_is_bound_to(const struct dw_context *ctx, struct dw_span data);
/* What it was bound to is the channel that it came by: dw_context_describe says so. */
void dw_context_mark_bound(struct dw_context *ctx);

/* The handshake is over: lets go of what only it needed (credential, attributes, the key of dw_context_sign); keeps the session keys and both
 * names. */
void dw_context_settle(struct dw_context *ctx);

#endif
