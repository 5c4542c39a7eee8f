/* durward.await's door: a hook says what it needs to know, pauses, and goes on with the answer. */
#include "policy/decision_lua.h"
#include "policy/doors.h"
#include "policy/inside.h"
#include "policy/json_lua.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>

enum { WANT_COST = 10000, NAME_MOST = 253, USER_MOST = 256 };

static int push_answer(lua_State *L, const json_t *value, const char *failed)
{
    if (value) {
        dw_lua_push_json(L, value);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, failed);
    return 2;
}

/* Where the policy stands, in front of a message. */
static int complain(lua_State *L, const char *message)
{
    dw_lua_push_culprit(L);
    if (lua_isnil(L, -1))
        lua_pushfstring(L, "await: %s", message);
    else
        lua_pushfstring(L, "%s: await: %s", lua_tostring(L, -1), message);
    return lua_error(L);
}

static int answered(lua_State *L, int status, lua_KContext ticket)
{
    const struct dw_answer *answer = dw_ask_answer(dw_host_of(L), ticket);
    (void)status;
    if (!answer)
        return complain(L, "this wait is over: it was another question's");
    if (answer->is_fatal)
        return complain(L, answer->failed ? answer->failed : "out of memory");
    return push_answer(L, answer->value, answer->failed);
}

static struct dw_host *host_here(lua_State *L)
{
    struct dw_host *host = lua_touserdata(L, lua_upvalueindex(1));
    if (!host)
        luaL_error(L, "await: only a policy's hook can wait");
    return host;
}

static int wait_for(lua_State *L, const struct dw_want *want)
{
    struct dw_host *host = host_here(L);
    struct dw_error err = {0};
    lua_KContext ticket;
    dw_budget_charge(L, WANT_COST);
    const struct dw_step *known = want->kind == DW_WANT_SLEEP ? NULL : dw_ask_found(host, want);
    if (known && known->answer) /* what failed may be tried again */
        return push_answer(L, known->answer, NULL);
    dw_lua_push_culprit(L);
    int pin = !lua_isyieldable(L);
    host->pinned += pin;
    int rc = dw_ask_want(host, want, lua_tostring(L, -1), &ticket, &err);
    host->pinned -= pin;
    if (rc < 0)
        return complain(L, err.detail);
    return lua_yieldk(L, 0, ticket, answered);
}

static const char *check_name(lua_State *L, int index, size_t most, const char *what)
{
    size_t len;
    const char *text = luaL_checklstring(L, index, &len);
    if (len == 0 || len > most || strlen(text) != len)
        complain(L, len > most ? lua_pushfstring(L, "%s of more than %d octets", what, (int)most)
                               : lua_pushfstring(L, "%s %s", what, len ? "holds a NUL" : "is empty"));
    return text;
}

/* resolve(name [, "A"|"AAAA"|"TXT"|"SRV"]): a list, or nil and why. */
static int await_resolve(lua_State *L)
{
    static const char *const records[] = {"A", "AAAA", "TXT", "SRV", NULL};
    const char *name = check_name(L, 1, NAME_MOST, "the name");
    struct dw_want want = {.key = name, .kind = (enum dw_want_kind)luaL_checkoption(L, 2, "A", records)};
    return wait_for(L, &want);
}

/* sleep(seconds): true. */
static int await_sleep(lua_State *L)
{
    char key[32];
    double seconds = luaL_checknumber(L, 1);
    if (!(seconds >= 0 && seconds <= 3600))
        return complain(L, "sleep takes 0 to 3600 seconds");
    snprintf(key, sizeof key, "%.6g", seconds);
    struct dw_want want = {.key = key, .kind = DW_WANT_SLEEP, .seconds = seconds};
    return wait_for(L, &want);
}

/* groups(user): a list of the system's groups, or nil and why. */
static int await_groups(lua_State *L)
{
    struct dw_want want = {.key = check_name(L, 1, USER_MOST, "the user"), .kind = DW_WANT_GROUPS};
    return wait_for(L, &want);
}

int dw_lua_open_await(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"resolve", await_resolve}, {"sleep", await_sleep}, {"groups", await_groups}, {NULL, NULL}};
    luaL_newlibtable(L, functions);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &dw_host_key) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushlightuserdata(L, NULL);
    }
    luaL_setfuncs(L, functions, 1);
    return 1;
}
