/* Traps that show when made-up names are mapped: two that become one user, realms that do not matter, root,
 * and quoted characters that get past a rule.  The names are made of a few common ones and of the words that
 * the patterns themselves hold. */
#include "map/a2l_lint.h"

#include <stdlib.h>

enum { USERS = 10, INSTANCES = 6, REALMS = 5, WORD_MOST = 60, MAPPINGS_MOST = 60000 };

struct words {
    char list[USERS][WORD_MOST + 1];
    size_t count, most;
};

struct outcome {
    char name[4 * WORD_MOST], user[4 * WORD_MOST];
    size_t rule, person; /* names of one person: the same user word and instance */
    size_t realm;
};

struct probe {
    struct dw_a2l *a2l;
    struct dw_a2l_findings *findings;
    struct words users, instances, realms;
    struct outcome *outcomes;
    size_t count;
};

static void add_word(struct words *words, const char *text, size_t len)
{
    if (len == 0 || len > WORD_MOST || words->count == words->most)
        return;
    for (size_t i = 0; i < words->count; i++)
        if (strlen(words->list[i]) == len && !memcmp(words->list[i], text, len))
            return;
    memcpy(words->list[words->count], text, len);
    words->list[words->count++][len] = '\0';
}

/* The runs of plain letters of a pattern: with a dot and in capitals they may be realms, else names. */
static void add_words_of(struct probe *p, struct dw_span pattern)
{
    char word[WORD_MOST + 1];
    size_t len = 0;
    bool dotted = false, lower = false;
    for (size_t i = 0; i <= pattern.len; i++) {
        uint8_t c = i < pattern.len ? pattern.at[i] : 0, next = i + 1 < pattern.len ? pattern.at[i + 1] : 0;
        bool letter =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        bool dot = len && ((c == '\\' && next == '.') || (c == '.' && next != '*' && next != '+' && next));
        if ((letter || dot) && len < WORD_MOST) {
            word[len++] = dot ? '.' : (char)c;
            dotted |= dot;
            lower |= c >= 'a' && c <= 'z';
            i += c == '\\';
            continue;
        }
        if (dotted && !lower)
            add_word(&p->realms, word, len);
        else if (len > 1 && !dotted) {
            add_word(&p->users, word, len);
            add_word(&p->instances, word, len);
        }
        len = 0;
        dotted = lower = false;
        i += c == '\\';
    }
}

static void gather(struct probe *p)
{
    static const char *const users[] = {"alice", "root"}, *const instances[] = {"", "admin", "root"};
    struct dw_a2l *a2l = p->a2l;
    p->users.most = USERS;
    p->instances.most = INSTANCES;
    p->realms.most = REALMS;
    if (a2l->default_realm.at && a2l->default_realm.len)
        add_word(&p->realms, (const char *)a2l->default_realm.at, a2l->default_realm.len);
    add_word(&p->realms, "OTHER.TEST", 10);
    for (size_t i = 0; i < 2; i++)
        add_word(&p->users, users[i], strlen(users[i]));
    p->instances.count = 1; /* none */
    for (size_t i = 1; i < 3; i++)
        add_word(&p->instances, instances[i], strlen(instances[i]));
    for (size_t i = 0; i < a2l->rule_count; i++)
        add_words_of(p, a2l->dialect == DW_A2L_MIT ? a2l->rules[i].mit.match.text : a2l->rules[i].java.match_text);
    while (p->users.count * p->instances.count * p->realms.count * (a2l->rule_count + 1) > MAPPINGS_MOST) {
        struct words *longest = p->users.count > 3 ? &p->users : p->realms.count > 2 ? &p->realms : &p->instances;
        if (longest->count <= 2)
            break;
        longest->count--;
    }
}

/* Whether a finding of this kind about this rule was made already. */
static bool is_known(const struct dw_a2l_findings *findings, size_t rule, const char *kind)
{
    for (size_t i = 0; i < findings->count; i++)
        if (findings->list[i].rule == rule && dw_span_equal(findings->list[i].kind, dw_span_str(kind)))
            return true;
    return false;
}

/* The rule that decided, its user in `user`; 0 when none did. */
static size_t try_name(struct probe *p, const char *name, struct dw_buf *user)
{
    struct dw_a2l_report report = {0};
    struct dw_error err = {0};
    size_t rule = 0;
    dw_buf_clear(user, 4096);
    enum dw_a2l_code code = dw_a2l_map(p->a2l, dw_span_str(name), user, &report, &err);
    const struct dw_a2l_step *last = report.count && !report.incomplete ? &report.steps[report.count - 1] : NULL;
    if (code == DW_A2L_MAPPED && last)
        rule = last->rule;
    bool serious = code == DW_A2L_BAD_FORMAT_STRING || code == DW_A2L_BAD_REPLACEMENT || code == DW_A2L_LIMIT ||
                   (code == DW_A2L_NO_MATCHING_RULE && last && last->outcome == DW_A2L_ERROR);
    if (serious && last && last->rule && !is_known(p->findings, last->rule, "error"))
        a2l_found(p->findings, last->rule, "error", "%s ends in an error: %s", name, err.detail);
    if (code == DW_A2L_ENDLESS && last && !is_known(p->findings, last->rule, "endless"))
        a2l_found(p->findings, last->rule, "endless", "%s ends in an error: %s", name, err.detail);
    dw_a2l_report_free(&report);
    return rule;
}

