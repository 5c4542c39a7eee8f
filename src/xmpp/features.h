/* What a client is offered (RFC 6120 section 4.3.2): STARTTLS, and nothing else, in the clear; then the mechanisms, with
 * the name that their tickets are to be for (XEP-0233), and the channel bindings that there are (XEP-0440). */
#ifndef DW_XMPP_FEATURES_H
#define DW_XMPP_FEATURES_H

#include "base/buf.h"

struct dw_features {
    struct dw_span mechanisms; /* in the order they are offered, a space between; empty: none */
    const char *hostname; /* NULL: not told */
    const char *const *hostname_namespaces; /* NULL ends the list */
    bool hostname_in_features; /* a second time, as a child of <features/>: where Gajim looks */
    const char *const *binding_types; /* NULL, or a list that NULL ends */
};

/* Append; -1 when memory is out (what was appended is then cut off again). */
int dw_features_put_starttls(struct dw_buf *out);
int dw_features_put(struct dw_buf *out, const struct dw_features *features);

#endif
