/* Who an admitted user is at the server: a bare JID of the stream's domain.  Pure. */
#ifndef DW_NET_XMPP_JID_H
#define DW_NET_XMPP_JID_H

#include "auth/decision.h"

/* Of an allow: the decision's `jid`, else its user at `domain`, with ASCII letters of the localpart in lower case, as
 * every server has it (xmpp/localpart.h: what else may stand in it).
 *
 * The JID (malloc'ed), or NULL: the decision has then been turned to a denial (rule "refuse_users": the JID's localpart
 * stands there), or to temporary, when the policy named what is no JID of `domain`, or memory is out. */
char *dw_xmpp_jid_decide(struct dw_decision *decision, const char *domain, char *const refuse[]);
/* Of an allow that a server is told by name alone, which it completes itself: turned in the same way when the name would
 * become another's there (`is_xmpp`: the server speaks XMPP), or stands in refuse_users, in any case of its letters. */
void dw_xmpp_name_hold(struct dw_decision *decision, bool is_xmpp, char *const refuse[]);

#endif
