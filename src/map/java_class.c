/* Sets of characters as Java reads them - unions, intersections, properties - for PCRE2: see java_parse.h.
 *
 * A plain set stays one; others become an alternation or a lookahead that still matches one code point. */
#include "map/java_parse.h"

#include <strings.h>

/* A set under construction: what is known so far, and members not yet added to it. */
struct set {
    struct dw_buf whole; /* matches one code point; empty: nothing yet */
    struct dw_buf members; /* between brackets */
};

static void put_buf(struct java_parse *p, struct dw_buf *out, const struct dw_buf *text)
{
    if (dw_buf_put(out, dw_buf_span(text)) < 0)
        java_wrong(p, "out of memory");
}

/* whole = before + whole + between + other + after */
static void wrap(struct java_parse *p, struct dw_buf *whole, const char *before, const char *between,
                 const struct dw_buf *other, const char *after)
{
    struct dw_buf made = {0};
    java_put(p, &made, before);
    put_buf(p, &made, whole);
    java_put(p, &made, between);
    if (other)
        put_buf(p, &made, other);
    java_put(p, &made, after);
    dw_buf_free(whole);
    *whole = made;
}

static void unite(struct java_parse *p, struct dw_buf *whole, const struct dw_buf *other)
{
    if (dw_buf_len(whole) == 0)
        put_buf(p, whole, other);
    else
        wrap(p, whole, "(?:", "|", other, ")");
}

static void fold_members(struct java_parse *p, struct set *set)
{
    if (dw_buf_len(&set->members) == 0)
        return;
    wrap(p, &set->members, "[", "]", NULL, "");
    unite(p, &set->whole, &set->members);
    dw_buf_cut(&set->members, 0);
}

static void put_range(struct java_parse *p, struct dw_buf *out, uint32_t from, uint32_t to)
{
    java_put_point(p, out, from);
    if (to != from) {
        if (from < 0xd800 && to > 0xdfff) { /* PCRE2 has no surrogates to range over */
            java_put(p, out, "-\\x{d7ff}\\x{e000}-");
            java_put_point(p, out, to);
        } else {
            java_put(p, out, "-");
            java_put_point(p, out, to);
        }
    }
    if (!(p->flags & FLAG_CASELESS))
        return;
    for (uint32_t c = 'a'; c <= 'z'; c++) {
        bool lower = c >= from && c <= to, upper = c - 32 >= from && c - 32 <= to;
        if (lower != upper)
            java_put_point(p, out, lower ? c - 32 : c);
    }
}

static const char *ascii_property(const char *name, bool caseless)
{
    static const char *const table[][2] = {
        {"Lower", "a-z"},
        {"Upper", "A-Z"},
        {"ASCII", "\\x00-\\x7f"},
        {"Alpha", "a-zA-Z"},
        {"Digit", "0-9"},
        {"Alnum", "a-zA-Z0-9"},
        {"Punct", "!-\\/:-@\\[-`{-~"},
        {"Graph", "!-~"},
        {"Print", " -~"},
        {"Blank", " \\t"},
        {"Cntrl", "\\x00-\\x1f\\x7f"},
        {"XDigit", "0-9a-fA-F"},
        {"Space", " \\t\\n\\x0b\\f\\r"},
        {"L1", "\\x00-\\x{ff}"},
        {"LD", "\\p{L}\\p{Nd}"},
    };
    if (caseless && (!strcmp(name, "Lower") || !strcmp(name, "Upper")))
        name = "Alpha";
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(name, table[i][0]))
            return table[i][1];
    return NULL;
}

/* A general category, which PCRE2 calls the same. */
static const char *category(const char *name, bool caseless)
{
    static const char list[] =
        " Cn Lu Ll Lt Lm Lo Mn Me Mc Nd Nl No Zs Zl Zp Cc Cf Co Pd Ps Pe Pc Po Sm Sc Sk So Pi "
        "Pf L M N Z C P S ";
    char word[8];
    if (!strcmp(name, "LC") || (caseless && (!strcmp(name, "Lu") || !strcmp(name, "Ll") || !strcmp(name, "Lt"))))
        return "L&";
    if (strlen(name) > 2)
        return NULL;
    word[0] = ' ';
    memcpy(word + 1, name, strlen(name));
    memcpy(word + 1 + strlen(name), " ", 2);
    return strstr(list, word) ? name : NULL;
}

