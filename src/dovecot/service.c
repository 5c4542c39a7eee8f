/* The server's side of Dovecot's authentication protocol: see service.h. */
#define HASH_NONFATAL_OOM 1
#include "dovecot/service.h"

#include "base/base64.h"
#include "base/text.h"
#include "dovecot/line.h"

#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

enum { VERSION = 1 };

enum state {
    AWAITS_CREDENTIAL, /* the driver's word */
    TO_BE_STEPPED, /* a message of the client's is there */
    AWAITS_CLIENT,
    AWAITS_VERDICT, /* the driver's word */
    OVER,
};

struct exchange {
    struct dw_dovecot_exchange shown; /* first */
    enum state state;
    struct dw_sasl *sasl;
    struct dw_buf message; /* the client's, while it waits to be stepped */
    bool has_message;
    struct dw_buf final; /* goes with OK */
    struct exchange *prev, *next; /* of those to be stepped */
    UT_hash_handle hh;
};

struct service {
    struct dw_machine machine; /* first */
    const char *const *mechanisms;
    struct exchange *open; /* by id */
    struct exchange *ready; /* to be stepped */
    struct exchange *shown; /* what the last effect was about */
    size_t looked; /* octets at machine.at that hold no LF */
    bool has_version;
    uint32_t client; /* its pid; 0: not told yet */
    struct dw_error why; /* once it is to be closed */
};

static struct service *service_of(struct dw_machine *m)
{
    return (struct service *)(void *)m;
}

static struct exchange *exchange_of(const struct dw_dovecot_exchange *shown)
{
    return (struct exchange *)(uintptr_t)shown;
}

/* -- exchanges ------------------------------------------------------------------------------------------- */

static void free_exchange(struct exchange *x)
{
    dw_sasl_free(&x->sasl);
    dw_buf_free(&x->message);
    dw_buf_free(&x->final);
    free(x->shown.service);
    free(x->shown.remote);
    free(x->shown.local_name);
    free(x);
}

/* Out of the books; shown once more, when it is not the driver who ends it. */
static void end_exchange(struct service *s, struct exchange *x)
{
    HASH_DEL(s->open, x);
    if (x->state == TO_BE_STEPPED)
        DL_DELETE(s->ready, x);
    x->state = OVER;
    if (s->shown != x)
        free_exchange(x);
}

static void let_go_of_shown(struct service *s)
{
    if (s->shown && s->shown->state == OVER)
        free_exchange(s->shown);
    s->shown = NULL;
}

static enum dw_act show(struct service *s, struct exchange *x, enum dw_act act)
{
    s->shown = x;
    return act;
}

static int out_of_memory(struct service *s)
{
    return dw_error_set(&s->why, DW_ERROR_INTERNAL, "out of memory");
}

static int put_fail(struct service *s, uint32_t id, enum dw_dovecot_refusal how)
{
    /* authz and temp are for Prosody, code= for Dovecot 2.3, which takes a reason without a code for an alert. */
    static const char *const words[] = {
        [DW_DOVECOT_DENIED] = "",
        [DW_DOVECOT_AUTHZID] = "\treason=Not authorized to act as that user\tauthz\tcode=authz_fail",
        [DW_DOVECOT_TEMPORARY] = "\treason=Temporary authentication failure\ttemp\tcode=temp_fail",
    };
    if (dw_buf_printf(&s->machine.out, "FAIL\t%u%s\n", id, words[how]) < 0)
        return out_of_memory(s);
    return 0;
}

static enum dw_dovecot_refusal refusal_of(enum dw_error_kind kind)
{
    return kind == DW_ERROR_TEMPORARY || kind == DW_ERROR_INTERNAL ? DW_DOVECOT_TEMPORARY : DW_DOVECOT_DENIED;
}

/* A server passes the base64 on to its client as it stands: a challenge of no octets is written as its client's protocol
 * has it, "=" in XMPP (RFC 6120 section 6.4.2; Prosody takes no other), nothing elsewhere (RFC 3501, RFC 4954). */
