/* durward.zone: local time for policies.
 *
 *   local clock = zone.open("Europe/Berlin")    or nil and why; while a policy is loaded
 *   local weekday, second = clock(event.time)   1 is Monday; seconds since local midnight by the clock's face
 *
 * The zone is read once: new rules of a zone come with the next load of the policy. */
#include "policy/doors.h"
#include "policy/inside.h"
#include "policy/zone.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "/usr/share/zoneinfo"
enum { FILE_MOST = 1 << 16, NAME_MOST = 128 };

static bool is_zone_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-";
    if (strlen(name) > NAME_MOST)
        return false;
    for (;; name++) {
        size_t n = strspn(name, letters);
        if (n == 0)
            return false;
        name += n;
        if (*name != '/')
            return *name == '\0';
    }
}

/* The file's octets as a string, pushed; or nil and why. */
static bool push_file(lua_State *L, const char *name)
{
    char path[sizeof FOLDER + 1 + NAME_MOST];
    struct stat st;
    snprintf(path, sizeof path, FOLDER "/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    const char *why = NULL;
    if (fd < 0 || fstat(fd, &st) < 0)
        why = strerror(errno);
    else if (!S_ISREG(st.st_mode) || st.st_size > FILE_MOST)
        why = "not a time zone";
    if (why) {
        if (fd >= 0)
            close(fd);
        lua_pushnil(L);
        lua_pushfstring(L, "there is no time zone '%s' (%s: %s), as in \"Europe/Berlin\" or \"UTC\"", name, path,
                        why);
        return false;
    }
    char bytes[FILE_MOST];
    ssize_t got = read(fd, bytes, sizeof bytes);
    close(fd); /* before anything can raise */
    lua_pushlstring(L, bytes, got < 0 ? 0 : (size_t)got);
    return true;
}

/* Upvalues: the zone, and the octets that it borrows. */
static int tell(lua_State *L)
{
    const struct dw_zone *zone = lua_touserdata(L, lua_upvalueindex(1));
    lua_Number moment = luaL_checknumber(L, 1);
    luaL_argcheck(L, moment > -1e14 && moment < 1e14, 1, "seconds since 1970 expected");
    long long when = (long long)moment;
    when -= (lua_Number)when > moment; /* rounded towards zero */
    long long local = when + dw_zone_offset(zone, when);
    long long day = local / 86400 - (local % 86400 < 0);
    lua_pushinteger(L, ((day + 3) % 7 + 7) % 7 + 1);
    lua_pushinteger(L, local - day * 86400);
    return 2;
}

static int zone_open(lua_State *L)
{
    struct dw_error err;
    size_t len;
    const char *name = luaL_checkstring(L, 1);
    bool inside = lua_rawgetp(L, LUA_REGISTRYINDEX, &dw_host_key) != LUA_TNIL;
    if (inside && !dw_host_of(L)->loading)
        return luaL_error(L, "a time zone is opened while the policy is loaded, not in a hook");
    if (strlen(name) != lua_rawlen(L, 1) || !is_zone_name(name)) {
        lua_pushnil(L);
        lua_pushfstring(L, "'%s' is not the name of a time zone, as in \"Europe/Berlin\" or \"UTC\"", name);
        return 2;
    }
    struct dw_zone *zone = lua_newuserdatauv(L, sizeof *zone, 0);
    if (!push_file(L, name))
        return 2;
    const char *bytes = lua_tolstring(L, -1, &len);
    if (dw_zone_read(zone, dw_span_make(bytes, len), &err) < 0) {
        lua_pushnil(L);
        lua_pushfstring(L, "time zone '%s': %s", name, err.detail);
        return 2;
    }
    lua_pushcclosure(L, tell, 2);
    return 1;
}

int dw_lua_open_zone(lua_State *L)
{
    static const luaL_Reg functions[] = {{"open", zone_open}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
