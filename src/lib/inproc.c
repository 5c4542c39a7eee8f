/* A context's ZAP endpoint: see inproc.h. */
#include "lib/inproc.h"

#include "zap/zap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

static const char endpoint[] = "inproc://zeromq.zap.01";

static enum dw_inproc_state told(struct dw_error *err)
{
    int error = zmq_errno();
    if (error == EADDRINUSE) {
        dw_error_set(err, DW_ERROR_INTERNAL, "this ZeroMQ context has a ZAP handler already: %s is taken",
                     endpoint);
        return DW_INPROC_BOUND;
    }
    if (error == ENOMEM) {
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
        return DW_INPROC_NO_MEANS;
    }
    dw_error_set(err, DW_ERROR_INTERNAL, "this ZeroMQ context gives no socket for the ZAP handler: %s",
                 error == EFAULT  ? "it is no context"
                 : error == ETERM ? "it is being terminated"
                                  : zmq_strerror(error));
    return DW_INPROC_NO_CONTEXT;
}

enum dw_inproc_state dw_inproc_open(struct dw_inproc *inproc, void *context, struct dw_error *err)
{
    static const int unbounded[] = {ZMQ_SNDHWM, ZMQ_RCVHWM, ZMQ_LINGER};
    int none = 0, on = 1;
    *inproc = (struct dw_inproc){.socket = zmq_socket(context, ZMQ_ROUTER)};
    if (!inproc->socket)
        return told(err);
    int rc = zmq_setsockopt(inproc->socket, ZMQ_ROUTER_MANDATORY, &on, sizeof on);
    for (size_t i = 0; rc == 0 && i < sizeof unbounded / sizeof *unbounded; i++)
        rc = zmq_setsockopt(inproc->socket, unbounded[i], &none, sizeof none);
    if (rc == 0)
        rc = zmq_bind(inproc->socket, endpoint);
    if (rc == 0)
        return DW_INPROC_TAKEN;
    enum dw_inproc_state state = told(err);
    dw_inproc_close(inproc);
    return state;
}

void dw_inproc_close(struct dw_inproc *inproc)
{
    if (inproc->socket)
        zmq_close(inproc->socket);
    inproc->socket = NULL;
    dw_buf_free(&inproc->message);
}

bool dw_inproc_stands(const struct dw_inproc *inproc)
{
    int events;
    size_t size = sizeof events;
    return zmq_getsockopt(inproc->socket, ZMQ_EVENTS, &events, &size) == 0 || zmq_errno() == EINTR;
}

int dw_inproc_descriptor(const struct dw_inproc *inproc)
{
    int fd = -1;
    size_t size = sizeof fd;
    return zmq_getsockopt(inproc->socket, ZMQ_FD, &fd, &size) == 0 ? fd : -1;
}

static int receive_frame(struct dw_inproc *inproc, zmq_msg_t *frame)
{
    int rc;
    do
        rc = zmq_msg_recv(frame, inproc->socket, ZMQ_DONTWAIT);
    while (rc < 0 && zmq_errno() == EINTR);
    return rc;
}

enum dw_inproc_got dw_inproc_receive(struct dw_inproc *inproc)
{
    enum dw_inproc_got got = DW_INPROC_MESSAGE;
    zmq_msg_t frame;
    bool is_more = true;
    dw_buf_free(&inproc->message);
    while (is_more) {
        zmq_msg_init(&frame);
        if (receive_frame(inproc, &frame) < 0)
            return zmq_errno() == EAGAIN ? DW_INPROC_NOTHING : DW_INPROC_ENDED;
        struct dw_span body = dw_span_make(zmq_msg_data(&frame), zmq_msg_size(&frame));
        if (got == DW_INPROC_MESSAGE && dw_buf_len(&inproc->message) + 4 + body.len > DW_ZAP_BYTES)
            got = DW_INPROC_TOO_LONG;
        if (got == DW_INPROC_MESSAGE && dw_zap_put(&inproc->message, body) < 0)
            got = DW_INPROC_NO_MEMORY;
        is_more = zmq_msg_more(&frame);
        zmq_msg_close(&frame);
    }
    return got;
}

static size_t count_frames(struct dw_span message)
{
    struct dw_reader reader = dw_reader_make(message);
    struct dw_span frame;
    size_t count = 0;
    while (dw_zap_next(&reader, &frame))
        count++;
    return count;
}

/* All or none: what has been begun on a ROUTER cannot be taken back. */
static zmq_msg_t *make_frames(struct dw_span message, size_t count)
{
    struct dw_reader reader = dw_reader_make(message);
    struct dw_span body;
    zmq_msg_t *frames = calloc(count, sizeof *frames);
    for (size_t i = 0; frames && i < count; i++) {
        dw_zap_next(&reader, &body);
        if (zmq_msg_init_size(&frames[i], body.len) < 0) {
            while (i > 0)
                zmq_msg_close(&frames[--i]);
            free(frames);
            return NULL;
        }
        memcpy(zmq_msg_data(&frames[i]), body.at, body.len);
    }
    return frames;
}

enum dw_inproc_sent dw_inproc_send(struct dw_inproc *inproc, struct dw_span message)
{
    size_t count = count_frames(message), i = 0;
    zmq_msg_t *frames = make_frames(message, count);
    if (!frames)
        return DW_INPROC_LOST;
    while (i < count) {
        int flags = ZMQ_DONTWAIT | (i + 1 < count ? ZMQ_SNDMORE : 0);
        if (zmq_msg_send(&frames[i], inproc->socket, flags) >= 0)
            i++;
        else if (zmq_errno() != EINTR)
            break;
    }
    bool is_sent = i == count;
    for (; i < count; i++)
        zmq_msg_close(&frames[i]);
    free(frames);
    return is_sent ? DW_INPROC_SENT : DW_INPROC_UNREACHABLE;
}
