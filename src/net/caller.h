/* Who is at the other end of an accepted socket, and whether the listener takes connections from there. */
#ifndef DW_NET_CALLER_H
#define DW_NET_CALLER_H

#include "config/config.h"

struct dw_caller {
    char address[64]; /* "192.0.2.7", "::1"; "local" for a unix socket.  ::ffff:192.0.2.7 is 192.0.2.7 */
    int port; /* 0 when there is none */
    bool has_ids; /* SO_PEERCRED */
    long uid, gid, pid;
};

/* -1: it has left already, and with it its address. */
int dw_caller_of(struct dw_caller *caller, int fd);
/* As the listener's allow_from has it; a unix socket's own mode says who may come. */
bool dw_caller_allowed(const struct dw_listener_config *listener, int fd);

#endif
