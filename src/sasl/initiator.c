/* The client's side of SASL GSSAPI; see initiator.h. */
#include "sasl/initiator.h"

#include <stdlib.h>

/* RFC 4752 section 3.3 */
enum { NO_LAYER = 1, LAYER_OCTETS = 4 };

struct dw_sasl_initiator {
    struct dw_context *context;
    struct dw_buf authzid;
    enum { TOKENS, LAYERS, OVER } awaits;
    unsigned layers;
};

struct dw_sasl_initiator *dw_sasl_initiator_new(struct dw_context *context, struct dw_span authzid)
{
    struct dw_sasl_initiator *initiator = calloc(1, sizeof *initiator);
    if (!initiator)
        return NULL;
    initiator->context = context;
    if (dw_buf_put(&initiator->authzid, authzid) < 0)
        dw_sasl_initiator_free(&initiator);
    return initiator;
}

void dw_sasl_initiator_free(struct dw_sasl_initiator **initiator)
{
    if (!*initiator)
        return;
    dw_buf_free(&(*initiator)->authzid);
    free(*initiator);
    *initiator = NULL;
}

/* RFC 4752 section 3.1: the server's octet of layers and its size, then ours and the authorization identity. */
static int choose_layer(struct dw_sasl_initiator *initiator, struct dw_span challenge, struct dw_buf *response,
                        struct dw_error *err)
{
    struct dw_buf token = {0}, ours = {0};
    struct dw_span plain;
    bool confidential;
    int rc = -1;
    if (dw_buf_put(&token, challenge) < 0) {
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
        goto done;
    }
    uint8_t *at = token.at + token.head;
    if (dw_context_open(initiator->context, at, challenge.len, &plain, &confidential, err) < 0)
        goto done;
    if (plain.len != LAYER_OCTETS) {
        dw_error_set(err, DW_ERROR_PROTOCOL, "the offer of security layers has %zu octets, not %d", plain.len,
                     LAYER_OCTETS);
        goto done;
    }
    initiator->layers = plain.at[0];
    if (!(initiator->layers & NO_LAYER)) {
        dw_error_set(err, DW_ERROR_DENIED, "the server insists on a security layer (offers %u)", initiator->layers);
        goto done;
    }
    if (dw_buf_put_u32(&ours, (uint32_t)NO_LAYER << 24) < 0 ||
        dw_buf_put(&ours, dw_buf_span(&initiator->authzid)) < 0) {
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
        goto done;
    }
    rc = dw_context_sign(initiator->context, dw_buf_span(&ours), response, err);
    initiator->awaits = OVER;
done:
    dw_buf_free(&token);
    dw_buf_free(&ours);
    return rc;
}

int dw_sasl_initiator_step(struct dw_sasl_initiator *initiator, struct dw_span challenge, struct dw_buf *response,
                           struct dw_error *err)
{
    if (initiator->awaits == OVER)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "the server challenges after the last response");
    if (initiator->awaits == LAYERS)
        return choose_layer(initiator, challenge, response, err);
    int progress = dw_context_step(initiator->context, challenge, response, err);
    if (progress == DW_CONTEXT_DONE)
        initiator->awaits = LAYERS;
    return progress < 0 ? -1 : 0;
}

bool dw_sasl_initiator_is_done(const struct dw_sasl_initiator *initiator)
{
    return initiator->awaits == OVER;
}

unsigned dw_sasl_initiator_layers(const struct dw_sasl_initiator *initiator)
{
    return initiator->layers;
}
