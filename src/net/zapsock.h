/* A connection from a ZAP forwarder (ZeroMQ RFC 27, "Proxy Handlers"): we are the ROUTER at its end, spoken by the
 * NULL mechanism of zmtp/peer.h like every other plain socket of ours.
 *
 *   asker.h -> greeting and READY -> message by message: a question, a journal line, a reply (zapasks.h)
 *
 * Questions are answered as their policy gets done, each by itself, at most MOST_OPEN at once.  No reply is dropped:
 * while REPLIES_HIGH octets of them wait for a peer that does not read, no further request is taken in.
 *
 * A question is put to the policy, and its answer written to the journal, of the settings that are in force when it
 * comes.
 *
 * Everything runs on the worker's thread. */
#ifndef DW_NET_ZAPSOCK_H
#define DW_NET_ZAPSOCK_H

#include "net/asker.h"

/* For dw_asker_new. */
extern const struct dw_asker_kind dw_zapsock_kind;

#endif
