/* Rules that no name gets to: see a2l_lint.h. */
#include "map/a2l_lint.h"

#include <stdlib.h>

enum { RULES_MOST = 300 }; /* more are not compared with each other */

/* Whether no name of its number of components gets past the rule. */
static bool takes_all(const struct dw_a2l *a2l, size_t i)
{
    static const char *const all[] = {".*", "^.*$", "^.*", ".*$"};
    struct a2l_view v = a2l_view_of(a2l, i);
    if (v.is_default)
        return false;
    if (a2l->dialect == DW_A2L_MIT) {
        const struct mit_rule *rule = &a2l->rules[i].mit;
        for (size_t j = 0; j < rule->edit_count; j++)
            if (!rule->edits[j].from.compiled)
                return false;
        if (rule->bad_head || rule->bad_format)
            return true;
    }
    if (!v.match.at)
        return true;
    for (size_t j = 0; j < sizeof all / sizeof *all; j++)
        if (dw_span_equal(v.match, dw_span_str(all[j])))
            return true;
    return false;
}

static bool covers(const struct a2l_view *earlier, long components)
{
    return earlier->components < 0 || earlier->components == components;
}

/* The rule before `i` that leaves nothing of `components` components; 0 when there is none. */
static size_t taken_by(const struct dw_a2l *a2l, const bool *all, size_t i, long components)
{
    for (size_t j = 0; j < i; j++) {
        struct a2l_view earlier = a2l_view_of(a2l, j);
        if (all[j] && covers(&earlier, components))
            return j + 1;
    }
    return 0;
}

static struct dw_span without_anchors(struct dw_span pattern)
{
    if (pattern.len && pattern.at[0] == '^')
        pattern = dw_span_make(pattern.at + 1, pattern.len - 1);
    if (pattern.len && pattern.at[pattern.len - 1] == '$' &&
        (pattern.len < 2 || pattern.at[pattern.len - 2] != '\\'))
        pattern.len--;
    return pattern;
}

/* What a pattern `.*X` asks for, if X begins with a character that means itself; absent for others. */
static struct dw_span end_of(struct dw_span pattern)
{
    struct dw_span end = without_anchors(pattern);
    if (end.len < 4 || memcmp(end.at, ".*", 2) || !strchr("@/;:,", end.at[2]) || strchr("*+?{", end.at[3]) ||
        memchr(end.at, '|', end.len))
        return DW_SPAN_NONE;
    return dw_span_make(end.at + 2, end.len - 2);
}

/* Whether all that the later pattern matches ends in `end`. */
static bool ends_in(struct dw_span pattern, struct dw_span end)
{
    size_t open = 0;
    pattern = without_anchors(pattern);
    if (pattern.len < end.len || memchr(pattern.at, '|', pattern.len) ||
        memcmp(pattern.at + pattern.len - end.len, end.at, end.len))
        return false;
    for (size_t i = 0; i < pattern.len - end.len; i++) {
        if (strchr("[(", pattern.at[i]))
            open++;
        else if (strchr("])", pattern.at[i]) && open)
            open--;
        i += pattern.at[i] == '\\';
        if (i == pattern.len - end.len)
            return false;
    }
    return open == 0;
}

/* Whether an earlier rule matches whatever the later one would: both look at the same selection, and the earlier
 * pattern is the same, or takes all that ends as the later one's does. */
static bool takes_what(const struct dw_a2l *a2l, size_t earlier, size_t later)
{
    struct a2l_view a = a2l_view_of(a2l, earlier), b = a2l_view_of(a2l, later);
    if (a.is_default || b.is_default || a.bracketed != b.bracketed || a.components != b.components ||
        !dw_span_equal(a.format, b.format) || !a.match.at || !b.match.at || a.breaks || b.breaks)
        return false;
    if (a2l->dialect == DW_A2L_MIT) {
        const struct mit_rule *rule = &a2l->rules[earlier].mit;
        if (!rule->match.compiled)
            return false;
        for (size_t j = 0; j < rule->edit_count; j++)
            if (!rule->edits[j].from.compiled)
                return false;
    }
    struct dw_span end = end_of(a.match);
    return dw_span_equal(a.match, b.match) || (end.at && ends_in(b.match, end));
}

static void check_rule(const struct dw_a2l *a2l, struct dw_a2l_findings *findings, const bool *all, size_t i)
{
    struct a2l_view v = a2l_view_of(a2l, i);
    for (size_t j = 0; j < i; j++) {
        if (dw_span_equal(a2l->rules[i].text, a2l->rules[j].text)) {
            a2l_found(findings, i + 1, "unreachable", "it is the same as rule %zu", j + 1);
            return;
        }
    }
    for (size_t j = 0; j < i; j++) {
        if (takes_what(a2l, j, i)) {
            a2l_found(findings, i + 1, "unreachable", "rule %zu takes whatever it would match", j + 1);
            return;
        }
    }
    /* DEFAULT, and a rule for any number, live on while one or two components are left to them. */
    size_t one = taken_by(a2l, all, i, v.components < 0 ? 1 : v.components);
    size_t two = v.components < 0 ? taken_by(a2l, all, i, 2) : one;
    size_t more = v.components < 0 && !v.is_default ? taken_by(a2l, all, i, 3) : two;
    if (one && two && more)
        a2l_found(findings, i + 1, "unreachable", "rule %zu leaves nothing for it", one > two ? one : two);
}

void a2l_check_reach(const struct dw_a2l *a2l, struct dw_a2l_findings *findings)
{
    bool *all = calloc(a2l->rule_count + 1, sizeof *all);
    if (!all) {
        findings->notes.incomplete = true;
        return;
    }
    for (size_t i = 0; i < a2l->rule_count; i++)
        all[i] = takes_all(a2l, i);
    for (size_t i = 0; i < a2l->rule_count && a2l->rule_count <= RULES_MOST; i++)
        check_rule(a2l, findings, all, i);
    free(all);
}
