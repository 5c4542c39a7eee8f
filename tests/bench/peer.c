/* A raw libzmq-like GSSAPI client: see peer.h. */
#include "peer.h"

#include "measure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define FLAG_MORE 1
#define FLAG_LONG 2
#define FLAG_COMMAND 4
#define INNER_MORE 1
#define INNER_COMMAND 2
#define FRAME_MAX ((uint64_t)1 << 27)
#define GREETING_LEN 64
#define PING_CONTEXT "bench-ping"

static int ended(struct peer *p, bool broke, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int ended(struct peer *p, bool broke, const char *format, ...)
{
    if (p->stage != PEER_CLOSED) {
        va_list args;
        va_start(args, format);
        vsnprintf(p->why, sizeof p->why, format, args);
        va_end(args);
        p->stage = PEER_CLOSED;
        p->broke = broke;
        /* Nothing more to wait for; the descriptor stays until peer_close. */
        epoll_ctl(p->epoll, EPOLL_CTL_DEL, p->fd, NULL);
    }
    return -1;
}

int peer_address(const char *url, struct sockaddr_in *address)
{
    char host[64];
    int port, at = 0;
    if (sscanf(url, "tcp://%63[^:]:%d%n", host, &port, &at) != 2 || url[at] || port < 1 || port > 65535)
        return -1;
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1", &address->sin_addr) == 1 ? 0 : -1;
}

/* --- what goes out --- */

static void watch(struct peer *p)
{
    uint32_t want = p->unread ? 0 : EPOLLIN;
    if (p->stage == PEER_CONNECTING || dw_buf_len(&p->out))
        want |= EPOLLOUT;
    if (want == p->interest || p->stage == PEER_CLOSED)
        return;
    struct epoll_event e = {.events = want, .data.ptr = p};
    epoll_ctl(p->epoll, EPOLL_CTL_MOD, p->fd, &e);
    p->interest = want;
}

/* The first octets fall singly or nearly so; all of them like that would outlast any deadline for a handshake. */
static size_t drip_size(const struct peer *p)
{
    if (p->how->drip == 0)
        return SIZE_MAX;
    return p->how->drip * (p->stage == PEER_OPEN ? 256 : p->written < 64 ? 1 : 16);
}

static int flush(struct peer *p)
{
    while (p->stage != PEER_CONNECTING && p->stage != PEER_CLOSED && dw_buf_len(&p->out)) {
        struct dw_span out = dw_buf_span(&p->out);
        size_t most = drip_size(p);
        ssize_t n = send(p->fd, out.at, out.len < most ? out.len : most, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            return ended(p, false, "write: %s", strerror(errno));
        dw_buf_take(&p->out, (size_t)n);
        p->written += (size_t)n;
        if (p->how->drip)
            break;
    }
    watch(p);
    return p->stage == PEER_CLOSED ? -1 : 0;
}

/* Every octet that a peer sends passes here. */
static void emit(struct peer *p, enum peer_item item, struct dw_span octets)
{
    if (p->mute)
        return;
    if (!p->how->spoil) {
        if (dw_buf_put(&p->out, octets) < 0)
            die("out of memory");
        return;
    }
    struct dw_buf changed = {0};
    dw_buf_put(&changed, octets);
    bool on = p->how->spoil(p, item, &changed);
    if (dw_buf_put(&p->out, dw_buf_span(&changed)) < 0)
        die("out of memory");
    dw_buf_free(&changed);
    p->mute = !on;
}

static void put_frame(struct dw_buf *to, uint8_t flags, struct dw_span head, struct dw_span body)
{
    size_t len = head.len + body.len;
    bool large = len > 255;
    dw_buf_put_u8(to, large ? flags | FLAG_LONG : flags);
    if (large)
        dw_buf_put_u64(to, len);
    else
        dw_buf_put_u8(to, (uint8_t)len);
    if (dw_buf_put(to, head) < 0 || dw_buf_put(to, body) < 0)
        die("out of memory");
}

static void emit_frame(struct peer *p, enum peer_item item, uint8_t flags, struct dw_span head, struct dw_span body)
{
    /* A benchmark's own copies are part of what it measures: spoil nothing, copy nothing. */
    if (!p->how->spoil) {
        put_frame(&p->out, flags, head, body);
        return;
    }
    struct dw_buf frame = {0};
    put_frame(&frame, flags, head, body);
    emit(p, item, dw_buf_span(&frame));
    dw_buf_free(&frame);
}

static void emit_wrapped(struct peer *p, enum peer_item item, uint8_t frame_flags, struct dw_span inner, bool conf)
{
    OM_uint32 minor, ignored;
    gss_buffer_desc plain = {inner.len, (void *)inner.at}, wrapped = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_wrap(&minor, p->context, conf, GSS_C_QOP_DEFAULT, &plain, NULL, &wrapped);
    if (GSS_ERROR(major)) {
        ended(p, true, "gss_wrap failed");
        return;
    }
    uint8_t head[12] = "\7MESSAGE";
    dw_put_u32(head + 8, (uint32_t)wrapped.length);
    emit_frame(p, item, frame_flags, dw_span_make(head, sizeof head), dw_span_make(wrapped.value, wrapped.length));
    gss_release_buffer(&ignored, &wrapped);
}

/* A command or message part in the form that the listener's protection asks for. */
static void emit_body(struct peer *p, enum peer_item item, bool command, bool more, struct dw_span body)
{
    if (p->how->plaintext) {
        emit_frame(p, item, command ? FLAG_COMMAND : more ? FLAG_MORE : 0, DW_SPAN_NONE, body);
        return;
    }
    static struct dw_buf inner;
    inner.head = inner.tail = 0;
    /* As libzmq has it: READY is a command by its frame alone, what follows by its inner flag alone. */
    bool inner_command = command && item != ITEM_READY;
    dw_buf_put_u8(&inner, inner_command ? INNER_COMMAND : more ? INNER_MORE : 0);
    if (dw_buf_put(&inner, body) < 0)
        die("out of memory");
    emit_wrapped(p, item, item == ITEM_READY ? FLAG_COMMAND : 0, dw_buf_span(&inner), true);
}

static void put_property(struct dw_buf *b, const char *name, const char *value)
{
    dw_buf_put_u8(b, (uint8_t)strlen(name));
    dw_buf_put(b, dw_span_str(name));
    dw_buf_put_u32(b, (uint32_t)strlen(value));
    dw_buf_put(b, dw_span_str(value));
}

static void emit_ready(struct peer *p)
{
    struct dw_buf ready = {0};
    const char *type = p->how->socket_type;
    dw_buf_put(&ready, DW_SPAN_OF("\5READY"));
    put_property(&ready, "Socket-Type", type);
    if (!strcmp(type, "DEALER") || !strcmp(type, "REQ") || !strcmp(type, "ROUTER"))
        put_property(&ready, "Identity", p->how->identity ? p->how->identity : "");
    emit_body(p, ITEM_READY, true, false, dw_buf_span(&ready));
    dw_buf_free(&ready);
}

/* Steps the context: with no token, makes the first one. */
static int step(struct peer *p, struct dw_span token)
{
    OM_uint32 minor, ignored;
    gss_buffer_desc in = {token.len, (void *)token.at}, out = GSS_C_EMPTY_BUFFER;
    OM_uint32 major =
        gss_init_sec_context(&minor, p->how->ticket->cred, &p->context, p->how->ticket->target, GSS_C_NO_OID,
                             TICKET_FLAGS, 0, NULL, token.len ? &in : NULL, NULL, &out, NULL, NULL);
    if (GSS_ERROR(major)) {
        char text[150];
        gss_tell(major, minor, text, sizeof text);
        return ended(p, true, "gss_init_sec_context: %s", text);
    }
    if (out.length) {
        uint8_t head[13] = "\10INITIATE";
        dw_put_u32(head + 9, (uint32_t)out.length);
        emit_frame(p, ITEM_TOKEN, FLAG_COMMAND, dw_span_make(head, sizeof head),
                   dw_span_make(out.value, out.length));
    } else {
        emit_frame(p, ITEM_COMPLETE, FLAG_COMMAND, DW_SPAN_NONE, DW_SPAN_NONE);
    }
    gss_release_buffer(&ignored, &out);
    p->stage = major == GSS_S_COMPLETE ? PEER_READY : PEER_TOKEN;
    return 0;
}

/* --- what comes in --- */

static bool next_frame(struct peer *p, uint8_t *flags, struct dw_span *body)
{
    struct dw_reader r = dw_reader_make(dw_buf_span(&p->in));
    *flags = dw_reader_u8(&r);
    uint64_t len = *flags & FLAG_LONG ? dw_reader_u64(&r) : dw_reader_u8(&r);
    if (r.failed)
        return false;
    if (*flags & ~(FLAG_MORE | FLAG_LONG | FLAG_COMMAND) || len > FRAME_MAX) {
        ended(p, true, "a frame with flags %02x and %llu octets", *flags, (unsigned long long)len);
        return false;
    }
    if (dw_reader_left(&r) < len)
        return false;
    *body = dw_reader_take(&r, len);
    /* The octets stay in place until something is added. */
    dw_buf_take(&p->in, (size_t)(r.at - dw_buf_span(&p->in).at));
    return true;
}

static bool starts(struct dw_span s, struct dw_span with)
{
    return s.len >= with.len && !memcmp(s.at, with.at, with.len);
}

/* The token or wrapped octets behind a command's name. */
static bool counted(struct dw_span body, struct dw_span name, struct dw_span *inner)
{
    if (!starts(body, name))
        return false;
    struct dw_reader r = dw_reader_make(body);
    dw_reader_take(&r, name.len);
    uint32_t len = dw_reader_u32(&r);
    *inner = dw_reader_take(&r, len);
    return !r.failed && dw_reader_left(&r) == 0;
}

static int refused(struct peer *p, struct dw_span command)
{
    size_t len = command.len > 7 ? command.len - 7 : 0;
    return ended(p, false, "refused: %.*s", (int)len, (const char *)command.at + 7);
}

/* Undoes the protection: the inner body, and whether it is a command or has more parts to come. */
static int open_body(struct peer *p, uint8_t flags, struct dw_span body, struct dw_span *inner, bool *command,
                     bool *more)
{
    OM_uint32 minor, ignored;
    int conf = 0;
    struct dw_span wrapped;
    if (p->how->plaintext) {
        *inner = body;
        *command = flags & FLAG_COMMAND;
        *more = flags & FLAG_MORE;
        return 0;
    }
    if (flags & FLAG_COMMAND && starts(body, DW_SPAN_OF("\5ERROR")))
        return refused(p, body);
    if (!counted(body, DW_SPAN_OF("\7MESSAGE"), &wrapped))
        return ended(p, true, "expected MESSAGE, got %zu octets beginning %.*s", body.len,
                     body.len < 8 ? (int)body.len : 8, (const char *)body.at);
    gss_buffer_desc in = {wrapped.len, (void *)wrapped.at};
    gss_release_buffer(&ignored, &p->plain);
    OM_uint32 major = gss_unwrap(&minor, p->context, &in, &p->plain, &conf, NULL);
    if (major != GSS_S_COMPLETE || !conf || p->plain.length == 0)
        return ended(p, true, "gss_unwrap: status %u, confidential %d, %zu octets", major, conf, p->plain.length);
    const uint8_t *at = p->plain.value;
    *command = at[0] & INNER_COMMAND;
    *more = at[0] & INNER_MORE;
    *inner = dw_span_make(at + 1, p->plain.length - 1);
    return 0;
}

static int take_ready(struct peer *p, uint8_t flags, struct dw_span body)
{
    bool command, more, typed = false;
    struct dw_span inner;
    if (open_body(p, flags, body, &inner, &command, &more) < 0)
        return -1;
    if (starts(inner, DW_SPAN_OF("\5ERROR")))
        return refused(p, inner);
    /* libzmq leaves the inner command flag of READY out: the frame around it has it. */
    if (!starts(inner, DW_SPAN_OF("\5READY")))
        return ended(p, true, "expected READY");
    struct dw_reader r = dw_reader_make(inner);
    dw_reader_take(&r, 6);
    while (dw_reader_left(&r) && !r.failed) {
        struct dw_span name = dw_reader_take(&r, dw_reader_u8(&r));
        struct dw_span value = dw_reader_take(&r, dw_reader_u32(&r));
        typed |= dw_span_equal_nocase(name, DW_SPAN_OF("Socket-Type")) && value.len > 0;
    }
    if (r.failed || !typed)
        return ended(p, true, "READY with malformed metadata or no Socket-Type");
    p->admitted = now_ns();
    p->stage = PEER_OPEN;
    emit_ready(p);
    return 0;
}

/* As libzmq: ten octets at once, the major version for the server's first ten, the rest for its version. */
static int take_greeting(struct peer *p)
{
    static const uint8_t ours[GREETING_LEN] = {0xff, 0, 0, 0,   0,   0,   0,   0,   1,
                                               0x7f, 3, 1, 'G', 'S', 'S', 'A', 'P', 'I'};
    struct dw_span in = dw_buf_span(&p->in);
    if (p->greeting == 0)
        emit(p, ITEM_SIGNATURE, dw_span_make(ours, 10));
    if (p->greeting == 0)
        p->greeting = 1;
    if (in.len >= 1 && (in.at[0] != 0xff || (in.len >= 10 && in.at[9] != 0x7f)))
        return ended(p, true, "the server's signature is not ZMTP's");
    if (in.len >= 10 && p->greeting == 1) {
        emit(p, ITEM_VERSION, dw_span_make(ours + 10, 1));
        p->greeting = 2;
    }
    if (in.len >= 11 && p->greeting == 2) {
        emit(p, ITEM_GREETING, dw_span_make(ours + 11, GREETING_LEN - 11));
        p->greeting = 3;
    }
    if (in.len < GREETING_LEN)
        return 0;
    if (in.at[10] < 3 || memcmp(in.at + 12, ours + 12, 20))
        return ended(p, true, "the server's greeting names version %d, mechanism %.20s", in.at[10],
                     (const char *)in.at + 12);
    dw_buf_take(&p->in, GREETING_LEN);
    return step(p, DW_SPAN_NONE);
}

/* What a handshake can do with the input; messages stay in it for peer_take. */
static void advance(struct peer *p)
{
    uint8_t flags;
    struct dw_span body, token;
    if (p->stage == PEER_GREETING)
        take_greeting(p);
    while ((p->stage == PEER_TOKEN || p->stage == PEER_READY) && next_frame(p, &flags, &body)) {
        if (p->stage == PEER_READY)
            take_ready(p, flags, body);
        else if (counted(body, DW_SPAN_OF("\10INITIATE"), &token))
            step(p, token);
        else if (starts(body, DW_SPAN_OF("\5ERROR")))
            refused(p, body);
        else
            ended(p, true, "expected INITIATE");
    }
}

static void answer_ping(struct peer *p, struct dw_span ping)
{
    struct dw_buf pong = {0};
    dw_buf_put(&pong, DW_SPAN_OF("\4PONG"));
    if (ping.len > 7)
        dw_buf_put(&pong, dw_span_make(ping.at + 7, ping.len - 7));
    emit_body(p, ITEM_MESSAGE, true, false, dw_buf_span(&pong));
    dw_buf_free(&pong);
    flush(p);
}

int peer_take(struct peer *p, struct peer_message *m)
{
    uint8_t flags;
    struct dw_span body;
    bool command;
    while (p->stage == PEER_OPEN && next_frame(p, &flags, &body)) {
        if (open_body(p, flags, body, &m->body, &command, &m->more) < 0)
            return -1;
        if (!command)
            return 1;
        if (starts(m->body, DW_SPAN_OF("\4PING")))
            answer_ping(p, m->body);
        else if (dw_span_equal(m->body, DW_SPAN_OF("\4PONG" PING_CONTEXT)))
            p->pongs++;
        else if (starts(m->body, DW_SPAN_OF("\5ERROR")))
            return refused(p, m->body);
        else
            return ended(p, true, "an unexpected command: %.*s", m->body.len < 12 ? (int)m->body.len : 12,
                         (const char *)m->body.at);
    }
    return p->stage == PEER_CLOSED ? -1 : 0;
}

/* --- the loop --- */

int peer_open(struct peer *p, int epoll, const struct peer_how *how, void *owner)
{
    *p =
        (struct peer){.how = how, .owner = owner, .epoll = epoll, .started = now_ns(), .context = GSS_C_NO_CONTEXT};
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p->fd < 0)
        return ended(p, false, "socket: %s", strerror(errno));
    int one = 1;
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    p->interest = EPOLLIN | EPOLLOUT;
    struct epoll_event e = {.events = p->interest, .data.ptr = p};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, p->fd, &e) < 0)
        return ended(p, false, "epoll: %s", strerror(errno));
    if (connect(p->fd, (const struct sockaddr *)&how->address, sizeof how->address) < 0 && errno != EINPROGRESS)
        return ended(p, false, "connect: %s", strerror(errno));
    return 0;
}

