/* Dovecot's authentication protocol over ipc and tcp: see dovecot.h. */
#include "net/dovecot.h"

#include "dovecot/master.h"
#include "dovecot/service.h"
#include "net/broker.h"
#include "net/caller.h"
#include "net/exchange.h"
#include "net/leg.h"
#include "net/vouchers.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>
#include <utlist.h>

/* A server that waits for its next client does not look whether we are still there: it gets LINGER_MS. */
enum { MOST_ASKING = 256, REPLIES_HIGH = 1024 * 1024, LINGER_MS = 1000, DRAIN_READS = 256 };

struct dw_dovecot_sock {
    struct dw_leg leg; /* first: its poll handle leads back here */
    struct dw_dovecot_sock *prev, *next; /* of the worker's */
    struct dw_worker *worker;
    char *listener;
    struct dw_caller caller;
    char slot[64]; /* of limits.per_peer, which counts the users of a unix socket apart */
    char id[40];
    struct dw_exchanges exchanges;
    struct dw_issuer *issuer; /* NULL: it is a master's */
    uint64_t deadline, armed; /* loop time; 0: none */
    uv_timer_t timer;
    int depth;
    bool is_master, is_joined, is_stalled, is_draining, is_doomed;
};

static void timer_fired(uv_timer_t *timer);
static void ready(uv_poll_t *poll, int status, int events);

static void log_of(const struct dw_dovecot_sock *s, enum dw_log_level level, const char *what, const char *why)
{
    dw_log(level, what, "id", s->id, "listener", s->listener, "forwarder", s->caller.address, "why", why, NULL);
}

/* A master's connection is for one login, of which there is a line already. */
static enum dw_log_level usual(const struct dw_dovecot_sock *s)
{
    return s->is_master ? DW_LOG_DEBUG : DW_LOG_INFO;
}

static void doom(struct dw_dovecot_sock *s, enum dw_log_level level, const char *what, const char *why)
{
    if (!s->is_doomed)
        log_of(s, level, what, why);
    s->is_doomed = true;
}

/* -- what comes in ---------------------------------------------------------------------------------------- */

static void enter(struct dw_dovecot_sock *s)
{
    s->depth++;
}

static void leave(struct dw_dovecot_sock *s);

/* An answer came late: what it sets off is done from the loop. */
static void stir(void *arg)
{
    struct dw_dovecot_sock *s = arg;
    s->is_stalled = true;
    if (s->depth > 0)
        return;
    s->armed = dw_worker_now(s->worker);
    uv_timer_start(&s->timer, timer_fired, 0, 0);
}

static bool has_room(const struct dw_dovecot_sock *s)
{
    return s->exchanges.asking < MOST_ASKING && dw_leg_waiting(&s->leg) < REPLIES_HIGH;
}

/* A master asks who the client is that it was handed. */
static void tell(struct dw_dovecot_sock *s)
{
    const struct dw_dovecot_request *request = dw_dovecot_request(s->leg.machine);
    const struct dw_listener_config *l = dw_worker_listener(s->worker, s->listener);
    struct dw_voucher voucher = {0};
    if (l && l->of &&
        dw_vouchers_take(dw_broker_vouchers(s->worker->broker), l->of, request, dw_worker_now(s->worker),
                         &voucher)) {
        dw_log(DW_LOG_DEBUG, "login told to its master", "id", s->id, "listener", s->listener, "user", voucher.user,
               NULL);
        dw_dovecot_master_user(s->leg.machine, dw_span_str(voucher.user), dw_buf_span(&voucher.fields));
    } else {
        log_of(s, DW_LOG_WARN, "a master was refused",
               "it asks for a login that is not known, was asked for before, or is older than a minute");
        dw_dovecot_master_fail(s->leg.machine);
    }
    dw_voucher_clear(&voucher);
}

