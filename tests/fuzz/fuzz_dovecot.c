/* Any octets, taken for what a server asks by Dovecot's protocol, over the toy GSSAPI; a driver begins, passes and
 * refuses what it is asked, by what the octets say.  What the machine says are whole lines of the protocol, one for each
 * thing that a client waits for. */
#include "toy_gss.h"

#include "dovecot/line.h"
#include "dovecot/service.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_said(struct dw_machine *m)
{
    static const char *const verbs[] = {"VERSION\t", "MECH\t", "SPID\t", "CUID\t", "COOKIE\t",
                                        "DONE\n",    "CONT\t", "FAIL\t", "OK\t"};
    for (struct dw_span said = dw_buf_span(&m->out); said.len;) {
        const uint8_t *end = memchr(said.at, '\n', said.len);
        size_t known = 0;
        for (size_t i = 0; end && i < sizeof verbs / sizeof verbs[0]; i++)
            known += said.len >= strlen(verbs[i]) && memcmp(said.at, verbs[i], strlen(verbs[i])) == 0;
        if (known != 1 || memchr(said.at, 0, (size_t)(end - said.at)))
            __builtin_trap();
        said = dw_span_make(end + 1, said.len - (size_t)(end + 1 - said.at));
    }
    dw_buf_clear(&m->out, 0);
}

static void drive(struct dw_machine *m, enum dw_act act, unsigned choice)
{
    struct dw_dovecot_exchange *x = dw_dovecot_exchange(m);
    const struct dw_sasl_options options = {.cred = toy_cred(), .require_mutual = choice & 8};
    if (act == DW_ASK_REALM && (choice & 7) == 0)
        dw_dovecot_refuse(m, x, DW_DOVECOT_TEMPORARY);
    else if (act == DW_ASK_REALM && (choice & 7) != 1)
        dw_dovecot_begin(m, x, &options);
    else if (act == DW_ASK_ADMIT && (choice & 1))
        dw_dovecot_pass(m, x, dw_sasl_authzid(dw_dovecot_sasl(x)));
    else if (act == DW_ASK_ADMIT)
        dw_dovecot_expire(m, x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const mechanisms[] = {"GSSAPI", "GS2-KRB5", NULL};
    static uint8_t scratch[4096];
    struct dw_dovecot_line line;
    struct dw_error err;
    struct dw_effect fx;
    enum dw_act act = DW_NEED;
    toy_trusts = true;
    dw_dovecot_parse(&line, dw_span_make(data, size), &err);
    struct dw_machine *m =
        dw_dovecot_new(&(struct dw_dovecot_options){.mechanisms = mechanisms, .pid = 1, .number = 1});
    if (!m || size < 1)
        goto done;
    unsigned choice = data[0];
    data++, size--;
    while (size > 0 && act != DW_CLOSE) {
        size_t len;
        uint8_t *room = dw_machine_room(m, scratch, sizeof scratch, &len);
        if (!room)
            break;
        if (len > size)
            len = size;
        memcpy(room, data, len);
        data += len;
        size -= len;
        dw_machine_filled(m, room, len);
        while ((act = dw_machine_next(m, &fx)) != DW_NEED && act != DW_CLOSE) {
            drive(m, act, choice);
            choice = choice * 5 + 1;
        }
        check_said(m);
        if (dw_machine_settle(m) < 0)
            break;
    }
done:
    dw_machine_free(&m);
    return 0;
}
