/* Where in an XML stream one stands, without parsing it: tags, quotes and CDATA sections are told apart, names and
 * well-formedness are not looked at.  It keeps sixteen octets, allocates nothing, and takes a stream in any pieces.
 *
 * It answers two questions: where the tag in hand ends (xml.c hands whole tags to its parser, so that no attribute is
 * scanned twice however it trickles in), and whether the stream stands between two stanzas (only there may a stream
 * error be put into what a backend sends).  For a stream that is not well-formed the answers mean nothing. */
#ifndef DW_XMPP_BOUNDARY_H
#define DW_XMPP_BOUNDARY_H

#include "base/span.h"

struct dw_boundary {
    uint32_t depth; /* open elements */
    uint8_t state; /* boundary.c */
    uint8_t matched; /* octets of the mark that is being looked for */
    bool declaration; /* "<!" that opens no CDATA section has begun: a comment or a document type declaration */
    bool opened; /* the first element has begun */
};

/* Follows `bytes` to the end of the markup in hand, or to the end of the next one when none is; how many octets that
 * are: all, when it does not end in them.  Text before markup is included. */
size_t dw_boundary_markup(struct dw_boundary *b, struct dw_span bytes);
/* Follows all of `bytes`. */
void dw_boundary_follow(struct dw_boundary *b, struct dw_span bytes);
/* Follows `bytes` until the stream stands between stanzas; how many octets that are: 0 when it does already, all when it
 * does not get there (dw_boundary_is_between tells). */
size_t dw_boundary_reach(struct dw_boundary *b, struct dw_span bytes);

/* In no markup. */
bool dw_boundary_is_text(const struct dw_boundary *b);
/* The header is whole, and no stanza has begun that has not ended. */
bool dw_boundary_is_between(const struct dw_boundary *b);

#endif
