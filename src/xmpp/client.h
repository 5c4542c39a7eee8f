/* An XMPP client's stream as a machine (auth/machine.h), from its first header to raw traffic (RFC 6120, XEP-0233).
 * TLS is worn inside: what is fed and what stands in `out` are the socket's octets.
 *
 *   header, <starttls/>, TLS (or TLS at once: direct), header
 *   DW_ASK_REALM     the domain is known and served: the driver chooses what to answer as, dw_xmpp_client_offer
 *   features         mechanisms as far as there are keys, <hostname/>
 *   SASL             dw_sasl; base64, abort, retries
 *   DW_ASK_ADMIT     principal, target, authzid are known: the driver asks the policy, then dw_machine_answer(true) and,
 *                    once the backend has let us in, dw_xmpp_client_welcome; or dw_xmpp_client_refuse
 *   <success/>       after welcome; the client's next header is read and checked: same `to`
 *   DW_META          that header has come: fx->meta holds its octets, to be the backend's restart; from here on
 *   DW_DATA          raw octets (frame.body; flags 0) of what the client sends, decrypted
 *   push             raw octets of what the backend sends
 *
 * Everything that a client does wrong ends in the stream or SASL error of RFC 6120, then DW_CLOSE with why.  A refused
 * SASL attempt leaves the stream open: a client may try again twice; then policy-violation.  Octets that follow a
 * <starttls/> in the clear, or that come between the final response and <success/>, are smuggled: the stream ends. */
#ifndef DW_XMPP_CLIENT_H
#define DW_XMPP_CLIENT_H

#include "auth/machine.h"
#include "sasl/sasl.h"
#include "tls/tls.h"

struct dw_xmpp_client_options {
    const char *const
        *domains; /* served here, prepared (lower case, A-label or U-label as configured); NULL ends the
                                   list; borrowed for the machine's life */
    struct dw_tls_context *tls; /* held by the machine */
    bool direct_tls; /* TLS from the first octet (XEP-0368) */
    size_t pre_auth_bytes; /* of one stanza or header before authentication; 0: 65536 */
    struct dw_meter *meter; /* may be NULL */
};

/* NULL when memory is out. */
struct dw_machine *dw_xmpp_client_new(const struct dw_xmpp_client_options *options);

/* Known from DW_ASK_REALM on: the domain that the stream is for, as configured; `from` as the client wrote it, or empty;
 * the language, or empty. */
const char *dw_xmpp_client_domain(const struct dw_machine *m);
struct dw_span dw_xmpp_client_from(const struct dw_machine *m);
struct dw_span dw_xmpp_client_lang(const struct dw_machine *m);
const struct dw_tls *dw_xmpp_client_tls(const struct dw_machine *m);

/* The answer to DW_ASK_REALM. */
struct dw_xmpp_offer {
    const char *const
        *mechanisms; /* in the order they are offered; empty: none can be (no key): the features then say
                                      none and a log line why; copied */
    const char *hostname; /* for <hostname/>; NULL: the element is left out; copied */
    const char *const *hostname_namespaces; /* "urn:xmpp:domain-based-name:1", ..; copied */
    bool hostname_in_features; /* a second place, for Gajim */
    bool binding_types; /* XEP-0440 <sasl-channel-binding/>; when a -PLUS is offered */
    struct dw_sasl_options sasl; /* bindings are filled in by the machine; `cred`, `arg` outlive the machine */
};
int dw_xmpp_client_offer(struct dw_machine *m, const struct dw_xmpp_offer *offer);

/* Known from DW_ASK_ADMIT on, until DW_META has been given; then "" and NULL. */
const char *dw_xmpp_client_mechanism(const struct dw_machine *m);
const struct dw_sasl *dw_xmpp_client_sasl(const struct dw_machine *m);
/* How many SASL attempts have failed so far, and why the last did (borrowed until the next call on the machine; NULL once
 * the stream is open or closed): for a log line. */
unsigned dw_xmpp_client_failures(const struct dw_machine *m, const struct dw_error **last);

enum dw_xmpp_refusal {
    DW_XMPP_NOT_AUTHORIZED,
    DW_XMPP_INVALID_AUTHZID,
    DW_XMPP_TEMPORARY, /* temporary-auth-failure */
};
/* A refusal at DW_ASK_ADMIT, or after it (the backend refused): <failure/>.  The stream goes on as far as retries are
 * left, with a new DW_ASK_ADMIT, or ends. */
void dw_xmpp_client_refuse(struct dw_machine *m, enum dw_xmpp_refusal how);
/* Before welcome: the bare JID that the client is.  A restart whose `from` is another's is then invalid-from (RFC 6120
 * section 4.7.1).  -1 when memory is out. */
int dw_xmpp_client_user(struct dw_machine *m, struct dw_span jid);
/* The backend has let the user in. */
void dw_xmpp_client_welcome(struct dw_machine *m);

/* Ends the stream with a stream error (RFC 6120 section 4.9.3: "policy-violation", "system-shutdown",
 * "connection-timeout", "not-authorized", "undefined-condition", ..) and `text` (may be NULL): at once when nothing of a
 * stanza from the backend is on its way, else behind that stanza; then DW_CLOSE with DW_ERROR_CLOSED.  False when it has
 * to wait: the driver goes on pushing, within a deadline of its own. */
bool dw_xmpp_client_end(struct dw_machine *m, const char *condition, const char *text);

/* Where the stream stands, in words for a log: "header", "starttls", "tls", "sasl", "backend", "restart", "open",
 * "closed". */
const char *dw_xmpp_client_state(const struct dw_machine *m);

#endif
