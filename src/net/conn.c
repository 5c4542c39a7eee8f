/* A connection's life: see conn.h. */
#define HASH_NONFATAL_OOM 1
#include "net/conn.h"

#include "net/admit.h"
#include "net/broker.h"
#include "net/caller.h"
#include "net/dial.h"
#include "net/listener.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

/* How long an orderly end may take. */
#define LINGER_SECONDS 10
#define IDENTITY_LINGER_SECONDS 60
#define UNSENT_LINGER_SECONDS 120
/* Held back from large frames, so that small ones still find room when memory is short. */
#define LARGE_GROWTH (1024 * 1024)
/* A refused client that sends this much is not waited for. */
#define HELD_BYTES (1024 * 1024)

static void check_ends(struct dw_conn *conn);

void dw_conn_log(const struct dw_conn *conn, enum dw_log_level level, const char *what, const char *key,
                 const char *value)
{
    char port[12] = "";
    if (level < dw_log_level_now())
        return;
    if (conn->port)
        snprintf(port, sizeof port, ":%d", conn->port);
    char peer[96];
    snprintf(peer, sizeof peer, strchr(conn->peer, ':') ? "[%s]%s" : "%s%s", conn->peer, port);
    dw_log(level, what, "id", conn->id, "listener", conn->listener->name, "peer", peer, "principal",
           conn->principal, "user", conn->user, key, value, NULL);
}

/* -- the two legs ------------------------------------------------------------------------------------ */

struct dw_leg *dw_conn_other(struct dw_conn *conn, struct dw_leg *leg)
{
    return leg == &conn->near ? &conn->far : &conn->near;
}

static void handle_closed(uv_handle_t *handle);

void dw_conn_close_leg(struct dw_leg *leg)
{
    leg->eof = leg->broken = true;
    dw_leg_close(leg);
}

void dw_conn_close_far(struct dw_conn *conn)
{
    conn->far_present = false;
    dw_conn_close_leg(&conn->far);
}

void dw_conn_doom(struct dw_conn *conn, const char *reason)
{
    if (!conn->reason)
        conn->reason = reason;
    conn->phase = DW_PHASE_DOOMED;
}

/* One side is over: the other is given what has been sent to it, then told. */
void dw_conn_finish_towards(struct dw_conn *conn, struct dw_leg *leg, const char *reason)
{
    if (!conn->reason)
        conn->reason = reason;
    if (leg->fd < 0 || leg->broken) {
        dw_conn_doom(conn, reason);
        return;
    }
    conn->phase = DW_PHASE_ENDING;
    leg->finishing = leg->discarding = true;
    for (int i = 0; i < DW_DEADLINES; i++)
        conn->deadlines[i] = 0;
}

void dw_conn_part(struct dw_conn *conn, const char *reason)
{
    if (conn->phase >= DW_PHASE_HELD)
        return;
    /* Nobody is left whom an answer is for, and what the question was about has gone with the near machine. */
    dw_admit_cancel(conn);
    dw_conn_finish_towards(conn, &conn->near, reason);
    dw_conn_close_leg(&conn->far);
    if (conn->phase == DW_PHASE_ENDING)
        dw_conn_deadline(conn, DW_AT_LINGER, LINGER_SECONDS);
}

void dw_conn_end(struct dw_conn *conn, const char *reason)
{
    if (conn->phase >= DW_PHASE_HELD)
        return;
    if (conn->phase == DW_PHASE_HANDSHAKE) {
        dw_conn_doom(conn, reason);
        return;
    }
    if (!conn->reason)
        conn->reason = reason;
    if (conn->front->farewell && conn->front->farewell(conn, DW_PARTING_EXPIRED))
        return;
    dw_conn_finish_towards(conn, &conn->far, reason);
    if (conn->phase == DW_PHASE_ENDING)
        conn->near.finishing = conn->near.discarding = true;
}

