/* Dialling: see dial.h. */
#include "net/dial.h"

#include "net/broker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_PAUSE 0.005
#define LONGEST_PAUSE 0.25

struct dw_dial {
    const struct dw_address *address;
    double pause;
    unsigned turn; /* which of a name's addresses is next */
    bool connecting, resolving, complained;
};

static void lookup(struct dw_conn *conn);

static void attempt_failed(struct dw_conn *conn, const char *why)
{
    struct dw_dial *dial = conn->dial;
    dial->connecting = false;
    dial->turn++;
    dw_conn_close_far(conn);
    /* What the lost one had still to send is not for the next. */
    dw_machine_free(&conn->far.machine);
    dw_tally_add(dw_broker_tally(conn->worker->broker), DW_COUNT_BACKEND_FAILED, 1);
    if (!dial->complained) {
        dial->complained = true;
        dw_log(DW_LOG_WARN, "backend not reached, trying on", "id", conn->id, "listener", conn->listener->name,
               "backend", dial->address->text, "why", why, NULL);
    }
    dw_conn_deadline(conn, DW_AT_DIAL, dial->pause);
    dial->pause = dial->pause * 2 < LONGEST_PAUSE ? dial->pause * 2 : LONGEST_PAUSE;
}

/* Nobody listens, and the kernel has joined the port that we were given to itself. */
static bool is_ourselves(int fd, const struct sockaddr *there, socklen_t there_len)
{
    struct sockaddr_storage here = {0};
    socklen_t len = sizeof here;
    return there->sa_family != AF_UNIX && getsockname(fd, (struct sockaddr *)&here, &len) == 0 &&
           len == there_len && memcmp(&here, there, len) == 0;
}

static bool is_loopback(const struct sockaddr *to)
{
    if (to->sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)to)->sin6_addr);
    return to->sa_family == AF_INET &&
           ntohl(((const struct sockaddr_in *)(const void *)to)->sin_addr.s_addr) >> 24 == 127;
}

static bool is_connected(int fd, struct sockaddr_storage *there, socklen_t *len)
{
    *there = (struct sockaddr_storage){0};
    *len = sizeof *there;
    return getpeername(fd, (struct sockaddr *)there, len) == 0;
}

static void connect_to(struct dw_conn *conn, const struct sockaddr *to, socklen_t len)
{
    struct dw_dial *dial = conn->dial;
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        attempt_failed(conn, strerror(errno));
        return;
    }
    int rc;
    do
        rc = connect(fd, to, len);
    while (rc < 0 && errno == EINTR);
    if (rc < 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        attempt_failed(conn, error == EAGAIN ? "its backlog is full" : strerror(error));
        return;
    }
    if (to->sa_family != AF_UNIX)
        dw_leg_tune(fd, is_loopback(to));
    /* On this machine the handshake is over before connect(2) returns, whatever that says. */
    struct sockaddr_storage there;
    socklen_t there_len;
    if (rc < 0 && is_loopback(to) && is_connected(fd, &there, &there_len))
        rc = 0;
    if (dw_leg_open(&conn->far, conn, &conn->worker->loop, fd) < 0) {
        attempt_failed(conn, "the loop does not take the socket");
        return;
    }
    dial->connecting = true;
    if (rc == 0 && is_ourselves(fd, to, len)) {
        attempt_failed(conn, strerror(ECONNREFUSED));
        return;
    }
    if (rc == 0) {
        dial->connecting = false;
        if (conn->front->connected(conn) < 0)
            dw_conn_doom(conn, "out of memory");
        return;
    }
    conn->far.interest = UV_WRITABLE;
    uv_poll_start(conn->far.poll, UV_WRITABLE, dw_conn_ready);
}

