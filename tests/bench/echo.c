/* How fast messages come back, how evenly, and that they come back whole and in order. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>

struct client {
    uint64_t *sent_at; /* a ring of `window` times */
    uint64_t sent, back, measured; /* messages: sent, come back, come back while measuring */
};

struct echo {
    struct load *load;
    uint8_t *body; /* what every message holds behind its number */
    struct samples samples;
    bool measuring, ending;
    size_t flying, errors;
    uint64_t last;
};

static int send_one(struct echo *e, struct peer *p)
{
    struct client *c = p->owner;
    dw_put_u64(e->body, c->sent);
    c->sent_at[c->sent % e->load->window] = now_ns();
    if (peer_send(p, dw_span_make(e->body, e->load->size), false) < 0)
        return -1;
    c->sent++;
    e->flying++;
    return 0;
}

static void on_echo(struct peer *p, void *arg)
{
    struct echo *e = arg;
    struct client *c = p->owner;
    struct peer_message m;
    int got;
    while ((got = peer_take(p, &m)) == 1) {
        dw_put_u64(e->body, c->back);
        if (m.more || !dw_span_equal(m.body, dw_span_make(e->body, e->load->size)))
            die("an echo of %zu octets is not what was sent (message %llu of this client)", m.body.len,
                (unsigned long long)c->back);
        e->last = now_ns();
        if (e->measuring) {
            samples_add(&e->samples, e->last - c->sent_at[c->back % e->load->window]);
            c->measured++;
        }
        c->back++;
        e->flying--;
        if (!e->ending && send_one(e, p) < 0)
            got = -1;
    }
    if (got < 0)
        die("a client's connection ended: %s", p->why);
}

static void run_for(struct echo *e, double seconds)
{
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
    while (now_ns() < end) {
        peers_turn(e->load->epoll, 10, on_echo, e);
        if ((double)(now_ns() - e->last) > e->load->deadline * 1e9)
            die("no echo came for %.0f s", e->load->deadline);
    }
}

int mode_echo(struct load *l)
{
    struct peer *peers = must_alloc(l->clients, sizeof *peers);
    struct client *clients = must_alloc(l->clients, sizeof *clients);
    struct echo e = {.load = l, .body = must_alloc(1, l->size)};
    uint64_t cpu[WATCHED_MAX], x = l->seed * 2654435761u + 1;
    for (size_t i = 0; i < l->size; i++, x ^= x << 13, x ^= x >> 7, x ^= x << 17)
        e.body[i] = (uint8_t)(x >> 32);
    load_admit(l, peers, l->clients);
    for (size_t i = 0; i < l->clients; i++) {
        clients[i].sent_at = must_alloc(l->window, sizeof(uint64_t));
        peers[i].owner = &clients[i];
    }
    e.last = now_ns();
    for (size_t w = 0; w < l->window; w++)
        for (size_t i = 0; i < l->clients; i++)
            if (send_one(&e, &peers[i]) < 0)
                die("a client's connection ended: %s", peers[i].why);
    run_for(&e, l->seconds / 5);
    e.measuring = true;
    load_cpu_restart(l, cpu);
    uint64_t began = now_ns();
    run_for(&e, l->seconds);
    double seconds = (double)(now_ns() - began) / 1e9;
    e.measuring = false;
    uint64_t least = UINT64_MAX, most = 0;
    for (size_t i = 0; i < l->clients; i++) {
        least = clients[i].measured < least ? clients[i].measured : least;
        most = clients[i].measured > most ? clients[i].measured : most;
    }
    double count = (double)e.samples.count, p50 = (double)samples_at(&e.samples, 0.5);
    double p99 = (double)samples_at(&e.samples, 0.99);
    printf("messages=%.0f seconds=%.3f messages_per_s=%.0f mib_per_s=%.1f echo_p50_us=%.0f echo_p99_us=%.0f "
           "p99_over_p50=%.2f fairness=%.3f",
           count, seconds, count / seconds, count / seconds * (double)l->size / 1048576, p50 / 1e3, p99 / 1e3,
           p50 > 0 ? p99 / p50 : 0, most ? (double)least / (double)most : 0);
    load_cpu_print(l, cpu, "message", count);
    putchar('\n');
    e.ending = true;
    uint64_t give_up = now_ns() + (uint64_t)(l->deadline * 1e9);
    while (e.flying && now_ns() < give_up)
        peers_turn(l->epoll, 100, on_echo, &e);
    if (e.flying)
        fprintf(stderr, "load: %zu messages never came back\n", e.flying);
    for (size_t i = 0; i < l->clients; i++) {
        peer_close(&peers[i], false);
        free(clients[i].sent_at);
    }
    samples_free(&e.samples);
    free(e.body);
    free(clients);
    free(peers);
    return e.flying || count == 0;
}
