/* Listeners: see listener.h. */
#include "net/listener.h"

#include "net/broker.h"
#include "net/conn.h"
#include "net/dovecot.h"
#include "net/worker.h"
#include "net/zapsock.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096
#define ACCEPTS_PER_TURN 32
/* How long a worker that is out of descriptors leaves its listeners alone. */
#define PAUSE_MS 100

static int add_fd(struct dw_door *door, int family, const struct sockaddr *to, socklen_t len)
{
    int on = 1, off = 0;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (family != AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    /* What is accepted inherits these. */
    if (family != AF_UNIX)
        dw_leg_tune(fd, false);
    if (family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)to;
        bool any = IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr);
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, any ? &off : &on, sizeof on);
    }
    if (bind(fd, to, len) < 0 || listen(fd, BACKLOG) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    door->fds[door->count++] = fd;
    return 0;
}

static int port_of(int fd)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &len) < 0)
        return 0;
    return ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                          : ((struct sockaddr_in *)&at)->sin_port);
}

static int fail(const struct dw_listener_config *l, struct dw_error *err, const char *why)
{
    return dw_error_set(err, DW_ERROR_INTERNAL, "listener '%s' cannot listen on %s: %s", l->name, l->listen.text,
                        why);
}

static int open_tcp(struct dw_door *door, const struct dw_listener_config *l, struct dw_error *err)
{
    const struct dw_address *a = &l->listen;
    bool any = strcmp(a->host, "*") == 0;
    int port = a->port;
    char service[8];
    struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    snprintf(service, sizeof service, "%d", port);
    if (any) {
        struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
        struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        /* One socket for both families; a host without IPv6 gets one for IPv4. */
        if (add_fd(door, AF_INET6, (struct sockaddr *)&six, sizeof six) < 0 &&
            (errno == EADDRINUSE || errno == EACCES ||
             add_fd(door, AF_INET, (struct sockaddr *)&four, sizeof four) < 0))
            return fail(l, err, strerror(errno));
    } else {
        int rc = getaddrinfo(a->host, service, &hints, &found);
        if (rc != 0)
            return fail(l, err, gai_strerror(rc));
        for (struct addrinfo *at = found; at && door->count < 8; at = at->ai_next) {
            if (door->count > 0 && port == 0) {
                uint16_t chosen = htons((uint16_t)port_of(door->fds[0]));
                if (at->ai_family == AF_INET6)
                    ((struct sockaddr_in6 *)(void *)at->ai_addr)->sin6_port = chosen;
                else
                    ((struct sockaddr_in *)(void *)at->ai_addr)->sin_port = chosen;
            }
            if (add_fd(door, at->ai_family, at->ai_addr, at->ai_addrlen) < 0 && errno != EADDRNOTAVAIL &&
                errno != EAFNOSUPPORT) {
                freeaddrinfo(found);
                return fail(l, err, strerror(errno));
            }
        }
        freeaddrinfo(found);
        if (door->count == 0)
            return fail(l, err, "no address of that name is on this host");
    }
    char bound[300];
    snprintf(bound, sizeof bound, strchr(a->host, ':') ? "tcp://[%s]:%d" : "tcp://%s:%d", a->host,
             port_of(door->fds[0]));
    door->bound = strdup(bound);
    return door->bound ? 0 : fail(l, err, "out of memory");
}

/* A socket that nobody listens on any more is left over from a broker that died. */
static int clear_path(const struct dw_listener_config *l, const struct sockaddr_un *at, socklen_t len,
                      struct dw_error *err)
{
    struct stat seen;
    if (lstat(l->listen.path, &seen) < 0)
        return errno == ENOENT ? 0 : fail(l, err, strerror(errno));
    if (!S_ISSOCK(seen.st_mode))
        return fail(l, err, "something that is no socket stands there");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(l, err, strerror(errno));
    int rc = connect(fd, (const struct sockaddr *)at, len), error = errno;
    close(fd);
    if (rc == 0 || error != ECONNREFUSED)
        return fail(l, err, "another process listens there");
    return unlink(l->listen.path) == 0 || errno == ENOENT ? 0 : fail(l, err, strerror(errno));
}

