/* Decisions as Lua values: made by durward.allow and its kin or by a rule, immutable afterwards. */
#ifndef DW_POLICY_DECISION_LUA_H
#define DW_POLICY_DECISION_LUA_H

#include "auth/decision.h"

#include <lua.h>

/* Pushes a table with allow, deny and temporary. */
void dw_lua_open_decisions(lua_State *L);
/* Pushes a decision with the fields of the table at index `fields` (which may hold nil); raises when one is
 * mistaken.  `rule` may be NULL. */
void dw_lua_push_decision(lua_State *L, enum dw_verdict verdict, int fields, const char *rule);
/* Pushes "file:line" of the nearest caller that is not one of durward's own modules, or nil. */
void dw_lua_push_culprit(lua_State *L);
bool dw_lua_is_decision(lua_State *L, int index);
/* Copies what stands at `index` into `d`; -1 when memory is out. */
int dw_lua_take_decision(lua_State *L, int index, struct dw_decision *d);
/* The fields of the table that a `realm` hook returned, strictly; raises, naming the field. */
int dw_lua_take_realm(lua_State *L, int index, struct dw_decision *d);

#endif
