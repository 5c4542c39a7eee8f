/* The shadow policy: another policy that is asked what the live one decided, with no effect.
 *
 * It has a thread of its own, so that no login waits for it or fails by it: what the live policy decided is
 * copied and queued (at most DW_SHADOW_MOST; what comes then is counted as lost), asked again, and where verdict,
 * user or backend differ one line of kind "shadow" goes into the journal.  Look-ups are answered as the live
 * policy's were; one that it did not make has no answer.  What it counts in durward.limit is its own. */
#ifndef DW_NET_SHADOW_H
#define DW_NET_SHADOW_H

#include "auth/journal.h"
#include "config/config.h"
#include "net/tally.h"

enum { DW_SHADOW_MOST = 1000 };

struct dw_shadow;

/* Both outlive it.  NULL when memory is out. */
struct dw_shadow *dw_shadow_new(struct dw_tally *tally);
/* After the last dw_shadow_look: what is queued is dropped. */
void dw_shadow_free(struct dw_shadow **shadow);

/* From now on it asks what `config` names as shadow, or nobody.  Whatever is wrong with that is logged, and no
 * reason not to serve. */
void dw_shadow_adopt(struct dw_shadow *shadow, const struct dw_config *config);
/* What was decided just now.  Any thread; nothing when no shadow is set, or no policy decided it. */
void dw_shadow_look(struct dw_shadow *shadow, struct dw_journal *journal, const struct dw_event *event,
                    const struct dw_decision *decision);

#endif
