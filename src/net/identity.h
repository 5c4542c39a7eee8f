/* Who holds which ZMTP identity at which backend: one live connection for each.
 *
 * libzmq's ROUTER silently ignores a second connection with an identity that it knows, so the broker must not
 * let one come about.  Another user's claim is refused.  The same user's newer login ends the older
 * connection and waits until the backend has let go of it.
 *
 * Any thread.  Holders are known by worker and connection number, never by pointer; they are told through
 * the two calls given to dw_identities_new, which post to the holder's worker and are called with the
 * registry's lock held. */
#ifndef DW_NET_IDENTITY_H
#define DW_NET_IDENTITY_H

#include "base/error.h"
#include "base/span.h"

struct dw_identities;

struct dw_holder {
    void *worker;
    uint64_t number;
};

typedef void (*dw_identity_tell)(struct dw_holder holder);

/* `leave` tells a connection that a newer login takes its identity; `granted` that its wait is over. */
struct dw_identities *dw_identities_new(dw_identity_tell leave, dw_identity_tell granted);
void dw_identities_free(struct dw_identities **identities);

enum dw_claim { DW_CLAIM_GRANTED, DW_CLAIM_WAIT, DW_CLAIM_REFUSED, DW_CLAIM_FAILED };

/* Claims `identity` at `backend` for `user`.  FAILED: memory is out. */
enum dw_claim dw_identity_claim(struct dw_identities *identities, struct dw_holder holder, const char *backend,
                                struct dw_span identity, const char *user);
/* The holder (or waiter) is done: its backend connection is gone.  Harmless when it held nothing. */
void dw_identity_release(struct dw_identities *identities, struct dw_holder holder, const char *backend,
                         struct dw_span identity);

#endif
