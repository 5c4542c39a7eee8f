/* What a question in flight waits for, and what it was told. */
#include "policy/asking.h"
#include "policy/secret.h"

#include <stdlib.h>
#include <string.h>

void dw_ask_forget_want(struct dw_ask *ask)
{
    free(ask->want_source);
    free(ask->want_key);
    free(ask->want_at);
    if (ask->want_hash)
        dw_wipe(ask->want_hash, strlen(ask->want_hash));
    free(ask->want_hash);
    dw_buf_free(&ask->want_secret);
    ask->want_source = ask->want_key = ask->want_at = ask->want_hash = NULL;
    ask->waits = false;
}

int dw_ask_want(struct dw_host *host, const struct dw_want *want, const char *at, lua_KContext *ticket,
                struct dw_error *err)
{
    struct dw_ask *ask = host->asking;
    if (!ask)
        return dw_error_set(err, DW_ERROR_INTERNAL, "only a hook can wait, not a policy that is being loaded");
    if (ask->hook == DW_STAGE_CLOSE)
        return dw_error_set(err, DW_ERROR_INTERNAL, "a close hook cannot wait: the connection is over");
    if (host->pinned > 0)
        return dw_error_set(
            err, DW_ERROR_INTERNAL,
            "cannot wait here: a function called from C, such as table.sort's or gsub's, does not wait");
    dw_ask_forget_want(ask);
    dw_answer_clear(&ask->answer);
    ask->want = *want;
    if (dw_decision_set(&ask->want_source, want->source) < 0 || dw_decision_set(&ask->want_key, want->key) < 0 ||
        dw_decision_set(&ask->want_at, at) < 0 || dw_decision_set(&ask->want_hash, want->hash) < 0 ||
        (want->secret.at != dw_secret_unknown && dw_buf_put(&ask->want_secret, want->secret) < 0))
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    ask->want.source = ask->want_source;
    ask->want.key = ask->want_key;
    ask->want.hash = ask->want_hash;
    if (want->secret.at != dw_secret_unknown)
        ask->want.secret = dw_buf_span(&ask->want_secret);
    ask->waits = true;
    *ticket = ask->ticket = ++host->tickets;
    return 0;
}

const struct dw_answer *dw_ask_answer(struct dw_host *host, lua_KContext ticket)
{
    struct dw_ask *ask = host->asking;
    return ask && !ask->waits && ask->ticket == ticket && (ask->answer.value || ask->answer.failed) ? &ask->answer
                                                                                                    : NULL;
}

const struct dw_step *dw_ask_found(const struct dw_host *host, const struct dw_want *want)
{
    const struct dw_ask *ask = host->asking;
    char word[STEP_TEXT_MOST];
    dw_want_word(want, word, sizeof word);
    for (size_t i = 0; ask && i < ask->d.step_count; i++) {
        const struct dw_step *step = &ask->d.steps[i];
        if (step->want && step->key && strcmp(step->want, word) == 0 && strcmp(step->key, want->key) == 0)
            return step;
    }
    return NULL;
}

bool dw_ask_waits(const struct dw_host *host)
{
    return host->asking && host->asking->waits;
}

void dw_ask_note_answer(struct dw_host *host, const struct dw_want *want, const char *at,
                        const struct dw_answer *answer)
{
    struct dw_ask *ask = host->asking;
    char word[STEP_TEXT_MOST];
    if (ask && ask->d.step_count < STEPS_MOST)
        dw_decision_found(&ask->d, dw_stage_word(ask->hook), at ? at : dw_ask_policy(ask)->at[ask->hook],
                          dw_want_word(want, word, sizeof word), want->key, answer->value, answer->failed);
}

void dw_ask_take_in(struct dw_ask *ask)
{
    if (!ask->answer.value && !ask->answer.failed) {
        dw_answer_fail(&ask->answer, "out of memory");
        ask->answer.is_fatal = true;
    }
    ask->host->asking = ask;
    dw_ask_note_answer(ask->host, &ask->want, ask->want_at, &ask->answer);
    ask->host->asking = NULL;
    ask->is_kept = false;
    dw_ask_forget_want(ask);
}

enum dw_fulfilment dw_ask_fulfil(struct dw_ask *ask)
{
    const struct dw_keeper *keeper = &ask->host->keeper;
    enum dw_fulfilment how = DW_FULFIL_NOT_MINE;
    if (keeper->begin)
        how = keeper->begin(keeper->arg, ask, &ask->want, &ask->answer, &ask->job);
    if (how == DW_FULFIL_NOT_MINE && ask->want.kind == DW_WANT_PASSWORD) {
        dw_secret_answer(&ask->want, &ask->answer);
    } else if (how == DW_FULFIL_NOT_MINE) {
        dw_answer_fail(&ask->answer, "nobody here fulfils what a policy waits for");
        ask->answer.is_fatal = true;
    }
    return how;
}