static int permit(const struct dw_listener_config *l, struct dw_error *err)
{
    const char *path = l->listen.path;
    if (l->listen.scheme != DW_IPC || path[0] == '@')
        return 0;
    if ((l->has_gid && chown(path, (uid_t)-1, l->gid) < 0) || chmod(path, l->mode) < 0)
        return fail(l, err, strerror(errno));
    return 0;
}

static int open_ipc(struct dw_door *door, const struct dw_listener_config *l, struct dw_error *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const char *path = l->listen.path;
    size_t size = strlen(path);
    bool abstract = path[0] == '@';
    if (size >= sizeof at.sun_path)
        return fail(l, err, "the path is longer than a socket's may be");
    memcpy(at.sun_path, path, size);
    if (abstract)
        at.sun_path[0] = '\0';
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + !abstract);
    if (!abstract && clear_path(l, &at, len, err) < 0)
        return -1;
    /* Narrow from the first moment: the mode is set before anyone can connect. */
    mode_t old = umask(0777 & ~l->mode);
    int rc = add_fd(door, AF_UNIX, (struct sockaddr *)&at, len), error = errno;
    umask(old);
    if (rc < 0)
        return fail(l, err, strerror(error));
    if (!abstract) {
        door->unlink = strdup(path);
        if (permit(l, err) < 0)
            return -1;
    }
    door->bound = strdup(l->listen.text);
    return door->bound && (abstract || door->unlink) ? 0 : fail(l, err, "out of memory");
}

struct dw_door *dw_door_open(const struct dw_listener_config *l, struct dw_error *err)
{
    struct dw_door *door = calloc(1, sizeof *door);
    if (door)
        atomic_init(&door->holders, 1);
    if (!door || !(door->name = strdup(l->name)) || !(door->text = strdup(l->listen.text))) {
        fail(l, err, "out of memory");
    } else if ((l->listen.scheme == DW_TCP ? open_tcp : open_ipc)(door, l, err) == 0) {
        dw_log(DW_LOG_INFO, "listening", "listener", l->name, "address", door->bound, NULL);
        return door;
    }
    dw_door_release(&door);
    return NULL;
}

struct dw_door *dw_door_keep(struct dw_door *door, const struct dw_listener_config *l, struct dw_error *err)
{
    if (permit(l, err) < 0)
        return NULL;
    if (strcmp(door->name, l->name) == 0)
        return dw_door_hold(door);
    struct dw_door *other = calloc(1, sizeof *other);
    if (!other || !(other->name = strdup(l->name)) || !(other->text = strdup(door->text)) ||
        !(other->bound = strdup(door->bound))) {
        fail(l, err, "out of memory");
        goto failed;
    }
    atomic_init(&other->holders, 1);
    for (; other->count < door->count; other->count++)
        if ((other->fds[other->count] = fcntl(door->fds[other->count], F_DUPFD_CLOEXEC, 0)) < 0) {
            fail(l, err, strerror(errno));
            goto failed;
        }
    other->from = door;
    return other;
failed:
    if (other)
        atomic_init(&other->holders, 1);
    dw_door_release(&other);
    return NULL;
}

void dw_door_take_over(struct dw_door *door)
{
    if (!door->from)
        return;
    door->unlink = door->from->unlink;
    door->from->unlink = NULL;
    door->from = NULL;
}

struct dw_door *dw_door_hold(struct dw_door *door)
{
    atomic_fetch_add(&door->holders, 1);
    return door;
}

void dw_door_release(struct dw_door **door)
{
    if (!*door || atomic_fetch_sub(&(*door)->holders, 1) > 1) {
        *door = NULL;
        return;
    }
    /* The path goes while nobody else can have taken it: a later door waits until nobody listens. */
    if ((*door)->unlink)
        unlink((*door)->unlink);
    for (int i = 0; i < (*door)->count; i++)
        close((*door)->fds[i]);
    free((*door)->unlink);
    free((*door)->name);
    free((*door)->text);
    free((*door)->bound);
    free(*door);
    *door = NULL;
}

