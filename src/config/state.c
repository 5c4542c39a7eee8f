/* The Lua state that a configuration runs in: see state.h. */
#include "config/state.h"

#include "base/embed.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <lauxlib.h>
#include <lualib.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MEMORY ((size_t)128 << 20)
#define INSTRUCTIONS 10000000
#define FILE_MOST ((size_t)4 << 20)

static struct dw_config_state *state_of(lua_State *L)
{
    return *(struct dw_config_state **)lua_getextraspace(L);
}

static void *allocate(void *arg, void *old, size_t old_size, size_t size)
{
    struct dw_config_state *state = arg;
    if (!old)
        old_size = 0;
    if (size == 0) {
        free(old);
        state->held -= old_size;
        return NULL;
    }
    if (size > old_size && state->held + (size - old_size) > MEMORY)
        return NULL;
    void *at = realloc(old, size);
    if (at)
        state->held = state->held - old_size + size;
    return at;
}

int dw_config_state_open(struct dw_config_state *state, const char *folder)
{
    *state = (struct dw_config_state){.folder = folder};
    state->L = lua_newstate(allocate, state);
    if (!state->L)
        return -1;
    *(struct dw_config_state **)lua_getextraspace(state->L) = state;
    return 0;
}

void dw_config_state_close(struct dw_config_state *state)
{
    if (state->L)
        lua_close(state->L);
    state->L = NULL;
    dw_address_clear(&state->scratch);
}

/* Finds nothing but what is embedded. */
static int search(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    for (const struct dw_lua_file *file = dw_lua_files; file->module; file++) {
        if (strcmp(file->module, name))
            continue;
        lua_pushfstring(L, "=%s", file->path);
        if (luaL_loadbufferx(L, (const char *)file->text, file->len, lua_tostring(L, -1), "t") != LUA_OK)
            return lua_error(L);
        return 1;
    }
    return 0;
}

void dw_config_state_libraries(lua_State *L)
{
    static const luaL_Reg libraries[] = {
        {LUA_GNAME, luaopen_base},       {LUA_LOADLIBNAME, luaopen_package},
        {LUA_TABLIBNAME, luaopen_table}, {LUA_STRLIBNAME, luaopen_string},
        {LUA_MATHLIBNAME, luaopen_math}, {LUA_UTF8LIBNAME, luaopen_utf8},
        {LUA_OSLIBNAME, luaopen_os},     {NULL, NULL},
    };
    for (const luaL_Reg *library = libraries; library->func; library++) {
        luaL_requiref(L, library->name, library->func, 1);
        lua_pop(L, 1);
    }
    lua_getglobal(L, LUA_LOADLIBNAME);
    lua_createtable(L, 1, 0);
    lua_pushcfunction(L, search);
    lua_rawseti(L, -2, 1);
    lua_setfield(L, -2, "searchers");
    lua_pop(L, 1);
}

/* The innermost frame of the configuration's own code; its chunks are named "=@1", "=@2", .. */
static bool own_frame(lua_State *L, int *file, int *line)
{
    lua_Debug frame;
    for (int level = 0; lua_getstack(L, level, &frame); level++) {
        lua_getinfo(L, "Sl", &frame);
        if (frame.currentline > 0 && !strncmp(frame.source, "=@", 2)) {
            *file = atoi(frame.source + 2);
            *line = frame.currentline;
            return true;
        }
    }
    return false;
}

static int on_error(lua_State *L)
{
    struct dw_config_state *state = state_of(L);
    state->error_file = state->error_line = 0;
    own_frame(L, &state->error_file, &state->error_line);
    if (!lua_isstring(L, 1))
        lua_pushfstring(L, "the error's value is not a message but a %s", luaL_typename(L, 1));
    return 1;
}

/* From now on every instruction fails, so that no pcall keeps an endless loop alive. */
static void too_long(lua_State *L, lua_Debug *frame)
{
    (void)frame;
    lua_sethook(L, too_long, LUA_MASKCOUNT, 1);
    luaL_error(L, "the configuration ran more than %d million instructions: does it end?", INSTRUCTIONS / 1000000);
}

/* door.run(chunk): true and its value, or false, message, file and line. */
static int door_run(lua_State *L)
{
    struct dw_config_state *state = state_of(L);
    state->error_file = state->error_line = 0;
    lua_settop(L, 1);
    lua_pushcfunction(L, on_error);
    lua_insert(L, 1);
    lua_sethook(L, too_long, LUA_MASKCOUNT, INSTRUCTIONS);
    int status = lua_pcall(L, 0, 1, 1);
    lua_sethook(L, NULL, 0, 0);
    if (status == LUA_ERRMEM) {
        lua_pop(L, 1);
        lua_pushfstring(L, "the configuration needs more than %d MiB of memory", (int)(MEMORY >> 20));
    }
    lua_pushboolean(L, status == LUA_OK);
    lua_insert(L, -2);
    if (status == LUA_OK || !state->error_line)
        return 2;
    lua_pushinteger(L, state->error_file);
    lua_pushinteger(L, state->error_line);
    return 4;
}

static int door_where(lua_State *L)
{
    int file, line;
    if (!own_frame(L, &file, &line))
        return 0;
    lua_pushinteger(L, file);
    lua_pushinteger(L, line);
    return 2;
}

