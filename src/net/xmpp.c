/* The xmpp front: see xmpp.h. */
#include "net/xmpp.h"

#include "auth/authzid.h"
#include "base/text.h"
#include "net/admit.h"
#include "net/broker.h"
#include "net/dial.h"
#include "net/xmpp_jid.h"
#include "xmpp/login.h"

#include <stdio.h>
#include <stdlib.h>

/* A machine that holds more octets than one stanza may have before a login is not fed. */
#define HANDSHAKE_BYTES (128 * 1024)
/* Of traffic no more waits than DW_LEG_HIGH and what one turn reads. */
#define UNSENT_BYTES (4 * DW_LEG_HIGH)
/* How long the end of a stanza is waited for, for a stream error behind it. */
#define FAREWELL_SECONDS 5

static int begin(struct dw_conn *conn, struct dw_error *err)
{
    const struct dw_xmpp_entrance *entrance = dw_xmpp_means_of(conn->settings->xmpp, conn->listener);
    struct dw_xmpp_own *own = entrance ? calloc(1, sizeof *own) : NULL;
    if (!own)
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    conn->own = own;
    own->entrance = entrance;
    struct dw_xmpp_client_options options = {
        .domains = entrance->domains,
        .tls = entrance->tls,
        .direct_tls = conn->listener->direct_tls,
        .meter = dw_tally_meter(dw_broker_tally(conn->worker->broker)),
    };
    conn->near.machine = dw_xmpp_client_new(&options);
    return conn->near.machine ? 0 : dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
}

static void forget(struct dw_conn *conn)
{
    struct dw_xmpp_own *own = conn->own;
    conn->own = NULL;
    dw_tls_pair_free(&own->pair);
    dw_xmpp_offer_forget(own);
    free(own->hostname);
    free(own->authzid);
    free(own->jid);
    free(own);
}

static void describe(const struct dw_conn *conn, struct dw_event *event)
{
    const struct dw_xmpp_own *own = conn->own;
    event->mechanism = own && *own->mechanism ? own->mechanism : NULL;
    if (!own || !own->domain)
        return;
    event->domain = dw_span_str(own->domain->domain);
    event->hostname = own->hostname ? own->hostname : own->domain->hostname;
    event->authzid = dw_span_str(own->authzid);
    event->tls.version = own->tls_version;
    event->tls.cipher = own->tls_cipher;
}

/* -- ends ----------------------------------------------------------------------------------------------- */

void dw_xmpp_end(struct dw_conn *conn, const char *condition, const char *text, const char *reason)
{
    struct dw_xmpp_own *own = conn->own;
    if (!conn->reason)
        conn->reason = reason;
    own->is_parting = true;
    dw_xmpp_client_end(conn->near.machine, condition, text);
    /* Also when it has been said: while the server does not take what the client sent before, nobody looks at the machine. */
    dw_conn_deadline(conn, DW_AT_FAREWELL, FAREWELL_SECONDS);
}

/* The client's machine is over before there was traffic; its last words still go out. */
static void near_lost(struct dw_conn *conn, const struct dw_error *why)
{
    if (!conn->reason) {
        dw_tally_add(dw_broker_tally(conn->worker->broker), DW_COUNT_HANDSHAKE_LOST, !conn->decision);
        dw_conn_log(conn, why->kind == DW_ERROR_CLOSED ? DW_LOG_INFO : DW_LOG_WARN, "handshake failed", "why",
                    why->detail);
    }
    dw_conn_part(conn, "handshake failed");
}

static bool farewell(struct dw_conn *conn, enum dw_parting why)
{
    static const struct {
        const char *condition, *text, *reason;
    } words[] = {
        /* RFC 6120 section 4.9.3.16: what has secured the stream has expired. */
        [DW_PARTING_EXPIRED] = {"reset", "the ticket, or what it was admitted for, has expired", "expired"},
        [DW_PARTING_DRAIN] = {"system-shutdown", NULL, "the broker is ending"},
        [DW_PARTING_FAR_LOST] = {"internal-server-error", "the server behind is gone", "backend closed"},
    };
    struct dw_xmpp_own *own = conn->own;
    if (!own || !conn->near.machine || conn->near.broken || own->is_cut)
        return false;
    if (own->is_parting)
        return true;
    dw_xmpp_end(conn, words[why].condition, words[why].text, words[why].reason);
    /* What comes from a server that is gone ends no stanza any more. */
    if (why != DW_PARTING_FAR_LOST)
        dw_conn_pump(conn, &conn->near);
    return true;
}

/* It has been waited long enough. */
static void cut(struct dw_conn *conn)
{
    conn->own->is_cut = true;
    if (conn->phase == DW_PHASE_OPEN)
        dw_conn_end(conn, conn->reason);
    else
        dw_conn_part(conn, conn->reason);
}

