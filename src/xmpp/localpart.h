/* What may stand before the "@" of a JID that a server is told of: text that no server makes another of.
 *
 * Servers prepare names (RFC 3920 appendix A, RFC 8265 section 3.3): they fold case and width, compose, drop what is not
 * seen.  So a name that looks like another may become it there, and a policy that thought of one would have admitted the
 * other.  Nothing of that is done here: what would be changed is refused.  ASCII letters are the exception, either case
 * being good, since the caller writes them small. */
#ifndef DW_XMPP_LOCALPART_H
#define DW_XMPP_LOCALPART_H

#include "base/span.h"

/* NULL when it may, else what is wrong, to follow "a localpart that ..": static. */
const char *dw_localpart_mistake(struct dw_span local);

#endif
