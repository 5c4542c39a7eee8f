/* A connection's deadlines: when they are, and what comes of each.  See conn.h. */
#include "net/admit.h"
#include "net/broker.h"
#include "net/conn.h"
#include "net/dial.h"

/* Longer than any broker runs; what a policy says may be longer still. */
#define LONGEST_SECONDS 1e9
/* What the one that goes past limits.memory has to move in this time, since all others wait for it. */
#define PROGRESS_SECONDS 10
#define PROGRESS_BYTES 65536

void dw_conn_deadline(struct dw_conn *conn, enum dw_deadline which, double seconds)
{
    double most = seconds < LONGEST_SECONDS ? seconds : LONGEST_SECONDS;
    uint64_t wait = most > 0 ? (uint64_t)(most * 1000) : 0;
    conn->deadlines[which] = dw_worker_now(conn->worker) + (wait ? wait : 1);
}

void dw_conn_expire_at(struct dw_conn *conn, double when)
{
    uv_timeval64_t now;
    uv_gettimeofday(&now);
    if (when > 0)
        dw_conn_deadline(conn, DW_AT_EXPIRY, when - (double)now.tv_sec - (double)now.tv_usec / 1e6);
}

void dw_conn_no_deadline(struct dw_conn *conn, enum dw_deadline which)
{
    conn->deadlines[which] = 0;
}

static void timer_fired(uv_timer_t *timer);

static uint64_t silence_ends(const struct dw_leg *leg)
{
    const struct dw_front_ops *front = leg->conn ? leg->conn->front : NULL;
    unsigned ttl = leg->machine && front && front->ttl ? front->ttl(leg) : 0;
    return ttl ? leg->heard + ttl : 0;
}

void dw_conn_arm(struct dw_conn *conn)
{
    uint64_t due = 0;
    for (int i = 0; i < DW_DEADLINES; i++)
        if (conn->deadlines[i] && (!due || conn->deadlines[i] < due))
            due = conn->deadlines[i];
    if (conn->phase == DW_PHASE_OPEN) {
        uint64_t silence[] = {silence_ends(&conn->near), silence_ends(&conn->far)};
        for (int i = 0; i < 2; i++)
            if (silence[i] && (!due || silence[i] < due))
                due = silence[i];
    }
    /* A timer that fires early looks again: only an earlier end needs it set anew. */
    if (!due || (conn->armed && conn->armed <= due))
        return;
    uint64_t now = dw_worker_now(conn->worker);
    conn->armed = due;
    uv_timer_start(&conn->timer, timer_fired, due > now ? due - now : 1, 0);
}

static void handshake_late(struct dw_conn *conn)
{
    struct dw_tally *tally = dw_broker_tally(conn->worker->broker);
    dw_tally_add(tally, DW_COUNT_LIMIT_HANDSHAKE, 1);
    conn->front->late(conn);
    if (!conn->decision)
        dw_tally_add(tally, DW_COUNT_HANDSHAKE_LOST, 1);
    if (conn->phase == DW_PHASE_HANDSHAKE)
        dw_conn_doom(conn, "handshake out of time");
}

static void check_silence(struct dw_conn *conn, struct dw_leg *leg, uint64_t now)
{
    uint64_t end = silence_ends(leg);
    if (!end || end > now)
        return;
    if (leg->congested || leg->starved) {
        leg->heard = now; /* it is we who do not listen */
        return;
    }
    bool is_near = leg == &conn->near;
    dw_conn_log(conn, DW_LOG_WARN,
                is_near ? "client silent past its heartbeat's TTL" : "backend silent past its TTL", NULL, NULL);
    dw_conn_finish_towards(conn, dw_conn_other(conn, leg), is_near ? "client dead" : "backend dead");
    dw_conn_close_leg(leg);
}

static bool is_due(struct dw_conn *conn, enum dw_deadline which, uint64_t now)
{
    if (!conn->deadlines[which] || conn->deadlines[which] > now)
        return false;
    if (which != DW_AT_SETTLE)
        conn->deadlines[which] = 0;
    return true;
}

void dw_conn_leave_soon(struct dw_conn *conn)
{
    conn->depth--;
    conn->is_answered = true;
    conn->armed = 1;
    uv_timer_start(&conn->timer, timer_fired, 0, 0);
}

static uint64_t passed(const struct dw_conn *conn)
{
    return conn->near.bytes_in + conn->near.bytes_out + conn->far.bytes_in + conn->far.bytes_out;
}

void dw_conn_watch_progress(struct dw_conn *conn)
{
    conn->passed = passed(conn);
    dw_conn_deadline(conn, DW_AT_PROGRESS, PROGRESS_SECONDS);
}

static void check_progress(struct dw_conn *conn)
{
    if (passed(conn) - conn->passed >= PROGRESS_BYTES) {
        dw_conn_watch_progress(conn);
        return;
    }
    dw_conn_log(conn, DW_LOG_WARN, "stands still while others wait for memory, and is ended", "limit",
                "limits.memory");
    dw_conn_doom(conn, "stood still past limits.memory");
}

static void timer_fired(uv_timer_t *timer)
{
    struct dw_conn *conn = timer->data;
    uint64_t now = dw_worker_now(conn->worker);
    conn->armed = 0;
    dw_conn_enter(conn);
    if (conn->is_answered) {
        conn->is_answered = false;
        dw_admit_settle(conn);
        dw_conn_pump(conn, &conn->near);
    }
    if (is_due(conn, DW_AT_LINGER, now))
        dw_conn_doom(conn, "ended");
    if (is_due(conn, DW_AT_HOLD, now))
        dw_conn_doom(conn, "refused");
    if (is_due(conn, DW_AT_ASK, now))
        dw_admit_expire(conn);
    if (is_due(conn, DW_AT_HANDSHAKE, now) && conn->phase == DW_PHASE_HANDSHAKE)
        handshake_late(conn);
    if (is_due(conn, DW_AT_DIAL, now) && conn->phase == DW_PHASE_HANDSHAKE)
        dw_dial_due(conn);
    if (is_due(conn, DW_AT_PROGRESS, now) && conn->phase < DW_PHASE_DOOMED)
        check_progress(conn);
    for (int which = DW_AT_BACKEND; which <= DW_AT_FAREWELL; which++)
        if (is_due(conn, (enum dw_deadline)which, now) && conn->phase <= DW_PHASE_OPEN && conn->front->due)
            conn->front->due(conn, (enum dw_deadline)which);
    if (is_due(conn, DW_AT_EXPIRY, now) && conn->phase <= DW_PHASE_OPEN) {
        dw_conn_log(conn, DW_LOG_INFO, "ticket or decision expired", NULL, NULL);
        dw_conn_end(conn, "expired");
    }
    if (conn->phase == DW_PHASE_OPEN)
        check_silence(conn, &conn->near, now);
    if (conn->phase == DW_PHASE_OPEN)
        check_silence(conn, &conn->far, now);
    dw_conn_leave(conn);
}
