/* A connection's beginning: see conn.h. */
#define HASH_NONFATAL_OOM 1
#include "net/admit.h"
#include "net/broker.h"
#include "net/caller.h"
#include "net/conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void connect_decided(struct dw_conn *conn, struct dw_decision *d)
{
    struct dw_error err = {0};
    if (d->verdict == DW_DENY) {
        dw_conn_refused(conn, "refused");
    } else if (d->verdict == DW_TEMPORARY) {
        dw_conn_doom(conn, "temporary");
    } else if (conn->front->begin(conn, &err) < 0) {
        dw_conn_log(conn, DW_LOG_ERROR, "a connection cannot begin", "why", err.detail);
        dw_conn_doom(conn, "a connection cannot begin");
    }
}

static int name_peer(struct dw_conn *conn, int fd, struct dw_error *err)
{
    struct dw_caller caller;
    if (dw_caller_of(&caller, fd) < 0)
        return dw_error_set(err, DW_ERROR_CLOSED, "it has left already");
    conn->port = caller.port;
    conn->has_ids = caller.has_ids;
    conn->uid = caller.uid;
    conn->gid = caller.gid;
    conn->pid = caller.pid;
    conn->peer = strdup(caller.address);
    /* limits.per_peer counts the users of a unix socket apart. */
    if (caller.has_ids && asprintf(&conn->slot, "uid:%ld", caller.uid) < 0)
        conn->slot = NULL;
    return conn->peer && (conn->slot || !caller.has_ids) ? 0
                                                         : dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
}

void dw_conn_new(struct dw_worker *worker, const struct dw_listener_config *listener, int fd)
{
    struct dw_tally *tally = dw_broker_tally(worker->broker);
    struct dw_error err = {0};
    struct dw_conn *conn = calloc(1, sizeof *conn);
    bool entered = false;
    if (!conn)
        goto fail;
    conn->near.fd = conn->far.fd = -1;
    conn->worker = worker;
    conn->listener = listener;
    conn->number = ++worker->next_number;
    conn->born = dw_worker_now(worker);
    conn->front = listener->kind == DW_LISTEN_ZMTP   ? &dw_front_gateway
                  : listener->kind == DW_LISTEN_XMPP ? &dw_front_xmpp
                                                     : &dw_front_outbound;
    snprintf(conn->id, sizeof conn->id, "%08x.%d.%llx", dw_broker_salt(worker->broker), worker->index,
             (unsigned long long)conn->number);
    if (name_peer(conn, fd, &err) < 0)
        goto fail;
    if (!dw_caller_allowed(listener, fd)) {
        dw_error_set(&err, DW_ERROR_DENIED, "its address is not in allow_from");
        goto fail;
    }
    const struct dw_limits *limits = &worker->settings->config->limits;
    if (dw_tally_enter(tally, dw_conn_slot(conn), worker->settings->connections, limits->per_peer, &err) < 0)
        goto fail;
    entered = true;
    HASH_ADD(hh, worker->conns, number, sizeof conn->number, conn);
    if (!conn->hh.tbl)
        goto fail;
    if (dw_leg_open(&conn->near, conn, &worker->loop, fd) < 0) {
        HASH_DEL(worker->conns, conn);
        fd = -1;
        dw_error_set(&err, DW_ERROR_INTERNAL, "the loop does not take the socket");
        goto fail;
    }
    conn->settings = dw_settings_hold(worker->settings);
    uv_timer_init(&worker->loop, &conn->timer);
    conn->timer.data = conn;
    dw_tally_add(tally, DW_COUNT_ACCEPTED, 1);
    dw_conn_enter(conn);
    dw_conn_deadline(conn, DW_AT_HANDSHAKE, limits->handshake_seconds);
    dw_conn_log(conn, DW_LOG_DEBUG, "accepted", NULL, NULL);
    if (dw_host_has(worker->office->host, DW_STAGE_CONNECT))
        dw_admit_ask(conn, DW_STAGE_CONNECT, false, connect_decided);
    else
        connect_decided(conn, &(struct dw_decision){.verdict = DW_ALLOW});
    dw_conn_leave(conn);
    return;

fail:
    /* A flood of those that are over a limit is told of once a second. */
    if (err.kind == DW_ERROR_CLOSED)
        dw_log(DW_LOG_DEBUG, "connection not taken", "listener", listener->name, "why", err.detail, NULL);
    else
        dw_broker_complain(worker->broker, "connection not taken", listener->name, conn ? conn->peer : NULL,
                           err.kind ? err.detail : "out of memory");
    if (entered)
        dw_tally_leave(tally, dw_conn_slot(conn));
    if (fd >= 0)
        close(fd);
    if (conn) {
        free(conn->peer);
        free(conn->slot);
    }
    free(conn);
}
