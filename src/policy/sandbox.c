/* What a policy can reach: Lua without io, os, debug, package and load; no globals of its own; nothing
 * that runs long in C without being counted; nothing shared that it could change. */
#include "base/log.h"
#include "base/text.h"
#include "policy/inside.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>

static const char base_key, env_key, frozen_key;

/* Our own pcall: a limit that was passed is not an error that a script may catch. */

static int finish_pcall(lua_State *L, int status, lua_KContext extra)
{
    if (status != LUA_OK && status != LUA_YIELD) {
        dw_budget_recall(L);
        lua_pushboolean(L, 0);
        lua_pushvalue(L, -2);
        return 2;
    }
    return lua_gettop(L) - (int)extra;
}

static int base_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    return finish_pcall(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, finish_pcall), 0);
}

/* Upvalue: the script's own handler.  When the hook raises, hooks are off until the error is caught, and a
 * handler would run uncounted; so of a limit it is not told. */
static int guarded_handler(lua_State *L)
{
    if (dw_budget_of(L)->hit != DW_LIMIT_NONE)
        return 1;
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

static int base_xpcall(lua_State *L)
{
    int n = lua_gettop(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, guarded_handler, 1);
    lua_replace(L, 2);
    lua_pushboolean(L, 1);
    lua_pushvalue(L, 1);
    lua_rotate(L, 3, 2);
    return finish_pcall(L, lua_pcallk(L, n - 2, LUA_MULTRET, 2, 2, finish_pcall), 2);
}

static bool has_guard(lua_State *L, int index)
{
    if (luaL_getmetafield(L, index, "__metatable") == LUA_TNIL)
        return false;
    lua_pop(L, 1);
    return true;
}

/* Finalizers would run when no hook counts, so there are none. */
static int base_setmetatable(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    int type = lua_type(L, 2);
    luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
    if (has_guard(L, 1))
        return luaL_error(L, "cannot change a protected metatable");
    if (type == LUA_TTABLE) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "a policy may not set __gc");
    }
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

static int base_rawset(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    luaL_checkany(L, 3);
    if (has_guard(L, 1))
        return luaL_error(L, "this table is read-only");
    lua_settop(L, 3);
    lua_rawset(L, 1);
    return 1;
}

static int base_print(lua_State *L)
{
    luaL_Buffer b;
    int n = lua_gettop(L);
    luaL_buffinit(L, &b);
    for (int i = 1; i <= n; i++) {
        if (i > 1)
            luaL_addchar(&b, ' ');
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    size_t len;
    lua_tolstring(L, -1, &len);
    dw_budget_charge(L, DW_LINE_COST + len);
    dw_log(DW_LOG_INFO, "policy prints", "text", lua_tostring(L, -1), NULL);
    return 0;
}

static int charged(lua_State *L)
{
    size_t sum = 0;
    for (int i = lua_gettop(L); i > 0; i--)
        if (lua_type(L, i) == LUA_TSTRING)
            sum += lua_rawlen(L, i);
    dw_budget_charge(L, sum / 16);
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

void dw_lua_push_charged(lua_State *L, lua_CFunction function)
{
    lua_pushcfunction(L, function);
    lua_pushcclosure(L, charged, 1);
}

/* Read-only views. */

static int refuse_write(lua_State *L)
{
    return luaL_error(L, "'%s' cannot be set: this table is read-only", luaL_tolstring(L, 2, NULL));
}

static int view_next(lua_State *L)
{
    lua_settop(L, 2);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_replace(L, 1);
    if (lua_next(L, 1))
        return 2;
    lua_pushnil(L);
    return 1;
}

static int view_pairs(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushcclosure(L, view_next, 1);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

static int view_len(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, lua_upvalueindex(1)));
    return 1;
}

/* What `table` at the top is a view of, pushed; or nothing. */
static bool push_inner(lua_State *L, int index)
{
    if (!lua_getmetatable(L, index))
        return false;
    bool is_view = lua_rawgetp(L, -1, &frozen_key) == LUA_TTABLE;
    lua_remove(L, -2);
    if (!is_view)
        lua_pop(L, 1);
    return is_view;
}

static int base_next(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    if (push_inner(L, 1))
        lua_replace(L, 1);
    if (lua_next(L, 1))
        return 2;
    lua_pushnil(L);
    return 1;
}

static void freeze(lua_State *L, int depth);

/* Tables within it become views in their place. */
static void freeze_inside(lua_State *L, int table, int depth)
{
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1))
        if (lua_istable(L, -1)) {
            freeze(L, depth);
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            lua_rawset(L, table); /* assigning to a field that exists does not disturb lua_next */
        }
}

