/* A forwarder for C: libzmq asks whoever is bound to inproc://zeromq.zap.01 in its own context; requests go out to
 * durward as they are, with the routing frame that leads the reply back (ZeroMQ RFC 27, "Proxy Handlers").  No queue of
 * ours has a bound, so no reply is dropped; while durward is away requests wait, and nobody is admitted. */
#include "forwarder.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <zmq.h>

struct ends {
    void *inside, *outside;
};

static void close_ends(struct ends *ends)
{
    if (ends->inside)
        zmq_close(ends->inside);
    if (ends->outside)
        zmq_close(ends->outside);
    free(ends);
}

static void *run(void *arg)
{
    struct ends *ends = arg;
    zmq_proxy(ends->inside, ends->outside, NULL); /* until the context ends */
    close_ends(ends);
    return NULL;
}

static void *open_end(void *context, int type)
{
    int none = 0;
    void *end = zmq_socket(context, type);
    if (end) {
        zmq_setsockopt(end, ZMQ_LINGER, &none, sizeof none);
        zmq_setsockopt(end, ZMQ_SNDHWM, &none, sizeof none);
        zmq_setsockopt(end, ZMQ_RCVHWM, &none, sizeof none);
    }
    return end;
}

int zap_forward(void *context, const char *handler)
{
    pthread_t thread;
    struct ends *ends = calloc(1, sizeof *ends);
    if (!ends)
        return -1;
    ends->inside = open_end(context, ZMQ_ROUTER);
    ends->outside = open_end(context, ZMQ_DEALER);
    if (ends->inside && ends->outside && zmq_bind(ends->inside, "inproc://zeromq.zap.01") == 0 &&
        zmq_connect(ends->outside, handler) == 0) {
        int error = pthread_create(&thread, NULL, run, ends);
        if (error == 0)
            return pthread_detach(thread), 0;
        errno = error;
    }
    int error = errno;
    close_ends(ends);
    errno = error;
    return -1;
}
