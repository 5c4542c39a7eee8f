/* A second opinion: see shadow.h. */
#include "net/shadow.h"

#include "base/log.h"
#include "base/text.h"
#include "policy/ask.h"
#include "policy/stubs.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { NICE = 10 };

struct item {
    struct item *next;
    json_t *event, *decision, *trace;
    struct dw_buf password; /* which no JSON holds */
    struct dw_journal *journal;
};

struct dw_shadow {
    struct dw_tally *tally;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool runs, ends, changes;
    _Atomic bool is_set;
    struct dw_host *next; /* to be taken over, when `changes` */
    struct item *first, **last;
    size_t count;
};

static void free_item(struct item *item)
{
    json_decref(item->event);
    json_decref(item->decision);
    json_decref(item->trace);
    dw_buf_free(&item->password);
    free(item);
}

/* The thread. */

struct answer {
    json_t *decision, *trace, *policy;
};

static void on_done(void *arg, const struct dw_decision *d)
{
    struct answer *a = arg;
    a->decision = dw_decision_to_json(d);
    a->trace = dw_decision_trace_to_json(d);
    a->policy = json_object();
    if (d->policy_file)
        json_object_set_new(a->policy, "file", dw_text_to_json(dw_span_str(d->policy_file)));
    json_object_set_new(a->policy, "sha256", json_string(d->policy_sha256));
}

static bool same(const json_t *a, const json_t *b, const char *field)
{
    const json_t *one = json_object_get(a, field), *other = json_object_get(b, field);
    return one == other || (one && other && json_equal(one, other));
}

/* A refused user is nobody: who it would have been makes no difference. */
static bool agree(const json_t *live, const json_t *shadow)
{
    const char *verdict = json_string_value(json_object_get(live, "verdict"));
    if (!same(live, shadow, "verdict"))
        return false;
    return !verdict || strcmp(verdict, "allow") != 0 ||
           (same(live, shadow, "user") && same(live, shadow, "backend"));
}

static void tell(struct dw_shadow *s, struct item *item, struct answer *a)
{
    char now[32];
    struct timespec t;
    struct dw_error err = {0};
    clock_gettime(CLOCK_REALTIME, &t);
    json_t *line = json_object(), *shadow = json_object();
    int failed =
        json_object_set(shadow, "policy", a->policy) | json_object_set(shadow, "decision", a->decision) |
        json_object_set(shadow, "live", item->decision) | json_object_set(shadow, "trace", a->trace) |
        json_object_set_new(line, "time", json_string(dw_text_time(now, t.tv_sec * 1000000LL + t.tv_nsec / 1000)));
    const json_t *id = json_object_get(item->event, "id");
    if (id)
        failed |= json_object_set(line, "id", (json_t *)(uintptr_t)id);
    failed |= json_object_set(line, "shadow", shadow);
    if (item->journal && (failed || dw_journal_note(item->journal, line, &err) < 0))
        dw_log(DW_LOG_ERROR, "what the shadow policy decided is not in the journal", "why",
               failed ? "out of memory" : err.detail, NULL);
    json_decref(line);
    json_decref(shadow);
    dw_tally_add(s->tally, DW_COUNT_SHADOW_DIFFERS, 1);
}

static void look(struct dw_shadow *s, struct dw_host *host, struct dw_stubs *stubs, struct item *item)
{
    struct dw_event event;
    struct dw_event_store *store = NULL;
    struct dw_error err = {0};
    struct answer a = {0};
    dw_stubs_clear(stubs);
    *stubs = (struct dw_stubs){.missing = "the live policy did not look up ", .seconds = 5};
    if (dw_stubs_record(stubs, item->trace) == 0 && dw_event_from_json(&event, item->event, &store, &err) == 0) {
        if (event.plain.present && dw_buf_len(&item->password))
            event.plain.password = dw_buf_span(&item->password);
        struct dw_ask *ask = dw_ask_start(host, &event, DW_STAGE_MAP, on_done, &a);
        dw_ask_expire(&ask);
    }
    dw_event_store_free(&store);
    if (!a.decision || !a.trace)
        dw_tally_add(s->tally, DW_COUNT_SHADOW_LOST, 1);
    else if (agree(item->decision, a.decision))
        dw_tally_add(s->tally, DW_COUNT_SHADOW_SAME, 1);
    else
        tell(s, item, &a);
    json_decref(a.decision);
    json_decref(a.trace);
    json_decref(a.policy);
}

