/* The load generator's options, and its modes.  A mode prints one line of key=value figures on stdout and
 * returns how many errors it saw; each error is told on stderr. */
#ifndef DW_BENCH_LOAD_H
#define DW_BENCH_LOAD_H

#include "measure.h"
#include "peer.h"

#define WATCHED_MAX 4

struct load {
    struct peer_how how; /* a well-behaved client */
    struct ticket ticket, refused;
    bool has_refused; /* --refused-ccache */
    bool stock; /* the server is libzmq: spare it what it cannot bear */
    size_t count, clients, window, size;
    double seconds, deadline;
    uint64_t seed;
    struct watched watched[WATCHED_MAX];
    size_t watched_count;
    int epoll;
};

int mode_logins(struct load *l);
int mode_echo(struct load *l);
int mode_idle(struct load *l);
int mode_soak(struct load *l);

/* Opens peers until each of `count` is admitted, at most 64 on their way at once.  Ends the program when one
 * is not. */
void load_admit(struct load *l, struct peer *peers, size_t count);
/* Sends one message on an open peer and waits for its echo, other peers being served meanwhile.  -1: told. */
int load_echo_once(struct load *l, struct peer *p, uint64_t number);

/* CPU used by each watched process since the last call with `restart`. */
void load_cpu_restart(struct load *l, uint64_t *cpu);
void load_cpu_print(struct load *l, const uint64_t *cpu, const char *per, double divisor);

#endif
