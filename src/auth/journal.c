/* Event and decision as one JSON line: see journal.h. */
#include "auth/journal.h"

#include "auth/writer.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MOST_LINES = 2048 }; /* octets that most lines fit into */

struct dw_journal {
    char *path;
    int fd;
    pthread_rwlock_t lock; /* held for writing only while fd changes */
    _Atomic(uint8_t *) spare; /* room for a line, left by the last */
    _Atomic bool torn; /* a line was cut short: the next one starts a line of its own */
};

/* Non-blocking, so that a FIFO put in the journal's place cannot stop us; regular files do not mind. */
static int open_file(const char *path, struct dw_error *err)
{
    struct stat st;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
    if (fd < 0)
        return dw_error_set(err, DW_ERROR_INTERNAL, "journal '%s' cannot be opened: %s", path, strerror(errno));
    if (fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISCHR(st.st_mode)))
        return fd;
    close(fd);
    return dw_error_set(err, DW_ERROR_INTERNAL, "journal '%s' is not a regular file", path);
}

struct dw_journal *dw_journal_open(const char *path, struct dw_error *err)
{
    struct dw_journal *j = calloc(1, sizeof *j);
    if (!j || !(j->path = strdup(path)) || pthread_rwlock_init(&j->lock, NULL) != 0) {
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
        goto fail;
    }
    if ((j->fd = open_file(path, err)) >= 0)
        return j;
    pthread_rwlock_destroy(&j->lock);
fail:
    if (j)
        free(j->path);
    free(j);
    return NULL;
}

void dw_journal_free(struct dw_journal **j)
{
    if (!*j)
        return;
    close((*j)->fd);
    pthread_rwlock_destroy(&(*j)->lock);
    free((*j)->path);
    free((*j)->spare);
    free(*j);
    *j = NULL;
}

int dw_journal_reopen(struct dw_journal *j, struct dw_error *err)
{
    int fd = open_file(j->path, err);
    if (fd < 0)
        return -1;
    pthread_rwlock_wrlock(&j->lock);
    int old = j->fd;
    j->fd = fd;
    j->torn = false;
    pthread_rwlock_unlock(&j->lock);
    close(old);
    return 0;
}

static void write_all(struct dw_writer *w, const struct dw_event *event, const struct dw_decision *d)
{
    char when[32];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    dw_text_time(when, event->time ? event->time : now.tv_sec * 1000000LL + now.tv_nsec / 1000);
    dw_writer_object(w);
    dw_writer_put(w, "time", when);
    dw_writer_put(w, "id", event->id);
    dw_writer_name(w, "policy");
    dw_writer_object(w);
    dw_writer_put(w, "file", d->policy_file);
    dw_writer_put(w, "sha256", *d->policy_sha256 ? d->policy_sha256 : NULL);
    dw_writer_end_object(w);
    dw_writer_name(w, "event");
    dw_event_write(w, event);
    dw_writer_name(w, "decision");
    dw_decision_write(w, d);
    dw_writer_name(w, "trace");
    dw_decision_trace_write(w, d);
    dw_writer_name(w, "took_us");
    dw_writer_integer(w, (long long)d->took_us);
    dw_writer_end_object(w);
}

static int write_line(struct dw_journal *j, struct dw_span line, struct dw_error *err)
{
    ssize_t wrote;
    pthread_rwlock_rdlock(&j->lock);
    /* The line is built with a newline before it, which only a torn predecessor needs. */
    bool torn = atomic_exchange(&j->torn, false);
    if (!torn)
        line = dw_span_make(line.at + 1, line.len - 1);
    do
        wrote = write(j->fd, line.at, line.len);
    while (wrote < 0 && errno == EINTR);
    int saved = errno;
    bool whole = wrote == (ssize_t)line.len;
    if (!whole && (torn || wrote > 0))
        j->torn = true;
    pthread_rwlock_unlock(&j->lock);
    return whole ? 0
                 : dw_error_set(err, DW_ERROR_INTERNAL, "journal '%s' could not be written: %s", j->path,
                                wrote < 0 ? strerror(saved) : "only a part of the line fitted");
}

/* A line is built between two newlines: see write_line. */
static void begin(struct dw_journal *j, struct dw_writer *w, struct dw_buf *line)
{
    line->at = atomic_exchange(&j->spare, NULL);
    line->cap = line->at ? MOST_LINES : 0;
    bool good = dw_buf_room(line, MOST_LINES) && dw_buf_put_u8(line, '\n') == 0;
    dw_writer_begin(w, line, DW_WRITER_SHORT);
    w->failed = w->failed || !good;
}

static int end(struct dw_journal *j, struct dw_writer *w, struct dw_buf *line, struct dw_error *err)
{
    int result;
    if (dw_writer_end(w) < 0 || dw_buf_put_u8(line, '\n') < 0)
        result = dw_error_set(err, DW_ERROR_INTERNAL, "journal '%s': out of memory for a line", j->path);
    else
        result = write_line(j, dw_buf_span(line), err);
    uint8_t *none = NULL;
    if (line->cap == MOST_LINES && atomic_compare_exchange_strong(&j->spare, &none, line->at))
        *line = (struct dw_buf){0};
    dw_buf_free(line);
    return result;
}

int dw_journal_note(struct dw_journal *j, const json_t *json, struct dw_error *err)
{
    struct dw_buf line = {0};
    struct dw_writer w;
    begin(j, &w, &line);
    dw_writer_tree(&w, json);
    return end(j, &w, &line, err);
}

int dw_journal_write(struct dw_journal *j, const struct dw_event *event, const struct dw_decision *d,
                     struct dw_error *err)
{
    struct dw_buf line = {0};
    struct dw_writer w;
    begin(j, &w, &line);
    write_all(&w, event, d);
    return end(j, &w, &line, err);
}
