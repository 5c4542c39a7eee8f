/* The questions of one ZAP socket, whatever it is moved by: a request's frames to an event, to the policy, to the
 * journal, to a reply's frames.
 *
 *   dw_zapasks_take -> parsed; asked; decided, at once or later; journalled -> `reply`
 *
 * A question is put to the policy, and its answer written to the journal, of the settings that are in force when it
 * comes.  Questions are answered as their policy gets done, each by itself.  Everything runs on the loop's thread. */
#ifndef DW_NET_ZAPASKS_H
#define DW_NET_ZAPASKS_H

#include "net/office.h"
#include "net/shadow.h"

#include <uv.h>

/* What it is done with; everything is borrowed and outlives the questions. */
struct dw_zapasks_with {
    uv_loop_t *loop;
    struct dw_settings *const *settings; /* those for new questions; so too the office */
    struct dw_office *const *office;
    struct dw_tally *tally;
    struct dw_shadow *shadow;
    /* Questions' ids: of this process, this thread, this question. */
    unsigned salt;
    int index;
    uint64_t *next_number;
    const char *listener;
    /* The owner's.  `reply` is given frames as zap.h has them, from within dw_zapasks_take or _expire, or from the
     * loop; it may not free the questions.  Without one, memory was out. */
    void *arg;
    void (*reply)(void *arg, const struct dw_span *message);
    void (*malformed)(void *arg, const char *why);
};

struct dw_zapask;

struct dw_zapasks {
    struct dw_zapasks_with with;
    struct dw_zapask *open, *spent; /* spent: to be freed when nothing of them is in use */
    int open_count;
};

/* Takes a request; its buffer is left empty, with its meter.  -1: memory is out. */
int dw_zapasks_take(struct dw_zapasks *asks, struct dw_buf *message);
/* Loop time at which the first is too late; 0: none is open. */
uint64_t dw_zapasks_due(const struct dw_zapasks *asks);
/* Answers those that are due at `now` as temporary; UINT64_MAX: all. */
void dw_zapasks_expire(struct dw_zapasks *asks, uint64_t now);
/* Frees what has been answered; at the beginning of a turn, when no answer is under way. */
void dw_zapasks_sweep(struct dw_zapasks *asks);
/* Nobody waits any more.  The spent are left to dw_zapasks_sweep. */
void dw_zapasks_cancel(struct dw_zapasks *asks);

#endif
