/* One raw client connection that speaks ZMTP's GSSAPI mechanism as libzmq's client does: the same octets,
 * without its threads, so that thousands of them fit into one loop.
 *
 * A caller opens peers on one epoll descriptor and calls peers_turn; each peer that something happened to is
 * handed to the caller, who looks at its stage, takes messages and sends.  A hook may spoil what a
 * peer is about to send, for tests of a server's nerves. */
#ifndef DW_BENCH_PEER_H
#define DW_BENCH_PEER_H

#include "base/buf.h"
#include "ticket.h"

#include <netinet/in.h>

enum peer_stage {
    PEER_CONNECTING,
    PEER_GREETING, /* awaits the server's greeting */
    PEER_TOKEN, /* awaits its INITIATE */
    PEER_READY, /* awaits its READY */
    PEER_OPEN, /* our READY is sent: traffic */
    PEER_CLOSED, /* the server closed, or broke the protocol: `why` */
};

/* What a peer sends, in order. */
enum peer_item { ITEM_SIGNATURE, ITEM_VERSION, ITEM_GREETING, ITEM_TOKEN, ITEM_COMPLETE, ITEM_READY, ITEM_MESSAGE };

struct peer;
/* May change the octets of an item.  False: they are the last that this peer ever sends. */
typedef bool peer_spoil(struct peer *p, enum peer_item item, struct dw_buf *octets);

struct peer_how {
    struct sockaddr_in address;
    const struct ticket *ticket;
    const char *socket_type;
    const char *identity; /* NULL: empty, as libzmq sends it */
    bool plaintext;
    peer_spoil *spoil; /* NULL: well-behaved */
    size_t drip; /* write no more octets than this at a time; 0: as many as go */
};

struct peer {
    const struct peer_how *how;
    void *owner; /* the caller's own */
    int epoll, fd;
    enum peer_stage stage;
    bool mute; /* sends nothing any more */
    bool unread; /* set with peer_pause: reads nothing for now */
    bool broke; /* CLOSED because the server broke the protocol, not the connection */
    unsigned greeting; /* pieces of our greeting that are sent */
    gss_ctx_id_t context;
    struct dw_buf in, out;
    gss_buffer_desc plain; /* the last message taken */
    uint32_t interest;
    uint64_t started, admitted; /* connect() called; the server's READY read */
    uint64_t pongs;
    uint64_t written; /* octets that the socket took */
    char why[200];
};

struct peer_message {
    struct dw_span body; /* until the next call on the peer */
    bool more;
};

int peer_open(struct peer *p, int epoll, const struct peer_how *how, void *owner); /* -1: `why` */
/* Closes and frees; a reset instead of an orderly end when asked.  Forgives a peer that is not open. */
void peer_close(struct peer *p, bool reset);

/* Waits at most `timeout_ms` and does what each ready peer needs, then hands it to `on`, which may close it
 * and open it again. */
void peers_turn(int epoll, int timeout_ms, void (*on)(struct peer *p, void *arg), void *arg);

/* Queues one message part; what the socket takes at once is written.  -1 when the peer is closed. */
int peer_send(struct peer *p, struct dw_span body, bool more);
/* Queues a PING; its PONG counts in `pongs` when it echoes the same context. */
int peer_ping(struct peer *p);
/* Queues one frame with any inner octets, flags included, wrapped with or without confidentiality. */
int peer_send_wrapped(struct peer *p, struct dw_span inner, bool confidential);
/* Queues octets as they are. */
int peer_send_raw(struct peer *p, struct dw_span octets);
/* Takes the next message part.  1, 0 when there is none whole, -1 when the peer is closed. */
int peer_take(struct peer *p, struct peer_message *m);
void peer_pause(struct peer *p, bool unread);

/* "tcp://127.0.0.1:5570"; -1 when it is not of that form. */
int peer_address(const char *url, struct sockaddr_in *address);

#endif
