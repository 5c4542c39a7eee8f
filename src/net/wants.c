/* Fulfils what policies wait for: see wants.h. */
#include "net/wants.h"

#include "net/dns.h"
#include "net/groups.h"
#include "policy/ask.h"
#include "policy/secret.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* What the pool does for us, each kind one at a time: NSS may be slow, and a hash takes what it takes. */
struct lane {
    uv_work_t work;
    struct job *queue, *running;
};

struct job {
    struct job *next; /* of those that wait for the pool */
    struct dw_wants *wants;
    struct lane *lane; /* NULL: none of the pool's */
    struct dw_ask *ask; /* NULL: nobody waits any more */
    bool is_beginning, is_answered;
    bool is_timed, is_queued;
    struct dw_answer answer;
    uv_timer_t timer;
    char *user, *hash;
    struct dw_buf secret;
};

struct dw_wants {
    uv_loop_t *loop;
    char **servers;
    struct dw_dns *dns; /* made when it is first asked */
    struct dw_dns *retired;
    struct lane groups, passwords;
    bool is_closed;
};

static void free_job(struct job *job)
{
    dw_answer_clear(&job->answer);
    free(job->user);
    if (job->hash)
        dw_wipe(job->hash, strlen(job->hash));
    free(job->hash);
    dw_buf_free(&job->secret);
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

/* -- the pool ------------------------------------------------------------------------------------------------ */

static void next_in(struct dw_wants *w, struct lane *lane);

/* In the pool. */
static void work(uv_work_t *work)
{
    struct lane *lane = work->data;
    struct job *job = lane->running;
    if (job->user) {
        dw_groups_of(job->user, &job->answer);
    } else {
        const struct dw_want want = {
            .kind = DW_WANT_PASSWORD, .secret = dw_buf_span(&job->secret), .hash = job->hash};
        dw_secret_answer(&want, &job->answer);
        job->answer.nanoseconds = 0; /* not of the loop's time */
    }
}

static void worked(uv_work_t *work, int status)
{
    struct lane *lane = work->data;
    struct job *job = lane->running;
    lane->running = NULL;
    if (status < 0) {
        dw_answer_fail(&job->answer, "the look-up was given up");
        job->answer.is_fatal = true;
    }
    next_in(job->wants, lane);
    deliver(job);
}

static void next_in(struct dw_wants *w, struct lane *lane)
{
    if (lane->running || !lane->queue)
        return;
    struct job *job = lane->queue;
    LL_DELETE(lane->queue, job);
    job->is_queued = false;
    lane->running = job;
    lane->work.data = lane;
    if (uv_queue_work(w->loop, &lane->work, work, worked) == 0)
        return;
    lane->running = NULL;
    dw_answer_fail(&job->answer, "the look-up cannot be made");
    job->answer.is_fatal = true;
    deliver(job);
}

static void queue(struct job *job, struct lane *lane)
{
    job->lane = lane;
    job->is_queued = true;
    LL_APPEND(lane->queue, job);
    next_in(job->wants, lane);
}

static void ask_groups(struct job *job, const struct dw_want *want)
{
    if ((job->user = strdup(want->key)))
        queue(job, &job->wants->groups);
    else
        deliver(job);
}

static void ask_password(struct job *job, const struct dw_want *want)
{
    if ((job->hash = strdup(want->hash)) && dw_buf_put(&job->secret, want->secret) == 0)
        queue(job, &job->wants->passwords);
    else
        deliver(job);
}

static void close_lane(struct lane *lane)
{
    struct job *job, *next;
    LL_FOREACH_SAFE(lane->queue, job, next)
    {
        LL_DELETE(lane->queue, job);
        free_job(job);
    }
    if (lane->running)
        uv_cancel((uv_req_t *)&lane->work);
}

/* -- the keeper ---------------------------------------------------------------------------------------------- */

static enum dw_fulfilment begin(void *arg, struct dw_ask *ask, const struct dw_want *want, struct dw_answer *answer,
                                void **kept)
{
    struct dw_wants *w = arg;
    if (want->kind == DW_WANT_ROW || (want->source && want->kind != DW_WANT_PASSWORD))
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
    case DW_WANT_PASSWORD: ask_password(job, want); break;
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
        LL_DELETE(job->lane->queue, job);
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
    w->is_closed = true;
    dw_dns_retire(&w->dns, NULL);
    dw_dns_end_all(&w->retired);
    close_lane(&w->groups);
    close_lane(&w->passwords);
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