static void pump(struct dw_dovecot_sock *s)
{
    struct dw_machine *m = s->leg.machine;
    struct dw_effect fx;
    enum dw_act act = DW_DATA;
    while (act != DW_NEED && !s->is_doomed && has_room(s)) {
        act = dw_machine_next(m, &fx);
        switch (act) {
        case DW_META:
            s->is_joined = true;
            s->deadline = 0;
            log_of(s, usual(s), "server joined", NULL);
            break;
        case DW_ASK_REALM:
            if (s->is_draining)
                dw_dovecot_refuse(m, dw_dovecot_exchange(m), DW_DOVECOT_TEMPORARY);
            else
                dw_exchanges_begin(&s->exchanges, dw_dovecot_exchange(m));
            break;
        case DW_ASK_ADMIT:
            if (s->is_master)
                tell(s);
            else
                dw_exchanges_admit(&s->exchanges, dw_dovecot_exchange(m));
            break;
        case DW_DATA: dw_exchanges_over(&s->exchanges, dw_dovecot_exchange(m), &fx.why); break;
        case DW_CLOSE: doom(s, DW_LOG_WARN, "server closed for an error", fx.why.detail); break;
        default: break;
        }
    }
    s->is_stalled = act != DW_NEED;
    if (dw_machine_settle(m) < 0)
        doom(s, DW_LOG_ERROR, "a server cannot be heard", "out of memory");
}

static void take_in(struct dw_dovecot_sock *s)
{
    if (dw_leg_read(&s->leg, s->worker->scratch, DW_SCRATCH_BYTES) > 0 && !s->leg.discarding)
        pump(s);
}

static void ready(uv_poll_t *poll, int status, int events)
{
    struct dw_dovecot_sock *s = poll->data;
    enter(s);
    dw_exchanges_turn(&s->exchanges);
    if (status < 0)
        s->leg.eof = s->leg.broken = true;
    else if (events & UV_READABLE)
        take_in(s);
    if (!dw_worker_listener(s->worker, s->listener))
        s->is_draining = true;
    leave(s);
}

static void timer_fired(uv_timer_t *timer)
{
    struct dw_dovecot_sock *s = timer->data;
    uint64_t now = dw_worker_now(s->worker);
    s->armed = 0;
    enter(s);
    dw_exchanges_turn(&s->exchanges);
    dw_exchanges_expire(&s->exchanges, now);
    if (s->deadline && s->deadline <= now)
        doom(s, s->is_joined ? usual(s) : DW_LOG_WARN, s->is_joined ? "server left" : "handshake out of time",
             NULL);
    leave(s);
}

/* -- the end ----------------------------------------------------------------------------------------------- */

static void closed(uv_handle_t *handle)
{
    struct dw_dovecot_sock *s = handle->data;
    struct dw_worker *worker = s->worker;
    dw_machine_free(&s->leg.machine);
    free(s->listener);
    free(s);
    dw_worker_check_end(worker);
}

static void take_down(struct dw_dovecot_sock *s)
{
    struct dw_tally *tally = dw_broker_tally(s->worker->broker);
    dw_exchanges_cancel(&s->exchanges);
    dw_vouchers_leave(dw_broker_vouchers(s->worker->broker), &s->issuer);
    dw_tally_add(tally, DW_COUNT_BYTES_IN, s->leg.bytes_in);
    dw_tally_add(tally, DW_COUNT_BYTES_OUT, s->leg.bytes_out);
    dw_tally_leave(tally, s->slot);
    DL_DELETE(s->worker->dovecot_socks, s);
    dw_leg_close(&s->leg);
    uv_close((uv_handle_t *)&s->timer, closed);
}

/* A timer that fires early looks again. */
static void arm(struct dw_dovecot_sock *s)
{
    uint64_t due = s->deadline, first = dw_exchanges_due(&s->exchanges), now = dw_worker_now(s->worker);
    if (first && (!due || first < due))
        due = first;
    if (!due || (s->armed && s->armed <= due))
        return;
    s->armed = due;
    uv_timer_start(&s->timer, timer_fired, due > now ? due - now : 1, 0);
}

