/* What the files of the peer machine share among themselves: peer.c (the machine), gssapi.c and null.c (the
 * two handshakes), traffic.c (messages both ways). */
#ifndef DW_ZMTP_PEER_IMPL_H
#define DW_ZMTP_PEER_IMPL_H

#include "zmtp/command.h"
#include "zmtp/frame.h"
#include "zmtp/greeting.h"
#include "zmtp/peer.h"

enum dw_zmtp_kind { DW_KIND_OTHER, DW_KIND_SUB, DW_KIND_XSUB };

struct dw_zmtp_peer {
    struct dw_machine machine; /* first: the machine is the peer */
    enum dw_act (*state)(struct dw_zmtp_peer *p, struct dw_effect *fx);
    struct dw_zmtp_options options;
    struct dw_context *context;
    struct dw_cred const *cred;
    struct dw_buf token; /* the one in hand, until stepped */
    struct dw_buf ready; /* our READY's properties, until sent */
    struct dw_request request; /* borrows from `token` */
    struct dw_error why; /* once closed */
    enum dw_dialect dialect;
    enum dw_zmtp_kind kind; /* of the peer's socket */
    uint8_t minor; /* of the peer's ZMTP version */
    bool have_ready; /* dw_zmtp_peer_ready was called */
    bool sent_ready;
    bool go_ahead; /* the client's empty command came */
    bool context_done;
    bool asked, answered, allowed;
    bool meta_given, opened;
    unsigned ttl; /* milliseconds */
    uint8_t small[40]; /* a command put into libzmq's form */
};

static inline struct dw_zmtp_peer *dw_zmtp_peer_of(struct dw_machine *m)
{
    return (struct dw_zmtp_peer *)(void *)m;
}

/* A whole frame off the input: 1, 0 when more is needed, -1 with p->why told.  `body` may be overwritten. */
int dw_zmtp_take_frame(struct dw_zmtp_peer *p, size_t limit, uint8_t *flags, uint8_t **body, size_t *size);
/* Closes for p->why, or for the kind and detail given. */
enum dw_act dw_zmtp_fail(struct dw_zmtp_peer *p, struct dw_effect *fx);
enum dw_act dw_zmtp_refuse(struct dw_zmtp_peer *p, struct dw_effect *fx, enum dw_error_kind kind,
                           const char *format, ...) __attribute__((format(printf, 4, 5)));
/* A handshake command that was not the expected one: says which, and reads an ERROR's reason. */
enum dw_act dw_zmtp_unexpected(struct dw_zmtp_peer *p, struct dw_effect *fx, struct dw_span name,
                               struct dw_span rest, const char *expected);
/* Checks and keeps what the peer's READY says; gives DW_META. */
enum dw_act dw_zmtp_take_ready(struct dw_zmtp_peer *p, struct dw_effect *fx, struct dw_span meta);

/* First states after the greeting, and the state once READY has been exchanged. */
enum dw_act dw_gssapi_await_first(struct dw_zmtp_peer *p, struct dw_effect *fx);
enum dw_act dw_gssapi_begin(struct dw_zmtp_peer *p, struct dw_effect *fx);
enum dw_act dw_null_await_ready(struct dw_zmtp_peer *p, struct dw_effect *fx);
enum dw_act dw_zmtp_await_open(struct dw_zmtp_peer *p, struct dw_effect *fx);

/* Sends our READY if it is due; -1 with p->why told. */
int dw_gssapi_send_ready(struct dw_zmtp_peer *p);
int dw_null_send_ready(struct dw_zmtp_peer *p);
int dw_zmtp_put_error(struct dw_zmtp_peer *p, const char *phrase);

/* Unwraps the MESSAGE in `body`: 0 with flags and content, or -1 with p->why told. */
int dw_zmtp_unwrap(struct dw_zmtp_peer *p, uint8_t *body, size_t size, uint8_t *flags, struct dw_span *plain);
/* Appends a frame with a MESSAGE that wraps flags, head and body. */
int dw_zmtp_wrap(struct dw_zmtp_peer *p, uint8_t outer, uint8_t flags, struct dw_span head, struct dw_span body,
                 struct dw_error *err);
int dw_zmtp_push(struct dw_machine *m, struct dw_frame frame, struct dw_error *err);

#endif
