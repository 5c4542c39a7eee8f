/* A connection of a program that asks us: see asker.h. */
#include "net/asker.h"

#include "net/broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

enum { DRAIN_READS = 256 };

static void timer_fired(uv_timer_t *timer);
static void ready(uv_poll_t *poll, int status, int events);

void dw_asker_log(const struct dw_asker *a, enum dw_log_level level, const char *what, const char *why)
{
    dw_log(level, what, "id", a->id, "listener", a->listener, "forwarder", a->caller.address, "why", why, NULL);
}

void dw_asker_join(struct dw_asker *a)
{
    a->is_joined = true;
    a->deadline = 0;
    dw_asker_log(a, a->usual, a->kind->joined, NULL);
}

void dw_asker_doom(struct dw_asker *a, enum dw_log_level level, const char *what, const char *why)
{
    if (!a->is_doomed)
        dw_asker_log(a, level, what, why);
    a->is_doomed = true;
}

/* -- turns ------------------------------------------------------------------------------------------------- */

void dw_asker_stir(struct dw_asker *a)
{
    if (a->depth > 0)
        return;
    a->armed = dw_worker_now(a->worker);
    uv_timer_start(&a->timer, timer_fired, 0, 0);
}

static void enter(struct dw_asker *a)
{
    a->depth++;
    a->kind->turn(a);
}

static void leave(struct dw_asker *a);

static bool has_room(const struct dw_asker *a)
{
    return !a->kind->is_full(a) && dw_leg_waiting(&a->leg) < a->kind->replies_high;
}

static void pump(struct dw_asker *a)
{
    struct dw_effect fx;
    enum dw_act act = DW_DATA;
    while (act != DW_NEED && !a->is_doomed && has_room(a)) {
        act = dw_machine_next(a->leg.machine, &fx);
        if (act == DW_CLOSE)
            dw_asker_doom(a, DW_LOG_WARN, a->kind->closed, fx.why.detail);
        else if (act != DW_NEED)
            a->kind->take(a, act, &fx);
    }
    a->is_stalled = act != DW_NEED;
    if (dw_machine_settle(a->leg.machine) < 0)
        dw_asker_doom(a, DW_LOG_ERROR, a->kind->unheard, "out of memory");
}

static void take_in(struct dw_asker *a)
{
    if (dw_leg_read(&a->leg, a->worker->scratch, DW_SCRATCH_BYTES) > 0 && !a->leg.discarding)
        pump(a);
}

static void ready(uv_poll_t *poll, int status, int events)
{
    struct dw_asker *a = poll->data;
    enter(a);
    if (status < 0)
        a->leg.eof = a->leg.broken = true;
    else if (events & UV_READABLE)
        take_in(a);
    if ((a->is_joined || !a->kind->keeps_unjoined) && !dw_worker_listener(a->worker, a->listener))
        a->is_draining = true;
    leave(a);
}

static void timer_fired(uv_timer_t *timer)
{
    struct dw_asker *a = timer->data;
    uint64_t now = dw_worker_now(a->worker);
    a->armed = 0;
    enter(a);
    a->kind->expire(a, now);
    if (a->deadline && a->deadline <= now)
        dw_asker_doom(a, a->is_joined ? a->usual : DW_LOG_WARN,
                      a->is_joined ? a->kind->left : "handshake out of time", NULL);
    leave(a);
}

/* A timer that fires early looks again. */
static void arm(struct dw_asker *a)
{
    uint64_t due = a->deadline, first = a->kind->due(a), now = dw_worker_now(a->worker);
    if (first && (!due || first < due))
        due = first;
    if (!due || (a->armed && a->armed <= due))
        return;
    a->armed = due;
    uv_timer_start(&a->timer, timer_fired, due > now ? due - now : 1, 0);
}

/* -- the end ----------------------------------------------------------------------------------------------- */

static void closed(uv_handle_t *handle)
{
    struct dw_asker *a = handle->data;
    struct dw_worker *worker = a->worker;
    a->kind->turn(a);
    dw_machine_free(&a->leg.machine);
    free(a->listener);
    free(a);
    dw_worker_check_end(worker);
}

static void take_down(struct dw_asker *a)
{
    struct dw_tally *tally = dw_broker_tally(a->worker->broker);
    a->kind->cancel(a);
    dw_tally_add(tally, DW_COUNT_BYTES_IN, a->leg.bytes_in);
    dw_tally_add(tally, DW_COUNT_BYTES_OUT, a->leg.bytes_out);
    dw_tally_leave(tally, a->slot);
    DL_DELETE(a->worker->askers, a);
    dw_leg_close(&a->leg);
    uv_close((uv_handle_t *)&a->timer, closed);
}

