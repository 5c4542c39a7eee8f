/* The inside of a context, shared by the files that work on it: the two handshakes (accept.c, initiate.c), what is
 * known of the peer (facts.c), and what all contexts have (context.c).  Internal to this room. */
#ifndef DW_GSS_SESSION_H
#define DW_GSS_SESSION_H

#include "gss/context.h"
#include "gss/held.h"
#include "gss/seal.h"

/* What stands authenticated in a ticket beyond its names: one block of octets, and the lists that point into it. */
struct dw_facts {
    struct dw_buf octets;
    struct dw_span *indicators;
    size_t indicator_count;
    struct dw_pair *attributes;
    size_t attribute_count;
};

struct dw_context {
    struct dw_held *held; /* until the handshake is over */
    /* An initiator's, until then too. */
    gss_ctx_id_t gss;
    gss_name_t service;
    char *target_text; /* the service's name, for messages */

    char *peer, *target; /* full principal names; once done */
    struct dw_facts *facts; /* until settled; NULL when there are none */
    double expires;
    uint32_t lifetime;
    uint32_t flags; /* GSS_C_.._FLAG */
    uint8_t bindings[16]; /* as the client gave them; all zero: none */
    bool initiator, done, anonymous, cross_realm;
    struct dw_seal seal; /* once done */
};

/* One step of each handshake; see dw_context_step. */
int dw_accept_step(struct dw_context *ctx, struct dw_span token, struct dw_buf *reply, struct dw_error *err);
int dw_initiate_step(struct dw_context *ctx, struct dw_span token, struct dw_buf *reply, struct dw_error *err);

/* Gathers what krb5_rd_req found authenticated.  `facts` is NULL when there is nothing; -1 with `err` told. */
int dw_facts_gather(krb5_context krb5, krb5_auth_context auth, struct dw_facts **facts, struct dw_error *err);
void dw_facts_free(struct dw_facts **facts);

#endif
