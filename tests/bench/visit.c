/* What a visit does and how it has to end: see visit.h. */
#include "visit.h"

#include <stdio.h>

#define MS 1000000u

/* xorshift64*: enough for choices and filler. */
static uint64_t draw(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717u;
}

static uint64_t below(struct visit *v, uint64_t bound)
{
    return (draw(&v->random) >> 16) % bound;
}

/* --- messages --- */

/* The next part; false when there are no more.  `body` is replaced. */
static bool mail_next(struct visit_mail *m, struct dw_buf *body, bool *more)
{
    static const size_t sizes[] = {0, 1, 10, 100, 240, 250, 300, 1000, 8192, 70000};
    if (m->parts == 0) {
        if (m->messages == 0)
            return false;
        m->messages--;
        m->parts = 1 + (unsigned)(draw(&m->random) >> 20) % 3;
    }
    m->parts--;
    *more = m->parts > 0;
    size_t size = m->bulky ? 65536 : sizes[(draw(&m->random) >> 20) % 10];
    dw_buf_clear(body, SIZE_MAX);
    uint8_t *room = dw_buf_room(body, size + 8);
    if (!room)
        die("out of memory");
    for (size_t i = 0; i < size; i += 8)
        dw_put_u64(room + i, draw(&m->random));
    dw_buf_added(body, size);
    return true;
}

static void send_mail(struct visit *v)
{
    struct dw_buf body = {0};
    bool more;
    while (mail_next(&v->sent, &body, &more))
        if (peer_send(&v->peer, dw_buf_span(&body), more) < 0)
            break;
    dw_buf_free(&body);
}

/* NULL, or what is wrong with what came back. */
static const char *compare_mail(struct visit *v)
{
    struct dw_buf body = {0};
    struct peer_message m;
    bool more;
    const char *wrong = NULL;
    while (!wrong && peer_take(&v->peer, &m) == 1) {
        if (!mail_next(&v->back, &body, &more))
            wrong = "more came back than was sent";
        else if (more != m.more || !dw_span_equal(m.body, dw_buf_span(&body)))
            wrong = "what came back is not what was sent";
    }
    dw_buf_free(&body);
    return wrong;
}

/* --- what is spoilt on its way out --- */

static bool is_turn(struct visit *v, enum peer_item item)
{
    if (v->spoilt || item != v->at)
        return false;
    v->spoilt = true;
    return true;
}

static bool spoil_cut(struct peer *p, enum peer_item item, struct dw_buf *octets)
{
    struct visit *v = p->owner;
    if (!is_turn(v, item))
        return true;
    bool hang = v->kind->end == VISIT_SHUT;
    dw_buf_cut(octets, below(v, dw_buf_len(octets) + (hang ? 0 : 1)));
    if (!hang)
        v->leave_at = now_ns() + below(v, 4) * below(v, 20) * MS;
    return false;
}

static bool spoil_noise(struct peer *p, enum peer_item item, struct dw_buf *octets)
{
    struct visit *v = p->owner;
    if (!is_turn(v, item))
        return true;
    size_t len = 1 + below(v, below(v, 2) ? 2000 : 20);
    dw_buf_cut(octets, 0);
    for (size_t i = 0; i < len; i++)
        dw_buf_put_u8(octets, (uint8_t)below(v, 256));
    return false;
}

/* Well-framed commands with nonsense in them. */
static bool spoil_junk(struct peer *p, enum peer_item item, struct dw_buf *octets)
{
    static const char *const names[] = {"\10INITIATE", "\7MESSAGE", "\5READY",      "\5ERROR", "\4PING",
                                        "\5HELLO",     "HELLO   ",  "\11SUBSCRIBE", "\xff",    ""};
    struct visit *v = p->owner;
    if (!is_turn(v, item))
        return true;
    const char *name = names[below(v, sizeof names / sizeof *names)];
    uint8_t body[256];
    size_t len = strlen(name), tail = 1 + below(v, 200);
    memcpy(body, name, len);
    for (size_t i = 0; i < tail; i++)
        body[len + i] = (uint8_t)below(v, 256);
    /* One in two has a true length in front of its nonsense. */
    if (tail > 4 && below(v, 2))
        dw_put_u32(body + len, (uint32_t)(tail - 4));
    dw_buf_cut(octets, 0);
    dw_buf_put_u8(octets, item == ITEM_MESSAGE ? 0 : 4);
    dw_buf_put_u8(octets, (uint8_t)(len + tail));
    dw_buf_put(octets, dw_span_make(body, len + tail));
    return false;
}

