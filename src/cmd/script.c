/* Opens a Lua state with durward's own modules. */
#include "cmd/script.h"

#include "base/embed.h"
#include "policy/doors.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>

static int load_embedded(lua_State *L)
{
    const char *module = luaL_checkstring(L, 1);
    for (const struct dw_lua_file *f = dw_lua_files; f->module; f++) {
        if (strcmp(f->module, module))
            continue;
        char chunk[128];
        snprintf(chunk, sizeof chunk, "@%s", f->path);
        if (luaL_loadbufferx(L, (const char *)f->text, f->len, chunk, "t") != LUA_OK)
            return lua_error(L);
        lua_pushstring(L, f->path);
        return 2;
    }
    lua_pushfstring(L, "no module '%s' in durward", module);
    return 1;
}

/* Ours stand right after package.preload, so that no file of the same name in the working directory takes
 * their place. */
static void add_searcher(lua_State *L)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "searchers");
    for (lua_Integer i = luaL_len(L, -1); i >= 2; i--) {
        lua_geti(L, -1, i);
        lua_seti(L, -2, i + 1);
    }
    lua_pushcfunction(L, load_embedded);
    lua_seti(L, -2, 2);
    lua_pop(L, 2);
}

static int open_all(lua_State *L)
{
    luaL_openlibs(L);
    add_searcher(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, dw_open_process);
    lua_setfield(L, -2, "durward.process");
    for (const struct dw_lua_door *d = dw_lua_doors; d->module; d++) {
        lua_pushcfunction(L, d->open);
        lua_setfield(L, -2, d->module);
    }
    return 0;
}

lua_State *dw_script_open(void)
{
    lua_State *L = luaL_newstate();
    if (!L)
        return NULL;
    lua_pushcfunction(L, open_all);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
        lua_close(L);
        return NULL;
    }
    return L;
}

void dw_script_arg(lua_State *L, int argc, char **argv)
{
    lua_createtable(L, argc, 1);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_seti(L, -2, i);
    }
    lua_setglobal(L, "arg");
}

static int message_only(lua_State *L)
{
    luaL_tolstring(L, 1, NULL);
    return 1;
}

static int message_and_traceback(lua_State *L)
{
    const char *message = luaL_tolstring(L, 1, NULL);
    luaL_traceback(L, L, message, 1);
    return 1;
}

int dw_script_call(lua_State *L, int nargs, int nresults, int traceback)
{
    int base = lua_gettop(L) - nargs;
    lua_pushcfunction(L, traceback ? message_and_traceback : message_only);
    lua_insert(L, base);
    int status = lua_pcall(L, nargs, nresults, base);
    lua_remove(L, base);
    return status;
}