int dw_config_read(const char *path, struct dw_buf *text, struct dw_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return dw_error_set(err, DW_ERROR_INTERNAL, "%s", strerror(errno));
    int result = -1;
    for (;;) {
        uint8_t *room = dw_buf_room(text, 16384);
        ssize_t got = room ? read(fd, room, 16384) : -1;
        if (got < 0 && room && errno == EINTR)
            continue;
        if (got < 0) {
            dw_error_set(err, DW_ERROR_INTERNAL, "%s", room ? strerror(errno) : "memory is out");
            break;
        }
        dw_buf_added(text, (size_t)got);
        if (got == 0) {
            result = 0;
            break;
        }
        if (dw_buf_len(text) > FILE_MOST) {
            dw_error_set(err, DW_ERROR_INTERNAL, "the file is larger than %zu MiB", FILE_MOST >> 20);
            break;
        }
    }
    close(fd);
    return result;
}

static int fail(lua_State *L, const char *why)
{
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
}

/* door.read(path): the text, or nil and why. */
static int door_read(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct dw_buf *text = lua_newuserdatauv(L, sizeof *text, 0);
    struct dw_error err = {0};
    *text = (struct dw_buf){0};
    luaL_setmetatable(L, "durward.buf");
    if (dw_config_read(path, text, &err) < 0)
        return fail(L, err.detail);
    lua_pushlstring(L, (const char *)dw_buf_span(text).at, dw_buf_len(text));
    return 1;
}

static int buf_gc(lua_State *L)
{
    dw_buf_free(luaL_checkudata(L, 1, "durward.buf"));
    return 0;
}

static void set_text(lua_State *L, const char *key, const char *text)
{
    if (!text)
        return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, key);
}

/* The host in one spelling, and its family (0: a name), for comparing. */
static void set_host(lua_State *L, const char *host)
{
    uint8_t address[16];
    char plain[INET6_ADDRSTRLEN];
    int family = 0;
    if (!strcasecmp(host, "localhost"))
        host = "127.0.0.1";
    if (inet_pton(AF_INET, host, address) == 1)
        family = 4;
    else if (inet_pton(AF_INET6, host, address) == 1)
        family = 6;
    set_text(L, "plain_host", family == 6 ? inet_ntop(AF_INET6, address, plain, sizeof plain) : host);
    lua_pushinteger(L, family);
    lua_setfield(L, -2, "family");
}

/* door.address(text): { scheme, text, host, port, path, is_local, .. }, or nil and why. */
static int door_address(lua_State *L)
{
    struct dw_config_state *state = state_of(L);
    struct dw_address *address = &state->scratch;
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    struct dw_error err = {0};
    dw_address_clear(address);
    if (strlen(text) != len)
        return fail(L, "an address of printable characters is wanted");
    if (dw_address_parse_in(address, text, state->folder, &err) < 0)
        return fail(L, err.detail);
    lua_createtable(L, 0, 6);
    set_text(L, "scheme", address->scheme == DW_TCP ? "tcp" : "ipc");
    set_text(L, "text", address->text);
    set_text(L, "host", address->host);
    set_text(L, "path", address->path);
    if (address->scheme == DW_TCP) {
        lua_pushinteger(L, address->port);
        lua_setfield(L, -2, "port");
        set_host(L, address->host);
    }
    lua_pushboolean(L, dw_address_is_local(address));
    lua_setfield(L, -2, "is_local");
    return 1;
}

/* door.cidr(text): true, or nil and why. */
static int door_cidr(lua_State *L)
{
    struct dw_cidr cidr;
    struct dw_error err = {0};
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    if (strlen(text) != len || dw_text_has_control(dw_span_make(text, len)))
        return fail(L, "an address range of printable characters is wanted");
    if (dw_cidr_parse(&cidr, text, &err) < 0)
        return fail(L, err.detail);
    lua_pushboolean(L, 1);
    return 1;
}

/* door.group(name): its number, or nil. */
static int door_group(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    struct group entry, *found = NULL;
    int failed = ERANGE;
    for (size_t size = 4096; failed == ERANGE && size <= (size_t)1 << 20; size *= 4) {
        char *room = malloc(size);
        if (!room)
            break;
        failed = getgrnam_r(name, &entry, room, size, &found);
        free(room);
    }
    if (failed || !found)
        return 0;
    lua_pushinteger(L, (lua_Integer)entry.gr_gid);
    return 1;
}

/* door.nearest(word, words) */
static int door_nearest(lua_State *L)
{
    const char *word = luaL_checkstring(L, 1);
    lua_Integer count = luaL_len(L, 2);
    const char **words = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *words, 0);
    lua_Integer kept = 0;
    for (lua_Integer i = 1; i <= count; i++) {
        /* The list keeps the string alive. */
        if (lua_rawgeti(L, 2, i) == LUA_TSTRING)
            words[kept++] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    words[kept] = NULL;
    lua_pushstring(L, dw_text_nearest(word, words));
    return 1;
}

static int door_print(lua_State *L)
{
    dw_log_print(luaL_checkstring(L, 1));
    return 0;
}

static long cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? count : 1;
}

void dw_config_state_door(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"run", door_run},         {"where", door_where}, {"read", door_read},
        {"address", door_address}, {"cidr", door_cidr},   {"group", door_group},
        {"nearest", door_nearest}, {"print", door_print}, {NULL, NULL},
    };
    luaL_newmetatable(L, "durward.buf");
    lua_pushcfunction(L, buf_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    set_text(L, "folder", state_of(L)->folder);
    lua_pushinteger(L, cores());
    lua_setfield(L, -2, "cores");
}
