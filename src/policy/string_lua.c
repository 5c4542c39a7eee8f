/* The string library: Lua's where it runs in proportion to its arguments, which are charged for; ours where
 * a script could make it run long in C (rep, and all that takes patterns). */
#include "policy/inside.h"
#include "policy/pattern.h"

#include <lauxlib.h>
#include <limits.h>
#include <lualib.h>

enum { STEPS = 4 }; /* of a pattern for one instruction */

static struct dw_span check_span(lua_State *L, int arg)
{
    size_t len;
    const char *at = luaL_checklstring(L, arg, &len);
    return dw_span_make(at, len);
}

/* Where a search starts, as an offset; past the end: len + 1. */
static size_t offset(lua_Integer init, size_t len)
{
    if (init > 0)
        return (size_t)init - 1 > len ? len + 1 : (size_t)init - 1;
    if (init == 0 || init < -(lua_Integer)len)
        return 0;
    return len - (size_t)-init;
}

/* One search within the call's budget; raises when the pattern is wrong or the budget is spent. */
static bool search(lua_State *L, struct dw_pattern *m, struct dw_span s, struct dw_span p, size_t from,
                   bool anchored)
{
    struct dw_budget *b = dw_budget_of(L);
    long had = b->deadline && b->left < LONG_MAX / STEPS ? b->left * STEPS : LONG_MAX;
    m->steps = had;
    enum dw_pattern_end end = dw_pattern_find(m, s, p, from, anchored);
    if (end == DW_PATTERN_BAD)
        luaL_error(L, "%s", m->wrong);
    dw_budget_charge(L, end == DW_PATTERN_WEARY ? LONG_MAX : (size_t)(had - m->steps) / STEPS);
    return end == DW_PATTERN_YES;
}

static void push_capture(lua_State *L, const struct dw_pattern *m, int i)
{
    if (i >= m->count) {
        if (i != 0)
            luaL_error(L, "invalid capture index %%%d", i + 1);
        lua_pushlstring(L, (const char *)m->start, (size_t)(m->stop - m->start));
    } else if (m->captures[i].len == DW_CAPTURE_OPEN) {
        luaL_error(L, "unfinished capture");
    } else if (m->captures[i].len == DW_CAPTURE_PLACE) {
        lua_pushinteger(L, m->captures[i].at - m->subject + 1);
    } else {
        lua_pushlstring(L, (const char *)m->captures[i].at, (size_t)m->captures[i].len);
    }
}

static int push_captures(lua_State *L, const struct dw_pattern *m, bool whole_too)
{
    int count = m->count == 0 && whole_too ? 1 : m->count;
    luaL_checkstack(L, count, "too many captures");
    for (int i = 0; i < count; i++)
        push_capture(L, m, i);
    return count;
}

static bool take_anchor(struct dw_span *p)
{
    if (p->len == 0 || p->at[0] != '^')
        return false;
    *p = dw_span_make(p->at + 1, p->len - 1);
    return true;
}

static int find_plain(lua_State *L, struct dw_span s, struct dw_span p, size_t from)
{
    dw_budget_charge(L, (s.len - from) / 16);
    const uint8_t *at = p.len == 0 ? s.at + from : memmem(s.at + from, s.len - from, p.at, p.len);
    if (!at) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, at - s.at + 1);
    lua_pushinteger(L, at - s.at + (lua_Integer)p.len);
    return 2;
}

static int find_or_match(lua_State *L, bool find)
{
    struct dw_span s = check_span(L, 1), p = check_span(L, 2);
    size_t from = offset(luaL_optinteger(L, 3, 1), s.len);
    if (from > s.len) {
        lua_pushnil(L);
        return 1;
    }
    if (find && (lua_toboolean(L, 4) || dw_pattern_is_plain(p)))
        return find_plain(L, s, p, from);
    struct dw_pattern m;
    bool anchored = take_anchor(&p);
    if (!search(L, &m, s, p, from, anchored)) {
        lua_pushnil(L);
        return 1;
    }
    if (!find)
        return push_captures(L, &m, true);
    lua_pushinteger(L, m.start - s.at + 1);
    lua_pushinteger(L, m.stop - s.at);
    return 2 + push_captures(L, &m, false);
}

static int find(lua_State *L)
{
    return find_or_match(L, true);
}

static int match(lua_State *L)
{
    return find_or_match(L, false);
}

/* Upvalues: subject, pattern, offset to go on from, where the last match ended (-1: none yet). */
static int gmatch_next(lua_State *L)
{
    struct dw_span s = check_span(L, lua_upvalueindex(1)), p = check_span(L, lua_upvalueindex(2));
    lua_Integer from = lua_tointeger(L, lua_upvalueindex(3)), last = lua_tointeger(L, lua_upvalueindex(4));
    struct dw_pattern m;
    for (; from <= (lua_Integer)s.len; from++) {
        if (!search(L, &m, s, p, (size_t)from, false))
            break;
        from = m.start - s.at;
        if (m.stop - s.at == last)
            continue;
        lua_pushinteger(L, m.stop - s.at);
        lua_copy(L, -1, lua_upvalueindex(3));
        lua_replace(L, lua_upvalueindex(4));
        return push_captures(L, &m, true);
    }
    lua_pushinteger(L, (lua_Integer)s.len + 1);
    lua_replace(L, lua_upvalueindex(3));
    return 0;
}