static bool spoil_flip(struct peer *p, enum peer_item item, struct dw_buf *octets)
{
    struct visit *v = p->owner;
    if (!is_turn(v, item))
        return true;
    size_t len = dw_buf_len(octets), from = 0;
    /* In a message only the sealed octets: a changed length would merely make the server wait. */
    if (item == ITEM_MESSAGE)
        from = len > 257 ? 21 : 14;
    octets->at[octets->head + from + below(v, len - from)] ^= (uint8_t)(1u << below(v, 8));
    return true;
}

static bool spoil_again(struct peer *p, enum peer_item item, struct dw_buf *octets)
{
    struct visit *v = p->owner;
    if (!is_turn(v, item))
        return true;
    size_t len = dw_buf_len(octets);
    if (!dw_buf_room(octets, len))
        die("out of memory");
    dw_buf_put(octets, dw_span_make(dw_buf_span(octets).at, len));
    return true;
}

/* --- what is done once admitted --- */

static void open_ping(struct visit *v)
{
    v->wants_pong = true;
    peer_ping(&v->peer);
    send_mail(v);
}

static void open_slow(struct visit *v)
{
    peer_pause(&v->peer, true);
    v->read_at = now_ns() + (50 + below(v, 400)) * MS;
    send_mail(v);
}

static void open_gone(struct visit *v)
{
    peer_pause(&v->peer, true);
    v->leave_at = now_ns() + below(v, 200) * MS;
    send_mail(v);
}

static void open_bare(struct visit *v)
{
    peer_send_wrapped(&v->peer, DW_SPAN_OF("\0in clear"), false);
}

static void open_hollow(struct visit *v)
{
    peer_send_wrapped(&v->peer, DW_SPAN_OF(""), true);
}

static void open_reserved(struct visit *v)
{
    uint8_t inner[] = {(uint8_t)(0x10u << below(v, 4)), 'x'};
    peer_send_wrapped(&v->peer, dw_span_make(inner, sizeof inner), true);
}

static void open_huge(struct visit *v)
{
    uint8_t head[9] = {2};
    dw_put_u64(head + 1, (uint64_t)1 << (32 + below(v, 32)));
    peer_send_raw(&v->peer, dw_span_make(head, sizeof head));
}

static void open_frame_flags(struct visit *v)
{
    uint8_t frame[] = {(uint8_t)(0x08u << below(v, 5)), 1, 'x'};
    peer_send_raw(&v->peer, dw_span_make(frame, sizeof frame));
}

static void open_nothing(struct visit *v)
{
    (void)v;
}

#define ANY ITEM_SIGNATURE, ITEM_MESSAGE
#define HANDSHAKE ITEM_SIGNATURE, ITEM_READY
#define NONE ITEM_MESSAGE, ITEM_MESSAGE

const struct visit_kind visit_kinds[] = {
    {"login", VISIT_WORKS, 300, 0, NONE, NULL, NULL},
    {"drip", VISIT_WORKS, 40, 0, NONE, NULL, NULL},
    {"ping", VISIT_WORKS, 40, 0, NONE, NULL, open_ping},
    {"slow", VISIT_WORKS, 20, 0, NONE, NULL, open_slow},
    {"gone", VISIT_LEAVES, 40, 0, NONE, NULL, open_gone},
    {"leave", VISIT_LEAVES, 250, 0, ANY, spoil_cut, NULL},
    {"hang", VISIT_SHUT, 25, 0, HANDSHAKE, spoil_cut, NULL},
    {"noise", VISIT_SHUT, 80, 0, HANDSHAKE, spoil_noise, NULL},
    {"junk", VISIT_SHUT, 80, VISIT_ENCRYPTED, ITEM_TOKEN, ITEM_MESSAGE, spoil_junk, NULL},
    {"flip", VISIT_EITHER, 60, 0, HANDSHAKE, spoil_flip, NULL},
    {"forge", VISIT_SHUT, 30, VISIT_ENCRYPTED, NONE, spoil_flip, NULL},
    {"again", VISIT_SHUT, 60, VISIT_ENCRYPTED, ANY, spoil_again, NULL},
    {"twin", VISIT_EITHER, 40, VISIT_HARD, NONE, NULL, NULL},
    {"bare", VISIT_SHUT, 15, VISIT_HARD | VISIT_ENCRYPTED, NONE, NULL, open_bare},
    {"hollow", VISIT_SHUT, 15, VISIT_HARD | VISIT_ENCRYPTED, NONE, NULL, open_hollow},
    {"reserved", VISIT_SHUT, 15, VISIT_HARD | VISIT_ENCRYPTED, NONE, NULL, open_reserved},
    {"huge", VISIT_SHUT, 15, VISIT_HARD, NONE, NULL, open_huge},
    {"flags", VISIT_SHUT, 15, VISIT_HARD, NONE, NULL, open_frame_flags},
    {"refused", VISIT_SHUT, 40, VISIT_REFUSED, NONE, NULL, open_nothing},
};
const size_t visit_kind_count = sizeof visit_kinds / sizeof *visit_kinds;

