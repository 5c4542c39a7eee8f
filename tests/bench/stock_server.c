/* A stock libzmq GSSAPI server, as a user of libzmq would write one: the yardstick for the benchmarks.
 *
 *   stock_server [--type router|rep|pull] [--listen tcp://127.0.0.1:*] [--plaintext] [--no-zap]
 *
 * A thread in the same process answers every ZAP request with 200 and a user id.  The keytab is the
 * environment's (KRB5_KTNAME), for libzmq knows no other.  Says "ready PORT" on stdout; on SIGTERM says what
 * CPU it used, on stderr, and ends. */
#include "stock.h"

#include <pthread.h>
#include <string.h>

/* RFC 27: version, request id, domain, address, identity, mechanism, credentials. */
#define ZAP_FRAMES 7
#define ZAP_FRAME_MAX 512

static int zap_receive(void *socket, char frames[][ZAP_FRAME_MAX], int *sizes, int *count)
{
    int more = 1;
    size_t len = sizeof more;
    for (*count = 0; more; ++*count) {
        char spare[ZAP_FRAME_MAX];
        int at = *count;
        int got = zmq_recv(socket, at < ZAP_FRAMES ? frames[at] : spare, ZAP_FRAME_MAX, 0);
        if (got < 0 || zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &len) < 0)
            return -1;
        if (at < ZAP_FRAMES)
            sizes[at] = got < ZAP_FRAME_MAX ? got : ZAP_FRAME_MAX;
    }
    return 0;
}

static void *zap_thread(void *socket)
{
    char frames[ZAP_FRAMES][ZAP_FRAME_MAX];
    int sizes[ZAP_FRAMES], count;
    while (zap_receive(socket, frames, sizes, &count) == 0) {
        int known = count == ZAP_FRAMES && sizes[5] == 6 && !memcmp(frames[5], "GSSAPI", 6);
        /* The user is the principal's first part, which is what such handlers do. */
        int user = 0;
        while (known && user < sizes[6] && frames[6][user] && !strchr("/@", frames[6][user]))
            user++;
        zmq_send(socket, "1.0", 3, ZMQ_SNDMORE);
        zmq_send(socket, frames[1], (size_t)(count > 1 ? sizes[1] : 0), ZMQ_SNDMORE);
        zmq_send(socket, known ? "200" : "400", 3, ZMQ_SNDMORE);
        zmq_send(socket, known ? "OK" : "no", 2, ZMQ_SNDMORE);
        zmq_send(socket, frames[6], (size_t)user, ZMQ_SNDMORE);
        zmq_send(socket, "", 0, 0);
    }
    zmq_close(socket);
    return NULL;
}

int main(int argc, char **argv)
{
    struct stock_options o = {.type = ZMQ_ROUTER, .listen = "tcp://127.0.0.1:*", .zap = 1};
    if (stock_options(argc, argv, &o) < 0)
        return 2;
    stock_begin();
    void *context = zmq_ctx_new();
    void *zap = NULL;
    pthread_t thread;
    if (o.zap) {
        zap = zmq_socket(context, ZMQ_REP);
        if (zmq_bind(zap, "inproc://zeromq.zap.01") < 0 || pthread_create(&thread, NULL, zap_thread, zap) != 0)
            return stock_fail("ZAP handler");
    }
    void *socket = zmq_socket(context, o.type);
    int one = 1;
    zmq_setsockopt(socket, ZMQ_GSSAPI_SERVER, &one, sizeof one);
    if (o.plaintext)
        zmq_setsockopt(socket, ZMQ_GSSAPI_PLAINTEXT, &one, sizeof one);
    if (stock_bind(socket, o.listen) < 0)
        return 1;
    stock_serve(socket, o.type);
    zmq_close(socket);
    zmq_ctx_shutdown(context);
    if (o.zap)
        pthread_join(thread, NULL);
    zmq_ctx_term(context);
    stock_tell_cpu(argv[0]);
    return 0;
}
