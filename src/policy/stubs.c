/* A keeper with answers that are known before: see stubs.h. */
#include "policy/stubs.h"

#include <stdio.h>
#include <stdlib.h>

static enum dw_fulfilment begin(void *arg, struct dw_ask *ask, const struct dw_want *want, struct dw_answer *answer,
                                void **job)
{
    struct dw_stubs *s = arg;
    char word[300];
    char *key = NULL;
    enum dw_fulfilment how = DW_FULFIL_NOW;
    (void)ask, (void)job;
    if (asprintf(&key, "%s %s", dw_want_word(want, word, sizeof word), want->key) < 0)
        return DW_FULFIL_NOW;
    const char *failed = json_string_value(json_object_get(s->failed, key));
    answer->value = json_incref(json_object_get(s->answers, key));
    if (answer->value) {
        s->slept += want->seconds;
    } else if (failed) {
        dw_answer_fail(answer, "%s", failed);
    } else if (want->kind == DW_WANT_PASSWORD) {
        how = DW_FULFIL_NOT_MINE;
    } else if (want->kind == DW_WANT_SLEEP) {
        s->slept += want->seconds;
        answer->value = json_true();
    } else if (json_object_get(s->tables, word)) {
        answer->value = json_null();
    } else if (want->source) {
        how = DW_FULFIL_NOT_MINE;
    } else {
        dw_answer_fail(answer, "%s%s", s->missing ? s->missing : "nothing is known of ", key);
        answer->is_fatal = true;
    }
    if (s->seconds > 0 && s->slept >= s->seconds)
        how = DW_FULFIL_LATE;
    free(key);
    return how;
}

static bool covers(void *arg, const char *source)
{
    const struct dw_stubs *s = arg;
    return json_object_get(s->tables, source) != NULL;
}

void dw_stubs_keeper(struct dw_stubs *stubs, struct dw_keeper *keeper)
{
    *keeper = (struct dw_keeper){.arg = stubs, .begin = begin, .covers = covers};
}

int dw_stubs_record(struct dw_stubs *stubs, const json_t *trace)
{
    size_t i;
    json_t *step;
    dw_stubs_clear(stubs);
    stubs->answers = json_object();
    stubs->failed = json_object();
    if (!stubs->answers || !stubs->failed)
        return -1;
    json_array_foreach(trace, i, step)
    {
        const char *want = json_string_value(json_object_get(step, "want"));
        const char *key = json_string_value(json_object_get(step, "key"));
        json_t *answer = json_object_get(step, "answer"), *failed = json_object_get(step, "failed");
        char *name;
        if (!want || !key || (!answer && !failed))
            continue;
        if (asprintf(&name, "%s %s", want, key) < 0)
            return -1;
        int rc =
            answer ? json_object_set(stubs->answers, name, answer) : json_object_set(stubs->failed, name, failed);
        free(name);
        if (rc < 0)
            return -1;
    }
    return 0;
}

void dw_stubs_clear(struct dw_stubs *stubs)
{
    json_decref(stubs->answers);
    json_decref(stubs->failed);
    json_decref(stubs->tables);
    stubs->answers = stubs->failed = stubs->tables = NULL;
    stubs->slept = 0;
}
