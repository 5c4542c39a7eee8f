/* How large the POSIX engine would make a pattern.  It copies what a repetition holds, once for each time,
 * so that a short pattern of nested repetitions can ask for all memory; those are refused unread. */
#include "map/a2l_engine.h"

#define DEPTH 64
#define LARGE ((size_t)1 << 40)

struct level {
    size_t sum, last;
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

/* {m}, {m,}, {m,n}, {,n}: the larger number, at least 1. */
static size_t repetition(struct dw_span text, size_t *i)
{
    size_t most = 1, value = 0;
    for (++*i; *i < text.len && text.at[*i] != '}'; ++*i) {
        uint8_t c = text.at[*i];
        value = c >= '0' && c <= '9' ? value * 10 + (c - '0') : 0;
        value = value > LARGE ? LARGE : value;
        most = value > most ? value : most;
    }
    return most + 1;
}

size_t posix_cost(struct dw_span text)
{
    struct level levels[DEPTH] = {{0, 0}};
    size_t depth = 0;
    for (size_t i = 0; i < text.len; i++) {
        struct level *at = &levels[depth];
        switch (text.at[i]) {
        case '(':
            if (depth + 1 == DEPTH)
                return SIZE_MAX;
            levels[++depth] = (struct level){1, 0};
            break;
        case ')':
            if (depth == 0)
                break;
            depth--;
            levels[depth].sum += levels[depth].last;
            levels[depth].last = at->sum + at->last;
            break;
        case '*':
        case '?': break;
        case '+': at->last = times(at->last, 2); break;
        case '{': at->last = times(at->last, repetition(text, &i)); break;
        default:
            if (text.at[i] == '[')
                i = skip_bracket(text, i);
            else if (text.at[i] == '\\')
                i++;
            at->sum += at->last;
            at->last = 1;
            break;
        }
        if (levels[depth].sum + levels[depth].last > LARGE)
            return LARGE;
    }
    size_t total = 0;
    for (size_t i = 0; i <= depth; i++)
        total += levels[i].sum + levels[i].last;
    return total;
}
