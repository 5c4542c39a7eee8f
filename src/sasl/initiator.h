/* The client's side of SASL GSSAPI (RFC 4752), sans I/O: context tokens, then the layer negotiation, of which no security
 * layer is what we choose; who carries the messages does the base64.
 *
 * A step may talk to the KDC: off the loop.  One thread at a time. */
#ifndef DW_SASL_INITIATOR_H
#define DW_SASL_INITIATOR_H

#include "gss/context.h"

struct dw_sasl_initiator;

/* `context`, an initiator's that has not been stepped, must outlive the exchange.  `authzid` is copied; empty: none.
 * NULL when memory is out. */
struct dw_sasl_initiator *dw_sasl_initiator_new(struct dw_context *context, struct dw_span authzid);
void dw_sasl_initiator_free(struct dw_sasl_initiator **initiator);

/* Takes the server's challenge (empty at the first step) and appends what answers it, which may be empty, to `response`.
 * 0, or -1 with `err` told; not called again after -1.  A challenge after the last response is DW_ERROR_PROTOCOL. */
int dw_sasl_initiator_step(struct dw_sasl_initiator *initiator, struct dw_span challenge, struct dw_buf *response,
                           struct dw_error *err);
/* The last response has been given: only now may the server tell of success. */
bool dw_sasl_initiator_is_done(const struct dw_sasl_initiator *initiator);
/* The layers that the server offered, once it has: 1 none, 2 integrity, 4 confidentiality. */
unsigned dw_sasl_initiator_layers(const struct dw_sasl_initiator *initiator);

#endif
