/* The exchanges of a connection: see exchange.h. */
#include "net/exchange.h"

#include "auth/authzid.h"
#include "base/text.h"
#include "net/record.h"
#include "net/xmpp_jid.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <utlist.h>

enum { MOST_SERVICE = 64 };

struct dw_exchange {
    struct dw_exchange *prev, *next;
    struct dw_exchanges *of;
    struct dw_dovecot_exchange *x; /* NULL once it is over */
    struct dw_settings *settings;
    struct dw_office *office;
    struct dw_ask *ask; /* while its policy waits for something */
    enum dw_stage stage; /* the question that is asked, or was last */
    bool is_asking; /* there is no answer yet */
    bool is_waiting; /* and it will come from the loop */
    bool is_late; /* it came from there, and what follows from it is still to be done */
    struct dw_decision answer; /* of the connect or the realm hook */
    struct dw_event event; /* borrows from `x` */
    char id[40];
    char service[MOST_SERVICE]; /* as Kerberos calls it */
    uint64_t started; /* microseconds */
    uint64_t due, ends; /* loop time: of what is waited for now; of all of it */
};

static long long clock_now(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static const struct dw_listener_config *listener_of(const struct dw_exchange *e)
{
    const struct dw_config *config = e->settings->config;
    for (size_t i = 0; i < config->listener_count; i++)
        if (strcmp(config->listeners[i].name, e->of->with.listener) == 0)
            return &config->listeners[i];
    return NULL;
}

static void log_of(const struct dw_exchange *e, enum dw_log_level level, const char *what, const char *why)
{
    dw_log(level, what, "id", e->id, "listener", e->of->with.listener, "peer", e->event.peer.address, "service",
           e->x ? e->x->service : NULL, "why", why, NULL);
}

/* -- the end --------------------------------------------------------------------------------------------- */

static void free_exchange(struct dw_exchange *e)
{
    if (e->office)
        dw_office_leave(e->office);
    dw_settings_release(&e->settings);
    dw_decision_clear(&e->answer);
    free(e);
}

/* Its place in the machine is gone, or is about to be. */
static void retire(struct dw_exchange *e)
{
    if (!e->x)
        return;
    e->x->of = NULL;
    e->x = NULL;
    e->is_late = false;
    if (e->ask)
        dw_ask_cancel(&e->ask);
    if (e->is_asking)
        e->of->asking--;
    e->is_asking = e->is_waiting = false;
    DL_DELETE(e->of->open, e);
    DL_APPEND(e->of->spent, e);
}

static void refuse(struct dw_exchange *e, enum dw_dovecot_refusal how)
{
    struct dw_dovecot_exchange *x = e->x;
    retire(e);
    dw_dovecot_refuse(e->of->with.machine, x, how);
}

/* No fault of the client's: it may try again. */
static void temporary(struct dw_exchange *e, const char *what, const char *why)
{
    log_of(e, DW_LOG_ERROR, what, why);
    refuse(e, DW_DOVECOT_TEMPORARY);
}

/* -- questions ------------------------------------------------------------------------------------------- */

static void decide(struct dw_exchange *e, struct dw_decision *d);

static void answered(void *arg, const struct dw_decision *decision)
{
    struct dw_exchange *e = arg;
    bool is_late = e->is_waiting;
    /* The callee may change what it is given, and so may we: it is cleared right after. */
    struct dw_decision *d = (struct dw_decision *)(uintptr_t)decision;
    e->ask = NULL;
    e->is_asking = e->is_waiting = false;
    e->of->asking--;
    d->took_us = (uint64_t)clock_now(CLOCK_MONOTONIC) - e->started;
    if (e->stage == DW_STAGE_MAP) {
        decide(e, d);
    } else {
        e->answer = *d;
        *d = (struct dw_decision){.verdict = d->verdict};
        e->is_late = is_late;
    }
    /* Who told us is not done with its event: what follows is done in a turn of the owner's. */
    if (is_late)
        e->of->with.stir(e->of->with.arg);
}

/* Whether there is an answer already. */
static bool ask(struct dw_exchange *e, enum dw_stage stage)
{
    e->stage = stage;
    e->event.stage = stage;
    e->event.time = clock_now(CLOCK_REALTIME);
    e->started = (uint64_t)clock_now(CLOCK_MONOTONIC);
    e->due = uv_now(e->of->with.loop) + (uint64_t)(e->settings->config->limits.decision_seconds * 1000);
    e->is_asking = true;
    e->of->asking++;
    e->ask = dw_ask_start(e->office->host, &e->event, stage, answered, e);
    e->is_waiting = e->ask != NULL;
    if (!e->is_waiting)
        e->due = e->ends;
    return !e->is_waiting;
}

static void record(struct dw_exchange *e, struct dw_decision *d)
{
    dw_record_decision(e->of->with.tally, e->of->with.shadow, e->settings->journal, &e->event, d);
}

static enum dw_dovecot_refusal refusal_of(const struct dw_decision *d)
{
    return d->verdict == DW_TEMPORARY ? DW_DOVECOT_TEMPORARY : DW_DOVECOT_DENIED;
}

/* -- whose tickets are taken ----------------------------------------------------------------------------- */

/* What a protocol is called in Kerberos, where that is not its name. */
static void name_service(char into[MOST_SERVICE], const char *asked)
{
    static const char *const others[][2] = {{"pop3", "pop"}, {"submission", "smtp"}, {"managesieve", "sieve"}};
    snprintf(into, MOST_SERVICE, "%s", asked);
    for (char *at = into; *at; at++)
        if (*at >= 'A' && *at <= 'Z')
            *at += 'a' - 'A';
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strcmp(into, others[i][0]) == 0)
            snprintf(into, MOST_SERVICE, "%s", others[i][1]);
}

