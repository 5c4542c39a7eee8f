/* durward.limit: counting for the whole process.
 *
 *   bucket { name=, count=, per=, burst=, key= }   a matcher: true and a token taken, or false and when
 *   failures { name=, most=, per=, key= }          a table: within (a matcher), add(event), clear(event)
 *
 * This is the part in C: take, add and clear by name and key; limit.lua has the words. */
#include "policy/doors.h"
#include "policy/inside.h"
#include "policy/limits.h"

#include <arpa/inet.h>
#include <lauxlib.h>

static struct dw_span span_at(lua_State *L, int index)
{
    size_t len;
    const char *text = luaL_checklstring(L, index, &len);
    return dw_span_make(text, len);
}

/* name and key, both text, at 1 and 2. */
static struct dw_limits_key check_key(lua_State *L)
{
    struct dw_limits_key key;
    struct dw_span scope = DW_SPAN_OF("");
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &dw_host_key) != LUA_TNIL) {
        dw_budget_charge(L, lua_rawlen(L, 2) / 16 + 20);
        scope = dw_span_str(dw_host_of(L)->scope);
    }
    lua_pop(L, 1);
    if (dw_limits_key(&key, scope, span_at(L, 1), span_at(L, 2)) < 0)
        luaL_error(L, "out of memory");
    return key;
}

/* take(name, key, most, rate, now): seconds to wait; 0: taken */
static int limit_take(lua_State *L)
{
    struct dw_limits_key key = check_key(L);
    lua_pushnumber(L, dw_limits_take(&key, luaL_checknumber(L, 3), luaL_checknumber(L, 4), luaL_checknumber(L, 5)));
    return 1;
}

/* add(name, key, n, seconds, now): the count */
static int limit_add(lua_State *L)
{
    struct dw_limits_key key = check_key(L);
    lua_pushnumber(L, dw_limits_add(&key, luaL_checknumber(L, 3), luaL_checknumber(L, 4), luaL_checknumber(L, 5)));
    return 1;
}

static int limit_clear(lua_State *L)
{
    struct dw_limits_key key = check_key(L);
    dw_limits_clear(&key);
    return 0;
}

/* network(address): an IPv6 address by its first 64 bits, since one customer has them all; others as they are. */
static int limit_network(lua_State *L)
{
    struct in6_addr six;
    char text[INET6_ADDRSTRLEN];
    const char *address = luaL_checkstring(L, 1);
    if (inet_pton(AF_INET6, address, &six) == 1 && !IN6_IS_ADDR_V4MAPPED(&six)) {
        memset(six.s6_addr + 8, 0, 8);
        lua_pushfstring(L, "%s/64", inet_ntop(AF_INET6, &six, text, sizeof text));
    } else {
        lua_settop(L, 1);
    }
    return 1;
}

int dw_lua_open_limit(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"take", limit_take}, {"add", limit_add}, {"clear", limit_clear}, {"network", limit_network}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
