/* The credentials of a worker: each acquired once for its keytab, service and realm, and looked at again when
 * it is used, so that a key roll-over needs no restart. */
#ifndef DW_NET_DESK_H
#define DW_NET_DESK_H

#include "gss/context.h"
#include "gss/cred.h"

#include <uv.h>

struct dw_desk;

/* `rcache` as in struct dw_acceptor_options; copied. */
struct dw_desk *dw_desk_new(const char *rcache);
void dw_desk_free(struct dw_desk **desk);

/* The acceptor's credential; NULL with `err` told.  Borrowed: lives as long as the desk. */
const struct dw_cred *dw_desk_acceptor(struct dw_desk *desk, const char *keytab, const char *service,
                                       const char *realm, struct dw_error *err);

/* An initiator's credential, which one pool thread is with at a time: who comes meanwhile waits on the loop and not in a
 * thread, so that a KDC that is slow holds one thread of the pool and no more. */
struct dw_outbound;
struct dw_outbound_turn {
    struct dw_outbound_turn *next;
};
/* Whether it is free; else `turn` waits in the queue.  On the worker's thread, as the next. */
bool dw_outbound_enter(struct dw_outbound *outbound, struct dw_outbound_turn *turn);
/* Whose turn it is now; NULL: it is free. */
struct dw_outbound_turn *dw_outbound_leave(struct dw_outbound *outbound);
struct dw_outbound *dw_desk_outbound(struct dw_desk *desk, const char *ccache, const char *keytab,
                                     const char *principal);
/* In a pool thread, by who has entered: makes a context towards `service` and takes its first step.  Acquires the credential when
 * there is none yet, and once more when the one at hand has run out. */
int dw_outbound_begin(struct dw_outbound *outbound, const char *service, const char *realm,
                      struct dw_context **context, struct dw_buf *reply, struct dw_error *err);

#endif
