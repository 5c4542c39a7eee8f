/* A stock plain libzmq server: what durward puts behind itself in the benchmarks.
 *
 *   stock_backend [--type router|rep|pull] [--listen tcp://127.0.0.1:*]
 *
 * Says "ready PORT" on stdout; on SIGTERM says what CPU it used, on stderr, and ends. */
#include "stock.h"

int main(int argc, char **argv)
{
    struct stock_options o = {.type = ZMQ_ROUTER, .listen = "tcp://127.0.0.1:*"};
    if (stock_options(argc, argv, &o) < 0)
        return 2;
    stock_begin();
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, o.type);
    if (stock_bind(socket, o.listen) < 0)
        return 1;
    stock_serve(socket, o.type);
    zmq_close(socket);
    zmq_ctx_term(context);
    stock_tell_cpu(argv[0]);
    return 0;
}