/* "" when it is known but changes under (?i) in a way that PCRE2 does not. */
static const char *unicode_property(const char *name, bool caseless)
{
    enum { FIRST_CASED = 8 };
    static const char *const table[][2] = {
        {"Alphabetic", "Alphabetic"},
        {"Letter", "L"},
        {"Digit", "Nd"},
        {"Ideographic", "Ideographic"},
        {"Punctuation", "P"},
        {"Control", "Cc"},
        {"White_Space", "White_Space"},
        {"WhiteSpace", "White_Space"},
        {"Lowercase", "Lowercase"},
        {"Uppercase", "Uppercase"},
        {"Titlecase", "Lt"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcasecmp(name, table[i][0]))
            continue;
        return i >= FIRST_CASED && caseless ? "" : table[i][1];
    }
    return NULL;
}

static int property_name(struct java_parse *p, char name[48])
{
    size_t len = 0;
    bool braced = java_peek(p) == '{';
    p->pos += braced;
    while (p->pos < p->len && (braced ? p->at[p->pos] != '}' : len == 0)) {
        uint32_t c = p->at[p->pos++];
        if (c >= 0x80 || len == 47)
            return java_wrong(p, "an unknown character property");
        name[len++] = (char)c;
    }
    name[len] = '\0';
    if (braced && java_peek(p) != '}')
        return java_wrong(p, "an unclosed \\p{");
    p->pos += braced;
    return len ? 0 : java_wrong(p, "\\p without a property");
}

