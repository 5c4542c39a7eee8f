/* A stock libzmq server whose clients durward lets in, or not, with the handler in process: what czmq's zauth did.
 *
 *   cc -o inprocess inprocess.c $(pkg-config --cflags --libs durward)
 *   ./inprocess tcp://127.0.0.1:5580 durward.lua [DOMAIN]
 *   ./client.py tcp://127.0.0.1:5580 alice wonderland "hello"
 *
 * With zauth the lines at HERE were
 *
 *   zactor_t *auth = zactor_new (zauth, NULL);
 *   zstr_sendx (auth, "PLAIN", "passwords", NULL);        now in the policy: zap.users("users")
 *   ...
 *   zactor_destroy (&auth);
 *
 * The first line it prints is the endpoint it is bound to.  SIGHUP reads configuration, policy and users anew; SIGTERM
 * and SIGINT end it. */
#include <durward.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

static volatile sig_atomic_t hung_up, ends;

static void take_signal(int number)
{
    if (number == SIGHUP)
        hung_up = 1;
    else
        ends = 1;
}

static void handle_signals(void)
{
    struct sigaction action = {.sa_handler = take_signal}; /* without SA_RESTART: what waits is interrupted */
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

static void *open_server(void *context, const char *endpoint, const char *domain)
{
    int on = 1, patience = 5000, tick = 500, none = 0;
    void *server = zmq_socket(context, ZMQ_PULL);
    zmq_setsockopt(server, ZMQ_PLAIN_SERVER, &on, sizeof on);
    zmq_setsockopt(server, ZMQ_ZAP_DOMAIN, domain, strlen(domain));
    zmq_setsockopt(server, ZMQ_HANDSHAKE_IVL, &patience, sizeof patience);
    zmq_setsockopt(server, ZMQ_RCVTIMEO, &tick, sizeof tick);
    zmq_setsockopt(server, ZMQ_LINGER, &none, sizeof none);
    if (zmq_bind(server, endpoint) == 0)
        return server;
    fprintf(stderr, "inprocess: %s: %s\n", endpoint, zmq_strerror(zmq_errno()));
    zmq_close(server);
    return NULL;
}

static void print_message(void *server)
{
    zmq_msg_t message;
    zmq_msg_init(&message);
    if (zmq_msg_recv(&message, server, 0) >= 0) {
        const char *user = zmq_msg_gets(&message, "User-Id");
        printf("%s %.*s\n", user ? user : "?", (int)zmq_msg_size(&message), (char *)zmq_msg_data(&message));
        fflush(stdout);
    }
    zmq_msg_close(&message);
}

static void print_figures(struct durward_zap *zap)
{
    struct durward_zap_statistics s;
    if (durward_zap_statistics(zap, &s, sizeof s) == 0)
        fprintf(stderr, "inprocess: %llu allowed, %llu denied, %llu temporary\n", (unsigned long long)s.allowed,
                (unsigned long long)s.denied, (unsigned long long)s.temporary);
}

int main(int argc, char **argv)
{
    char endpoint[256];
    size_t size = sizeof endpoint;
    struct durward_error error;
    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: inprocess ENDPOINT CONFIG [DOMAIN]\n");
        return 2;
    }
    handle_signals();
    void *context = zmq_ctx_new();
    /* HERE: before any server socket binds. */
    struct durward_zap *zap = durward_zap_start(context, argv[2], &error);
    if (!zap) {
        fprintf(stderr, "inprocess: %s\n", error.message);
        zmq_ctx_term(context);
        return 1;
    }
    void *server = open_server(context, argv[1], argc == 4 ? argv[3] : "trades");
    if (server && zmq_getsockopt(server, ZMQ_LAST_ENDPOINT, endpoint, &size) == 0) {
        printf("%s\n", endpoint);
        fflush(stdout);
    }
    while (server && !ends) {
        print_message(server);
        if (!hung_up)
            continue;
        hung_up = 0;
        if (durward_zap_reload(zap, &error) < 0)
            fprintf(stderr, "inprocess: not reloaded: %s\n", error.message);
    }
    print_figures(zap);
    if (server)
        zmq_close(server);
    durward_zap_stop(&zap);
    zmq_ctx_term(context);
    return server ? 0 : 1;
}