static int put_challenge(struct service *s, const struct dw_dovecot_exchange *x, struct dw_span challenge)
{
    struct dw_buf *out = &s->machine.out;
    size_t before = dw_buf_len(out);
    bool needs_sign = challenge.len == 0 && strcmp(x->service, "xmpp") == 0;
    if (dw_buf_printf(out, "CONT\t%u\t%s", x->id, needs_sign ? "=" : "") < 0 || dw_base64_put(out, challenge) < 0 ||
        dw_buf_put_u8(out, '\n') < 0) {
        dw_buf_cut(out, before);
        return out_of_memory(s);
    }
    return 0;
}

/* Said of an id that has no exchange; the driver is told why. */
static enum dw_act fail_unknown(struct service *s, uint32_t id, enum dw_dovecot_refusal how, struct dw_effect *fx,
                                const char *why)
{
    dw_error_set(&fx->why, how == DW_DOVECOT_TEMPORARY ? DW_ERROR_LIMIT : DW_ERROR_PROTOCOL, "%s", why);
    put_fail(s, id, how);
    return DW_DATA;
}

/* Ends an exchange on its own account; the driver is told. */
static enum dw_act fail(struct service *s, struct exchange *x, struct dw_effect *fx, const struct dw_error *why)
{
    fx->why = *why;
    s->shown = x;
    put_fail(s, x->shown.id, refusal_of(why->kind));
    end_exchange(s, x);
    return DW_DATA;
}

static enum dw_act step(struct service *s, struct exchange *x, struct dw_effect *fx)
{
    struct dw_error why = {.kind = DW_ERROR_NONE};
    struct dw_buf challenge = {0};
    enum dw_act act = DW_NEED;
    DL_DELETE(s->ready, x);
    x->state = AWAITS_CLIENT;
    switch (dw_sasl_step(x->sasl, dw_buf_span(&x->message), x->has_message, &challenge, &why)) {
    case DW_SASL_CHALLENGE: put_challenge(s, &x->shown, dw_buf_span(&challenge)); break;
    case DW_SASL_DONE:
        x->state = AWAITS_VERDICT;
        x->final = challenge;
        challenge = (struct dw_buf){0};
        act = show(s, x, DW_ASK_ADMIT);
        break;
    default: act = fail(s, x, fx, &why);
    }
    dw_buf_free(&challenge);
    dw_buf_free(&x->message);
    return act;
}

static void make_ready(struct service *s, struct exchange *x)
{
    x->state = TO_BE_STEPPED;
    DL_APPEND(s->ready, x);
}

/* "=" is nothing, written so that it is seen. */
static int take_data(struct exchange *x, struct dw_span data, struct dw_error *err)
{
    x->has_message = data.at != NULL;
    if (data.len == 0 || dw_span_equal(data, DW_SPAN_OF("=")))
        return 0;
    if (dw_base64_take(&x->message, data) < 0)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "data that is not base64");
    return 0;
}

/* -- lines ----------------------------------------------------------------------------------------------- */

/* Ends with dw_machine_free only: no peer sees what came before. */
static enum dw_act close_for(struct service *s, struct dw_effect *fx)
{
    fx->why = s->why;
    return DW_CLOSE;
}

static enum dw_act wrong(struct service *s, struct dw_effect *fx, const char *why)
{
    dw_error_set(&s->why, DW_ERROR_PROTOCOL, "%s", why);
    return close_for(s, fx);
}

/* The value as text, or NULL: not given, or none that could be shown. */
static char *text_of(struct service *s, struct dw_span value)
{
    struct dw_buf plain = {0};
    char *text = NULL;
    if (value.at && dw_dovecot_unescape(&plain, value) < 0)
        out_of_memory(s);
    struct dw_span said = dw_buf_span(&plain);
    if (said.len && dw_text_is_utf8(said) && !dw_text_has_control(said) && !(text = dw_text_dup(said)))
        out_of_memory(s);
    dw_buf_free(&plain);
    return text;
}

static int port_of(struct dw_span value)
{
    int port = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9' || port > 65535)
            return 0;
        port = port * 10 + (value.at[i] - '0');
    }
    return port <= 65535 ? port : 0;
}

static const char *offered(const struct service *s, struct dw_span mechanism)
{
    for (const char *const *at = s->mechanisms; *at; at++)
        if (dw_span_equal(mechanism, dw_span_str(*at)))
            return *at;
    return NULL;
}

static struct exchange *find(struct service *s, uint32_t id)
{
    struct exchange *x;
    HASH_FIND(hh, s->open, &id, sizeof id, x);
    return x;
}

