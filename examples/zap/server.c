/* A stock libzmq server with PLAIN whose clients durward lets in, or not: prints each message with its sender.
 *
 *   cc -o server server.c forwarder.c -lzmq -lpthread
 *   ./server tcp://127.0.0.1:5580 ipc:///run/durward/zap [DOMAIN]
 *
 * The first line it prints is the endpoint it is bound to. */
#include "forwarder.h"

#include <stdio.h>
#include <string.h>
#include <zmq.h>

int main(int argc, char **argv)
{
    char endpoint[256];
    size_t size = sizeof endpoint;
    int on = 1;
    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: server ENDPOINT HANDLER [DOMAIN]\n");
        return 2;
    }
    const char *domain = argc == 4 ? argv[3] : "global";
    void *context = zmq_ctx_new();
    if (zap_forward(context, argv[2]) < 0) {
        fprintf(stderr, "server: no forwarder: %s\n", zmq_strerror(zmq_errno()));
        return 1;
    }
    void *server = zmq_socket(context, ZMQ_PULL);
    zmq_setsockopt(server, ZMQ_PLAIN_SERVER, &on, sizeof on);
    zmq_setsockopt(server, ZMQ_ZAP_DOMAIN, domain, strlen(domain));
    if (zmq_bind(server, argv[1]) < 0 || zmq_getsockopt(server, ZMQ_LAST_ENDPOINT, endpoint, &size) < 0) {
        fprintf(stderr, "server: %s: %s\n", argv[1], zmq_strerror(zmq_errno()));
        return 1;
    }
    printf("%s\n", endpoint);
    fflush(stdout);
    for (;;) {
        zmq_msg_t message;
        zmq_msg_init(&message);
        if (zmq_msg_recv(&message, server, 0) >= 0) {
            const char *user = zmq_msg_gets(&message, "User-Id");
            printf("%s %.*s\n", user ? user : "?", (int)zmq_msg_size(&message), (char *)zmq_msg_data(&message));
            fflush(stdout);
        }
        zmq_msg_close(&message);
    }
}