static void idle(struct dw_conn *conn)
{
    uint64_t heard = conn->near.heard > conn->far.heard ? conn->near.heard : conn->far.heard;
    uint64_t silent = dw_worker_now(conn->worker) - heard;
    double left = conn->listener->idle_seconds - (double)silent / 1000;
    if (left > 0) {
        dw_conn_deadline(conn, DW_AT_IDLE, left);
        return;
    }
    dw_conn_log(conn, DW_LOG_INFO, "nothing has moved for idle_seconds", NULL, NULL);
    dw_xmpp_end(conn, "connection-timeout", "nothing has moved for too long", "idle");
    dw_conn_pump(conn, &conn->near);
}

static void due(struct dw_conn *conn, enum dw_deadline which)
{
    if (which == DW_AT_BACKEND)
        dw_xmpp_backend_late(conn);
    else if (which == DW_AT_FAREWELL)
        cut(conn);
    else if (which == DW_AT_IDLE && conn->phase == DW_PHASE_OPEN && !conn->own->is_parting)
        idle(conn);
}

/* -- attempts ------------------------------------------------------------------------------------------- */

/* What an attempt has taken is given back: the next begins as the first. */
static void give_back(struct dw_conn *conn)
{
    struct dw_xmpp_own *own = conn->own;
    dw_xmpp_backend_drop(conn);
    if (conn->user_counted)
        dw_tally_leave_user(dw_broker_tally(conn->worker->broker), conn->user);
    conn->user_counted = false;
    free(conn->user);
    conn->user = NULL;
    free(own->jid);
    own->jid = NULL;
}

static void refuse(struct dw_conn *conn, enum dw_verdict verdict, enum dw_xmpp_refusal how)
{
    if (!conn->decision)
        conn->decision = calloc(1, sizeof *conn->decision);
    if (conn->decision) {
        dw_decision_clear(conn->decision);
        conn->decision->verdict = verdict;
    }
    give_back(conn);
    dw_xmpp_client_refuse(conn->near.machine, how);
    const struct dw_error *last;
    conn->own->failures = dw_xmpp_client_failures(conn->near.machine, &last);
}

/* What the machine has refused by itself: a bad ticket, a mechanism that was not offered, an exchange given up. */
static void looked(struct dw_conn *conn)
{
    const struct dw_error *last;
    unsigned failures = dw_xmpp_client_failures(conn->near.machine, &last);
    if (failures > conn->own->failures && last) {
        conn->own->failures = failures;
        dw_conn_log(conn, DW_LOG_WARN, last->kind == DW_ERROR_DENIED ? "ticket refused" : "login attempt failed",
                    "why", last->detail);
    }
}

void dw_xmpp_temporary(struct dw_conn *conn, const char *what, const char *why)
{
    dw_conn_log(conn, DW_LOG_ERROR, what, "why", why);
    refuse(conn, DW_TEMPORARY, DW_XMPP_TEMPORARY);
    dw_conn_pump(conn, &conn->near);
}

static int keep_decision(struct dw_conn *conn, struct dw_decision *d)
{
    if (!conn->decision && !(conn->decision = calloc(1, sizeof *conn->decision)))
        return -1;
    dw_decision_clear(conn->decision);
    *conn->decision = *d;
    *d = (struct dw_decision){.verdict = conn->decision->verdict};
    return 0;
}

static int backend_of(struct dw_conn *conn, const struct dw_decision *d, struct dw_error *err)
{
    const char *text = d->backend ? d->backend : conn->own->domain->backend.connect.text;
    if (d->backend && dw_address_parse(&conn->backend_address, d->backend, err) < 0)
        return -1;
    if (d->backend && conn->own->domain->backend.is_clear && !dw_address_is_local(&conn->backend_address))
        return dw_error_set(err, DW_ERROR_INTERNAL, "%s is on another machine, but the backend has tls = \"none\"",
                            d->backend);
    conn->backend = strdup(text);
    return conn->backend ? 0 : dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
}

static void admitted(struct dw_conn *conn)
{
    struct dw_decision *d = conn->decision;
    struct dw_error err = {0};
    if (!(conn->user = strdup(d->user))) {
        dw_xmpp_temporary(conn, "an admitted client cannot be joined", "out of memory");
        return;
    }
    if (dw_tally_enter_user(dw_broker_tally(conn->worker->broker), d->user, conn->settings->config->limits.per_user,
                            &err) < 0) {
        dw_admit_refuse(conn, DW_TEMPORARY, "limits.per_user", err.detail);
        refuse(conn, DW_TEMPORARY, DW_XMPP_TEMPORARY);
        return;
    }
    conn->user_counted = true;
    if (backend_of(conn, d, &err) < 0) {
        dw_xmpp_temporary(conn, "the policy names a backend that cannot be used", err.detail);
        return;
    }
    dw_machine_answer(conn->near.machine, true);
    dw_conn_log(conn, DW_LOG_INFO, "admitted", "jid", conn->own->jid);
    dw_xmpp_backend_start(conn);
}

