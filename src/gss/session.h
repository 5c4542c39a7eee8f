/* The inside of a context, shared by the three files that work on it: the handshake (context.c), what is
 * known of the peer (facts.c), and message protection (message.c).  Internal to this room. */
#ifndef DW_GSS_SESSION_H
#define DW_GSS_SESSION_H

#include "gss/context.h"
#include "gss/held.h"

/* What RFC 6680 tells of the peer's name: one block of octets, and the lists that point into it. */
struct dw_facts {
    struct dw_buf octets;
    struct dw_span *indicators;
    size_t indicator_count;
    struct dw_pair *attributes;
    size_t attribute_count;
};

struct dw_context {
    gss_ctx_id_t gss;
    struct dw_held *held; /* until the handshake is over */
    gss_name_t service; /* an initiator's target; until then too */
    char *target_text; /* the same, for messages */
    char *peer, *target; /* full principal names; once done */
    struct dw_facts *facts; /* until settled */
    double expires;
    uint32_t lifetime;
    uint32_t flags; /* GSS_C_.._FLAG */
    bool initiator, done, anonymous, cross_realm;

    /* Of message protection; see message.c. */
    bool cfx, next_known;
    uint16_t header_len, trailer_len;
    uint64_t next; /* sequence number that the peer's next token must have */
};

/* Gathers what stands authenticated in `name`.  NULL with `err` told. */
struct dw_facts *dw_facts_gather(gss_name_t name, struct dw_error *err);
void dw_facts_free(struct dw_facts **facts);

/* Measures the tokens that this context makes; once, when it is done. */
int dw_message_shape(struct dw_context *ctx, struct dw_error *err);

#endif
