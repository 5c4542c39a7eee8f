/* How much the POSIX engine would make of a pattern.  It copies what a repetition holds, once for each time, so that a
 * short pattern of nested repetitions can ask for all memory.  And it follows whatever can be empty beside an anchor in
 * every way there is, so that "^a*+++++b" takes it seconds.  Such patterns are refused unread. */
#include "map/a2l_engine.h"

#define DEPTH 64
#define LARGE ((size_t)1 << 40)

/* A group that is open; `last` is of its last part. */
struct level {
    size_t sum, last; /* nodes */
    size_t deep, last_deep; /* copies of copies of what can be empty, at most */
    size_t anchors, last_anchors; /* with their copies */
    bool can_be_empty, a_branch_can, last_can;
};

static size_t times(size_t a, size_t b)
{
    return a > LARGE / (b ? b : 1) ? LARGE : a * b;
}

/* The end of the bracket expression that begins at `i`. */
static size_t skip_bracket(struct dw_span text, size_t i)
{
    i++;
    i += i < text.len && text.at[i] == '^';
    i += i < text.len && text.at[i] == ']';
    while (i < text.len && text.at[i] != ']') {
        uint8_t kind = i + 1 < text.len ? text.at[i + 1] : 0;
        if (text.at[i++] != '[' || (kind != ':' && kind != '.' && kind != '='))
            continue;
        i++;
        while (i + 1 < text.len && !(text.at[i] == kind && text.at[i + 1] == ']'))
            i++;
        i += 2;
    }
    return i;
}

/* {m}, {m,}, {m,n}, {,n}: the larger number and one more; `from_none`: it may be none at all. */
static size_t repetition(struct dw_span text, size_t *i, bool *from_none)
{
    size_t most = 1, value = 0, least = 0;
    bool is_first = true;
    for (++*i; *i < text.len && text.at[*i] != '}'; ++*i) {
        uint8_t c = text.at[*i];
        is_first = is_first && c != ',';
        value = c >= '0' && c <= '9' ? value * 10 + (c - '0') : 0;
        value = value > LARGE ? LARGE : value;
        least = is_first ? value : least;
        most = value > most ? value : most;
    }
    *from_none = least == 0;
    return most + 1;
}

static size_t more(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* The last part is whole: it counts to its group, and another begins. */
static void close_part(struct level *at)
{
    at->sum += at->last;
    at->anchors += at->last_anchors;
    at->deep = more(at->deep, at->last_deep);
    at->can_be_empty = at->can_be_empty && at->last_can;
    at->last = at->last_anchors = 0;
    at->last_deep = 1;
    at->last_can = true;
}

static void repeat(struct level *at, size_t copies, bool from_none)
{
    at->last = times(at->last, copies);
    at->last_anchors = times(at->last_anchors, copies);
    if (at->last_can)
        at->last_deep = times(at->last_deep, copies);
    at->last_can = at->last_can || from_none;
}

static void add_anchor(struct level *at)
{
    close_part(at);
    at->last = at->last_anchors = 1;
}

static const struct level fresh = {.deep = 1, .last_deep = 1, .can_be_empty = true, .last_can = true};

size_t posix_cost(struct dw_span text)
{
    struct level levels[DEPTH] = {fresh};
    size_t depth = 0, copies;
    bool is_anchored = false, from_none;
    for (size_t i = 0; i < text.len; i++) {
        struct level *at = &levels[depth];
        uint8_t c = text.at[i], next = i + 1 < text.len ? text.at[i + 1] : 0;
        switch (c) {
        case '(':
            if (depth + 1 == DEPTH)
                return SIZE_MAX;
            levels[++depth] = fresh;
            levels[depth].sum = 1;
            break;
        case ')':
            if (depth == 0)
                break;
            close_part(at);
            close_part(--at);
            depth--;
            at->last = at[1].sum;
            at->last_anchors = at[1].anchors;
            at->last_deep = at[1].deep;
            at->last_can = at[1].can_be_empty || at[1].a_branch_can;
            break;
        case '|':
            close_part(at);
            at->a_branch_can = at->a_branch_can || at->can_be_empty;
            at->can_be_empty = true;
            at->last = 1;
            break;
        case '*':
        case '?':
            at->last_anchors = times(at->last_anchors, 2);
            at->last_can = true;
            break;
        case '+': repeat(at, 2, false); break;
        case '{':
            copies = repetition(text, &i, &from_none);
            repeat(at, copies, from_none);
            break;
        case '^':
        case '$':
            is_anchored = true;
            if ((c == '^' && i > 0) || (c == '$' && i + 1 < text.len))
                add_anchor(at);
            break;
        default:
            if (c == '\\' && next && strchr("bB<>`'", next)) {
                is_anchored = true;
                add_anchor(at);
                i++;
                break;
            }
            if (c == '[')
                i = skip_bracket(text, i);
            else if (c == '\\')
                i++;
            close_part(at);
            at->last = 1;
            at->last_can = false;
            break;
        }
        if (levels[depth].sum + levels[depth].last > LARGE)
            return LARGE;
    }
    size_t total = 0, deep = 1, anchors = 0;
    for (size_t i = 0; i <= depth; i++) {
        close_part(&levels[i]);
        total += levels[i].sum;
        anchors += levels[i].anchors;
        deep = more(deep, levels[i].deep);
    }
    deep = is_anchored ? times(deep, deep) : 1;
    return times(times(total, deep), more(times(anchors, anchors), 1));
}