static enum dw_act take_auth(struct service *s, const struct dw_dovecot_line *line, struct dw_effect *fx)
{
    struct dw_error why = {.kind = DW_ERROR_NONE};
    const char *mechanism = offered(s, line->mechanism);
    if (find(s, line->number))
        return wrong(s, fx, "AUTH with the id of an exchange that is open");
    if (!mechanism)
        return fail_unknown(s, line->number, DW_DOVECOT_DENIED, fx, "a mechanism that is not offered");
    if (HASH_COUNT(s->open) >= DW_DOVECOT_MOST_OPEN)
        return fail_unknown(s, line->number, DW_DOVECOT_TEMPORARY, fx, "too many exchanges at once");
    struct exchange *x = calloc(1, sizeof *x);
    if (!x) {
        out_of_memory(s);
        return DW_NEED;
    }
    x->message.meter = s->machine.out.meter;
    x->shown = (struct dw_dovecot_exchange){
        .id = line->number,
        .mechanism = mechanism,
        .service = text_of(s, line->service),
        .remote = text_of(s, line->remote),
        .remote_port = port_of(line->remote_port),
        .local_name = text_of(s, line->local_name),
    };
    HASH_ADD(hh, s->open, shown.id, sizeof x->shown.id, x);
    if (!x->hh.tbl) {
        free_exchange(x);
        out_of_memory(s);
        return DW_NEED;
    }
    if (!x->shown.service)
        dw_error_set(&why, DW_ERROR_PROTOCOL, "a service that is no text");
    if (why.kind || take_data(x, line->data, &why) < 0)
        return fail(s, x, fx, &why);
    return show(s, x, DW_ASK_REALM);
}

static enum dw_act take_cont(struct service *s, const struct dw_dovecot_line *line, struct dw_effect *fx)
{
    struct dw_error why = {.kind = DW_ERROR_NONE};
    struct exchange *x = find(s, line->number);
    if (!x)
        return fail_unknown(s, line->number, DW_DOVECOT_DENIED, fx,
                            "CONT of an exchange that is not open, or took too long");
    if (x->state != AWAITS_CLIENT)
        return wrong(s, fx, "CONT before its exchange had an answer");
    if (take_data(x, line->data, &why) < 0)
        return fail(s, x, fx, &why);
    make_ready(s, x);
    return DW_NEED;
}

static enum dw_act take_cancel(struct service *s, const struct dw_dovecot_line *line, struct dw_effect *fx)
{
    struct exchange *x = find(s, line->number);
    if (!x)
        return DW_NEED;
    dw_error_set(&fx->why, DW_ERROR_CLOSED, "given up by the client");
    s->shown = x;
    end_exchange(s, x);
    return DW_DATA;
}

static enum dw_act take_line(struct service *s, struct dw_span text, struct dw_effect *fx)
{
    struct dw_dovecot_line line;
    if (dw_dovecot_parse(&line, text, &s->why) < 0)
        return close_for(s, fx);
    if (line.command != DW_DOVECOT_VERSION && !s->has_version)
        return wrong(s, fx, "VERSION has to come first");
    switch (line.command) {
    case DW_DOVECOT_VERSION:
        if (s->has_version)
            return wrong(s, fx, "VERSION for a second time");
        if (line.number != VERSION)
            return wrong(s, fx, "another major version than 1");
        s->has_version = true;
        return DW_NEED;
    case DW_DOVECOT_CPID:
        if (s->client)
            return wrong(s, fx, "CPID for a second time");
        s->client = line.number;
        return DW_META;
    default: break;
    }
    if (!s->client)
        return wrong(s, fx, "CPID has to come before an exchange");
    return line.command == DW_DOVECOT_AUTH   ? take_auth(s, &line, fx)
           : line.command == DW_DOVECOT_CONT ? take_cont(s, &line, fx)
                                             : take_cancel(s, &line, fx);
}

static enum dw_act next(struct dw_machine *m, struct dw_effect *fx)
{
    struct service *s = service_of(m);
    struct dw_span line;
    enum dw_act act = DW_NEED;
    *fx = (struct dw_effect){.why = {.kind = DW_ERROR_NONE}};
    let_go_of_shown(s);
    while (act == DW_NEED && !s->why.kind) {
        if (s->ready) {
            act = step(s, s->ready, fx);
        } else if (dw_dovecot_next_line(m, &s->looked, DW_DOVECOT_LINE_BYTES, &line, &s->why)) {
            act = take_line(s, line, fx);
        } else if (!s->why.kind) {
            return DW_NEED;
        }
    }
    return s->why.kind ? close_for(s, fx) : act;
}

