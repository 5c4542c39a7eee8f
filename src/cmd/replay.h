/* What the files of `durward replay` share: the lines of a journal, the ways in which two decisions may differ, and
 * the tally of differences that is told at the end. */
#ifndef DW_CMD_REPLAY_H
#define DW_CMD_REPLAY_H

#include "auth/journal.h"

#include <stdio.h>

/* Lines, read one by one in bounded memory (replay_lines.c). */

struct dw_lines {
    const char *name; /* for messages; borrowed */
    int fd;
    size_t number; /* of the line last given, from 1 */
    struct dw_buf ahead; /* read, not yet given */
    bool ended;
};

enum dw_line {
    DW_LINE_END,
    DW_LINE_WHOLE,
    DW_LINE_TORN, /* the last one, without its newline, and no JSON: it was being written */
    DW_LINE_BAD,
    DW_LINE_LOST, /* it cannot be read on; so is the rest */
};

/* "-" is standard input.  -1 with `err` told. */
int dw_lines_open(struct dw_lines *lines, const char *path, struct dw_error *err);
/* WHOLE with an object in `json` (a new reference); TORN, BAD and LOST with `err` told.  Empty lines are passed over. */
enum dw_line dw_lines_next(struct dw_lines *lines, json_t **json, struct dw_error *err);
void dw_lines_close(struct dw_lines *lines);

/* Differences (replay_compare.c).  Each is a question with a yes or no, so that a decision may stand in more than
 * one group: who was put off and is let in now is newly allowed and no longer temporary. */

enum dw_change {
    DW_NEWLY_ALLOWED,
    DW_NEWLY_DENIED,
    DW_NEWLY_TEMPORARY,
    DW_NO_LONGER_TEMPORARY,
    DW_OTHER_USER,
    DW_OTHER_BACKEND,
    DW_OTHER_DETAILS, /* expiry, properties, identity, .. */
    DW_OTHER_RULE, /* the same for the client, by another sentence of the policy: no difference by itself */
    DW_CHANGES
};

const char *dw_change_word(enum dw_change change); /* "newly-allowed" */
const char *dw_change_title(enum dw_change change); /* "newly allowed" */
int dw_change_parse(const char *word, size_t len); /* -1: it is none */
const char *dw_change_nearest(const char *word);

/* The changes between two decisions in the journal's shape, as bits: 1 << DW_NEWLY_ALLOWED, ..  Of details, `names`
 * gets those that differ: a list of strings. */
unsigned dw_replay_compare(const json_t *old, const json_t *new, json_t *names);

/* The tally (replay_tally.c). */

/* One decision that differs.  Everything is borrowed. */
struct dw_difference {
    const char *journal;
    size_t line;
    const struct dw_event *event;
    const json_t *old, *new; /* decisions, in the journal's shape */
    const char *old_at, *new_at; /* "file:line" of what decided, or NULL */
    enum dw_stage stage; /* where the new decision fell */
    json_t *names; /* of details that differ */
    unsigned changes;
};

/* An example of a change: the first of those that look the same, and how many they are. */
struct dw_example {
    char *key;
    size_t count;
    json_t *told; /* what is known of it: see dw_replay_describe */
};

struct dw_tally_group {
    size_t count, told; /* decisions; those of them that `examples` tell */
    struct dw_example *examples;
    size_t example_count;
};

struct dw_replay_tally {
    struct dw_tally_group groups[DW_CHANGES];
    size_t example_most; /* in each group */
    unsigned exemplified; /* bits of the groups that collect examples */
    size_t replayed, differ;
    size_t not_policy; /* the broker's own refusals, which no policy was asked about */
    size_t no_admission; /* lines of other stages */
    size_t without_password; /* what a policy would compare is not in a journal */
    size_t bad, torn;
};

/* -1 when memory is out. */
int dw_replay_count(struct dw_replay_tally *tally, const struct dw_difference *difference);
void dw_replay_tally_clear(struct dw_replay_tally *tally);
/* The difference as an object: journal, line, id, time, principal, .., changes, old, new.  A new reference. */
json_t *dw_replay_describe(const struct dw_difference *difference);

/* Telling (replay_tell.c).  `told` is what dw_replay_describe gave. */

void dw_replay_tell_one(FILE *out, const json_t *told);
/* Groups whose bit is in `shown`, then totals. */
void dw_replay_tell(FILE *out, const struct dw_replay_tally *tally, unsigned shown);
json_t *dw_replay_tally_to_json(const struct dw_replay_tally *tally);

#endif
