/* Octets as text: hex, UTF-8, escapes, the nearest word to a mistyped one, and the clock as ISO 8601. */
#ifndef DW_BASE_TEXT_H
#define DW_BASE_TEXT_H

#include "base/buf.h"

/* Well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates. */
bool dw_text_is_utf8(struct dw_span text);
/* Has an octet below 0x20, or DEL, or a C1 control (U+0080..U+009F) when read as UTF-8. */
bool dw_text_has_control(struct dw_span text);

/* Appends lower-case hex. */
int dw_text_hex(struct dw_buf *out, struct dw_span bytes);
/* Appends the octets that `hex` spells; -1 when it has an odd length or another character. */
int dw_text_unhex(struct dw_buf *out, struct dw_span hex);

/* Appends `text` fit for one line of a log: bare when plain, else in double quotes with \n, \xNN, .. */
int dw_text_quote(struct dw_buf *out, struct dw_span text);

/* Of `words` (NULL ends the list) the one nearest to `word`, or NULL when none is near enough to name. */
const char *dw_text_nearest(const char *word, const char *const words[]);

/* "2026-11-22T10:00:00.123Z" of microseconds since 1970, into 32 octets. */
const char *dw_text_time(char into[32], long long microseconds);

/* A duplicate with a NUL added; NULL when memory is out, or for an absent span. */
char *dw_text_dup(struct dw_span text);

#endif
