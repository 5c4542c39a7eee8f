/* ZAP over ipc and tcp: see zapsock.h. */
#include "net/zapsock.h"

#include "net/broker.h"
#include "net/zapasks.h"
#include "zap/zap.h"
#include "zmtp/command.h"
#include "zmtp/peer.h"

#include <stdio.h>

/* A frame of more than FRAME_BYTES ends the connection; one that is merely too long for a request is skipped. */
enum { MOST_OPEN = 1024, FRAME_BYTES = 1024 * 1024, REPLIES_HIGH = 16 * 1024 * 1024, LINGER_MS = 10000 };

struct zapsock {
    struct dw_asker asker; /* first */
    struct dw_buf message; /* the frames that have come of the next one */
    bool is_skipping; /* it has grown too long: its other frames are thrown away */
    struct dw_zapasks asks;
};

static struct zapsock *of(struct dw_asker *asker)
{
    return (struct zapsock *)asker;
}

/* -- questions ------------------------------------------------------------------------------------------- */

static void reply(void *arg, const struct dw_span *message)
{
    struct zapsock *z = arg;
    struct dw_error err = {0};
    struct dw_span frame;
    int rc = message ? 0 : -1;
    struct dw_reader frames = dw_reader_make(message ? *message : DW_SPAN_NONE);
    while (rc == 0 && !z->asker.is_doomed && dw_zap_next(&frames, &frame)) {
        unsigned flags = dw_reader_left(&frames) > 0 ? DW_FRAME_MORE : 0;
        rc = dw_machine_push(z->asker.leg.machine, (struct dw_frame){flags, frame}, &err);
    }
    if (rc < 0)
        dw_asker_doom(&z->asker, DW_LOG_ERROR, "a ZAP reply cannot be sent", "out of memory");
    dw_asker_stir(&z->asker);
}

static void malformed(void *arg, const char *why)
{
    const struct zapsock *z = arg;
    dw_asker_log(&z->asker, DW_LOG_WARN, "malformed ZAP request", why);
}

/* -- what comes in ---------------------------------------------------------------------------------------- */

/* RFC 37: PING has a TTL in 2 octets and a context, which PONG gives back. */
static void take_command(struct zapsock *z, struct dw_span body)
{
    struct dw_error err = {0};
    uint8_t pong[32] = "\4PONG";
    if (body.at[2] != 'I')
        return;
    memcpy(pong + 5, body.at + 7, body.len - 7);
    struct dw_frame frame = {DW_FRAME_COMMAND, dw_span_make(pong, body.len - 2)};
    if (dw_machine_push(z->asker.leg.machine, frame, &err) < 0)
        dw_asker_doom(&z->asker, DW_LOG_ERROR, "a PONG cannot be sent", err.detail);
}

static void take_frame(struct zapsock *z, struct dw_frame frame)
{
    if (frame.flags & DW_FRAME_COMMAND) {
        take_command(z, frame.body);
        return;
    }
    if (!z->is_skipping && dw_buf_len(&z->message) + 4 + frame.body.len > DW_ZAP_BYTES) {
        z->is_skipping = true;
        dw_buf_free(&z->message);
        dw_tally_add(dw_broker_tally(z->asker.worker->broker), DW_COUNT_ZAP_MALFORMED, 1);
        malformed(z, "it is too long");
    }
    int rc = z->is_skipping ? 0 : dw_zap_put(&z->message, frame.body);
    if (rc == 0 && (frame.flags & DW_FRAME_MORE))
        return;
    if (rc == 0 && !z->is_skipping)
        rc = dw_zapasks_take(&z->asks, &z->message);
    if (rc < 0)
        dw_asker_doom(&z->asker, DW_LOG_ERROR, "a ZAP request cannot be taken", "out of memory");
    z->is_skipping = false;
}

