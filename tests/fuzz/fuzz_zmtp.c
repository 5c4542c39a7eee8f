/* A ZMTP peer that may say anything.  The first octet chooses the machine and the driver's manners, the second how
 * the rest, the peer's octets, is cut.  The toy GSSAPI takes any token that has its form, so that what is inside
 * is reached; what comes out is pushed into a second machine, and back. */
#include "toy_gss.h"
#include "zmtp/command.h"
#include "zmtp/peer.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROLE = 3, PLAINTEXT = 4, ERROR = 8, DENY = 16, LATE = 32, FAR_IS_3_0 = 64, SMALL_SCRATCH = 128 };

struct driver {
    unsigned manners;
    struct dw_machine *near, *far;
    enum dw_act asked;
    struct dw_span token;
    bool closed;
};

static void must(bool so)
{
    if (!so)
        abort();
}

static void ready(struct dw_machine *m, const char *type)
{
    struct dw_buf meta = {0};
    dw_property_put(&meta, DW_SPAN_OF("Socket-Type"), dw_span_str(type));
    must(dw_zmtp_peer_ready(m, dw_buf_span(&meta)) == 0);
    dw_buf_free(&meta);
}

/* The other side: a plain peer, joined and open. */
static struct dw_machine *far_side(bool is_3_0)
{
    static const char hello[] = "\xff\0\0\0\0\0\0\0\0\x7f\3\1NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                "\x04\x1a\5READY\x0bSocket-Type\0\0\0\4XPUB";
    uint8_t room[sizeof hello - 1];
    struct dw_zmtp_options options = {.role = DW_ZMTP_NULL, .frame_bytes = 1 << 20};
    struct dw_machine *m = dw_zmtp_peer_new(&options);
    struct dw_effect fx;
    memcpy(room, hello, sizeof room);
    room[11] = !is_3_0;
    dw_machine_filled(m, room, sizeof room);
    must(dw_machine_next(m, &fx) == DW_META);
    dw_machine_settle(m);
    ready(m, "SUB");
    dw_zmtp_peer_open(m);
    return m;
}

static void step(struct driver *d)
{
    struct dw_buf reply = {0};
    struct dw_error err = {0};
    if (!dw_zmtp_peer_stepping(d->near))
        dw_zmtp_peer_initiate(d->near, dw_context_initiate(toy_cred(), "zmq@hq", NULL, &err));
    int progress = dw_context_step(dw_zmtp_peer_stepping(d->near), d->token, &reply, &err);
    dw_zmtp_peer_stepped(d->near, progress, dw_buf_span(&reply), &err);
    dw_buf_free(&reply);
}

static void answer(struct driver *d)
{
    enum dw_act asked = d->asked;
    d->asked = DW_NEED;
    switch (asked) {
    case DW_ASK_REALM: dw_zmtp_peer_credential(d->near, toy_cred()); break;
    case DW_ASK_ADMIT:
        dw_machine_answer(d->near, !(d->manners & DENY));
        if (!(d->manners & DENY))
            ready(d->near, "XPUB");
        break;
    case DW_STEP: step(d); break;
    case DW_META:
        if ((d->manners & ROLE) >= 2)
            ready(d->near, "DEALER");
        dw_zmtp_peer_open(d->near);
        break;
    default: break;
    }
}

static void cross(struct driver *d, struct dw_frame frame)
{
    struct dw_error err;
    unsigned flags = frame.flags;
    must((flags & (flags - 1)) == 0 && flags <= DW_FRAME_CANCEL);
    must(!(flags & DW_FRAME_COMMAND) || (frame.body.len >= 5 && frame.body.len <= 23 && frame.body.at[0] == 4));
    must(dw_machine_push(d->far, frame, &err) == 0);
    must(dw_machine_push(d->near, frame, &err) == 0);
    dw_buf_clear(&d->far->out, 4096);
    dw_buf_clear(&d->near->out, 4096);
}

static void pump(struct driver *d)
{
    struct dw_effect fx;
    while (!d->closed) {
        enum dw_act act = dw_machine_next(d->near, &fx);
        if (act == DW_NEED) {
            if (d->asked == DW_NEED)
                return;
            if (d->manners & LATE)
                return;
            answer(d);
        } else if (act == DW_DATA) {
            cross(d, fx.frame);
        } else if (act == DW_CLOSE) {
            must(fx.why.kind != DW_ERROR_NONE && fx.why.detail[0]);
            must(dw_machine_next(d->near, &fx) == DW_CLOSE);
            d->closed = true;
        } else {
            must(d->asked == DW_NEED);
            d->asked = act;
            d->token = fx.token;
        }
    }
}

static void turn(struct driver *d)
{
    pump(d);
    must(dw_machine_settle(d->near) == 0);
    must(dw_machine_has_input(d->near) || d->near->held.cap == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 200000)
        return 0;
    struct driver d = {.manners = data[0]};
    size_t piece = data[1] ? data[1] * 3u : SIZE_MAX, scratch_size = d.manners & SMALL_SCRATCH ? 64 : 4096;
    unsigned role = d.manners & ROLE;
    struct dw_zmtp_options options = {
        .role = role == 2   ? DW_ZMTP_INITIATOR
                : role == 3 ? DW_ZMTP_NULL
                            : DW_ZMTP_ACCEPTOR,
        .plaintext = d.manners & PLAINTEXT,
        .error_on_deny = d.manners & ERROR,
        .frame_bytes = 70000,
    };
    toy_trusts = true;
    uint8_t *scratch = malloc(scratch_size);
    d.near = dw_zmtp_peer_new(&options);
    d.far = far_side(d.manners & FAR_IS_3_0);
    turn(&d);
    for (size_t at = 2; at < size && !d.closed;) {
        size_t len;
        uint8_t *room = dw_machine_room(d.near, scratch, scratch_size, &len);
        len = len < piece ? len : piece;
        len = len < size - at ? len : size - at;
        memcpy(room, data + at, len);
        at += len;
        dw_machine_filled(d.near, room, len);
        turn(&d);
        memset(scratch, 0xa5, scratch_size);
        answer(&d);
        turn(&d);
    }
    must(dw_zmtp_peer_state(d.near)[0] != '\0');
    dw_machine_free(&d.near);
    dw_machine_free(&d.far);
    free(scratch);
    return 0;
}
