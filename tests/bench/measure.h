/* What the load generator measures: time, spread, and what other processes use of CPU and memory. */
#ifndef DW_BENCH_MEASURE_H
#define DW_BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

uint64_t now_ns(void); /* monotonic */

/* A set of durations in nanoseconds.  Start as zeros. */
struct samples {
    uint64_t *at;
    size_t count, room;
};
void samples_add(struct samples *s, uint64_t ns);
uint64_t samples_at(struct samples *s, double part); /* 0.5 is the median; sorts; 0 when there are none */
void samples_free(struct samples *s);

/* A process that we watch: `--pid LABEL=PID`. */
struct watched {
    const char *label;
    pid_t pid;
};
/* CPU time of every thread that the process has or had; the kernel keeps it to the nanosecond.
 * 0 when it cannot be read. */
uint64_t process_cpu_ns(pid_t pid);

struct memory {
    long rss_kib, private_kib;
};
int process_memory(pid_t pid, struct memory *m); /* /proc/PID/smaps_rollup; -1 when it cannot be read */
/* How many are open, but for replay caches, which a worker opens at its first login and keeps; -1 when it cannot be
 * read. */
long process_descriptors(pid_t pid);

/* All ends here when memory is out: this is a test program. */
void *must_alloc(size_t count, size_t size);
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