void peer_close(struct peer *p, bool reset)
{
    OM_uint32 ignored;
    if (!p->how)
        return;
    if (p->fd >= 0) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        if (reset)
            setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close(p->fd);
    }
    gss_delete_sec_context(&ignored, &p->context, NULL);
    gss_release_buffer(&ignored, &p->plain);
    dw_buf_free(&p->in);
    dw_buf_free(&p->out);
    p->how = NULL;
    p->fd = -1;
    p->stage = PEER_CLOSED;
}

static void on_input(struct peer *p)
{
    /* One bounded read a turn: epoll comes back, and every peer has its turn. */
    static uint8_t room[128 * 1024];
    ssize_t n = recv(p->fd, room, sizeof room, 0);
    if (n > 0 && dw_buf_put(&p->in, dw_span_make(room, (size_t)n)) < 0)
        die("out of memory");
    if (n > 0)
        advance(p);
    else if (n == 0)
        ended(p, false, "the server closed the connection");
    else if (errno != EAGAIN && errno != EINTR)
        ended(p, false, "read: %s", strerror(errno));
}

static void on_ready(struct peer *p, uint32_t events)
{
    if (p->stage == PEER_CONNECTING) {
        int error = 0;
        socklen_t len = sizeof error;
        getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error) {
            ended(p, false, "connect: %s", strerror(error));
            return;
        }
        if (!(events & EPOLLOUT))
            return;
        p->stage = PEER_GREETING;
        advance(p);
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        on_input(p);
    flush(p);
}

