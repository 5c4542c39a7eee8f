/* A handler: see handler.h. */
#include "lib/handler.h"

#include "base/text.h"
#include "lib/ready.h"
#include "net/wants.h"
#include "net/watch.h"
#include "net/zapasks.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* MOST_OPEN questions wait at a time; TURN requests are taken before the loop looks after other things. */
enum { MOST_OPEN = 4096, TURN = 256 };

static const char listener_name[] = "inproc";

/* What a caller has made ready, and waits to see in force. */
struct offer {
    struct dw_ready ready;
    uint64_t generation;
    bool is_taken;
};

struct dw_handler {
    char *config_path; /* absolute */
    struct dw_tally *tally;
    struct dw_shadow *shadow;
    _Atomic uint64_t waiting, unreachable;

    pthread_mutex_t making; /* one makes ready at a time; of archive and generation */
    struct dw_archive archive;
    uint64_t generation;

    pthread_mutex_t lock; /* of these, between the thread and its callers */
    pthread_cond_t changed;
    struct offer *offered;
    bool is_asked_to_end, is_over;
    char policy_sha256[65];

    /* The thread's. */
    pthread_t thread;
    uv_loop_t loop;
    uv_async_t wake;
    uv_poll_t poll;
    uv_idle_t again; /* runs when something may have come without the descriptor saying so */
    uv_timer_t timer;
    uint64_t armed; /* loop time; 0: not */
    struct dw_inproc inproc;
    struct dw_settings *settings;
    struct dw_office *office;
    uint64_t in_force; /* the generation of those two */
    struct dw_wants *wants;
    struct dw_watch *watch;
    struct dw_zapasks asks;
    uint64_t next_number;
    uv_work_t work; /* a reload that a change of files set off */
    struct offer made;
    struct dw_buf findings;
    bool is_polling, is_making, is_ending;
};

/* -- what it answers with ------------------------------------------------------------------------------------- */

/* But for faults: those are of the thread that makes them. */
static void block_signals(sigset_t *old)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t most;
    sigfillset(&most);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&most, faults[i]);
    pthread_sigmask(SIG_BLOCK, &most, old);
}

int dw_handler_thread(pthread_t *thread, const char *name, void *(*run)(void *arg), void *arg)
{
    sigset_t old;
    block_signals(&old);
    int error = pthread_create(thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error != 0)
        return -1;
    pthread_setname_np(*thread, name);
    return 0;
}

