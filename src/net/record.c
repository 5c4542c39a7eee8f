/* A decision and what goes with it: see record.h. */
#include "net/record.h"

#include "base/log.h"
#include "base/text.h"

#include <stdlib.h>

void dw_record_decision(struct dw_tally *tally, struct dw_shadow *shadow, struct dw_journal *journal,
                        const struct dw_event *event, struct dw_decision *d)
{
    struct dw_error err = {0};
    dw_shadow_look(shadow, journal, event, d);
    if (journal && dw_journal_write(journal, event, d, &err) < 0) {
        dw_tally_add(tally, DW_COUNT_JOURNAL_FAILED, 1);
        dw_log(DW_LOG_ERROR, "the journal cannot be written, the decision is temporary", "id", event->id,
               "listener", event->listener, "why", err.detail, NULL);
        dw_decision_refuse(d, DW_TEMPORARY, "the journal cannot be written");
    }
    dw_tally_add(tally,
                 d->verdict == DW_ALLOW  ? DW_COUNT_ALLOWED
                 : d->verdict == DW_DENY ? DW_COUNT_DENIED
                                         : DW_COUNT_TEMPORARY,
                 1);
    const char *why = d->rule ? d->rule : d->reason ? d->reason : dw_verdict_word(d->verdict);
    dw_tally_note(tally, DW_NOTE_REASON, why, 1);
    if (d->verdict == DW_ALLOW)
        return;
    char *principal = dw_text_dup(event->principal);
    dw_log(DW_LOG_WARN, d->verdict == DW_DENY ? "denied" : "temporary", "id", event->id, "listener",
           event->listener, "peer", event->peer.address, "principal", principal, "stage",
           dw_stage_word(event->stage), "user", d->user, "rule", d->rule, "reason", d->reason, NULL);
    free(principal);
}
