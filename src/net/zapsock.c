/* ZAP over ipc and tcp: see zapsock.h. */
#include "net/zapsock.h"

#include "net/broker.h"
#include "net/caller.h"
#include "net/leg.h"
#include "net/zapasks.h"
#include "zap/zap.h"
#include "zmtp/command.h"
#include "zmtp/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

/* A frame of more than FRAME_BYTES ends the connection; one that is merely too long for a request is skipped. */
enum {
    MOST_OPEN = 1024,
    FRAME_BYTES = 1024 * 1024,
    REPLIES_HIGH = 16 * 1024 * 1024,
    LINGER_MS = 10000,
    DRAIN_READS = 256
};

struct dw_zapsock {
    struct dw_leg leg; /* first: its poll handle leads back here */
    struct dw_zapsock *prev, *next; /* of the worker's */
    struct dw_worker *worker;
    char *listener;
    struct dw_caller caller;
    char slot[64]; /* of limits.per_peer, which counts the users of a unix socket apart */
    char id[24];
    struct dw_buf message; /* the frames that have come of the next one */
    bool is_skipping; /* it has grown too long: its other frames are thrown away */
    struct dw_zapasks asks;
    uint64_t deadline, armed; /* loop time; 0: none */
    uv_timer_t timer;
    int depth;
    bool is_joined, is_stalled, is_draining, is_doomed;
};

static void timer_fired(uv_timer_t *timer);
static void ready(uv_poll_t *poll, int status, int events);

static void log_of(const struct dw_zapsock *z, enum dw_log_level level, const char *what, const char *why)
{
    dw_log(level, what, "id", z->id, "listener", z->listener, "forwarder", z->caller.address, "why", why, NULL);
}

static void doom(struct dw_zapsock *z, enum dw_log_level level, const char *what, const char *why)
{
    if (!z->is_doomed)
        log_of(z, level, what, why);
    z->is_doomed = true;
}

/* -- questions ------------------------------------------------------------------------------------------- */

static void enter(struct dw_zapsock *z)
{
    z->depth++;
}

/* What leaving does is done from the loop: who calls us may still be busy with other questions. */
static void leave_soon(struct dw_zapsock *z)
{
    if (--z->depth > 0)
        return;
    z->armed = dw_worker_now(z->worker);
    uv_timer_start(&z->timer, timer_fired, 0, 0);
}

static void leave(struct dw_zapsock *z);

static void reply(void *arg, const struct dw_span *message)
{
    struct dw_zapsock *z = arg;
    struct dw_error err = {0};
    struct dw_span frame;
    int rc = message ? 0 : -1;
    struct dw_reader frames = dw_reader_make(message ? *message : DW_SPAN_NONE);
    enter(z);
    while (rc == 0 && !z->is_doomed && dw_zap_next(&frames, &frame)) {
        unsigned flags = dw_reader_left(&frames) > 0 ? DW_FRAME_MORE : 0;
        rc = dw_machine_push(z->leg.machine, (struct dw_frame){flags, frame}, &err);
    }
    if (rc < 0)
        doom(z, DW_LOG_ERROR, "a ZAP reply cannot be sent", "out of memory");
    leave_soon(z);
}

static void malformed(void *arg, const char *why)
{
    log_of(arg, DW_LOG_WARN, "malformed ZAP request", why);
}

/* -- what comes in ---------------------------------------------------------------------------------------- */

/* RFC 37: PING has a TTL in 2 octets and a context, which PONG gives back. */
static void take_command(struct dw_zapsock *z, struct dw_span body)
{
    struct dw_error err = {0};
    uint8_t pong[32] = "\4PONG";
    if (body.at[2] != 'I')
        return;
    memcpy(pong + 5, body.at + 7, body.len - 7);
    struct dw_frame frame = {DW_FRAME_COMMAND, dw_span_make(pong, body.len - 2)};
    if (dw_machine_push(z->leg.machine, frame, &err) < 0)
        doom(z, DW_LOG_ERROR, "a PONG cannot be sent", err.detail);
}

