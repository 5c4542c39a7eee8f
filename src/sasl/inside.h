/* The inside of an exchange, shared by the mechanisms (gssapi.c, gs2.c) and what they have in common (sasl.c).  Internal
 * to this room. */
#ifndef DW_SASL_INSIDE_H
#define DW_SASL_INSIDE_H

#include "sasl/sasl.h"

/* A state is named for what it awaits; it takes one message: see dw_sasl_step. */
typedef int (*dw_sasl_state)(struct dw_sasl *sasl, struct dw_span message, struct dw_buf *challenge,
                             struct dw_error *err);

struct dw_sasl {
    dw_sasl_state state;
    struct dw_sasl_options options; /* its bindings are ours */
    struct dw_context *context;
    struct dw_buf authzid;
    struct dw_buf header; /* GS2: what the client has to have bound its context to */
    bool asked; /* for its first message, by an empty challenge */
    bool is_plus, has_final, channel_bound;
};

/* The first state of each mechanism; its message is not empty. */
int dw_gssapi_await_token(struct dw_sasl *sasl, struct dw_span message, struct dw_buf *challenge,
                          struct dw_error *err);
int dw_gs2_await_first(struct dw_sasl *sasl, struct dw_span message, struct dw_buf *challenge,
                       struct dw_error *err);

/* Steps the context: dw_context_step's answer.  Once it is whole, a ticket that is not for us, or mutual authentication
 * left out where it is required, is -1 with `err` told. */
int dw_sasl_accept(struct dw_sasl *sasl, struct dw_span token, struct dw_buf *reply, struct dw_error *err);
/* Keeps the authorization identity, if it is one. */
int dw_sasl_take_authzid(struct dw_sasl *sasl, struct dw_span authzid, struct dw_error *err);

#endif
