/* durward lua: Lua 5.4 with durward's modules; no FILE is a prompt. */
#include "cmd/cmd.h"
#include "cmd/script.h"
#include "cmd/typed.h"

#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int usage(FILE *out)
{
    fputs("usage: durward lua [--traceback] [FILE ARGS...]\n\n"
          "Runs FILE (- is standard input) with Lua 5.4's standard libraries and durward's modules\n"
          "to require; `arg` holds ARGS.  Without FILE, on a terminal: a prompt, where an expression shows\n"
          "its value.  Its history is $XDG_STATE_HOME/durward/lua_history, or under ~/.local/state.\n"
          "An error is a sentence with its place; --traceback: and by which calls it came to be.\n",
          out);
    return out == stdout ? 0 : 2;
}

static int with_traceback;

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
    if (dw_script_call(L, count, 0, with_traceback) != LUA_OK)
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

static int show(lua_State *L) /* protected: a __tostring may raise */
{
    int count = lua_gettop(L);
    if (count == 0)
        return 0;
    lua_getglobal(L, "require");
    lua_pushliteral(L, "durward.prompt");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "show");
    lua_insert(L, 1);
    lua_pop(L, 1);
    lua_call(L, count, 1);
    puts(luaL_tolstring(L, -1, NULL));
    return 0;
}

/* The pieces typed so far stand as one string at the stack's top.  With LINE the chunk or its error is on the
 * stack, and above it the status of loading. */
static enum dw_typed_end read_chunk(lua_State *L, struct dw_typed *typed)
{
    const char *line;
    enum dw_typed_end end = dw_typed_line(typed, "> ", &line);
    if (end != DW_TYPED_LINE)
        return end;
    lua_pushstring(L, line);
    for (;;) {
        int status = load_typed(L, lua_tostring(L, -1));
        if (!is_incomplete(L, status)) {
            lua_remove(L, -2);
            lua_pushinteger(L, status);
            return end;
        }
        lua_pop(L, 1);
        end = dw_typed_line(typed, ">> ", &line);
        if (end != DW_TYPED_LINE)
            return end;
        lua_pushstring(L, line);
        lua_concat(L, 2);
    }
}

/* Ctrl-C ends what runs, not the prompt. */
static lua_State *volatile running;

static void interrupt(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    lua_sethook(L, NULL, 0, 0);
    luaL_error(L, "interrupted");
}

static void on_interrupt(int number)
{
    (void)number;
    if (running)
        lua_sethook(running, interrupt, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

static void run_typed(lua_State *L)
{
    int status = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    running = L;
    if (status == LUA_OK)
        status = dw_script_call(L, 0, LUA_MULTRET, with_traceback);
    if (status == LUA_OK && lua_checkstack(L, 8)) {
        lua_pushcfunction(L, show);
        lua_insert(L, 1);
        status = dw_script_call(L, lua_gettop(L) - 1, 0, 0);
    }
    running = NULL;
    lua_sethook(L, NULL, 0, 0);
    if (status != LUA_OK)
        tell(L);
    lua_settop(L, 0);
}

static int open_durward(lua_State *L)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "durward");
    lua_call(L, 1, 1);
    lua_setglobal(L, "durward");
    return 0;
}

/* Protected: what is typed takes memory too. */
static int converse(lua_State *L)
{
    struct dw_typed *typed = lua_touserdata(L, 1);
    enum dw_typed_end end;
    lua_settop(L, 0);
    while ((end = read_chunk(L, typed)) != DW_TYPED_END) {
        if (end == DW_TYPED_LINE)
            run_typed(L);
        else
            putchar('\n');
        lua_settop(L, 0);
    }
    putchar('\n');
    return 0;
}

static int prompt(lua_State *L)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    struct dw_typed *typed = dw_typed_open();
    int code = 0;
    if (!typed) {
        fputs("durward lua: out of memory\n", stderr);
        return 1;
    }
    sigaction(SIGINT, &action, NULL);
    lua_pushcfunction(L, open_durward);
    if (dw_script_call(L, 0, 0, 0) != LUA_OK)
        tell(L);
    printf("durward %s, %s; `durward` is what policies require; end with Ctrl-D\n", DURWARD_VERSION, LUA_RELEASE);
    lua_pushcfunction(L, converse);
    lua_pushlightuserdata(L, typed);
    if (dw_script_call(L, 1, 0, 0) != LUA_OK)
        code = tell(L);
    dw_typed_free(&typed);
    return code;
}

int dw_cmd_lua(int argc, char **argv)
{
    with_traceback = argc > 1 && !strcmp(argv[1], "--traceback");
    argc -= with_traceback;
    argv += with_traceback;
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
