/* The modules that scripts reach in C: each is opened as lua_CFunction, called with the module's name, and
 * returns the module's table.
 *
 * dw_lua_doors lists those that need nothing but the state, for the host to put into package.preload (or
 * its own `require`); modules that need the host register themselves. */
#ifndef DW_POLICY_DOORS_H
#define DW_POLICY_DOORS_H

#include "auth/principal.h"

#include <lua.h>

struct dw_lua_door {
    const char *module; /* "durward.principal"; NULL ends the table */
    lua_CFunction open;
};

extern const struct dw_lua_door dw_lua_doors[];

int dw_lua_open_principal(lua_State *L);
int dw_lua_open_a2l(lua_State *L);
int dw_lua_open_realms(lua_State *L);
int dw_lua_open_zone(lua_State *L); /* local time */
int dw_lua_open_limit(lua_State *L); /* what is counted for the whole process */
int dw_lua_open_secret(lua_State *L); /* comparing, verifying */
int dw_lua_open_zap(lua_State *L); /* users and certificates from files */
int dw_lua_open_await(lua_State *L); /* durward.await.door */
int dw_lua_open_files(lua_State *L); /* durward.files: tables read from files */
int dw_lua_open_core(lua_State *L); /* decisions, and what the modules in lua/durward need of C */
int dw_lua_open_kit(lua_State *L); /* durward.kit.host: for tools, not within a policy */

/* Pushes a principal object made from `p` (copied: `p` may end afterwards).  Raises when memory is out. */
void dw_lua_push_principal(lua_State *L, const struct dw_principal *p);
/* Parses `name` (default realm as dw_principal_parse has it) and pushes its object; -1 with `err` told and
 * nothing pushed when it is malformed.  Raises when Lua's memory is out, having released what it held. */
int dw_lua_parse_principal(lua_State *L, struct dw_span name, struct dw_span default_realm, struct dw_error *err);
/* The principal object at `index`, or NULL when there is something else.  Valid while the object is. */
const struct dw_principal *dw_lua_to_principal(lua_State *L, int index);

#endif
