/* A connection from a ZAP forwarder (ZeroMQ RFC 27, "Proxy Handlers"): we are the ROUTER at its end, spoken by the
 * NULL mechanism of zmtp/peer.h like every other plain socket of ours.
 *
 *   listener -> dw_zapsock_new -> greeting and READY -> message by message: a question, a journal line, a reply
 *
 * Questions are answered as their policy gets done, each by itself.  No reply is dropped: while MOST_OPEN questions
 * are open or REPLIES_HIGH octets of replies wait for a peer that does not read, no further request is taken in, and
 * the peer's own queue fills.
 *
 * A question is put to the policy, and its answer written to the journal, of the settings that are in force when it
 * comes: a reload needs no new connection.  A connection whose listener has left the configuration is ended.
 *
 * Everything runs on the worker's thread. */
#ifndef DW_NET_ZAPSOCK_H
#define DW_NET_ZAPSOCK_H

#include "net/worker.h"

struct dw_zapsock;

/* Takes the accepted socket.  Everything that goes wrong is logged and the socket closed. */
void dw_zapsock_new(struct dw_worker *worker, const struct dw_listener_config *listener, int fd);
/* Every one of the worker's: answers what has arrived, then closes; or closes at once. */
void dw_zapsock_drain_all(struct dw_worker *worker);
void dw_zapsock_stop_all(struct dw_worker *worker);

#endif