void dw_conn_refused(struct dw_conn *conn, const char *reason)
{
    if (conn->phase >= DW_PHASE_HELD)
        return;
    if (!conn->reason)
        conn->reason = reason;
    dw_conn_close_leg(&conn->far);
    for (int i = 0; i < DW_DEADLINES; i++)
        conn->deadlines[i] = 0;
    conn->near.discarding = true;
    /* Without an ERROR to deliver (READY has been sent, or the ticket was refused) the client would be back at once. */
    if (conn->listener->on_deny == DW_ON_DENY_ERROR && dw_leg_waiting(&conn->near) > 0) {
        conn->phase = DW_PHASE_ENDING;
        conn->near.finishing = true;
        return;
    }
    uint16_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        random = (uint16_t)conn->number;
    conn->phase = DW_PHASE_HELD;
    dw_conn_deadline(conn, DW_AT_HOLD, conn->listener->retry_hold_seconds * (0.75 + random / 131072.0));
}

void dw_conn_drain(struct dw_conn *conn)
{
    if (conn->phase <= DW_PHASE_OPEN && conn->front->farewell && conn->front->farewell(conn, DW_PARTING_DRAIN))
        return;
    if (conn->phase == DW_PHASE_OPEN) {
        /* The client sees the end of our side and leaves; what it has sent until then is still delivered. */
        if (!conn->reason)
            conn->reason = "the broker is ending";
        conn->near.finishing = true;
        conn->far.discarding = true;
    } else if (conn->phase < DW_PHASE_ENDING) {
        dw_conn_doom(conn, "the broker is ending");
    }
}

void dw_conn_open(struct dw_conn *conn)
{
    conn->front->opened(conn);
    conn->phase = DW_PHASE_OPEN;
    /* Both may hold what came before: looked at again before the turn ends. */
    conn->near.congested = conn->far.congested = true;
    dw_conn_no_deadline(conn, DW_AT_HANDSHAKE);
    dw_tally_add(dw_broker_tally(conn->worker->broker), DW_COUNT_JOINED, 1);
    dw_tally_note(dw_broker_tally(conn->worker->broker), DW_NOTE_BACKEND, conn->backend, 1);
    conn->is_noted = true;
}

/* -- effects ------------------------------------------------------------------------------------------- */

/* During traffic: the other side is given what was sent to it, and a client its last words. */
static void open_closed(struct dw_conn *conn, struct dw_leg *leg, const struct dw_error *why)
{
    struct dw_leg *other = dw_conn_other(conn, leg);
    bool is_near = leg == &conn->near, is_orderly = conn->front->farewell && why->kind == DW_ERROR_CLOSED;
    const char *reason = is_near ? "client error" : "backend error";
    if (is_orderly)
        reason = is_near ? "client closed" : "backend closed";
    else
        dw_conn_log(conn, why->kind == DW_ERROR_CLOSED ? DW_LOG_INFO : DW_LOG_WARN,
                    is_near ? "client closed for an error" : "backend closed for an error", "why", why->detail);
    if (!is_near && conn->front->farewell)
        conn->front->farewell(conn, DW_PARTING_FAR_LOST);
    if (is_near && conn->front->farewell && !leg->broken && dw_leg_waiting(leg) > 0) {
        dw_conn_finish_towards(conn, leg, reason);
        if (other->fd >= 0 && !other->broken)
            other->finishing = other->discarding = true;
        return;
    }
    dw_conn_finish_towards(conn, other, reason);
    dw_conn_close_leg(leg);
}

static void machine_closed(struct dw_conn *conn, struct dw_leg *leg, const struct dw_error *why)
{
    struct dw_tally *tally = dw_broker_tally(conn->worker->broker);
    bool is_near = leg == &conn->near;
    if (why->kind == DW_ERROR_LIMIT)
        dw_tally_add(tally, DW_COUNT_LIMIT_FRAME, 1);
    if (conn->phase == DW_PHASE_OPEN) {
        open_closed(conn, leg, why);
        return;
    }
    if (!is_near) {
        conn->front->far_lost(conn, why);
        return;
    }
    if (conn->front->near_lost) {
        conn->front->near_lost(conn, why);
        return;
    }
    if (conn->decision && conn->decision->verdict != DW_ALLOW) {
        dw_conn_refused(conn, "refused");
        return;
    }
    dw_tally_add(tally, DW_COUNT_HANDSHAKE_LOST, 1);
    dw_conn_log(conn, DW_LOG_WARN, why->kind == DW_ERROR_DENIED ? "ticket refused" : "handshake failed", "why",
                why->detail);
    if (why->kind == DW_ERROR_DENIED)
        dw_conn_refused(conn, "ticket refused");
    else
        dw_conn_doom(conn, "handshake failed");
}