static void take_frame(struct dw_zapsock *z, struct dw_frame frame)
{
    if (frame.flags & DW_FRAME_COMMAND) {
        take_command(z, frame.body);
        return;
    }
    if (!z->is_skipping && dw_buf_len(&z->message) + 4 + frame.body.len > DW_ZAP_BYTES) {
        z->is_skipping = true;
        dw_buf_free(&z->message);
        dw_tally_add(dw_broker_tally(z->worker->broker), DW_COUNT_ZAP_MALFORMED, 1);
        malformed(z, "it is too long");
    }
    int rc = z->is_skipping ? 0 : dw_zap_put(&z->message, frame.body);
    if (rc == 0 && (frame.flags & DW_FRAME_MORE))
        return;
    if (rc == 0 && !z->is_skipping)
        rc = dw_zapasks_take(&z->asks, &z->message);
    if (rc < 0)
        doom(z, DW_LOG_ERROR, "a ZAP request cannot be taken", "out of memory");
    z->is_skipping = false;
}

static void join(struct dw_zapsock *z, struct dw_span meta)
{
    char why[64];
    struct dw_span type = dw_properties_find(meta, "Socket-Type");
    if (!dw_socket_types_match(type, DW_SPAN_OF("ROUTER"))) {
        snprintf(why, sizeof why, "%.*s does not talk to a ROUTER", (int)type.len, (const char *)type.at);
        doom(z, DW_LOG_WARN, "not a ZAP forwarder", why);
        return;
    }
    z->is_joined = true;
    z->deadline = 0;
    dw_zmtp_peer_open(z->leg.machine);
    log_of(z, DW_LOG_INFO, "ZAP forwarder joined", NULL);
}

static bool has_room(const struct dw_zapsock *z)
{
    return z->asks.open_count < MOST_OPEN && dw_leg_waiting(&z->leg) < REPLIES_HIGH;
}

static void pump(struct dw_zapsock *z)
{
    struct dw_effect fx;
    enum dw_act act = DW_DATA;
    while (act != DW_NEED && !z->is_doomed && has_room(z)) {
        act = dw_machine_next(z->leg.machine, &fx);
        if (act == DW_META)
            join(z, fx.meta);
        else if (act == DW_DATA)
            take_frame(z, fx.frame);
        else if (act == DW_CLOSE)
            doom(z, DW_LOG_WARN, "ZAP forwarder closed for an error", fx.why.detail);
    }
    z->is_stalled = act != DW_NEED;
    if (dw_machine_settle(z->leg.machine) < 0)
        doom(z, DW_LOG_ERROR, "a ZAP forwarder cannot be heard", "out of memory");
}

static void take_in(struct dw_zapsock *z)
{
    if (dw_leg_read(&z->leg, z->worker->scratch, DW_SCRATCH_BYTES) > 0 && !z->leg.discarding)
        pump(z);
}

static void ready(uv_poll_t *poll, int status, int events)
{
    struct dw_zapsock *z = poll->data;
    dw_zapasks_sweep(&z->asks);
    enter(z);
    if (status < 0)
        z->leg.eof = z->leg.broken = true;
    else if (events & UV_READABLE)
        take_in(z);
    if (z->is_joined && !dw_worker_listener(z->worker, z->listener))
        z->is_draining = true;
    leave(z);
}

static void timer_fired(uv_timer_t *timer)
{
    struct dw_zapsock *z = timer->data;
    uint64_t now = dw_worker_now(z->worker);
    dw_zapasks_sweep(&z->asks);
    z->armed = 0;
    enter(z);
    dw_zapasks_expire(&z->asks, now);
    if (z->deadline && z->deadline <= now)
        doom(z, z->is_joined ? DW_LOG_INFO : DW_LOG_WARN,
             z->is_joined ? "ZAP forwarder left" : "handshake out of time", NULL);
    leave(z);
}

