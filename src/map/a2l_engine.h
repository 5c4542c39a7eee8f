/* What the files of the auth_to_local engine share: its rules, the trace, and the ways to fail. */
#ifndef DW_MAP_A2L_ENGINE_H
#define DW_MAP_A2L_ENGINE_H

#include "map/a2l.h"
#include "map/java_regex.h"

#include <regex.h>
#include <stdio.h>

struct mit_regex {
    struct dw_span text;
    regex_t re;
    bool compiled;
    bool oversized; /* never given to the POSIX engine: see posix_cost.c */
    size_t subject_most; /* what it is matched with at most: less when it refers back to groups */
    char why[80]; /* it is not compiled */
};

struct mit_piece {
    struct dw_span literal; /* absent: a part of the name */
    long part; /* 1.. a component; 0 or less: the realm */
};

struct mit_edit {
    struct mit_regex from;
    struct dw_span with;
    bool global;
};

/* As much of a rule as can be read; each `bad_` stands where MIT's library would stop with an error. */
struct mit_rule {
    bool is_default;
    const char *bad_head; /* no kind that there is, or no count in its brackets */
    bool bracketed;
    long components;
    struct mit_piece *pieces;
    size_t piece_count;
    const char *bad_format;
    bool has_match;
    const char *bad_match;
    struct mit_regex match;
    struct mit_edit *edits;
    size_t edit_count;
    const char *bad_tail;
};

struct java_rule {
    bool is_default;
    int components;
    struct dw_span format;
    struct dw_span match_text, from_text, with; /* absent when the rule has none */
    struct dw_java_regex *match, *from;
    bool global, lower;
};

struct a2l_rule {
    struct dw_span text;
    struct mit_rule mit;
    struct java_rule java;
};

struct dw_a2l {
    enum dw_a2l_dialect dialect;
    uint8_t *text; /* every rule, realm and name, each ended with NUL */
    struct dw_span default_realm;
    struct dw_a2l_name *names;
    size_t name_count;
    struct a2l_rule *rules;
    size_t rule_count;
    char *orphans; /* "file: REALM, REALM": rules that stand where nobody reads them; or NULL */
};

/* One mapping under way. */
struct a2l_run {
    struct dw_a2l *a2l;
    struct dw_a2l_report *report; /* NULL: nobody asks */
    struct dw_error *err;
};

/* Tells `err` and returns `code`. */
enum dw_a2l_code a2l_fail(struct a2l_run *run, enum dw_a2l_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* `text` quoted for a message, cut when long. */
struct a2l_shown {
    char text[200];
};
const char *a2l_show(struct a2l_shown *into, struct dw_span text);

/* The trace; each does nothing when nobody asks. */
void a2l_trace_rule(struct a2l_run *run, size_t rule, struct dw_span text, size_t edits);
void a2l_trace_selection(struct a2l_run *run, struct dw_span selection);
void a2l_trace_pattern(struct a2l_run *run, struct dw_span pattern);
void a2l_trace_edit(struct a2l_run *run, const struct dw_a2l_edit *edit);
void a2l_trace_user(struct a2l_run *run, struct dw_span user);
void a2l_trace_end(struct a2l_run *run, enum dw_a2l_outcome outcome, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Text kept as long as the report; absent when memory is out. */
struct dw_span a2l_keep(struct dw_a2l_report *report, struct dw_span text);
struct dw_span a2l_keepf(struct dw_a2l_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void *a2l_report_room(struct dw_a2l_report *report, size_t size);

/* MIT: reads a rule, whose text is ended with NUL; takes what its patterns cost from `budget`.  -1 only when
 * memory is out. */
int mit_rule_read(struct a2l_rule *rule, size_t *budget);
void mit_rule_free(struct mit_rule *rule);
#define MIT_BUDGET 50000 /* of all patterns together, as posix_cost counts */
enum dw_a2l_code mit_map(struct a2l_run *run, struct dw_span name, struct dw_buf *user);
/* Roughly how many nodes the POSIX engine makes of a pattern; SIZE_MAX when it is nested too deeply. */
size_t posix_cost(struct dw_span pattern);

/* Hadoop: reads the text of all rules into a2l->rules. */
enum dw_a2l_code java_rules_read(struct a2l_run *run, struct dw_span text);
void java_rule_free(struct java_rule *rule);
enum dw_a2l_code java_map(struct a2l_run *run, struct dw_span name, struct dw_buf *user);

#endif
