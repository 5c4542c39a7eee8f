/* The zmtp_out front: a plain local application comes in and is joined to a kerberized peer, towards which we are
 * the client.
 *
 *   connect and realm hooks -> dial, while a pool thread makes the context and its first token -> tokens, stepped
 *   off the loop -> the peer's READY -> ours to the application -> the application's READY -> ours to the peer ->
 *   traffic
 *
 * There is no principal to map here: who may come in is said by the socket's mode and by the hooks `connect` and
 * `realm`, which see the application's uid, gid and pid.  Without any policy nobody passes. */
#include "net/admit.h"
#include "net/broker.h"
#include "net/desk.h"
#include "net/dial.h"
#include "net/ready.h"
#include "net/zmtp_front.h"
#include "zmtp/command.h"

#include <stdlib.h>

/* One job in a pool thread: the context's first step, or a later one. */
struct job {
    struct dw_outbound_turn turn; /* first */
    uv_work_t work;
    struct dw_conn *conn;
    struct dw_outbound *outbound;
    struct dw_context *context; /* the machine's, or made by the first job */
    char *service, *realm;
    struct dw_buf token, reply;
    struct dw_error err;
    int progress;
};

static void free_job(struct job *job)
{
    free(job->service);
    free(job->realm);
    dw_buf_free(&job->token);
    dw_buf_free(&job->reply);
    free(job);
}

static void temporary(struct dw_conn *conn, const char *what, const char *why)
{
    dw_conn_log(conn, DW_LOG_ERROR, what, "why", why);
    dw_conn_doom(conn, "temporary");
}

static struct dw_zmtp_options options_of(struct dw_conn *conn, enum dw_zmtp_role role)
{
    return (struct dw_zmtp_options){
        .role = role,
        .plaintext = conn->listener->plaintext,
        .frame_bytes = conn->settings->config->limits.frame_bytes,
        .meter = dw_tally_meter(dw_broker_tally(conn->worker->broker)),
    };
}

/* -- the context, off the loop -------------------------------------------------------------------------- */

static void work(uv_work_t *request)
{
    struct job *job = request->data;
    if (job->outbound)
        job->progress =
            dw_outbound_begin(job->outbound, job->service, job->realm, &job->context, &job->reply, &job->err);
    else
        job->progress = dw_context_step(job->context, dw_buf_span(&job->token), &job->reply, &job->err);
}

static void deliver(struct dw_conn *conn, struct job *job)
{
    if (job->outbound && job->progress >= 0) {
        conn->first_token = job->reply;
        conn->first_progress = job->progress;
        conn->context = job->context;
        job->reply = (struct dw_buf){0};
        job->context = NULL;
        dw_outbound_go(conn);
    } else if (job->progress < 0) {
        temporary(conn, "no context with the peer", job->err.detail);
    } else {
        dw_zmtp_peer_stepped(conn->far.machine, job->progress, dw_buf_span(&job->reply), &job->err);
        dw_conn_pump(conn, &conn->far);
    }
}

static void worked(uv_work_t *request, int status);

/* The next whose client is still there. */
static void call_next(struct dw_outbound *outbound)
{
    struct job *job;
    while ((job = (struct job *)(void *)dw_outbound_leave(outbound))) {
        struct dw_conn *conn = job->conn;
        bool is_wanted = conn->phase == DW_PHASE_HANDSHAKE;
        if (is_wanted && uv_queue_work(&conn->worker->loop, &job->work, work, worked) == 0)
            return;
        conn->works--;
        dw_conn_enter(conn);
        if (is_wanted)
            dw_conn_doom(conn, "out of memory");
        free_job(job);
        dw_conn_leave(conn);
    }
}

static void worked(uv_work_t *request, int status)
{
    struct job *job = request->data;
    struct dw_conn *conn = job->conn;
    struct dw_outbound *outbound = job->outbound;
    conn->works--;
    dw_conn_enter(conn);
    if (status < 0)
        dw_conn_doom(conn, "cancelled");
    else if (conn->phase == DW_PHASE_HANDSHAKE)
        deliver(conn, job);
    if (outbound)
        dw_context_free(&job->context);
    free_job(job);
    /* Before the last connection's end may end the worker. */
    if (outbound)
        call_next(outbound);
    dw_conn_leave(conn);
}

static int start(struct dw_conn *conn, struct job *job)
{
    job->work.data = job;
    job->conn = conn;
    conn->works++;
    if (job->outbound && !dw_outbound_enter(job->outbound, &job->turn))
        return 0;
    if (uv_queue_work(&conn->worker->loop, &job->work, work, worked) == 0)
        return 0;
    conn->works--;
    if (job->outbound)
        call_next(job->outbound);
    return -1;
}

static void step(struct dw_conn *conn, struct dw_span token)
{
    struct job *job = calloc(1, sizeof *job);
    if (job && dw_buf_put(&job->token, token) == 0) {
        job->context = dw_zmtp_peer_stepping(conn->far.machine);
        if (start(conn, job) == 0)
            return;
    }
    if (job)
        free_job(job);
    dw_conn_doom(conn, "out of memory");
}

/* -- realm ---------------------------------------------------------------------------------------------- */

static void realm_decided(struct dw_conn *conn, struct dw_decision *d)
{
    const struct dw_listener_config *l = conn->listener;
    if (d->verdict != DW_ALLOW) {
        if (d->verdict == DW_DENY)
            dw_conn_refused(conn, "refused");
        else
            dw_conn_doom(conn, "temporary");
        return;
    }
    const char *service = d->service ? d->service : l->service, *realm = d->realm ? d->realm : l->realm;
    struct job *job = calloc(1, sizeof *job);
    if (job && (job->service = strdup(service)) && (!realm || (job->realm = strdup(realm))) &&
        (job->outbound = dw_desk_outbound(conn->worker->desk, l->ccache, l->keytab, l->principal)) &&
        (conn->backend = strdup(l->connect.text)) && (conn->decision = calloc(1, sizeof *conn->decision)) &&
        start(conn, job) == 0) {
        conn->decision->verdict = DW_ALLOW;
        dw_dial_start(conn, &l->connect);
        return;
    }
    if (job)
        free_job(job);
    dw_conn_doom(conn, "out of memory");
}