static void leave(struct dw_dovecot_sock *s)
{
    if (--s->depth > 0)
        return;
    s->depth++;
    dw_leg_flush(&s->leg);
    while (s->is_stalled && !s->is_doomed && has_room(s)) {
        pump(s);
        dw_leg_flush(&s->leg);
    }
    if (s->is_draining && !s->leg.finishing && !s->exchanges.open && !s->is_stalled) {
        s->leg.finishing = s->leg.discarding = true;
        s->deadline = dw_worker_now(s->worker) + LINGER_MS;
        dw_leg_flush(&s->leg);
    }
    if (s->leg.eof || s->leg.broken)
        doom(s, usual(s), s->is_joined ? "server left" : "server left during the handshake", NULL);
    s->depth--;
    if (s->is_doomed) {
        take_down(s);
        return;
    }
    dw_leg_watch(&s->leg, !s->is_stalled, ready);
    arm(s);
}

/* What the server has sent is in our kernel's hands already: it is answered. */
static void drain(struct dw_dovecot_sock *s)
{
    for (int i = 0; i < DRAIN_READS && !s->is_doomed && !s->is_stalled && !s->leg.eof; i++) {
        uint64_t had = s->leg.bytes_in;
        take_in(s);
        if (s->leg.bytes_in == had)
            break;
        dw_leg_flush(&s->leg);
    }
    s->is_draining = true;
}

static void stop(struct dw_dovecot_sock *s)
{
    doom(s, usual(s), "server left", "the broker is ending");
}

static void each(struct dw_worker *worker, void (*what)(struct dw_dovecot_sock *s))
{
    struct dw_dovecot_sock *s, *next;
    DL_FOREACH_SAFE(worker->dovecot_socks, s, next)
    {
        enter(s);
        dw_exchanges_turn(&s->exchanges);
        what(s);
        leave(s);
    }
}

void dw_dovecot_sock_drain_all(struct dw_worker *worker)
{
    each(worker, drain);
}

void dw_dovecot_sock_stop_all(struct dw_worker *worker)
{
    each(worker, stop);
}

/* -- the beginning ------------------------------------------------------------------------------------------ */

/* Whether the keytab has a key that would serve any service asked for (RFC 4752 section 3.2). */
static bool has_key(struct dw_worker *worker, const struct dw_listener_config *l)
{
    struct dw_error err = {0};
    const struct dw_cred *cred = dw_desk_acceptor(worker->desk, l->keytab, NULL, l->realm, &err);
    bool found = cred && !l->services && dw_cred_serves(cred, NULL, NULL);
    for (char **one = l->services; cred && one && *one && !found; one++)
        found = dw_cred_serves(cred, *one, NULL);
    if (!found)
        dw_log(DW_LOG_ERROR, "no mechanism is offered", "listener", l->name, "keytab", l->keytab, "why",
               cred ? "it has no key for any of the services" : err.detail, NULL);
    return found;
}

static struct dw_machine *make_machine(struct dw_worker *worker, const struct dw_listener_config *l,
                                       struct dw_issuer **issuer)
{
    struct dw_vouchers *vouchers = dw_broker_vouchers(worker->broker);
    static const char *const none[] = {NULL}, *const gssapi[] = {"GSSAPI", NULL};
    if (l->kind == DW_LISTEN_DOVECOT_MASTER)
        return dw_dovecot_master_new((uint32_t)getpid(), dw_tally_meter(dw_broker_tally(worker->broker)));
    struct dw_dovecot_options options = {
        .mechanisms = has_key(worker, l) ? gssapi : none,
        .pid = (uint32_t)getpid(),
        .number = (uint32_t)(++worker->next_number % UINT32_MAX) + 1,
        .meter = dw_tally_meter(dw_broker_tally(worker->broker)),
    };
    if (getrandom(options.cookie, sizeof options.cookie, 0) != sizeof options.cookie ||
        !(*issuer = dw_vouchers_join(vouchers, options.cookie, l->name)))
        return NULL;
    return dw_dovecot_new(&options);
}

