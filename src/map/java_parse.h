/* What java_syntax.c and java_class.c share: a cursor over the code points of a Java regular expression. */
#ifndef DW_MAP_JAVA_PARSE_H
#define DW_MAP_JAVA_PARSE_H

#include "map/java_syntax.h"

#define QUOTED 0x80000000u /* set on code points that stood between \Q and \E: they mean themselves */
#define DEPTH_MAX 100

enum { FLAG_CASELESS = 1, FLAG_MULTILINE = 2, FLAG_DOTALL = 4, FLAG_UNIX_LINES = 8 };

struct java_parse {
    const uint32_t *at; /* `len` code points, then two zeroes */
    size_t len, pos;
    unsigned flags;
    unsigned depth;
    size_t total; /* groups in the whole pattern; SIZE_MAX on the first reading */
    struct dw_java_pattern *pattern;
    const char *wrong; /* the first complaint; everything after it is void */
};

static inline uint32_t java_peek(const struct java_parse *p)
{
    return p->pos < p->len ? p->at[p->pos] : 0;
}

/* Notes the complaint and moves to the end, where every loop ends; returns -1. */
int java_wrong(struct java_parse *p, const char *why);
void java_put(struct java_parse *p, struct dw_buf *out, const char *text);
/* A code point that means itself, in or out of a set. */
void java_put_point(struct java_parse *p, struct dw_buf *out, uint32_t point);
/* What follows a backslash, when it is one code point: it is consumed and returned; else -1, and the
 * cursor stays on the letter (or a complaint was made). */
long java_escaped_point(struct java_parse *p);
/* The set at '[': appends what matches one code point of it. */
void java_set(struct java_parse *p, struct dw_buf *out);
/* The property after \p or \P: appends what matches one code point of it.  `bare`: the text fits between
 * brackets. */
void java_property(struct java_parse *p, struct dw_buf *out, bool not, bool *bare);

#endif
