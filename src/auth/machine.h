/* The shape of every protocol core: fed bytes, it gives back effects; it never touches a socket or a clock.
 *
 * A driver reads from its peer into the room that the machine lends (its own, when it holds part of a
 * unit that has not arrived whole, else a scratch of the driver's, so that an idle machine holds no
 * buffer), confirms with `filled`, and calls `next` until it answers DW_NEED or DW_CLOSE.  What the
 * machine wants to send gathers in its `out`; the driver writes it when it likes and takes what was
 * written.  Before it goes back to its loop the driver calls `settle`, after which the scratch is free
 * for others.
 *
 *   room = dw_machine_room(m, scratch, size, &len);  n = read(fd, room, len);  dw_machine_filled(m, room, n);
 *   while ((act = dw_machine_next(m, &fx)) != DW_NEED) ..;  dw_machine_settle(m);
 *
 * One thread at a time.  Spans in an effect live until the next call on the machine. */
#ifndef DW_AUTH_MACHINE_H
#define DW_AUTH_MACHINE_H

#include "base/buf.h"
#include "base/error.h"

enum dw_act {
    DW_NEED, /* nothing to do until more is fed, answered or pushed */
    DW_ASK_REALM, /* fx->token: the peer's first token; go on with the machine's own `credential` call */
    DW_ASK_ADMIT, /* the peer is authenticated: may it pass?  dw_machine_answer */
    DW_STEP, /* fx->token: for an initiator's context, to be stepped off the loop */
    DW_META, /* fx->meta: what the peer says of itself (ZMTP READY properties) */
    DW_DATA, /* fx->frame */
    DW_CLOSE, /* fx->why: the connection is over once `out` is written; the same at every further call */
};

enum { DW_FRAME_MORE = 1, DW_FRAME_COMMAND = 2, DW_FRAME_SUBSCRIBE = 4, DW_FRAME_CANCEL = 8 };

/* A message part, or one of the commands that travel from end to end (PING, PONG: COMMAND, body with its
 * name).  SUBSCRIBE and CANCEL carry the bare topic. */
struct dw_frame {
    unsigned flags;
    struct dw_span body;
};

struct dw_effect {
    struct dw_frame frame;
    struct dw_span token, meta;
    struct dw_error why;
};

struct dw_machine;

struct dw_machine_ops {
    enum dw_act (*next)(struct dw_machine *m, struct dw_effect *fx);
    int (*push)(struct dw_machine *m, struct dw_frame frame, struct dw_error *err);
    void (*answer)(struct dw_machine *m, bool allowed);
    void (*free)(struct dw_machine *m);
};

struct dw_machine {
    const struct dw_machine_ops *ops;
    struct dw_buf out; /* to be written to the peer */
    struct dw_buf held; /* carried from turn to turn: part of a unit, or units that had to wait */
    uint8_t *at; /* what is being parsed, in the scratch or in `held` */
    size_t left;
    size_t wanted; /* octets that the unit at `at` takes in all, as far as is known; 0: not yet */
    bool in_held;
};

void dw_machine_init(struct dw_machine *m, const struct dw_machine_ops *ops, struct dw_meter *meter);

/* Where the next read(2) should put its octets.  Never NULL unless memory is out. */
uint8_t *dw_machine_room(struct dw_machine *m, uint8_t *scratch, size_t size, size_t *len);
/* `len` octets have been read into the room. */
void dw_machine_filled(struct dw_machine *m, uint8_t *room, size_t len);
/* Keeps what has not been parsed yet; -1 when memory is out (the connection must then end). */
int dw_machine_settle(struct dw_machine *m);
/* Octets that dw_machine_room will have to acquire for the unit in progress: for a memory bound. */
size_t dw_machine_growth(const struct dw_machine *m);
/* Whether fed octets are waiting that `next` has not looked at to the end. */
bool dw_machine_has_input(const struct dw_machine *m);

enum dw_act dw_machine_next(struct dw_machine *m, struct dw_effect *fx);
/* Encodes towards the peer, into `out`.  -1 with `err` told; the connection must then end. */
int dw_machine_push(struct dw_machine *m, struct dw_frame frame, struct dw_error *err);
/* The answer to DW_ASK_ADMIT.  A temporary failure is no answer: close the connection instead. */
void dw_machine_answer(struct dw_machine *m, bool allowed);
void dw_machine_free(struct dw_machine **m);

/* For the machines themselves: `len` parsed octets are done with. */
static inline void dw_machine_consume(struct dw_machine *m, size_t len)
{
    m->at += len;
    m->left -= len;
    m->wanted = 0;
}

#endif
