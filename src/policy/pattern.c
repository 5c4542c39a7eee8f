/* Lua's patterns, counted: see pattern.h. */
#include "policy/pattern.h"

#include <ctype.h>

enum { DEPTH = 200 };

static const uint8_t *match(struct dw_pattern *m, const uint8_t *s, const uint8_t *p);

static const uint8_t *wrong(struct dw_pattern *m, const char *sentence)
{
    if (!m->wrong)
        m->wrong = sentence;
    return NULL;
}

static bool weary(struct dw_pattern *m)
{
    return --m->steps < 0;
}

static bool in_class(uint8_t c, uint8_t letter)
{
    bool yes;
    switch (tolower(letter)) {
    case 'a': yes = isalpha(c); break;
    case 'c': yes = iscntrl(c); break;
    case 'd': yes = isdigit(c); break;
    case 'g': yes = isgraph(c); break;
    case 'l': yes = islower(c); break;
    case 'p': yes = ispunct(c); break;
    case 's': yes = isspace(c); break;
    case 'u': yes = isupper(c); break;
    case 'w': yes = isalnum(c); break;
    case 'x': yes = isxdigit(c); break;
    default: return letter == c;
    }
    return isupper(letter) ? !yes : yes;
}

/* Past the single-character class that starts at `p`; NULL when it is malformed. */
static const uint8_t *class_end(struct dw_pattern *m, const uint8_t *p)
{
    uint8_t c = *p++;
    if (c == '%') {
        if (p == m->end)
            return wrong(m, "malformed pattern (ends with '%')");
        return p + 1;
    }
    if (c != '[')
        return p;
    if (p < m->end && *p == '^')
        p++;
    do { /* a ']' that comes first stands for itself */
        if (p == m->end)
            return wrong(m, "malformed pattern (missing ']')");
        if (*p++ == '%') {
            if (p == m->end)
                return wrong(m, "malformed pattern (missing ']')");
            p++;
        }
    } while (p == m->end || *p != ']');
    return p + 1;
}

/* `p` is at '[', `last` at its ']'. */
static bool in_set(struct dw_pattern *m, uint8_t c, const uint8_t *p, const uint8_t *last)
{
    bool yes = true;
    m->steps -= (last - p) / 4;
    if (*++p == '^') {
        yes = false;
        p++;
    }
    for (; p < last; p++) {
        if (*p == '%') {
            if (in_class(c, *++p))
                return yes;
        } else if (p + 2 < last && p[1] == '-') {
            if (*p <= c && c <= p[2])
                return yes;
            p += 2;
        } else if (*p == c) {
            return yes;
        }
    }
    return !yes;
}

/* Whether the character at `s` is in the class from `p` to `after`. */
static bool single(struct dw_pattern *m, const uint8_t *s, const uint8_t *p, const uint8_t *after)
{
    if (s >= m->subject_end)
        return false;
    switch (*p) {
    case '.': return true;
    case '%': return in_class(*s, p[1]);
    case '[': return in_set(m, *s, p, after - 1);
    default: return *p == *s;
    }
}

static const uint8_t *balance(struct dw_pattern *m, const uint8_t *s, const uint8_t *p)
{
    if (m->end - p < 2)
        return wrong(m, "malformed pattern (missing arguments to '%b')");
    if (s >= m->subject_end || *s != p[0])
        return NULL;
    for (int open = 1; ++s < m->subject_end;) {
        if (weary(m))
            return NULL;
        if (*s == p[1]) {
            if (--open == 0)
                return s + 1;
        } else if (*s == p[0]) {
            open++;
        }
    }
    return NULL;
}

static const uint8_t *repeat_most(struct dw_pattern *m, const uint8_t *s, const uint8_t *p, const uint8_t *after)
{
    const uint8_t *at = s;
    while (single(m, at, p, after) && !weary(m))
        at++;
    for (; m->steps >= 0 && !m->wrong; at--) {
        const uint8_t *end = match(m, at, after + 1);
        if (end || at == s)
            return end;
    }
    return NULL;
}

static const uint8_t *repeat_least(struct dw_pattern *m, const uint8_t *s, const uint8_t *p, const uint8_t *after)
{
    for (;; s++) {
        const uint8_t *end = match(m, s, after + 1);
        if (end || m->wrong || weary(m) || !single(m, s, p, after))
            return end;
    }
}

static const uint8_t *open_capture(struct dw_pattern *m, const uint8_t *s, const uint8_t *p, ptrdiff_t what)
{
    if (m->count >= DW_PATTERN_CAPTURES)
        return wrong(m, "too many captures");
    m->captures[m->count++] = (struct dw_capture){s, what};
    const uint8_t *end = match(m, s, p);
    if (!end)
        m->count--;
    return end;
}

