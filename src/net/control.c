/* The control socket: see control.h. */
#include "net/control.h"

#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct dw_control {
    uv_pipe_t pipe;
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    json_t *(*describe)(void *arg);
    void *arg;
};

struct reply {
    uv_pipe_t pipe;
    uv_write_t write;
    char *text;
};

static void reply_closed(uv_handle_t *handle)
{
    struct reply *r = handle->data;
    free(r->text);
    free(r);
}

static void written(uv_write_t *write, int status)
{
    struct reply *r = write->data;
    (void)status;
    uv_close((uv_handle_t *)&r->pipe, reply_closed);
}

static void connected(uv_stream_t *server, int status)
{
    struct dw_control *c = server->data;
    struct reply *r = status < 0 ? NULL : calloc(1, sizeof *r);
    if (!r)
        return;
    uv_pipe_init(server->loop, &r->pipe, 0);
    r->pipe.data = r->write.data = r;
    json_t *all = c->describe(c->arg);
    r->text = all ? json_dumps(all, JSON_INDENT(2)) : NULL;
    json_decref(all);
    uv_buf_t buf = uv_buf_init(r->text, r->text ? (unsigned)strlen(r->text) : 0);
    if (uv_accept(server, (uv_stream_t *)&r->pipe) < 0 || !r->text ||
        uv_write(&r->write, (uv_stream_t *)&r->pipe, &buf, 1, written) < 0)
        uv_close((uv_handle_t *)&r->pipe, reply_closed);
}

static int path_of(const char *state_dir, char *into, size_t size, struct dw_error *err)
{
    int n = snprintf(into, size, "%s/control.sock", state_dir);
    if (n < 0 || (size_t)n >= size)
        return dw_error_set(err, DW_ERROR_INTERNAL, "state_dir %s is too long for a socket's path", state_dir);
    return 0;
}

static int dial(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static void control_closed(uv_handle_t *handle)
{
    free(handle->data);
}

struct dw_control *dw_control_open(uv_loop_t *loop, const char *state_dir, json_t *(*describe)(void *arg),
                                   void *arg, struct dw_error *err)
{
    struct dw_control *c = calloc(1, sizeof *c);
    if (!c || path_of(state_dir, c->path, sizeof c->path, err) < 0) {
        free(c);
        return NULL;
    }
    int fd = dial(c->path);
    if (fd >= 0) {
        close(fd);
        dw_error_set(err, DW_ERROR_INTERNAL, "another broker runs with state_dir %s", state_dir);
        free(c);
        return NULL;
    }
    unlink(c->path);
    c->describe = describe;
    c->arg = arg;
    uv_pipe_init(loop, &c->pipe, 0);
    c->pipe.data = c;
    mode_t old = umask(0177);
    int rc = uv_pipe_bind(&c->pipe, c->path);
    umask(old);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&c->pipe, 16, connected);
    if (rc < 0) {
        dw_error_set(err, DW_ERROR_INTERNAL, "control socket %s: %s", c->path, uv_strerror(rc));
        c->path[0] = '\0';
        uv_close((uv_handle_t *)&c->pipe, control_closed);
        return NULL;
    }
    return c;
}

void dw_control_free(struct dw_control **control)
{
    struct dw_control *c = *control;
    *control = NULL;
    if (!c)
        return;
    unlink(c->path);
    uv_close((uv_handle_t *)&c->pipe, control_closed);
}

json_t *dw_control_ask(const char *state_dir, struct dw_error *err)
{
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    if (path_of(state_dir, path, sizeof path, err) < 0)
        return NULL;
    int fd = dial(path);
    if (fd < 0) {
        dw_error_set(err, DW_ERROR_INTERNAL, "no broker answers at %s: %s", path, strerror(errno));
        return NULL;
    }
    json_error_t why;
    json_t *all = json_loadfd(fd, 0, &why);
    close(fd);
    if (!all)
        dw_error_set(err, DW_ERROR_INTERNAL, "the broker at %s gave no status: %s", path, why.text);
    return all;
}
