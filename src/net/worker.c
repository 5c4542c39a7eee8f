/* A worker: see worker.h. */
#include "net/worker.h"

#include "net/asker.h"
#include "net/broker.h"
#include "net/conn.h"
#include "net/desk.h"
#include "net/listener.h"
#include "net/polls.h"
#include "net/wants.h"
#include "net/xmpp_pool.h"

#include <stdlib.h>

#define STARVE_MS 20

/* -- posts ------------------------------------------------------------------------------------------------ */

void dw_worker_post(struct dw_worker *worker, struct dw_post *post)
{
    post->next = NULL;
    uv_mutex_lock(&worker->lock);
    *worker->posts_end = post;
    worker->posts_end = &post->next;
    uv_mutex_unlock(&worker->lock);
    uv_async_send(&worker->wake);
}

static void woken(uv_async_t *wake)
{
    struct dw_worker *w = wake->data;
    uv_mutex_lock(&w->lock);
    struct dw_post *post = w->posts, *next;
    w->posts = NULL;
    w->posts_end = &w->posts;
    uv_mutex_unlock(&w->lock);
    for (; post; post = next) {
        next = post->next;
        post->run(w, post);
    }
}

struct adoption {
    struct dw_post post;
    struct dw_settings *settings;
    struct dw_office *office;
    int count;
    struct dw_door *doors[DW_MOST_LISTENERS];
};

static bool stands(const struct adoption *a, const struct dw_door *door)
{
    for (int i = 0; i < a->count; i++)
        if (a->doors[i] == door)
            return true;
    return false;
}

static bool has_reception(const struct dw_worker *w, const struct dw_door *door)
{
    for (int i = 0; i < w->reception_count; i++)
        if (dw_reception_door(w->receptions[i]) == door)
            return true;
    return false;
}

static void change_doors(struct dw_worker *w, const struct adoption *a)
{
    int kept = 0;
    for (int i = 0; i < w->reception_count; i++)
        if (stands(a, dw_reception_door(w->receptions[i])))
            w->receptions[kept++] = w->receptions[i];
        else
            dw_reception_close(&w->receptions[i]);
    w->reception_count = kept;
    for (int i = 0; i < a->count; i++) {
        struct dw_reception *r = has_reception(w, a->doors[i]) ? NULL : dw_reception_open(w, a->doors[i]);
        if (r)
            w->receptions[w->reception_count++] = r;
    }
}

static void free_adoption(struct adoption *a)
{
    for (int i = 0; i < a->count; i++)
        dw_door_release(&a->doors[i]);
    dw_settings_release(&a->settings);
    if (a->office)
        dw_office_retire(a->office);
    free(a);
}

static void adopt(struct dw_worker *w, struct dw_post *post)
{
    struct adoption *a = (struct adoption *)(void *)post;
    if (!w->draining && !w->stopping) {
        struct dw_settings *settings = w->settings;
        struct dw_office *office = w->office;
        struct dw_keeper keeper;
        if (dw_wants_servers(w->wants, a->settings->config->dns_servers) < 0)
            dw_log(DW_LOG_ERROR, "the system's DNS servers are asked", "why", "out of memory", NULL);
        dw_wants_keeper(w->wants, &keeper);
        dw_host_keep(a->office->host, &keeper);
        w->settings = a->settings;
        w->office = a->office;
        a->settings = settings;
        a->office = office;
        change_doors(w, a);
        dw_xmpp_pool_drain(w);
    }
    free_adoption(a);
}

int dw_worker_adopt(struct dw_worker *worker, struct dw_settings *settings, struct dw_host *host,
                    struct dw_door *const *doors, int count)
{
    struct adoption *a = calloc(1, sizeof *a);
    struct dw_office *office = a ? dw_office_new(host) : NULL;
    if (!office) {
        free(a);
        dw_host_free(&host);
        return -1;
    }
    a->post.run = adopt;
    a->office = office;
    a->settings = dw_settings_hold(settings);
    for (a->count = 0; a->count < count; a->count++)
        a->doors[a->count] = dw_door_hold(doors[a->count]);
    dw_worker_post(worker, &a->post);
    return 0;
}

struct tell {
    struct dw_post post;
    uint64_t number;
    void (*what)(struct dw_conn *conn);
};

static void tell(struct dw_worker *w, struct dw_post *post)
{
    struct tell *t = (struct tell *)(void *)post;
    struct dw_conn *conn;
    HASH_FIND(hh, w->conns, &t->number, sizeof t->number, conn);
    if (conn)
        t->what(conn);
    free(t);
}

static void post_tell(struct dw_holder holder, void (*what)(struct dw_conn *conn))
{
    struct tell *t = calloc(1, sizeof *t);
    if (!t) {
        /* The waiter's handshake will run out of time, which ends well. */
        dw_log(DW_LOG_ERROR, "out of memory between two workers", NULL);
        return;
    }
    *t = (struct tell){{NULL, tell}, holder.number, what};
    dw_worker_post(holder.worker, &t->post);
}

void dw_worker_tell_leave(struct dw_holder holder)
{
    post_tell(holder, dw_conn_superseded);
}

void dw_worker_tell_granted(struct dw_holder holder)
{
    post_tell(holder, dw_conn_granted);
}

/* -- the end ---------------------------------------------------------------------------------------------- */