static void free_service(struct dw_machine *m)
{
    struct service *s = service_of(m);
    struct exchange *x, *after;
    let_go_of_shown(s);
    HASH_ITER(hh, s->open, x, after)
    {
        HASH_DEL(s->open, x);
        free_exchange(x);
    }
    free(s);
}

/* -- the driver's part ----------------------------------------------------------------------------------- */

struct dw_machine *dw_dovecot_new(const struct dw_dovecot_options *options)
{
    static const struct dw_machine_ops ops = {.next = next, .free = free_service};
    struct service *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    struct dw_machine *m = &s->machine;
    dw_machine_init(m, &ops, options->meter);
    s->mechanisms = options->mechanisms;
    int rc = dw_buf_printf(&m->out, "VERSION\t%d\t1\n", VERSION);
    for (const char *const *at = s->mechanisms; *at; at++)
        rc |= dw_buf_printf(&m->out, "MECH\t%s\tmutual-auth\n", *at);
    rc |= dw_buf_printf(&m->out, "SPID\t%u\nCUID\t%u\nCOOKIE\t", options->pid, options->number);
    rc |= dw_text_hex(&m->out, dw_span_make(options->cookie, sizeof options->cookie));
    rc |= dw_buf_printf(&m->out, "\nDONE\n");
    if (rc < 0)
        dw_machine_free(&m);
    return m;
}

struct dw_dovecot_exchange *dw_dovecot_exchange(const struct dw_machine *m)
{
    const struct service *s = (const struct service *)(const void *)m;
    return s->shown ? &s->shown->shown : NULL;
}

uint32_t dw_dovecot_client(const struct dw_machine *m)
{
    return ((const struct service *)(const void *)m)->client;
}

const struct dw_sasl *dw_dovecot_sasl(const struct dw_dovecot_exchange *exchange)
{
    return exchange_of(exchange)->sasl;
}

int dw_dovecot_begin(struct dw_machine *m, struct dw_dovecot_exchange *exchange,
                     const struct dw_sasl_options *options)
{
    struct exchange *x = exchange_of(exchange);
    x->sasl = dw_sasl_new(dw_span_str(exchange->mechanism), options);
    if (!x->sasl) {
        dw_dovecot_refuse(m, exchange, DW_DOVECOT_TEMPORARY);
        return -1;
    }
    make_ready(service_of(m), x);
    return 0;
}

int dw_dovecot_pass(struct dw_machine *m, struct dw_dovecot_exchange *exchange, struct dw_span user)
{
    struct service *s = service_of(m);
    struct exchange *x = exchange_of(exchange);
    struct dw_span final = dw_buf_span(&x->final);
    size_t before = dw_buf_len(&m->out);
    int rc = dw_buf_printf(&m->out, "OK\t%u\tuser=", exchange->id);
    rc |= dw_dovecot_escape(&m->out, user);
    if (dw_sasl_has_final(x->sasl))
        rc |= dw_buf_printf(&m->out, "\tresp=") | dw_base64_put(&m->out, final);
    rc |= dw_buf_put_u8(&m->out, '\n');
    if (rc < 0) {
        dw_buf_cut(&m->out, before);
        out_of_memory(s);
    }
    end_exchange(s, x);
    return rc < 0 ? -1 : 0;
}

int dw_dovecot_refuse(struct dw_machine *m, struct dw_dovecot_exchange *exchange, enum dw_dovecot_refusal how)
{
    struct service *s = service_of(m);
    int rc = put_fail(s, exchange->id, how);
    end_exchange(s, exchange_of(exchange));
    return rc;
}

int dw_dovecot_expire(struct dw_machine *m, struct dw_dovecot_exchange *exchange)
{
    if (exchange_of(exchange)->state != AWAITS_CLIENT)
        return dw_dovecot_refuse(m, exchange, DW_DOVECOT_TEMPORARY);
    end_exchange(service_of(m), exchange_of(exchange));
    return 0;
}
