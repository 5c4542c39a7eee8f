/* durward.realms: tables of hosts and realms, and the way from realm to realm. */
#include "base/text.h"
#include "map/realms.h"
#include "policy/doors.h"

#include <lauxlib.h>

#define TYPE "durward.realms.table"

enum { REALM_MOST = 1024 };

static struct dw_span span_at(lua_State *L, int index)
{
    size_t len;
    const char *text = lua_tolstring(L, index, &len);
    return dw_span_make(text, len);
}

static struct dw_span check_span(lua_State *L, int index)
{
    luaL_checktype(L, index, LUA_TSTRING);
    return span_at(L, index);
}

static int push_span(lua_State *L, struct dw_span span)
{
    if (span.at)
        lua_pushlstring(L, (const char *)span.at, span.len);
    else
        lua_pushnil(L);
    return 1;
}

/* Room that Lua frees. */
static void *scratch(lua_State *L, size_t count, size_t size)
{
    return lua_newuserdatauv(L, (count + 1) * size, 0);
}

static size_t count_pairs(lua_State *L, int index)
{
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        count++;
    return count;
}

static int make_table(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    size_t count = 0, most = count_pairs(L, 1);
    struct dw_realm_entry *entries = scratch(L, most, sizeof *entries);
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
            return luaL_error(L, "realms.table: takes [\"host or .domain\"] = \"REALM\", not [%s] = %s",
                              luaL_typename(L, -2), luaL_typename(L, -1));
        entries[count++] = (struct dw_realm_entry){span_at(L, -2), span_at(L, -1)};
    }
    struct dw_realm_table **box = lua_newuserdatauv(L, sizeof(struct dw_realm_table *), 0);
    *box = NULL;
    luaL_setmetatable(L, TYPE);
    if (!(*box = dw_realm_table_new(entries, count)))
        return luaL_error(L, "realms.table: out of memory");
    return 1;
}

static int lookup(lua_State *L)
{
    struct dw_realm_table **box = luaL_checkudata(L, 1, TYPE);
    struct dw_span host = check_span(L, 2);
    if (!*box)
        return luaL_error(L, "this table of realms is closed");
    return push_span(L, dw_realm_lookup(*box, host));
}

static int close_table(lua_State *L)
{
    struct dw_realm_table **box = luaL_checkudata(L, 1, TYPE);
    dw_realm_table_free(box);
    return 0;
}

static int index_of(lua_State *L)
{
    luaL_checkudata(L, 1, TYPE);
    if (lua_type(L, 2) != LUA_TSTRING || strcmp(lua_tostring(L, 2), "lookup"))
        return luaL_error(L, "a table of realms has no '%s', only lookup(host)", luaL_tolstring(L, 2, NULL));
    lua_pushcfunction(L, lookup);
    return 1;
}

