/* MIT's auth_to_local, as src/lib/krb5/os/localauth*.c of 1.20 has it: see a2l.h.  Rules are read ahead, but
 * each flaw takes effect only where the library would come upon it. */
#include "map/a2l_engine.h"

#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <stdlib.h>

/* Nodes of one pattern, and octets that a pattern with references (\1) is matched with - one reference, or
 * more: beyond, the POSIX engine takes seconds, and no watchdog can stop it. */
#define PATTERN_COST_MAX 1000
#define SUBJECT_ONE_REFERENCE 40
#define SUBJECT_REFERENCES 16

static locale_t c_locale;

static void open_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* The library matches octets, whatever the locale of the process; returns what to go back to. */
static locale_t enter_c_locale(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_locale);
    return uselocale(c_locale);
}

static size_t subject_most(struct dw_span text)
{
    size_t references = 0;
    for (size_t i = 0; i + 1 < text.len; i++)
        if (text.at[i] == '\\' && text.at[++i] >= '1' && text.at[i] <= '9')
            references++;
    return references == 0 ? DW_A2L_NAME_MAX : references == 1 ? SUBJECT_ONE_REFERENCE : SUBJECT_REFERENCES;
}

/* -1 when memory is out; a pattern that does not compile is a fact about the rule. */
static int compile(struct mit_regex *re, struct dw_span text, size_t *budget)
{
    char copy[2048];
    size_t cost = posix_cost(text);
    re->text = text;
    re->subject_most = subject_most(text);
    re->oversized = text.len >= sizeof copy || cost > PATTERN_COST_MAX || cost > *budget;
    if (re->oversized) {
        snprintf(re->why, sizeof re->why, "too large a pattern");
        return 0;
    }
    *budget -= cost;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    int problem = regcomp(&re->re, copy, REG_EXTENDED);
    if (problem == REG_ESPACE)
        return -1;
    if (problem)
        regerror(problem, &re->re, re->why, sizeof re->why);
    re->compiled = !problem;
    return 0;
}

static struct dw_span between(const char *from, const char *to)
{
    return dw_span_make(from, (size_t)(to - from));
}

static int add_piece(struct mit_rule *rule, struct mit_piece piece)
{
    struct mit_piece *pieces = realloc(rule->pieces, (rule->piece_count + 1) * sizeof *pieces);
    if (!pieces)
        return -1;
    rule->pieces = pieces;
    pieces[rule->piece_count++] = piece;
    return 0;
}

/* "[n:format]" at `*at`, which is moved past it. */
static int read_selection(struct mit_rule *rule, const char **at)
{
    char *end;
    const char *text = *at + 1;
    errno = 0;
    rule->bracketed = true;
    rule->components = strtol(text, &end, 10);
    if (errno || rule->components < 0 || *end != ':') {
        rule->bad_head = "its '[' is not followed by a number of components and ':'";
        return 0;
    }
    for (text = end + 1;;) {
        size_t literal = strcspn(text, "$]");
        if (literal && add_piece(rule, (struct mit_piece){.literal = dw_span_make(text, literal)}) < 0)
            return -1;
        text += literal;
        if (*text != '$')
            break;
        errno = 0;
        long part = strtol(text + 1, &end, 10);
        if (errno || part > rule->components) {
            rule->bad_format = "its '$' names a component beyond those that it selects";
            return 0;
        }
        if (add_piece(rule, (struct mit_piece){.part = part}) < 0)
            return -1;
        text = end;
    }
    if (*text == ']')
        *at = text + 1;
    else
        rule->bad_format = "its '[' has no ']'";
    return 0;
}

