/* A stock libzmq server with durward's ZAP handler in process, for tests: it does what lines on its standard input say,
 * and prints each message with its sender.
 *
 *   lib_server CONFIG null|plain|curve|gssapi DOMAIN [ENDPOINT]
 *
 * It prints its endpoint, then its public key (CURVE) or a dash.  Commands, each answered with a line that begins with a
 * dot: start, stop, reload, statistics; the end of its input ends it. */
#include <durward.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

static struct durward_zap *zap;

static const char *secure(void *server, const char *mechanism, const char *domain)
{
    static char public_key[41], secret_key[41];
    int on = 1;
    if (*domain)
        zmq_setsockopt(server, ZMQ_ZAP_DOMAIN, domain, strlen(domain));
    if (strcmp(mechanism, "plain") == 0)
        zmq_setsockopt(server, ZMQ_PLAIN_SERVER, &on, sizeof on);
    else if (strcmp(mechanism, "gssapi") == 0)
        zmq_setsockopt(server, ZMQ_GSSAPI_SERVER, &on, sizeof on);
    if (strcmp(mechanism, "curve") != 0)
        return "-";
    do /* a line that begins with a dot is an answer */
        zmq_curve_keypair(public_key, secret_key);
    while (*public_key == '.');
    zmq_setsockopt(server, ZMQ_CURVE_SERVER, &on, sizeof on);
    zmq_setsockopt(server, ZMQ_CURVE_SECRETKEY, secret_key, 41);
    return public_key;
}

static void start(void *context, const char *config)
{
    struct durward_error error;
    zap = durward_zap_start(context, config, &error);
    printf(".start %s\n", zap ? "done" : error.message);
}

static void command(const char *word, void *context, const char *config)
{
    struct durward_error error;
    struct durward_zap_statistics s;
    if (strcmp(word, "start") == 0) {
        start(context, config);
    } else if (strcmp(word, "stop") == 0) {
        durward_zap_stop(&zap);
        printf(".stop done\n");
    } else if (strcmp(word, "reload") == 0) {
        printf(".reload %s\n", durward_zap_reload(zap, &error) == 0 ? "done" : error.message);
    } else {
        durward_zap_statistics(zap, &s, sizeof s);
        printf(".statistics %llu %llu %llu %llu\n", (unsigned long long)s.allowed, (unsigned long long)s.denied,
               (unsigned long long)s.temporary, (unsigned long long)s.waiting);
    }
}

static void print_message(void *server)
{
    zmq_msg_t message;
    zmq_msg_init(&message);
    if (zmq_msg_recv(&message, server, 0) >= 0) {
        const char *user = zmq_msg_gets(&message, "User-Id"), *team = zmq_msg_gets(&message, "X-Team");
        printf("%s %s %.*s\n", user ? user : "-", team ? team : "-", (int)zmq_msg_size(&message),
               (char *)zmq_msg_data(&message));
    }
    zmq_msg_close(&message);
}

int main(int argc, char **argv)
{
    char endpoint[256], line[64];
    size_t size = sizeof endpoint;
    int none = 0, patience = 2000;
    if (argc != 4 && argc != 5)
        return 2;
    setvbuf(stdin, NULL, _IONBF, 0); /* what stands in a buffer is not polled */
    setvbuf(stdout, NULL, _IOLBF, 0);
    void *context = zmq_ctx_new(), *server = zmq_socket(context, ZMQ_PULL);
    const char *key = secure(server, argv[2], argv[3]);
    zmq_setsockopt(server, ZMQ_LINGER, &none, sizeof none);
    /* So long does libzmq keep a client whom a temporary refusal has reached. */
    zmq_setsockopt(server, ZMQ_HANDSHAKE_IVL, &patience, sizeof patience);
    start(context, argv[1]);
    if (zmq_bind(server, argc == 5 ? argv[4] : "tcp://127.0.0.1:*") < 0 ||
        zmq_getsockopt(server, ZMQ_LAST_ENDPOINT, endpoint, &size) < 0)
        return 1;
    printf("%s\n%s\n", endpoint, key);
    for (;;) {
        zmq_pollitem_t items[] = {{.socket = server, .events = ZMQ_POLLIN}, {.fd = 0, .events = ZMQ_POLLIN}};
        if (zmq_poll(items, 2, -1) < 0)
            continue;
        if (items[0].revents)
            print_message(server);
        if (!items[1].revents)
            continue;
        if (!fgets(line, sizeof line, stdin))
            break;
        line[strcspn(line, "\n")] = '\0';
        command(line, context, argv[1]);
    }
    zmq_close(server);
    zmq_ctx_term(context);
    durward_zap_stop(&zap);
    return 0;
}