static bool is_served(const struct dw_listener_config *l, const char *service)
{
    for (char **one = l->services; one && *one; one++)
        if (strcmp(*one, service) == 0)
            return true;
    return !l->services;
}

/* The ticket is for a host of the service that was asked for. */
static bool is_ours(void *arg, const char *target)
{
    const struct dw_exchange *e = arg;
    size_t len = strlen(e->service);
    return strncmp(target, e->service, len) == 0 && target[len] == '/';
}

static void begin(struct dw_exchange *e, const struct dw_decision *d)
{
    const struct dw_listener_config *l = listener_of(e);
    struct dw_error err = {0};
    const char *keytab = d->keytab ? d->keytab : l->keytab;
    if (!dw_config_names_keytab(e->settings->config, keytab)) {
        temporary(e, "the policy names a keytab that the configuration does not", keytab);
        return;
    }
    const struct dw_cred *cred =
        dw_desk_acceptor(*e->of->with.desk, keytab, d->service, d->realm ? d->realm : l->realm, &err);
    if (cred && !dw_cred_serves(cred, e->service, NULL))
        dw_error_set(&err, DW_ERROR_TEMPORARY, "keytab %s has no key for %s/..", keytab, e->service);
    if (err.kind) {
        temporary(e, "no credential to answer with", err.detail);
        return;
    }
    const struct dw_sasl_options options = {
        .cred = cred,
        .is_ours = is_ours,
        .arg = e,
        .require_mutual = l->require_mutual,
    };
    struct dw_dovecot_exchange *x = e->x;
    if (dw_dovecot_begin(e->of->with.machine, x, &options) < 0) {
        log_of(e, DW_LOG_ERROR, "an exchange cannot be begun", "out of memory");
        e->x = NULL;
        DL_DELETE(e->of->open, e);
        DL_APPEND(e->of->spent, e);
    }
}

/* -- from AUTH to the credential ------------------------------------------------------------------------- */

/* The answer of the stage is there: what follows, as far as it goes. */
static void go_on(struct dw_exchange *e)
{
    bool is_answered = true;
    while (is_answered && e->x) {
        struct dw_decision d = e->answer;
        e->answer = (struct dw_decision){.verdict = DW_ALLOW};
        if (d.verdict != DW_ALLOW) {
            record(e, &d);
            refuse(e, refusal_of(&d));
            is_answered = false;
        } else if (e->stage == DW_STAGE_CONNECT && dw_host_has(e->office->host, DW_STAGE_REALM)) {
            is_answered = ask(e, DW_STAGE_REALM);
        } else {
            begin(e, &d);
            is_answered = false;
        }
        dw_decision_clear(&d);
    }
}

