/* Dovecot's authentication protocol over ipc and tcp: see dovecot.h. */
#include "net/dovecot.h"

#include "dovecot/master.h"
#include "dovecot/service.h"
#include "net/broker.h"
#include "net/exchange.h"
#include "net/vouchers.h"

#include <sys/random.h>
#include <unistd.h>

/* A server that waits for its next client does not look whether we are still there: it gets LINGER_MS. */
enum { MOST_ASKING = 256, REPLIES_HIGH = 1024 * 1024, LINGER_MS = 1000 };

struct dovecot_sock {
    struct dw_asker asker; /* first */
    struct dw_exchanges exchanges;
    struct dw_issuer *issuer; /* NULL: it is a master's */
    bool is_master;
};

static struct dovecot_sock *of(struct dw_asker *asker)
{
    return (struct dovecot_sock *)asker;
}

/* -- what comes in ---------------------------------------------------------------------------------------- */

static void stir(void *arg)
{
    struct dovecot_sock *s = arg;
    s->asker.is_stalled = true;
    dw_asker_stir(&s->asker);
}

/* A master asks who the client is that it was handed. */
static void tell(struct dovecot_sock *s)
{
    const struct dw_dovecot_request *request = dw_dovecot_request(s->asker.leg.machine);
    const struct dw_listener_config *l = dw_worker_listener(s->asker.worker, s->asker.listener);
    struct dw_voucher voucher = {0};
    if (l && l->of &&
        dw_vouchers_take(dw_broker_vouchers(s->asker.worker->broker), l->of, request,
                         dw_worker_now(s->asker.worker), &voucher)) {
        dw_log(DW_LOG_DEBUG, "login told to its master", "id", s->asker.id, "listener", s->asker.listener, "user",
               voucher.user, NULL);
        dw_dovecot_master_user(s->asker.leg.machine, dw_span_str(voucher.user), dw_buf_span(&voucher.fields));
    } else {
        dw_asker_log(&s->asker, DW_LOG_WARN, "a master was refused",
                     "it asks for a login that is not known, was asked for before, or is older than a minute");
        dw_dovecot_master_fail(s->asker.leg.machine);
    }
    dw_voucher_clear(&voucher);
}

static void take(struct dw_asker *asker, enum dw_act act, const struct dw_effect *fx)
{
    struct dovecot_sock *s = of(asker);
    struct dw_machine *m = asker->leg.machine;
    switch (act) {
    case DW_META: dw_asker_join(asker); break;
    case DW_ASK_REALM:
        if (asker->is_draining)
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
    case DW_DATA: dw_exchanges_over(&s->exchanges, dw_dovecot_exchange(m), &fx->why); break;
    default: break;
    }
}

/* -- its kind --------------------------------------------------------------------------------------------- */

static bool is_full(const struct dw_asker *asker)
{
    return ((const struct dovecot_sock *)asker)->exchanges.asking >= MOST_ASKING;
}

static bool is_idle(const struct dw_asker *asker)
{
    return !((const struct dovecot_sock *)asker)->exchanges.open;
}

static void turn(struct dw_asker *asker)
{
    dw_exchanges_turn(&of(asker)->exchanges);
}

static uint64_t due(const struct dw_asker *asker)
{
    return dw_exchanges_due(&((const struct dovecot_sock *)asker)->exchanges);
}

static void expire(struct dw_asker *asker, uint64_t now)
{
    dw_exchanges_expire(&of(asker)->exchanges, now);
}

static void cancel(struct dw_asker *asker)
{
    dw_exchanges_cancel(&of(asker)->exchanges);
    dw_vouchers_leave(dw_broker_vouchers(asker->worker->broker), &of(asker)->issuer);
}

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

static int make(struct dw_asker *asker, const struct dw_listener_config *listener)
{
    struct dovecot_sock *s = of(asker);
    struct dw_worker *worker = asker->worker;
    s->is_master = listener->kind == DW_LISTEN_DOVECOT_MASTER;
    /* A master's connection is for one login, of which there is a line already. */
    asker->usual = s->is_master ? DW_LOG_DEBUG : DW_LOG_INFO;
    asker->leg.machine = make_machine(worker, listener, &s->issuer);
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
        .listener = asker->listener,
        .caller = &asker->caller,
        .machine = asker->leg.machine,
        .arg = s,
        .stir = stir,
    };
    return asker->leg.machine ? 0 : -1;
}

const struct dw_asker_kind dw_dovecot_sock_kind = {
    .size = sizeof(struct dovecot_sock),
    .replies_high = REPLIES_HIGH,
    .linger_ms = LINGER_MS,
    .has_rounds = true,
    .joined = "server joined",
    .left = "server left",
    .left_early = "server left during the handshake",
    .closed = "server closed for an error",
    .unheard = "a server cannot be heard",
    .make = make,
    .take = take,
    .is_full = is_full,
    .is_idle = is_idle,
    .turn = turn,
    .due = due,
    .expire = expire,
    .cancel = cancel,
};
