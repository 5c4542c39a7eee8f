/* auth_to_local's front: see a2l.h.  The engines stand in a2l_mit.c and a2l_java.c. */
#include "map/a2l.h"

#include "base/text.h"
#include "map/a2l_engine.h"

#include <stdlib.h>

const char *dw_a2l_code_word(enum dw_a2l_code code)
{
    static const char *const words[] = {
        [DW_A2L_MAPPED] = "MAPPED",
        [DW_A2L_NO_TRANSLATION] = "KRB5_LNAME_NOTRANS",
        [DW_A2L_BAD_FORMAT] = "KRB5_CONFIG_BADFORMAT",
        [DW_A2L_NO_MATCHING_RULE] = "NO_MATCHING_RULE",
        [DW_A2L_MALFORMED_NAME] = "MALFORMED_NAME",
        [DW_A2L_BAD_FORMAT_STRING] = "BAD_FORMAT_STRING",
        [DW_A2L_INVALID_RULE] = "INVALID_RULE",
        [DW_A2L_INVALID_REGEX] = "INVALID_REGEX",
        [DW_A2L_BAD_REPLACEMENT] = "BAD_REPLACEMENT",
        [DW_A2L_ENDLESS] = "ENDLESS",
        [DW_A2L_LIMIT] = "LIMIT",
        [DW_A2L_FAILED] = "FAILED",
    };
    return words[code];
}

const char *dw_a2l_outcome_word(enum dw_a2l_outcome outcome)
{
    static const char *const words[] = {"skipped", "no match", "matched", "error"};
    return words[outcome];
}

static const char *const dialects[] = {"mit", "hadoop", "hadoop-mit"};

const char *dw_a2l_dialect_word(enum dw_a2l_dialect dialect)
{
    return dialects[dialect];
}

int dw_a2l_dialect_parse(const char *word)
{
    for (int i = 0; i < 3; i++)
        if (!strcmp(word, dialects[i]))
            return i;
    return -1;
}

void dw_a2l_free(struct dw_a2l **a2l)
{
    struct dw_a2l *gone = *a2l;
    *a2l = NULL;
    if (!gone)
        return;
    for (size_t i = 0; i < gone->rule_count; i++) {
        mit_rule_free(&gone->rules[i].mit);
        java_rule_free(&gone->rules[i].java);
    }
    free(gone->rules);
    free(gone->orphans);
    free(gone->names);
    free(gone->text);
    free(gone);
}

size_t dw_a2l_count(const struct dw_a2l *a2l)
{
    return a2l->rule_count;
}

enum dw_a2l_dialect dw_a2l_dialect_of(const struct dw_a2l *a2l)
{
    return a2l->dialect;
}

/* Copies `text` to the end of what is kept, with a NUL behind it. */
static struct dw_span keep(uint8_t **at, struct dw_span text)
{
    if (!text.at)
        return DW_SPAN_NONE;
    struct dw_span kept = dw_span_make(*at, text.len);
    if (text.len)
        memcpy(*at, text.at, text.len);
    (*at)[text.len] = '\0';
    *at += text.len + 1;
    return kept;
}

static bool has_nul(struct dw_span text)
{
    return text.len && memchr(text.at, '\0', text.len);
}

static enum dw_a2l_code check_given(struct a2l_run *run, const struct dw_span *rules, size_t count,
                                    const struct dw_a2l_options *options, size_t *size)
{
    *size = options->default_realm.len + 1;
    if (count > DW_A2L_RULES_MAX)
        return a2l_fail(run, DW_A2L_LIMIT, "%zu rules; at most %d are taken", count, DW_A2L_RULES_MAX);
    for (size_t i = 0; i < count; i++) {
        if (has_nul(rules[i]))
            return a2l_fail(run, DW_A2L_INVALID_RULE, "rule %zu holds a NUL octet", i + 1);
        *size += rules[i].len + 1;
        if (*size > DW_A2L_TEXT_MAX)
            return a2l_fail(run, DW_A2L_LIMIT, "the rules are longer than %d octets", DW_A2L_TEXT_MAX);
    }
    if (options->name_count && options->dialect != DW_A2L_MIT)
        return a2l_fail(run, DW_A2L_INVALID_RULE, "names are part of the mit dialect; Hadoop has none");
    for (size_t i = 0; i < options->name_count; i++) {
        struct a2l_shown shown;
        if (has_nul(options->names[i].principal) || has_nul(options->names[i].user))
            return a2l_fail(run, DW_A2L_INVALID_RULE, "the name %s, or its user, holds a NUL octet",
                            a2l_show(&shown, options->names[i].principal));
        *size += options->names[i].principal.len + options->names[i].user.len + 2;
    }
    return DW_A2L_MAPPED;
}

