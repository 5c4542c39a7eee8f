/* A toy in place of the TLS room, so that conversations stay readable: either side says hello (an octet 16), every octet
 * then goes with its highest bit turned over, and an octet 15 says goodbye.  An octet 14 is what no TLS peer would send.
 * Plaintext may not hold the octets 94 to 96. */
#ifndef DW_TESTS_TOY_TLS_H
#define DW_TESTS_TOY_TLS_H

#include "tls/tls.h"

enum { TOY_TLS_CHANGE = 0x80, TOY_TLS_WRONG = 0x14, TOY_TLS_BYE = 0x15, TOY_TLS_HELLO = 0x16 };

struct dw_tls_context *toy_tls_context(void);
/* How many sessions and holds on the context there are now. */
int toy_tls_alive(void);
/* Whether the session was settled, and the name it was made for (NULL: none). */
bool toy_tls_is_settled(const struct dw_tls *tls);
const char *toy_tls_name(const struct dw_tls *tls);

void toy_tls_put(struct dw_buf *out, struct dw_span plain);

#endif
