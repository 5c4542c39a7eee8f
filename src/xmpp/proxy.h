/* The PROXY protocol, versions 1 and 2: a line that tells a backend where the client really is. */
#ifndef DW_XMPP_PROXY_H
#define DW_XMPP_PROXY_H

#include "base/buf.h"

/* Appends the preamble for a client at `from`:`from_port` who came to `to`:`to_port` (text of one family; anything else
 * gives "PROXY UNKNOWN" or LOCAL).  `version` 1 or 2.  -1 when memory is out. */
int dw_proxy_put(struct dw_buf *out, int version, const char *from, int from_port, const char *to, int to_port);

#endif
