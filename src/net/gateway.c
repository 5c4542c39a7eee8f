/* The zmtp front: a Kerberos client comes in, is decided on, and is joined to a plain backend.
 *
 *   first token -> realm hook -> credential -> context whole -> map and authorize -> dial -> the backend's READY
 *   -> our READY to the client -> the client's READY -> its identity claimed -> our READY to the backend -> traffic */
#include "net/admit.h"
#include "net/broker.h"
#include "net/desk.h"
#include "net/dial.h"
#include "net/ready.h"
#include "net/zmtp_front.h"
#include "zmtp/command.h"

#include <stdlib.h>

static int begin(struct dw_conn *conn, struct dw_error *err)
{
    const struct dw_listener_config *l = conn->listener;
    struct dw_zmtp_options options = {
        .role = DW_ZMTP_ACCEPTOR,
        .plaintext = l->plaintext,
        .error_on_deny = l->on_deny == DW_ON_DENY_ERROR,
        .frame_bytes = conn->settings->config->limits.frame_bytes,
        .meter = dw_tally_meter(dw_broker_tally(conn->worker->broker)),
    };
    conn->near.machine = dw_zmtp_peer_new(&options);
    return conn->near.machine ? 0 : dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
}

/* Lost before anything was decided, and no fault of the client's: it may try again. */
static void temporary(struct dw_conn *conn, const char *what, const char *why)
{
    dw_conn_log(conn, DW_LOG_ERROR, what, "why", why);
    dw_conn_doom(conn, "temporary");
}

/* -- realm ---------------------------------------------------------------------------------------------- */

static void realm_decided(struct dw_conn *conn, struct dw_decision *d)
{
    const struct dw_listener_config *l = conn->listener;
    struct dw_error err = {0};
    if (d->verdict == DW_DENY) {
        dw_zmtp_peer_refuse(conn->near.machine, DW_ERROR_DENIED, "refused by the policy");
        dw_conn_refused(conn, "refused");
        return;
    }
    if (d->verdict == DW_TEMPORARY) {
        dw_conn_doom(conn, "temporary");
        return;
    }
    const char *keytab = d->keytab ? d->keytab : l->keytab;
    if (!dw_config_names_keytab(conn->settings->config, keytab)) {
        temporary(conn, "the policy names a keytab that the configuration does not", keytab);
        return;
    }
    const struct dw_cred *cred = dw_desk_acceptor(conn->worker->desk, keytab, d->service ? d->service : l->service,
                                                  d->realm ? d->realm : l->realm, &err);
    if (cred)
        dw_zmtp_peer_credential(conn->near.machine, cred);
    else
        temporary(conn, "no credential to answer with", err.detail);
}

static void ask_realm(struct dw_conn *conn)
{
    if (!dw_host_has(conn->worker->office->host, DW_STAGE_REALM)) {
        realm_decided(conn, &(struct dw_decision){.verdict = DW_ALLOW});
        return;
    }
    struct dw_question *q = dw_admit_question(conn);
    if (!q || dw_request_format(dw_zmtp_peer_request(conn->near.machine), &q->service) < 0) {
        temporary(conn, "a question cannot be asked", "out of memory");
        return;
    }
    q->event.service = dw_buf_span(&q->service);
    dw_admit_ask(conn, DW_STAGE_REALM, false, realm_decided);
}

/* -- admission ------------------------------------------------------------------------------------------ */

static int keep_decision(struct dw_conn *conn, struct dw_decision *d)
{
    if (!conn->decision && !(conn->decision = calloc(1, sizeof *conn->decision)))
        return -1;
    *conn->decision = *d;
    *d = (struct dw_decision){.verdict = conn->decision->verdict};
    return 0;
}

static void refuse(struct dw_conn *conn)
{
    conn->decision->verdict = DW_DENY;
    dw_machine_answer(conn->near.machine, false);
    /* With on_deny = "error" the machine still waits for the client's empty command. */
    if (conn->listener->on_deny == DW_ON_DENY_CLOSE)
        dw_conn_refused(conn, "refused");
}

static int backend_of(struct dw_conn *conn, const struct dw_decision *d, struct dw_error *err)
{
    const char *text = d->backend ? d->backend : conn->listener->backend.text;
    if (d->backend && dw_address_parse(&conn->backend_address, d->backend, err) < 0)
        return -1;
    conn->backend = strdup(text);
    return conn->backend ? 0 : dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
}

static void admitted(struct dw_conn *conn)
{
    const struct dw_limits *limits = &conn->settings->config->limits;
    struct dw_decision *d = conn->decision;
    struct dw_error err = {0};
    conn->user = strdup(d->user);
    if (!conn->user) {
        temporary(conn, "an admitted client cannot be joined", "out of memory");
        return;
    }
    if (dw_tally_enter_user(dw_broker_tally(conn->worker->broker), d->user, limits->per_user, &err) < 0) {
        dw_admit_refuse(conn, DW_TEMPORARY, "limits.per_user", err.detail);
        dw_conn_doom(conn, "temporary");
        return;
    }
    conn->user_counted = true;
    if (backend_of(conn, d, &err) < 0) {
        temporary(conn, "the policy names a backend that is no address", err.detail);
        return;
    }
    dw_machine_answer(conn->near.machine, true);
    dw_conn_log(conn, DW_LOG_INFO, "admitted", "backend", conn->backend);
    dw_dial_start(conn, d->backend ? &conn->backend_address : &conn->listener->backend);
}

