/* A load generator for servers that speak ZMTP's GSSAPI mechanism: options, and what the modes share. */
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#define AT_ONCE 64

static const char usage[] =
    "usage: load MODE tcp://ADDRESS:PORT --service zmq@HOST [OPTIONS]\n"
    "  logins   --count N logins, --clients C at once: connect, handshake, READY both ways, close\n"
    "  echo     --clients C DEALERs with --window W messages of --size S octets in flight, for --seconds T\n"
    "  idle     --count N connections, admitted and then silent: the server's memory for each\n"
    "  soak     --count N connections that behave and misbehave at random, --clients C at once, --seed X\n"
    "  --ccache CACHE            the client's tickets (default: the environment's)\n"
    "  --refused-ccache CACHE    soak: tickets of somebody whom the server refuses\n"
    "  --plaintext               authenticated only, as ZMQ_GSSAPI_PLAINTEXT\n"
    "  --type TYPE               our socket type (DEALER)\n"
    "  --pid LABEL=PID           report CPU and memory of this process (up to four)\n"
    "  --deadline SECONDS        the longest that the server may leave us waiting (30)\n"
    "  --stock                   soak: the server is libzmq, so leave out what is known to end it\n";

static const struct option options[] = {
    {"service", required_argument, NULL, 's'},
    {"ccache", required_argument, NULL, 'c'},
    {"refused-ccache", required_argument, NULL, 'r'},
    {"plaintext", no_argument, NULL, 'p'},
    {"type", required_argument, NULL, 't'},
    {"count", required_argument, NULL, 'n'},
    {"clients", required_argument, NULL, 'C'},
    {"window", required_argument, NULL, 'w'},
    {"size", required_argument, NULL, 'S'},
    {"seconds", required_argument, NULL, 'T'},
    {"seed", required_argument, NULL, 'x'},
    {"pid", required_argument, NULL, 'P'},
    {"deadline", required_argument, NULL, 'd'},
    {"stock", no_argument, NULL, 'k'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static double number(const char *text, const char *name, double least, double most)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= least && value <= most))
        die("--%s '%s': a number from %g to %g is wanted", name, text, least, most);
    return value;
}

static void watch_process(struct load *l, char *text)
{
    char *equals = strchr(text, '=');
    if (!equals || l->watched_count == WATCHED_MAX)
        die("--pid '%s': LABEL=PID is wanted, at most %d times", text, WATCHED_MAX);
    *equals = 0;
    struct watched w = {text, (pid_t)number(equals + 1, "pid", 1, 1 << 22)};
    if (process_cpu_ns(w.pid) == 0)
        die("--pid %s: no process %ld", text, (long)w.pid);
    l->watched[l->watched_count++] = w;
}

void load_cpu_restart(struct load *l, uint64_t *cpu)
{
    for (size_t i = 0; i < l->watched_count; i++)
        cpu[i] = process_cpu_ns(l->watched[i].pid);
}

void load_cpu_print(struct load *l, const uint64_t *cpu, const char *per, double divisor)
{
    for (size_t i = 0; i < l->watched_count; i++) {
        uint64_t now = process_cpu_ns(l->watched[i].pid);
        if (now == 0)
            die("%s (process %ld) is gone", l->watched[i].label, (long)l->watched[i].pid);
        if (divisor > 0)
            printf(" %s_cpu_us_per_%s=%.1f", l->watched[i].label, per, (double)(now - cpu[i]) / 1e3 / divisor);
    }
}

struct admission {
    size_t opened, admitted;
};

static void on_admission(struct peer *p, void *arg)
{
    struct admission *a = arg;
    if (p->stage == PEER_CLOSED)
        die("a client was not admitted: %s", p->why);
    if (p->stage == PEER_OPEN && !p->owner) {
        p->owner = p;
        a->admitted++;
    }
}