/* The client that the server speaks for, if it says where that is; else the server. */
static void know_peer(struct dw_exchange *e)
{
    const struct dw_caller *caller = e->of->with.caller;
    struct dw_event_peer *peer = &e->event.peer;
    uint8_t octets[16];
    const char *remote = e->x->remote;
    if (remote && (uv_inet_pton(AF_INET, remote, octets) == 0 || uv_inet_pton(AF_INET6, remote, octets) == 0)) {
        *peer = (struct dw_event_peer){.address = remote, .port = e->x->remote_port};
        return;
    }
    *peer = (struct dw_event_peer){caller->address, caller->port, caller->has_ids,
                                   caller->uid,     caller->gid,  caller->pid};
}

void dw_exchanges_begin(struct dw_exchanges *exchanges, struct dw_dovecot_exchange *x)
{
    const struct dw_exchanges_with *with = &exchanges->with;
    struct dw_exchange *e = calloc(1, sizeof *e);
    if (!e) {
        dw_log(DW_LOG_ERROR, "an exchange cannot be begun", "listener", with->listener, "why", "out of memory",
               NULL);
        dw_dovecot_refuse(with->machine, x, DW_DOVECOT_TEMPORARY);
        return;
    }
    *e = (struct dw_exchange){.of = exchanges, .x = x, .stage = DW_STAGE_CONNECT};
    x->of = e;
    e->settings = dw_settings_hold(*with->settings);
    e->office = *with->office;
    dw_office_enter(e->office);
    snprintf(e->id, sizeof e->id, "%08x.%d.%llx", with->salt, with->index,
             (unsigned long long)++*with->next_number);
    name_service(e->service, x->service);
    e->event.id = e->id;
    e->event.front = DW_FRONT_DOVECOT;
    e->event.mechanism = x->mechanism;
    e->event.listener = with->listener;
    e->event.service = dw_span_str(e->service);
    e->event.domain = dw_span_str(x->local_name);
    know_peer(e);
    e->ends = e->due = uv_now(with->loop) + (uint64_t)(e->settings->config->limits.handshake_seconds * 1000);
    e->answer.verdict = DW_ALLOW;
    DL_APPEND(exchanges->open, e);
    const struct dw_listener_config *l = listener_of(e);
    if (!l) {
        temporary(e, "the listener has left the configuration", NULL);
    } else if (!is_served(l, e->service)) {
        log_of(e, DW_LOG_WARN, "denied", "its service is not among 'services'");
        refuse(e, DW_DOVECOT_DENIED);
    } else if (!dw_host_has(e->office->host, DW_STAGE_CONNECT) || ask(e, DW_STAGE_CONNECT)) {
        go_on(e);
    }
}

/* -- admission ------------------------------------------------------------------------------------------- */

/* For a listener with a master, who will ask. */
static bool has_master(const struct dw_exchange *e)
{
    const struct dw_listener_config *l = listener_of(e);
    return l && l->has_master;
}

/* The policy has the last word but this: what is told may not break the protocol. */
static void decide(struct dw_exchange *e, struct dw_decision *d)
{
    const struct dw_exchanges_with *with = &e->of->with;
    struct dw_span jid = dw_span_str(d->jid);
    struct dw_voucher voucher = {0};
    struct dw_error err = {0};
    if (d->verdict == DW_ALLOW && d->jid && (jid.len == 0 || !dw_text_is_utf8(jid) || dw_text_has_control(jid))) {
        dw_decision_refuse(d, DW_TEMPORARY, "the jid is empty, not UTF-8, or holds a control character");
    }
    if (d->verdict == DW_ALLOW)
        dw_xmpp_name_hold(d, strcmp(e->service, "xmpp") == 0, e->settings->config->refuse_users);
    if (d->verdict == DW_ALLOW && has_master(e) &&
        dw_voucher_make(&voucher, d->jid ? d->jid : d->user, d, &err) < 0)
        dw_decision_refuse(d, DW_TEMPORARY, "%s", err.detail);
    record(e, d);
    if (d->verdict != DW_ALLOW) {
        dw_voucher_clear(&voucher);
        refuse(e, dw_authzid_is_refused(d, &e->event) ? DW_DOVECOT_AUTHZID : refusal_of(d));
        return;
    }
    voucher.client = dw_dovecot_client(with->machine);
    voucher.exchange = e->x->id;
    if (voucher.user && dw_vouchers_put(with->vouchers, with->issuer, &voucher, uv_now(with->loop)) < 0) {
        temporary(e, "a login cannot be kept for its master", "out of memory");
        return;
    }
    const char *user = d->jid ? d->jid : d->user;
    char *principal = dw_text_dup(e->event.principal);
    dw_log(DW_LOG_INFO, "authenticated", "id", e->id, "listener", e->event.listener, "peer", e->event.peer.address,
           "principal", principal, "user", user, NULL);
    free(principal);
    struct dw_dovecot_exchange *x = e->x;
    retire(e);
    dw_dovecot_pass(e->of->with.machine, x, dw_span_str(user));
}

