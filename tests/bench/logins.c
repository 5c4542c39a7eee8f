/* How many logins a second, how long each takes, and what CPU the server spends on it. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>

struct logins {
    struct load *load;
    struct samples samples;
    size_t started, ended, errors;
};

static void start(struct logins *s, struct peer *p)
{
    while (s->started < s->load->count) {
        s->started++;
        if (peer_open(p, s->load->epoll, &s->load->how, NULL) == 0)
            return;
        fprintf(stderr, "load: login: %s\n", p->why);
        s->errors++;
        s->ended++;
        peer_close(p, false);
    }
}

static void on_login(struct peer *p, void *arg)
{
    struct logins *s = arg;
    bool admitted = p->stage == PEER_OPEN && dw_buf_len(&p->out) == 0;
    if (p->stage != PEER_CLOSED && !admitted)
        return;
    if (admitted) {
        samples_add(&s->samples, p->admitted - p->started);
    } else {
        s->errors++;
        if (s->errors < 10)
            fprintf(stderr, "load: login: %s\n", p->why);
    }
    s->ended++;
    peer_close(p, false);
    start(s, p);
}

/* Runs `count` logins; how many failed, or the program's end when nothing goes on. */
static size_t run(struct logins *s, struct peer *peers)
{
    size_t last = 0;
    uint64_t progress = now_ns();
    for (size_t i = 0; i < s->load->clients; i++)
        start(s, &peers[i]);
    while (s->ended < s->load->count) {
        peers_turn(s->load->epoll, 100, on_login, s);
        if (s->ended != last) {
            last = s->ended;
            progress = now_ns();
        } else if ((double)(now_ns() - progress) > s->load->deadline * 1e9) {
            die("%zu of %zu logins ended, and no more in %.0f s", s->ended, s->load->count, s->load->deadline);
        }
    }
    return s->errors;
}

int mode_logins(struct load *l)
{
    struct peer *peers = must_alloc(l->clients, sizeof *peers);
    uint64_t cpu[WATCHED_MAX];
    /* First logins fill caches and pools on both sides. */
    size_t count = l->count;
    struct logins warm = {.load = l};
    l->count = count < 50 ? count : 50;
    size_t errors = run(&warm, peers);
    samples_free(&warm.samples);
    l->count = count;

    struct logins s = {.load = l};
    load_cpu_restart(l, cpu);
    uint64_t began = now_ns();
    errors += run(&s, peers);
    double seconds = (double)(now_ns() - began) / 1e9;
    printf("logins=%zu errors=%zu seconds=%.3f logins_per_s=%.0f login_p50_us=%.0f login_p99_us=%.0f",
           s.samples.count, errors, seconds, (double)s.samples.count / seconds,
           (double)samples_at(&s.samples, 0.5) / 1e3, (double)samples_at(&s.samples, 0.99) / 1e3);
    /* The server may still be about the last ones. */
    peers_turn(l->epoll, 50, on_login, &s);
    load_cpu_print(l, cpu, "login", (double)s.ended);
    putchar('\n');
    samples_free(&s.samples);
    free(peers);
    return (int)errors;
}