static int pass(struct dw_conn *conn, struct dw_leg *from, struct dw_frame frame, struct dw_error *err)
{
    struct dw_leg *to = dw_conn_other(conn, from);
    if (to->broken || (to->discarding && to->finishing))
        return 0;
    return conn->front->pass(conn, from, frame, err);
}

void dw_conn_pump(struct dw_conn *conn, struct dw_leg *leg)
{
    struct dw_effect fx;
    struct dw_error err = {0};
    if (leg->congested)
        leg->heard = dw_worker_now(conn->worker); /* until now it was we who did not listen */
    leg->congested = false;
    while (conn->phase <= DW_PHASE_OPEN && leg->machine && !leg->discarding) {
        struct dw_leg *to = dw_conn_other(conn, leg);
        if (conn->phase == DW_PHASE_OPEN && dw_leg_waiting(to) >= DW_LEG_HIGH) {
            dw_leg_flush(to);
            if (dw_leg_waiting(to) >= DW_LEG_LOW) {
                leg->congested = true;
                break;
            }
        }
        enum dw_act act = dw_machine_next(leg->machine, &fx);
        if (act == DW_NEED)
            break;
        if (act == DW_CLOSE)
            machine_closed(conn, leg, &fx.why);
        else if (act != DW_DATA)
            conn->front->effect(conn, leg, act, &fx);
        else if (pass(conn, leg, fx.frame, &err) < 0) {
            dw_conn_log(conn, DW_LOG_ERROR, "a message cannot be passed on", "why", err.detail);
            dw_conn_doom(conn, "a message cannot be passed on");
        }
    }
    if (leg == &conn->near && leg->machine && conn->phase == DW_PHASE_HANDSHAKE && conn->front->looked)
        conn->front->looked(conn);
    if (leg->machine && dw_machine_settle(leg->machine) < 0)
        dw_conn_doom(conn, "out of memory");
}

/* -- entry points and what they end with --------------------------------------------------------------- */

void dw_conn_enter(struct dw_conn *conn)
{
    conn->depth++;
}

static bool wants_read(struct dw_conn *conn, struct dw_leg *leg)
{
    if (leg->fd < 0 || leg->eof || leg->starved)
        return false;
    if (leg->discarding || conn->phase >= DW_PHASE_HELD)
        return true;
    if (conn->front->unsent_bytes && dw_leg_waiting(leg) > conn->front->unsent_bytes)
        return false;
    if (conn->phase == DW_PHASE_HANDSHAKE)
        return leg->machine && dw_buf_len(&leg->machine->held) <= conn->front->handshake_bytes;
    return !leg->congested;
}

/* Another may have its turn once what this one took in has gone on. */
static void comply(struct dw_conn *conn)
{
    for (int i = 0; i < 2; i++) {
        const struct dw_leg *leg = i ? &conn->far : &conn->near;
        if (leg->machine && leg->fd >= 0 &&
            ((!leg->discarding && dw_buf_len(&leg->machine->held) > 0) || dw_leg_waiting(leg) >= DW_LEG_LOW))
            return;
    }
    conn->exceeding = false;
    dw_conn_no_deadline(conn, DW_AT_PROGRESS);
    dw_tally_comply(dw_broker_tally(conn->worker->broker), conn);
}