static void admission_decided(struct dw_conn *conn, struct dw_decision *d)
{
    bool foreign = dw_authzid_is_refused(d, &conn->question->event);
    if (d->verdict == DW_TEMPORARY)
        refuse(conn, DW_TEMPORARY, DW_XMPP_TEMPORARY);
    else if (d->verdict == DW_DENY)
        refuse(conn, DW_DENY, foreign ? DW_XMPP_INVALID_AUTHZID : DW_XMPP_NOT_AUTHORIZED);
    else if (keep_decision(conn, d) < 0)
        dw_xmpp_temporary(conn, "a decision cannot be kept", "out of memory");
    else
        admitted(conn);
}

/* Whom it is for at the server: part of the decision, so that one line of the journal tells all. */
static void hold(struct dw_conn *conn, struct dw_decision *d)
{
    struct dw_xmpp_own *own = conn->own;
    free(own->jid);
    own->jid = dw_xmpp_jid_decide(d, own->domain->domain, conn->settings->config->refuse_users);
}

/* -- questions ------------------------------------------------------------------------------------------ */

static void ask_admission(struct dw_conn *conn)
{
    struct dw_xmpp_own *own = conn->own;
    const struct dw_sasl *sasl = dw_xmpp_client_sasl(conn->near.machine);
    const struct dw_context *context = dw_sasl_context(sasl);
    const char *name = dw_context_peer(context), *target = dw_context_target(context);
    struct dw_span authzid = dw_sasl_authzid(sasl);
    give_back(conn);
    free(conn->principal);
    free(own->authzid);
    own->attempts++;
    snprintf(own->mechanism, sizeof own->mechanism, "%s", dw_xmpp_client_mechanism(conn->near.machine));
    conn->principal = name ? strdup(name) : NULL;
    own->authzid = authzid.len ? dw_text_dup(authzid) : NULL;
    struct dw_question *q = dw_admit_question(conn);
    if (!q || !conn->principal || (authzid.len && !own->authzid)) {
        dw_xmpp_temporary(conn, "a question cannot be asked", "out of memory");
        return;
    }
    q->event.principal = dw_span_str(conn->principal);
    q->event.service = DW_SPAN_NONE;
    dw_buf_clear(&q->service, 4096);
    if (target && dw_buf_put(&q->service, dw_span_str(target)) == 0)
        q->event.service = dw_buf_span(&q->service);
    dw_context_describe(context, &q->event);
    q->event.gss.channel_bound = dw_sasl_channel_bound(sasl);
    conn->ticket_ends = dw_context_expires(context);
    if (dw_context_is_anonymous(context)) {
        dw_admit_refuse(conn, DW_DENY, "anonymous", "anonymous principals have no JID");
        refuse(conn, DW_DENY, DW_XMPP_NOT_AUTHORIZED);
        return;
    }
    dw_admit_ask(conn, DW_STAGE_MAP, true, admission_decided);
}

static void realm_decided(struct dw_conn *conn, struct dw_decision *d)
{
    dw_xmpp_offer(conn, d);
}

static void ask_realm(struct dw_conn *conn)
{
    struct dw_xmpp_own *own = conn->own;
    const char *domain = dw_xmpp_client_domain(conn->near.machine);
    const struct dw_tls *tls = dw_xmpp_client_tls(conn->near.machine);
    for (size_t i = 0; i < conn->listener->domain_count; i++)
        if (strcmp(conn->listener->domains[i].domain, domain) == 0) {
            own->domain = &conn->listener->domains[i];
            own->way = &own->entrance->ways[i];
        }
    own->tls_version = dw_tls_version(tls);
    own->tls_cipher = dw_tls_cipher(tls);
    if (!own->domain) {
        dw_xmpp_end(conn, "host-unknown", NULL, "handshake failed");
        return;
    }
    if (dw_host_has(conn->worker->office->host, DW_STAGE_REALM))
        dw_admit_ask(conn, DW_STAGE_REALM, false, realm_decided);
    else
        realm_decided(conn, &(struct dw_decision){.verdict = DW_ALLOW});
}

/* -- joining -------------------------------------------------------------------------------------------- */

void dw_xmpp_welcome(struct dw_conn *conn)
{
    dw_conn_no_deadline(conn, DW_AT_BACKEND);
    conn->own->stage = DW_XMPP_IN;
    if (dw_xmpp_client_user(conn->near.machine, dw_span_str(conn->own->jid)) < 0) {
        dw_xmpp_temporary(conn, "an admitted client cannot be joined", "out of memory");
        return;
    }
    dw_xmpp_client_welcome(conn->near.machine);
    dw_conn_pump(conn, &conn->near);
}