void dw_exchanges_admit(struct dw_exchanges *exchanges, struct dw_dovecot_exchange *x)
{
    struct dw_exchange *e = x->of;
    const struct dw_context *context = dw_sasl_context(dw_dovecot_sasl(x));
    struct dw_span authzid = dw_sasl_authzid(dw_dovecot_sasl(x));
    (void)exchanges;
    e->event.principal = dw_span_str(dw_context_peer(context));
    e->event.service = dw_span_str(dw_context_target(context));
    e->event.authzid = authzid.len ? authzid : DW_SPAN_NONE;
    dw_context_describe(context, &e->event);
    if (!dw_context_is_anonymous(context)) {
        ask(e, DW_STAGE_MAP);
        return;
    }
    struct dw_decision d = {0};
    e->event.stage = DW_STAGE_AUTHORIZE;
    dw_decision_refuse(&d, DW_DENY, "anonymous principals are refused");
    dw_decision_set(&d.rule, "anonymous");
    record(e, &d);
    refuse(e, refusal_of(&d));
    dw_decision_clear(&d);
}

void dw_exchanges_over(struct dw_exchanges *exchanges, struct dw_dovecot_exchange *x, const struct dw_error *why)
{
    const struct dw_exchanges_with *with = &exchanges->with;
    bool given_up = why->kind == DW_ERROR_CLOSED;
    dw_tally_add(with->tally, DW_COUNT_HANDSHAKE_LOST, 1);
    if (!x || !x->of) {
        dw_log(DW_LOG_WARN, "authentication failed", "listener", with->listener, "forwarder", with->caller->address,
               "why", why->detail, NULL);
        return;
    }
    struct dw_exchange *e = x->of;
    log_of(e, given_up ? DW_LOG_INFO : DW_LOG_WARN, "authentication failed", why->detail);
    retire(e);
}

/* -- turns ----------------------------------------------------------------------------------------------- */

static void sweep(struct dw_exchanges *exchanges)
{
    struct dw_exchange *e, *next;
    DL_FOREACH_SAFE(exchanges->spent, e, next)
    {
        DL_DELETE(exchanges->spent, e);
        free_exchange(e);
    }
}

void dw_exchanges_turn(struct dw_exchanges *exchanges)
{
    struct dw_exchange *e, *next;
    DL_FOREACH_SAFE(exchanges->open, e, next)
    {
        if (!e->is_late)
            continue;
        e->is_late = false;
        e->due = e->ends;
        go_on(e);
    }
    sweep(exchanges);
}

uint64_t dw_exchanges_due(const struct dw_exchanges *exchanges)
{
    const struct dw_exchange *e;
    uint64_t due = 0;
    DL_FOREACH(exchanges->open, e)
    {
        if (!due || e->due < due)
            due = e->due;
    }
    return due;
}

void dw_exchanges_expire(struct dw_exchanges *exchanges, uint64_t now)
{
    struct dw_exchange *e, *next;
    DL_FOREACH_SAFE(exchanges->open, e, next)
    {
        if (e->due > now)
            continue;
        if (e->ask) {
            dw_ask_expire(&e->ask);
            continue;
        }
        struct dw_dovecot_exchange *x = e->x;
        log_of(e, DW_LOG_WARN, "authentication failed", "out of time");
        dw_tally_add(exchanges->with.tally, DW_COUNT_LIMIT_HANDSHAKE, 1);
        retire(e);
        dw_dovecot_expire(exchanges->with.machine, x);
    }
    dw_exchanges_turn(exchanges);
}

void dw_exchanges_cancel(struct dw_exchanges *exchanges)
{
    while (exchanges->open)
        retire(exchanges->open);
    sweep(exchanges);
}
