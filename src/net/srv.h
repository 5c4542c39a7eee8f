/* Where a service of a domain is, by its SRV records (RFC 2782): asked while the caller waits, for commands. */
#ifndef DW_NET_SRV_H
#define DW_NET_SRV_H

#include "base/error.h"

#include <stddef.h>

enum { DW_SRV_MOST = 16 };

struct dw_srv {
    char target[256]; /* without a final dot; "" for ".": the service is decidedly not there */
    int port, priority, weight;
};

/* Fills `list`, in the order in which they are to be tried, and gives their number; 0 when there is no such record; -1
 * with `err` told when it cannot be said.  `servers`: see net/dns.h. */
int dw_srv_find(const char *name, char *const *servers, struct dw_srv list[DW_SRV_MOST], struct dw_error *err);

#endif
