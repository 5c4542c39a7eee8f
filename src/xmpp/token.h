/* What stands in for a password at a backend: an HS256 JWT (ejabberd's auth_method jwt), or a one-use token of our own
 * (Prosody with our provider, lua/prosody).  Short-lived; made for one login. */
#ifndef DW_XMPP_TOKEN_H
#define DW_XMPP_TOKEN_H

#include "base/buf.h"
#include "base/error.h"

/* The secret that a file spells, appended to `out`: what an ejabberd reads as its jwt_key (a JWK, {"kty":"oct","k":..}:
 * one file serves both), else its octets as they are but for line ends at the end.  -1 with `err` told: a JWK of another
 * kind, fewer than 16 octets (a guess away), or memory.  It is yours to wipe. */
int dw_token_secret(struct dw_span file, struct dw_buf *out, struct dw_error *err);

/* {"jid":"alice@example.com","exp":..} signed with `secret`; `now` in seconds since 1970. */
int dw_token_jwt(struct dw_span secret, const char *jid, double now, unsigned seconds, struct dw_buf *out,
                 struct dw_error *err);
/* "v1.<exp>.<nonce>.<hmac>": the HMAC-SHA256, in hex, of "v1.<exp>.<nonce>.<jid>". */
int dw_token_one_use(struct dw_span secret, const char *jid, double now, unsigned seconds, struct dw_buf *out,
                     struct dw_error *err);

#endif
