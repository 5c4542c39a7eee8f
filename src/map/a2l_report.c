/* The trace of a mapping: see a2l.h.  Its text lives in blocks that are freed together. */
#include "base/text.h"
#include "map/a2l_engine.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct dw_a2l_block {
    struct dw_a2l_block *next;
    alignas(16) uint8_t bytes[];
};

void *a2l_report_room(struct dw_a2l_report *report, size_t size)
{
    struct dw_a2l_block *block = calloc(1, sizeof *block + size + 1);
    if (!block) {
        report->incomplete = true;
        return NULL;
    }
    block->next = report->blocks;
    report->blocks = block;
    return block->bytes;
}

void dw_a2l_report_free(struct dw_a2l_report *report)
{
    while (report->blocks) {
        struct dw_a2l_block *gone = report->blocks;
        report->blocks = gone->next;
        free(gone);
    }
    free(report->steps);
    *report = (struct dw_a2l_report){0};
}

struct dw_span a2l_keep(struct dw_a2l_report *report, struct dw_span text)
{
    uint8_t *at = text.at ? a2l_report_room(report, text.len) : NULL;
    if (!at)
        return DW_SPAN_NONE;
    if (text.len)
        memcpy(at, text.at, text.len);
    return dw_span_make(at, text.len);
}

static struct dw_span keep_formatted(struct dw_a2l_report *report, const char *format, va_list args)
{
    char *text = NULL;
    int len = vasprintf(&text, format, args);
    if (len < 0) {
        report->incomplete = true;
        return DW_SPAN_NONE;
    }
    struct dw_span kept = a2l_keep(report, dw_span_make(text, (size_t)len));
    free(text);
    return kept;
}

struct dw_span a2l_keepf(struct dw_a2l_report *report, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct dw_span kept = keep_formatted(report, format, args);
    va_end(args);
    return kept;
}

static struct dw_a2l_step *last_step(struct a2l_run *run)
{
    struct dw_a2l_report *report = run->report;
    return report && report->count && !report->incomplete ? &report->steps[report->count - 1] : NULL;
}

void a2l_trace_rule(struct a2l_run *run, size_t rule, struct dw_span text, size_t edits)
{
    struct dw_a2l_report *report = run->report;
    if (!report || report->incomplete)
        return;
    struct dw_a2l_step *steps = realloc(report->steps, (report->count + 1) * sizeof *steps);
    if (!steps) {
        report->incomplete = true;
        return;
    }
    report->steps = steps;
    steps[report->count] = (struct dw_a2l_step){.rule = rule, .text = a2l_keep(report, text)};
    if (edits)
        steps[report->count].edits = a2l_report_room(report, edits * sizeof(struct dw_a2l_edit));
    report->count++;
}

void a2l_trace_selection(struct a2l_run *run, struct dw_span selection)
{
    struct dw_a2l_step *step = last_step(run);
    if (step)
        step->selection = a2l_keep(run->report, selection);
}

void a2l_trace_pattern(struct a2l_run *run, struct dw_span pattern)
{
    struct dw_a2l_step *step = last_step(run);
    if (step)
        step->pattern = a2l_keep(run->report, pattern);
}

void a2l_trace_edit(struct a2l_run *run, const struct dw_a2l_edit *edit)
{
    struct dw_a2l_step *step = last_step(run);
    if (!step || !step->edits)
        return;
    struct dw_a2l_edit *kept = &step->edits[step->edit_count++];
    *kept = *edit;
    kept->pattern = a2l_keep(run->report, edit->pattern);
    kept->with = a2l_keep(run->report, edit->with);
    kept->before = a2l_keep(run->report, edit->before);
    kept->after = a2l_keep(run->report, edit->after);
}

void a2l_trace_user(struct a2l_run *run, struct dw_span user)
{
    struct dw_a2l_step *step = last_step(run);
    if (step)
        step->user = a2l_keep(run->report, user);
}

void a2l_trace_end(struct a2l_run *run, enum dw_a2l_outcome outcome, const char *format, ...)
{
    struct dw_a2l_step *step = last_step(run);
    if (!step)
        return;
    va_list args;
    va_start(args, format);
    step->outcome = outcome;
    step->why = keep_formatted(run->report, format, args);
    va_end(args);
}

const char *a2l_show(struct a2l_shown *into, struct dw_span text)
{
    struct dw_buf quoted = {0};
    bool cut = text.len > 80;
    dw_text_quote(&quoted, dw_span_make(text.at, cut ? 80 : text.len));
    snprintf(into->text, sizeof into->text, "%.*s%s", (int)dw_buf_len(&quoted),
             (const char *)dw_buf_span(&quoted).at, cut ? ".." : "");
    dw_buf_free(&quoted);
    return into->text;
}

enum dw_a2l_code a2l_fail(struct a2l_run *run, enum dw_a2l_code code, const char *format, ...)
{
    char text[360];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    enum dw_error_kind kind = code == DW_A2L_LIMIT    ? DW_ERROR_LIMIT
                              : code == DW_A2L_FAILED ? DW_ERROR_INTERNAL
                                                      : DW_ERROR_DENIED;
    dw_error_set(run->err, kind, "%s (%s)", text, dw_a2l_code_word(code));
    return code;
}
