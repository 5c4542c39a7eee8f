/* Time, spread, CPU and memory: see measure.h. */
#include "measure.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

void *must_alloc(size_t count, size_t size)
{
    void *at = calloc(count ? count : 1, size);
    if (!at)
        die("out of memory");
    return at;
}

void samples_add(struct samples *s, uint64_t ns)
{
    if (s->count == s->room) {
        s->room = s->room ? 2 * s->room : 1024;
        s->at = realloc(s->at, s->room * sizeof *s->at);
        if (!s->at)
            die("out of memory");
    }
    s->at[s->count++] = ns;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

uint64_t samples_at(struct samples *s, double part)
{
    if (s->count == 0)
        return 0;
    qsort(s->at, s->count, sizeof *s->at, by_size);
    size_t at = (size_t)(part * (double)s->count);
    return s->at[at < s->count ? at : s->count - 1];
}

void samples_free(struct samples *s)
{
    free(s->at);
    *s = (struct samples){0};
}

uint64_t process_cpu_ns(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int process_memory(pid_t pid, struct memory *m)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%ld/smaps_rollup", (long)pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return -1;
    *m = (struct memory){0};
    while (fgets(line, sizeof line, file)) {
        long kib;
        if (sscanf(line, "Rss: %ld", &kib) == 1)
            m->rss_kib = kib;
        else if (sscanf(line, "Private_Clean: %ld", &kib) == 1 || sscanf(line, "Private_Dirty: %ld", &kib) == 1)
            m->private_kib += kib;
    }
    fclose(file);
    return m->rss_kib > 0 ? 0 : -1;
}

static bool is_replay_cache(DIR *folder, const char *name)
{
    static const char word[] = "/rcache";
    char target[4096];
    ssize_t len = readlinkat(dirfd(folder), name, target, sizeof target);
    size_t tail = sizeof word - 1;
    return len >= (ssize_t)tail && memcmp(target + len - tail, word, tail) == 0;
}

long process_descriptors(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/fd", (long)pid);
    DIR *folder = opendir(path);
    if (!folder)
        return -1;
    long count = 0;
    for (struct dirent *one; (one = readdir(folder));)
        count += *one->d_name != '.' && !is_replay_cache(folder, one->d_name);
    closedir(folder);
    return count;
}
