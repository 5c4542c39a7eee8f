/* What is counted for the whole process: connections, by peer and by user; and the figures of `durward
 * status`.  Any thread. */
#ifndef DW_NET_TALLY_H
#define DW_NET_TALLY_H

#include "base/buf.h"
#include "base/error.h"

enum dw_count {
    DW_COUNT_ACCEPTED,
    DW_COUNT_ALLOWED,
    DW_COUNT_DENIED,
    DW_COUNT_TEMPORARY,
    DW_COUNT_JOINED, /* admitted and joined to a backend */
    DW_COUNT_HANDSHAKE_LOST, /* ended before a decision: garbage, bad tickets, silence */
    DW_COUNT_BACKEND_FAILED,
    DW_COUNT_IDENTITY_REFUSED,
    DW_COUNT_IDENTITY_REPLACED,
    DW_COUNT_LIMIT_CONNECTIONS,
    DW_COUNT_LIMIT_PER_PEER,
    DW_COUNT_LIMIT_PER_USER,
    DW_COUNT_LIMIT_MEMORY, /* times that a reader had to wait */
    DW_COUNT_LIMIT_FRAME,
    DW_COUNT_LIMIT_HANDSHAKE, /* handshakes out of time */
    DW_COUNT_LIMIT_DESCRIPTORS,
    DW_COUNT_JOURNAL_FAILED,
    DW_COUNT_RELOADS,
    DW_COUNT_RELOADS_REFUSED,
    DW_COUNT_ZAP_MALFORMED,
    DW_COUNT_SHADOW_SAME,
    DW_COUNT_SHADOW_DIFFERS,
    DW_COUNT_SHADOW_LOST, /* not asked: too many at once, or memory out */
    DW_COUNT_BYTES_IN,
    DW_COUNT_BYTES_OUT,
    DW_COUNTS,
};

struct dw_tally;

struct dw_tally *dw_tally_new(void);
void dw_tally_free(struct dw_tally **tally);

void dw_tally_add(struct dw_tally *tally, enum dw_count count, uint64_t n);
uint64_t dw_tally_read(const struct dw_tally *tally, enum dw_count count);
/* "accepted", "limits.per_peer", .. */
const char *dw_count_word(enum dw_count count);

/* Takes a slot for a connection of `peer`; -1 with `err` told (DW_ERROR_LIMIT) when `connections` or
 * `per_peer` are taken already.  A slot taken is given back with dw_tally_leave. */
int dw_tally_enter(struct dw_tally *tally, const char *peer, long connections, long per_peer, struct dw_error *err);
void dw_tally_leave(struct dw_tally *tally, const char *peer);
long dw_tally_connections(const struct dw_tally *tally);

/* The same for a user's admitted connections; `per_user` 0: no bound, but counted all the same. */
int dw_tally_enter_user(struct dw_tally *tally, const char *user, long per_user, struct dw_error *err);
void dw_tally_leave_user(struct dw_tally *tally, const char *user);

/* Figures by name: decisions by reason, connections by backend.  A list that has grown to its bound puts the rest
 * under "other". */
enum dw_note { DW_NOTE_REASON, DW_NOTE_BACKEND, DW_NOTES };
void dw_tally_note(struct dw_tally *tally, enum dw_note note, const char *name, long delta);
/* Calls `each` with every name and figure, under the tally's lock. */
void dw_tally_notes(struct dw_tally *tally, enum dw_note note,
                    void (*each)(void *arg, const char *name, long figure), void *arg);

/* Memory that all buffers of all connections hold. */
struct dw_meter *dw_tally_meter(struct dw_tally *tally);
/* Past limits.memory one connection at a time may go on, or frames that have begun could block one another for
 * ever.  True when `who` may; dw_tally_comply gives that back, harmless when it was another's. */
bool dw_tally_exceed(struct dw_tally *tally, const void *who);
void dw_tally_comply(struct dw_tally *tally, const void *who);

#endif
