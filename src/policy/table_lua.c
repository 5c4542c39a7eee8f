/* The table library, with every loop counted: a length may be a lie of __len, and no hook stops C. */
#include "policy/inside.h"

#include <lauxlib.h>
#include <limits.h>

static lua_Integer length(lua_State *L, int table)
{
    luaL_checktype(L, table, LUA_TTABLE);
    return luaL_len(L, table);
}

/* Charges for `count` steps, which may be any number that a script wrote. */
static void charge(lua_State *L, lua_Unsigned count)
{
    dw_budget_charge(L, count > LONG_MAX ? LONG_MAX : (size_t)count);
}

static int insert(lua_State *L)
{
    lua_Integer n = length(L, 1);
    if (n >= LUA_MAXINTEGER - 1)
        return luaL_error(L, "the table is too long");
    lua_Integer at = n + 1;
    if (lua_gettop(L) == 3) {
        at = luaL_checkinteger(L, 2);
        luaL_argcheck(L, at >= 1 && at <= n + 1, 2, "position out of bounds");
        charge(L, (lua_Unsigned)(n + 1 - at));
        for (lua_Integer i = n + 1; i > at; i--) {
            lua_geti(L, 1, i - 1);
            lua_seti(L, 1, i);
        }
    } else if (lua_gettop(L) != 2) {
        return luaL_error(L, "wrong number of arguments to 'insert'");
    }
    lua_seti(L, 1, at);
    return 0;
}

static int take_out(lua_State *L)
{
    lua_Integer n = length(L, 1), at = luaL_optinteger(L, 2, n);
    if (lua_gettop(L) > 1)
        luaL_argcheck(L, (lua_Unsigned)at - 1u <= (lua_Unsigned)n, 2, "position out of bounds");
    lua_geti(L, 1, at);
    if (n > at)
        charge(L, (lua_Unsigned)(n - at));
    for (; at < n; at++) {
        lua_geti(L, 1, at + 1);
        lua_seti(L, 1, at);
    }
    lua_pushnil(L);
    lua_seti(L, 1, at);
    return 1;
}

static int concat(lua_State *L)
{
    lua_Integer n = length(L, 1);
    size_t sep_len, len;
    const char *sep = luaL_optlstring(L, 2, "", &sep_len);
    lua_Integer first = luaL_optinteger(L, 3, 1), last = luaL_optinteger(L, 4, n);
    luaL_Buffer b;
    lua_settop(L, 4);
    luaL_buffinit(L, &b);
    for (lua_Integer i = first; i <= last; i++) {
        lua_geti(L, 1, i);
        if (!lua_isstring(L, -1))
            return luaL_error(L, "invalid value (at index %I) in table for 'concat'", (LUAI_UACINT)i);
        lua_tolstring(L, -1, &len);
        luaL_addvalue(&b);
        dw_budget_charge(L, 1 + (len + sep_len) / 16);
        if (i == last)
            break;
        luaL_addlstring(&b, sep, sep_len);
    }
    luaL_pushresult(&b);
    return 1;
}

static int pack(lua_State *L)
{
    int n = lua_gettop(L);
    dw_budget_charge(L, (size_t)n);
    lua_createtable(L, n, 1);
    lua_insert(L, 1);
    for (int i = n; i >= 1; i--)
        lua_seti(L, 1, i);
    lua_pushinteger(L, n);
    lua_setfield(L, 1, "n");
    return 1;
}

static int unpack(lua_State *L)
{
    lua_Integer first = luaL_optinteger(L, 2, 1);
    lua_Integer last = lua_isnoneornil(L, 3) ? luaL_len(L, 1) : luaL_checkinteger(L, 3);
    if (first > last)
        return 0;
    lua_Unsigned count = (lua_Unsigned)last - (lua_Unsigned)first;
    if (count >= 100000 || !lua_checkstack(L, (int)count + 1))
        return luaL_error(L, "too many results to unpack");
    charge(L, count);
    for (; first < last; first++)
        lua_geti(L, 1, first);
    lua_geti(L, 1, last);
    return (int)count + 1;
}

static int move(lua_State *L)
{
    lua_Integer first = luaL_checkinteger(L, 2), last = luaL_checkinteger(L, 3), to = luaL_checkinteger(L, 4);
    int target = lua_isnoneornil(L, 5) ? 1 : 5;
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, target, LUA_TTABLE);
    if (last >= first) {
        luaL_argcheck(L, first > 0 || last < LUA_MAXINTEGER + first, 3, "too many elements to move");
        lua_Integer count = last - first + 1;
        luaL_argcheck(L, to <= LUA_MAXINTEGER - count + 1, 4, "destination wrap around");
        charge(L, (lua_Unsigned)count);
        bool overlaps = to > first && to <= last && (target == 1 || lua_compare(L, 1, target, LUA_OPEQ));
        for (lua_Integer k = 0; k < count; k++) {
            lua_Integer i = overlaps ? count - 1 - k : k;
            lua_geti(L, 1, first + i);
            lua_seti(L, target, to + i);
        }
    }
    lua_pushvalue(L, target);
    return 1;
}

/* Heap sort: n log n whatever the comparator says, and never outside the list. */

static bool less(lua_State *L, int a, int b)
{
    dw_budget_charge(L, 2);
    if (lua_isnil(L, 2))
        return lua_compare(L, a, b, LUA_OPLT);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, a - 1);
    lua_pushvalue(L, b - 2);
    lua_call(L, 2, 1);
    bool result = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return result;
}

/* Sinks the value on top from `root` in a heap of `n`; pops it. */
static void sift(lua_State *L, lua_Integer root, lua_Integer n)
{
    for (lua_Integer child; (child = 2 * root) <= n; root = child) {
        lua_geti(L, 1, child);
        if (child < n) {
            lua_geti(L, 1, child + 1);
            if (less(L, -2, -1)) {
                lua_replace(L, -2);
                child++;
            } else {
                lua_pop(L, 1);
            }
        }
        if (!less(L, -2, -1)) {
            lua_pop(L, 1);
            break;
        }
        lua_seti(L, 1, root);
    }
    lua_seti(L, 1, root);
}

static int sort(lua_State *L)
{
    lua_Integer n = length(L, 1);
    luaL_argcheck(L, n < INT_MAX, 1, "array too big");
    if (!lua_isnoneornil(L, 2))
        luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    if (n > 0)
        charge(L, (lua_Unsigned)n);
    for (lua_Integer root = n / 2; root >= 1; root--) {
        lua_geti(L, 1, root);
        sift(L, root, n);
    }
    for (; n > 1; n--) {
        lua_geti(L, 1, n);
        lua_geti(L, 1, 1);
        lua_seti(L, 1, n);
        sift(L, 1, n - 1);
    }
    return 0;
}

void dw_lua_open_tables(lua_State *L)
{
    static const luaL_Reg ours[] = {{"insert", insert}, {"remove", take_out}, {"concat", concat}, {"pack", pack},
                                    {"unpack", unpack}, {"move", move},       {"sort", sort},     {NULL, NULL}};
    luaL_newlib(L, ours);
}
