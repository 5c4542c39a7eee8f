/* Authorization identities: for whom a client asks to act (RFC 4422 section 3.4.1).
 *
 * One that names the mapped user is compared after mapping, as clients really send it (none, localpart, bare JID, full
 * principal), and after nothing else.  One that names another is for the policy's `authorize` to allow, by naming that
 * other in its allow: as `user`, or as `jid`. */
#ifndef DW_AUTH_AUTHZID_H
#define DW_AUTH_AUTHZID_H

#include "auth/decision.h"

/* `user`: the mapped user, a localpart or a bare JID; `domain` may be empty (Dovecot's protocol); `principal`: full. */
bool dw_authzid_is_own(struct dw_span authzid, struct dw_span user, struct dw_span domain,
                       struct dw_span principal);

/* Of every front: an allow that names another than the event's authzid does becomes a denial, with the rule "authzid".
 * In XMPP ASCII letters of a localpart have no case. */
void dw_authzid_hold(struct dw_decision *decision, const struct dw_event *event);
/* Whether a denial answers one who asks to act for another: by that rule, or by a policy that denied it itself.  Such a
 * client is told so (RFC 6120 section 6.5.6: it has no permission to authorize that identity). */
bool dw_authzid_is_refused(const struct dw_decision *decision, const struct dw_event *event);

#endif
