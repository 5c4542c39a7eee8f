/* In which ways two decisions differ: see replay.h. */
#include "cmd/replay.h"

#include "base/text.h"

#include <math.h>

static const struct {
    const char *word, *title;
} changes[DW_CHANGES] = {
    [DW_NEWLY_ALLOWED] = {"newly-allowed", "newly allowed"},
    [DW_NEWLY_DENIED] = {"newly-denied", "newly denied"},
    [DW_NEWLY_TEMPORARY] = {"newly-temporary", "newly temporary"},
    [DW_NO_LONGER_TEMPORARY] = {"no-longer-temporary", "no longer temporary"},
    [DW_OTHER_USER] = {"other-user", "other user"},
    [DW_OTHER_BACKEND] = {"other-backend", "other backend"},
    [DW_OTHER_DETAILS] = {"other-details", "other details"},
    [DW_OTHER_RULE] = {"other-rule", "other rule, otherwise the same"},
};

const char *dw_change_word(enum dw_change change)
{
    return changes[change].word;
}

const char *dw_change_title(enum dw_change change)
{
    return changes[change].title;
}

int dw_change_parse(const char *word, size_t len)
{
    for (int i = 0; i < DW_CHANGES; i++)
        if (strlen(changes[i].word) == len && strncmp(changes[i].word, word, len) == 0)
            return i;
    return -1;
}

const char *dw_change_nearest(const char *word)
{
    const char *words[DW_CHANGES + 1];
    for (int i = 0; i < DW_CHANGES; i++)
        words[i] = changes[i].word;
    words[DW_CHANGES] = NULL;
    return dw_text_nearest(word, words);
}

/* Absent and null are the same.  A time is written with sixteen digits, and read back. */
static bool is_same(const char *key, const json_t *a, const json_t *b)
{
    if (!a || json_is_null(a))
        return !b || json_is_null(b);
    if (strcmp(key, "expires") == 0 && json_is_number(a) && json_is_number(b))
        return fabs(json_number_value(a) - json_number_value(b)) < 0.001;
    return b && json_equal(a, b);
}

static bool differs(const json_t *old, const json_t *new, const char *key)
{
    return !is_same(key, json_object_get(old, key), json_object_get(new, key));
}

/* What has a group of its own, and what no client notices. */
static bool is_detail(const char *key)
{
    static const char *const others[] = {"verdict", "user", "backend", "rule", "reason", NULL};
    for (size_t i = 0; others[i]; i++)
        if (strcmp(others[i], key) == 0)
            return false;
    return true;
}

static void add_names(const json_t *of, const json_t *other, bool is_second, json_t *names)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)of, key, value)
    {
        bool told = is_second && json_object_get(other, key);
        if (is_detail(key) && !told && !is_same(key, value, json_object_get(other, key)))
            json_array_append_new(names, json_string_nocheck(key));
    }
}

static const char *verdict_of(const json_t *decision)
{
    const char *word = json_string_value(json_object_get(decision, "verdict"));
    return word ? word : "";
}

unsigned dw_replay_compare(const json_t *old, const json_t *new, json_t *names)
{
    const char *was = verdict_of(old), *is = verdict_of(new);
    unsigned found = 0;
    if (strcmp(was, is) != 0) {
        found |= strcmp(is, "allow") == 0  ? 1u << DW_NEWLY_ALLOWED
                 : strcmp(is, "deny") == 0 ? 1u << DW_NEWLY_DENIED
                                           : 1u << DW_NEWLY_TEMPORARY;
        return strcmp(was, "temporary") == 0 ? found | 1u << DW_NO_LONGER_TEMPORARY : found;
    }
    if (strcmp(is, "allow") == 0) {
        add_names(old, new, false, names);
        add_names(new, old, true, names);
        found |= (differs(old, new, "user") ? 1u << DW_OTHER_USER : 0) |
                 (differs(old, new, "backend") ? 1u << DW_OTHER_BACKEND : 0) |
                 (json_array_size(names) > 0 ? 1u << DW_OTHER_DETAILS : 0);
    }
    return found || !differs(old, new, "rule") ? found : 1u << DW_OTHER_RULE;
}