static void *run(void *arg)
{
    struct dw_shadow *s = arg;
    struct dw_host *host = NULL;
    struct dw_stubs stubs = {0};
    setpriority(PRIO_PROCESS, (id_t)gettid(), NICE); /* Linux: of this thread alone */
    pthread_mutex_lock(&s->lock);
    while (!s->ends) {
        if (s->changes) {
            struct dw_host *old = host;
            struct dw_keeper keeper;
            host = s->next;
            s->next = NULL;
            s->changes = false;
            dw_stubs_keeper(&stubs, &keeper);
            if (host)
                dw_host_keep(host, &keeper);
            pthread_mutex_unlock(&s->lock);
            dw_host_free(&old);
            pthread_mutex_lock(&s->lock);
            continue;
        }
        struct item *item = s->first;
        if (!item) {
            pthread_cond_wait(&s->wake, &s->lock);
            continue;
        }
        if (!(s->first = item->next))
            s->last = &s->first;
        s->count--;
        pthread_mutex_unlock(&s->lock);
        if (host)
            look(s, host, &stubs, item);
        free_item(item);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    dw_host_free(&host);
    dw_stubs_clear(&stubs);
    return NULL;
}

/* Outside of it. */

struct dw_shadow *dw_shadow_new(struct dw_tally *tally)
{
    struct dw_shadow *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->tally = tally;
    s->last = &s->first;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    return s;
}

void dw_shadow_free(struct dw_shadow **shadow)
{
    struct dw_shadow *s = *shadow;
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->ends = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    if (s->runs)
        pthread_join(s->thread, NULL);
    for (struct item *item = s->first, *next; item; item = next) {
        next = item->next;
        free_item(item);
    }
    dw_host_free(&s->next);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
    *shadow = NULL;
}

static int set(struct dw_shadow *s, struct dw_host *taken, struct dw_error *err)
{
    struct dw_host *unused = NULL;
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    if (taken && !s->runs && pthread_create(&s->thread, NULL, run, s) != 0) {
        unused = taken;
        rc = dw_error_set(err, DW_ERROR_INTERNAL, "the shadow policy's thread could not be started");
    } else {
        s->runs = s->runs || taken;
        unused = s->next;
        s->next = taken;
        s->changes = true;
        s->is_set = taken != NULL;
        pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    dw_host_free(&unused);
    return rc;
}

void dw_shadow_adopt(struct dw_shadow *s, const struct dw_config *config)
{
    struct dw_error err = {0};
    struct dw_host_options options = {
        .policies = (const char *const *)config->shadows,
        .refuse_users = (const char *const *)config->refuse_users,
        .seconds = config->limits.decision_seconds,
        .scope = "shadow",
    };
    struct dw_host *host = config->shadows ? dw_host_new(&options, &err) : NULL;
    bool failed = config->shadows && !host;
    if (set(s, host, &err) < 0 || failed)
        dw_log(DW_LOG_ERROR, "there is no shadow policy", "why", err.detail, NULL);
}

static struct item *copy(const struct dw_event *event, const struct dw_decision *d)
{
    struct item *item = calloc(1, sizeof *item);
    if (!item)
        return NULL;
    item->event = dw_event_to_json(event);
    item->decision = dw_decision_to_json(d);
    json_t *trace = dw_decision_trace_to_json(d); /* which shares answers with the question that is being asked */
    item->trace = json_deep_copy(trace);
    json_decref(trace);
    if (item->event && item->decision && item->trace &&
        (!event->plain.present || dw_buf_put(&item->password, event->plain.password) == 0))
        return item;
    free_item(item);
    return NULL;
}

void dw_shadow_look(struct dw_shadow *s, struct dw_journal *journal, const struct dw_event *event,
                    const struct dw_decision *decision)
{
    bool admission = event->stage == DW_STAGE_MAP || event->stage == DW_STAGE_AUTHORIZE;
    if (!s->is_set || !admission || !*decision->policy_sha256)
        return;
    struct item *item = copy(event, decision);
    pthread_mutex_lock(&s->lock);
    if (item && s->count < DW_SHADOW_MOST) {
        item->journal = journal;
        *s->last = item;
        s->last = &item->next;
        s->count++;
        item = NULL;
        pthread_cond_signal(&s->wake);
    } else {
        dw_tally_add(s->tally, DW_COUNT_SHADOW_LOST, 1);
    }
    pthread_mutex_unlock(&s->lock);
    if (item)
        free_item(item);
}
