/* What the parts of lint share: what can be read off a rule, what no name gets to, and what probing shows. */
#ifndef DW_MAP_A2L_LINT_H
#define DW_MAP_A2L_LINT_H

#include "map/a2l_engine.h"

void a2l_found(struct dw_a2l_findings *findings, size_t rule, const char *kind, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Both dialects' rules, seen alike. */
struct a2l_view {
    bool is_default, breaks, bracketed;
    const char *why_broken;
    long components; /* -1: any */
    struct dw_span format, match, raw; /* absent when there is none */
};
struct a2l_view a2l_view_of(const struct dw_a2l *a2l, size_t i);

/* a2l_reach.c: rules that no name gets to. */
void a2l_check_reach(const struct dw_a2l *a2l, struct dw_a2l_findings *findings);
/* a2l_probe.c: maps made-up names and looks at where they end. */
void a2l_probe(struct dw_a2l *a2l, struct dw_a2l_findings *findings);

#endif
