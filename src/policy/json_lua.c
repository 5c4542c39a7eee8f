/* Values between Lua and JSON: events, decisions, stubs and answers cross so. */
#include "policy/json_lua.h"

#include "auth/journal.h"
#include "base/text.h"
#include "policy/doors.h"

#include <lauxlib.h>
#include <math.h>

enum { DEPTH = 16 };

/* Lua to JSON.  Runs protected by the caller's own pcall; what was made is kept in a box until then. */

static json_t *from_lua(lua_State *L, int index, int depth);

static int box_free(lua_State *L)
{
    json_t **box = lua_touserdata(L, 1);
    json_decref(*box);
    *box = NULL;
    return 0;
}

json_t **dw_lua_push_json_box(lua_State *L)
{
    json_t **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    if (luaL_newmetatable(L, "durward.json")) {
        lua_pushcfunction(L, box_free);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return box;
}

static json_t *table_from_lua(lua_State *L, int index, int depth)
{
    json_t **box = dw_lua_push_json_box(L), *value;
    luaL_checkstack(L, 8, "nested too deeply");
    if (lua_rawlen(L, index) > 0) {
        *box = json_array();
        for (lua_Integer i = 1; lua_rawgeti(L, index, i) != LUA_TNIL; i++, lua_pop(L, 1)) {
            value = from_lua(L, lua_gettop(L), depth - 1);
            if (json_array_append_new(*box, value) < 0)
                luaL_error(L, "out of memory");
        }
        lua_pop(L, 1);
    } else {
        *box = json_object();
        for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
            if (lua_type(L, -2) != LUA_TSTRING)
                luaL_error(L, "a field is named by a string, not a %s", luaL_typename(L, -2));
            value = from_lua(L, lua_gettop(L), depth - 1);
            if (json_object_set_new(*box, lua_tostring(L, -2), value) < 0)
                luaL_error(L, "the field name is not UTF-8");
        }
    }
    json_t *out = *box;
    *box = NULL;
    lua_pop(L, 1);
    return out;
}

static json_t *from_lua(lua_State *L, int index, int depth)
{
    size_t len;
    const char *text;
    if (depth == 0)
        luaL_error(L, "it is nested too deeply");
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN: return json_boolean(lua_toboolean(L, index));
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            return json_integer(lua_tointeger(L, index));
        if (!isfinite(lua_tonumber(L, index)))
            luaL_error(L, "a number is not finite");
        return json_real(lua_tonumber(L, index));
    case LUA_TSTRING: text = lua_tolstring(L, index, &len); return dw_text_to_json(dw_span_make(text, len));
    case LUA_TTABLE: return table_from_lua(L, index, depth);
    case LUA_TUSERDATA:
        if (dw_lua_to_principal(L, index)) {
            text = luaL_tolstring(L, index, &len);
            json_t *name = dw_text_to_json(dw_span_make(text, len));
            lua_pop(L, 1);
            return name;
        }
        break;
    }
    luaL_error(L, "a %s has no place here", luaL_typename(L, index));
    return NULL;
}

/* JSON to Lua; octets that JSON cannot carry become a string again. */
void dw_lua_push_json(lua_State *L, const json_t *json)
{
    const char *key;
    json_t *value, *hex;
    size_t i;
    struct dw_buf bytes = {0};
    luaL_checkstack(L, 4, NULL);
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        hex = json_object_size(json) == 1 ? json_object_get(json, "hex") : NULL;
        if (hex) {
            int failed = dw_text_unhex(&bytes, dw_span_make(json_string_value(hex), json_string_length(hex)));
            lua_pushlstring(L, (const char *)dw_buf_span(&bytes).at, failed ? 0 : dw_buf_len(&bytes));
            dw_buf_free(&bytes);
            return;
        }
        lua_newtable(L);
        json_object_foreach((json_t *)(uintptr_t)json, key, value)
        {
            dw_lua_push_json(L, value);
            lua_setfield(L, -2, key);
        }
        return;
    case JSON_ARRAY:
        lua_newtable(L);
        json_array_foreach(json, i, value)
        {
            dw_lua_push_json(L, value);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        return;
    case JSON_STRING: lua_pushlstring(L, json_string_value(json), json_string_length(json)); return;
    case JSON_INTEGER: lua_pushinteger(L, json_integer_value(json)); return;
    case JSON_REAL: lua_pushnumber(L, json_real_value(json)); return;
    case JSON_TRUE:
    case JSON_FALSE: lua_pushboolean(L, json_is_true(json)); return;
    case JSON_NULL: lua_pushnil(L); return;
    }
}

json_t *dw_lua_to_json(lua_State *L, int index)
{
    return from_lua(L, lua_absindex(L, index), DEPTH);
}