static void equip(struct dw_dovecot_sock *s, struct dw_worker *worker)
{
    snprintf(s->id, sizeof s->id, "%08x.%d.%llx", dw_broker_salt(worker->broker), worker->index,
             (unsigned long long)++worker->next_number);
    s->worker = worker;
    s->exchanges.with = (struct dw_exchanges_with){
        .loop = &worker->loop,
        .settings = &worker->settings,
        .office = &worker->office,
        .desk = &worker->desk,
        .tally = dw_broker_tally(worker->broker),
        .shadow = dw_broker_shadow(worker->broker),
        .vouchers = dw_broker_vouchers(worker->broker),
        .issuer = s->issuer,
        .salt = dw_broker_salt(worker->broker),
        .index = worker->index,
        .next_number = &worker->next_number,
        .listener = s->listener,
        .caller = &s->caller,
        .machine = s->leg.machine,
        .arg = s,
        .stir = stir,
    };
}

void dw_dovecot_sock_new(struct dw_worker *worker, const struct dw_listener_config *listener, int fd)
{
    struct dw_tally *tally = dw_broker_tally(worker->broker);
    const struct dw_limits *limits = &worker->settings->config->limits;
    struct dw_error err = {0};
    struct dw_caller caller;
    bool is_entered = false;
    struct dw_dovecot_sock *s = calloc(1, sizeof *s);
    if (dw_caller_of(&caller, fd) < 0) {
        dw_error_set(&err, DW_ERROR_CLOSED, "it has left already");
        goto fail;
    }
    if (!dw_caller_allowed(listener, fd)) {
        dw_error_set(&err, DW_ERROR_DENIED, "its address is not in allow_from");
        goto fail;
    }
    if (!s || !(s->listener = strdup(listener->name)) ||
        !(s->leg.machine = make_machine(worker, listener, &s->issuer)))
        goto fail;
    if (caller.has_ids)
        snprintf(s->slot, sizeof s->slot, "uid:%ld", caller.uid);
    else
        memcpy(s->slot, caller.address, sizeof s->slot);
    if (dw_tally_enter(tally, s->slot, worker->settings->connections, limits->per_peer, &err) < 0)
        goto fail;
    is_entered = true;
    if (dw_leg_open(&s->leg, NULL, &worker->loop, fd) < 0) {
        fd = -1;
        dw_error_set(&err, DW_ERROR_INTERNAL, "the loop does not take the socket");
        goto fail;
    }
    s->caller = caller;
    s->is_master = listener->kind == DW_LISTEN_DOVECOT_MASTER;
    equip(s, worker);
    uv_timer_init(&worker->loop, &s->timer);
    s->timer.data = s;
    s->deadline = dw_worker_now(worker) + (uint64_t)(limits->handshake_seconds * 1000);
    DL_APPEND(worker->dovecot_socks, s);
    dw_tally_add(tally, DW_COUNT_ACCEPTED, 1);
    enter(s);
    leave(s);
    return;

fail:
    if (err.kind == DW_ERROR_CLOSED)
        dw_log(DW_LOG_DEBUG, "connection not taken", "listener", listener->name, "why", err.detail, NULL);
    else
        dw_broker_complain(worker->broker, "connection not taken", listener->name, caller.address,
                           err.kind ? err.detail : "out of memory");
    if (is_entered)
        dw_tally_leave(tally, s->slot);
    if (fd >= 0)
        close(fd);
    if (s) {
        dw_vouchers_leave(dw_broker_vouchers(worker->broker), &s->issuer);
        dw_machine_free(&s->leg.machine);
        free(s->listener);
    }
    free(s);
}