static void release_all(struct dw_conn *conn)
{
    struct dw_tally *tally = dw_broker_tally(conn->worker->broker);
    dw_admit_forget(conn);
    dw_dial_free(conn);
    dw_machine_free(&conn->near.machine);
    dw_machine_free(&conn->far.machine);
    comply(conn);
    if (conn->user_counted)
        dw_tally_leave_user(tally, conn->user);
    if (conn->decision)
        dw_decision_clear(conn->decision);
    free(conn->decision);
    if (conn->is_noted)
        dw_tally_note(tally, DW_NOTE_BACKEND, conn->backend, -1);
    dw_tally_leave(tally, dw_conn_slot(conn));
    dw_context_free(&conn->context);
    dw_buf_free(&conn->first_token);
    dw_buf_free(&conn->far_meta);
    dw_buf_free(&conn->near_meta);
    free(conn->principal);
    free(conn->user);
    free(conn->backend);
    free(conn->peer);
    free(conn->slot);
    dw_address_clear(&conn->backend_address);
    free((void *)(uintptr_t)conn->identity.at);
    if (conn->own)
        conn->front->forget(conn);
    dw_settings_release(&conn->settings);
}

static void handle_closed(uv_handle_t *handle)
{
    struct dw_conn *conn = handle->data;
    struct dw_worker *worker = conn->worker;
    release_all(conn);
    free(conn);
    dw_worker_check_end(worker);
}

static void log_end(struct dw_conn *conn)
{
    char in[24], out[24], seconds[24];
    enum dw_log_level level = conn->user ? DW_LOG_INFO : DW_LOG_DEBUG;
    struct dw_tally *tally = dw_broker_tally(conn->worker->broker);
    dw_tally_add(tally, DW_COUNT_BYTES_IN, conn->near.bytes_in);
    dw_tally_add(tally, DW_COUNT_BYTES_OUT, conn->near.bytes_out);
    if (level < dw_log_level_now())
        return;
    snprintf(in, sizeof in, "%llu", (unsigned long long)conn->near.bytes_in);
    snprintf(out, sizeof out, "%llu", (unsigned long long)conn->near.bytes_out);
    snprintf(seconds, sizeof seconds, "%.3f", (double)(dw_worker_now(conn->worker) - conn->born) / 1000);
    dw_log(level, "ended", "id", conn->id, "listener", conn->listener->name, "user", conn->user, "reason",
           conn->reason, "seconds", seconds, "bytes_in", in, "bytes_out", out, NULL);
}

/* Off the books at once; the memory goes with the last handle. */
static void take_down(struct dw_conn *conn)
{
    log_end(conn);
    dw_admit_closed(conn);
    HASH_DEL(conn->worker->conns, conn);
    dw_conn_close_leg(&conn->near);
    dw_conn_close_leg(&conn->far);
    dw_conn_release_identity(conn);
    uv_close((uv_handle_t *)&conn->timer, handle_closed);
}

/* While the backend may still hold an identity, the connection stays, without its client. */
static bool must_settle(struct dw_conn *conn)
{
    if (!conn->claimed || conn->worker->ended || conn->worker->draining)
        return false;
    uint64_t now = dw_worker_now(conn->worker);
    if (!conn->deadlines[DW_AT_SETTLE]) {
        for (int i = 0; i < DW_DEADLINES; i++)
            conn->deadlines[i] = 0;
        dw_conn_deadline(conn, DW_AT_SETTLE, DW_IDENTITY_SETTLE_SECONDS);
    }
    return conn->deadlines[DW_AT_SETTLE] > now;
}

/* What waits to be written has long to go; once our side is shut, the other has a while to do the same - longer
 * if it must be known to have let go of an identity. */
static void linger(struct dw_conn *conn)
{
    if (conn->phase != DW_PHASE_ENDING)
        return;
    struct dw_leg *legs[] = {&conn->near, &conn->far};
    double seconds = 0;
    for (int i = 0; i < 2; i++)
        if (legs[i]->fd >= 0 && !legs[i]->shut && !legs[i]->broken)
            seconds = UNSENT_LINGER_SECONDS;
    if (seconds == 0 && !conn->all_shut) {
        conn->all_shut = true;
        dw_conn_no_deadline(conn, DW_AT_LINGER);
        seconds = conn->claimed ? IDENTITY_LINGER_SECONDS : LINGER_SECONDS;
    }
    if (seconds > 0 && !conn->deadlines[DW_AT_LINGER])
        dw_conn_deadline(conn, DW_AT_LINGER, seconds);
}