static int make_ready(struct dw_handler *h, struct offer *offer, struct dw_buf *findings)
{
    sigset_t old;
    pthread_mutex_lock(&h->making);
    int rc = dw_ready_make(&offer->ready, h->config_path, &h->archive, findings);
    if (rc == 0) {
        offer->generation = ++h->generation;
        block_signals(&old); /* of the thread that this may start */
        dw_shadow_adopt(h->shadow, offer->ready.settings->config);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    pthread_mutex_unlock(&h->making);
    return rc;
}

/* What questions are still asked with stays until they are answered. */
static void adopt(struct dw_handler *h, struct offer *offer)
{
    struct dw_ready old = {h->settings, h->office};
    struct dw_keeper keeper;
    if (offer->generation < h->in_force)
        return;
    h->in_force = offer->generation;
    h->settings = offer->ready.settings;
    h->office = offer->ready.office;
    offer->ready = (struct dw_ready){0};
    dw_ready_clear(&old);
    if (dw_wants_servers(h->wants, h->settings->config->dns_servers) < 0)
        dw_log(DW_LOG_ERROR, "the system's DNS servers are asked", "why", "out of memory", NULL);
    dw_wants_keeper(h->wants, &keeper);
    dw_host_keep(h->office->host, &keeper);
    dw_watch_files(h->watch, h->settings->config);
    pthread_mutex_lock(&h->lock);
    snprintf(h->policy_sha256, sizeof h->policy_sha256, "%s", dw_host_sha256(h->office->host));
    pthread_mutex_unlock(&h->lock);
}

static void told_reloaded(struct dw_handler *h)
{
    dw_tally_add(h->tally, DW_COUNT_RELOADS, 1);
    dw_log(DW_LOG_INFO, "reloaded", "listener", listener_name, "policy_sha256", dw_host_sha256(h->office->host),
           NULL);
}

static void told_refused(struct dw_handler *h, struct dw_buf *findings)
{
    dw_tally_add(h->tally, DW_COUNT_RELOADS_REFUSED, 1);
    char *why = dw_text_dup(dw_buf_span(findings));
    dw_log(DW_LOG_ERROR, "not reloaded, the old configuration and policy go on", "listener", listener_name, "why",
           why, NULL);
    free(why);
}

/* -- requests ------------------------------------------------------------------------------------------------- */

static void look(struct dw_handler *h);

static void look_again(uv_idle_t *again)
{
    look(again->data);
}

static void reply(void *arg, const struct dw_span *message)
{
    struct dw_handler *h = arg;
    atomic_store(&h->waiting, (uint64_t)h->asks.open_count);
    enum dw_inproc_sent sent = message ? dw_inproc_send(&h->inproc, *message) : DW_INPROC_LOST;
    if (sent == DW_INPROC_UNREACHABLE)
        atomic_fetch_add(&h->unreachable, 1);
    else if (sent == DW_INPROC_LOST)
        dw_log(DW_LOG_ERROR, "a ZAP reply cannot be sent", "listener", listener_name, "why", "out of memory", NULL);
    /* Sending may have taken the edge that tells of requests; and there is room for one more. */
    if (!h->is_ending)
        uv_idle_start(&h->again, look_again);
}

static void malformed(void *arg, const char *why)
{
    (void)arg;
    dw_log(DW_LOG_WARN, "malformed ZAP request", "listener", listener_name, "why", why, NULL);
}

static void too_late(uv_timer_t *timer)
{
    struct dw_handler *h = timer->data;
    h->armed = 0;
    dw_zapasks_sweep(&h->asks);
    dw_zapasks_expire(&h->asks, uv_now(&h->loop));
    look(h);
}

/* A timer that fires early looks again. */
static void arm(struct dw_handler *h)
{
    uint64_t due = dw_zapasks_due(&h->asks), now = uv_now(&h->loop);
    atomic_store(&h->waiting, (uint64_t)h->asks.open_count);
    if (!due || (h->armed && h->armed <= due))
        return;
    h->armed = due;
    uv_timer_start(&h->timer, too_late, due > now ? due - now : 1, 0);
}

static void leave_loop(struct dw_handler *h);

/* False: nothing more for now. */
static bool take_one(struct dw_handler *h)
{
    switch (dw_inproc_receive(&h->inproc)) {
    case DW_INPROC_MESSAGE:
        if (dw_zapasks_take(&h->asks, &h->inproc.message) < 0)
            malformed(h, "out of memory");
        return true;
    case DW_INPROC_TOO_LONG:
        dw_tally_add(h->tally, DW_COUNT_ZAP_MALFORMED, 1);
        malformed(h, "it is too long");
        return true;
    case DW_INPROC_NO_MEMORY: malformed(h, "out of memory"); return true;
    case DW_INPROC_ENDED:
        dw_log(DW_LOG_INFO, "the ZeroMQ context has ended, and the ZAP handler with it", NULL);
        leave_loop(h);
        dw_inproc_close(&h->inproc);
        return false;
    case DW_INPROC_NOTHING: break;
    }
    return false;
}

static void readable(uv_poll_t *poll, int status, int events);

/* While there is no room, what comes stays where it is: to be told of it again and again would be of no use. */
static void watch_endpoint(struct dw_handler *h, bool has_room)
{
    if (has_room && !h->is_polling)
        uv_poll_start(&h->poll, UV_READABLE, readable);
    else if (!has_room && h->is_polling)
        uv_poll_stop(&h->poll);
    h->is_polling = has_room;
}

static void look(struct dw_handler *h)
{
    if (h->is_ending)
        return;
    dw_zapasks_sweep(&h->asks);
    int taken = 0;
    while (taken < TURN && h->asks.open_count < MOST_OPEN && take_one(h))
        taken++;
    if (h->is_ending)
        return;
    if (taken == TURN)
        uv_idle_start(&h->again, look_again);
    else
        uv_idle_stop(&h->again); /* until a reply makes room, or nothing had come */
    watch_endpoint(h, h->asks.open_count < MOST_OPEN);
    arm(h);
}

static void readable(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    look(poll->data);
}

/* -- reload --------------------------------------------------------------------------------------------------- */

static void make(uv_work_t *work)
{
    struct dw_handler *h = work->data;
    h->made.is_taken = make_ready(h, &h->made, &h->findings) == 0;
}

static void made(uv_work_t *work, int status)
{
    struct dw_handler *h = work->data;
    h->is_making = false;
    if (status == 0 && !h->is_ending && h->made.is_taken) {
        adopt(h, &h->made);
        told_reloaded(h);
    } else if (status == 0 && !h->is_ending) {
        told_refused(h, &h->findings);
    }
    dw_ready_clear(&h->made.ready);
    dw_buf_free(&h->findings);
}

static void files_changed(void *arg)
{
    struct dw_handler *h = arg;
    if (h->is_ending || h->is_making)
        return;
    dw_watch_mark(h->watch);
    h->work.data = h;
    h->is_making = uv_queue_work(&h->loop, &h->work, make, made) == 0;
}

int dw_handler_reload(struct dw_handler *h, struct dw_buf *findings)
{
    struct offer offer = {0};
    if (make_ready(h, &offer, findings) < 0) {
        told_refused(h, findings);
        return -1;
    }
    pthread_mutex_lock(&h->lock);
    while (h->offered && !h->is_over)
        pthread_cond_wait(&h->changed, &h->lock);
    if (!h->is_over) {
        h->offered = &offer;
        uv_async_send(&h->wake);
    }
    while (h->offered == &offer && !h->is_over)
        pthread_cond_wait(&h->changed, &h->lock);
    pthread_mutex_unlock(&h->lock);
    dw_ready_clear(&offer.ready);
    if (!offer.is_taken)
        dw_buf_printf(findings, "the ZAP handler has ended with its ZeroMQ context");
    return offer.is_taken ? 0 : -1;
}

/* -- the end -------------------------------------------------------------------------------------------------- */

static void leave_loop(struct dw_handler *h)
{
    h->is_ending = true;
    dw_zapasks_cancel(&h->asks);
    dw_zapasks_sweep(&h->asks);
    atomic_store(&h->waiting, 0);
    dw_wants_close(h->wants);
    dw_watch_close(h->watch);
    if (h->is_making)
        uv_cancel((uv_req_t *)&h->work);
    uv_close((uv_handle_t *)&h->wake, NULL);
    uv_close((uv_handle_t *)&h->poll, NULL);
    uv_close((uv_handle_t *)&h->again, NULL);
    uv_close((uv_handle_t *)&h->timer, NULL);
}

static void woken(uv_async_t *wake)
{
    struct dw_handler *h = wake->data;
    pthread_mutex_lock(&h->lock);
    struct offer *offer = h->offered;
    bool ends = h->is_asked_to_end;
    pthread_mutex_unlock(&h->lock);
    if (offer) {
        adopt(h, offer);
        told_reloaded(h);
        pthread_mutex_lock(&h->lock);
        offer->is_taken = true;
        h->offered = NULL;
        pthread_cond_broadcast(&h->changed);
        pthread_mutex_unlock(&h->lock);
    }
    if (!ends || h->is_ending)
        return;
    dw_zapasks_sweep(&h->asks);
    dw_zapasks_expire(&h->asks, UINT64_MAX);
    leave_loop(h);
}

static void clear(struct dw_handler *h)
{
    struct dw_ready last = {h->settings, h->office};
    dw_ready_clear(&last);
    h->settings = NULL;
    h->office = NULL;
}

static void *run(void *arg)
{
    struct dw_handler *h = arg;
    look(h);
    uv_run(&h->loop, UV_RUN_DEFAULT);
    clear(h);
    pthread_mutex_lock(&h->lock);
    h->is_over = true;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

/* What is left once the loop is done; forgives what was never made. */
static void release(struct dw_handler *h)
{
    dw_wants_free(&h->wants);
    dw_watch_free(&h->watch);
    dw_shadow_free(&h->shadow);
    dw_archive_close(&h->archive);
    dw_tally_free(&h->tally);
    pthread_mutex_destroy(&h->making);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->changed);
    free(h->config_path);
    free(h);
}

void dw_handler_end(struct dw_handler **handler, struct dw_inproc *endpoint)
{
    struct dw_handler *h = *handler;
    *handler = NULL;
    pthread_mutex_lock(&h->lock);
    h->is_asked_to_end = true;
    if (!h->is_over)
        uv_async_send(&h->wake);
    pthread_mutex_unlock(&h->lock);
    pthread_join(h->thread, NULL);
    uv_loop_close(&h->loop);
    *endpoint = h->inproc;
    release(h);
}

/* -- the beginning -------------------------------------------------------------------------------------------- */

static bool open_loop(struct dw_handler *h)
{
    if (uv_loop_init(&h->loop) < 0)
        return false;
    h->wake.data = h->poll.data = h->again.data = h->timer.data = h;
    uv_idle_init(&h->loop, &h->again);
    uv_timer_init(&h->loop, &h->timer);
    h->wants = dw_wants_new(&h->loop);
    h->watch = dw_watch_new(&h->loop, files_changed, h);
    bool is_woken = uv_async_init(&h->loop, &h->wake, woken) == 0;
    bool is_polled = uv_poll_init(&h->loop, &h->poll, dw_inproc_descriptor(&h->inproc)) == 0;
    h->is_polling = is_polled && uv_poll_start(&h->poll, UV_READABLE, readable) == 0;
    if (h->wants && h->watch && is_woken && h->is_polling)
        return true;
    uv_close((uv_handle_t *)&h->again, NULL);
    uv_close((uv_handle_t *)&h->timer, NULL);
    if (h->watch)
        dw_watch_close(h->watch);
    if (is_woken)
        uv_close((uv_handle_t *)&h->wake, NULL);
    if (is_polled)
        uv_close((uv_handle_t *)&h->poll, NULL);
    uv_run(&h->loop, UV_RUN_DEFAULT);
    uv_loop_close(&h->loop);
    return false;
}

static void describe_asks(struct dw_handler *h)
{
    h->asks.with = (struct dw_zapasks_with){
        .loop = &h->loop,
        .settings = &h->settings,
        .office = &h->office,
        .tally = h->tally,
        .shadow = h->shadow,
        .next_number = &h->next_number,
        .listener = listener_name,
        .arg = h,
        .reply = reply,
        .malformed = malformed,
    };
    if (getrandom(&h->asks.with.salt, sizeof h->asks.with.salt, 0) < 0)
        h->asks.with.salt = (unsigned)getpid();
}

struct dw_handler *dw_handler_new(const char *config_path, struct dw_buf *findings, bool *is_config)
{
    struct dw_handler *h = calloc(1, sizeof *h);
    *is_config = false;
    if (!h)
        return NULL;
    pthread_mutex_init(&h->making, NULL);
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->changed, NULL);
    h->config_path = strdup(config_path);
    h->tally = dw_tally_new();
    h->shadow = h->tally ? dw_shadow_new(h->tally) : NULL;
    if (!h->shadow || !h->config_path)
        goto fail;
    if (make_ready(h, &h->made, findings) < 0) {
        *is_config = true;
        goto fail;
    }
    free(h->config_path);
    if ((h->config_path = strdup(h->made.ready.settings->config->file)) != NULL)
        return h;

fail:
    dw_handler_free(&h);
    return NULL;
}

int dw_handler_run(struct dw_handler *h, const struct dw_inproc *endpoint)
{
    h->inproc = *endpoint;
    if (!open_loop(h))
        return -1;
    describe_asks(h);
    adopt(h, &h->made);
    if (dw_handler_thread(&h->thread, "durward-zap", run, h) == 0)
        return 0;
    leave_loop(h);
    uv_run(&h->loop, UV_RUN_DEFAULT);
    uv_loop_close(&h->loop);
    return -1;
}

void dw_handler_free(struct dw_handler **handler)
{
    struct dw_handler *h = *handler;
    *handler = NULL;
    if (!h)
        return;
    dw_ready_clear(&h->made.ready);
    clear(h);
    release(h);
}

const struct dw_tally *dw_handler_tally(const struct dw_handler *handler)
{
    return handler->tally;
}

void dw_handler_figures(struct dw_handler *h, struct dw_handler_figures *figures)
{
    figures->waiting = atomic_load(&h->waiting);
    figures->unreachable = atomic_load(&h->unreachable);
    pthread_mutex_lock(&h->lock);
    memcpy(figures->policy_sha256, h->policy_sha256, sizeof figures->policy_sha256);
    pthread_mutex_unlock(&h->lock);
}
