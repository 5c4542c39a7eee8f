/* One visit of the soak: a client that behaves in one of many ways, chosen by a seed.
 *
 * What visit number N does depends on the seed and on N alone, so a failure can be met again.  Each kind
 * has an end that is right for it; anything else is an error. */
#ifndef DW_BENCH_VISIT_H
#define DW_BENCH_VISIT_H

#include "load.h"

enum visit_end {
    VISIT_WORKS, /* admitted, every message comes back true and in order, then we leave */
    VISIT_LEAVES, /* we leave somewhere on the way, orderly or with a reset */
    VISIT_SHUT, /* the server must close, within the deadline */
    VISIT_EITHER, /* works or is shut, but does not hang */
};

/* Who can be sent where. */
#define VISIT_HARD 1 /* released libzmq does not survive it, or answers it otherwise */
#define VISIT_ENCRYPTED 2 /* has a meaning on an encrypted listener only */
#define VISIT_REFUSED 4 /* needs the refused client's tickets */

struct visit;
struct visit_kind {
    const char *name;
    enum visit_end end;
    unsigned weight, needs;
    enum peer_item first, last; /* the range of what it spoils */
    peer_spoil *spoil;
    void (*open)(struct visit *v); /* when admitted; NULL: sends messages that have to come back */
};
extern const struct visit_kind visit_kinds[];
extern const size_t visit_kind_count;

/* The messages of a visit, as they are made, and again as they are compared. */
struct visit_mail {
    uint64_t random;
    unsigned messages, parts; /* left */
    bool bulky;
};

struct visit {
    struct load *load;
    const struct visit_kind *kind;
    size_t number;
    uint64_t random;
    struct peer peer;
    struct peer_how how;
    char identity[16];
    enum peer_item at; /* the item that is spoilt */
    bool spoilt, opened, over, wants_pong;
    struct visit_mail sent, back;
    uint64_t deadline; /* by when it has to be over */
    uint64_t leave_at; /* when we leave; 0: not decided */
    uint64_t read_at; /* when a slow reader begins to read */
};

void visit_start(struct visit *v, struct load *load, size_t number);
/* After something happened to the peer, and every few milliseconds.  NULL: goes on, or over and right;
 * otherwise what is wrong with its end. */
const char *visit_look(struct visit *v);
void visit_finish(struct visit *v);

#endif
