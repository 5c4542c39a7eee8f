/* Listeners: bound once by the main thread, accepted from by every worker.
 *
 * A door is what all workers share of one configured listener: its sockets.  Each worker polls duplicates of
 * them, so that whichever is idle takes the next connection and none is lost when the configuration is
 * read anew. */
#ifndef DW_NET_LISTENER_H
#define DW_NET_LISTENER_H

#include "config/config.h"

#include <uv.h>

struct dw_worker;

struct dw_door {
    _Atomic int holders;
    char *name, *text; /* the listener's name and its address as configured */
    char *bound; /* its address as bound: with the port that was chosen */
    int fds[8];
    int count;
    char *unlink; /* ipc: the path to remove at the end */
    struct dw_door *from; /* whose sockets these are too, until this door is in force; borrowed */
};

/* Binds and listens.  NULL with `err` told: which listener, which address, and why not. */
struct dw_door *dw_door_open(const struct dw_listener_config *listener, struct dw_error *err);
/* The door for a listener that is configured anew at the same address: the same one, or one with its sockets when the
 * listener has another name.  Applies mode and group.  NULL with `err` told. */
struct dw_door *dw_door_keep(struct dw_door *door, const struct dw_listener_config *listener, struct dw_error *err);

/* The door is in force: it, not the one whose sockets it has, is to remove the path at the end. */
void dw_door_take_over(struct dw_door *door);

/* Counted; any thread.  The last one closes the sockets and removes an ipc path. */
struct dw_door *dw_door_hold(struct dw_door *door);
void dw_door_release(struct dw_door **door);

/* A worker's part: accepts from the door for the listener of the same name in the worker's settings.
 * Called on the worker's thread; takes over duplicates of the sockets. */
struct dw_reception;
struct dw_reception *dw_reception_open(struct dw_worker *worker, struct dw_door *door);
void dw_reception_close(struct dw_reception **reception);
const struct dw_door *dw_reception_door(const struct dw_reception *reception);

#endif
