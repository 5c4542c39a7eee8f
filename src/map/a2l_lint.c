/* Traps that can be read off the rules: see a2l.h. */
#include "map/a2l_lint.h"

#include <stdarg.h>
#include <stdlib.h>

void a2l_found(struct dw_a2l_findings *findings, size_t rule, const char *kind, const char *format, ...)
{
    struct dw_a2l_finding *list = realloc(findings->list, (findings->count + 1) * sizeof *list);
    char text[600];
    if (!list) {
        findings->notes.incomplete = true;
        return;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    findings->list = list;
    list[findings->count++] =
        (struct dw_a2l_finding){rule, dw_span_str(kind), a2l_keepf(&findings->notes, "%s", text)};
}

void dw_a2l_findings_free(struct dw_a2l_findings *findings)
{
    dw_a2l_report_free(&findings->notes);
    free(findings->list);
    *findings = (struct dw_a2l_findings){0};
}

/* What stands between '[n:' and ']' in MIT's text. */
static struct dw_span format_of(struct dw_span text)
{
    const uint8_t *open = memchr(text.at, '[', text.len);
    const uint8_t *colon = open ? memchr(open, ':', text.len - (size_t)(open - text.at)) : NULL;
    const uint8_t *close = colon ? memchr(colon, ']', text.len - (size_t)(colon - text.at)) : NULL;
    return close ? dw_span_make(colon + 1, (size_t)(close - colon - 1)) : DW_SPAN_NONE;
}

struct a2l_view a2l_view_of(const struct dw_a2l *a2l, size_t i)
{
    const struct a2l_rule *rule = &a2l->rules[i];
    struct a2l_view v = {.raw = rule->text, .components = -1};
    if (a2l->dialect != DW_A2L_MIT) {
        v.is_default = rule->java.is_default;
        v.bracketed = !v.is_default;
        v.components = v.is_default ? -1 : rule->java.components;
        v.format = rule->java.format;
        v.match = rule->java.match_text;
        return v;
    }
    const struct mit_rule *mit = &rule->mit;
    v.is_default = mit->is_default;
    v.bracketed = mit->bracketed;
    v.why_broken = mit->bad_head     ? mit->bad_head
                   : mit->bad_format ? mit->bad_format
                   : mit->bad_match  ? mit->bad_match
                                     : mit->bad_tail;
    v.breaks = v.why_broken != NULL;
    if (mit->bracketed && !mit->bad_head) {
        v.components = mit->components;
        v.format = format_of(rule->text);
    }
    if (mit->has_match)
        v.match = mit->match.text;
    return v;
}

static void check_regex(struct dw_a2l_findings *findings, size_t number, const struct mit_regex *re)
{
    struct a2l_shown shown;
    if (re->oversized) {
        a2l_found(findings, number, "limit",
                  "the pattern %s is too large, or repeats too much inside repetitions; "
                  "it is refused",
                  a2l_show(&shown, re->text));
    } else if (!re->compiled && re->why[0]) {
        a2l_found(findings, number, "never-matches",
                  "the pattern %s does not compile (%s), and MIT's library then "
                  "passes over the rule without a word",
                  a2l_show(&shown, re->text), re->why);
    }
    for (size_t i = 0; i + 1 < re->text.len; i++) {
        uint8_t c = re->text.at[i], next = re->text.at[i + 1];
        if (c == '\\' && (next == 'd' || next == 'D'))
            a2l_found(findings, number, "foreign",
                      "\\%c is no class of digits in POSIX patterns, but the letter %c; "
                      "write [0-9]",
                      next, next);
        else if ((c == '*' || c == '+' || c == '?') && next == '?')
            a2l_found(findings, number, "foreign", "%c? is not \"as few as possible\" in POSIX patterns", c);
        else if (c == '(' && next == '?')
            a2l_found(findings, number, "foreign", "(? .. ) is of other languages; POSIX patterns have none");
        i += c == '\\';
    }
}

/* Whether it matches nothing at all at the beginning of some name. */
static bool can_stand_still(const struct mit_regex *re)
{
    static const char *const tries[] = {"", "a", "A", "1", "-", ".", "@", "/"};
    regmatch_t at;
    for (size_t i = 0; re->compiled && i < sizeof tries / sizeof *tries; i++)
        if (regexec(&re->re, tries[i], 1, &at, 0) == 0 && at.rm_eo == 0)
            return true;
    return false;
}

static void check_edits(struct dw_a2l_findings *findings, size_t number, const struct mit_rule *rule)
{
    struct a2l_shown shown;
    for (size_t i = 0; i < rule->edit_count; i++) {
        const struct mit_edit *edit = &rule->edits[i];
        check_regex(findings, number, &edit->from);
        if (edit->global && can_stand_still(&edit->from))
            a2l_found(findings, number, "endless",
                      "%s can match the empty string, and with g MIT's library then never "
                      "returns; here it is an error",
                      a2l_show(&shown, edit->from.text));
        for (size_t j = 0; j + 1 < edit->with.len; j++) {
            uint8_t c = edit->with.at[j], next = edit->with.at[j + 1];
            if ((c == '$' || c == '\\') && next >= '0' && next <= '9') {
                a2l_found(findings, number, "foreign",
                          "the replacement %s is taken as it stands; MIT's library does "
                          "not refer to groups",
                          a2l_show(&shown, edit->with));
                break;
            }
        }
    }
}

static bool is_literal_here(uint8_t c)
{
    return c && strchr(";:,@/%!#=~& ", c) != NULL;
}

static bool is_optional(struct dw_span text, size_t next)
{
    return next < text.len && (text.at[next] == '*' || text.at[next] == '?' || text.at[next] == '{');
}

/* A character that every match of the pattern holds and no ordinary name does; 0 when there is none that
 * can be told without reading groups, sets or alternatives. */
static uint8_t needed_character(struct dw_span text, struct dw_span format, bool bracketed)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.at[i];
        if (c == '(' || c == '|')
            return 0;
        if (c == '[') {
            for (i += i + 1 < text.len && text.at[i + 1] == '^' ? 2 : 1; i + 1 < text.len && text.at[i + 1] != ']';
                 i++)
                ;
            i++;
            continue;
        }
        if (c == '\\') {
            i++;
            continue;
        }
        if (!is_literal_here(c) || is_optional(text, i + 1))
            continue;
        bool offered = bracketed ? format.len && memchr(format.at, c, format.len) : c == '/';
        if (!offered)
            return c;
    }
    return 0;
}