static void join(struct zapsock *z, struct dw_span meta)
{
    char why[64];
    struct dw_span type = dw_properties_find(meta, "Socket-Type");
    if (!dw_socket_types_match(type, DW_SPAN_OF("ROUTER"))) {
        snprintf(why, sizeof why, "%.*s does not talk to a ROUTER", (int)type.len, (const char *)type.at);
        dw_asker_doom(&z->asker, DW_LOG_WARN, "not a ZAP forwarder", why);
        return;
    }
    dw_zmtp_peer_open(z->asker.leg.machine);
    dw_asker_join(&z->asker);
}

static void take(struct dw_asker *asker, enum dw_act act, const struct dw_effect *fx)
{
    if (act == DW_META)
        join(of(asker), fx->meta);
    else if (act == DW_DATA)
        take_frame(of(asker), fx->frame);
}

/* -- its kind --------------------------------------------------------------------------------------------- */

static bool is_full(const struct dw_asker *asker)
{
    return ((const struct zapsock *)asker)->asks.open_count >= MOST_OPEN;
}

static bool is_idle(const struct dw_asker *asker)
{
    return ((const struct zapsock *)asker)->asks.open_count == 0;
}

static void turn(struct dw_asker *asker)
{
    dw_zapasks_sweep(&of(asker)->asks);
}

static uint64_t due(const struct dw_asker *asker)
{
    return dw_zapasks_due(&((const struct zapsock *)asker)->asks);
}

static void expire(struct dw_asker *asker, uint64_t now)
{
    dw_zapasks_expire(&of(asker)->asks, now);
}

static void cancel(struct dw_asker *asker)
{
    dw_zapasks_cancel(&of(asker)->asks);
    dw_buf_free(&of(asker)->message);
}

/* Its READY needs nothing of the peer's, so it follows the greeting at once. */
static struct dw_machine *make_machine(struct dw_worker *worker)
{
    struct dw_zmtp_options options = {
        .role = DW_ZMTP_NULL,
        .frame_bytes = FRAME_BYTES,
        .meter = dw_tally_meter(dw_broker_tally(worker->broker)),
    };
    struct dw_buf meta = {0};
    struct dw_machine *machine = dw_zmtp_peer_new(&options);
    if (machine && (dw_property_put(&meta, DW_SPAN_OF("Socket-Type"), DW_SPAN_OF("ROUTER")) < 0 ||
                    dw_zmtp_peer_ready(machine, dw_buf_span(&meta)) < 0))
        dw_machine_free(&machine);
    dw_buf_free(&meta);
    return machine;
}

static int make(struct dw_asker *asker, const struct dw_listener_config *listener)
{
    struct zapsock *z = of(asker);
    struct dw_worker *worker = asker->worker;
    struct dw_tally *tally = dw_broker_tally(worker->broker);
    (void)listener;
    asker->usual = DW_LOG_INFO;
    asker->leg.machine = make_machine(worker);
    z->message.meter = dw_tally_meter(tally);
    z->asks.with = (struct dw_zapasks_with){
        .loop = &worker->loop,
        .settings = &worker->settings,
        .office = &worker->office,
        .tally = tally,
        .shadow = dw_broker_shadow(worker->broker),
        .salt = dw_broker_salt(worker->broker),
        .index = worker->index,
        .next_number = &worker->next_number,
        .listener = asker->listener,
        .arg = z,
        .reply = reply,
        .malformed = malformed,
    };
    return asker->leg.machine ? 0 : -1;
}

const struct dw_asker_kind dw_zapsock_kind = {
    .size = sizeof(struct zapsock),
    .replies_high = REPLIES_HIGH,
    .linger_ms = LINGER_MS,
    .keeps_unjoined = true,
    .joined = "ZAP forwarder joined",
    .left = "ZAP forwarder left",
    .left_early = "ZAP forwarder left during the handshake",
    .closed = "ZAP forwarder closed for an error",
    .unheard = "a ZAP forwarder cannot be heard",
    .make = make,
    .take = take,
    .is_full = is_full,
    .is_idle = is_idle,
    .turn = turn,
    .due = due,
    .expire = expire,
    .cancel = cancel,
};