static enum dw_a2l_code read_mit(struct a2l_run *run, uint8_t *at, const struct dw_span *rules, size_t count)
{
    struct dw_a2l *a2l = run->a2l;
    struct dw_span standard = DW_SPAN_OF("DEFAULT");
    size_t budget = MIT_BUDGET;
    if (count == 0) {
        rules = &standard;
        count = 1;
    }
    if (!(a2l->rules = calloc(count, sizeof *a2l->rules)))
        return a2l_fail(run, DW_A2L_FAILED, "out of memory");
    for (size_t i = 0; i < count; i++) {
        a2l->rules[i].text = keep(&at, rules[i]);
        a2l->rule_count = i + 1;
        if (mit_rule_read(&a2l->rules[i], &budget) < 0)
            return a2l_fail(run, DW_A2L_FAILED, "out of memory");
    }
    return DW_A2L_MAPPED;
}

/* The entries as lines of one text. */
static enum dw_a2l_code read_java(struct a2l_run *run, uint8_t *at, const struct dw_span *rules, size_t count)
{
    uint8_t *start = at;
    if (count == 0)
        keep(&at, DW_SPAN_OF("DEFAULT"));
    for (size_t i = 0; i < count; i++) {
        keep(&at, rules[i]);
        at[-1] = '\n';
    }
    return java_rules_read(run, dw_span_make(start, (size_t)(at - start) - 1));
}

struct dw_a2l *dw_a2l_compile(const struct dw_span *rules, size_t count, const struct dw_a2l_options *options,
                              enum dw_a2l_code *code, struct dw_error *err)
{
    struct dw_a2l *a2l = calloc(1, sizeof *a2l);
    struct a2l_run run = {a2l, NULL, err};
    size_t size;
    if (!a2l) {
        *code = a2l_fail(&run, DW_A2L_FAILED, "out of memory");
        goto failed;
    }
    if ((*code = check_given(&run, rules, count, options, &size)))
        goto failed;
    a2l->dialect = options->dialect;
    a2l->text = malloc(size + sizeof "DEFAULT");
    a2l->names = calloc(options->name_count + 1, sizeof *a2l->names);
    if (!a2l->text || !a2l->names) {
        *code = a2l_fail(&run, DW_A2L_FAILED, "out of memory");
        goto failed;
    }
    uint8_t *at = a2l->text;
    a2l->default_realm = keep(&at, options->default_realm);
    for (size_t i = 0; i < options->name_count; i++) {
        a2l->names[i].principal = keep(&at, options->names[i].principal);
        a2l->names[i].user = keep(&at, options->names[i].user);
    }
    a2l->name_count = options->name_count;
    *code = a2l->dialect == DW_A2L_MIT ? read_mit(&run, at, rules, count) : read_java(&run, at, rules, count);
    if (*code)
        goto failed;
    return a2l;
failed:
    dw_a2l_free(&a2l);
    return NULL;
}

enum dw_a2l_code dw_a2l_map(struct dw_a2l *a2l, struct dw_span name, struct dw_buf *user,
                            struct dw_a2l_report *report, struct dw_error *err)
{
    struct a2l_run run = {a2l, report, err};
    struct a2l_shown shown;
    size_t before = dw_buf_len(user);
    if (name.len > DW_A2L_NAME_MAX)
        return a2l_fail(&run, DW_A2L_LIMIT, "the name is longer than %d octets", DW_A2L_NAME_MAX);
    if (has_nul(name))
        return a2l_fail(&run, DW_A2L_MALFORMED_NAME, "the name %s holds a NUL octet", a2l_show(&shown, name));
    enum dw_a2l_code code = a2l->dialect == DW_A2L_MIT ? mit_map(&run, name, user) : java_map(&run, name, user);
    if (code)
        dw_buf_cut(user, before);
    return code;
}
