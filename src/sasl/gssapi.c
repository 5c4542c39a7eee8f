/* SASL GSSAPI, the server's side (RFC 4752 section 3.2):
 *
 *   client  token                       server  token, if mutual authentication was asked for
 *   client  an empty response           server  the layers offered: none, size 0
 *   client  layer, size, authzid */
#include "sasl/inside.h"

enum { NO_LAYER = 1, CHOICE = 4 };

static int await_go_ahead(struct dw_sasl *sasl, struct dw_span message, struct dw_buf *challenge,
                          struct dw_error *err);
static int await_choice(struct dw_sasl *sasl, struct dw_span message, struct dw_buf *challenge,
                        struct dw_error *err);

static int offer(struct dw_sasl *sasl, struct dw_buf *challenge, struct dw_error *err)
{
    const uint8_t layers[CHOICE] = {NO_LAYER};
    if (dw_context_sign(sasl->context, dw_span_make(layers, CHOICE), challenge, err) < 0)
        return -1;
    sasl->state = await_choice;
    return DW_SASL_CHALLENGE;
}

int dw_gssapi_await_token(struct dw_sasl *sasl, struct dw_span message, struct dw_buf *challenge,
                          struct dw_error *err)
{
    size_t before = dw_buf_len(challenge);
    int progress = dw_sasl_accept(sasl, message, challenge, err);
    if (progress < 0)
        return -1;
    if (progress == DW_CONTEXT_MORE)
        return DW_SASL_CHALLENGE;
    if (dw_buf_len(challenge) == before)
        return offer(sasl, challenge, err);
    sasl->state = await_go_ahead;
    return DW_SASL_CHALLENGE;
}

static int await_go_ahead(struct dw_sasl *sasl, struct dw_span message, struct dw_buf *challenge,
                          struct dw_error *err)
{
    if (message.len)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "expected an empty response to the server's token");
    return offer(sasl, challenge, err);
}

/* What stands in the choice: a layer, the size that the client takes, who it wants to be. */
static int take_choice(struct dw_sasl *sasl, struct dw_span choice, struct dw_error *err)
{
    if (choice.len < CHOICE)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "a choice of layer of %zu octets", choice.len);
    /* Only one of the bits that were offered may be chosen.  There are clients that write none for no layer, and those
     * that give a size though nothing will be wrapped. */
    if (choice.at[0] & ~NO_LAYER)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "the client chose security layer %u, which was not offered",
                            choice.at[0]);
    return dw_sasl_take_authzid(sasl, dw_span_make(choice.at + CHOICE, choice.len - CHOICE), err);
}

static int await_choice(struct dw_sasl *sasl, struct dw_span message, struct dw_buf *challenge,
                        struct dw_error *err)
{
    struct dw_buf token = {0};
    struct dw_span choice;
    bool confidential;
    int rc = -1;
    (void)challenge;
    if (dw_buf_put(&token, message) < 0)
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    else if (message.len == 0)
        dw_error_set(err, DW_ERROR_PROTOCOL, "expected the choice of a layer, got nothing");
    else if (dw_context_open(sasl->context, token.at + token.head, message.len, &choice, &confidential, err) == 0)
        rc = take_choice(sasl, choice, err);
    dw_buf_free(&token);
    return rc < 0 ? -1 : DW_SASL_DONE;
}