static void admission_decided(struct dw_conn *conn, struct dw_decision *d)
{
    if (d->verdict == DW_TEMPORARY) {
        dw_conn_doom(conn, "temporary");
    } else if (keep_decision(conn, d) < 0) {
        temporary(conn, "a decision cannot be kept", "out of memory");
    } else if (conn->decision->verdict == DW_DENY) {
        refuse(conn);
    } else {
        admitted(conn);
    }
}

static void ask_admission(struct dw_conn *conn)
{
    const struct dw_context *context = dw_zmtp_peer_context(conn->near.machine);
    struct dw_question *q = dw_admit_question(conn);
    const char *name = dw_context_peer(context), *target = dw_context_target(context);
    if (!q || !name || !(conn->principal = strdup(name))) {
        temporary(conn, "a question cannot be asked", "out of memory");
        return;
    }
    q->event.principal = dw_span_str(conn->principal);
    dw_buf_clear(&q->service, 4096);
    if (target && dw_buf_put(&q->service, dw_span_str(target)) == 0)
        q->event.service = dw_buf_span(&q->service);
    dw_context_describe(context, &q->event);
    q->event.gss.confidential = q->event.gss.confidential && !conn->listener->plaintext;
    conn->ticket_ends = dw_context_expires(context);
    if (dw_context_is_anonymous(context) && !conn->listener->allow_anonymous) {
        dw_admit_refuse(conn, DW_DENY, "anonymous",
                        "anonymous principals are refused (allow_anonymous is not set)");
        struct dw_decision denied = {0};
        if (keep_decision(conn, &denied) < 0)
            dw_conn_doom(conn, "refused");
        else
            refuse(conn);
        return;
    }
    dw_admit_ask(conn, DW_STAGE_MAP, true, admission_decided);
}

/* -- joining -------------------------------------------------------------------------------------------- */

static int connected(struct dw_conn *conn)
{
    struct dw_zmtp_options options = {
        .role = DW_ZMTP_NULL,
        .frame_bytes = conn->settings->config->limits.frame_bytes,
        .meter = dw_tally_meter(dw_broker_tally(conn->worker->broker)),
    };
    dw_machine_free(&conn->far.machine);
    conn->far.machine = dw_zmtp_peer_new(&options);
    return conn->far.machine ? 0 : -1;
}

/* The backend has said what it is: now the client may be told so. */
static void backend_ready(struct dw_conn *conn, struct dw_span meta)
{
    struct dw_buf ours = {0};
    int rc = 0;
    if (conn->far_ready) {
        /* It was lost and dialled again after the client had been told: it may not have become another. */
        struct dw_span was = dw_properties_find(dw_buf_span(&conn->far_meta), "Socket-Type");
        if (!dw_span_equal(was, dw_properties_find(meta, "Socket-Type"))) {
            temporary(conn, "the backend has changed its socket type", conn->backend);
            return;
        }
    } else {
        rc = dw_ready_for_client(meta, &ours) < 0 || dw_buf_put(&conn->far_meta, meta) < 0 ||
             dw_zmtp_peer_ready(conn->near.machine, dw_buf_span(&ours)) < 0;
    }
    dw_buf_free(&ours);
    conn->far_ready = true;
    conn->far_present = true;
    if (rc)
        temporary(conn, "an admitted client cannot be joined", "out of memory");
    else if (dw_buf_len(&conn->near_meta) > 0 && !conn->is_waiting)
        dw_gateway_join(conn);
}

/* Identity, socket type: what the decision says of them is held here, after the fact. */
static void client_ready(struct dw_conn *conn, struct dw_span meta)
{
    struct dw_span type = dw_properties_find(meta, "Socket-Type");
    struct dw_span backend_type = dw_properties_find(dw_buf_span(&conn->far_meta), "Socket-Type");
    char words[128];
    if (!dw_socket_types_match(type, backend_type)) {
        snprintf(words, sizeof words, "%.*s does not talk to the backend's %.*s", (int)type.len,
                 (const char *)type.at, (int)backend_type.len, (const char *)backend_type.at);
        dw_conn_log(conn, DW_LOG_WARN, "incompatible socket type", "why", words);
        dw_conn_refused(conn, "incompatible socket type");
        return;
    }
    if (!dw_ready_type_allowed(conn->decision, type)) {
        snprintf(words, sizeof words, "socket type %.*s is not among those that the decision allows", (int)type.len,
                 (const char *)type.at);
        dw_admit_refuse(conn, DW_DENY, "sockets", words);
        dw_conn_refused(conn, "refused");
        return;
    }
    if (dw_buf_put(&conn->near_meta, meta) < 0)
        temporary(conn, "an admitted client cannot be joined", "out of memory");
    else if (dw_gateway_claim(conn) && conn->far_present)
        dw_gateway_join(conn);
}

static void effect(struct dw_conn *conn, struct dw_leg *leg, enum dw_act act, struct dw_effect *fx)
{
    if (act == DW_ASK_REALM)
        ask_realm(conn);
    else if (act == DW_ASK_ADMIT)
        ask_admission(conn);
    else if (act == DW_META && leg == &conn->far)
        backend_ready(conn, fx->meta);
    else if (act == DW_META)
        client_ready(conn, fx->meta);
}

static void far_lost(struct dw_conn *conn, const struct dw_error *why)
{
    if (why)
        dw_zmtp_front_far_failed(conn, why);
    else
        dw_dial_retry(conn, "closed during the handshake");
}

const struct dw_front_ops dw_front_gateway = {
    .front = DW_FRONT_ZMTP,
    .mechanism = "GSSAPI",
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
