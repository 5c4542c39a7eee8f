/* Any octets, taken for what a backend says to our login stream in the clear.  The first octet says in which pieces they
 * come and when the driver goes on.  A user is in only after <success/>, nothing is passed on before the restart, and
 * what we say is one header's features at most. */
#include "xmpp/login.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        __builtin_trap();
}

struct talk {
    struct dw_machine *m;
    unsigned choice;
    int metas;
    bool closed, restarted;
};

static void go_on(struct talk *t)
{
    static const struct dw_xmpp_credentials plain = {
        .mechanism = "PLAIN", .authcid = {(const uint8_t *)"alice", 5}, .password = {(const uint8_t *)"token", 5}};
    static const struct dw_xmpp_credentials external = {.mechanism = "EXTERNAL",
                                                        .authzid = {(const uint8_t *)"a@b", 3}};
    struct dw_error err;
    if (t->metas == 1) {
        dw_xmpp_login_go(t->m, t->choice & 0x80 ? &external : &plain);
    } else if (t->choice & 0x40) {
        must(dw_machine_push(t->m, (struct dw_frame){.body = DW_SPAN_OF("<restart>")}, &err) == 0);
        t->restarted = true;
    }
}

static void settle(struct talk *t)
{
    struct dw_effect fx = {0};
    for (;;) {
        enum dw_act act = dw_machine_next(t->m, &fx);
        if (act == DW_META) {
            must(++t->metas <= 2);
            go_on(t);
        } else if (act == DW_DATA) {
            must(t->metas == 2 && t->restarted && fx.frame.body.len > 0);
        } else {
            must(act == DW_NEED || (act == DW_CLOSE && fx.why.kind != DW_ERROR_NONE && *fx.why.detail));
            must(act == DW_CLOSE || !dw_machine_has_input(t->m));
            t->closed = act == DW_CLOSE;
            return;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t scratch[4096];
    if (size < 1)
        return 0;
    struct dw_meter meter = {0};
    struct talk t = {.choice = data[0]};
    t.m = dw_xmpp_login_new(&(struct dw_xmpp_login_options){.domain = "example.com", .meter = &meter});
    must(t.m != NULL);
    size_t piece = (t.choice & 0x3f) ? t.choice & 0x3f : sizeof scratch;
    data++, size--;
    while (size > 0 && !t.closed) {
        size_t len;
        uint8_t *room = dw_machine_room(t.m, scratch, sizeof scratch, &len);
        len = len < piece ? len : piece;
        len = len < size ? len : size;
        memcpy(room, data, len);
        dw_machine_filled(t.m, room, len);
        data += len, size -= len;
        settle(&t);
        must(dw_machine_settle(t.m) == 0 && atomic_load(&meter.held) < 1000000);
    }
    dw_machine_free(&t.m);
    must(atomic_load(&meter.held) == 0);
    return 0;
}