static void read_fallback(lua_State *L, struct dw_realm_fallback *with)
{
    static const char *const options[] = {"default_realm", "try_domains", "known", NULL};
    luaL_checktype(L, 2, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        if (!strcmp(key, "default_realm") && lua_type(L, -1) == LUA_TSTRING) {
            with->default_realm = span_at(L, -1);
        } else if (!strcmp(key, "try_domains") && lua_isinteger(L, -1)) {
            lua_Integer tries = lua_tointeger(L, -1);
            with->try_domains = tries < -1 ? -1 : tries > DW_REALM_HOST_MAX ? DW_REALM_HOST_MAX : (int)tries;
        } else if (strcmp(key, "known") || !lua_istable(L, -1)) {
            const char *nearest = dw_text_nearest(key, options);
            luaL_error(L, "realms.fallback: option '%s' is unknown or a %s%s%s%s", key, luaL_typename(L, -1),
                       nearest ? ", did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
        }
    }
}

/* fallback(host [, { default_realm=, try_domains=, known={..} }]) -> realm | nil */
static int fallback(lua_State *L)
{
    struct dw_span host = check_span(L, 1);
    struct dw_realm_fallback with = {.try_domains = -1};
    struct dw_buf realm = {0};
    lua_settop(L, 2);
    if (!lua_isnil(L, 2)) {
        read_fallback(L, &with);
        lua_getfield(L, 2, "known");
        size_t most = lua_istable(L, 3) ? lua_rawlen(L, 3) : 0;
        struct dw_span *known = scratch(L, most, sizeof *known);
        for (size_t i = 0; i < most; i++) {
            if (lua_rawgeti(L, 3, (lua_Integer)i + 1) != LUA_TSTRING)
                return luaL_error(L, "realms.fallback: known[%d] is a %s, not a string", (int)i + 1,
                                  luaL_typename(L, -1));
            known[i] = span_at(L, -1);
            lua_pop(L, 1);
        }
        with.known = known;
        with.known_count = most;
    }
    size_t room = (host.len < DW_REALM_HOST_MAX ? host.len : 0) + with.default_realm.len;
    char *copy = scratch(L, room, 1);
    if (dw_realm_fallback(host, &with, &realm) < 0) {
        dw_buf_free(&realm);
        return luaL_error(L, "realms.fallback: out of memory");
    }
    size_t len = dw_buf_len(&realm);
    if (len)
        memcpy(copy, dw_buf_span(&realm).at, len);
    dw_buf_free(&realm);
    return push_span(L, len ? dw_span_make(copy, len) : DW_SPAN_NONE);
}

/* The hops of capaths[client][server], a string or a list of strings; NULL when there are none. */
static struct dw_span *hops_of(lua_State *L, size_t *count)
{
    *count = 0;
    if (lua_isnoneornil(L, 3))
        return NULL;
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_pushvalue(L, 1);
    int type = lua_rawget(L, 3);
    if (type == LUA_TNIL)
        return NULL;
    if (type != LUA_TTABLE) {
        luaL_error(L, "realms.path: capaths[\"%s\"] is a %s, not a table", lua_tostring(L, 1),
                   luaL_typename(L, -1));
        return NULL;
    }
    lua_pushvalue(L, 2);
    type = lua_rawget(L, -2);
    if (type == LUA_TNIL)
        return NULL;
    int at = lua_gettop(L);
    size_t most = type == LUA_TTABLE ? lua_rawlen(L, at) : 1;
    struct dw_span *hops = scratch(L, most, sizeof *hops);
    if (type == LUA_TSTRING)
        hops[(*count)++] = span_at(L, at);
    for (size_t i = 1; type == LUA_TTABLE && i <= most; i++) {
        type = lua_rawgeti(L, at, (lua_Integer)i) == LUA_TSTRING ? LUA_TTABLE : LUA_TNONE;
        hops[(*count)++] = type == LUA_TTABLE ? span_at(L, -1) : DW_SPAN_NONE;
        lua_pop(L, 1);
    }
    if (type != LUA_TSTRING && type != LUA_TTABLE)
        luaL_error(L, "realms.path: capaths[\"%s\"][\"%s\"] is no string and no list of strings",
                   lua_tostring(L, 1), lua_tostring(L, 2));
    return hops;
}

static int path(lua_State *L)
{
    struct dw_span client = check_span(L, 1), server = check_span(L, 2);
    size_t hop_count;
    lua_settop(L, 3);
    if (client.len > REALM_MOST || server.len > REALM_MOST) {
        lua_pushnil(L);
        lua_pushfstring(L, "a realm is longer than %d octets", REALM_MOST);
        return 2;
    }
    const struct dw_span *hops = hops_of(L, &hop_count);
    struct dw_span *realms = scratch(L, dw_realm_path_max(client, server, hop_count), sizeof *realms);
    size_t count = dw_realm_path(client, server, hops, hop_count, realms);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        push_span(L, realms[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

int dw_lua_open_realms(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"table", make_table}, {"path", path}, {"fallback", fallback}, {NULL, NULL}};
    static const luaL_Reg meta[] = {{"__index", index_of}, {"__gc", close_table}, {NULL, NULL}};
    if (luaL_newmetatable(L, TYPE)) {
        luaL_setfuncs(L, meta, 0);
        lua_pushliteral(L, TYPE);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
