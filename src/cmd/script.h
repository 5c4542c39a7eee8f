/* A Lua state for the commands that run Lua of the operator's own: full standard libraries and durward's
 * embedded modules to require.  Nothing here is a sandbox; policies run elsewhere (policy/host.h). */
#ifndef DW_CMD_SCRIPT_H
#define DW_CMD_SCRIPT_H

#include <lua.h>

/* NULL when memory is out.  Close it with lua_close. */
lua_State *dw_script_open(void);

/* Sets the global `arg`: arg[0] is argv[0], arg[1].. what follows. */
void dw_script_arg(lua_State *L, int argc, char **argv);

/* Calls the function below its `nargs` arguments.  LUA_OK with its results on the stack, or Lua's status
 * with one value: the error as a string, with the traceback when `traceback`. */
int dw_script_call(lua_State *L, int nargs, int nresults, int traceback);

/* The module durward.process: what a lab needs of the system and Lua does not have (cmd/process.c). */
int dw_open_process(lua_State *L);

#endif
