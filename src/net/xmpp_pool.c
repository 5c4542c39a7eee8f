/* Streams to servers that wait for a user: see xmpp_pool.h. */
#include "net/xmpp_pool.h"

#include "net/broker.h"
#include "net/conn.h"
#include "xmpp/login.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Servers end streams on which nobody logs in, after a minute or two. */
#define WAIT_MS 45000
/* Opened no later than this. */
#define OPEN_MS 5000
/* After so long without a login nothing is kept. */
#define USED_MS 300000
#define LOOK_MS 1000

struct dw_xmpp_pool {
    struct shelf *shelves;
    uv_timer_t timer;
};

/* The streams of one domain's backend. */
struct shelf {
    struct shelf *next;
    struct dw_worker *worker;
    struct dw_settings *settings;
    const struct dw_xmpp_domain_config *domain;
    const struct dw_xmpp_way *way;
    struct sockaddr_storage to;
    socklen_t to_len;
    uint64_t used; /* loop time of the last login */
    struct stream *streams;
    int count;
};

struct stream {
    struct stream *next;
    struct shelf *shelf; /* NULL: it is on its way out */
    uv_poll_t poll;
    int fd, interest;
    struct dw_machine *machine;
    uint64_t born;
    bool is_ready;
};

static void polled(uv_poll_t *poll, int status, int events);

/* -- a stream ------------------------------------------------------------------------------------------- */

static void gone(uv_handle_t *handle)
{
    struct stream *s = handle->data;
    dw_machine_free(&s->machine);
    free(s);
}

static void take_out(struct stream *s)
{
    struct stream **at = &s->shelf->streams;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    s->shelf->count--;
    s->shelf = NULL;
    uv_poll_stop(&s->poll);
    uv_close((uv_handle_t *)&s->poll, gone);
}

static void drop(struct stream *s)
{
    int fd = s->fd;
    take_out(s);
    close(fd);
}

