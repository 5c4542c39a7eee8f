/* The common half of the stock libzmq programs: see stock.h. */
#include "stock.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static volatile sig_atomic_t ended;

static void end(int signal_number)
{
    (void)signal_number;
    ended = 1;
}

int stock_fail(const char *what)
{
    fprintf(stderr, "stock: %s: %s\n", what, zmq_strerror(zmq_errno()));
    return 1;
}

int stock_options(int argc, char **argv, struct stock_options *o)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(argv[i], "--plaintext")) {
            o->plaintext = 1;
        } else if (!strcmp(argv[i], "--no-zap")) {
            o->zap = 0;
        } else if (!strcmp(argv[i], "--listen") && value) {
            o->listen = value;
            i++;
        } else if (!strcmp(argv[i], "--type") && value && !strcmp(value, "router")) {
            o->type = ZMQ_ROUTER;
            i++;
        } else if (!strcmp(argv[i], "--type") && value && !strcmp(value, "rep")) {
            o->type = ZMQ_REP;
            i++;
        } else if (!strcmp(argv[i], "--type") && value && !strcmp(value, "pull")) {
            o->type = ZMQ_PULL;
            i++;
        } else {
            fprintf(stderr,
                    "%s: '%s'? usage: [--type router|rep|pull] [--listen ENDPOINT] [--plaintext] [--no-zap]\n",
                    argv[0], argv[i]);
            return -1;
        }
    }
    return 0;
}

void stock_begin(void)
{
    /* No SA_RESTART: a signal has to end the wait in zmq_poll. */
    struct sigaction action = {.sa_handler = end};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int stock_bind(void *socket, const char *endpoint)
{
    int none = 0, backlog = 1024;
    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt(socket, ZMQ_BACKLOG, &backlog, sizeof backlog);
    /* The default high-water mark makes a ROUTER drop echoes silently; a benchmark must not lose any. */
    zmq_setsockopt(socket, ZMQ_SNDHWM, &none, sizeof none);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &none, sizeof none);
    char bound[256];
    size_t len = sizeof bound;
    if (zmq_bind(socket, endpoint) < 0 || zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &len) < 0) {
        stock_fail(endpoint);
        return -1;
    }
    const char *colon = strrchr(bound, ':');
    printf("ready %s\n", colon && strncmp(bound, "tcp", 3) == 0 ? colon + 1 : bound);
    return fflush(stdout);
}

/* Passes one whole message back, part by part.  -1 when there is none left. */
static int echo(void *socket, int type)
{
    for (int more = 1; more;) {
        zmq_msg_t part;
        zmq_msg_init(&part);
        if (zmq_msg_recv(&part, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&part);
            return -1;
        }
        more = zmq_msg_more(&part);
        if (type == ZMQ_PULL || zmq_msg_send(&part, socket, more ? ZMQ_SNDMORE : 0) < 0)
            zmq_msg_close(&part);
    }
    return 0;
}

void stock_serve(void *socket, int type)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    while (!ended)
        if (zmq_poll(&item, 1, 200) > 0)
            while (!ended && echo(socket, type) == 0)
                ;
}

void stock_tell_cpu(const char *who)
{
    struct rusage used;
    if (getrusage(RUSAGE_SELF, &used) < 0)
        return;
    double user = (double)used.ru_utime.tv_sec + (double)used.ru_utime.tv_usec / 1e6;
    double kernel = (double)used.ru_stime.tv_sec + (double)used.ru_stime.tv_usec / 1e6;
    const char *slash = strrchr(who, '/');
    fprintf(stderr, "%s: user %.3f s, system %.3f s, largest resident size %ld KiB\n", slash ? slash + 1 : who,
            user, kernel, used.ru_maxrss);
}