static int read_match(struct mit_rule *rule, const char **at, size_t *budget)
{
    const char *end = strchr(*at + 1, ')');
    rule->has_match = true;
    if (!end) {
        rule->bad_match = "its '(' has no ')'";
        return 0;
    }
    struct dw_span text = between(*at + 1, end);
    *at = end + 1;
    return compile(&rule->match, text, budget);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Compiled patterns do not like to be moved: room for all that there could be, at once. */
static int make_room(struct mit_rule *rule, const char *text)
{
    size_t slashes = 0;
    for (; *text; text++)
        slashes += *text == '/';
    return (rule->edits = calloc(slashes / 3 + 1, sizeof *rule->edits)) ? 0 : -1;
}

static int read_edits(struct mit_rule *rule, const char *at, size_t *budget)
{
    if (*at && make_room(rule, at) < 0)
        return -1;
    while (*at) {
        while (is_space(*at))
            at++;
        const char *from = at + 2, *middle = NULL, *end = NULL;
        if (at[0] == 's' && at[1] == '/' && (middle = strchr(from, '/')))
            end = strchr(middle + 1, '/');
        if (!end) {
            rule->bad_tail = *at ? "what follows is not s/pattern/text/ or s/pattern/text/g" : "it ends in blanks";
            return 0;
        }
        struct mit_edit *edit = &rule->edits[rule->edit_count++];
        *edit = (struct mit_edit){.with = between(middle + 1, end), .global = end[1] == 'g'};
        if (compile(&edit->from, between(from, middle), budget) < 0)
            return -1;
        at = end + 1 + edit->global;
    }
    return 0;
}

static int read_rule(struct a2l_rule *whole, size_t *budget)
{
    struct mit_rule *rule = &whole->mit;
    const char *text = (const char *)whole->text.at, *colon = strchr(text, ':');
    struct dw_span kind = colon ? between(text, colon) : whole->text;
    if (dw_span_equal(kind, DW_SPAN_OF("DEFAULT"))) {
        rule->is_default = true;
        return 0;
    }
    if (!dw_span_equal(kind, DW_SPAN_OF("RULE")) || !colon) {
        rule->bad_head = "it begins neither with RULE: nor with DEFAULT";
        return 0;
    }
    const char *at = colon + 1;
    if (*at == '[' && read_selection(rule, &at) < 0)
        return -1;
    if (rule->bad_head || rule->bad_format)
        return 0;
    if (*at == '(' && read_match(rule, &at, budget) < 0)
        return -1;
    return rule->bad_match ? 0 : read_edits(rule, at, budget);
}

int mit_rule_read(struct a2l_rule *rule, size_t *budget)
{
    locale_t before = enter_c_locale();
    int result = read_rule(rule, budget);
    uselocale(before);
    return result;
}

static void free_regex(struct mit_regex *re)
{
    if (re->compiled)
        regfree(&re->re);
    re->compiled = false;
}

void mit_rule_free(struct mit_rule *rule)
{
    for (size_t i = 0; i < rule->edit_count; i++)
        free_regex(&rule->edits[i].from);
    free_regex(&rule->match);
    free(rule->edits);
    free(rule->pieces);
    *rule = (struct mit_rule){0};
}

static enum dw_a2l_code bad_format(struct a2l_run *run, size_t number, const char *why)
{
    struct a2l_shown shown;
    a2l_trace_end(run, DW_A2L_ERROR, "the rule cannot be read: %s; MIT's library stops here", why);
    return a2l_fail(run, DW_A2L_BAD_FORMAT, "rule %zu, %s, cannot be read: %s", number,
                    a2l_show(&shown, run->a2l->rules[number - 1].text), why);
}

static enum dw_a2l_code limit(struct a2l_run *run, size_t number, const char *what)
{
    a2l_trace_end(run, DW_A2L_ERROR, "%s", what);
    return a2l_fail(run, DW_A2L_LIMIT, "rule %zu: %s", number, what);
}

static enum dw_a2l_code no_memory(struct a2l_run *run)
{
    a2l_trace_end(run, DW_A2L_ERROR, "out of memory");
    return a2l_fail(run, DW_A2L_FAILED, "out of memory");
}

/* NO_TRANSLATION (the rule does not apply) when the pattern never compiled. */
static enum dw_a2l_code usable(struct a2l_run *run, size_t number, const struct mit_regex *re, size_t subject)
{
    struct a2l_shown shown;
    if (re->oversized)
        return limit(run, number, "a pattern is too large, or repeats too much inside repetitions");
    if (subject > re->subject_most)
        return limit(run, number, "the name is too long for a pattern that refers back to its groups");
    if (re->compiled)
        return DW_A2L_MAPPED;
    a2l_trace_end(run, DW_A2L_NO_MATCH, "the pattern %s does not compile (%s), so the rule never applies",
                  a2l_show(&shown, re->text), re->why);
    return DW_A2L_NO_TRANSLATION;
}

/* The selection string, ended with NUL and, as the library sees a C string, cut at one of the name's own. */
static enum dw_a2l_code select_text(struct a2l_run *run, size_t number, const struct dw_principal *p,
                                    struct dw_buf *selection)
{
    const struct mit_rule *rule = &run->a2l->rules[number - 1].mit;
    int failed = 0;
    if (!rule->bracketed)
        failed = dw_principal_format(p, DW_PRINCIPAL_NO_REALM, DW_SPAN_NONE, selection);
    for (size_t i = 0; i < rule->piece_count && !failed && dw_buf_len(selection) <= DW_A2L_NAME_MAX; i++) {
        const struct mit_piece *piece = &rule->pieces[i];
        failed = dw_buf_put(selection, piece->literal.at ? piece->literal
                                       : piece->part > 0 ? p->components[piece->part - 1]
                                                         : p->realm);
    }
    if (failed || dw_buf_put_u8(selection, '\0') < 0)
        return no_memory(run);
    dw_buf_cut(selection, strlen((const char *)dw_buf_span(selection).at) + 1);
    if (dw_buf_len(selection) > DW_A2L_NAME_MAX)
        return limit(run, number, "the selection string is too long");
    return DW_A2L_MAPPED;
}

static struct dw_span string_of(const struct dw_buf *buf)
{
    return dw_span_make(dw_buf_span(buf).at, dw_buf_len(buf) - 1);
}

static enum dw_a2l_code match(struct a2l_run *run, size_t number, struct dw_span selection)
{
    struct mit_rule *rule = &run->a2l->rules[number - 1].mit;
    struct a2l_shown shown, wanted;
    regmatch_t at;
    if (rule->bad_match)
        return bad_format(run, number, rule->bad_match);
    a2l_trace_pattern(run, rule->match.text);
    enum dw_a2l_code code = usable(run, number, &rule->match, selection.len);
    if (code)
        return code;
    int found = regexec(&rule->match.re, (const char *)selection.at, 1, &at, 0);
    if (found == REG_ESPACE)
        return no_memory(run);
    if (found == 0 && at.rm_so == 0 && (size_t)at.rm_eo == selection.len)
        return DW_A2L_MAPPED;
    a2l_trace_end(run, DW_A2L_NO_MATCH, "%s does not match (%s)%s", a2l_show(&shown, selection),
                  a2l_show(&wanted, rule->match.text), found == 0 ? " from its beginning to its end" : "");
    return DW_A2L_NO_TRANSLATION;
}

/* Replaces `text` (a C string) by its edited copy. */
static enum dw_a2l_code apply(struct a2l_run *run, size_t number, struct mit_edit *edit, struct dw_buf *text)
{
    struct dw_buf made = {0};
    struct dw_a2l_edit told = {.pattern = edit->from.text, .with = edit->with, .global = edit->global};
    const char *at = (const char *)dw_buf_span(text).at;
    struct a2l_shown shown;
    regmatch_t found;
    enum dw_a2l_code code = usable(run, number, &edit->from, dw_buf_len(text) - 1);
    int result = 0;
    while (!code && (result = regexec(&edit->from.re, at, 1, &found, 0)) == 0) {
        if (edit->global && found.rm_eo == 0) {
            a2l_trace_end(run, DW_A2L_ERROR, "the pattern matches nothing at all, again and again, in %s",
                          a2l_show(&shown, dw_span_str(at)));
            code = a2l_fail(run, DW_A2L_ENDLESS,
                            "rule %zu: s/%.*s/../g matches the empty string; MIT's library would never return",
                            number, (int)(edit->from.text.len < 80 ? edit->from.text.len : 80),
                            (const char *)edit->from.text.at);
            break;
        }
        told.count++;
        if (dw_buf_put(&made, dw_span_make(at, (size_t)found.rm_so)) < 0 || dw_buf_put(&made, edit->with) < 0)
            code = no_memory(run);
        else if (dw_buf_len(&made) > DW_A2L_NAME_MAX)
            code = limit(run, number, "a substitution makes the name too long");
        at += found.rm_eo;
        if (!edit->global)
            break;
    }
    if (!code && (result == REG_ESPACE || dw_buf_put(&made, dw_span_make(at, strlen(at) + 1)) < 0))
        code = no_memory(run);
    if (!code && dw_buf_len(&made) > DW_A2L_NAME_MAX)
        code = limit(run, number, "a substitution makes the name too long");
    if (code) {
        dw_buf_free(&made);
        return code;
    }
    told.before = string_of(text);
    told.after = string_of(&made);
    a2l_trace_edit(run, &told);
    dw_buf_free(text);
    *text = made;
    return DW_A2L_MAPPED;
}

static enum dw_a2l_code apply_rule(struct a2l_run *run, size_t number, const struct dw_principal *p,
                                   struct dw_buf *text)
{
    struct mit_rule *rule = &run->a2l->rules[number - 1].mit;
    if (rule->bad_head)
        return bad_format(run, number, rule->bad_head);
    if (rule->bracketed && (size_t)rule->components != p->component_count) {
        a2l_trace_end(run, DW_A2L_SKIPPED, "it is for names of %ld component%s, this one has %zu", rule->components,
                      rule->components == 1 ? "" : "s", p->component_count);
        return DW_A2L_NO_TRANSLATION;
    }
    if (rule->bad_format)
        return bad_format(run, number, rule->bad_format);
    enum dw_a2l_code code = select_text(run, number, p, text);
    if (code)
        return code;
    a2l_trace_selection(run, string_of(text));
    if (rule->has_match && (code = match(run, number, string_of(text))))
        return code;
    for (size_t i = 0; i < rule->edit_count; i++)
        if ((code = apply(run, number, &rule->edits[i], text)))
            return code;
    return rule->bad_tail ? bad_format(run, number, rule->bad_tail) : DW_A2L_MAPPED;
}

static enum dw_a2l_code apply_default(struct a2l_run *run, const struct dw_principal *p, struct dw_buf *text)
{
    struct dw_span realm = run->a2l->default_realm;
    struct a2l_shown shown, home;
    const char *why = NULL;
    if (!realm.at)
        why = "there is no default realm";
    else if (p->component_count > 2)
        why = "DEFAULT is for names of one component";
    else if (p->component_count == 2 && !dw_span_equal(p->components[1], realm))
        why = "DEFAULT takes a second component only if it is the default realm";
    if (!why && dw_span_equal(p->realm, realm)) {
        size_t len = strnlen((const char *)p->components[0].at, p->components[0].len);
        if (dw_buf_put(text, dw_span_make(p->components[0].at, len)) < 0 || dw_buf_put_u8(text, '\0') < 0)
            return no_memory(run);
        return DW_A2L_MAPPED;
    }
    if (why)
        a2l_trace_end(run, DW_A2L_SKIPPED, "%s", why);
    else
        a2l_trace_end(run, DW_A2L_SKIPPED, "the realm %s is not the default realm %s", a2l_show(&shown, p->realm),
                      a2l_show(&home, realm));
    return DW_A2L_NO_TRANSLATION;
}

/* auth_to_local_names: the last entry for the name as printed without its realm. */
static enum dw_a2l_code apply_names(struct a2l_run *run, const struct dw_principal *p, struct dw_buf *user)
{
    struct dw_a2l *a2l = run->a2l;
    struct dw_buf name = {0};
    enum dw_a2l_code code = DW_A2L_NO_TRANSLATION;
    if (a2l->name_count == 0 || !a2l->default_realm.at)
        return code;
    a2l_trace_rule(run, 0, DW_SPAN_OF("auth_to_local_names"), 0);
    if (dw_principal_format(p, DW_PRINCIPAL_NO_REALM, DW_SPAN_NONE, &name) < 0)
        return no_memory(run);
    a2l_trace_selection(run, dw_buf_span(&name));
    for (size_t i = a2l->name_count; i-- > 0 && code == DW_A2L_NO_TRANSLATION;)
        if (dw_span_equal(a2l->names[i].principal, dw_buf_span(&name)))
            code = dw_buf_put(user, a2l->names[i].user) < 0 ? no_memory(run) : DW_A2L_MAPPED;
    if (code == DW_A2L_NO_TRANSLATION)
        a2l_trace_end(run, DW_A2L_NO_MATCH, "no name like this is listed");
    dw_buf_free(&name);
    return code;
}

static enum dw_a2l_code apply_all(struct a2l_run *run, const struct dw_principal *p, struct dw_buf *user)
{
    struct dw_a2l *a2l = run->a2l;
    enum dw_a2l_code code = apply_names(run, p, user);
    for (size_t i = 0; i < a2l->rule_count && code == DW_A2L_NO_TRANSLATION; i++) {
        struct dw_buf text = {0};
        const struct mit_rule *rule = &a2l->rules[i].mit;
        a2l_trace_rule(run, i + 1, a2l->rules[i].text, rule->edit_count);
        code = rule->is_default ? apply_default(run, p, &text) : apply_rule(run, i + 1, p, &text);
        if (code == DW_A2L_MAPPED && dw_buf_put(user, string_of(&text)) < 0)
            code = no_memory(run);
        dw_buf_free(&text);
    }
    return code;
}

enum dw_a2l_code mit_map(struct a2l_run *run, struct dw_span name, struct dw_buf *user)
{
    struct dw_principal p = {0};
    struct dw_error why = {0};
    struct a2l_shown shown;
    size_t before = dw_buf_len(user);
    if (dw_principal_parse(&p, name, run->a2l->default_realm, &why) < 0)
        return a2l_fail(run, DW_A2L_MALFORMED_NAME, "%s", why.detail);
    locale_t locale = enter_c_locale();
    enum dw_a2l_code code = apply_all(run, &p, user);
    uselocale(locale);
    if (code == DW_A2L_NO_TRANSLATION)
        a2l_fail(run, code, "no rule maps %s to a user", a2l_show(&shown, name));
    if (code == DW_A2L_MAPPED) {
        struct dw_span got = dw_buf_span(user);
        a2l_trace_user(run, dw_span_make(got.at + before, got.len - before));
        a2l_trace_end(run, DW_A2L_MATCHED, "maps to %s",
                      a2l_show(&shown, dw_span_make(got.at + before, got.len - before)));
    }
    dw_principal_free(&p);
    return code;
}