static int flush(struct stream *s)
{
    struct dw_buf *out = &s->machine->out;
    while (dw_buf_len(out) > 0) {
        struct dw_span waiting = dw_buf_span(out);
        ssize_t n = send(s->fd, waiting.at, waiting.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOTCONN ? 0 : -1;
        dw_buf_take(out, (size_t)n);
    }
    dw_buf_clear(out, 0);
    return 0;
}

static void watch(struct stream *s)
{
    int want = UV_READABLE | (dw_buf_len(&s->machine->out) > 0 ? UV_WRITABLE : 0);
    if (want != s->interest)
        uv_poll_start(&s->poll, want, polled);
    s->interest = want;
}

/* -1: it is of no use any more. */
static int take_in(struct stream *s)
{
    struct dw_worker *w = s->shelf->worker;
    struct dw_effect fx;
    size_t len = DW_SCRATCH_BYTES;
    uint8_t *room = dw_machine_room(s->machine, w->scratch, DW_SCRATCH_BYTES, &len);
    ssize_t n = room ? read(s->fd, room, len) : -1;
    if (n < 0 && room && (errno == EAGAIN || errno == EINTR))
        return 0;
    /* Whoever speaks to nobody has nothing to say to a user. */
    if (n <= 0 || s->is_ready)
        return -1;
    dw_machine_filled(s->machine, room, (size_t)n);
    for (;;) {
        enum dw_act act = dw_machine_next(s->machine, &fx);
        if (act == DW_NEED)
            break;
        if (act != DW_META || s->is_ready)
            return -1;
        s->is_ready = true;
    }
    return dw_machine_settle(s->machine);
}

static void polled(uv_poll_t *poll, int status, int events)
{
    struct stream *s = poll->data;
    if (status < 0 || ((events & UV_READABLE) && take_in(s) < 0) || flush(s) < 0)
        drop(s);
    else
        watch(s);
}

static void open_one(struct shelf *f)
{
    struct stream *s = calloc(1, sizeof *s);
    int fd = s ? socket(f->to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1;
    struct dw_xmpp_login_options options = {
        .domain = f->domain->domain,
        .name = f->domain->backend.name,
        .tls = f->way->tls,
        .meter = dw_tally_meter(dw_broker_tally(f->worker->broker)),
    };
    if (fd < 0)
        goto failed;
    if (f->to.ss_family != AF_UNIX)
        dw_leg_tune(fd, false);
    if (connect(fd, (struct sockaddr *)&f->to, f->to_len) < 0 && errno != EINPROGRESS)
        goto failed;
    s->machine = dw_xmpp_login_new(&options);
    if (!s->machine || uv_poll_init(&f->worker->loop, &s->poll, fd) < 0)
        goto failed;
    s->poll.data = s;
    s->fd = fd;
    s->born = uv_now(&f->worker->loop);
    s->shelf = f;
    s->next = f->streams;
    f->streams = s;
    f->count++;
    watch(s);
    return;
failed:
    if (fd >= 0)
        close(fd);
    if (s)
        dw_machine_free(&s->machine);
    free(s);
}

/* -- shelves -------------------------------------------------------------------------------------------- */

static void clear_shelf(struct shelf *f)
{
    while (f->streams)
        drop(f->streams);
    dw_settings_release(&f->settings);
    free(f);
}

/* The old ones go; others take their place if there have been logins. */
static void look(uv_timer_t *timer)
{
    struct dw_xmpp_pool *pool = timer->data;
    uint64_t now = uv_now(timer->loop);
    for (struct shelf **at = &pool->shelves, *f; (f = *at);) {
        int old = 0;
        bool is_used = now - f->used < USED_MS;
        for (struct stream *s = f->streams, *next; s; s = next) {
            next = s->next;
            if (now - s->born < (s->is_ready ? WAIT_MS : OPEN_MS))
                continue;
            old += s->is_ready;
            drop(s);
        }
        while (is_used && old-- > 0)
            open_one(f);
        if (is_used || f->streams) {
            at = &f->next;
        } else {
            *at = f->next;
            clear_shelf(f);
        }
    }
    if (!pool->shelves)
        uv_timer_stop(timer);
}

static struct shelf *find(struct dw_xmpp_pool *pool, const struct dw_xmpp_domain_config *domain)
{
    for (struct shelf *f = pool ? pool->shelves : NULL; f; f = f->next)
        if (f->domain == domain)
            return f;
    return NULL;
}

bool dw_xmpp_pool_take(struct dw_worker *worker, const struct dw_xmpp_domain_config *domain, int *fd,
                       struct dw_machine **machine)
{
    struct shelf *f = find(worker->xmpp_pool, domain);
    char octet;
    for (struct stream *s = f ? f->streams : NULL, *next; s; s = next) {
        next = s->next;
        if (!s->is_ready)
            continue;
        if (recv(s->fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN) {
            drop(s);
            continue;
        }
        *fd = s->fd;
        *machine = s->machine;
        s->machine = NULL;
        take_out(s);
        return true;
    }
    return false;
}

static struct dw_xmpp_pool *pool_of(struct dw_worker *w)
{
    if (!w->xmpp_pool && (w->xmpp_pool = calloc(1, sizeof *w->xmpp_pool))) {
        uv_timer_init(&w->loop, &w->xmpp_pool->timer);
        w->xmpp_pool->timer.data = w->xmpp_pool;
    }
    return w->xmpp_pool;
}

void dw_xmpp_pool_fill(struct dw_conn *conn, const struct dw_xmpp_domain_config *domain,
                       const struct dw_xmpp_way *way)
{
    struct dw_worker *w = conn->worker;
    int wanted = domain->backend.pool;
    /* Under settings that are past nobody would take it. */
    if (wanted == 0 || w->draining || w->stopping || w->settings != conn->settings)
        return;
    struct dw_xmpp_pool *pool = pool_of(w);
    struct shelf *f = find(pool, domain);
    if (!pool || (!f && !(f = calloc(1, sizeof *f))))
        return;
    if (!f->worker) {
        f->worker = w;
        f->settings = dw_settings_hold(conn->settings);
        f->domain = domain;
        f->way = way;
        f->next = pool->shelves;
        pool->shelves = f;
        uv_timer_start(&pool->timer, look, LOOK_MS, LOOK_MS);
    }
    f->used = uv_now(&w->loop);
    f->to_len = sizeof f->to;
    if (getpeername(conn->far.fd, (struct sockaddr *)&f->to, &f->to_len) < 0)
        f->to_len = 0;
    for (int i = f->to_len ? f->count : wanted; i < wanted; i++)
        open_one(f);
}

static void freed(uv_handle_t *handle)
{
    free(handle->data);
}

void dw_xmpp_pool_drain(struct dw_worker *worker)
{
    struct dw_xmpp_pool *pool = worker->xmpp_pool;
    worker->xmpp_pool = NULL;
    if (!pool)
        return;
    for (struct shelf *f = pool->shelves, *next; f; f = next) {
        next = f->next;
        clear_shelf(f);
    }
    uv_close((uv_handle_t *)&pool->timer, freed);
}
