/* The acceptor's answer, an AP-REP (RFC 4120 section 5.5.2) with a subkey and a sequence number of our own, as
 * krb5_mk_rep makes it for an acceptor of the GSSAPI.
 *
 * Internal to this room. */
#ifndef DW_GSS_AP_REP_H
#define DW_GSS_AP_REP_H

#include "gss/ticket.h"

enum { DW_AP_REP_SIZE = 320 };

struct dw_ap_rep {
    uint8_t memory[DW_AP_REP_SIZE];
    struct dw_span message; /* in it */
    krb5_keyblock subkey; /* of the enctype that was negotiated */
    uint8_t octets[DW_CIPHER_MOST_KEY]; /* its octets */
    uint32_t number; /* of our first message */
};

/* `number` is to be that of our first message; 0: a new one.  -1 with `err` told.  Wiped by its caller, whatever came
 * of it. */
int dw_ap_rep_make(struct dw_ap_rep *answer, const struct dw_ticket *ticket, uint32_t number, struct dw_error *err);

#endif