/* One address after the other, a round for each attempt: "localhost" may have two, and a listener but one. */
static const struct addrinfo *one_of(const struct addrinfo *found, unsigned turn)
{
    unsigned count = 0;
    for (const struct addrinfo *at = found; at; at = at->ai_next)
        count++;
    for (turn %= count; turn > 0; turn--)
        found = found->ai_next;
    return found;
}

static void resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct dw_conn *conn = request->data;
    free(request);
    conn->works--;
    dw_conn_enter(conn);
    if (conn->dial)
        conn->dial->resolving = false;
    if (conn->phase == DW_PHASE_HANDSHAKE && conn->dial) {
        const struct addrinfo *to = status < 0 ? NULL : one_of(found, conn->dial->turn);
        if (to)
            connect_to(conn, to->ai_addr, to->ai_addrlen);
        else
            attempt_failed(conn, uv_strerror(status));
    }
    if (found)
        uv_freeaddrinfo(found);
    dw_conn_leave(conn);
}

static void lookup(struct dw_conn *conn)
{
    struct dw_dial *dial = conn->dial;
    uv_getaddrinfo_t *request = calloc(1, sizeof *request);
    char port[8];
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    snprintf(port, sizeof port, "%d", dial->address->port);
    if (!request) {
        attempt_failed(conn, "out of memory");
        return;
    }
    request->data = conn;
    int rc = uv_getaddrinfo(&conn->worker->loop, request, resolved, dial->address->host, port, &hints);
    if (rc < 0) {
        free(request);
        attempt_failed(conn, uv_strerror(rc));
        return;
    }
    dial->resolving = true;
    conn->works++;
}

static void attempt(struct dw_conn *conn)
{
    const struct dw_address *a = conn->dial->address;
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } to = {0};
    socklen_t len = 0;
    if (a->scheme == DW_IPC) {
        size_t size = strlen(a->path);
        to.un.sun_family = AF_UNIX;
        memcpy(to.un.sun_path, a->path, size < sizeof to.un.sun_path ? size : sizeof to.un.sun_path - 1);
        /* An abstract name has no NUL at its end, and one before its start. */
        len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (a->path[0] != '@'));
        if (a->path[0] == '@')
            to.un.sun_path[0] = '\0';
    } else if (uv_ip4_addr(a->host, a->port, &to.in) == 0) {
        len = sizeof to.in;
    } else if (uv_ip6_addr(a->host, a->port, &to.in6) == 0) {
        len = sizeof to.in6;
    }
    if (len)
        connect_to(conn, &to.any, len);
    else
        lookup(conn);
}

void dw_dial_start(struct dw_conn *conn, const struct dw_address *address)
{
    if (!conn->dial && !(conn->dial = calloc(1, sizeof *conn->dial))) {
        dw_conn_doom(conn, "out of memory");
        return;
    }
    conn->dial->address = address;
    conn->dial->pause = FIRST_PAUSE;
    dw_dial_due(conn);
}

void dw_dial_retry(struct dw_conn *conn, const char *why)
{
    if (!conn->dial) {
        dw_conn_doom(conn, "the far side was lost");
        return;
    }
    attempt_failed(conn, why);
}

void dw_dial_due(struct dw_conn *conn)
{
    if (conn->dial && conn->far.fd < 0 && !conn->dial->resolving)
        attempt(conn);
}

int dw_dial_finish(struct dw_conn *conn)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(conn->far.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    struct sockaddr_storage there;
    socklen_t there_len;
    if (error || (is_connected(conn->far.fd, &there, &there_len) &&
                  is_ourselves(conn->far.fd, (struct sockaddr *)&there, there_len))) {
        attempt_failed(conn, strerror(error ? error : ECONNREFUSED));
        return 0;
    }
    conn->dial->connecting = false;
    return 1;
}

bool dw_dial_is_under_way(const struct dw_conn *conn)
{
    return conn->dial && conn->dial->connecting;
}

void dw_dial_free(struct dw_conn *conn)
{
    free(conn->dial);
    conn->dial = NULL;
}