static bool fits(const struct load *l, const struct visit_kind *k)
{
    return !((k->needs & VISIT_HARD && l->stock) || (k->needs & VISIT_ENCRYPTED && l->how.plaintext) ||
             (k->needs & VISIT_REFUSED && !l->has_refused));
}

static const struct visit_kind *choose(struct visit *v)
{
    unsigned sum = 0;
    for (size_t i = 0; i < visit_kind_count; i++)
        sum += fits(v->load, &visit_kinds[i]) ? visit_kinds[i].weight : 0;
    unsigned mark = (unsigned)below(v, sum);
    for (size_t i = 0;; i++) {
        unsigned weight = fits(v->load, &visit_kinds[i]) ? visit_kinds[i].weight : 0;
        if (mark < weight)
            return &visit_kinds[i];
        mark -= weight;
    }
}

void visit_start(struct visit *v, struct load *load, size_t number)
{
    *v = (struct visit){.load = load, .number = number, .how = load->how};
    v->random = (load->seed * 1000003u + number + 1) * 0x9e3779b97f4a7c15u | 1;
    for (int i = 0; i < 4; i++)
        draw(&v->random);
    v->kind = choose(v);
    v->at = v->kind->first + (enum peer_item)below(v, (uint64_t)(v->kind->last - v->kind->first) + 1);
    v->how.spoil = v->kind->spoil;
    bool bulky = v->kind->open == open_slow || v->kind->open == open_gone;
    v->sent = (struct visit_mail){.random = draw(&v->random) | 1, .bulky = bulky};
    v->sent.messages = (unsigned)(bulky ? 2 + below(v, 8) : below(v, 5));
    /* Somebody who spoils a message has to send one. */
    if (v->at == ITEM_MESSAGE && v->how.spoil)
        v->sent.messages++;
    v->back = v->sent;
    if (!strcmp(v->kind->name, "drip"))
        v->how.drip = 1 + below(v, 7);
    if (!strcmp(v->kind->name, "twin")) {
        snprintf(v->identity, sizeof v->identity, "twin-%d", (int)below(v, 8));
        v->how.identity = v->identity;
    }
    if (v->kind->needs & VISIT_REFUSED)
        v->how.ticket = &load->refused;
    v->deadline = now_ns() + (uint64_t)(load->deadline * 1e9);
    peer_open(&v->peer, load->epoll, &v->how, v);
}

static const char *ended_by_server(struct visit *v)
{
    v->over = true;
    if (v->kind->end == VISIT_WORKS)
        return v->peer.why;
    /* A server may answer nonsense with nonsense of its own choice, but an honest peer not at all. */
    return v->peer.broke && !v->spoilt ? v->peer.why : NULL;
}

const char *visit_look(struct visit *v)
{
    uint64_t now = now_ns();
    if (v->over)
        return NULL;
    if (v->read_at && now >= v->read_at) {
        v->read_at = 0;
        peer_pause(&v->peer, false);
    }
    if (v->peer.stage == PEER_OPEN && !v->opened) {
        v->opened = true;
        if (v->kind->needs & VISIT_REFUSED) {
            v->over = true;
            return "was admitted, and should have been refused";
        }
        if (v->kind->open)
            v->kind->open(v);
        else
            send_mail(v);
    }
    const char *wrong = v->opened ? compare_mail(v) : NULL;
    if (wrong) {
        v->over = true;
        return wrong;
    }
    if (v->peer.stage == PEER_CLOSED)
        return ended_by_server(v);
    if (v->leave_at && now >= v->leave_at) {
        v->over = true;
        return NULL;
    }
    bool all_back = v->opened && !v->back.messages && !v->back.parts && (!v->wants_pong || v->peer.pongs);
    if (all_back && v->kind->end != VISIT_SHUT) {
        v->over = true;
        return NULL;
    }
    if (now >= v->deadline) {
        v->over = true;
        return v->kind->end == VISIT_SHUT ? "was not closed within the deadline"
                                          : "got no further within the deadline";
    }
    return NULL;
}

void visit_finish(struct visit *v)
{
    peer_close(&v->peer, v->kind->end == VISIT_LEAVES ? below(v, 2) : below(v, 8) == 0);
}
