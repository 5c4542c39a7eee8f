/* A connection from a mail or chat server that asks us to authenticate its clients (Dovecot's authentication protocol,
 * dovecot/service.h).
 *
 *   asker.h -> handshake -> exchanges, many at once (exchange.h) -> OK or FAIL for each
 *
 * A connection to a listener's `master` is the same socket with another machine (dovecot/master.h); what it asks for is
 * found among the vouchers (vouchers.h).
 *
 * While the policy has MOST_ASKING questions, or REPLIES_HIGH octets wait for a server that does not read, nothing more is
 * taken in.  A reload needs no new connection, but tells a server of new mechanisms only when it connects anew.  A
 * connection whose listener has left the configuration is ended once its exchanges are.
 *
 * Everything runs on the worker's thread. */
#ifndef DW_NET_DOVECOT_H
#define DW_NET_DOVECOT_H

#include "net/asker.h"

/* For dw_asker_new. */
extern const struct dw_asker_kind dw_dovecot_sock_kind;

#endif
