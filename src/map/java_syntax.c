/* Java's regular expressions for PCRE2: see java_syntax.h.  Sets stand in java_class.c. */
#include "map/java_parse.h"

#include <stdlib.h>

#define LINE_ENDS "\\n\\r\\x{85}\\x{2028}\\x{2029}"
#define WORD "[\\p{L}\\p{Nd}_]"

int java_wrong(struct java_parse *p, const char *why)
{
    if (!p->wrong)
        p->wrong = why;
    p->pos = p->len;
    return -1;
}

void java_put(struct java_parse *p, struct dw_buf *out, const char *text)
{
    if (dw_buf_put(out, dw_span_str(text)) < 0)
        java_wrong(p, "out of memory");
}

static bool is_alnum(uint32_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_letter(uint32_t c)
{
    return is_alnum(c) && c > '9';
}

static bool is_digit(uint32_t c)
{
    return c >= '0' && c <= '9';
}

void java_put_point(struct java_parse *p, struct dw_buf *out, uint32_t point)
{
    point &= ~QUOTED;
    if (point >= 0xd800 && point <= 0xdfff)
        java_wrong(p, "half a surrogate pair cannot stand in UTF-8");
    else if (dw_buf_printf(out, is_alnum(point) ? "%c" : "\\x{%x}", point) < 0)
        java_wrong(p, "out of memory");
}

static int hex_value(uint32_t c)
{
    if (is_digit(c))
        return (int)c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? (int)c - 'a' + 10 : -1;
}

static long hex_digits(struct java_parse *p, int count)
{
    long value = 0;
    for (int i = 0; i < count; i++, p->pos++) {
        int digit = hex_value(java_peek(p));
        if (digit < 0)
            return java_wrong(p, "a hexadecimal escape without its digits");
        value = value * 16 + digit;
    }
    return value;
}

static long hex_escape(struct java_parse *p)
{
    if (java_peek(p) != '{')
        return hex_digits(p, 2);
    p->pos++;
    if (hex_value(java_peek(p)) < 0)
        return java_wrong(p, "a hexadecimal escape without its digits");
    long value = 0;
    for (; hex_value(java_peek(p)) >= 0; p->pos++)
        if ((value = value * 16 + hex_value(java_peek(p))) > 0x10ffff)
            return java_wrong(p, "a hexadecimal escape beyond U+10FFFF");
    if (java_peek(p) != '}')
        return java_wrong(p, "an unclosed \\x{");
    p->pos++;
    return value;
}

static long unicode_escape(struct java_parse *p)
{
    long high = hex_digits(p, 4);
    if (high < 0xd800 || high > 0xdbff || p->pos + 1 >= p->len || p->at[p->pos] != '\\' || p->at[p->pos + 1] != 'u')
        return high;
    p->pos += 2;
    long low = hex_digits(p, 4);
    return low < 0xdc00 || low > 0xdfff ? high : 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

static long octal_escape(struct java_parse *p)
{
    long value = 0;
    int digits = 0;
    while (digits < 3 && java_peek(p) >= '0' && java_peek(p) <= '7' && value * 8 + 7 <= 0377 + 7) {
        long next = value * 8 + (long)(java_peek(p) - '0');
        if (next > 0377)
            break;
        value = next;
        digits++;
        p->pos++;
    }
    return digits ? value : java_wrong(p, "\\0 without an octal digit");
}

long java_escaped_point(struct java_parse *p)
{
    uint32_t c = java_peek(p);
    if (p->pos == p->len)
        return java_wrong(p, "a backslash at the end");
    if (c & QUOTED || (!is_letter(c) && !is_digit(c))) {
        p->pos++;
        return (long)(c & ~QUOTED);
    }
    static const char plain[] = "t\tn\nr\rf\fa\ae\033";
    for (const char *at = plain; *at; at += 2)
        if (c == (uint32_t)at[0])
            return p->pos++, at[1];
    switch (c) {
    case '0': return p->pos++, octal_escape(p);
    case 'x': return p->pos++, hex_escape(p);
    case 'u': return p->pos++, unicode_escape(p);
    case 'c':
        if (++p->pos >= p->len)
            return java_wrong(p, "\\c without a character");
        return (long)((p->at[p->pos++] & ~QUOTED) ^ 64);
    default: return -1;
    }
}

static void literal(struct java_parse *p, uint32_t point)
{
    struct dw_buf *out = &p->pattern->pcre;
    point &= ~QUOTED;
    if ((p->flags & FLAG_CASELESS) && is_letter(point)) {
        char both[] = {'[', (char)(point & ~0x20u), (char)(point | 0x20u), ']', 0};
        java_put(p, out, both);
    } else {
        java_put_point(p, out, point);
    }
}

/* Before the end, or before a line's end that ends the text. */
static const char *dollar(unsigned flags, bool multiline)
{
    if (flags & FLAG_UNIX_LINES)
        return multiline ? "(?:(?=\\n|\\z))" : "(?:(?=\\n?\\z))";
    if (multiline)
        return "(?:(?=\\z|(?<!\\r)\\n|[\\r\\x{85}\\x{2028}\\x{2029}]))";
    return "(?:(?=\\z|\\r\\n\\z|(?<!\\r)\\n\\z|[\\r\\x{85}\\x{2028}\\x{2029}]\\z))";
}

static const char *caret(unsigned flags)
{
    if (!(flags & FLAG_MULTILINE))
        return "(?:\\A)";
    if (flags & FLAG_UNIX_LINES)
        return "(?:(?!\\z)(?:\\A|(?<=\\n)))";
    return "(?:(?!\\z)(?:\\A|(?<=[\\n\\x{85}\\x{2028}\\x{2029}])|(?<=\\r)(?!\\n)))";
}

static const char *dot(unsigned flags)
{
    if (flags & FLAG_DOTALL)
        return "[\\s\\S]";
    return flags & FLAG_UNIX_LINES ? "[^\\n]" : "[^" LINE_ENDS "]";
}

static void reference(struct java_parse *p, size_t number)
{
    struct dw_buf *out = &p->pattern->pcre;
    if (number > p->total)
        java_put(p, out, "(?:(?!))"); /* to a group that there is not: matches nothing */
    else if (dw_buf_printf(out, p->flags & FLAG_CASELESS ? "(?i:\\g{%zu})" : "\\g{%zu}", number) < 0)
        java_wrong(p, "out of memory");
}

/* The first digit always counts, the next only while such a group has been opened. */
static void numbered_reference(struct java_parse *p)
{
    size_t number = java_peek(p) - '0';
    p->pos++;
    while (is_digit(java_peek(p)) && number * 10 + (java_peek(p) - '0') <= p->pattern->groups) {
        number = number * 10 + (java_peek(p) - '0');
        p->pos++;
    }
    reference(p, number);
}

/* Reads a group's name and its '>' into `name`. */
static int group_name(struct java_parse *p, char name[64])
{
    size_t len = 0;
    if (!is_letter(java_peek(p)))
        return java_wrong(p, "a group name that does not begin with a Latin letter");
    for (; is_alnum(java_peek(p)); p->pos++) {
        if (len == 63)
            return java_wrong(p, "a group name of more than 63 letters (not supported here)");
        name[len++] = (char)java_peek(p);
    }
    name[len] = '\0';
    if (java_peek(p) != '>')
        return java_wrong(p, "a group name without its '>'");
    p->pos++;
    return 0;
}

static const struct dw_java_group *find_group(const struct dw_java_pattern *pattern, const char *name)
{
    for (size_t i = 0; i < pattern->name_count; i++)
        if (!strcmp(pattern->names[i].name, name))
            return &pattern->names[i];
    return NULL;
}

static void named_reference(struct java_parse *p)
{
    char name[64];
    p->pos++;
    if (java_peek(p) != '<') {
        java_wrong(p, "\\k without '<' and a group's name");
        return;
    }
    p->pos++;
    if (group_name(p, name) < 0)
        return;
    const struct dw_java_group *group = find_group(p->pattern, name);
    if (!group)
        java_wrong(p, "\\k names a group that does not exist");
    else
        reference(p, group->number);
}

static void property(struct java_parse *p)
{
    struct dw_buf made = {0}, *out = &p->pattern->pcre;
    bool bare, not = java_peek(p) == 'P';
    p->pos++;
    java_property(p, &made, not, &bare);
    java_put(p, out, bare ? "[" : "");
    if (dw_buf_put(out, dw_buf_span(&made)) < 0)
        java_wrong(p, "out of memory");
    java_put(p, out, bare ? "]" : "");
    dw_buf_free(&made);
}

static void escape(struct java_parse *p)
{
    static const struct {
        char letter;
        const char *pcre;
    } known[] = {
        {'d', "\\d"},
        {'D', "\\D"},
        {'w', "\\w"},
        {'W', "\\W"},
        {'s', "\\s"},
        {'S', "\\S"},
        {'h', "\\h"},
        {'H', "\\H"},
        {'v', "\\v"},
        {'V', "\\V"},
        {'X', "\\X"},
        {'A', "(?:\\A)"},
        {'z', "(?:\\z)"},
        {'R', "(?:\\r\\n|[\\n\\x0b\\f\\r\\x{85}\\x{2028}\\x{2029}])"},
        {'b', "(?:(?<=" WORD ")(?!" WORD ")|(?<!" WORD ")(?=" WORD "))"},
        {'B', "(?:(?<=" WORD ")(?=" WORD ")|(?<!" WORD ")(?!" WORD "))"},
    };
    struct dw_buf *out = &p->pattern->pcre;
    p->pos++;
    long point = java_escaped_point(p);
    if (point >= 0) {
        literal(p, (uint32_t)point);
        return;
    }
    uint32_t c = java_peek(p);
    if (c >= '1' && c <= '9') {
        numbered_reference(p);
    } else if (c == 'k') {
        named_reference(p);
    } else if (c == 'p' || c == 'P') {
        property(p);
    } else if (c == 'Z') {
        p->pos++;
        java_put(p, out, dollar(p->flags, false));
    } else if (c == 'b' && p->pos + 1 < p->len && p->at[p->pos + 1] == '{') {
        java_wrong(p, "\\b{g} is not supported here");
    } else if (c == 'G' || c == 'N') {
        java_wrong(p, c == 'G' ? "\\G is not supported here" : "\\N{name} is not supported here");
    } else {
        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
            if (c == (uint32_t)known[i].letter) {
                p->pos++;
                java_put(p, out, known[i].pcre);
                return;
            }
        }
        java_wrong(p, "an escape that Java does not know");
    }
}

static int repeat_count(struct java_parse *p, unsigned long *count)
{
    for (*count = 0; is_digit(java_peek(p)); p->pos++)
        if ((*count = *count * 10 + (java_peek(p) - '0')) > 65535)
            return java_wrong(p, "a repetition of more than 65535 (not supported here)");
    return 0;
}

static void braces(struct java_parse *p)
{
    unsigned long least, most;
    bool open = false;
    p->pos++;
    if (!is_digit(java_peek(p))) {
        java_wrong(p, "a '{' that is no repetition");
        return;
    }
    if (repeat_count(p, &least) < 0)
        return;
    most = least;
    if (java_peek(p) == ',') {
        p->pos++;
        open = java_peek(p) == '}';
        if (!open && repeat_count(p, &most) < 0)
            return;
    }
    if (java_peek(p) != '}' || (!open && most < least)) {
        java_wrong(p, "a repetition that is not {n}, {n,} or {n,m} with n no more than m");
        return;
    }
    p->pos++;
    if (dw_buf_printf(&p->pattern->pcre, open ? "{%lu,}" : "{%lu,%lu}", least, most) < 0)
        java_wrong(p, "out of memory");
}

static void quantifier(struct java_parse *p)
{
    struct dw_buf *out = &p->pattern->pcre;
    uint32_t c = java_peek(p);
    if (c == '?' || c == '*' || c == '+') {
        p->pos++;
        java_put(p, out, (char[]){(char)c, 0});
    } else if (c == '{') {
        braces(p);
    } else {
        return;
    }
    c = java_peek(p);
    if (c == '?' || c == '+') {
        p->pos++;
        java_put(p, out, (char[]){(char)c, 0});
    }
}

static void alternatives(struct java_parse *p);

/* (?i), (?-s), (?m-i: .. : true when a group's body follows. */
static bool inline_flags(struct java_parse *p)
{
    static const char letters[] = "imsd";
    bool off = false;
    for (; p->pos < p->len; p->pos++) {
        uint32_t c = p->at[p->pos];
        const char *found = c && c < 128 ? strchr(letters, (int)c) : NULL;
        if (found)
            p->flags = off ? p->flags & ~(1u << (found - letters)) : p->flags | 1u << (found - letters);
        else if (c == '-' && !off)
            off = true;
        else if (c == 'u' || c == 'x' || c == 'U' || c == 'c')
            java_wrong(p, "of the inline flags only i, m, s and d are supported here");
        else
            break;
    }
    uint32_t end = java_peek(p);
    if (end != ')' && end != ':')
        java_wrong(p, "an unknown inline flag");
    p->pos += p->pos < p->len;
    return end == ':';
}

static void open_capture(struct java_parse *p, const char *name)
{
    struct dw_java_pattern *pattern = p->pattern;
    pattern->groups++;
    java_put(p, &pattern->pcre, "(");
    if (!name)
        return;
    if (find_group(pattern, name) || pattern->name_count == DW_JAVA_NAMES_MAX) {
        java_wrong(p, "a group name that is given twice, or too many names");
        return;
    }
    struct dw_java_group *group = &pattern->names[pattern->name_count++];
    memcpy(group->name, name, strlen(name) + 1);
    group->number = pattern->groups;
}

/* After "(?": opens the group; false when it was flags alone and nothing was opened. */
static bool open_special(struct java_parse *p)
{
    struct dw_buf *out = &p->pattern->pcre;
    uint32_t c = java_peek(p), next = p->pos + 1 < p->len ? p->at[p->pos + 1] : 0;
    if (c == ':' || c == '=' || c == '!' || c == '>') {
        p->pos++;
        java_put(p, out, (char[]){'(', '?', (char)c, 0});
    } else if (c == '<' && (next == '=' || next == '!')) {
        p->pos += 2;
        java_put(p, out, (char[]){'(', '?', '<', (char)next, 0});
    } else if (c == '<') {
        char name[64];
        p->pos++;
        if (group_name(p, name) == 0)
            open_capture(p, name);
    } else {
        if (!inline_flags(p))
            return false;
        java_put(p, out, "(?:");
    }
    return true;
}

/* True when something was added that a quantifier may follow. */
static bool group(struct java_parse *p)
{
    unsigned flags = p->flags;
    p->pos++;
    if (++p->depth > DEPTH_MAX) {
        java_wrong(p, "groups nested too deeply");
        return false;
    }
    if (java_peek(p) == '?') {
        p->pos++;
        if (!open_special(p)) {
            p->depth--;
            return false;
        }
    } else {
        open_capture(p, NULL);
    }
    alternatives(p);
    p->depth--;
    if (java_peek(p) != ')') {
        java_wrong(p, "an unclosed group");
        return false;
    }
    p->pos++;
    p->flags = flags;
    java_put(p, &p->pattern->pcre, ")");
    return true;
}

static void sequence(struct java_parse *p)
{
    struct dw_buf *out = &p->pattern->pcre;
    while (p->pos < p->len) {
        uint32_t c = p->at[p->pos];
        switch (c) {
        case '|':
        case ')': return;
        case '(':
            if (group(p))
                break;
            continue;
        case '[': java_set(p, out); break;
        case '\\': escape(p); break;
        case '^':
            p->pos++;
            java_put(p, out, caret(p->flags));
            break;
        case '$':
            p->pos++;
            java_put(p, out, dollar(p->flags, p->flags & FLAG_MULTILINE));
            break;
        case '.':
            p->pos++;
            java_put(p, out, dot(p->flags));
            break;
        case '?':
        case '*':
        case '+': java_wrong(p, "a '?', '*' or '+' with nothing before it"); return;
        case '{': java_put(p, out, "(?:)"); break; /* Java repeats the empty text */
        default:
            p->pos++;
            literal(p, c);
            break;
        }
        quantifier(p);
    }
}

static void alternatives(struct java_parse *p)
{
    for (;;) {
        sequence(p);
        if (java_peek(p) != '|')
            return;
        p->pos++;
        java_put(p, &p->pattern->pcre, "|");
    }
}

/* Code points of well-formed UTF-8, with \Q..\E resolved. */
static size_t decode(struct dw_span text, uint32_t *into)
{
    size_t count = 0;
    uint32_t quoted = 0;
    for (size_t i = 0; i < text.len;) {
        uint8_t first = text.at[i];
        size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
        uint32_t point = size == 1 ? first : first & (0x7fu >> size);
        for (size_t j = 1; j < size; j++)
            point = point << 6 | (text.at[i + j] & 0x3fu);
        i += size;
        if (point == '\\' && i < text.len && text.at[i] == (quoted ? 'E' : 'Q')) {
            quoted ^= QUOTED;
            i++;
            continue;
        }
        into[count++] = point | quoted;
        if (point == '\\' && !quoted && i < text.len && text.at[i] < 0x80)
            into[count++] = text.at[i++];
    }
    return count;
}

static int read_pattern(struct java_parse *p, struct dw_error *err)
{
    alternatives(p);
    if (!p->wrong && p->pos < p->len)
        java_wrong(p, "an unmatched ')'");
    return p->wrong ? dw_error_set(err, DW_ERROR_INTERNAL, "%s", p->wrong) : 0;
}

int dw_java_translate(struct dw_span pattern, struct dw_java_pattern *out, struct dw_error *err)
{
    int result = -1;
    uint32_t *points = NULL;
    *out = (struct dw_java_pattern){0};
    if (pattern.len > DW_JAVA_PATTERN_MAX) {
        dw_error_set(err, DW_ERROR_LIMIT, "longer than %d octets", DW_JAVA_PATTERN_MAX);
        goto done;
    }
    if (!(points = calloc(pattern.len + 2, sizeof *points))) {
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
        goto done;
    }
    struct java_parse first = {.at = points, .len = decode(pattern, points), .total = SIZE_MAX, .pattern = out};
    if (read_pattern(&first, err) < 0)
        goto done;
    /* Once more, knowing how many groups there are. */
    struct java_parse second = {.at = points, .len = first.len, .total = out->groups, .pattern = out};
    dw_buf_cut(&out->pcre, 0);
    out->groups = out->name_count = 0;
    result = read_pattern(&second, err);
done:
    if (result < 0)
        dw_buf_free(&out->pcre);
    free(points);
    return result;
}