static int gmatch(lua_State *L)
{
    struct dw_span s = check_span(L, 1);
    check_span(L, 2);
    size_t from = offset(luaL_optinteger(L, 3, 1), s.len);
    lua_settop(L, 2);
    lua_pushinteger(L, (lua_Integer)from);
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, gmatch_next, 4);
    return 1;
}

/* Adds what "%1" and the like in `text` stand for. */
static void add_replacement(lua_State *L, luaL_Buffer *b, const struct dw_pattern *m, struct dw_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.at[i];
        if (c != '%') {
            luaL_addchar(b, (char)c);
            continue;
        }
        c = ++i < text.len ? text.at[i] : 0;
        if (c == '%') {
            luaL_addchar(b, '%');
        } else if (c == '0') {
            luaL_addlstring(b, (const char *)m->start, (size_t)(m->stop - m->start));
        } else if (c >= '1' && c <= '9') {
            push_capture(L, m, c - '1');
            luaL_tolstring(L, -1, NULL);
            lua_remove(L, -2);
            luaL_addvalue(b);
        } else {
            luaL_error(L, "invalid use of '%%' in replacement string");
        }
    }
}

/* Adds what a table or function gives for the match: false or nil leaves it as it was. */
static void add_value(lua_State *L, luaL_Buffer *b, const struct dw_pattern *m, int type)
{
    if (type == LUA_TFUNCTION) {
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(L, m, true), 1);
    } else {
        push_capture(L, m, 0);
        lua_gettable(L, 3);
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(b, (const char *)m->start, (size_t)(m->stop - m->start));
        return;
    }
    if (!lua_isstring(L, -1))
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    luaL_addvalue(b);
}

static int gsub(lua_State *L)
{
    struct dw_span s = check_span(L, 1), p = check_span(L, 2), text = DW_SPAN_NONE;
    int type = lua_type(L, 3);
    luaL_argexpected(L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE,
                     3, "string/function/table");
    lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)s.len + 1), count = 0;
    bool anchored = take_anchor(&p);
    if (type == LUA_TNUMBER || type == LUA_TSTRING)
        text = check_span(L, 3);
    luaL_Buffer b;
    struct dw_pattern m;
    size_t from = 0;
    const uint8_t *last = NULL;
    luaL_buffinit(L, &b);
    while (count < most) {
        if (!search(L, &m, s, p, from, anchored))
            break;
        luaL_addlstring(&b, (const char *)s.at + from, (size_t)(m.start - (s.at + from)));
        from = (size_t)(m.start - s.at);
        if (m.stop != last) { /* an empty match right behind the last one is none */
            dw_budget_charge(L, 1 + text.len / 16);
            count++;
            if (text.at)
                add_replacement(L, &b, &m, text);
            else
                add_value(L, &b, &m, type);
            last = m.stop;
            from = (size_t)(m.stop - s.at);
            if (m.stop > m.start) {
                if (anchored)
                    break;
                continue;
            }
        }
        if (from >= s.len || anchored)
            break;
        luaL_addchar(&b, (char)s.at[from++]);
    }
    if (from < s.len)
        luaL_addlstring(&b, (const char *)s.at + from, s.len - from);
    luaL_pushresult(&b);
    lua_pushinteger(L, count);
    return 2;
}

static int rep(lua_State *L)
{
    size_t sep_len;
    struct dw_span s = check_span(L, 1);
    lua_Integer n = luaL_checkinteger(L, 2);
    const char *sep = luaL_optlstring(L, 3, "", &sep_len);
    if (n <= 0 || s.len + sep_len == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    if ((lua_Unsigned)n > (lua_Unsigned)INT_MAX / (s.len + sep_len))
        return luaL_error(L, "resulting string too large");
    size_t total = (size_t)n * (s.len + sep_len) - sep_len;
    dw_budget_charge(L, total / 16 + (size_t)n / 4);
    luaL_Buffer b;
    char *at = luaL_buffinitsize(L, &b, total);
    while (n-- > 0) {
        memcpy(at, s.at, s.len);
        at += s.len;
        if (n > 0 && sep_len)
            memcpy(at, sep, sep_len);
        at += n > 0 ? sep_len : 0;
    }
    luaL_pushresultsize(&b, total);
    return 1;
}

void dw_lua_open_strings(lua_State *L)
{
    static const luaL_Reg ours[] = {{"find", find}, {"match", match}, {"gmatch", gmatch},
                                    {"gsub", gsub}, {"rep", rep},     {NULL, NULL}};
    static const char *const kept[] = {"byte",    "char", "format", "len",      "lower",  "upper",
                                       "reverse", "sub",  "pack",   "packsize", "unpack", NULL};
    luaL_newlib(L, ours);
    lua_pushcfunction(L, luaopen_string);
    lua_call(L, 0, 1);
    for (size_t i = 0; kept[i]; i++) {
        lua_getfield(L, -1, kept[i]);
        dw_lua_push_charged(L, lua_tocfunction(L, -1));
        lua_setfield(L, -4, kept[i]);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    /* ("x"):rep(3) finds the same functions; numbers in text stay text. */
    lua_pushliteral(L, "");
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}
