/* Looks, every half second and in the pool, whether files have changed: tables that policies look things up in, which
 * are then read again, and, if asked, the configuration and its policies.
 *
 * The files are those named, and every *.lua in the policies' folders, since a policy may require what stands beside
 * it.  A change is told once it has stood still from one look to the next, so that a file that is being written, or
 * several that are being replaced, are one change. */
#ifndef DW_NET_WATCH_H
#define DW_NET_WATCH_H

#include "config/config.h"

#include <uv.h>

struct dw_watch;

struct dw_watch *dw_watch_new(uv_loop_t *loop, void (*changed)(void *arg), void *arg);
/* The files are about to be read: a change from now on is one. */
void dw_watch_mark(struct dw_watch *watch);
/* What is watched from now on; another holder of `config`. */
void dw_watch_files(struct dw_watch *watch, struct dw_config *config);
void dw_watch_close(struct dw_watch *watch); /* the loop is to end; nothing is told any more */
void dw_watch_free(struct dw_watch **watch); /* after the loop's end */

#endif