static int begin(struct dw_conn *conn, struct dw_error *err)
{
    struct dw_zmtp_options options = options_of(conn, DW_ZMTP_NULL);
    conn->near.machine = dw_zmtp_peer_new(&options);
    struct dw_question *q = conn->near.machine ? dw_admit_question(conn) : NULL;
    if (!q)
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    q->event.service = dw_span_str(conn->listener->service);
    if (!*dw_host_sha256(conn->worker->office->host)) {
        dw_admit_refuse(conn, DW_DENY, NULL, "there is no policy");
        dw_conn_refused(conn, "refused");
        return 0;
    }
    dw_admit_ask(conn, DW_STAGE_REALM, true, realm_decided);
    return 0;
}

/* -- joining -------------------------------------------------------------------------------------------- */

static int connected(struct dw_conn *conn)
{
    struct dw_zmtp_options options = options_of(conn, DW_ZMTP_INITIATOR);
    dw_machine_free(&conn->far.machine);
    conn->far.machine = dw_zmtp_peer_new(&options);
    return conn->far.machine ? 0 : -1;
}

/* The peer's greeting has been read and the first token is at hand, whichever came last. */
void dw_outbound_go(struct dw_conn *conn)
{
    if (!conn->context || !conn->step_wanted)
        return;
    struct dw_error none = {0};
    dw_zmtp_peer_initiate(conn->far.machine, conn->context);
    conn->context = NULL;
    dw_zmtp_peer_stepped(conn->far.machine, conn->first_progress, dw_buf_span(&conn->first_token), &none);
    dw_buf_free(&conn->first_token);
    dw_conn_pump(conn, &conn->far);
}

static void join(struct dw_conn *conn)
{
    struct dw_buf to_app = {0}, to_peer = {0};
    struct dw_span far = dw_buf_span(&conn->far_meta), near = dw_buf_span(&conn->near_meta);
    struct dw_span type = dw_properties_find(near, "Socket-Type"), identity = dw_properties_find(near, "Identity");
    if (dw_ready_for_client(far, &to_app) < 0 || dw_property_put(&to_peer, DW_SPAN_OF("Socket-Type"), type) < 0 ||
        (identity.len && dw_property_put(&to_peer, DW_SPAN_OF("Identity"), identity) < 0) ||
        dw_zmtp_peer_ready(conn->near.machine, dw_buf_span(&to_app)) < 0 ||
        dw_zmtp_peer_ready(conn->far.machine, dw_buf_span(&to_peer)) < 0)
        dw_conn_doom(conn, "out of memory");
    dw_buf_free(&to_app);
    dw_buf_free(&to_peer);
    if (conn->phase != DW_PHASE_HANDSHAKE)
        return;
    if (!dw_socket_types_match(type, dw_properties_find(far, "Socket-Type"))) {
        dw_conn_log(conn, DW_LOG_WARN, "the application's socket type does not talk to the peer's", "peer_is",
                    conn->backend);
        dw_conn_doom(conn, "incompatible socket type");
        return;
    }
    dw_conn_log(conn, DW_LOG_INFO, "joined", "backend", conn->backend);
    dw_conn_expire_at(conn, dw_context_expires(dw_zmtp_peer_context(conn->far.machine)));
    dw_admit_forget(conn);
    dw_conn_open(conn);
    dw_dial_free(conn);
    dw_buf_free(&conn->near_meta);
    dw_buf_free(&conn->far_meta);
}

static void effect(struct dw_conn *conn, struct dw_leg *leg, enum dw_act act, struct dw_effect *fx)
{
    if (act == DW_STEP && !dw_zmtp_peer_stepping(conn->far.machine)) {
        conn->step_wanted = true;
        dw_outbound_go(conn);
    } else if (act == DW_STEP) {
        step(conn, fx->token);
    } else if (act == DW_META) {
        bool is_far = leg == &conn->far;
        conn->far_ready = conn->far_ready || is_far;
        if (dw_buf_put(is_far ? &conn->far_meta : &conn->near_meta, fx->meta) < 0)
            dw_conn_doom(conn, "out of memory");
        else if (dw_buf_len(&conn->far_meta) && dw_buf_len(&conn->near_meta))
            join(conn);
    }
}

static void far_lost(struct dw_conn *conn, const struct dw_error *why)
{
    if (why) {
        dw_zmtp_front_far_failed(conn, why);
        return;
    }
    dw_conn_log(conn, DW_LOG_WARN, "the peer closed during the handshake", "awaiting",
                conn->far.machine ? dw_zmtp_peer_state(conn->far.machine) : "connect");
    dw_conn_doom(conn, "the peer closed during the handshake");
}

const struct dw_front_ops dw_front_outbound = {
    .front = DW_FRONT_ZMTP,
    .mechanism = "NULL",
    .handshake_bytes = DW_ZMTP_FRONT_BYTES,
    .begin = begin,
    .effect = effect,
    .connected = connected,
    .far_lost = far_lost,
    .opened = dw_zmtp_front_opened,
    .pass = dw_zmtp_front_pass,
    .state = dw_zmtp_front_state,
    .late = dw_zmtp_front_late,
    .likely = dw_zmtp_front_likely,
    .ttl = dw_zmtp_front_ttl,
};