static void leave(struct dw_asker *a)
{
    if (--a->depth > 0)
        return;
    a->depth++;
    dw_leg_flush(&a->leg);
    while (a->is_stalled && !a->is_doomed && has_room(a)) {
        pump(a);
        dw_leg_flush(&a->leg);
    }
    if (a->is_draining && !a->leg.finishing && a->kind->is_idle(a) && !a->is_stalled) {
        a->leg.finishing = a->leg.discarding = true;
        a->deadline = dw_worker_now(a->worker) + a->kind->linger_ms;
        dw_leg_flush(&a->leg);
    }
    if (a->leg.eof || a->leg.broken)
        dw_asker_doom(a, a->usual, a->is_joined ? a->kind->left : a->kind->left_early, NULL);
    a->depth--;
    if (a->is_doomed) {
        take_down(a);
        return;
    }
    bool is_heard = !a->is_draining || a->leg.finishing || a->kind->has_rounds;
    dw_leg_watch(&a->leg, !a->is_stalled && is_heard, ready);
    arm(a);
}

/* What the program has sent is in our kernel's hands already: it is answered. */
static void drain(struct dw_asker *a)
{
    for (int i = 0; i < DRAIN_READS && !a->is_doomed && !a->is_stalled && !a->leg.eof; i++) {
        uint64_t had = a->leg.bytes_in;
        take_in(a);
        if (a->leg.bytes_in == had)
            break;
        dw_leg_flush(&a->leg);
    }
    a->is_draining = true;
}

static void stop(struct dw_asker *a)
{
    dw_asker_doom(a, a->usual, a->kind->left, "the broker is ending");
}

static void each(struct dw_worker *worker, void (*what)(struct dw_asker *a))
{
    struct dw_asker *a, *next;
    DL_FOREACH_SAFE(worker->askers, a, next)
    {
        enter(a);
        what(a);
        leave(a);
    }
}

void dw_asker_drain_all(struct dw_worker *worker)
{
    each(worker, drain);
}

void dw_asker_stop_all(struct dw_worker *worker)
{
    each(worker, stop);
}

/* -- the beginning ------------------------------------------------------------------------------------------ */

static struct dw_asker *make(struct dw_worker *worker, const struct dw_asker_kind *kind,
                             const struct dw_caller *caller)
{
    struct dw_asker *a = calloc(1, kind->size);
    if (!a)
        return NULL;
    a->kind = kind;
    a->worker = worker;
    a->caller = *caller;
    if (caller->has_ids)
        snprintf(a->slot, sizeof a->slot, "uid:%ld", caller->uid);
    else
        memcpy(a->slot, caller->address, sizeof a->slot);
    return a;
}

static void begin(struct dw_asker *a)
{
    struct dw_worker *worker = a->worker;
    double seconds = worker->settings->config->limits.handshake_seconds;
    snprintf(a->id, sizeof a->id, "%08x.%d.%llx", dw_broker_salt(worker->broker), worker->index,
             (unsigned long long)++worker->next_number);
    uv_timer_init(&worker->loop, &a->timer);
    a->timer.data = a;
    a->deadline = dw_worker_now(worker) + (uint64_t)(seconds * 1000);
    DL_APPEND(worker->askers, a);
    dw_tally_add(dw_broker_tally(worker->broker), DW_COUNT_ACCEPTED, 1);
    enter(a);
    leave(a);
}

void dw_asker_new(struct dw_worker *worker, const struct dw_asker_kind *kind,
                  const struct dw_listener_config *listener, int fd)
{
    struct dw_tally *tally = dw_broker_tally(worker->broker);
    struct dw_error err = {0};
    struct dw_caller caller;
    struct dw_asker *a = NULL;
    bool is_entered = false;
    if (dw_caller_of(&caller, fd) < 0) {
        dw_error_set(&err, DW_ERROR_CLOSED, "it has left already");
        goto fail;
    }
    if (!dw_caller_allowed(listener, fd)) {
        dw_error_set(&err, DW_ERROR_DENIED, "its address is not in allow_from");
        goto fail;
    }
    if (!(a = make(worker, kind, &caller)) || !(a->listener = strdup(listener->name)) ||
        kind->make(a, listener) < 0)
        goto fail;
    if (dw_tally_enter(tally, a->slot, worker->settings->connections, worker->settings->config->limits.per_peer,
                       &err) < 0)
        goto fail;
    is_entered = true;
    if (dw_leg_open(&a->leg, NULL, &worker->loop, fd) < 0) {
        fd = -1;
        dw_error_set(&err, DW_ERROR_INTERNAL, "the loop does not take the socket");
        goto fail;
    }
    begin(a);
    return;

fail:
    if (err.kind == DW_ERROR_CLOSED)
        dw_log(DW_LOG_DEBUG, "connection not taken", "listener", listener->name, "why", err.detail, NULL);
    else
        dw_broker_complain(worker->broker, "connection not taken", listener->name, caller.address,
                           err.kind ? err.detail : "out of memory");
    if (is_entered)
        dw_tally_leave(tally, a->slot);
    if (fd >= 0)
        close(fd);
    if (a) {
        kind->cancel(a);
        dw_machine_free(&a->leg.machine);
        free(a->listener);
    }
    free(a);
}
