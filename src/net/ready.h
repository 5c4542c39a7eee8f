/* What stands in the READYs that the broker itself sends. */
#ifndef DW_NET_READY_H
#define DW_NET_READY_H

#include "net/conn.h"

/* To the client: the backend's Socket-Type and Identity, and its X- properties.  -1: memory. */
int dw_ready_for_client(struct dw_span backend_meta, struct dw_buf *out);

/* To the backend: the client's Socket-Type, the identity it is given, User-Id, X-Peer-Address, the decision's
 * properties, and of the client's own only those that the listener forwards - none that would stand for one
 * of ours.  -1: memory. */
int dw_ready_for_backend(const struct dw_conn *conn, struct dw_span client_meta, struct dw_buf *out);

bool dw_ready_type_allowed(const struct dw_decision *decision, struct dw_span type);

/* Claims the client's identity, if it has one: true when joining may go on now.  Otherwise it goes on when
 * the identity is granted, or the connection has been refused. */
bool dw_gateway_claim(struct dw_conn *conn);
/* Both READYs are known and the identity is ours: sends the backend's, and opens. */
void dw_gateway_join(struct dw_conn *conn);

#endif