/* Whether the set at '[' holds the character; `at` is moved to its ']'. */
static bool set_holds(struct dw_span text, size_t *at, uint8_t c)
{
    size_t i = *at + 1;
    bool negated = i < text.len && text.at[i] == '^', found = false;
    if (negated)
        i++;
    for (size_t first = i; i < text.len && (text.at[i] != ']' || i == first); i++) {
        uint8_t low = text.at[i], high = low;
        if (low == '[' || low == '\\' || low == '&')
            return true; /* classes, sets in sets, escapes: it may */
        if (i + 2 < text.len && text.at[i + 1] == '-' && text.at[i + 2] != ']') {
            high = text.at[i + 2];
            i += 2;
        }
        found = found || (c >= low && c <= high);
    }
    *at = i;
    return found != negated;
}

/* Whether some part of the pattern may match the character; true when that cannot be told. */
static bool may_hold(struct dw_span pattern, uint8_t c)
{
    for (size_t i = 0; i < pattern.len; i++) {
        uint8_t at = pattern.at[i], next = i + 1 < pattern.len ? pattern.at[i + 1] : 0;
        if (at == c || at == '.' || at >= 0x80 || (at == '(' && next == '?'))
            return true;
        if (at == '[' && set_holds(pattern, &i, c))
            return true;
        if (at == '\\' && (next == c || (next >= 'A' && next <= 'Z') || (next >= 'a' && next <= 'z') ||
                           (next >= '0' && next <= '9') || next == '`' || next == '\'' || next == '<'))
            return true;
        i += at == '\\';
    }
    return false;
}