/* -- the end ----------------------------------------------------------------------------------------------- */

static void closed(uv_handle_t *handle)
{
    struct dw_zapsock *z = handle->data;
    struct dw_worker *worker = z->worker;
    dw_zapasks_sweep(&z->asks);
    dw_machine_free(&z->leg.machine);
    free(z->listener);
    free(z);
    dw_worker_check_end(worker);
}

static void take_down(struct dw_zapsock *z)
{
    struct dw_tally *tally = dw_broker_tally(z->worker->broker);
    dw_zapasks_cancel(&z->asks);
    dw_buf_free(&z->message);
    dw_tally_add(tally, DW_COUNT_BYTES_IN, z->leg.bytes_in);
    dw_tally_add(tally, DW_COUNT_BYTES_OUT, z->leg.bytes_out);
    dw_tally_leave(tally, z->slot);
    DL_DELETE(z->worker->zapsocks, z);
    dw_leg_close(&z->leg);
    uv_close((uv_handle_t *)&z->timer, closed);
}

/* A timer that fires early looks again. */
static void arm(struct dw_zapsock *z)
{
    uint64_t due = z->deadline, first = dw_zapasks_due(&z->asks), now = dw_worker_now(z->worker);
    if (first && (!due || first < due))
        due = first;
    if (!due || (z->armed && z->armed <= due))
        return;
    z->armed = due;
    uv_timer_start(&z->timer, timer_fired, due > now ? due - now : 1, 0);
}

static void leave(struct dw_zapsock *z)
{
    if (--z->depth > 0)
        return;
    z->depth++;
    dw_leg_flush(&z->leg);
    while (z->is_stalled && !z->is_doomed && has_room(z)) {
        pump(z);
        dw_leg_flush(&z->leg);
    }
    if (z->is_draining && !z->leg.finishing && z->asks.open_count == 0 && !z->is_stalled) {
        z->leg.finishing = z->leg.discarding = true;
        z->deadline = dw_worker_now(z->worker) + LINGER_MS;
        dw_leg_flush(&z->leg);
    }
    if (z->leg.eof || z->leg.broken)
        doom(z, DW_LOG_INFO, z->is_joined ? "ZAP forwarder left" : "ZAP forwarder left during the handshake", NULL);
    z->depth--;
    if (z->is_doomed) {
        take_down(z);
        return;
    }
    dw_leg_watch(&z->leg, !z->is_stalled && (!z->is_draining || z->leg.finishing), ready);
    arm(z);
}

/* What the forwarder has sent is in our kernel's hands already: it is answered. */
static void drain(struct dw_zapsock *z)
{
    for (int i = 0; i < DRAIN_READS && !z->is_doomed && !z->is_stalled && !z->leg.eof; i++) {
        uint64_t had = z->leg.bytes_in;
        take_in(z);
        if (z->leg.bytes_in == had)
            break;
        dw_leg_flush(&z->leg);
    }
    z->is_draining = true;
}

static void stop(struct dw_zapsock *z)
{
    doom(z, DW_LOG_INFO, "ZAP forwarder left", "the broker is ending");
}

static void each(struct dw_worker *worker, void (*what)(struct dw_zapsock *z))
{
    struct dw_zapsock *z, *next;
    DL_FOREACH_SAFE(worker->zapsocks, z, next)
    {
        dw_zapasks_sweep(&z->asks);
        enter(z);
        what(z);
        leave(z);
    }
}

void dw_zapsock_drain_all(struct dw_worker *worker)
{
    each(worker, drain);
}

void dw_zapsock_stop_all(struct dw_worker *worker)
{
    each(worker, stop);
}

/* -- the beginning ------------------------------------------------------------------------------------------ */

