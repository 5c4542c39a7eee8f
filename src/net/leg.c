/* A leg: see leg.h. */
#include "net/leg.h"

#include "net/conn.h"
#include "net/polls.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

void dw_leg_tune(int fd, bool is_near_by)
{
    int on = 1, idle = 30, interval = 10, probes = 3;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (is_near_by)
        return;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

int dw_leg_open(struct dw_leg *leg, struct dw_conn *conn, uv_loop_t *loop, int fd)
{
    *leg = (struct dw_leg){.conn = conn, .machine = leg->machine, .fd = fd, .heard = uv_now(loop)};
    leg->poll = dw_polls_take(loop, fd);
    if (!leg->poll) {
        close(fd);
        leg->fd = -1;
        return -1;
    }
    leg->poll->data = leg;
    leg->is_open = true;
    return 0;
}

size_t dw_leg_waiting(const struct dw_leg *leg)
{
    return leg->machine && !leg->broken ? dw_buf_len(&leg->machine->out) : 0;
}

int dw_leg_read(struct dw_leg *leg, uint8_t *scratch, size_t size)
{
    size_t len = size;
    bool discard = leg->discarding || !leg->machine;
    uint8_t *room = discard ? scratch : dw_machine_room(leg->machine, scratch, size, &len);
    if (!room) {
        leg->starved = true;
        return 0;
    }
    ssize_t n;
    do
        n = read(leg->fd, room, len);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    if (n <= 0) {
        leg->eof = true;
        if (n < 0)
            dw_leg_break(leg);
        return -1;
    }
    leg->bytes_in += (size_t)n;
    leg->heard = uv_now(leg->poll->loop);
    if (!discard)
        dw_machine_filled(leg->machine, room, (size_t)n);
    return 1;
}

void dw_leg_acknowledge(const struct dw_leg *leg)
{
    int on = 1;
    setsockopt(leg->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

void dw_leg_break(struct dw_leg *leg)
{
    int error;
    socklen_t len = sizeof error;
    leg->broken = true;
    leg->interest = 0;
    if (leg->is_open)
        uv_poll_stop(leg->poll);
    /* Whatever it was: it is taken off the socket, or it would be told for ever, and reading comes to an end. */
    getsockopt(leg->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    shutdown(leg->fd, SHUT_RDWR);
    if (leg->machine)
        dw_buf_clear(&leg->machine->out, 0);
}

void dw_leg_flush(struct dw_leg *leg)
{
    if (leg->fd < 0 || leg->broken)
        return;
    struct dw_buf *out = leg->machine ? &leg->machine->out : NULL;
    if (leg->shut && out)
        dw_buf_clear(out, 0);
    while (out && dw_buf_len(out) > 0) {
        struct dw_span waiting = dw_buf_span(out);
        ssize_t n = send(leg->fd, waiting.at, waiting.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n < 0) {
            dw_leg_break(leg);
            return;
        }
        leg->bytes_out += (size_t)n;
        dw_buf_take(out, (size_t)n);
    }
    if (out && dw_buf_len(out) == 0)
        dw_buf_clear(out, 0);
    if (leg->finishing && !leg->shut && (!out || dw_buf_len(out) == 0)) {
        shutdown(leg->fd, SHUT_WR);
        leg->shut = true;
    }
}

void dw_leg_watch(struct dw_leg *leg, bool want_read, uv_poll_cb ready)
{
    if (!leg->is_open)
        return;
    int want = want_read && !leg->eof ? UV_READABLE : 0;
    if (dw_leg_waiting(leg) > 0)
        want |= UV_WRITABLE;
    if (want == leg->interest)
        return;
    leg->interest = want;
    if (want)
        uv_poll_start(leg->poll, want, ready);
    else
        uv_poll_stop(leg->poll);
}

void dw_leg_close(struct dw_leg *leg)
{
    if (leg->is_open) {
        leg->is_open = false;
        leg->interest = 0;
        dw_polls_give(leg->poll);
        leg->poll = NULL;
    }
    if (leg->fd >= 0) {
        close(leg->fd);
        leg->fd = -1;
    }
}
