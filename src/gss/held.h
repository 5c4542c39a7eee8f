/* The inside of a credential, which contexts may go on holding after the credential has read a new keytab
 * or is gone.
 *
 * Internal to this room.  Nothing in an initiator's changes once it is made, but for its count, so it may be shared
 * between threads; an acceptor's belongs to the thread of its credential, where all its contexts are stepped and
 * settled. */
#ifndef DW_GSS_HELD_H
#define DW_GSS_HELD_H

#include "gss/cred.h"
#include "gss/rcache.h"
#include "gss/ticket.h"

#include <gssapi/gssapi.h>
#include <krb5.h>
#include <stdatomic.h>

struct dw_held {
    atomic_uint refs;

    /* An acceptor's, in place of the context that each call of the GSSAPI opens anew. */
    krb5_context krb5; /* one thread at a time; NULL in an initiator's */
    krb5_keytab keytab_copy;
    krb5_principal only; /* its one principal; NULL when its keytab copy has several */
    krb5_rcache rcache; /* NULL: none */
    struct dw_ticket_keys keys; /* of the same keytab */
    struct dw_rcache seen; /* the same cache as `rcache` */

    char *ccache; /* an initiator's cache, as the library names it */
    char *keytab; /* "FILE:.." or an empty one in memory: never the environment's */
    char *principal; /* NULL: the cache's or the keytab's first */
    bool own_ccache;
};

/* NULL when memory is out. */
struct dw_held *dw_held_new(void);
void dw_held_free(struct dw_held **held); /* lets go of one reference */

/* What `cred` is made of right now; the caller has a reference of its own. */
struct dw_held *dw_cred_hold(const struct dw_cred *cred);

/* Initiator: a credential of the library's, with tickets that have time left; `name` (may be NULL) gets the
 * principal's.  Talks to the KDC when the cache has no ticket or an old one. */
int dw_held_acquire(const struct dw_held *held, gss_cred_id_t *cred, char **name, struct dw_error *err);

#endif
