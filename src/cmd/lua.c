/* durward lua: Lua 5.4 with durward's modules; no FILE is a prompt. */
#include "cmd/cmd.h"
#include "cmd/script.h"

#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int usage(FILE *out)
{
    fputs("usage: durward lua [FILE ARGS...]\n\n"
          "Runs FILE (- is standard input) with Lua 5.4's standard libraries and durward's modules\n"
          "to require; `arg` holds ARGS.  Without FILE: a prompt.\n",
          out);
    return out == stdout ? 0 : 2;
}

static int tell(lua_State *L)
{
    fprintf(stderr, "durward lua: %s\n", lua_tostring(L, -1));
    lua_pop(L, 1);
    return 1;
}

static int push_arguments(lua_State *L)
{
    lua_getglobal(L, "arg");
    int table = lua_gettop(L), count = (int)luaL_len(L, table);
    luaL_checkstack(L, count + 8, "too many arguments");
    for (int i = 1; i <= count; i++)
        lua_geti(L, table, i);
    lua_remove(L, table);
    return count;
}

static int run_file(lua_State *L, const char *file)
{
    if (luaL_loadfilex(L, file, "t") != LUA_OK)
        return tell(L);
    int count = push_arguments(L);
    if (dw_script_call(L, count, 0, 1) != LUA_OK)
        return tell(L);
    return 0;
}

static int is_incomplete(lua_State *L, int status)
{
    static const char mark[] = "<eof>";
    size_t len;
    const char *message = lua_tolstring(L, -1, &len);
    return status == LUA_ERRSYNTAX && len >= sizeof mark - 1 && !strcmp(message + len - (sizeof mark - 1), mark);
}

/* Loads what was typed, as an expression when it is one. */
static int load_typed(lua_State *L, const char *text)
{
    const char *expression = lua_pushfstring(L, "return %s", text);
    int status = luaL_loadbufferx(L, expression, strlen(expression), "=prompt", "t");
    if (status != LUA_OK) {
        lua_pop(L, 1);
        status = luaL_loadbufferx(L, text, strlen(text), "=prompt", "t");
    }
    lua_remove(L, -2);
    return status;
}

static void print_results(lua_State *L, int base)
{
    for (int i = base; i <= lua_gettop(L); i++) {
        fputs(i == base ? "" : "\t", stdout);
        fputs(luaL_tolstring(L, i, NULL), stdout);
        lua_pop(L, 1);
    }
    if (lua_gettop(L) >= base)
        putchar('\n');
}

static int show(lua_State *L) /* protected: a __tostring or __name may raise */
{
    print_results(L, 1);
    return 0;
}

/* The pieces typed so far stand as one string at the stack's top.  0 when the input has ended. */
static int read_chunk(lua_State *L, char **line, size_t *room)
{
    fputs("> ", stdout), fflush(stdout);
    ssize_t len = getline(line, room, stdin);
    if (len < 0)
        return 0;
    lua_pushlstring(L, *line, (size_t)len);
    for (;;) {
        int status = load_typed(L, lua_tostring(L, -1));
        if (!is_incomplete(L, status)) {
            lua_remove(L, -2);
            lua_pushinteger(L, status);
            return 1;
        }
        lua_pop(L, 1);
        fputs(">> ", stdout), fflush(stdout);
        len = getline(line, room, stdin);
        if (len < 0)
            return 0;
        lua_pushlstring(L, *line, (size_t)len);
        lua_concat(L, 2);
    }
}

static int prompt(lua_State *L)
{
    char *line = NULL;
    size_t room = 0;
    printf("durward %s, %s; end with Ctrl-D\n", DURWARD_VERSION, LUA_RELEASE);
    while (read_chunk(L, &line, &room)) {
        int status = (int)lua_tointeger(L, -1);
        lua_pop(L, 1);
        if (status == LUA_OK)
            status = dw_script_call(L, 0, LUA_MULTRET, 1);
        if (status == LUA_OK && lua_checkstack(L, 8)) {
            lua_pushcfunction(L, show);
            lua_insert(L, 1);
            status = dw_script_call(L, lua_gettop(L) - 1, 0, 0);
        }
        if (status != LUA_OK)
            tell(L);
        lua_settop(L, 0);
    }
    putchar('\n');
    free(line);
    return 0;
}

int dw_cmd_lua(int argc, char **argv)
{
    const char *file = argc > 1 ? argv[1] : NULL;
    if (file && (!strcmp(file, "--help") || !strcmp(file, "-h")))
        return usage(stdout);
    if (file && file[0] == '-' && file[1]) {
        fprintf(stderr, "durward lua: unknown option '%s'\n", file);
        return usage(stderr);
    }
    lua_State *L = dw_script_open();
    if (!L) {
        fputs("durward lua: out of memory\n", stderr);
        return 1;
    }
    signal(SIGPIPE, SIG_DFL);
    dw_script_arg(L, file ? argc - 1 : 1, file ? argv + 1 : argv);
    int code;
    if (!file && isatty(STDIN_FILENO))
        code = prompt(L);
    else
        code = run_file(L, file && strcmp(file, "-") ? file : NULL);
    lua_close(L);
    return code;
}
