/* JSON as text, put down as it is said: what the journal's lines are written with, without a tree in between.
 *
 * A writer appends to a buffer of the caller's and allocates nothing else.  What goes wrong (memory is out, a name that
 * is not UTF-8, a number that JSON has not, more than a hundred levels) sticks: say all, then ask dw_writer_end.  One
 * thread at a time. */
#ifndef DW_AUTH_WRITER_H
#define DW_AUTH_WRITER_H

#include "auth/decision.h"
#include "base/buf.h"

#include <jansson.h>
#include <stdalign.h>

enum { DW_WRITER_SHORT = 16, DW_WRITER_EXACT = 17 };

struct dw_writer {
    void *gen;
    struct dw_buf *out;
    int digits; /* of a real number: DW_WRITER_SHORT for people, DW_WRITER_EXACT to read the very same one back */
    bool failed;
    size_t used;
    alignas(max_align_t) uint8_t memory[2048]; /* the library's state lives here */
};

void dw_writer_begin(struct dw_writer *w, struct dw_buf *out, int digits);
/* 0 when all that was said is in the buffer; -1 when some is not: the buffer's new octets are then good for nothing. */
int dw_writer_end(struct dw_writer *w);

void dw_writer_object(struct dw_writer *w);
void dw_writer_end_object(struct dw_writer *w);
void dw_writer_list(struct dw_writer *w);
void dw_writer_end_list(struct dw_writer *w);

/* In an object, before each value. */
void dw_writer_name(struct dw_writer *w, const char *name);
void dw_writer_name_span(struct dw_writer *w, struct dw_span name);

/* Text, or {"hex":".."} when it is not UTF-8. */
void dw_writer_text(struct dw_writer *w, struct dw_span text);
void dw_writer_integer(struct dw_writer *w, long long value);
void dw_writer_real(struct dw_writer *w, double value);
/* Microseconds, as seconds. */
void dw_writer_time(struct dw_writer *w, long long microseconds);
void dw_writer_flag(struct dw_writer *w, bool value);
void dw_writer_tree(struct dw_writer *w, const json_t *value);

/* A name and a text, when there is a text. */
void dw_writer_put(struct dw_writer *w, const char *name, const char *text);

/* The parts of a journal line.  Secrets are left out. */
void dw_event_write(struct dw_writer *w, const struct dw_event *event);
void dw_decision_write(struct dw_writer *w, const struct dw_decision *d);
void dw_decision_trace_write(struct dw_writer *w, const struct dw_decision *d);

/* What `write` says of `what`, as a tree: a new reference, or NULL. */
json_t *dw_writer_tree_of(void (*write)(struct dw_writer *w, const void *what), const void *what);

#endif
