/* Passwords against hashes of crypt(3): yescrypt, bcrypt, SHA-512, SHA-256, at a price that a login may have. */
#ifndef DW_POLICY_SECRET_H
#define DW_POLICY_SECRET_H

#include "policy/want.h"

#include <lua.h>

/* NULL, or why a hash is not to be used; static text.  Cheap. */
const char *dw_secret_complaint(const char *hash);
/* 1: it is the password, 0: it is not; -1 with `why` told, static text, when the hash is not to be used.  Takes up to a
 * third of a second, on any thread. */
int dw_secret_verify(struct dw_span secret, const char *hash, const char **why);
/* The same as the answer to a DW_WANT_PASSWORD. */
void dw_secret_answer(const struct dw_want *want, struct dw_answer *answer);

/* What a trace calls a hash, which does not stand in it: its kind, and a few digits of its digest. */
enum { DW_SECRET_NAME = 24 };
const char *dw_secret_name(const char *hash, char into[DW_SECRET_NAME]);

/* For scripts, `hash` being a stack index: pushes true, false, or nil and why, and returns how many; or waits, and
 * `then` is called, which pushes them with dw_lua_verified.  The trace has it as `source` and `key`, the user; without
 * a key as the hash's name. */
int dw_lua_verify(lua_State *L, struct dw_span secret, int hash, const char *source, const char *key,
                  lua_KFunction then);
int dw_lua_verified(lua_State *L, lua_KContext ticket);
/* With nothing to be done after it. */
int dw_lua_verify_secret(lua_State *L, struct dw_span secret, int hash);
/* event_lua.c: the octets of the secret at `index`, or none when something else is there.  They live as long as
 * the event does. */
struct dw_span dw_lua_to_secret(lua_State *L, int index);

#endif
