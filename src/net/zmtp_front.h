/* What the two ZMTP fronts have in common: how frames pass from one machine to the other, and what is told of a pair. */
#ifndef DW_NET_ZMTP_FRONT_H
#define DW_NET_ZMTP_FRONT_H

#include "net/conn.h"
#include "zmtp/peer.h"

/* A machine that holds more of a handshake is not fed. */
enum { DW_ZMTP_FRONT_BYTES = DW_ZMTP_HANDSHAKE_BYTES + 16 };

/* The members of struct dw_front_ops of these names. */
void dw_zmtp_front_opened(struct dw_conn *conn);
int dw_zmtp_front_pass(struct dw_conn *conn, struct dw_leg *from, struct dw_frame frame, struct dw_error *err);
const char *dw_zmtp_front_state(const struct dw_conn *conn, const struct dw_leg *leg);
const char *dw_zmtp_front_likely(const struct dw_conn *conn);
unsigned dw_zmtp_front_ttl(const struct dw_leg *leg);
void dw_zmtp_front_late(struct dw_conn *conn);

/* The far machine found its peer at fault: the end. */
void dw_zmtp_front_far_failed(struct dw_conn *conn, const struct dw_error *why);

#endif
