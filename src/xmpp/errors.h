/* The words of refusal: stream errors (RFC 6120 section 4.9.3) and SASL failures (section 6.5). */
#ifndef DW_XMPP_ERRORS_H
#define DW_XMPP_ERRORS_H

#include "base/buf.h"

/* Appends <stream:error/> with `condition` and `text` (may be NULL), and the end of the stream.  A condition that the RFC
 * does not know becomes undefined-condition.  -1 when memory is out (nothing was appended). */
int dw_stream_error_put(struct dw_buf *out, const char *condition, const char *text);
bool dw_stream_error_knows(const char *condition);

/* Appends a SASL <failure/>.  -1 as above. */
int dw_sasl_failure_put(struct dw_buf *out, const char *condition);

#endif
