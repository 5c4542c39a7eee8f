/* Values between Lua and JSON: events, decisions, stubs and answers cross so.  All of these may raise. */
#ifndef DW_POLICY_JSON_LUA_H
#define DW_POLICY_JSON_LUA_H

#include <jansson.h>
#include <lua.h>

/* Pushes a userdata that keeps a JSON value (NULL at first) until it is collected. */
json_t **dw_lua_push_json_box(lua_State *L);
/* A new reference, to be put into a box before anything else can raise.  A table with a length is a list;
 * a principal is its name. */
json_t *dw_lua_to_json(lua_State *L, int index);
/* Pushes the value; {"hex":".."}, octets that are not UTF-8, becomes a string again. */
void dw_lua_push_json(lua_State *L, const json_t *json);

#endif
