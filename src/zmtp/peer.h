/* A ZMTP 3 peer as a machine (auth/machine.h), from greeting to traffic, in three roles:
 *
 *   ACCEPTOR   the server's side of the GSSAPI mechanism (RFC 38, as libzmq speaks it)
 *   INITIATOR  its client's side
 *   NULL       either side of the NULL mechanism (RFC 23): the plain backends and local applications
 *
 * The way of an acceptor: DW_ASK_REALM with the first token, answered by dw_zmtp_peer_credential;
 * DW_ASK_ADMIT when the context is whole, answered by dw_machine_answer; our READY goes out when the
 * client has sent its empty command and dw_zmtp_peer_ready has said what stands in it; DW_META with the
 * client's own READY; dw_zmtp_peer_open; then DW_DATA and dw_machine_push.
 * An initiator: DW_STEP (the context's step is done off the loop; dw_zmtp_peer_stepped), DW_META with the
 * server's READY, dw_zmtp_peer_ready, dw_zmtp_peer_open.
 * NULL: DW_META, dw_zmtp_peer_ready (in either order), dw_zmtp_peer_open.
 *
 * Subscriptions come out as DW_FRAME_SUBSCRIBE and DW_FRAME_CANCEL with the bare topic however the peer
 * wrote them: as commands (RFC 37), as prefixed messages of a SUB (RFC 29), with the inner flags of libzmq's
 * development branch, or as the bare message that released libzmq makes of a SUB's subscription under
 * GSSAPI - and also of its cancellation, which cannot be told apart; both are taken as a
 * subscription, since a SUB filters again on its own side.  (Before libzmq 4.3.3, which says 3.0, a topic was led
 * by its octet and did not get lost.)
 *
 * Sizes: 64 KiB for any frame before the handshake is over, `frame_bytes` of message afterwards. */
#ifndef DW_ZMTP_PEER_H
#define DW_ZMTP_PEER_H

#include "auth/machine.h"
#include "gss/context.h"
#include "gss/request.h"

enum { DW_ZMTP_HANDSHAKE_BYTES = 65536 };

enum dw_zmtp_role { DW_ZMTP_ACCEPTOR, DW_ZMTP_INITIATOR, DW_ZMTP_NULL };

struct dw_zmtp_options {
    enum dw_zmtp_role role;
    bool plaintext; /* GSSAPI: authenticated only, nothing wrapped (ZMQ_GSSAPI_PLAINTEXT) */
    bool error_on_deny; /* a refusal is sent as ERROR; else the connection is just to be closed */
    size_t frame_bytes;
    struct dw_meter *meter; /* may be NULL */
};

/* Its greeting stands in `out` at once.  NULL when memory is out. */
struct dw_machine *dw_zmtp_peer_new(const struct dw_zmtp_options *options);

/* Acceptor, at DW_ASK_REALM.  The request that the first token makes; valid until the credential is given. */
const struct dw_request *dw_zmtp_peer_request(const struct dw_machine *m);
/* `cred` must live until the context is whole or the machine freed. */
void dw_zmtp_peer_credential(struct dw_machine *m, const struct dw_cred *cred);
/* NULL before there is one. */
const struct dw_context *dw_zmtp_peer_context(const struct dw_machine *m);

/* Initiator.  At each DW_STEP the driver steps the context with fx->token (empty the first time; it stays valid
 * until dw_zmtp_peer_stepped) and tells what dw_context_step said; before the first time it gives the context,
 * which the machine takes. */
void dw_zmtp_peer_initiate(struct dw_machine *m, struct dw_context *context);
struct dw_context *dw_zmtp_peer_stepping(struct dw_machine *m);
void dw_zmtp_peer_stepped(struct dw_machine *m, int progress, struct dw_span reply, const struct dw_error *err);

/* What our READY shall say (encoded properties; copied).  -1 when memory is out. */
int dw_zmtp_peer_ready(struct dw_machine *m, struct dw_span meta);
/* Both sides are joined: traffic may flow. */
void dw_zmtp_peer_open(struct dw_machine *m);
/* Ends the connection: with an ERROR command if `error_on_deny` was asked for, READY has not been sent and `kind` is
 * one that no new attempt cures (DENIED, PROTOCOL); the next dw_machine_next answers DW_CLOSE with `kind`. */
void dw_zmtp_peer_refuse(struct dw_machine *m, enum dw_error_kind kind, const char *detail);

/* Milliseconds after which the peer, by its own last PING, wants to be thought dead if it stays silent; 0:
 * it has not said (RFC 37, TTL). */
unsigned dw_zmtp_peer_ttl(const struct dw_machine *m);
/* Whether the peer knows commands after the handshake (ZMTP 3.1 and every GSSAPI peer). */
bool dw_zmtp_peer_has_commands(const struct dw_machine *m);
/* The greeting is done but no first command has come: most likely the client has no ticket. */
bool dw_zmtp_peer_is_silent(const struct dw_machine *m);
/* Where the handshake stands, in words for a log: "greeting", "token", "ready", .. */
const char *dw_zmtp_peer_state(const struct dw_machine *m);

#endif