/* What nobody speaks to any more holds no memory while the other side is waited for. */
static void drop_machines(struct dw_conn *conn)
{
    struct dw_leg *legs[] = {&conn->near, &conn->far};
    for (int i = 0; i < 2 && conn->phase >= DW_PHASE_HELD && conn->works == 0; i++)
        if (legs[i]->fd < 0 || conn->phase == DW_PHASE_HELD)
            dw_machine_free(&legs[i]->machine);
}

void dw_conn_leave(struct dw_conn *conn)
{
    if (conn->depth > 1) {
        conn->depth--;
        return;
    }
    struct dw_leg *near = &conn->near, *far = &conn->far, *legs[] = {near, far};
    for (int i = 0; i < 2 && conn->phase < DW_PHASE_DOOMED; i++) {
        struct dw_leg *leg = legs[i], *from = legs[1 - i];
        dw_leg_flush(leg);
        if (from->congested && dw_leg_waiting(leg) < DW_LEG_LOW) {
            dw_conn_pump(conn, from);
            dw_leg_flush(leg);
        }
    }
    check_ends(conn);
    linger(conn);
    conn->depth--;
    if (conn->phase == DW_PHASE_DOOMED) {
        dw_admit_forget(conn);
        dw_conn_close_leg(near);
        dw_conn_close_leg(far);
        if (conn->works > 0)
            return;
        if (!must_settle(conn)) {
            take_down(conn);
            return;
        }
    }
    drop_machines(conn);
    if (conn->exceeding)
        comply(conn);
    dw_leg_watch(near, wants_read(conn, near), dw_conn_ready);
    if (!dw_dial_is_under_way(conn))
        dw_leg_watch(far, wants_read(conn, far), dw_conn_ready);
    dw_conn_arm(conn);
}

/* What it means that a leg has ended, in the phase that the connection is in. */
static void check_ends(struct dw_conn *conn)
{
    struct dw_leg *near = &conn->near, *far = &conn->far;
    switch (conn->phase) {
    case DW_PHASE_HANDSHAKE:
        /* A client that said all it wanted to say, and left, is still joined and heard. */
        if (near->broken || (near->eof && dw_buf_len(&conn->near_meta) == 0)) {
            const char *state = near->machine ? conn->front->state(conn, near) : "connect";
            const char *likely = conn->front->likely ? conn->front->likely(conn) : NULL;
            if (!conn->decision || conn->decision->verdict == DW_ALLOW)
                dw_log(DW_LOG_INFO, "client left during the handshake", "id", conn->id, "listener",
                       conn->listener->name, "peer", conn->peer, "user", conn->user, "awaiting", state, "likely",
                       likely, NULL);
            if (!conn->decision)
                dw_tally_add(dw_broker_tally(conn->worker->broker), DW_COUNT_HANDSHAKE_LOST, 1);
            dw_conn_doom(conn, "client left during the handshake");
        } else if (far->fd >= 0 && (far->eof || far->broken) && !dw_dial_is_under_way(conn)) {
            conn->front->far_lost(conn, NULL);
        }
        break;
    case DW_PHASE_OPEN:
        if (near->eof && !near->congested) {
            dw_conn_finish_towards(conn, far, "client closed");
            dw_conn_close_leg(near);
        } else if (far->eof && !far->congested) {
            if (conn->front->farewell)
                conn->front->farewell(conn, DW_PARTING_FAR_LOST);
            dw_conn_finish_towards(conn, near, "backend closed");
            dw_conn_close_leg(far);
        } else if ((near->eof || near->broken || far->eof || far->broken) && !conn->deadlines[DW_AT_LINGER]) {
            /* What it had sent before is still passed on, if the other takes it in time. */
            dw_conn_deadline(conn, DW_AT_LINGER, UNSENT_LINGER_SECONDS);
        }
        dw_leg_flush(far);
        dw_leg_flush(near);
        break;
    case DW_PHASE_ENDING:
        if ((near->fd < 0 || near->eof || near->broken) && (far->fd < 0 || far->eof || far->broken))
            dw_conn_doom(conn, "ended");
        break;
    case DW_PHASE_HELD:
        if (near->eof || near->broken)
            dw_conn_doom(conn, "refused");
        break;
    case DW_PHASE_DOOMED: break;
    }
}

