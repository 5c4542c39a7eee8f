/* A decision is journalled before its effect, counted, and a refusal logged: of every front. */
#ifndef DW_NET_RECORD_H
#define DW_NET_RECORD_H

#include "net/shadow.h"

/* One that cannot be written becomes temporary.  `journal` may be NULL.  Any thread. */
void dw_record_decision(struct dw_tally *tally, struct dw_shadow *shadow, struct dw_journal *journal,
                        const struct dw_event *event, struct dw_decision *decision);

#endif
