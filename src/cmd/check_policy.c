/* What is wrong with a policy: see check.h.  The host loads it and looks at its a2l rules; durward.check, in Lua,
 * reads its hooks without running them. */
#include "cmd/check.h"
#include "cmd/script.h"

#include "policy/host.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long the place of "file:12: .." at the start of a line is, without its colon; 0: there is none. */
static size_t place_of(const char *line)
{
    for (const char *colon = strchr(line, ':'); colon; colon = strchr(colon + 1, ':')) {
        size_t digits = strspn(colon + 1, "0123456789");
        if (digits && colon[1 + digits] == ':')
            return (size_t)(colon + 1 + digits - line);
    }
    return 0;
}

/* Lines of "file:12: message"; those without a place have that of `else_at`. */
static void tell_lines(struct dw_check *check, const char *lines, const char *else_at)
{
    for (const char *line = lines, *end; *line; line = end + (*end == '\n')) {
        end = line + strcspn(line, "\n");
        char *one = strndup(line, (size_t)(end - line));
        size_t place = one ? place_of(one) : 0;
        if (place)
            one[place] = '\0';
        if (one)
            dw_check_tell(check, DW_CHECK_FINDING, place ? one : else_at, "%s", place ? one + place + 2 : one);
        free(one);
    }
}

/* The files that the policy is made of and what is found in them.  Lua: the path is at 1. */
static int look(lua_State *L)
{
    struct dw_check *check = lua_touserdata(L, 2);
    char where[4200];
    lua_getglobal(L, "require");
    lua_pushliteral(L, "durward.check");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "policy");
    lua_pushvalue(L, 1);
    lua_call(L, 1, 2);
    int findings = lua_gettop(L) - 1, files = lua_gettop(L);
    for (lua_Integer i = 2; lua_geti(L, files, i) == LUA_TSTRING; i++, lua_pop(L, 1)) {
        snprintf(where, sizeof where, "%s:1", lua_tostring(L, -1));
        dw_check_trust(check, where, "module", lua_tostring(L, -1));
    }
    lua_pop(L, 1);
    for (lua_Integer i = 1; lua_geti(L, findings, i) == LUA_TTABLE; i++, lua_settop(L, files)) {
        lua_getfield(L, -1, "file");
        lua_getfield(L, -2, "line");
        lua_getfield(L, -3, "message");
        snprintf(where, sizeof where, "%s:%lld", lua_tostring(L, -3), (long long)lua_tointeger(L, -2));
        dw_check_tell(check, DW_CHECK_FINDING, where, "%s", lua_tostring(L, -1));
    }
    return 0;
}

static void read_hooks(struct dw_check *check, const char *path, const char *first)
{
    lua_State *L = dw_script_open();
    if (L) {
        lua_pushcfunction(L, look);
        lua_pushstring(L, path);
        lua_pushlightuserdata(L, check);
        if (dw_script_call(L, 2, 0, 0) != LUA_OK)
            dw_check_tell(check, DW_CHECK_FINDING, first, "cannot be read: %s", lua_tostring(L, -1));
        lua_close(L);
    } else {
        dw_check_tell(check, DW_CHECK_FINDING, first, "cannot be read: out of memory");
    }
}

/* Whether a line that begins like `message` up to its place was told: the hooks' reader said it better. */
static bool is_told(const struct dw_check *check, const char *message)
{
    size_t place = place_of(message);
    struct dw_span told = dw_buf_span(&check->told);
    return place && memmem(told.at, told.len, message, place + 1);
}

void dw_check_policy(struct dw_check *check, const char *path, const char *named_at,
                     const char *const *refuse_users)
{
    const char *const paths[] = {path, NULL};
    struct dw_buf findings = {0};
    struct dw_host_options options = {
        .policies = paths, .refuse_users = refuse_users, .seconds = 60, .findings = &findings};
    struct dw_error err = {0};
    char first[4200];
    struct stat st;
    snprintf(first, sizeof first, "%s:1", path);
    if (stat(path, &st) < 0 || access(path, R_OK) < 0) {
        dw_check_tell(check, DW_CHECK_FINDING, named_at ? named_at : first, "policy %s cannot be read: %s", path,
                      strerror(errno));
        return;
    }
    if (!S_ISREG(st.st_mode)) {
        dw_check_tell(check, DW_CHECK_FINDING, named_at ? named_at : first, "policy %s is not a regular file",
                      path);
        return;
    }
    dw_check_trust(check, named_at ? named_at : first, "policy", path);
    read_hooks(check, path, first);
    struct dw_host *host = dw_host_new(&options, &err);
    size_t len = strlen(path);
    bool named = !strncmp(err.detail, path, len) && !strncmp(err.detail + len, ": ", 2);
    if (!host && !is_told(check, err.detail))
        tell_lines(check, err.detail + (named ? len + 2 : 0), first);
    dw_host_free(&host);
    if (dw_buf_put_u8(&findings, 0) == 0)
        tell_lines(check, (const char *)dw_buf_span(&findings).at, first);
    dw_buf_free(&findings);
}
