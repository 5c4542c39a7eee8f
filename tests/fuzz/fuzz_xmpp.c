/* An XMPP client that may say anything.  The first octet chooses the driver's manners, the second how the rest, what the
 * client says, is cut; once TLS is agreed on, what it says goes through the toy's.  The toy GSSAPI takes any token that has
 * its form, so that what is inside is reached.  What comes out as data is pushed back as if the backend had said it. */
#include "toy_gss.h"
#include "toy_tls.h"
#include "xmpp/client.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DIRECT = 1, DENY = 2, LATE = 4, END = 8, SMALL_SCRATCH = 16, BYE = 32, STRICT = 64, NAMED = 128 };

struct driver {
    unsigned manners;
    struct dw_machine *m;
    struct dw_meter meter;
    enum dw_act asked;
    bool closed, greeted, open;
    size_t refusals, data;
};

static void must(bool so)
{
    if (!so)
        abort();
}

static bool is_ours(void *arg, const char *target)
{
    (void)arg;
    return target[0] != '-';
}

static void answer(struct driver *d)
{
    static const char *const mechanisms[] = {"GS2-KRB5-PLUS", "GS2-KRB5", "GSSAPI", NULL};
    static const char *const spaces[] = {"urn:xmpp:domain-based-name:1", NULL};
    const struct dw_xmpp_offer offer = {
        .mechanisms = mechanisms,
        .hostname = "cm7.example.com",
        .hostname_namespaces = spaces,
        .binding_types = true,
        .sasl = {.cred = toy_cred(), .is_ours = is_ours, .require_mutual = d->manners & STRICT},
    };
    enum dw_act asked = d->asked;
    d->asked = DW_NEED;
    if (d->closed)
        return;
    if (asked == DW_ASK_REALM) {
        must(dw_xmpp_client_domain(d->m) != NULL);
        must(dw_xmpp_client_offer(d->m, &offer) == 0);
    } else if (asked == DW_ASK_ADMIT && (d->manners & DENY)) {
        dw_xmpp_client_refuse(d->m, (enum dw_xmpp_refusal)(d->refusals++ % 3));
        must(d->refusals <= 3);
    } else if (asked == DW_ASK_ADMIT) {
        must(dw_xmpp_client_sasl(d->m) && dw_xmpp_client_mechanism(d->m)[0]);
        must(dw_context_peer(dw_sasl_context(dw_xmpp_client_sasl(d->m))) != NULL);
        if (d->manners & NAMED)
            must(dw_xmpp_client_user(d->m, DW_SPAN_OF("alice@example.com")) == 0);
        dw_xmpp_client_welcome(d->m);
    }
}

static void push_back(struct driver *d, struct dw_span octets)
{
    struct dw_error err = {0};
    uint8_t *copy = malloc(octets.len + 1);
    memcpy(copy, octets.at, octets.len);
    d->data += octets.len;
    must(dw_machine_push(d->m, (struct dw_frame){.body = dw_span_make(copy, octets.len)}, &err) == 0);
    free(copy);
    if ((d->manners & END) && d->data > 20)
        dw_xmpp_client_end(d->m, "policy-violation", "enough");
    dw_buf_clear(&d->m->out, 4096);
}

static void pump(struct driver *d)
{
    struct dw_effect fx;
    while (!d->closed) {
        enum dw_act act = dw_machine_next(d->m, &fx);
        if (act == DW_NEED) {
            if (d->asked == DW_NEED || (d->manners & LATE))
                return;
            answer(d);
        } else if (act == DW_DATA) {
            must(d->open && fx.frame.body.len > 0);
            push_back(d, fx.frame.body);
        } else if (act == DW_META) {
            must(!d->open && fx.meta.len > 0 && fx.meta.at[0] == '<' && fx.meta.at[fx.meta.len - 1] == '>');
            d->open = true;
        } else if (act == DW_CLOSE) {
            must(fx.why.kind != DW_ERROR_NONE && fx.why.detail[0]);
            must(dw_machine_next(d->m, &fx) == DW_CLOSE);
            d->closed = true;
        } else {
            must(d->asked == DW_NEED && (act == DW_ASK_REALM || act == DW_ASK_ADMIT));
            d->asked = act;
        }
    }
}

static void turn(struct driver *d)
{
    pump(d);
    must(dw_machine_settle(d->m) == 0);
    must(dw_machine_has_input(d->m) || d->m->held.cap == 0);
    dw_buf_clear(&d->m->out, 0);
    /* An open stream that has nothing to do holds nothing. */
    must(!d->open || d->closed || (d->manners & END) || d->meter.held == 0);
}

static void say(struct driver *d, const uint8_t *octets, size_t len, uint8_t *scratch, size_t scratch_size)
{
    while (len > 0 && !d->closed) {
        size_t room_size;
        uint8_t *room = dw_machine_room(d->m, scratch, scratch_size, &room_size);
        size_t now = len < room_size ? len : room_size;
        memcpy(room, octets, now);
        octets += now;
        len -= now;
        dw_machine_filled(d->m, room, now);
        turn(d);
        memset(scratch, 0xa5, scratch_size);
        answer(d);
        turn(d);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const domains[] = {"example.com", "xn--bcher-kva.example", NULL};
    static const uint8_t hello = TOY_TLS_HELLO, bye = TOY_TLS_BYE;
    if (size < 2 || size > 200000)
        return 0;
    struct driver d = {.manners = data[0]};
    size_t piece = data[1] ? data[1] * 3u : SIZE_MAX, scratch_size = d.manners & SMALL_SCRATCH ? 64 : 4096;
    const struct dw_xmpp_client_options options = {
        .domains = domains, .tls = toy_tls_context(), .direct_tls = d.manners & DIRECT, .meter = &d.meter};
    uint8_t *scratch = malloc(scratch_size);
    toy_trusts = true;
    d.m = dw_xmpp_client_new(&options);
    for (size_t at = 2; at < size && !d.closed;) {
        size_t len = piece < size - at ? piece : size - at;
        struct dw_buf octets = {0};
        if (!d.greeted && strcmp(dw_xmpp_client_state(d.m), "tls") == 0) {
            say(&d, &hello, 1, scratch, scratch_size);
            d.greeted = true;
        }
        for (size_t i = 0; i < len; i++) {
            dw_buf_put_u8(&octets, d.greeted ? data[at + i] ^ TOY_TLS_CHANGE : data[at + i]);
            /* A client waits for its answers, or nothing would get past <starttls/> and the last response. */
            if (data[at + i] == '>' && (!d.greeted || !(data[1] & 1)))
                len = i + 1;
        }
        say(&d, dw_buf_span(&octets).at, len, scratch, scratch_size);
        dw_buf_free(&octets);
        at += len;
    }
    if (d.greeted && (d.manners & BYE))
        say(&d, &bye, 1, scratch, scratch_size);
    must(dw_xmpp_client_state(d.m)[0] != '\0');
    if (d.manners & END)
        dw_xmpp_client_end(d.m, "system-shutdown", NULL);
    dw_machine_free(&d.m);
    must(d.meter.held == 0 && toy_tls_alive() == 0);
    free(scratch);
    return 0;
}