static const uint8_t *close_capture(struct dw_pattern *m, const uint8_t *s, const uint8_t *p)
{
    int i = m->count - 1;
    while (i >= 0 && m->captures[i].len != DW_CAPTURE_OPEN)
        i--;
    if (i < 0)
        return wrong(m, "invalid pattern capture");
    m->captures[i].len = s - m->captures[i].at;
    const uint8_t *end = match(m, s, p);
    if (!end)
        m->captures[i].len = DW_CAPTURE_OPEN;
    return end;
}

/* The text of an earlier capture, again. */
static const uint8_t *same_again(struct dw_pattern *m, const uint8_t *s, uint8_t digit)
{
    int i = digit - '1';
    if (i < 0 || i >= m->count || m->captures[i].len == DW_CAPTURE_OPEN)
        return wrong(m, "invalid capture index in the pattern");
    if (m->captures[i].len == DW_CAPTURE_PLACE)
        return NULL;
    size_t len = (size_t)m->captures[i].len;
    m->steps -= (long)(len / 8);
    if ((size_t)(m->subject_end - s) < len || memcmp(m->captures[i].at, s, len) != 0)
        return NULL;
    return s + len;
}

/* %f[set]: between a character outside the set and one inside; both ends count as '\0'. */
static bool frontier(struct dw_pattern *m, const uint8_t *s, const uint8_t *set, const uint8_t *after)
{
    uint8_t before = s == m->subject ? 0 : s[-1], here = s == m->subject_end ? 0 : *s;
    return !in_set(m, before, set, after - 1) && in_set(m, here, set, after - 1);
}

/* Items that stand for one thing are taken in this loop; those that may go two ways recur. */
static const uint8_t *items(struct dw_pattern *m, const uint8_t *s, const uint8_t *p)
{
    while (p < m->end && !m->wrong && !weary(m)) {
        if (*p == '(')
            return p + 1 < m->end && p[1] == ')' ? open_capture(m, s, p + 2, DW_CAPTURE_PLACE)
                                                 : open_capture(m, s, p + 1, DW_CAPTURE_OPEN);
        if (*p == ')')
            return close_capture(m, s, p + 1);
        if (*p == '$' && p + 1 == m->end)
            return s == m->subject_end ? s : NULL;
        if (*p == '%' && p + 1 < m->end && p[1] == 'b') {
            if (!(s = balance(m, s, p + 2)))
                return NULL;
            p += 4;
            continue;
        }
        if (*p == '%' && p + 1 < m->end && p[1] == 'f') {
            p += 2;
            if (p == m->end || *p != '[')
                return wrong(m, "missing '[' after '%f' in the pattern");
            const uint8_t *after = class_end(m, p);
            if (!after || !frontier(m, s, p, after))
                return NULL;
            p = after;
            continue;
        }
        if (*p == '%' && p + 1 < m->end && isdigit(p[1])) {
            if (!(s = same_again(m, s, p[1])))
                return NULL;
            p += 2;
            continue;
        }
        const uint8_t *after = class_end(m, p);
        if (!after)
            return NULL;
        uint8_t suffix = after < m->end ? *after : 0;
        if (suffix == '*')
            return repeat_most(m, s, p, after);
        if (suffix == '-')
            return repeat_least(m, s, p, after);
        bool here = single(m, s, p, after);
        if (suffix == '+')
            return here ? repeat_most(m, s + 1, p, after) : NULL;
        if (suffix == '?') {
            const uint8_t *end = here ? match(m, s + 1, after + 1) : NULL;
            if (end)
                return end;
            p = after + 1;
            continue;
        }
        if (!here)
            return NULL;
        s++;
        p = after;
    }
    return p == m->end && m->steps >= 0 ? s : NULL;
}

static const uint8_t *match(struct dw_pattern *m, const uint8_t *s, const uint8_t *p)
{
    if (m->depth == DEPTH)
        return wrong(m, "pattern too complex");
    m->depth++;
    s = items(m, s, p);
    m->depth--;
    return s;
}

enum dw_pattern_end dw_pattern_find(struct dw_pattern *m, struct dw_span subject, struct dw_span pattern,
                                    size_t from, bool anchored)
{
    m->subject = subject.at;
    m->subject_end = subject.at + subject.len;
    m->end = pattern.at + pattern.len;
    m->wrong = NULL;
    for (const uint8_t *s = subject.at + from;; s++) {
        m->count = m->depth = 0;
        const uint8_t *stop = match(m, s, pattern.at);
        if (m->wrong)
            return DW_PATTERN_BAD;
        if (m->steps < 0)
            return DW_PATTERN_WEARY;
        if (stop) {
            m->start = s;
            m->stop = stop;
            return DW_PATTERN_YES;
        }
        if (anchored || s == m->subject_end)
            return DW_PATTERN_NO;
    }
}

bool dw_pattern_is_plain(struct dw_span pattern)
{
    for (size_t i = 0; i < pattern.len; i++)
        if (pattern.at[i] && strchr("^$*+?.([%-", pattern.at[i]))
            return false;
    return true;
}
