/* What the xmpp listeners of a configuration need besides words: certificates, trust, secrets, read once for the whole
 * process when the configuration comes into force, and again at each reload, also when nothing but a file has changed.
 *
 * Immutable; belongs to the settings (office.h) that it was made for, and any thread that holds those may read it. */
#ifndef DW_NET_XMPP_MEANS_H
#define DW_NET_XMPP_MEANS_H

#include "config/config.h"
#include "tls/issue.h"

/* Of a domain: how its backend is reached. */
struct dw_xmpp_way {
    struct dw_tls_context *tls; /* NULL: in the clear */
    struct dw_tls_issuer *issuer; /* external */
    struct dw_buf secret; /* jwt, token */
};

/* Of a listener. */
struct dw_xmpp_entrance {
    const struct dw_listener_config *listener;
    struct dw_tls_context *tls;
    const char **domains; /* NULL ends the list */
    struct dw_xmpp_way *ways; /* in the order of listener->domains */
};

struct dw_xmpp_means;

/* Reads everything.  Holds `config`.  What cannot be read any more, but stands in `old` (may be NULL) for the same files
 * of the same listener, goes on as it was, and the log says so.  NULL with `err` told. */
struct dw_xmpp_means *dw_xmpp_means_new(struct dw_config *config, const struct dw_xmpp_means *old,
                                        struct dw_error *err);
void dw_xmpp_means_free(struct dw_xmpp_means **means);

const struct dw_xmpp_entrance *dw_xmpp_means_of(const struct dw_xmpp_means *means,
                                                const struct dw_listener_config *listener);

#endif
