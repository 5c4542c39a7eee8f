/* Streams to servers that wait for a user: opened, in TLS, features read, and nobody named on them yet.  A login that
 * takes one saves the round trips of opening it.
 *
 * Each worker has its own, `pool` for each domain's backend, filled after a login to it, so that a broker that nobody
 * uses holds none.  A stream that its server ends, or that says anything, is dropped; one that has waited long is
 * replaced while there have been logins of late.  A server that was reached by a name is reached again at the address
 * that the last login went to. */
#ifndef DW_NET_XMPP_POOL_H
#define DW_NET_XMPP_POOL_H

#include "net/xmpp_means.h"

#include "auth/machine.h"

struct dw_conn;
struct dw_worker;

/* A stream for `domain` of the settings in force, if one waits; its socket and machine are then the caller's. */
bool dw_xmpp_pool_take(struct dw_worker *worker, const struct dw_xmpp_domain_config *domain, int *fd,
                       struct dw_machine **machine);
/* A login over the connection's far leg has succeeded: fills up with streams to where that leg goes. */
void dw_xmpp_pool_fill(struct dw_conn *conn, const struct dw_xmpp_domain_config *domain,
                       const struct dw_xmpp_way *way);
/* New settings are in force, or the worker is ending: all that wait are let go. */
void dw_xmpp_pool_drain(struct dw_worker *worker);

#endif
