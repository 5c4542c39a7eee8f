/* What changed, counted, with the first examples of each kind: see replay.h. */
#include "cmd/replay.h"

#include <stdlib.h>

static int put(json_t *object, const char *key, struct dw_span text)
{
    return text.at && text.len ? json_object_set_new_nocheck(object, key, dw_text_to_json(text)) : 0;
}

static int put_word(json_t *object, const char *key, const char *text)
{
    return put(object, key, dw_span_str(text));
}

static int put_copy(json_t *object, const char *key, const json_t *value)
{
    return value ? json_object_set_new_nocheck(object, key, json_deep_copy(value)) : 0;
}

static int put_side(json_t *object, const char *key, const json_t *decision, const char *at, enum dw_stage stage)
{
    json_t *side = json_deep_copy(decision);
    return json_object_set_new_nocheck(object, key, side) < 0 || put_word(side, "at", at) < 0 ||
                   put_word(side, "stage", dw_stage_word(stage)) < 0
               ? -1
               : 0;
}

/* A log-in without a principal is known by what it came with. */
static int put_subject(json_t *object, const struct dw_event *e)
{
    if (put(object, "principal", e->principal) < 0)
        return -1;
    if (e->principal.at)
        return 0;
    if (put(object, "username", e->plain.username) < 0 || put(object, "identity", e->zap.identity) < 0)
        return -1;
    return put_word(object, "peer", e->peer.address);
}

json_t *dw_replay_describe(const struct dw_difference *d)
{
    const struct dw_event *e = d->event;
    json_t *out = json_object(), *list = json_array();
    if (!out || !list || json_object_set_new_nocheck(out, "journal", json_string(d->journal)) < 0 ||
        json_object_set_new_nocheck(out, "line", json_integer((json_int_t)d->line)) < 0 ||
        put_word(out, "id", e->id) < 0 ||
        json_object_set_new_nocheck(out, "time", json_real((double)e->time / 1e6)) < 0 || put_subject(out, e) < 0 ||
        put_word(out, "front", dw_front_word(e->front)) < 0 || put_word(out, "mechanism", e->mechanism) < 0 ||
        put_word(out, "listener", e->listener) < 0 || put(out, "domain", e->domain) < 0 ||
        put_side(out, "old", d->old, d->old_at, e->stage) < 0 ||
        put_side(out, "new", d->new, d->new_at, d->stage) < 0 ||
        put_copy(out, "details", json_array_size(d->names) ? d->names : NULL) < 0)
        goto fail;
    for (int i = 0; i < DW_CHANGES; i++)
        if (d->changes & 1u << i && json_array_append_new(list, json_string(dw_change_word((enum dw_change)i))) < 0)
            goto fail;
    if (json_object_set_new_nocheck(out, "changes", list) == 0)
        return out;
    list = NULL;
fail:
    json_decref(list);
    json_decref(out);
    return NULL;
}

static const char *const subject[] = {"principal", "username", "identity", "peer",    "front",
                                      "mechanism", "listener", "domain",   "details", NULL};
static const char *const outcome[] = {"verdict", "user", "backend", "rule", "stage", NULL};

static int add_key(json_t *list, const json_t *object, const char *const names[])
{
    for (size_t i = 0; names[i]; i++) {
        json_t *value = json_object_get(object, names[i]);
        if ((value ? json_array_append(list, value) : json_array_append_new(list, json_null())) < 0)
            return -1;
    }
    return 0;
}

/* Differences that look the same to an operator have the same key. */
static char *key_of(const json_t *told)
{
    json_t *list = json_array();
    char *key = NULL;
    if (list && add_key(list, told, subject) == 0 && add_key(list, json_object_get(told, "old"), outcome) == 0 &&
        add_key(list, json_object_get(told, "new"), outcome) == 0)
        key = json_dumps(list, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(list);
    return key;
}

static int add_example(struct dw_tally_group *group, size_t most, json_t *told)
{
    char *key = key_of(told);
    if (!key)
        return -1;
    for (size_t i = 0; i < group->example_count; i++)
        if (strcmp(group->examples[i].key, key) == 0) {
            group->examples[i].count++;
            group->told++;
            free(key);
            return 0;
        }
    if (group->example_count == most) {
        free(key);
        return 0;
    }
    if (!group->examples && !(group->examples = calloc(most, sizeof *group->examples))) {
        free(key);
        return -1;
    }
    group->examples[group->example_count++] = (struct dw_example){key, 1, json_incref(told)};
    group->told++;
    return 0;
}

int dw_replay_count(struct dw_replay_tally *t, const struct dw_difference *d)
{
    json_t *told = NULL;
    int failed = 0;
    if (d->changes & ~(1u << DW_OTHER_RULE))
        t->differ++;
    for (int i = 0; i < DW_CHANGES && !failed; i++) {
        if (!(d->changes & 1u << i))
            continue;
        t->groups[i].count++;
        if (t->example_most == 0 || !(t->exemplified & 1u << i))
            continue;
        if (!told && !(told = dw_replay_describe(d)))
            failed = -1;
        else
            failed = add_example(&t->groups[i], t->example_most, told);
    }
    json_decref(told);
    return failed;
}

void dw_replay_tally_clear(struct dw_replay_tally *t)
{
    for (int i = 0; i < DW_CHANGES; i++) {
        struct dw_tally_group *group = &t->groups[i];
        for (size_t e = 0; e < group->example_count; e++) {
            free(group->examples[e].key);
            json_decref(group->examples[e].told);
        }
        free(group->examples);
    }
    *t = (struct dw_replay_tally){0};
}
