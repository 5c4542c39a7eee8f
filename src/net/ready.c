/* READYs of our own, identity and the joining: see ready.h. */
#include "net/ready.h"

#include "base/text.h"
#include "net/admit.h"
#include "net/broker.h"
#include "net/dial.h"
#include "zmtp/command.h"
#include "zmtp/peer.h"

#include <stdlib.h>

static bool is_named(struct dw_span name, const char *word)
{
    return dw_span_equal_nocase(name, dw_span_str(word));
}

int dw_ready_for_client(struct dw_span backend_meta, struct dw_buf *out)
{
    struct dw_properties walk = dw_properties_make(backend_meta);
    for (struct dw_pair p; dw_properties_next(&walk, &p);) {
        bool passes = is_named(p.name, "Socket-Type") || is_named(p.name, "Identity") ||
                      (p.name.len > 2 && (p.name.at[0] | 0x20) == 'x' && p.name.at[1] == '-');
        if (passes && dw_property_put(out, p.name, p.value) < 0)
            return -1;
    }
    return 0;
}

static bool is_ours(const struct dw_decision *d, struct dw_span name)
{
    if (is_named(name, "User-Id") || is_named(name, "X-Peer-Address") || is_named(name, "Socket-Type") ||
        is_named(name, "Identity") || is_named(name, "Peer-Address"))
        return true;
    for (size_t i = 0; i < d->property_count; i++)
        if (is_named(name, d->properties[i].name))
            return true;
    return false;
}

static bool is_forwarded(const struct dw_listener_config *l, struct dw_span name)
{
    for (char **word = l->forward; word && *word; word++)
        if (is_named(name, *word))
            return true;
    return false;
}

int dw_ready_for_backend(const struct dw_conn *conn, struct dw_span client_meta, struct dw_buf *out)
{
    const struct dw_decision *d = conn->decision;
    struct dw_span type = dw_properties_find(client_meta, "Socket-Type");
    if (dw_property_put(out, DW_SPAN_OF("Socket-Type"), type) < 0 ||
        (conn->identity.len && dw_property_put(out, DW_SPAN_OF("Identity"), conn->identity) < 0) ||
        dw_property_put(out, DW_SPAN_OF("User-Id"), dw_span_str(conn->user)) < 0 ||
        dw_property_put(out, DW_SPAN_OF("X-Peer-Address"), dw_span_str(conn->peer)) < 0)
        return -1;
    for (size_t i = 0; i < d->property_count; i++) {
        struct dw_span name = dw_span_str(d->properties[i].name);
        struct dw_span value = dw_span_make(d->properties[i].value, d->properties[i].value_len);
        if (dw_property_put(out, name, value) < 0)
            return -1;
    }
    struct dw_properties walk = dw_properties_make(client_meta);
    for (struct dw_pair p; dw_properties_next(&walk, &p);)
        if (is_forwarded(conn->listener, p.name) && !is_ours(d, p.name) &&
            dw_property_put(out, p.name, p.value) < 0)
            return -1;
    return 0;
}

bool dw_ready_type_allowed(const struct dw_decision *d, struct dw_span type)
{
    for (size_t i = 0; i < d->socket_count; i++)
        if (is_named(type, d->sockets[i]))
            return true;
    return d->socket_count == 0;
}

static void refuse(struct dw_conn *conn, const char *rule, const char *reason)
{
    dw_tally_add(dw_broker_tally(conn->worker->broker), DW_COUNT_IDENTITY_REFUSED, 1);
    dw_admit_refuse(conn, DW_DENY, rule, reason);
    dw_conn_refused(conn, "refused");
}

/* By the listener's word and the decision's; absent when the client goes on without one. */
static int choose_identity(struct dw_conn *conn, struct dw_span *chosen)
{
    const struct dw_decision *d = conn->decision;
    struct dw_span own = dw_properties_find(dw_buf_span(&conn->near_meta), "Identity");
    *chosen = DW_SPAN_NONE;
    if (d->identity) {
        if (own.len && !dw_span_equal(own, dw_span_str(d->identity))) {
            refuse(conn, "identity", "the client's identity is not the one that the decision holds it to");
            return -1;
        }
        *chosen = dw_span_str(d->identity);
    } else if (conn->listener->identity == DW_IDENTITY_USER) {
        *chosen = dw_span_str(conn->user);
    } else if (conn->listener->identity == DW_IDENTITY_KEEP && own.len) {
        *chosen = own;
    }
    /* libzmq makes names of its own that begin with a zero octet. */
    if (chosen->len && (chosen->at[0] == 0 || chosen->len > 255)) {
        refuse(conn, "identity", "an identity that begins with a zero octet, or is longer than 255");
        return -1;
    }
    return 0;
}

bool dw_gateway_claim(struct dw_conn *conn)
{
    struct dw_span chosen;
    if (choose_identity(conn, &chosen) < 0)
        return false;
    if (!chosen.len)
        return true;
    conn->identity = dw_span_make(dw_text_dup(chosen), chosen.len);
    enum dw_claim claim = DW_CLAIM_FAILED;
    if (conn->identity.at)
        claim = dw_identity_claim(dw_broker_identities(conn->worker->broker),
                                  (struct dw_holder){conn->worker, conn->number}, conn->backend, conn->identity,
                                  conn->user);
    conn->claimed = claim == DW_CLAIM_GRANTED || claim == DW_CLAIM_WAIT;
    if (claim == DW_CLAIM_REFUSED)
        refuse(conn, "identity", "another user's live connection has this identity");
    if (claim == DW_CLAIM_FAILED)
        dw_conn_doom(conn, "out of memory");
    conn->is_waiting = claim == DW_CLAIM_WAIT;
    if (conn->is_waiting)
        dw_conn_log(conn, DW_LOG_INFO, "waits until the backend has let go of the identity", NULL, NULL);
    return claim == DW_CLAIM_GRANTED;
}

void dw_gateway_join(struct dw_conn *conn)
{
    struct dw_buf ours = {0};
    struct dw_decision *d = conn->decision;
    int rc = dw_ready_for_backend(conn, dw_buf_span(&conn->near_meta), &ours);
    if (rc == 0)
        rc = dw_zmtp_peer_ready(conn->far.machine, dw_buf_span(&ours));
    dw_buf_free(&ours);
    if (rc < 0) {
        dw_conn_doom(conn, "out of memory");
        return;
    }
    dw_conn_expire_at(conn, d->expires > 0 ? d->expires : conn->ticket_ends);
    /* What the handshake needed is not kept for the life of the connection. */
    dw_admit_forget(conn);
    dw_conn_open(conn);
    dw_dial_free(conn);
    dw_buf_free(&conn->near_meta);
    dw_buf_free(&conn->far_meta);
    dw_address_clear(&conn->backend_address);
    dw_decision_clear(d);
    d->verdict = DW_ALLOW;
}

void dw_conn_granted(struct dw_conn *conn)
{
    dw_conn_enter(conn);
    if (conn->phase == DW_PHASE_HANDSHAKE && conn->is_waiting) {
        conn->is_waiting = false;
        if (conn->far_present)
            dw_gateway_join(conn);
        dw_conn_pump(conn, &conn->near);
        dw_conn_pump(conn, &conn->far);
    }
    dw_conn_leave(conn);
}