/* The client's next header has come, and is the restart that the server waits for. */
static void join(struct dw_conn *conn, struct dw_span header)
{
    struct dw_decision *d = conn->decision;
    struct dw_error err = {0};
    if (conn->own->stage != DW_XMPP_IN || !conn->far.machine ||
        dw_machine_push(conn->far.machine, (struct dw_frame){0, header}, &err) < 0) {
        dw_conn_log(conn, DW_LOG_ERROR, "an admitted client cannot be joined", "why",
                    err.kind ? err.detail : "there is no server");
        dw_xmpp_end(conn, "internal-server-error", NULL, "backend closed");
        return;
    }
    dw_conn_expire_at(conn, d->expires > 0 ? d->expires : conn->ticket_ends);
    dw_admit_forget(conn);
    dw_xmpp_offer_forget(conn->own);
    dw_conn_open(conn);
    if (conn->listener->idle_seconds > 0)
        dw_conn_deadline(conn, DW_AT_IDLE, conn->listener->idle_seconds);
    dw_dial_free(conn);
    dw_address_clear(&conn->backend_address);
    dw_decision_clear(d);
    d->verdict = DW_ALLOW;
}

static void effect(struct dw_conn *conn, struct dw_leg *leg, enum dw_act act, struct dw_effect *fx)
{
    if (leg == &conn->far)
        dw_xmpp_backend_effect(conn, act);
    else if (act == DW_ASK_REALM)
        ask_realm(conn);
    else if (act == DW_ASK_ADMIT)
        ask_admission(conn);
    else if (act == DW_META)
        join(conn, fx->meta);
}

static void opened(struct dw_conn *conn)
{
    dw_log(DW_LOG_DEBUG, "joined", "id", conn->id, "listener", conn->listener->name, "jid", conn->own->jid,
           "backend", conn->backend, NULL);
}

static int pass(struct dw_conn *conn, struct dw_leg *from, struct dw_frame frame, struct dw_error *err)
{
    struct dw_leg *to = dw_conn_other(conn, from);
    int rc = dw_machine_push(to->machine, frame, err);
    /* It may have been the end of the stanza that the last words wait for. */
    if (rc == 0 && to == &conn->near && conn->own->is_parting)
        dw_conn_pump(conn, to);
    return rc;
}

/* -- the log -------------------------------------------------------------------------------------------- */

static const char *state(const struct dw_conn *conn, const struct dw_leg *leg)
{
    return leg == &conn->near ? dw_xmpp_client_state(leg->machine) : dw_xmpp_login_state(leg->machine);
}

/* It was offered Kerberos and did not begin. */
static bool is_without_ticket(const struct dw_conn *conn)
{
    const struct dw_xmpp_own *own = conn->own;
    return own && own->is_offered && own->attempts == 0 && own->failures == 0 && conn->near.machine &&
           strcmp(dw_xmpp_client_state(conn->near.machine), "sasl") == 0;
}

static const char *likely(const struct dw_conn *conn)
{
    if (is_without_ticket(conn))
        return "it has no ticket, or asked for one that its KDC does not know";
    if (conn->near.machine && strcmp(dw_xmpp_client_state(conn->near.machine), "tls") == 0)
        return "it does not trust the certificate";
    return NULL;
}

static void late(struct dw_conn *conn)
{
    if (is_without_ticket(conn)) {
        char names[400];
        dw_xmpp_targets(conn->own, names, sizeof names);
        dw_conn_log(conn, DW_LOG_WARN,
                    "client saw the mechanisms and then stayed silent: most likely it has no ticket", "services",
                    names);
    } else {
        dw_conn_log(conn, DW_LOG_WARN, "handshake out of time", "awaiting",
                    conn->near.machine ? state(conn, &conn->near) : "connect");
    }
    if (conn->own && conn->near.machine) {
        dw_xmpp_end(conn, "connection-timeout", NULL, "handshake out of time");
        dw_conn_pump(conn, &conn->near);
    }
}

const struct dw_front_ops dw_front_xmpp = {
    .front = DW_FRONT_XMPP,
    .mechanism = NULL,
    .handshake_bytes = HANDSHAKE_BYTES,
    .unsent_bytes = UNSENT_BYTES,
    .is_eager = true,
    .begin = begin,
    .effect = effect,
    .connected = dw_xmpp_backend_connected,
    .far_lost = dw_xmpp_backend_lost,
    .opened = opened,
    .pass = pass,
    .state = state,
    .late = late,
    .likely = likely,
    .looked = looked,
    .near_lost = near_lost,
    .due = due,
    .farewell = farewell,
    .describe = describe,
    .hold = hold,
    .forget = forget,
};
