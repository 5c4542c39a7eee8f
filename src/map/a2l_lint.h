/* What the two halves of lint share: what can be read off a rule, and what probing the rules shows. */
#ifndef DW_MAP_A2L_LINT_H
#define DW_MAP_A2L_LINT_H

#include "map/a2l_engine.h"

void a2l_found(struct dw_a2l_findings *findings, size_t rule, const char *kind, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* a2l_probe.c: maps made-up names and looks at where they end. */
void a2l_probe(struct dw_a2l *a2l, struct dw_a2l_findings *findings);

#endif
