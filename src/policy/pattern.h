/* Lua's patterns (reference manual 5.4, section 6.4.1) with a count of steps: a pattern that backtracks
 * without end stops at its last step, where the matcher of Lua's own library runs on in C.  Pure; one
 * match at a time. */
#ifndef DW_POLICY_PATTERN_H
#define DW_POLICY_PATTERN_H

#include "base/span.h"

enum { DW_PATTERN_CAPTURES = 32 };

enum dw_pattern_end { DW_PATTERN_NO, DW_PATTERN_YES, DW_PATTERN_BAD, DW_PATTERN_WEARY };

struct dw_capture {
    const uint8_t *at;
    ptrdiff_t len; /* or DW_CAPTURE_OPEN (it was never closed), DW_CAPTURE_PLACE */
};
enum { DW_CAPTURE_OPEN = -1, DW_CAPTURE_PLACE = -2 };

struct dw_pattern {
    const uint8_t *subject, *subject_end, *end;
    const uint8_t *start, *stop; /* the whole match */
    struct dw_capture captures[DW_PATTERN_CAPTURES];
    int count;
    long steps; /* left; set by the caller before the first match */
    const char *wrong; /* a sentence, with BAD */
    int depth;
};

/* Looks for `pattern` in `subject` from offset `from` on; anchored: there alone (the '^' is not part of
 * `pattern`).  BAD: the pattern is malformed, `wrong` says how.  WEARY: out of steps. */
enum dw_pattern_end dw_pattern_find(struct dw_pattern *m, struct dw_span subject, struct dw_span pattern,
                                    size_t from, bool anchored);
/* Whether it is plain text: no character with a meaning of its own. */
bool dw_pattern_is_plain(struct dw_span pattern);

#endif