void peers_turn(int epoll, int timeout_ms, void (*on)(struct peer *p, void *arg), void *arg)
{
    struct epoll_event events[64];
    int n = epoll_wait(epoll, events, 64, timeout_ms);
    for (int i = 0; i < n; i++) {
        struct peer *p = events[i].data.ptr;
        on_ready(p, events[i].events);
        on(p, arg);
    }
}

int peer_send(struct peer *p, struct dw_span body, bool more)
{
    if (p->stage != PEER_OPEN)
        return -1;
    emit_body(p, ITEM_MESSAGE, false, more, body);
    return flush(p);
}

int peer_ping(struct peer *p)
{
    if (p->stage != PEER_OPEN)
        return -1;
    emit_body(p, ITEM_MESSAGE, true, false, DW_SPAN_OF("\4PING\0\0" PING_CONTEXT));
    return flush(p);
}

int peer_send_wrapped(struct peer *p, struct dw_span inner, bool confidential)
{
    if (p->stage != PEER_OPEN)
        return -1;
    emit_wrapped(p, ITEM_MESSAGE, 0, inner, confidential);
    return flush(p);
}

int peer_send_raw(struct peer *p, struct dw_span octets)
{
    if (p->stage == PEER_CLOSED || dw_buf_put(&p->out, octets) < 0)
        return -1;
    return flush(p);
}

void peer_pause(struct peer *p, bool unread)
{
    p->unread = unread;
    watch(p);
}
