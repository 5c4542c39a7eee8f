/* Regular expressions as java.util.regex reads them, rewritten for PCRE2 (with PCRE2_UTF and no other option).
 *
 * The two differ in much that a mapping of names may lean on: where '$' and '.' stop, what is a letter to
 * \b and (?i), sets inside sets, octal numbers and references, which escapes and braces are errors.  Each
 * construct is taken as Java 17 takes it, or refused by name; none is passed on unread. */
#ifndef DW_MAP_JAVA_SYNTAX_H
#define DW_MAP_JAVA_SYNTAX_H

#include "base/buf.h"
#include "base/error.h"

#define DW_JAVA_PATTERN_MAX 4096 /* octets */
#define DW_JAVA_NAMES_MAX 32

struct dw_java_group {
    char name[64];
    size_t number;
};

struct dw_java_pattern {
    struct dw_buf pcre;
    size_t groups; /* that capture */
    struct dw_java_group names[DW_JAVA_NAMES_MAX];
    size_t name_count;
};

/* 0, or -1 with `err` told (the pattern is then empty).  End with dw_buf_free(&out->pcre). */
int dw_java_translate(struct dw_span pattern, struct dw_java_pattern *out, struct dw_error *err);

#endif
