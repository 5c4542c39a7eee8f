/* Coroutines of a script's own: Lua's, except that a limit passed in one ends its maker too. */
#include "policy/inside.h"

#include <lauxlib.h>
#include <lualib.h>

enum { COST = 250 }; /* a coroutine shorter than the hook's tick is not counted otherwise */

static lua_State *check_thread(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co, 1, "coroutine");
    return co;
}

static int create(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    dw_budget_charge(L, COST);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return 1;
}

enum { FAILED = -1, OUTWARDS = -2 };

/* Results, or an error's value, on L; FAILED for an error; OUTWARDS when it waits for something, as all who
 * resumed it then must. */
static int resume_it(lua_State *L, lua_State *co, int nargs)
{
    int count;
    struct dw_host *host = dw_host_of(L);
    dw_budget_charge(L, 10);
    if (!lua_checkstack(co, nargs)) {
        lua_pushliteral(L, "too many arguments to resume");
        return FAILED;
    }
    if (lua_status(co) == LUA_OK && lua_gettop(co) == 0) {
        lua_pushliteral(L, "cannot resume dead coroutine");
        return FAILED;
    }
    int pin = !lua_isyieldable(L);
    lua_xmove(L, co, nargs);
    host->pinned += pin;
    int status = lua_resume(co, L, nargs, &count);
    host->pinned -= pin;
    if (status == LUA_YIELD && dw_ask_waits(host)) {
        lua_pop(co, count);
        return OUTWARDS;
    }
    if (status == LUA_OK || status == LUA_YIELD) {
        if (!lua_checkstack(L, count + 1)) {
            lua_pop(co, count);
            lua_pushliteral(L, "too many results to resume");
            return FAILED;
        }
        lua_xmove(co, L, count);
        return count;
    }
    lua_xmove(co, L, 1);
    dw_budget_recall(L);
    return FAILED;
}

static int resume_on(lua_State *L, int nargs);

static int resume_again(lua_State *L, int status, lua_KContext context)
{
    (void)status, (void)context;
    return resume_on(L, 0);
}

static int resume_on(lua_State *L, int nargs)
{
    int count = resume_it(L, check_thread(L), nargs);
    if (count == OUTWARDS)
        return lua_yieldk(L, 0, 0, resume_again);
    lua_pushboolean(L, count >= 0);
    lua_insert(L, count >= 0 ? -(count + 1) : -2);
    return count >= 0 ? count + 1 : 2;
}

static int resume(lua_State *L)
{
    check_thread(L);
    return resume_on(L, lua_gettop(L) - 1);
}

static int wrapped_on(lua_State *L, int nargs);

static int wrapped_again(lua_State *L, int status, lua_KContext context)
{
    (void)status, (void)context;
    return wrapped_on(L, 0);
}

static int wrapped_on(lua_State *L, int nargs)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    int count = resume_it(L, co, nargs);
    if (count >= 0)
        return count;
    if (count == OUTWARDS)
        return lua_yieldk(L, 0, 0, wrapped_again);
    dw_budget_recall(L);
    if (lua_status(co) > LUA_YIELD)
        lua_resetthread(co); /* its pending closes run, counted as the rest */
    dw_budget_recall(L);
    if (lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int wrapped(lua_State *L)
{
    return wrapped_on(L, lua_gettop(L));
}

static int wrap(lua_State *L)
{
    create(L);
    lua_pushcclosure(L, wrapped, 1);
    return 1;
}

static int yield(lua_State *L)
{
    return lua_yield(L, lua_gettop(L));
}

void dw_lua_open_coroutines(lua_State *L)
{
    /* Not `running`: a policy has no business with the coroutine that it is itself asked in. */
    static const luaL_Reg ours[] = {
        {"create", create}, {"resume", resume}, {"wrap", wrap}, {"yield", yield}, {NULL, NULL}};
    static const char *const kept[] = {"status", "isyieldable", NULL};
    luaL_newlib(L, ours);
    lua_pushcfunction(L, luaopen_coroutine);
    lua_call(L, 0, 1);
    for (size_t i = 0; kept[i]; i++) {
        lua_getfield(L, -1, kept[i]);
        lua_setfield(L, -3, kept[i]);
    }
    lua_pop(L, 1);
}
