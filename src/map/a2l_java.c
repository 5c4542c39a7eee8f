/* Hadoop's KerberosName and its rules: see a2l.h.  The two mechanisms differ in what they make of a result
 * with '@' or '/' in it, and of a name that no rule takes. */
#include "base/text.h"
#include "map/a2l_engine.h"

#include <stdlib.h>

struct cursor {
    struct dw_span text;
    size_t at;
};

static uint8_t look(const struct cursor *c)
{
    return c->at < c->text.len ? c->text.at[c->at] : 0;
}

static bool take_word(struct cursor *c, struct dw_span word)
{
    if (c->text.len - c->at < word.len || memcmp(c->text.at + c->at, word.at, word.len))
        return false;
    c->at += word.len;
    return true;
}

/* Up to `end`, which is passed over; absent, and nothing taken, when there is none. */
static struct dw_span take_until(struct cursor *c, uint8_t end)
{
    const uint8_t *from = c->text.at + c->at, *found = memchr(from, end, c->text.len - c->at);
    if (!found)
        return DW_SPAN_NONE;
    c->at += (size_t)(found - from) + 1;
    return dw_span_make(from, (size_t)(found - from));
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Integer.parseInt of the digits at the cursor; -1 when there are none, or too many. */
static long take_number(struct cursor *c)
{
    long value = -1;
    for (; is_digit(look(c)); c->at++)
        if (value <= INT32_MAX)
            value = (value < 0 ? 0 : value) * 10 + (look(c) - '0');
    return value > INT32_MAX ? -1 : value;
}

static void take_edit(struct cursor *c, struct java_rule *rule)
{
    struct cursor ahead = *c;
    if (!take_word(&ahead, DW_SPAN_OF("s/")))
        return;
    struct dw_span from = take_until(&ahead, '/');
    struct dw_span with = from.at ? take_until(&ahead, '/') : DW_SPAN_NONE;
    if (!with.at)
        return;
    rule->from_text = from;
    rule->with = with;
    rule->global = take_word(&ahead, DW_SPAN_OF("g"));
    *c = ahead;
}

/* One rule at the cursor, its patterns not yet compiled; false when it is none. */
static bool take_rule(struct cursor *c, struct java_rule *rule)
{
    while (is_space(look(c)))
        c->at++;
    if (take_word(c, DW_SPAN_OF("DEFAULT"))) {
        rule->is_default = true;
    } else {
        if (!take_word(c, DW_SPAN_OF("RULE:[")))
            return false;
        long number = take_number(c);
        if (number < 0 || !take_word(c, DW_SPAN_OF(":")))
            return false;
        rule->components = (int)number;
        rule->format = take_until(c, ']');
        if (!rule->format.at)
            return false;
        struct cursor ahead = *c;
        if (take_word(&ahead, DW_SPAN_OF("("))) {
            rule->match_text = take_until(&ahead, ')');
            if (rule->match_text.at)
                *c = ahead;
        }
        take_edit(c, rule);
    }
    take_word(c, DW_SPAN_OF("/"));
    rule->lower = take_word(c, DW_SPAN_OF("L"));
    return true;
}

static enum dw_a2l_code compile(struct a2l_run *run, struct java_rule *rule, size_t number)
{
    struct dw_error why = {0};
    struct a2l_shown shown;
    struct dw_span failed = rule->match_text;
    if (rule->match_text.at && !(rule->match = dw_java_regex_new(rule->match_text, &why)))
        goto failed;
    failed = rule->from_text;
    if (rule->from_text.at && !(rule->from = dw_java_regex_new(rule->from_text, &why)))
        goto failed;
    return DW_A2L_MAPPED;
failed:
    return a2l_fail(run, DW_A2L_INVALID_REGEX, "rule %zu: the pattern %s does not compile: %s", number,
                    a2l_show(&shown, failed), why.detail);
}

enum dw_a2l_code java_rules_read(struct a2l_run *run, struct dw_span text)
{
    struct dw_a2l *a2l = run->a2l;
    struct a2l_shown shown;
    if (!dw_text_is_utf8(text))
        return a2l_fail(run, DW_A2L_INVALID_RULE, "the rules are not UTF-8");
    while (text.len && text.at[text.len - 1] <= ' ')
        text.len--;
    struct cursor c = {text, 0};
    while (look(&c) && look(&c) <= ' ')
        c.at++;
    while (c.at < text.len) {
        if (a2l->rule_count == DW_A2L_RULES_MAX)
            return a2l_fail(run, DW_A2L_LIMIT, "more than %d rules", DW_A2L_RULES_MAX);
        struct a2l_rule *rules = realloc(a2l->rules, (a2l->rule_count + 1) * sizeof *rules);
        if (!rules)
            return a2l_fail(run, DW_A2L_FAILED, "out of memory");
        a2l->rules = rules;
        struct a2l_rule *rule = &rules[a2l->rule_count];
        *rule = (struct a2l_rule){0};
        size_t start = c.at;
        if (!take_rule(&c, &rule->java)) {
            while (start < text.len && is_space(text.at[start]))
                start++;
            return a2l_fail(run, DW_A2L_INVALID_RULE, "rule %zu cannot be read: %s", a2l->rule_count + 1,
                            a2l_show(&shown, dw_span_make(text.at + start, text.len - start)));
        }
        a2l->rule_count++;
        while (is_space(text.at[start]))
            start++;
        rule->text = dw_span_make(text.at + start, c.at - start);
        enum dw_a2l_code code = compile(run, &rule->java, a2l->rule_count);
        if (code)
            return code;
    }
    return DW_A2L_MAPPED;
}

void java_rule_free(struct java_rule *rule)
{
    dw_java_regex_free(&rule->match);
    dw_java_regex_free(&rule->from);
}

/* A name as KerberosName reads it, quoting unknown: realm, service, host. */
struct java_name {
    struct dw_span parts[3];
    int components;
};

static struct dw_span null_text(void)
{
    return DW_SPAN_OF("null"); /* what Java makes of a realm that is not there */
}

static enum dw_a2l_code read_name(struct a2l_run *run, struct dw_span name, struct java_name *out)
{
    struct a2l_shown shown;
    *out = (struct java_name){.components = 1};
    if (!dw_text_is_utf8(name))
        return a2l_fail(run, DW_A2L_MALFORMED_NAME, "the name %s is not UTF-8", a2l_show(&shown, name));
    const uint8_t *at = name.len ? memchr(name.at, '@', name.len) : NULL;
    size_t len = at ? (size_t)(at - name.at) : name.len;
    const uint8_t *slash = len ? memchr(name.at, '/', len) : NULL;
    struct dw_span realm = at ? dw_span_make(at + 1, name.len - len - 1) : DW_SPAN_NONE;
    struct dw_span service = dw_span_make(name.at, slash ? (size_t)(slash - name.at) : len), host = DW_SPAN_NONE;
    bool wrong = service.len == 0;
    if (slash) {
        host = dw_span_make(slash + 1, len - service.len - 1);
        wrong = wrong || host.len == 0 || memchr(host.at, '/', host.len);
    }
    if (realm.at)
        wrong = wrong || realm.len == 0 || memchr(realm.at, '/', realm.len) || memchr(realm.at, '@', realm.len);
    if (wrong && realm.at)
        return a2l_fail(run, DW_A2L_MALFORMED_NAME,
                        "malformed name %s: Hadoop takes service/host@REALM, no quoting", a2l_show(&shown, name));
    if (wrong) {
        service = name;
        host = DW_SPAN_NONE;
    }
    out->parts[0] = realm;
    out->parts[1] = service;
    out->parts[2] = host;
    out->components = host.at ? 2 : 1;
    return DW_A2L_MAPPED;
}

static enum dw_a2l_code failed(struct a2l_run *run, size_t number, enum dw_a2l_code code, const char *why)
{
    a2l_trace_end(run, DW_A2L_ERROR, "%s; Hadoop stops here", why);
    return a2l_fail(run, code, "rule %zu: %s", number, why);
}

static enum dw_a2l_code expand(struct a2l_run *run, size_t number, const struct java_name *name, struct dw_buf *out)
{
    struct cursor c = {run->a2l->rules[number - 1].java.format, 0};
    while (c.at < c.text.len) {
        if (look(&c) != '$') {
            if (dw_buf_put_u8(out, look(&c)) < 0)
                return failed(run, number, DW_A2L_FAILED, "out of memory");
            c.at++;
            continue;
        }
        c.at++;
        long part = take_number(&c);
        if (part < 0 || part > name->components)
            return failed(run, number, DW_A2L_BAD_FORMAT_STRING,
                          "a '$' of its format is not followed by the number of a component that there is");
        if (dw_buf_put(out, name->parts[part].at ? name->parts[part] : null_text()) < 0)
            return failed(run, number, DW_A2L_FAILED, "out of memory");
        if (dw_buf_len(out) > DW_A2L_NAME_MAX)
            break;
    }
    if (dw_buf_len(out) > DW_A2L_NAME_MAX)
        return failed(run, number, DW_A2L_LIMIT, "the selection string is too long");
    return DW_A2L_MAPPED;
}

/* What the regular expressions say; NO_TRANSLATION when the rule does not apply. */
static enum dw_a2l_code match_and_edit(struct a2l_run *run, size_t number, struct dw_buf *text)
{
    struct java_rule *rule = &run->a2l->rules[number - 1].java;
    struct dw_error why = {0};
    struct a2l_shown shown, wanted;
    if (rule->match) {
        a2l_trace_pattern(run, rule->match_text);
        enum dw_java_result found = dw_java_regex_matches(rule->match, dw_buf_span(text), &why);
        if (found < 0)
            return failed(run, number, DW_A2L_LIMIT, why.detail);
        if (found == DW_JAVA_NO) {
            a2l_trace_end(run, DW_A2L_NO_MATCH, "%s does not match (%s)", a2l_show(&shown, dw_buf_span(text)),
                          a2l_show(&wanted, rule->match_text));
            return DW_A2L_NO_TRANSLATION;
        }
    }
    if (!rule->from)
        return DW_A2L_MAPPED;
    struct dw_buf made = {0};
    struct dw_a2l_edit edit = {.pattern = rule->from_text, .with = rule->with, .global = rule->global};
    enum dw_java_result found = dw_java_regex_replace(rule->from, dw_buf_span(text), rule->with, rule->global,
                                                      DW_A2L_NAME_MAX, &made, &edit.count, &why);
    if (found < 0) {
        dw_buf_free(&made);
        return failed(run, number, found == DW_JAVA_LIMIT ? DW_A2L_LIMIT : DW_A2L_BAD_REPLACEMENT, why.detail);
    }
    edit.before = dw_buf_span(text);
    edit.after = dw_buf_span(&made);
    a2l_trace_edit(run, &edit);
    dw_buf_free(text);
    *text = made;
    return DW_A2L_MAPPED;
}

static bool is_simple(struct dw_span user)
{
    return !user.len || (!memchr(user.at, '/', user.len) && !memchr(user.at, '@', user.len));
}

static enum dw_a2l_code finish(struct a2l_run *run, size_t number, struct dw_buf *text)
{
    struct java_rule *rule = &run->a2l->rules[number - 1].java;
    struct dw_error why = {0};
    struct a2l_shown shown;
    if (run->a2l->dialect == DW_A2L_HADOOP && !is_simple(dw_buf_span(text))) {
        char told[300];
        snprintf(told, sizeof told, "its result %s is no simple name, it holds '@' or '/'",
                 a2l_show(&shown, dw_buf_span(text)));
        return failed(run, number, DW_A2L_NO_MATCHING_RULE, told);
    }
    if (!rule->lower || rule->is_default)
        return DW_A2L_MAPPED;
    struct dw_buf made = {0};
    if (dw_java_lower(dw_buf_span(text), &made, &why) < 0) {
        dw_buf_free(&made);
        return failed(run, number, DW_A2L_FAILED, why.detail);
    }
    dw_buf_free(text);
    *text = made;
    return DW_A2L_MAPPED;
}

static enum dw_a2l_code apply_rule(struct a2l_run *run, size_t number, const struct java_name *name,
                                   struct dw_buf *text)
{
    const struct java_rule *rule = &run->a2l->rules[number - 1].java;
    struct dw_span realm = run->a2l->default_realm;
    struct a2l_shown shown, home;
    enum dw_a2l_code code;
    if (rule->is_default) {
        if (!name->parts[0].at || !realm.at || !dw_span_equal(name->parts[0], realm)) {
            a2l_trace_end(run, DW_A2L_SKIPPED, "the realm %s is not the default realm %s",
                          name->parts[0].at ? a2l_show(&shown, name->parts[0]) : "(none)",
                          realm.at ? a2l_show(&home, realm) : "(none)");
            return DW_A2L_NO_TRANSLATION;
        }
        if (dw_buf_put(text, name->parts[1]) < 0)
            return failed(run, number, DW_A2L_FAILED, "out of memory");
        return finish(run, number, text);
    }
    if (rule->components != name->components) {
        a2l_trace_end(run, DW_A2L_SKIPPED, "it is for names of %d component%s, this one has %d", rule->components,
                      rule->components == 1 ? "" : "s", name->components);
        return DW_A2L_NO_TRANSLATION;
    }
    if ((code = expand(run, number, name, text)))
        return code;
    a2l_trace_selection(run, dw_buf_span(text));
    if ((code = match_and_edit(run, number, text)))
        return code;
    return finish(run, number, text);
}

static enum dw_a2l_code give(struct a2l_run *run, struct dw_span got, struct dw_buf *user, const char *how)
{
    struct a2l_shown shown;
    if (dw_buf_put(user, got) < 0)
        return a2l_fail(run, DW_A2L_FAILED, "out of memory");
    a2l_trace_user(run, got);
    a2l_trace_end(run, DW_A2L_MATCHED, "%s%s", how, a2l_show(&shown, got));
    return DW_A2L_MAPPED;
}

enum dw_a2l_code java_map(struct a2l_run *run, struct dw_span text, struct dw_buf *user)
{
    struct dw_a2l *a2l = run->a2l;
    struct java_name name;
    struct a2l_shown shown;
    enum dw_a2l_code code = read_name(run, text, &name);
    if (code)
        return code;
    if (!name.parts[0].at && name.components == 1) {
        a2l_trace_rule(run, 0, DW_SPAN_OF("(no rule)"), 0);
        return give(run, name.parts[1], user, "a name without a realm is taken as it is: ");
    }
    for (size_t i = 0; i < a2l->rule_count; i++) {
        struct dw_buf made = {0};
        a2l_trace_rule(run, i + 1, a2l->rules[i].text, 1);
        code = apply_rule(run, i + 1, &name, &made);
        if (code == DW_A2L_MAPPED)
            code = give(run, dw_buf_span(&made), user, "maps to ");
        dw_buf_free(&made);
        if (code != DW_A2L_NO_TRANSLATION)
            return code;
    }
    if (a2l->dialect == DW_A2L_HADOOP)
        return a2l_fail(run, DW_A2L_NO_MATCHING_RULE, "no rule maps %s to a user", a2l_show(&shown, text));
    a2l_trace_rule(run, 0, DW_SPAN_OF("(no rule)"), 0);
    return give(run, text, user, "no rule applies, so the whole name is the user: ");
}
