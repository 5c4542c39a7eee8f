/* The ZAP endpoint of a ZeroMQ context: a ROUTER at inproc://zeromq.zap.01 that moves whole messages, frames one after
 * another as zap.h has them.
 *
 * It belongs to one thread at a time; it may be handed over whole.  No queue of its own has a bound, and those that
 * libzmq's servers make have none either, so no reply is dropped while its asker is there. */
#ifndef DW_LIB_INPROC_H
#define DW_LIB_INPROC_H

#include "base/buf.h"
#include "base/error.h"

struct dw_inproc {
    void *socket;
    struct dw_buf message; /* the frames that have come of the next one */
};

enum dw_inproc_state { DW_INPROC_TAKEN, DW_INPROC_BOUND, DW_INPROC_NO_CONTEXT, DW_INPROC_NO_MEANS };

/* DW_INPROC_TAKEN, or another state with `err` told.  libzmq frees the endpoint of a closed one only by and by. */
enum dw_inproc_state dw_inproc_open(struct dw_inproc *inproc, void *context, struct dw_error *err);
void dw_inproc_close(struct dw_inproc *inproc);
/* Whether its context goes on. */
bool dw_inproc_stands(const struct dw_inproc *inproc);
/* Readable when something may have come.  It tells edges: receive until DW_INPROC_NOTHING, and again after each send. */
int dw_inproc_descriptor(const struct dw_inproc *inproc);

enum dw_inproc_got {
    DW_INPROC_NOTHING,
    DW_INPROC_MESSAGE, /* in inproc->message: to be taken or cleared before the next */
    DW_INPROC_TOO_LONG, /* one was thrown away */
    DW_INPROC_NO_MEMORY, /* one was lost */
    DW_INPROC_ENDED, /* the context is being terminated, and waits for dw_inproc_close */
};
enum dw_inproc_got dw_inproc_receive(struct dw_inproc *inproc);

enum dw_inproc_sent {
    DW_INPROC_SENT,
    DW_INPROC_UNREACHABLE, /* the asker has gone */
    DW_INPROC_LOST, /* out of memory */
};
enum dw_inproc_sent dw_inproc_send(struct dw_inproc *inproc, struct dw_span message);

#endif
