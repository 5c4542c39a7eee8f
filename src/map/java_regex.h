/* java.util.regex's matches, replaceFirst and replaceAll, on PCRE2 with limits.
 *
 * A pattern belongs to one thread at a time.  A match that takes too many steps or too much memory is an
 * error, where Java would go on for as long as it takes. */
#ifndef DW_MAP_JAVA_REGEX_H
#define DW_MAP_JAVA_REGEX_H

#include "base/buf.h"
#include "base/error.h"

struct dw_java_regex;

enum dw_java_result {
    DW_JAVA_NO,
    DW_JAVA_YES,
    DW_JAVA_LIMIT = -1, /* steps, memory, or the length of the result */
    DW_JAVA_BAD_REPLACEMENT = -2, /* "$9" without such a group, a backslash at the end, .. */
};

/* `pattern` is UTF-8.  NULL with `err` told. */
struct dw_java_regex *dw_java_regex_new(struct dw_span pattern, struct dw_error *err);
void dw_java_regex_free(struct dw_java_regex **re);

/* Whether the pattern matches the whole of `text` (UTF-8). */
enum dw_java_result dw_java_regex_matches(struct dw_java_regex *re, struct dw_span text, struct dw_error *err);

/* Appends `text` with its first match, or all of them, replaced.  YES when there was one; `count` of them.
 * At most `most` octets are appended. */
enum dw_java_result dw_java_regex_replace(struct dw_java_regex *re, struct dw_span text, struct dw_span with,
                                          bool all, size_t most, struct dw_buf *out, size_t *count,
                                          struct dw_error *err);

/* String.toLowerCase(Locale.ENGLISH): appends; -1 when memory is out, or letters beyond ASCII are asked for
 * and the system has no C.UTF-8 to say what their lower case is. */
int dw_java_lower(struct dw_span text, struct dw_buf *out, struct dw_error *err);

#endif
