/* The control socket: <state_dir>/control.sock, mode 0600.  Whoever connects is sent one JSON object and
 * the connection is closed: that is all of `durward status`. */
#ifndef DW_NET_CONTROL_H
#define DW_NET_CONTROL_H

#include "base/error.h"

#include <jansson.h>
#include <uv.h>

struct dw_control;

/* `describe` gives a new reference.  NULL with `err` told. */
struct dw_control *dw_control_open(uv_loop_t *loop, const char *state_dir, json_t *(*describe)(void *arg),
                                   void *arg, struct dw_error *err);
/* Stops listening and removes the socket; the memory goes with the loop's handles. */
void dw_control_free(struct dw_control **control);

/* Asks the broker whose state_dir this is.  NULL with `err` told. */
json_t *dw_control_ask(const char *state_dir, struct dw_error *err);

#endif
