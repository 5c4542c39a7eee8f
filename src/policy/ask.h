/* One question in flight: a coroutine in the host's state, its wants, its budget.
 *
 *   dw_ask_start(host, event, stage, done, arg)  runs the hooks; `done` is called with the decision, before
 *   dw_ask_start returns when no hook waits for anything, else later, from dw_ask_resume or dw_ask_expire.
 *
 * Stages: CONNECT and REALM run the hook of that name.  DW_STAGE_MAP is the admission: map, then, with
 * event->user set, authorize; policy after policy until one decides.  CLOSE runs for its effects only.
 *
 * What a hook waits for is fulfilled by the host's keeper (want.h).  Neither the clock of the script's budget nor the
 * host stands in its way meanwhile: other questions are asked; its instructions are counted on.
 *
 * The event must stay as it is until `done` is called, and may end in it.  Its `user` is then who was mapped, and belongs
 * to the question: it is gone once `done` has returned.  For CONNECT and REALM a decision with
 * verdict DW_ALLOW means "go on". */
#ifndef DW_POLICY_ASK_H
#define DW_POLICY_ASK_H

#include "policy/host.h"

struct dw_ask;

/* The decision is the callee's to read until it returns; it is then cleared. */
typedef void (*dw_ask_done)(void *arg, const struct dw_decision *decision);

/* NULL when `done` has already been called. */
struct dw_ask *dw_ask_start(struct dw_host *host, struct dw_event *event, enum dw_stage stage, dw_ask_done done,
                            void *arg);
/* For the host's keeper: what the question waited for has come; takes what `answer` holds.  `done` may be called
 * before this returns, or the question waits for something else. */
void dw_ask_resume(struct dw_ask *ask, struct dw_answer *answer);
/* Nobody waits any more: `done` will not be called; the coroutine is closed. */
void dw_ask_cancel(struct dw_ask **ask);
/* Too late: ends it as DW_TEMPORARY, calling `done`. */
void dw_ask_expire(struct dw_ask **ask);

#endif
