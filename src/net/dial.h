/* Dialling: connects the far leg, resolving names off the loop, trying again with growing pauses until the
 * connection's handshake is out of time.  A full backlog (EAGAIN on a unix socket) is one reason more to try
 * again. */
#ifndef DW_NET_DIAL_H
#define DW_NET_DIAL_H

#include "net/conn.h"

/* Begins, or begins again after the far side was lost.  `address` must outlive the connection's handshake. */
void dw_dial_start(struct dw_conn *conn, const struct dw_address *address);
void dw_dial_retry(struct dw_conn *conn, const char *why);
void dw_dial_due(struct dw_conn *conn);
/* The connecting socket became writable: 1 connected, 0 the attempt failed and another will follow. */
int dw_dial_finish(struct dw_conn *conn);
bool dw_dial_is_under_way(const struct dw_conn *conn);
void dw_dial_free(struct dw_conn *conn);

#endif
