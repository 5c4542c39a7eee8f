/* Guards of endpoints whose handler was stopped: libzmq without a ZAP handler lets clients in unasked, so until the
 * context ends, or another handler takes over, a guard refuses every request as temporary.
 *
 * There is one list of them for the process.  Any thread. */
#ifndef DW_LIB_GUARD_H
#define DW_LIB_GUARD_H

#include "lib/inproc.h"

/* Takes the endpoint of `context`.  When there are no means for a guard the endpoint is closed, which the log tells. */
void dw_guard_post(void *context, struct dw_inproc *endpoint);
/* Gives back the endpoint of `context` and ends its guard; false when there is none. */
bool dw_guard_relieve(void *context, struct dw_inproc *endpoint);
int dw_guard_count(void);

#endif
