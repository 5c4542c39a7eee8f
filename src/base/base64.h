/* Base64 (RFC 4648 section 4), read strictly: the whole text, padded, with no other character and no stray bits. */
#ifndef DW_BASE_BASE64_H
#define DW_BASE_BASE64_H

#include "base/buf.h"

/* Appends; -1 when memory is out (nothing was appended). */
int dw_base64_put(struct dw_buf *out, struct dw_span octets);
/* Appends the octets that `text` spells; -1 when it spells none, or memory is out (nothing was appended). */
int dw_base64_take(struct dw_buf *out, struct dw_span text);

#endif
