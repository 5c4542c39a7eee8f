/* Event and decision as one JSON line: see journal.h. */
#include "auth/journal.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct dw_journal {
    char *path;
    int fd;
    pthread_rwlock_t lock; /* held for writing only while fd changes */
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

static int put(json_t *object, const char *key, const char *value)
{
    return value ? json_object_set_new_nocheck(object, key, dw_text_to_json(dw_span_str(value))) : 0;
}

static int put_properties(json_t *object, const struct dw_decision *d)
{
    if (d->property_count == 0)
        return 0;
    json_t *all = json_object();
    if (json_object_set_new_nocheck(object, "properties", all) < 0)
        return -1;
    for (size_t i = 0; i < d->property_count; i++) {
        const struct dw_property *p = &d->properties[i];
        if (json_object_set_new(all, p->name, dw_text_to_json(dw_span_make(p->value, p->value_len))) < 0)
            return -1;
    }
    return 0;
}

static int put_sockets(json_t *object, const struct dw_decision *d)
{
    if (d->socket_count == 0)
        return 0;
    json_t *all = json_array();
    if (json_object_set_new_nocheck(object, "sockets", all) < 0)
        return -1;
    for (size_t i = 0; i < d->socket_count; i++)
        if (json_array_append_new(all, dw_text_to_json(dw_span_str(d->sockets[i]))) < 0)
            return -1;
    return 0;
}

json_t *dw_decision_to_json(const struct dw_decision *d)
{
    json_t *out = json_object();
    if (out && put(out, "verdict", dw_verdict_word(d->verdict)) == 0 && put(out, "user", d->user) == 0 &&
        put(out, "rule", d->rule) == 0 && put(out, "reason", d->reason) == 0 &&
        put(out, "backend", d->backend) == 0 && put(out, "identity", d->identity) == 0 &&
        put(out, "jid", d->jid) == 0 && put(out, "realm", d->realm) == 0 && put(out, "service", d->service) == 0 &&
        put(out, "keytab", d->keytab) == 0 && put(out, "hostname", d->hostname) == 0 &&
        (d->expires == 0 || json_object_set_new_nocheck(out, "expires", json_real(d->expires)) == 0) &&
        put_properties(out, d) == 0 && put_sockets(out, d) == 0)
        return out;
    json_decref(out);
    return NULL;
}

json_t *dw_decision_trace_to_json(const struct dw_decision *d)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < d->step_count; i++) {
        json_t *step = json_object();
        if (json_array_append_new(list, step) < 0 || put(step, "hook", d->steps[i].hook) < 0 ||
            put(step, "text", d->steps[i].text) < 0 || put(step, "at", d->steps[i].at) < 0 ||
            put(step, "want", d->steps[i].want) < 0 || put(step, "key", d->steps[i].key) < 0 ||
            put(step, "failed", d->steps[i].failed) < 0 ||
            (d->steps[i].answer && json_object_set(step, "answer", d->steps[i].answer) < 0)) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *policy_to_json(const struct dw_decision *d)
{
    json_t *out = json_object();
    if (out && put(out, "file", d->policy_file) == 0 &&
        put(out, "sha256", *d->policy_sha256 ? d->policy_sha256 : NULL) == 0)
        return out;
    json_decref(out);
    return NULL;
}

static json_t *line_to_json(const struct dw_event *event, const struct dw_decision *d)
{
    char when[32];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    dw_text_time(when, event->time ? event->time : now.tv_sec * 1000000LL + now.tv_nsec / 1000);
    json_t *out = json_object();
    if (out && put(out, "time", when) == 0 && put(out, "id", event->id) == 0 &&
        json_object_set_new_nocheck(out, "policy", policy_to_json(d)) == 0 &&
        json_object_set_new_nocheck(out, "event", dw_event_to_json(event)) == 0 &&
        json_object_set_new_nocheck(out, "decision", dw_decision_to_json(d)) == 0 &&
        json_object_set_new_nocheck(out, "trace", dw_decision_trace_to_json(d)) == 0 &&
        json_object_set_new_nocheck(out, "took_us", json_integer((json_int_t)d->took_us)) == 0)
        return out;
    json_decref(out);
    return NULL;
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

/* Most lines fit into what the first try has; json_dumpb says how much the others need. */
static int dump(const json_t *json, struct dw_buf *line)
{
    size_t room = 2048;
    for (int tries = 0; tries < 2; tries++) {
        char *at = (char *)dw_buf_room(line, room + 2);
        size_t need = at ? json_dumpb(json, at + 1, room, JSON_COMPACT | JSON_REAL_PRECISION(16)) : 0;
        if (need == 0)
            return -1;
        if (need <= room) {
            at[0] = at[need + 1] = '\n';
            dw_buf_added(line, need + 2);
            return 0;
        }
        room = need;
    }
    return -1;
}

int dw_journal_note(struct dw_journal *j, const json_t *json, struct dw_error *err)
{
    struct dw_buf line = {0};
    int result = -1;
    if (!json || dump(json, &line) < 0)
        dw_error_set(err, DW_ERROR_INTERNAL, "journal '%s': out of memory for a line", j->path);
    else
        result = write_line(j, dw_buf_span(&line), err);
    dw_buf_free(&line);
    return result;
}

int dw_journal_write(struct dw_journal *j, const struct dw_event *event, const struct dw_decision *d,
                     struct dw_error *err)
{
    json_t *json = line_to_json(event, d);
    int result = dw_journal_note(j, json, err);
    json_decref(json);
    return result;
}
