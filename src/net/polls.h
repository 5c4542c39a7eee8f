/* Poll handles of a loop, each bound to a descriptor's number and used again by the next socket that bears it: to make one
 * costs as much as to poll it.
 *
 * A loop's are made with dw_polls_new, and stand in its `data`.  One thread: the loop's. */
#ifndef DW_NET_POLLS_H
#define DW_NET_POLLS_H

#include <uv.h>

/* -1 when memory is out. */
int dw_polls_new(uv_loop_t *loop);
/* A stopped handle for `fd`, which is non-blocking; NULL when the loop does not take it or memory is out. */
uv_poll_t *dw_polls_take(uv_loop_t *loop, int fd);
/* Stops it and takes it back, before its descriptor is closed.  It calls nobody any more. */
void dw_polls_give(uv_poll_t *poll);
/* Ends the handles and frees what there was; the loop then runs until they are gone. */
void dw_polls_free(uv_loop_t *loop);

#endif
