/* Our stream to a stock XMPP server, as a machine (auth/machine.h): we are its client and log a user in whom we have
 * authenticated already; then raw octets both ways.  Also what `durward probe xmpp` logs in with.
 *
 *   [PROXY line]  header, features, [STARTTLS, TLS verified against the domain, header, features]
 *   DW_META       fx->meta empty: features are there, no identity has been used; such a stream may wait in a pool
 *   dw_xmpp_login_go
 *   SASL PLAIN or EXTERNAL, <success/>
 *   DW_META       again: the user is in.  dw_machine_push then carries the client's own restart header and all else;
 *   DW_DATA       raw octets of what the server sends from then on.
 *
 * A server that refuses, ends, is silent about the mechanism that is needed, sends anything between <success/> and our
 * restart, or is no XMPP server: DW_CLOSE with why (DW_ERROR_DENIED: it refused the user; else TEMPORARY). */
#ifndef DW_XMPP_LOGIN_H
#define DW_XMPP_LOGIN_H

#include "auth/machine.h"
#include "tls/tls.h"

enum dw_xmpp_proxy { DW_XMPP_PROXY_NONE, DW_XMPP_PROXY_V1, DW_XMPP_PROXY_V2 };

struct dw_xmpp_login_options {
    const char *domain; /* `to`; copied */
    const char *name; /* SNI, and what the certificate is verified against; NULL: the domain; copied */
    struct dw_tls_context
        *tls; /* held by the machine; NULL: in the clear (loopback only: the configuration sees to it) */
    const struct dw_tls_pair *pair; /* EXTERNAL: our certificate; must outlive the machine; else NULL */
    struct dw_span preamble; /* written before anything else: a PROXY line (xmpp/proxy.h); may be empty; copied */
    struct dw_meter *meter; /* may be NULL */
};
/* Its header stands in `out` at once.  NULL when memory is out. */
struct dw_machine *dw_xmpp_login_new(const struct dw_xmpp_login_options *options);

/* At the first DW_META.  "PLAIN": `authcid` the localpart, `password` a token (wiped after use).  "EXTERNAL": `authzid`
 * the bare JID.  All copied; fields that a mechanism has no use for are empty. */
struct dw_xmpp_credentials {
    const char *mechanism;
    struct dw_span authzid, authcid, password;
};
void dw_xmpp_login_go(struct dw_machine *m, const struct dw_xmpp_credentials *credentials);

const struct dw_tls *dw_xmpp_login_tls(const struct dw_machine *m);
const char *dw_xmpp_login_state(const struct dw_machine *m);

#endif
