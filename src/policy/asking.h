/* A question in flight, as ask.c and wait.c have it. */
#ifndef DW_POLICY_ASKING_H
#define DW_POLICY_ASKING_H

#include "policy/inside.h"

enum { STEPS_MOST = 200, STEP_TEXT_MOST = 500 };

struct dw_ask {
    struct dw_host *host;
    struct dw_event *event;
    enum dw_stage stage;
    dw_ask_done done;
    void *arg;
    struct dw_thread thread;
    struct dw_event_box *box; /* in the coroutine; NULL before it ran */
    size_t policy; /* whose hook is asked, or is next */
    enum dw_stage hook;
    bool called; /* the hook's answer is on the coroutine's stack */
    bool decided;
    char *mapped; /* the user that `map` of this policy named; event->user points here */
    char *why; /* why the last `map` named none */
    struct dw_span user; /* event->user as it was */
    uint64_t began;
    struct dw_decision d;
    /* What it waits for. */
    bool waits, is_kept; /* kept: the keeper has a job for it */
    void *job;
    struct dw_want want;
    char *want_source, *want_key, *want_at, *want_hash;
    struct dw_buf want_secret;
    lua_KContext ticket;
    struct dw_answer answer;
    struct dw_budget_rest rest;
};

static inline const struct dw_policy *dw_ask_policy(const struct dw_ask *ask)
{
    return &ask->host->policies[ask->policy];
}

/* wait.c: the answer is there, goes into the trace, and the coroutine may go on. */
void dw_ask_take_in(struct dw_ask *ask);
void dw_ask_forget_want(struct dw_ask *ask);
/* Puts the want to the keeper. */
enum dw_fulfilment dw_ask_fulfil(struct dw_ask *ask);

#endif
