/* durward.files: tables read from files.  A policy declares them while it is loaded; a hook looks things up in them
 * without waiting, since they are in memory. */
#include "policy/decision_lua.h"
#include "policy/doors.h"
#include "policy/inside.h"
#include "policy/json_lua.h"
#include "policy/roster.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#define TYPE "durward.Table"
enum { LOOKUP_COST = 1000, KEY_MOST = 1024 };

static const char declared_key;

struct table {
    struct dw_roster *roster; /* NULL: the keeper answers for it */
    enum dw_want_kind kind;
    char source[256];
};

static int table_free(lua_State *L)
{
    struct table *t = lua_touserdata(L, 1);
    dw_roster_close(&t->roster);
    return 0;
}

static int complain(lua_State *L, const char *message)
{
    dw_lua_push_culprit(L);
    if (lua_isnil(L, -1))
        lua_pushstring(L, message);
    else
        lua_pushfstring(L, "%s: %s", lua_tostring(L, -1), message);
    return lua_error(L);
}

/* `path`, made absolute beside the file of the policy that names it, is pushed. */
static const char *push_path(lua_State *L, const char *path)
{
    dw_lua_push_culprit(L);
    const char *culprit = lua_tostring(L, -1), *slash = culprit ? strrchr(culprit, '/') : NULL;
    if (*path == '/' || !slash)
        lua_pushstring(L, path);
    else {
        lua_pushlstring(L, culprit, (size_t)(slash - culprit) + 1);
        lua_pushstring(L, path);
        lua_concat(L, 2);
    }
    lua_remove(L, -2);
    return lua_tostring(L, -1);
}

static struct table *push_table(lua_State *L)
{
    struct table *t = lua_newuserdatauv(L, sizeof *t, 0);
    *t = (struct table){0};
    luaL_setmetatable(L, TYPE);
    return t;
}

static struct dw_host *check_loading(lua_State *L, const char *what)
{
    struct dw_host *host = lua_touserdata(L, lua_upvalueindex(1));
    if (!host)
        luaL_error(L, "%s: only a policy has one", what);
    if (!host->loading)
        complain(L, lua_pushfstring(L, "%s: declare it while the policy is loaded, not in a hook", what));
    return host;
}

static void open_table(lua_State *L, struct dw_host *host, struct table *t, enum dw_roster_kind kind,
                       const char *path, const char *key)
{
    struct dw_error err = {0};
    char word[300];
    struct dw_want want = {.kind = t->kind, .source = t->source};
    dw_want_word(&want, word, sizeof word);
    if (host->keeper.covers && host->keeper.covers(host->keeper.arg, word))
        return;
    t->roster = dw_roster_open(kind, push_path(L, path), key, &err);
    if (!t->roster)
        complain(L, err.detail);
    lua_pop(L, 1);
}

/* Pushes the table of those declared, by name. */
static void push_declared(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &declared_key) != LUA_TNIL)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &declared_key);
}

/* roster(name, path [, key]): a table, also known by its name. */
static int files_roster(lua_State *L)
{
    size_t len;
    const char *name = luaL_checklstring(L, 1, &len), *path = luaL_checkstring(L, 2),
               *key = luaL_optstring(L, 3, NULL);
    struct dw_host *host = check_loading(L, "roster");
    lua_settop(L, 3);
    if (len == 0 || len > 64 ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") != len)
        return complain(L, "roster: a name is at most 64 letters, digits, '_', '-' and '.'");
    push_declared(L);
    if (lua_getfield(L, 4, name) != LUA_TNIL)
        return complain(L, lua_pushfstring(L, "roster: '%s' is declared already", name));
    struct table *t = push_table(L);
    t->kind = DW_WANT_ROW;
    memcpy(t->source, name, len + 1);
    open_table(L, host, t, DW_ROSTER_ROWS, path, key);
    lua_pushvalue(L, -1);
    lua_setfield(L, 4, name);
    return 1;
}

/* groups(path): a table of the groups of users. */
static int files_groups(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct dw_host *host = check_loading(L, "groups.file");
    struct table *t = push_table(L);
    t->kind = DW_WANT_GROUPS;
    if (!*path || strlen(path) >= sizeof t->source)
        return complain(L, "groups.file: a path of 1 to 255 octets");
    strcpy(t->source, path);
    open_table(L, host, t, DW_ROSTER_GROUPS, path, NULL);
    return 1;
}

static int look_up(lua_State *L, struct table *t, const char *key)
{
    struct dw_host *host = dw_host_of(L);
    const struct dw_want want = {.kind = t->kind, .source = t->source, .key = key};
    struct dw_answer answer = {0};
    enum dw_fulfilment how = DW_FULFIL_NOT_MINE;
    char why[300];
    void *job;
    dw_budget_charge(L, LOOKUP_COST);
    const struct dw_step *known = dw_ask_found(host, &want);
    if (known && known->answer) {
        dw_lua_push_json(L, known->answer);
        return 1;
    }
    json_t **box = dw_lua_push_json_box(L);
    dw_lua_push_culprit(L);
    if (host->keeper.begin)
        how = host->keeper.begin(host->keeper.arg, host->asking, &want, &answer, &job);
    if (how == DW_FULFIL_NOT_MINE && t->roster)
        answer.value = dw_roster_get(t->roster, key);
    if (!answer.value && !answer.failed)
        dw_answer_fail(&answer, "out of memory");
    if (!answer.is_fatal)
        dw_ask_note_answer(host, &want, lua_tostring(L, -1), &answer);
    *box = json_incref(answer.value);
    snprintf(why, sizeof why, "%s", answer.failed ? answer.failed : "out of memory");
    bool is_fatal = answer.is_fatal;
    dw_answer_clear(&answer);
    if (is_fatal)
        return complain(L, why);
    if (*box) {
        dw_lua_push_json(L, *box);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
}

static const char *check_key(lua_State *L, int index)
{
    size_t len;
    const char *key = luaL_checklstring(L, index, &len);
    if (len > KEY_MOST || strlen(key) != len)
        complain(L, len > KEY_MOST ? "a key of more than 1024 octets" : "the key holds a NUL");
    return key;
}

/* table:get(key) */
static int table_get(lua_State *L)
{
    struct table *t = luaL_checkudata(L, 1, TYPE);
    return look_up(L, t, check_key(L, 2));
}

/* lookup(name, key) */
static int files_lookup(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1), *key = check_key(L, 2);
    if (!lua_touserdata(L, lua_upvalueindex(1)))
        return luaL_error(L, "lookup: only a policy has rosters");
    push_declared(L);
    lua_getfield(L, -1, name);
    struct table *t = lua_touserdata(L, -1);
    if (!t)
        return complain(
            L, lua_pushfstring(L, "there is no roster '%s'; declare it: durward.roster(\"%s\", FILE)", name, name));
    return look_up(L, t, key);
}

int dw_lua_open_files(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"roster", files_roster}, {"groups", files_groups}, {"lookup", files_lookup}, {NULL, NULL}};
    if (luaL_newmetatable(L, TYPE)) {
        lua_pushcfunction(L, table_free);
        lua_setfield(L, -2, "__gc");
        lua_createtable(L, 0, 1);
        lua_pushcfunction(L, table_get);
        lua_setfield(L, -2, "get");
        lua_setfield(L, -2, "__index");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
    luaL_newlibtable(L, functions);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &dw_host_key) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushlightuserdata(L, NULL);
    }
    luaL_setfuncs(L, functions, 1);
    return 1;
}
