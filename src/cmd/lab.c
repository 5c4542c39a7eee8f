/* durward lab: a throwaway realm.  All of it is Lua (lua/durward/lab.lua) over MIT's own tools. */
#include "cmd/cmd.h"
#include "cmd/script.h"

#include <lauxlib.h>
#include <stdio.h>

static int run_lab(lua_State *L)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "durward.lab");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "main");
    lua_getglobal(L, "arg");
    lua_call(L, 1, 1);
    return 1;
}

int dw_cmd_lab(int argc, char **argv)
{
    lua_State *L = dw_script_open();
    if (!L) {
        fputs("durward lab: out of memory\n", stderr);
        return 1;
    }
    dw_script_arg(L, argc, argv);
    lua_pushcfunction(L, run_lab);
    int code = 1;
    if (dw_script_call(L, 0, 1, 1) == LUA_OK)
        code = (int)lua_tointeger(L, -1);
    else
        fprintf(stderr, "durward lab: %s\n", lua_tostring(L, -1));
    lua_close(L);
    return code;
}
