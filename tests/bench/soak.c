/* Thousands of visits, behaving and misbehaving: the server serves the honest, sheds the others, stays up and
 * gives back every descriptor. */
#include "visit.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TOLD_MAX 20
#define TICK_MS 10

static const char *const items[] = {"signature", "version", "greeting", "token", "complete", "ready", "message"};

struct soak {
    struct load *load;
    size_t *counts; /* by kind */
    size_t admitted, errors;
};

static void judge(struct soak *s, struct visit *v, const char *wrong)
{
    if (!wrong)
        return;
    s->errors++;
    if (s->errors <= TOLD_MAX)
        fprintf(stderr, "load: visit %zu (%s%s%s): %s\n", v->number, v->kind->name, v->kind->spoil ? " at " : "",
                v->kind->spoil ? items[v->at] : "", wrong);
}

static void on_visit(struct peer *p, void *arg)
{
    judge(arg, p->owner, visit_look(p->owner));
}

/* How many descriptors each watched process holds when nobody visits. */
static void count_descriptors(struct load *l, long *held)
{
    for (size_t i = 0; i < l->watched_count; i++)
        held[i] = process_descriptors(l->watched[i].pid);
}

static size_t leaked(struct load *l, const long *before)
{
    uint64_t give_up = now_ns() + (uint64_t)(l->deadline * 1e9);
    for (size_t i = 0; i < l->watched_count;) {
        long now = process_descriptors(l->watched[i].pid);
        if (now >= 0 && now <= before[i]) {
            i++;
        } else if (now < 0 || now_ns() > give_up) {
            fprintf(stderr, "load: %s holds %ld descriptors after the visits, %ld before\n", l->watched[i].label,
                    now, before[i]);
            return 1;
        } else {
            nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        }
    }
    return 0;
}

static size_t is_well(struct load *l)
{
    struct peer p;
    load_admit(l, &p, 1);
    size_t errors = load_echo_once(l, &p, l->seed) < 0;
    peer_close(&p, false);
    return errors;
}

static void visit_all(struct soak *s)
{
    struct load *l = s->load;
    struct visit *visits = must_alloc(l->clients, sizeof *visits);
    size_t started = 0, going = 0;
    while (started < l->count || going) {
        for (size_t i = 0; i < l->clients; i++) {
            struct visit *v = &visits[i];
            if (v->kind)
                judge(s, v, visit_look(v));
            if (v->kind && v->over) {
                s->counts[v->kind - visit_kinds]++;
                s->admitted += v->opened;
                visit_finish(v);
                v->kind = NULL;
                going--;
            }
            if (!v->kind && started < l->count) {
                visit_start(v, l, started++);
                going++;
            }
        }
        peers_turn(l->epoll, TICK_MS, on_visit, s);
    }
    free(visits);
}

int mode_soak(struct load *l)
{
    struct soak s = {.load = l, .counts = must_alloc(visit_kind_count, sizeof(size_t))};
    long held[WATCHED_MAX];
    s.errors = is_well(l);
    nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
    count_descriptors(l, held);
    uint64_t began = now_ns();
    visit_all(&s);
    double seconds = (double)(now_ns() - began) / 1e9;
    s.errors += is_well(l) + leaked(l, held);
    printf("visits=%zu errors=%zu seconds=%.1f admitted=%zu", l->count, s.errors, seconds, s.admitted);
    for (size_t i = 0; i < visit_kind_count; i++)
        if (s.counts[i])
            printf(" %s=%zu", visit_kinds[i].name, s.counts[i]);
    putchar('\n');
    free(s.counts);
    return s.errors > 0;
}