/* Its READY needs nothing of the peer's, so it follows the greeting at once. */
static struct dw_machine *make_machine(struct dw_worker *worker)
{
    struct dw_zmtp_options options = {
        .role = DW_ZMTP_NULL,
        .frame_bytes = FRAME_BYTES,
        .meter = dw_tally_meter(dw_broker_tally(worker->broker)),
    };
    struct dw_buf meta = {0};
    struct dw_machine *machine = dw_zmtp_peer_new(&options);
    if (machine && (dw_property_put(&meta, DW_SPAN_OF("Socket-Type"), DW_SPAN_OF("ROUTER")) < 0 ||
                    dw_zmtp_peer_ready(machine, dw_buf_span(&meta)) < 0))
        dw_machine_free(&machine);
    dw_buf_free(&meta);
    return machine;
}

void dw_zapsock_new(struct dw_worker *worker, const struct dw_listener_config *listener, int fd)
{
    struct dw_tally *tally = dw_broker_tally(worker->broker);
    const struct dw_limits *limits = &worker->settings->config->limits;
    struct dw_error err = {0};
    struct dw_caller caller;
    bool is_entered = false;
    struct dw_zapsock *z = calloc(1, sizeof *z);
    if (dw_caller_of(&caller, fd) < 0) {
        dw_error_set(&err, DW_ERROR_CLOSED, "it has left already");
        goto fail;
    }
    if (!z || !(z->listener = strdup(listener->name)) || !(z->leg.machine = make_machine(worker)))
        goto fail;
    if (!dw_caller_allowed(listener, fd)) {
        dw_error_set(&err, DW_ERROR_DENIED, "its address is not in allow_from");
        goto fail;
    }
    if (caller.has_ids)
        snprintf(z->slot, sizeof z->slot, "uid:%ld", caller.uid);
    else
        memcpy(z->slot, caller.address, sizeof z->slot);
    if (dw_tally_enter(tally, z->slot, worker->settings->connections, limits->per_peer, &err) < 0)
        goto fail;
    is_entered = true;
    if (dw_leg_open(&z->leg, NULL, &worker->loop, fd) < 0) {
        fd = -1;
        dw_error_set(&err, DW_ERROR_INTERNAL, "the loop does not take the socket");
        goto fail;
    }
    z->worker = worker;
    z->caller = caller;
    z->message.meter = dw_tally_meter(tally);
    z->asks.with = (struct dw_zapasks_with){
        .loop = &worker->loop,
        .settings = &worker->settings,
        .office = &worker->office,
        .tally = tally,
        .shadow = dw_broker_shadow(worker->broker),
        .salt = dw_broker_salt(worker->broker),
        .index = worker->index,
        .next_number = &worker->next_number,
        .listener = z->listener,
        .arg = z,
        .reply = reply,
        .malformed = malformed,
    };
    snprintf(z->id, sizeof z->id, "%08x.%d.%llx", dw_broker_salt(worker->broker), worker->index,
             (unsigned long long)++worker->next_number);
    uv_timer_init(&worker->loop, &z->timer);
    z->timer.data = z;
    z->deadline = dw_worker_now(worker) + (uint64_t)(limits->handshake_seconds * 1000);
    DL_APPEND(worker->zapsocks, z);
    dw_tally_add(tally, DW_COUNT_ACCEPTED, 1);
    enter(z);
    leave(z);
    return;

fail:
    if (err.kind == DW_ERROR_CLOSED)
        dw_log(DW_LOG_DEBUG, "connection not taken", "listener", listener->name, "why", err.detail, NULL);
    else
        dw_broker_complain(worker->broker, "connection not taken", listener->name, caller.address,
                           err.kind ? err.detail : "out of memory");
    if (is_entered)
        dw_tally_leave(tally, z->slot);
    if (fd >= 0)
        close(fd);
    if (z) {
        dw_machine_free(&z->leg.machine);
        free(z->listener);
    }
    free(z);
}
