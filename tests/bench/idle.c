/* What an admitted connection that says nothing costs the server in memory. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define WARM 64

static void read_memory(struct load *l, struct memory *m)
{
    for (size_t i = 0; i < l->watched_count; i++)
        if (process_memory(l->watched[i].pid, &m[i]) < 0)
            die("%s (process %ld): /proc/PID/smaps_rollup cannot be read", l->watched[i].label,
                (long)l->watched[i].pid);
}

static void settle(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
}

int mode_idle(struct load *l)
{
    struct peer *peers = must_alloc(l->count, sizeof *peers);
    struct memory before[WATCHED_MAX], after[WATCHED_MAX];
    int errors = 0;
    if (l->watched_count == 0)
        die("idle needs --pid LABEL=PID");
    /* What the first connections bring into memory is not theirs: code, pools, the script's state. */
    size_t warm = l->count < WARM ? l->count : WARM;
    load_admit(l, peers, warm);
    for (size_t i = 0; i < warm; i++)
        peer_close(&peers[i], false);
    settle();
    read_memory(l, before);
    load_admit(l, peers, l->count);
    settle();
    read_memory(l, after);
    printf("connections=%zu", l->count);
    for (size_t i = 0; i < l->watched_count; i++)
        printf(" %s_rss_kib_each=%.2f %s_private_kib_each=%.2f", l->watched[i].label,
               (double)(after[i].rss_kib - before[i].rss_kib) / (double)l->count, l->watched[i].label,
               (double)(after[i].private_kib - before[i].private_kib) / (double)l->count);
    /* They were no corpses. */
    for (size_t i = 0; i < l->count; i++) {
        if (load_echo_once(l, &peers[i], i) < 0)
            errors++;
        peer_close(&peers[i], false);
    }
    printf(" errors=%d\n", errors);
    free(peers);
    return errors;
}
