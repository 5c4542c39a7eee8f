/* Fulfils what policies wait for: see wants.h. */
#include "net/wants.h"

#include "net/dns.h"
#include "net/groups.h"
#include "policy/ask.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

struct job {
    struct job *next; /* of those that wait for the pool */
    struct dw_wants *wants;
    struct dw_ask *ask; /* NULL: nobody waits any more */
    bool is_beginning, is_answered;
    bool is_timed, is_queued;
    struct dw_answer answer;
    uv_timer_t timer;
    char *user;
};

struct dw_wants {
    uv_loop_t *loop;
    char **servers;
    struct dw_dns *dns; /* made when it is first asked */
    struct dw_dns *retired;
    uv_work_t work;
    struct job *queue, *running;
    bool is_closed;
};

static void free_job(struct job *job)
{
    dw_answer_clear(&job->answer);
    free(job->user);
    free(job);
}

/* The job is at its end. */
static void deliver(struct job *job)
{
    struct dw_ask *ask = job->ask;
    struct dw_answer answer = job->answer;
    if (job->is_beginning) {
        job->is_answered = true;
        return;
    }
    job->answer = (struct dw_answer){0};
    free_job(job);
    if (ask)
        dw_ask_resume(ask, &answer);
    dw_answer_clear(&answer);
}

/* -- DNS ----------------------------------------------------------------------------------------------------- */

static void resolved(void *arg, struct dw_answer *answer)
{
    struct job *job = arg;
    job->answer = *answer;
    *answer = (struct dw_answer){0};
    deliver(job);
}

static void resolve(struct job *job, const struct dw_want *want)
{
    struct dw_wants *w = job->wants;
    struct dw_error err = {0};
    if (!w->dns)
        w->dns = dw_dns_new(w->loop, w->servers, &err);
    if (w->dns) {
        dw_dns_ask(w->dns, want->kind, want->key, resolved, job);
        return;
    }
    dw_answer_fail(&job->answer, "%s", err.detail);
    deliver(job);
}

/* -- time ---------------------------------------------------------------------------------------------------- */

static void timer_closed(uv_handle_t *handle)
{
    struct job *job = handle->data;
    deliver(job);
}

static void passed(uv_timer_t *timer)
{
    struct job *job = timer->data;
    job->answer.value = json_true();
    uv_close((uv_handle_t *)timer, timer_closed);
}

static void sleep_for(struct job *job, double seconds)
{
    job->is_timed = true;
    job->timer.data = job;
    uv_timer_init(job->wants->loop, &job->timer);
    uv_timer_start(&job->timer, passed, (uint64_t)(seconds * 1000), 0);
}

/* -- groups -------------------------------------------------------------------------------------------------- */

static void next_groups(struct dw_wants *w);

static void look_up(uv_work_t *work)
{
    struct dw_wants *w = work->data;
    dw_groups_of(w->running->user, &w->running->answer);
}

static void looked_up(uv_work_t *work, int status)
{
    struct dw_wants *w = work->data;
    struct job *job = w->running;
    w->running = NULL;
    if (status < 0) {
        dw_answer_fail(&job->answer, "the look-up was given up");
        job->answer.is_fatal = true;
    }
    next_groups(w);
    deliver(job);
}

static void next_groups(struct dw_wants *w)
{
    if (w->running || !w->queue)
        return;
    struct job *job = w->queue;
    LL_DELETE(w->queue, job);
    job->is_queued = false;
    w->running = job;
    w->work.data = w;
    if (uv_queue_work(w->loop, &w->work, look_up, looked_up) == 0)
        return;
    w->running = NULL;
    dw_answer_fail(&job->answer, "the look-up cannot be made");
    job->answer.is_fatal = true;
    deliver(job);
}

static void ask_groups(struct job *job, const struct dw_want *want)
{
    struct dw_wants *w = job->wants;
    if (!(job->user = strdup(want->key))) {
        deliver(job);
        return;
    }
    job->is_queued = true;
    LL_APPEND(w->queue, job);
    next_groups(w);
}

/* -- the keeper ---------------------------------------------------------------------------------------------- */

static enum dw_fulfilment begin(void *arg, struct dw_ask *ask, const struct dw_want *want, struct dw_answer *answer,
                                void **kept)
{
    struct dw_wants *w = arg;
    if (want->kind == DW_WANT_ROW || want->source)
        return DW_FULFIL_NOT_MINE;
    struct job *job = w->is_closed ? NULL : calloc(1, sizeof *job);
    if (!job) {
        dw_answer_fail(answer, w->is_closed ? "the broker is ending" : "out of memory");
        return DW_FULFIL_NOW;
    }
    job->wants = w;
    job->ask = ask;
    job->is_beginning = true;
    switch (want->kind) {
    case DW_WANT_SLEEP: sleep_for(job, want->seconds); break;
    case DW_WANT_GROUPS: ask_groups(job, want); break;
    default: resolve(job, want); break;
    }
    job->is_beginning = false;
    if (job->is_answered) {
        *answer = job->answer;
        job->answer = (struct dw_answer){0};
        free_job(job);
        return DW_FULFIL_NOW;
    }
    *kept = job;
    return DW_FULFIL_LATER;
}

static void drop(void *kept)
{
    struct job *job = kept;
    job->ask = NULL;
    if (job->is_timed && !uv_is_closing((uv_handle_t *)&job->timer)) {
        uv_close((uv_handle_t *)&job->timer, timer_closed);
    } else if (job->is_queued) {
        LL_DELETE(job->wants->queue, job);
        free_job(job);
    }
}

void dw_wants_keeper(struct dw_wants *wants, struct dw_keeper *keeper)
{
    *keeper = (struct dw_keeper){.arg = wants, .begin = begin, .drop = drop};
}

/* -- beginning and end --------------------------------------------------------------------------------------- */

static void free_servers(struct dw_wants *w)
{
    for (size_t i = 0; w->servers && w->servers[i]; i++)
        free(w->servers[i]);
    free(w->servers);
    w->servers = NULL;
}

struct dw_wants *dw_wants_new(uv_loop_t *loop)
{
    struct dw_wants *w = calloc(1, sizeof *w);
    if (w)
        w->loop = loop;
    return w;
}

int dw_wants_servers(struct dw_wants *w, char *const *servers)
{
    size_t count = 0;
    while (servers && servers[count])
        count++;
    dw_dns_retire(&w->dns, &w->retired);
    free_servers(w);
    if (count == 0)
        return 0;
    if (!(w->servers = calloc(count + 1, sizeof *w->servers)))
        return -1;
    for (size_t i = 0; i < count; i++)
        if (!(w->servers[i] = strdup(servers[i])))
            return -1;
    return 0;
}

void dw_wants_close(struct dw_wants *w)
{
    struct job *job, *next;
    w->is_closed = true;
    dw_dns_retire(&w->dns, NULL);
    dw_dns_end_all(&w->retired);
    LL_FOREACH_SAFE(w->queue, job, next)
    {
        LL_DELETE(w->queue, job);
        free_job(job);
    }
    if (w->running)
        uv_cancel((uv_req_t *)&w->work);
}

void dw_wants_free(struct dw_wants **wants)
{
    struct dw_wants *w = *wants;
    *wants = NULL;
    if (!w)
        return;
    free_servers(w);
    free(w);
}
