/* What both stock libzmq programs do: options, a bound socket, and a loop that echoes or swallows until
 * SIGTERM or SIGINT. */
#ifndef DW_BENCH_STOCK_H
#define DW_BENCH_STOCK_H

#include <zmq.h>

struct stock_options {
    int type; /* ZMQ_ROUTER and ZMQ_REP echo, ZMQ_PULL swallows */
    const char *listen; /* a libzmq endpoint; port * or 0 takes a free one */
    int plaintext; /* ZMQ_GSSAPI_PLAINTEXT */
    int zap; /* answer ZAP requests in this process */
};

int stock_options(int argc, char **argv, struct stock_options *o); /* -1: usage was told */
void stock_begin(void); /* signals, descriptor limit */
int stock_bind(void *socket, const char *endpoint); /* says "ready PORT"; -1: told why */
void stock_serve(void *socket, int type); /* until a signal asks to end */
void stock_tell_cpu(const char *who);
int stock_fail(const char *what); /* tells libzmq's error; returns 1 */

#endif