void load_admit(struct load *l, struct peer *peers, size_t count)
{
    struct admission a = {0};
    uint64_t give_up = now_ns() + (uint64_t)(l->deadline * 1e9);
    while (a.admitted < count) {
        while (a.opened < count && a.opened - a.admitted < AT_ONCE) {
            struct peer *p = &peers[a.opened++];
            if (peer_open(p, l->epoll, &l->how, NULL) < 0)
                die("a client could not connect: %s", p->why);
        }
        size_t before = a.admitted;
        peers_turn(l->epoll, 100, on_admission, &a);
        if (a.admitted > before)
            give_up = now_ns() + (uint64_t)(l->deadline * 1e9);
        else if (now_ns() > give_up)
            die("%zu of %zu clients were admitted, and no more in %.0f s", a.admitted, count, l->deadline);
    }
}

static void on_any(struct peer *p, void *arg)
{
    (void)arg;
    (void)p;
}

int load_echo_once(struct load *l, struct peer *p, uint64_t value)
{
    uint8_t body[8];
    dw_put_u64(body, value);
    struct peer_message m = {0};
    uint64_t give_up = now_ns() + (uint64_t)(l->deadline * 1e9);
    int got = peer_send(p, dw_span_make(body, sizeof body), false);
    while (got == 0 && (got = peer_take(p, &m)) == 0 && now_ns() < give_up)
        peers_turn(l->epoll, 100, on_any, NULL);
    if (got == 1 && !m.more && dw_span_equal(m.body, dw_span_make(body, sizeof body)))
        return 0;
    fprintf(stderr, "load: no true echo: %s\n", got < 0 ? p->why : got ? "the content differs" : "nothing came");
    return -1;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(struct load *);
    } modes[] = {{"logins", mode_logins}, {"echo", mode_echo}, {"idle", mode_idle}, {"soak", mode_soak}};
    struct load l = {.how = {.socket_type = "DEALER"},
                     .count = 1000,
                     .clients = 8,
                     .window = 8,
                     .size = 1024,
                     .seconds = 2,
                     .deadline = 30,
                     .seed = 1};
    const char *service = NULL, *ccache = NULL, *refused = NULL;
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (o) {
        case 's': service = optarg; break;
        case 'c': ccache = optarg; break;
        case 'r': refused = optarg; break;
        case 'p': l.how.plaintext = true; break;
        case 't': l.how.socket_type = optarg; break;
        case 'n': l.count = (size_t)number(optarg, "count", 1, 1e6); break;
        case 'C': l.clients = (size_t)number(optarg, "clients", 1, 20000); break;
        case 'w': l.window = (size_t)number(optarg, "window", 1, 100000); break;
        case 'S': l.size = (size_t)number(optarg, "size", 8, 1 << 26); break;
        case 'T': l.seconds = number(optarg, "seconds", 0.1, 3600); break;
        case 'd': l.deadline = number(optarg, "deadline", 0.1, 3600); break;
        case 'x': l.seed = (uint64_t)number(optarg, "seed", 0, 1e15); break;
        case 'P': watch_process(&l, optarg); break;
        case 'k': l.stock = true; break;
        case 'h': fputs(usage, stdout); return 0;
        default: fputs(usage, stderr); return 2;
        }
    }
    size_t mode = 0;
    while (optind + 2 == argc && mode < 4 && strcmp(argv[optind], modes[mode].name))
        mode++;
    if (optind + 2 != argc || mode == 4 || !service || peer_address(argv[optind + 1], &l.how.address) < 0) {
        fputs(usage, stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    ticket_get(&l.ticket, ccache, service);
    l.how.ticket = &l.ticket;
    if (refused) {
        ticket_get(&l.refused, refused, service);
        l.has_refused = true;
    }
    if ((l.epoll = epoll_create1(EPOLL_CLOEXEC)) < 0)
        die("epoll: %s", strerror(errno));
    int errors = modes[mode].run(&l);
    ticket_free(&l.ticket);
    if (refused)
        ticket_free(&l.refused);
    return errors > 0;
}
