/* Event and decision as one JSON line, for explain and replay.
 *
 * A journal is a file of mode 0600, written with one write(2) a line, reopened on request (log
 * rotation).  Threads: any may write; dw_journal_reopen may run beside them.  A password is never
 * written; octets that are not UTF-8 stand as {"hex":".."}. */
#ifndef DW_AUTH_JOURNAL_H
#define DW_AUTH_JOURNAL_H

#include "auth/decision.h"
#include "base/error.h"

#include <jansson.h>

struct dw_journal;

/* Opens or creates `path` for appending.  NULL with `err` told. */
struct dw_journal *dw_journal_open(const char *path, struct dw_error *err);
void dw_journal_free(struct dw_journal **j);
/* Opens the path again (another file may stand there now); on failure the old file goes on serving. */
int dw_journal_reopen(struct dw_journal *j, struct dw_error *err);

/* Writes one line.  -1 with `err` told when it could not be written whole: the decision is then
 * temporary (the operator's manual). */
int dw_journal_write(struct dw_journal *j, const struct dw_event *event, const struct dw_decision *d,
                     struct dw_error *err);

/* Writes a line of another kind as it is. */
int dw_journal_note(struct dw_journal *j, const json_t *line, struct dw_error *err);

/* Text, or {"hex":".."} when it is not UTF-8; a new reference, NULL when memory is out. */
json_t *dw_text_to_json(struct dw_span text);
/* The event alone as JSON (a new reference), as it stands in the journal. NULL when memory is out. */
json_t *dw_event_to_json(const struct dw_event *event);
/* The decision's own fields and its trace; new references. */
json_t *dw_decision_to_json(const struct dw_decision *d);
json_t *dw_decision_trace_to_json(const struct dw_decision *d);

/* An event from JSON, strictly: an unknown field is an error that names it and the nearest right one.
 * The event borrows from `store`, which the caller frees with dw_event_store_free after the event's last use.
 * A principal may be a string or a table of its parts; octets may be {"hex":".."}. */
struct dw_event_store;
int dw_event_from_json(struct dw_event *event, const json_t *json, struct dw_event_store **store,
                       struct dw_error *err);
void dw_event_store_free(struct dw_event_store **store);

#endif
