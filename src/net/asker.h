/* An asker: a connection of a program that asks us about clients of its own, and carries none of their traffic.
 *
 *   listener -> dw_asker_new -> `make` -> handshake -> what it asks, many at once -> drained, doomed or left -> closed
 *
 * What it speaks is of a kind (zapsock.h, dovecot.h).  Everything else is here: who may come and how many, the leg, the
 * turns, the deadlines, the end.  While the kind has its hands full, or more octets than `replies_high` wait for a
 * program that does not read, nothing more is taken in, and its own queue fills.
 *
 * A turn begins with what has come and ends with what that sets off: replies written, stalled input taken up again, the
 * asker freed if it is over.  The kind's functions are called within turns, and never free the asker.
 *
 * A reload needs no new connection; one whose listener has left the configuration is drained, from its next octets on.
 *
 * Everything runs on the worker's thread. */
#ifndef DW_NET_ASKER_H
#define DW_NET_ASKER_H

#include "net/caller.h"
#include "net/leg.h"
#include "net/worker.h"

struct dw_asker;

struct dw_asker_kind {
    size_t size; /* of the struct that begins with a struct dw_asker */
    size_t replies_high;
    uint64_t linger_ms; /* for the program to go, once we have ended our side */
    bool has_rounds; /* what is asked goes on over several messages: they are read while it is drained */
    bool keeps_unjoined; /* a handshake comes to its end though the listener has left the configuration */
    /* For the log. */
    const char *joined, *left, *left_early, *closed, *unheard;

    /* Makes leg.machine, and what else the kind holds.  -1: memory is out; `cancel` is then called, too. */
    int (*make)(struct dw_asker *asker, const struct dw_listener_config *listener);
    /* The machine's effects, but for DW_CLOSE. */
    void (*take)(struct dw_asker *asker, enum dw_act act, const struct dw_effect *fx);
    bool (*is_full)(const struct dw_asker *asker);
    bool (*is_idle)(const struct dw_asker *asker); /* nothing it has asked is open */
    /* At the beginning of a turn, and before the asker is freed: no answer is under way. */
    void (*turn)(struct dw_asker *asker);
    /* Loop time at which the first that it asked is too late, 0: none is open; those that are due at `now` end. */
    uint64_t (*due)(const struct dw_asker *asker);
    void (*expire)(struct dw_asker *asker, uint64_t now);
    /* Nobody waits any more.  Also of one that was never made. */
    void (*cancel)(struct dw_asker *asker);
};

struct dw_asker {
    struct dw_leg leg; /* first: its poll handle leads back here */
    struct dw_asker *prev, *next; /* of the worker's */
    const struct dw_asker_kind *kind;
    struct dw_worker *worker;
    char *listener;
    struct dw_caller caller;
    char slot[64]; /* of limits.per_peer, which counts the users of a unix socket apart */
    char id[40];
    enum dw_log_level usual; /* of its coming and going; `make` says */
    uint64_t deadline, armed; /* loop time; 0: none */
    uv_timer_t timer;
    int depth; /* of turns */
    bool is_joined, is_draining, is_doomed;
    bool is_stalled; /* the machine may have more for us than we have taken */
};

/* Takes the accepted socket.  Everything that goes wrong is logged and the socket closed. */
void dw_asker_new(struct dw_worker *worker, const struct dw_asker_kind *kind,
                  const struct dw_listener_config *listener, int fd);
/* Every one of the worker's: answers what has arrived, then closes; or closes at once. */
void dw_asker_drain_all(struct dw_worker *worker);
void dw_asker_stop_all(struct dw_worker *worker);

/* For the kinds. */

/* A line about it; `why` may be NULL. */
void dw_asker_log(const struct dw_asker *asker, enum dw_log_level level, const char *what, const char *why);
/* Its handshake is done. */
void dw_asker_join(struct dw_asker *asker);
/* It ends with this turn; the first to say so is logged. */
void dw_asker_doom(struct dw_asker *asker, enum dw_log_level level, const char *what, const char *why);
/* An answer came, maybe outside of any turn, from someone who is still busy: a turn follows, from the loop. */
void dw_asker_stir(struct dw_asker *asker);

#endif
