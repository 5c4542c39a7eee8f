/* A handler: a thread with its loop, which answers a context's ZAP endpoint by the policy in force.
 *
 *   dw_handler_new -> dw_handler_run -> thread: requests in, questions asked, replies out -> dw_handler_end, or the context ends
 *
 * Functions may be called from any thread, dw_handler_end last. */
#ifndef DW_LIB_HANDLER_H
#define DW_LIB_HANDLER_H

#include "lib/inproc.h"
#include "net/tally.h"

#include <pthread.h>

struct dw_handler;

struct dw_handler_figures {
    uint64_t waiting, unreachable;
    char policy_sha256[65];
};

/* Loads configuration and policies.  NULL with `findings` told; `is_config` when they are about the configuration. */
struct dw_handler *dw_handler_new(const char *config_path, struct dw_buf *findings, bool *is_config);
/* Starts the thread, and takes the endpoint.  -1: there are no means, and the endpoint is still the caller's. */
int dw_handler_run(struct dw_handler *handler, const struct dw_inproc *endpoint);
/* One that never ran. */
void dw_handler_free(struct dw_handler **handler);
/* Returns when the new policy is in force.  -1 with `findings` told: the old one goes on. */
int dw_handler_reload(struct dw_handler *handler, struct dw_buf *findings);
const struct dw_tally *dw_handler_tally(const struct dw_handler *handler);
void dw_handler_figures(struct dw_handler *handler, struct dw_handler_figures *figures);
/* Answers what waits as temporary, waits for the thread's end, and frees.  Gives the endpoint back; closed already when
 * the context is being terminated. */
void dw_handler_end(struct dw_handler **handler, struct dw_inproc *endpoint);

/* Starts a thread of the library's: named, and signals are for others.  0, or -1. */
int dw_handler_thread(pthread_t *thread, const char *name, void *(*run)(void *arg), void *arg);

#endif
