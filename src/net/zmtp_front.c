/* What the two ZMTP fronts have in common: see zmtp_front.h. */
#include "net/zmtp_front.h"

#include "net/broker.h"

void dw_zmtp_front_opened(struct dw_conn *conn)
{
    dw_zmtp_peer_open(conn->near.machine);
    dw_zmtp_peer_open(conn->far.machine);
}

/* PING for a side that knows no commands is answered here; all else goes across. */
int dw_zmtp_front_pass(struct dw_conn *conn, struct dw_leg *from, struct dw_frame frame, struct dw_error *err)
{
    struct dw_leg *to = dw_conn_other(conn, from);
    if ((frame.flags & DW_FRAME_COMMAND) && !dw_zmtp_peer_has_commands(to->machine)) {
        /* One that does not read what it is sent hears no PONG more: its PINGs must not fill our memory. */
        if (frame.body.at[2] != 'I' || dw_leg_waiting(from) >= DW_LEG_HIGH)
            return 0;
        uint8_t pong[32] = "\4PONG";
        size_t context = frame.body.len - 7;
        memcpy(pong + 5, frame.body.at + 7, context);
        return dw_machine_push(from->machine, (struct dw_frame){DW_FRAME_COMMAND, dw_span_make(pong, 5 + context)},
                               err);
    }
    return dw_machine_push(to->machine, frame, err);
}

const char *dw_zmtp_front_state(const struct dw_conn *conn, const struct dw_leg *leg)
{
    (void)conn;
    return dw_zmtp_peer_state(leg->machine);
}

const char *dw_zmtp_front_likely(const struct dw_conn *conn)
{
    /* It was told what the backend is, and did not answer. */
    bool is_told =
        conn->near.machine && conn->far_ready && strcmp(dw_zmtp_peer_state(conn->near.machine), "ready") == 0;
    return is_told ? "its socket type does not fit the backend's, or one side has protection and the other "
                     "ZMQ_GSSAPI_PLAINTEXT"
                   : NULL;
}

unsigned dw_zmtp_front_ttl(const struct dw_leg *leg)
{
    return dw_zmtp_peer_ttl(leg->machine);
}

void dw_zmtp_front_late(struct dw_conn *conn)
{
    if (conn->decision && conn->decision->verdict == DW_ALLOW)
        dw_conn_log(conn, DW_LOG_WARN, "handshake out of time",
                    conn->far_ready ? "awaiting" : "backend_unreachable",
                    conn->far_ready ? dw_zmtp_peer_state(conn->near.machine) : conn->backend);
    else if (conn->near.machine && dw_zmtp_peer_is_silent(conn->near.machine))
        dw_conn_log(conn, DW_LOG_WARN, "client greeted and then stayed silent: most likely it has no ticket",
                    "service", conn->listener->service);
    else
        dw_conn_log(conn, DW_LOG_WARN, "handshake out of time", "awaiting",
                    conn->near.machine ? dw_zmtp_peer_state(conn->near.machine) : "connect");
}

void dw_zmtp_front_far_failed(struct dw_conn *conn, const struct dw_error *why)
{
    dw_tally_add(dw_broker_tally(conn->worker->broker), DW_COUNT_BACKEND_FAILED, 1);
    dw_conn_log(conn, DW_LOG_ERROR, "the far side failed the handshake", "why", why->detail);
    dw_conn_doom(conn, "the far side failed the handshake");
}