void dw_worker_check_end(struct dw_worker *w)
{
    if ((!w->draining && !w->stopping) || w->conns || w->askers || w->ended)
        return;
    w->ended = true;
    dw_wants_close(w->wants);
    uv_close((uv_handle_t *)&w->wake, NULL);
    uv_close((uv_handle_t *)&w->starve_timer, NULL);
}

static void close_doors(struct dw_worker *w)
{
    for (int i = 0; i < w->reception_count; i++)
        dw_reception_close(&w->receptions[i]);
    w->reception_count = 0;
}

static void each_conn(struct dw_worker *w, void (*what)(struct dw_conn *conn))
{
    struct dw_conn *conn, *next;
    HASH_ITER(hh, w->conns, conn, next)
    {
        dw_conn_enter(conn);
        what(conn);
        dw_conn_leave(conn);
    }
    dw_worker_check_end(w);
}

static void drain(struct dw_worker *w, struct dw_post *post)
{
    free(post);
    w->draining = true;
    close_doors(w);
    dw_xmpp_pool_drain(w);
    dw_asker_drain_all(w);
    each_conn(w, dw_conn_drain);
}

static void doom(struct dw_conn *conn)
{
    dw_conn_doom(conn, "the broker is ending");
}

static void stop(struct dw_worker *w, struct dw_post *post)
{
    free(post);
    w->stopping = true;
    close_doors(w);
    dw_xmpp_pool_drain(w);
    dw_asker_stop_all(w);
    each_conn(w, doom);
}

static void post_plain(struct dw_worker *worker, void (*run)(struct dw_worker *, struct dw_post *))
{
    struct dw_post *post = calloc(1, sizeof *post);
    if (!post)
        return;
    post->run = run;
    dw_worker_post(worker, post);
}

void dw_worker_drain(struct dw_worker *worker)
{
    post_plain(worker, drain);
}

void dw_worker_stop(struct dw_worker *worker)
{
    post_plain(worker, stop);
}

/* -- memory ----------------------------------------------------------------------------------------------- */

static void feed(uv_timer_t *timer)
{
    struct dw_worker *w = timer->data;
    struct dw_conn *conn, *next;
    HASH_ITER(hh, w->conns, conn, next)
    {
        if (!conn->near.starved && !conn->far.starved)
            continue;
        struct dw_leg *legs[] = {&conn->near, &conn->far};
        for (int i = 0; i < 2; i++) {
            if (legs[i]->starved)
                legs[i]->heard = uv_now(&w->loop);
            legs[i]->starved = false;
        }
        dw_conn_enter(conn);
        dw_conn_leave(conn);
    }
}

void dw_worker_starve(struct dw_worker *worker)
{
    if (!uv_is_active((uv_handle_t *)&worker->starve_timer))
        uv_timer_start(&worker->starve_timer, feed, STARVE_MS, 0);
}

const struct dw_listener_config *dw_worker_listener(struct dw_worker *worker, const char *name)
{
    const struct dw_config *config = worker->settings->config;
    for (size_t i = 0; i < config->listener_count; i++)
        if (strcmp(config->listeners[i].name, name) == 0)
            return &config->listeners[i];
    return NULL;
}

/* -- the thread ------------------------------------------------------------------------------------------- */

static void run(void *arg)
{
    struct dw_worker *w = arg;
    uv_run(&w->loop, UV_RUN_DEFAULT);
}

static int make(struct dw_worker *w, struct dw_settings *settings)
{
    char rcache[512];
    snprintf(rcache, sizeof rcache, "file2:%s/rcache", settings->config->state_dir);
    w->posts_end = &w->posts;
    w->scratch = malloc(DW_SCRATCH_BYTES);
    w->desk = dw_desk_new(rcache);
    if (!w->scratch || !w->desk || uv_mutex_init(&w->lock) < 0)
        return -1;
    if (uv_loop_init(&w->loop) < 0)
        goto no_loop;
    w->wants = dw_polls_new(&w->loop) < 0 ? NULL : dw_wants_new(&w->loop);
    w->wake.data = w->starve_timer.data = w;
    uv_timer_init(&w->loop, &w->starve_timer);
    if (!w->wants || uv_async_init(&w->loop, &w->wake, woken) < 0)
        goto no_wake;
    if (uv_thread_create(&w->thread, run, w) == 0)
        return 0;
    uv_close((uv_handle_t *)&w->wake, NULL);
no_wake:
    uv_close((uv_handle_t *)&w->starve_timer, NULL);
    dw_polls_free(&w->loop);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    uv_loop_close(&w->loop);
no_loop:
    uv_mutex_destroy(&w->lock);
    return -1;
}

static void release(struct dw_worker *w)
{
    if (w->office)
        dw_office_retire(w->office);
    dw_settings_release(&w->settings);
    dw_desk_free(&w->desk);
    dw_wants_free(&w->wants);
    free(w->scratch);
}

int dw_worker_start(struct dw_worker *w, struct dw_broker *broker, int index, struct dw_settings *settings,
                    struct dw_error *err)
{
    *w = (struct dw_worker){.broker = broker, .index = index};
    w->settings = dw_settings_hold(settings);
    if (make(w, settings) == 0)
        return 0;
    release(w);
    return dw_error_set(err, DW_ERROR_INTERNAL, "worker %d cannot start: out of memory or descriptors", index);
}

void dw_worker_join(struct dw_worker *w)
{
    uv_thread_join(&w->thread);
    woken(&w->wake); /* what was posted too late is freed */
    dw_polls_free(&w->loop);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    uv_loop_close(&w->loop);
    uv_mutex_destroy(&w->lock);
    release(w);
}