/* -- a worker's part -------------------------------------------------------------------------------------- */

struct dw_reception {
    struct dw_worker *worker;
    struct dw_door *door;
    uv_poll_t polls[8];
    int fds[8];
    int count, closing;
    uv_timer_t pause;
    bool paused;
};

static void acceptable(uv_poll_t *poll, int status, int events);

static void resume(uv_timer_t *timer)
{
    struct dw_reception *r = timer->data;
    r->paused = false;
    for (int i = 0; i < r->count; i++)
        uv_poll_start(&r->polls[i], UV_READABLE, acceptable);
}

static void pause_for(struct dw_reception *r, int error)
{
    dw_tally_add(dw_broker_tally(r->worker->broker), DW_COUNT_LIMIT_DESCRIPTORS, 1);
    dw_broker_complain(r->worker->broker, "cannot accept, trying again shortly", r->door->name, NULL,
                       strerror(error));
    for (int i = 0; i < r->count; i++)
        uv_poll_stop(&r->polls[i]);
    r->paused = true;
    uv_timer_start(&r->pause, resume, PAUSE_MS, 0);
}

static void acceptable(uv_poll_t *poll, int status, int events)
{
    struct dw_reception *r = poll->data;
    uv_os_fd_t listening;
    (void)events;
    if (status < 0 || uv_fileno((uv_handle_t *)poll, &listening) < 0) {
        pause_for(r, EIO); /* libuv has stopped polling */
        return;
    }
    for (int i = 0; i < ACCEPTS_PER_TURN && !r->paused; i++) {
        const struct dw_listener_config *l = dw_worker_listener(r->worker, r->door->name);
        int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0 && l && l->kind == DW_LISTEN_ZAP) {
            dw_asker_new(r->worker, &dw_zapsock_kind, l, fd);
        } else if (fd >= 0 && l && (l->kind == DW_LISTEN_DOVECOT || l->kind == DW_LISTEN_DOVECOT_MASTER)) {
            dw_asker_new(r->worker, &dw_dovecot_sock_kind, l, fd);
        } else if (fd >= 0 && l) {
            dw_conn_new(r->worker, l, fd);
        } else if (fd >= 0) {
            close(fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_for(r, errno);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            break;
        }
    }
}

struct dw_reception *dw_reception_open(struct dw_worker *worker, struct dw_door *door)
{
    struct dw_reception *r = calloc(1, sizeof *r);
    if (!r || uv_timer_init(&worker->loop, &r->pause) < 0) {
        free(r);
        return NULL;
    }
    r->worker = worker;
    r->door = dw_door_hold(door);
    r->pause.data = r;
    for (int i = 0; i < door->count; i++) {
        int fd = fcntl(door->fds[i], F_DUPFD_CLOEXEC, 0);
        if (fd < 0 || uv_poll_init(&worker->loop, &r->polls[r->count], fd) < 0) {
            dw_log(DW_LOG_ERROR, "a worker does not accept from a listener", "listener", door->name, "why",
                   "out of descriptors", NULL);
            if (fd >= 0)
                close(fd);
            continue;
        }
        r->fds[r->count] = fd;
        r->polls[r->count].data = r;
        uv_poll_start(&r->polls[r->count++], UV_READABLE, acceptable);
    }
    return r;
}

static void closed(uv_handle_t *handle)
{
    struct dw_reception *r = handle->data;
    if (--r->closing > 0)
        return;
    struct dw_worker *worker = r->worker;
    dw_door_release(&r->door);
    free(r);
    dw_worker_check_end(worker);
}

void dw_reception_close(struct dw_reception **reception)
{
    struct dw_reception *r = *reception;
    if (!r)
        return;
    *reception = NULL;
    r->closing = r->count + 1;
    uv_close((uv_handle_t *)&r->pause, closed);
    for (int i = 0; i < r->count; i++) {
        uv_poll_stop(&r->polls[i]);
        uv_close((uv_handle_t *)&r->polls[i], closed);
        close(r->fds[i]);
    }
}

const struct dw_door *dw_reception_door(const struct dw_reception *reception)
{
    return reception->door;
}