/* limits.memory: a frame that has begun to arrive has its room reserved whole; whoever would need more waits, but
 * for one at a time. */
static bool must_starve(struct dw_conn *conn, struct dw_leg *leg)
{
    if (leg->discarding || !leg->machine)
        return false;
    struct dw_tally *tally = dw_broker_tally(conn->worker->broker);
    size_t limit = conn->settings->config->limits.memory, growth = dw_machine_growth(leg->machine);
    size_t held = atomic_load_explicit(&dw_tally_meter(tally)->held, memory_order_relaxed);
    if (growth == 0 && dw_buf_len(&leg->machine->held) > 0)
        return false;
    if (growth > LARGE_GROWTH)
        limit -= limit / 4;
    if (held + growth <= limit)
        return false;
    if (dw_tally_exceed(tally, conn)) {
        if (!conn->exceeding)
            dw_conn_watch_progress(conn);
        conn->exceeding = true;
        return false;
    }
    leg->starved = true;
    dw_tally_add(tally, DW_COUNT_LIMIT_MEMORY, 1);
    return true;
}

/* What has arrived is read even if the socket broke after it. */
static void take_in(struct dw_conn *conn, struct dw_leg *leg)
{
    if (conn->front->is_eager && conn->phase == DW_PHASE_HANDSHAKE && leg == &conn->far)
        dw_leg_acknowledge(leg);
    int got = must_starve(conn, leg) ? 0 : dw_leg_read(leg, conn->worker->scratch, DW_SCRATCH_BYTES);
    if (leg->starved)
        dw_worker_starve(conn->worker);
    else if (got == 0 && leg->broken)
        leg->eof = true;
    if (got != 0)
        dw_conn_pump(conn, leg);
    if (conn->phase == DW_PHASE_HELD && leg->bytes_in > HELD_BYTES)
        dw_conn_doom(conn, "refused");
}

void dw_conn_ready(uv_poll_t *poll, int status, int events)
{
    struct dw_leg *leg = poll->data;
    struct dw_conn *conn = leg->conn;
    dw_conn_enter(conn);
    if (leg == &conn->far && dw_dial_is_under_way(conn)) {
        /* A connection refused later than at once comes as POLLERR, which libuv tells as a status. */
        if ((status < 0 || (events & UV_WRITABLE)) && dw_dial_finish(conn) > 0 && conn->front->connected(conn) < 0)
            dw_conn_doom(conn, "out of memory");
    } else {
        if (status < 0)
            dw_leg_break(leg);
        if (((events & UV_READABLE) || status < 0) && wants_read(conn, leg))
            take_in(conn, leg);
    }
    dw_conn_leave(conn);
}

/* -- identities ---------------------------------------------------------------------------------------- */

void dw_conn_release_identity(struct dw_conn *conn)
{
    if (!conn->claimed)
        return;
    conn->claimed = false;
    dw_identity_release(dw_broker_identities(conn->worker->broker), (struct dw_holder){conn->worker, conn->number},
                        conn->backend, conn->identity);
}

void dw_conn_superseded(struct dw_conn *conn)
{
    dw_conn_enter(conn);
    if (conn->phase <= DW_PHASE_OPEN) {
        dw_conn_log(conn, DW_LOG_INFO, "ended for a newer login with the same identity", NULL, NULL);
        dw_tally_add(dw_broker_tally(conn->worker->broker), DW_COUNT_IDENTITY_REPLACED, 1);
    }
    if (conn->phase == DW_PHASE_HANDSHAKE)
        dw_conn_doom(conn, "replaced by a newer login");
    else if (conn->phase == DW_PHASE_OPEN)
        dw_conn_finish_towards(conn, &conn->far, "replaced by a newer login");
    /* Also one that is ending: what a frozen client does not take must not keep the newer one waiting. */
    dw_conn_close_leg(&conn->near);
    dw_conn_leave(conn);
}
