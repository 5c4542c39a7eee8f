/* A worker: a thread, its loop, its policy host, its credentials, its connections.
 *
 * A connection lives and dies on one worker; nothing of a login hops between threads.  Other threads reach a
 * worker only by posting to it.  The functions below are for the worker's own thread unless they say
 * otherwise. */
#ifndef DW_NET_WORKER_H
#define DW_NET_WORKER_H

#include "gss/cred.h"
#include "net/identity.h"
#include "net/office.h"
#include "net/tally.h"

#include <uv.h>

enum { DW_SCRATCH_BYTES = 131072, DW_MOST_LISTENERS = 64 };

struct dw_asker;
struct dw_broker;
struct dw_conn;
struct dw_door;
struct dw_reception;
struct dw_wants;
struct dw_worker;
struct dw_xmpp_pool;

struct dw_post {
    struct dw_post *next;
    void (*run)(struct dw_worker *worker, struct dw_post *post); /* frees the post */
};

struct dw_worker {
    struct dw_broker *broker;
    int index;
    uv_thread_t thread;
    uv_loop_t loop;
    uv_async_t wake;
    uv_mutex_t lock; /* of the posts */
    struct dw_post *posts, **posts_end;
    struct dw_settings *settings; /* those for new connections */
    struct dw_office *office;
    struct dw_desk *desk; /* credentials */
    struct dw_wants *wants; /* what its policies wait for */
    struct dw_reception *receptions[DW_MOST_LISTENERS];
    int reception_count;
    struct dw_conn *conns; /* by number */
    struct dw_asker *askers;
    struct dw_xmpp_pool *xmpp_pool; /* NULL: nothing has been put there */
    uv_timer_t starve_timer;
    uint64_t next_number;
    uint8_t *scratch;
    bool draining, stopping, ended;
};

/* Makes the worker and starts its thread, which waits to be given a policy and doors.  -1 with `err` told. */
int dw_worker_start(struct dw_worker *worker, struct dw_broker *broker, int index, struct dw_settings *settings,
                    struct dw_error *err);
/* Waits for the thread's end, and frees what it held. */
void dw_worker_join(struct dw_worker *worker);

/* Any thread: hands over a message, or one of these three. */
void dw_worker_post(struct dw_worker *worker, struct dw_post *post);
/* New settings and policy, from now on; takes `host`.  `doors` is the whole list, which is copied. */
int dw_worker_adopt(struct dw_worker *worker, struct dw_settings *settings, struct dw_host *host,
                    struct dw_door *const *doors, int count);
/* Stops accepting and asks every connection to end; the thread ends with the last one. */
void dw_worker_drain(struct dw_worker *worker);
/* Ends every connection at once; the thread ends. */
void dw_worker_stop(struct dw_worker *worker);

/* The listener of that name in the settings for new connections; NULL when there is none any more. */
const struct dw_listener_config *dw_worker_listener(struct dw_worker *worker, const char *name);
/* A reader waits for memory: all that do are looked at again shortly. */
void dw_worker_starve(struct dw_worker *worker);
/* Called by what comes and goes; ends the loop when nothing is left to do. */
void dw_worker_check_end(struct dw_worker *worker);
/* Tells the holder of an identity, from any thread (identity.h). */
void dw_worker_tell_leave(struct dw_holder holder);
void dw_worker_tell_granted(struct dw_holder holder);

/* Milliseconds of the loop's clock. */
static inline uint64_t dw_worker_now(struct dw_worker *worker)
{
    return uv_now(&worker->loop);
}

#endif