void java_property(struct java_parse *p, struct dw_buf *out, bool not, bool *bare)
{
    char name[48];
    bool caseless = p->flags & FLAG_CASELESS, is = false;
    const char *word = name, *pcre;
    *bare = true;
    if (property_name(p, name) < 0)
        return;
    if (!strncasecmp(name, "gc=", 3) || !strncasecmp(name, "general_category=", 17))
        word = strchr(name, '=') + 1;
    else if ((is = !strncmp(name, "Is", 2)))
        word = name + 2;
    if (is && (pcre = unicode_property(word, caseless))) {
        if (!*pcre)
            java_wrong(p, "a property of letter case under (?i) is not supported here");
        goto found;
    }
    const char *members = ascii_property(word, caseless);
    if (members && not ) {
        *bare = false;
        java_put(p, out, "[^");
        java_put(p, out, members);
        java_put(p, out, "]");
        return;
    }
    if (members) {
        java_put(p, out, members);
        return;
    }
    if ((pcre = category(word, caseless)))
        goto found;
    bool letters = is && word[0];
    for (const char *at = word; *at; at++)
        letters = letters && ((*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || *at == '_');
    if (!letters) {
        java_wrong(p, "a character property that is unknown, or not supported here");
        return;
    }
    java_put(p, out, not ? "\\P{sc:" : "\\p{sc:");
    java_put(p, out, word);
    java_put(p, out, "}");
    return;
found:
    java_put(p, out, not ? "\\P{" : "\\p{");
    java_put(p, out, pcre);
    java_put(p, out, "}");
}

/* \d and its like stand in a PCRE2 set as they are. */
static bool shorthand(struct java_parse *p, struct set *set)
{
    uint32_t c = java_peek(p);
    if (c == 0 || c >= 128 || !strchr("dDwWsShHvV", (int)c))
        return false;
    if (c == 'v' && p->pos + 1 < p->len && p->at[p->pos + 1] == '-')
        return false;
    p->pos++;
    java_put(p, &set->members, (char[]){'\\', (char)c, 0});
    return true;
}

static long point_in_set(struct java_parse *p)
{
    if (java_peek(p) != '\\')
        return (long)(p->at[p->pos++] & ~QUOTED);
    p->pos++;
    if (java_peek(p) == 'v')
        return p->pos++, '\v';
    long point = java_escaped_point(p);
    return point >= 0 ? point : java_wrong(p, "an escape that cannot stand in a set");
}

static void member(struct java_parse *p, struct set *set)
{
    if (p->at[p->pos] == '\\' && p->pos + 1 < p->len) {
        uint32_t c = p->at[p->pos + 1];
        p->pos++;
        if (shorthand(p, set))
            return;
        if (c == 'p' || c == 'P') {
            struct dw_buf made = {0};
            bool bare;
            p->pos++;
            java_property(p, &made, c == 'P', &bare);
            if (bare)
                put_buf(p, &set->members, &made);
            else
                unite(p, &set->whole, &made);
            dw_buf_free(&made);
            return;
        }
        p->pos--;
    }
    long from = point_in_set(p), to = from;
    uint32_t after = p->pos + 1 < p->len ? p->at[p->pos + 1] : 0;
    if (from < 0)
        return;
    if (java_peek(p) == '-' && after != '[' && after != ']') {
        p->pos++;
        if (p->pos == p->len || (to = point_in_set(p)) < from) {
            java_wrong(p, "a range in a set that runs backwards");
            return;
        }
    }
    put_range(p, &set->members, (uint32_t)from, (uint32_t)to);
}

static void read_set(struct java_parse *p, struct dw_buf *out, bool bracketed);

/* What stands right of "&&": sets side by side, or bare members up to the end. */
static void intersect(struct java_parse *p, struct set *set)
{
    struct dw_buf right = {0};
    while (p->pos < p->len && p->at[p->pos] != ']' && p->at[p->pos] != '&') {
        struct dw_buf made = {0};
        read_set(p, &made, p->at[p->pos] == '[');
        unite(p, &right, &made);
        dw_buf_free(&made);
    }
    fold_members(p, set);
    uint32_t c = java_peek(p), next = p->pos + 1 < p->len ? p->at[p->pos + 1] : 0;
    if (dw_buf_len(&right) == 0 || (c != ']' && !(c == '&' && next == '&')))
        java_wrong(p, p->pos < p->len ? "an intersection like this one is not supported here" : "an unclosed set");
    else if (dw_buf_len(&set->whole) == 0)
        put_buf(p, &set->whole, &right);
    else
        wrap(p, &set->whole, "(?:(?=", ")", &right, ")");
    dw_buf_free(&right);
}

/* Leaves the closing bracket when the set is the bare right side of an intersection. */
static void read_set(struct java_parse *p, struct dw_buf *out, bool bracketed)
{
    struct set set = {0};
    bool negated = false, closed = false;
    p->pos += bracketed;
    if (++p->depth > DEPTH_MAX)
        java_wrong(p, "sets nested too deeply");
    if (bracketed && java_peek(p) == '^') {
        negated = true;
        p->pos++;
    }
    while (p->pos < p->len && !closed) {
        uint32_t c = p->at[p->pos], next = p->pos + 1 < p->len ? p->at[p->pos + 1] : 0;
        bool empty = dw_buf_len(&set.whole) == 0 && dw_buf_len(&set.members) == 0;
        if (c == '[') {
            struct dw_buf made = {0};
            read_set(p, &made, true);
            unite(p, &set.whole, &made);
            dw_buf_free(&made);
        } else if (c == '&' && next == '&') {
            p->pos += 2;
            intersect(p, &set);
        } else if (c == ']' && !empty) {
            closed = true;
        } else {
            member(p, &set);
        }
    }
    p->depth--;
    if (!closed) {
        java_wrong(p, "an unclosed set");
    } else {
        p->pos += bracketed;
        if (negated && dw_buf_len(&set.whole) == 0) {
            wrap(p, &set.members, "[^", "]", NULL, "");
            put_buf(p, &set.whole, &set.members);
        } else {
            fold_members(p, &set);
            if (negated)
                wrap(p, &set.whole, "(?:(?!", ")[\\s\\S])", NULL, "");
        }
        put_buf(p, out, &set.whole);
    }
    dw_buf_free(&set.whole);
    dw_buf_free(&set.members);
}

void java_set(struct java_parse *p, struct dw_buf *out)
{
    read_set(p, out, true);
}