/* A character that stands in every selection string and in no match of the pattern; 0 when none is seen. */
static uint8_t foreign_character(struct dw_span pattern, struct dw_span format)
{
    for (size_t i = 0; i < format.len; i++) {
        if (format.at[i] == '$') {
            while (i + 1 < format.len && format.at[i + 1] >= '0' && format.at[i + 1] <= '9')
                i++;
            continue;
        }
        if (format.at[i] > ' ' && format.at[i] < 0x7f && !may_hold(pattern, format.at[i]))
            return format.at[i];
    }
    return 0;
}

/* The default realm in other letters than its own: realms are compared with case. */
static bool misspells_realm(const struct dw_a2l *a2l, struct dw_span match)
{
    char pattern[300], realm[300];
    size_t n = 0;
    if (!a2l->default_realm.at || a2l->default_realm.len < 3 || a2l->default_realm.len >= sizeof realm || !match.at)
        return false;
    for (size_t i = 0; i < match.len && n + 1 < sizeof pattern; i++)
        if (match.at[i] != '\\')
            pattern[n++] = (char)match.at[i];
    pattern[n] = '\0';
    memcpy(realm, a2l->default_realm.at, a2l->default_realm.len);
    realm[a2l->default_realm.len] = '\0';
    return strcasestr(pattern, realm) && !strstr(pattern, realm);
}

static void check_rule(const struct dw_a2l *a2l, struct dw_a2l_findings *findings, size_t i)
{
    struct a2l_view v = a2l_view_of(a2l, i);
    struct a2l_shown shown;
    size_t number = i + 1;
    if (v.breaks)
        a2l_found(findings, number, "invalid",
                  "%s cannot be read: %s; a name that comes to it gets an error, "
                  "whatever stands below",
                  a2l_show(&shown, v.raw), v.why_broken);
    if (v.is_default && a2l->dialect == DW_A2L_MIT && v.raw.len > strlen("DEFAULT"))
        a2l_found(findings, number, "suffix", "%s is read as DEFAULT; what follows the ':' is ignored",
                  a2l_show(&shown, v.raw));
    if (v.is_default && !a2l->default_realm.at)
        a2l_found(findings, number, "never-matches", "DEFAULT maps nobody without a default realm");
    if (v.components == 0 || (a2l->dialect != DW_A2L_MIT && v.components > 2))
        a2l_found(findings, number, "never-matches", "no name has %ld components%s", v.components,
                  v.components ? " here: Hadoop knows one or two" : "");
    if (a2l->dialect == DW_A2L_MIT) {
        check_regex(findings, number, &a2l->rules[i].mit.match);
        check_edits(findings, number, &a2l->rules[i].mit);
    }
    if (!v.match.at || v.breaks)
        return;
    uint8_t needed = needed_character(v.match, v.format, v.bracketed);
    if (needed)
        a2l_found(findings, number, "never-matches", "(%.*s) needs a '%c', and the selection string %s has none",
                  (int)(v.match.len < 200 ? v.match.len : 200), (const char *)v.match.at, needed,
                  v.bracketed ? a2l_show(&shown, v.format) : "(the name without its realm)");
    uint8_t foreign = v.bracketed && !needed ? foreign_character(v.match, v.format) : 0;
    if (foreign)
        a2l_found(findings, number, "never-matches",
                  "every selection string %s holds a '%c', and (%.*s), which has to match all of it, has none",
                  a2l_show(&shown, v.format), foreign, (int)(v.match.len < 200 ? v.match.len : 200),
                  (const char *)v.match.at);
    if (misspells_realm(a2l, v.match))
        a2l_found(findings, number, "wrong-realm",
                  "(%.*s) names the default realm %s in other letters; realms are "
                  "compared with case",
                  (int)(v.match.len < 200 ? v.match.len : 200), (const char *)v.match.at,
                  a2l_show(&shown, a2l->default_realm));
}

void dw_a2l_lint(struct dw_a2l *a2l, struct dw_a2l_findings *findings)
{
    *findings = (struct dw_a2l_findings){0};
    for (size_t i = 0; i < a2l->rule_count; i++)
        check_rule(a2l, findings, i);
    a2l_check_reach(a2l, findings);
    if (a2l->orphans)
        a2l_found(findings, 0, "wrong-realm",
                  "%s: auth_to_local under a realm that is not the default one is never read", a2l->orphans);
    a2l_probe(a2l, findings);
}