static void freeze(lua_State *L, int depth)
{
    int inner = lua_gettop(L);
    luaL_checkstack(L, 12, NULL);
    if (depth == 0 || lua_getmetatable(L, inner)) {
        lua_settop(L, inner);
        return;
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &frozen_key);
    lua_pushvalue(L, inner);
    if (lua_rawget(L, -2) == LUA_TNIL) { /* one view for one table */
        lua_pop(L, 1);
        lua_newtable(L);
        lua_createtable(L, 0, 6);
        lua_pushvalue(L, inner);
        lua_setfield(L, -2, "__index");
        lua_pushvalue(L, inner);
        lua_rawsetp(L, -2, &frozen_key);
        lua_pushcfunction(L, refuse_write);
        lua_setfield(L, -2, "__newindex");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
        lua_pushvalue(L, inner);
        lua_pushcclosure(L, view_pairs, 1);
        lua_setfield(L, -2, "__pairs");
        lua_pushvalue(L, inner);
        lua_pushcclosure(L, view_len, 1);
        lua_setfield(L, -2, "__len");
        lua_setmetatable(L, -2);
        lua_pushvalue(L, inner);
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
        freeze_inside(L, inner, depth - 1);
    }
    lua_replace(L, inner);
    lua_settop(L, inner);
}

void dw_sandbox_freeze(lua_State *L)
{
    freeze(L, 32);
}

/* Globals. */

static const char *nearest_global(lua_State *L, const char *name)
{
    const char *names[64];
    size_t count = 0;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &base_key);
    for (lua_pushnil(L); count < 62 && lua_next(L, -2); lua_pop(L, 1))
        names[count++] = lua_tostring(L, -2);
    names[count++] = "require";
    names[count] = NULL;
    return dw_text_nearest(name, names); /* the names live on in the table */
}

static int refuse_read(lua_State *L)
{
    const char *name = luaL_tolstring(L, 2, NULL), *nearest = nearest_global(L, name);
    return nearest ? luaL_error(L, "undefined name '%s', did you mean '%s'?", name, nearest)
                   : luaL_error(L, "undefined name '%s'", name);
}

static int refuse_global(lua_State *L)
{
    return luaL_error(L, "assignment to global '%s': declare it with 'local'", luaL_tolstring(L, 2, NULL));
}

/* An environment is an empty table before the common base, before the complaint; its own `require`
 * stands in a table between. */
void dw_sandbox_env(lua_State *L, const char *folder)
{
    luaL_checkstack(L, 8, NULL);
    lua_newtable(L); /* the environment */
    lua_createtable(L, 0, 3);
    lua_newtable(L); /* what is its own */
    dw_modules_push_require(L, folder);
    lua_setfield(L, -2, "require");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &base_key);
    for (lua_pushnil(L); lua_next(L, -2);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -5);
    }
    lua_pop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &env_key);
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse_global);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}

static void take_from(lua_State *L, const char *const names[])
{
    /* From the library on top into the table below it. */
    for (size_t i = 0; names[i]; i++) {
        lua_getfield(L, -1, names[i]);
        lua_setfield(L, -3, names[i]);
    }
    lua_pop(L, 1);
}

static void push_utf8(lua_State *L)
{
    static const char *const names[] = {"char", "codepoint", "codes", "len", "offset", NULL};
    lua_newtable(L);
    luaopen_utf8(L);
    for (size_t i = 0; names[i]; i++) {
        lua_getfield(L, -1, names[i]);
        dw_lua_push_charged(L, lua_tocfunction(L, -1));
        lua_setfield(L, -4, names[i]);
        lua_pop(L, 1);
    }
    take_from(L, (const char *const[]){"charpattern", NULL});
}

static void set_view(lua_State *L, const char *name)
{
    dw_sandbox_freeze(L);
    lua_setfield(L, -2, name);
}

void dw_sandbox_open(lua_State *L)
{
    static const char *const kept[] = {"assert",   "error",  "getmetatable", "ipairs",   "pairs",  "type",
                                       "rawequal", "rawget", "rawlen",       "tostring", "select", NULL};
    static const luaL_Reg ours[] = {{"pcall", base_pcall},
                                    {"xpcall", base_xpcall},
                                    {"setmetatable", base_setmetatable},
                                    {"rawset", base_rawset},
                                    {"print", base_print},
                                    {"next", base_next},
                                    {NULL, NULL}};
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &frozen_key);
    lua_newtable(L); /* the base */
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &base_key);
    lua_pushcfunction(L, luaopen_base);
    lua_call(L, 0, 1);
    lua_getfield(L, -1, "tonumber");
    dw_lua_push_charged(L, lua_tocfunction(L, -1));
    lua_setfield(L, -4, "tonumber");
    lua_pop(L, 1);
    take_from(L, kept);
    luaL_setfuncs(L, ours, 0);
    lua_pushcfunction(L, luaopen_math);
    lua_call(L, 0, 1);
    set_view(L, "math");
    push_utf8(L);
    set_view(L, "utf8");
    dw_lua_open_strings(L);
    set_view(L, "string");
    dw_lua_open_tables(L);
    set_view(L, "table");
    dw_lua_open_coroutines(L);
    set_view(L, "coroutine");
    lua_pop(L, 1);
    /* What luaopen_base put into the state's own globals is for nobody. */
    lua_newtable(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);

    lua_newtable(L);
    lua_pushcfunction(L, refuse_read);
    lua_setfield(L, -2, "__index");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &env_key);
}
