/* The scanner of tags: see boundary.h. */
#include "xmpp/boundary.h"

enum {
    TEXT, /* a new scanner's */
    OPENED, /* "<" */
    START, /* in a start tag, outside quotes */
    SLASH, /* there, behind a "/" */
    SINGLE, /* in an attribute's value */
    DOUBLE,
    END, /* in an end tag */
    BANG, /* "<!", perhaps more of "<![CDATA[" or "<!--" */
    CDATA,
    COMMENT,
    DECLARATION,
    INSTRUCTION, /* "<?" */
};

static const uint8_t *find(const uint8_t *at, const uint8_t *end, int c)
{
    const uint8_t *found = memchr(at, c, (size_t)(end - at));
    return found ? found : end;
}

/* Counts `c` towards `mark`, whose octets before the last are all the same: "]]>", "-->", "?>". */
static bool closes(struct dw_boundary *b, uint8_t c, const char *mark, uint8_t len)
{
    if (b->matched == len - 1 && c == (uint8_t)mark[len - 1])
        return true;
    if (c != (uint8_t)mark[0])
        b->matched = 0;
    else if (b->matched < len - 1)
        b->matched++;
    return false;
}

static void open_markup(struct dw_boundary *b, uint8_t c)
{
    b->matched = 0;
    switch (c) {
    case '/': b->state = END; break;
    case '!': b->state = BANG; break;
    case '?': b->state = INSTRUCTION; break;
    default: b->state = START; b->opened = true;
    }
}

static void after_bang(struct dw_boundary *b, uint8_t c)
{
    static const char cdata[] = "[CDATA[";
    if (c == (uint8_t)cdata[b->matched]) {
        if (++b->matched == sizeof cdata - 1) {
            b->state = CDATA;
            b->matched = 0;
        }
        return;
    }
    b->declaration = true;
    b->state = c == '-' && b->matched == 0 ? COMMENT : DECLARATION;
    b->matched = 0;
}

/* In a start tag: true at its end. */
static bool in_start(struct dw_boundary *b, uint8_t c)
{
    switch (c) {
    case '>': b->depth += b->state != SLASH; return true;
    case '\'': b->state = SINGLE; break;
    case '"': b->state = DOUBLE; break;
    default: b->state = c == '/' ? SLASH : START;
    }
    return false;
}

/* One octet inside markup: true when it is the last of it. */
static bool inside(struct dw_boundary *b, uint8_t c)
{
    switch (b->state) {
    case OPENED: open_markup(b, c); return false;
    case START:
    case SLASH: return in_start(b, c);
    case SINGLE:
        if (c == '\'')
            b->state = START;
        return false;
    case DOUBLE:
        if (c == '"')
            b->state = START;
        return false;
    case END:
        if (c != '>')
            return false;
        b->depth -= b->depth > 0;
        return true;
    case BANG: after_bang(b, c); return false;
    case CDATA: return closes(b, c, "]]>", 3);
    case COMMENT: return closes(b, c, "-->", 3);
    case INSTRUCTION: return closes(b, c, "?>", 2);
    default: return c == '>';
    }
}

size_t dw_boundary_markup(struct dw_boundary *b, struct dw_span bytes)
{
    const uint8_t *at = bytes.at, *end = bytes.at + bytes.len;
    while (at < end) {
        if (b->state == TEXT) {
            at = find(at, end, '<');
            if (at < end) {
                b->state = OPENED;
                at++;
            }
        } else if (b->state == SINGLE || b->state == DOUBLE) {
            at = find(at, end, b->state == SINGLE ? '\'' : '"');
            if (at < end) {
                b->state = START;
                at++;
            }
        } else if (inside(b, *at++)) {
            b->state = TEXT;
            b->matched = 0;
            break;
        }
    }
    return (size_t)(at - bytes.at);
}

void dw_boundary_follow(struct dw_boundary *b, struct dw_span bytes)
{
    while (bytes.len > 0) {
        size_t len = dw_boundary_markup(b, bytes);
        bytes = dw_span_make(bytes.at + len, bytes.len - len);
    }
}

size_t dw_boundary_reach(struct dw_boundary *b, struct dw_span bytes)
{
    size_t len = 0;
    while (!dw_boundary_is_between(b) && len < bytes.len)
        len += dw_boundary_markup(b, dw_span_make(bytes.at + len, bytes.len - len));
    return len;
}

bool dw_boundary_is_text(const struct dw_boundary *b)
{
    return b->state == TEXT;
}

bool dw_boundary_is_between(const struct dw_boundary *b)
{
    return b->state == TEXT && b->depth == 1;
}
