/* Addresses, as far as the start of a stream needs them: which domain is meant, and the three parts of a JID.
 *
 * Done: ASCII letters are compared without case, a trailing dot is dropped (RFC 7622 section 3.2), A-labels are read as
 * the U-labels they stand for (RFC 3492).  Not done: case and normalization of letters beyond ASCII (a domain is
 * configured, and looked for, as PRECIS and IDNA2008 would leave it), and preparation of localparts. */
#ifndef DW_XMPP_JID_H
#define DW_XMPP_JID_H

#include "base/span.h"

/* A domain in the form that domains are compared in. */
struct dw_jid_domain {
    size_t len;
    uint8_t octets[4100]; /* four for each that may be written */
};
/* -1 when it is no domain: empty, with an empty label or a character that no domain has, over 1023 octets. */
int dw_jid_prepare_domain(struct dw_jid_domain *into, struct dw_span domain);
bool dw_jid_same_domain(struct dw_span a, struct dw_span b);

/* local@domain/resource; the first and the last are absent when they are not there.  False when a part that is there is
 * empty. */
bool dw_jid_split(struct dw_span jid, struct dw_span *local, struct dw_span *domain, struct dw_span *resource);

#endif