static bool is_default(const struct probe *p, size_t rule)
{
    const struct a2l_rule *r = &p->a2l->rules[rule - 1];
    return p->a2l->dialect == DW_A2L_MIT ? r->mit.is_default : r->java.is_default;
}

static void note_root(struct probe *p, const struct outcome *o)
{
    if (strcmp(o->user, "root") || is_default(p, o->rule) || is_known(p->findings, o->rule, "root"))
        return;
    a2l_found(p->findings, o->rule, "root", "%s becomes root", o->name);
}

static void map_plain(struct probe *p, struct dw_buf *user)
{
    for (size_t u = 0; u < p->users.count; u++) {
        for (size_t i = 0; i < p->instances.count; i++) {
            for (size_t r = 0; r < p->realms.count; r++) {
                struct outcome *o = &p->outcomes[p->count];
                const char *instance = p->instances.list[i];
                snprintf(o->name, sizeof o->name, "%s%s%s@%s", p->users.list[u], *instance ? "/" : "", instance,
                         p->realms.list[r]);
                o->rule = try_name(p, o->name, user);
                o->person = u * INSTANCES + i;
                o->realm = r;
                snprintf(o->user, sizeof o->user, "%.*s", (int)dw_buf_len(user),
                         (const char *)dw_buf_span(user).at);
                if (!o->rule)
                    continue;
                note_root(p, o);
                p->count++;
            }
        }
    }
}

static int by_user(const void *a, const void *b)
{
    const struct outcome *left = a, *right = b;
    int order = strcmp(left->user, right->user);
    if (!order)
        order = (left->rule > right->rule) - (left->rule < right->rule);
    return order ? order : strcmp(left->name, right->name);
}

static void note_collision(struct probe *p, const struct outcome *a, const struct outcome *b)
{
    const struct outcome *later = a->rule > b->rule ? a : b, *other = later == a ? b : a;
    bool realm_only = a->person == b->person && a->rule == b->rule;
    const char *kind = realm_only ? "any-realm" : "collision";
    if (is_known(p->findings, later->rule, kind))
        return;
    if (realm_only)
        a2l_found(p->findings, later->rule, kind, "the realm does not matter to it: %s and %s both become %s",
                  a->name, b->name, a->user);
    else
        a2l_found(p->findings, later->rule, kind, "%s becomes %s, and so does %s (rule %zu)", later->name,
                  later->user, other->name, other->rule);
}

static void find_collisions(struct probe *p)
{
    if (p->count > 1)
        qsort(p->outcomes, p->count, sizeof *p->outcomes, by_user);
    for (size_t from = 0, to; from < p->count; from = to) {
        for (to = from + 1; to < p->count && !strcmp(p->outcomes[to].user, p->outcomes[from].user); to++)
            note_collision(p, &p->outcomes[from], &p->outcomes[to]);
        for (size_t i = from; i + 1 < to; i++) /* neighbours of one rule: the realm that does not matter */
            if (p->outcomes[i].rule == p->outcomes[i + 1].rule)
                note_collision(p, &p->outcomes[i], &p->outcomes[i + 1]);
    }
}

static bool has_any(struct dw_span text, const char *characters)
{
    for (size_t i = 0; i < text.len; i++)
        if (strchr(characters, text.at[i]))
            return true;
    return false;
}

/* alice\@x@REALM and its like: one component that looks like more. */
static void map_quoted(struct probe *p, struct dw_buf *user)
{
    static const struct {
        const char *tail, *kind, *what;
    } traps[] = {
        {"\\@x", "quoted", "a quoted '@'"},
        {"\\/x", "quoted", "a quoted '/'"},
        {"\\0x", "nul", "a quoted NUL, at which MIT's library cuts the name,"},
    };
    for (size_t u = 0; u < p->users.count; u++) {
        for (size_t t = 0; t < 3; t++) {
            for (size_t r = 0; r < p->realms.count; r++) {
                char name[4 * WORD_MOST];
                struct a2l_shown shown;
                snprintf(name, sizeof name, "%s%s@%s", p->users.list[u], traps[t].tail, p->realms.list[r]);
                size_t rule = try_name(p, name, user);
                struct dw_span got = dw_buf_span(user);
                bool caught = dw_span_equal(got, dw_span_str(p->users.list[u])) || has_any(got, "@/\\");
                if (!rule || is_default(p, rule) || !caught || is_known(p->findings, rule, traps[t].kind))
                    continue;
                a2l_found(p->findings, rule, traps[t].kind, "%s gets past it: %s becomes %s", traps[t].what, name,
                          a2l_show(&shown, got));
            }
        }
    }
}

void a2l_probe(struct dw_a2l *a2l, struct dw_a2l_findings *findings)
{
    struct dw_buf user = {0};
    struct probe *p = calloc(1, sizeof *p);
    if (!p || !(p->outcomes = calloc(USERS * INSTANCES * REALMS, sizeof *p->outcomes))) {
        findings->notes.incomplete = true;
        free(p);
        return;
    }
    p->a2l = a2l;
    p->findings = findings;
    gather(p);
    map_plain(p, &user);
    find_collisions(p);
    if (a2l->dialect == DW_A2L_MIT)
        map_quoted(p, &user);
    dw_buf_free(&user);
    free(p->outcomes);
    free(p);
}
