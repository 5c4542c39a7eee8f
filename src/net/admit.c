/* The questions of a connection: see admit.h. */
#include "net/admit.h"

#include "net/broker.h"
#include "net/record.h"

#include <stdlib.h>
#include <time.h>

static long long clock_now(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void fill(const struct dw_conn *conn, struct dw_event *event)
{
    event->id = conn->id;
    event->time = clock_now(CLOCK_REALTIME);
    event->front = conn->front->front;
    event->mechanism = conn->front->mechanism;
    event->listener = conn->listener->name;
    event->peer.address = conn->peer;
    event->peer.port = conn->port;
    event->peer.has_ids = conn->has_ids;
    event->peer.uid = conn->uid;
    event->peer.gid = conn->gid;
    event->peer.pid = conn->pid;
    event->principal = dw_span_str(conn->principal);
    event->user = dw_span_str(conn->user);
    if (conn->front->describe)
        conn->front->describe(conn, event);
}

struct dw_question *dw_admit_question(struct dw_conn *conn)
{
    if (!conn->question)
        conn->question = calloc(1, sizeof *conn->question);
    if (conn->question)
        fill(conn, &conn->question->event);
    return conn->question;
}

void dw_admit_record(struct dw_broker *broker, struct dw_journal *journal, const struct dw_event *event,
                     struct dw_decision *d)
{
    dw_record_decision(dw_broker_tally(broker), dw_broker_shadow(broker), journal, event, d);
}

static void journal(struct dw_conn *conn, const struct dw_event *event, struct dw_decision *d)
{
    dw_admit_record(conn->worker->broker, conn->settings->journal, event, d);
}

void dw_admit_settle(struct dw_conn *conn)
{
    if (conn->past_office)
        dw_office_leave(conn->past_office);
    conn->past_office = NULL;
}

static void answered(void *arg, const struct dw_decision *decision)
{
    struct dw_conn *conn = arg;
    struct dw_question *q = conn->question;
    struct dw_office *office = q->office;
    bool is_later = q->is_waiting;
    /* The callee may change what it is given, and so may we: it is cleared right after. */
    struct dw_decision *d = (struct dw_decision *)(uintptr_t)decision;
    q->ask = NULL;
    q->office = NULL;
    q->is_waiting = false;
    if (is_later)
        dw_conn_enter(conn);
    dw_conn_no_deadline(conn, DW_AT_ASK);
    d->took_us = (uint64_t)clock_now(CLOCK_MONOTONIC) - q->started;
    if (d->verdict == DW_ALLOW && q->is_verdict && conn->front->hold)
        conn->front->hold(conn, d);
    if (d->verdict != DW_ALLOW || q->is_verdict)
        journal(conn, &q->event, d);
    q->then(conn, d);
    if (!is_later) {
        dw_office_leave(office);
        return;
    }
    /* Who told us the answer is not done with event and host: we go on from the loop. */
    dw_admit_settle(conn);
    conn->past_office = office;
    dw_conn_leave_soon(conn);
}

static void fail(struct dw_conn *conn, dw_admit_then then, const char *why)
{
    struct dw_decision d = {.verdict = DW_TEMPORARY};
    dw_conn_log(conn, DW_LOG_ERROR, "a question cannot be asked", "why", why);
    then(conn, &d);
    dw_decision_clear(&d);
}

void dw_admit_ask(struct dw_conn *conn, enum dw_stage stage, bool is_verdict, dw_admit_then then)
{
    struct dw_question *q = dw_admit_question(conn);
    if (!q) {
        fail(conn, then, "out of memory");
        return;
    }
    q->event.stage = stage;
    q->started = (uint64_t)clock_now(CLOCK_MONOTONIC);
    q->then = then;
    q->is_verdict = is_verdict;
    q->office = conn->worker->office;
    dw_office_enter(q->office);
    struct dw_ask *ask = dw_ask_start(q->office->host, &q->event, stage, answered, conn);
    if (!ask)
        return;
    q->is_waiting = true;
    q->ask = ask;
    dw_conn_deadline(conn, DW_AT_ASK, conn->settings->config->limits.decision_seconds);
}

void dw_admit_refuse(struct dw_conn *conn, enum dw_verdict verdict, const char *rule, const char *reason)
{
    struct dw_question *q = dw_admit_question(conn);
    struct dw_decision d = {0};
    dw_decision_refuse(&d, verdict, "%s", reason);
    dw_decision_set(&d.rule, rule);
    if (conn->user)
        dw_decision_set(&d.user, conn->user);
    if (q) {
        q->event.stage = DW_STAGE_AUTHORIZE;
        journal(conn, &q->event, &d);
    }
    dw_decision_clear(&d);
}

void dw_admit_cancel(struct dw_conn *conn)
{
    struct dw_question *q = conn->question;
    if (!q || !q->ask)
        return;
    dw_ask_cancel(&q->ask);
    dw_office_leave(q->office);
    q->office = NULL;
    q->is_waiting = false;
}

void dw_admit_forget(struct dw_conn *conn)
{
    struct dw_question *q = conn->question;
    dw_admit_settle(conn);
    dw_admit_cancel(conn);
    if (!q)
        return;
    dw_buf_free(&q->service);
    free(q);
    conn->question = NULL;
}

void dw_admit_expire(struct dw_conn *conn)
{
    if (conn->question && conn->question->ask)
        dw_ask_expire(&conn->question->ask);
}

static void closed(void *arg, const struct dw_decision *decision)
{
    (void)arg, (void)decision;
}

void dw_admit_closed(struct dw_conn *conn)
{
    struct dw_office *office = conn->worker->office;
    if (!conn->principal || !office || !dw_host_has(office->host, DW_STAGE_CLOSE))
        return;
    struct dw_event event = {.stage = DW_STAGE_CLOSE};
    fill(conn, &event);
    event.closed.present = true;
    event.closed.reason = conn->reason ? conn->reason : "ended";
    event.closed.seconds = (double)(dw_worker_now(conn->worker) - conn->born) / 1000;
    event.closed.bytes_in = conn->near.bytes_in;
    event.closed.bytes_out = conn->near.bytes_out;
    struct dw_ask *ask = dw_ask_start(office->host, &event, DW_STAGE_CLOSE, closed, NULL);
    dw_ask_cancel(&ask);
}
