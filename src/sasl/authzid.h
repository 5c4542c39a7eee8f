/* Whether an authorization identity names the mapped user: compared after mapping, as clients really send it (none,
 * localpart, bare JID, full principal), and after nothing else.  One that names another is for the policy's `authorize`
 * to allow. */
#ifndef DW_SASL_AUTHZID_H
#define DW_SASL_AUTHZID_H

#include "base/span.h"

/* `user`: the mapped user, a localpart or a bare JID; `domain` may be empty (Dovecot's protocol); `principal`: full. */
bool dw_authzid_is_own(struct dw_span authzid, struct dw_span user, struct dw_span domain,
                       struct dw_span principal);

#endif
