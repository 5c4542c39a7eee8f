/* Passwords against hashes of crypt(3): yescrypt, bcrypt, SHA-512, SHA-256, at a price that a login may have. */
#ifndef DW_POLICY_SECRET_H
#define DW_POLICY_SECRET_H

#include "base/span.h"

#include <lua.h>

/* 1: it is the password, 0: it is not; -1 with `why` told, static text, when the hash is not to be used. */
int dw_secret_verify(struct dw_span secret, const char *hash, const char **why);

/* The same for scripts, `hash` being a stack index: pushes true, false, or nil and why; returns how many. */
int dw_lua_verify(lua_State *L, struct dw_span secret, int hash);
/* event_lua.c: the octets of the secret at `index`, or none when something else is there.  They live as long as
 * the event does. */
struct dw_span dw_lua_to_secret(lua_State *L, int index);

#endif
