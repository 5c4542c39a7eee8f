/* `require` for policies: durward's own modules, and files beside the policy; text only, never upwards. */
#include "base/embed.h"
#include "base/text.h"
#include "policy/doors.h"
#include "policy/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MOST = 1 << 20 };

static const char loaded_key;

/* Of durward's modules those that have a place in a policy; tools and tests are for other states. */
static const char *const own[] = {"durward",
                                  "durward.rule",
                                  "durward.match",
                                  "durward.map",
                                  "durward.log",
                                  "durward.principal",
                                  "durward.a2l",
                                  "durward.realms",
                                  "durward.core",
                                  "durward.spn",
                                  "durward.zone",
                                  "durward.limit",
                                  "durward.limit.counts",
                                  "durward.secret",
                                  "durward.await",
                                  "durward.await.door",
                                  "durward.files",
                                  "durward.groups",
                                  "durward.roster",
                                  "durward.zap",
                                  NULL};

char *dw_modules_read(struct dw_host *host, const char *path, size_t *len, struct dw_error *err)
{
    struct stat st;
    char *text = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0) {
        dw_error_set(err, DW_ERROR_INTERNAL, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        dw_error_set(err, DW_ERROR_INTERNAL, "%s: not a regular file", path);
    } else if (st.st_size > FILE_MOST) {
        dw_error_set(err, DW_ERROR_INTERNAL, "%s: larger than %d octets", path, FILE_MOST);
    } else if (!(text = malloc((size_t)st.st_size + 1))) {
        dw_error_set(err, DW_ERROR_INTERNAL, "%s: out of memory", path);
    } else {
        ssize_t got = read(fd, text, (size_t)st.st_size);
        if (got < 0) {
            dw_error_set(err, DW_ERROR_INTERNAL, "%s: %s", path, strerror(errno));
            free(text);
            text = NULL;
        } else {
            text[ *len = (size_t)got] = '\0';
            EVP_DigestUpdate(host->digest, text, *len);
            json_t *lines = json_object_get(host->coverage, "lines");
            if (lines && !json_object_get(lines, path))
                json_object_set_new(lines, path, json_object());
        }
    }
    if (fd >= 0)
        close(fd);
    return text;
}

int dw_modules_compile(lua_State *L, const char *text, size_t len, const char *path, const char *folder)
{
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark, as editors leave it */
        text += 3;
        len -= 3;
    }
    lua_pushfstring(L, "@%s", path);
    int status = luaL_loadbufferx(L, text, len, lua_tostring(L, -1), "t");
    lua_remove(L, -2);
    if (status != LUA_OK)
        return status;
    dw_sandbox_env(L, folder);
    lua_setupvalue(L, -2, 1);
    return LUA_OK;
}

/* Pushes the module's value or raises.  The table of loaded modules stands at 2. */

static void load_own(lua_State *L, const char *name)
{
    for (const struct dw_lua_door *d = dw_lua_doors; d->module; d++)
        if (strcmp(d->module, name) == 0) {
            lua_pushcfunction(L, d->open);
            lua_pushstring(L, name);
            lua_call(L, 1, 1);
            return;
        }
    for (const struct dw_lua_file *f = dw_lua_files; f->module; f++)
        if (strcmp(f->module, name) == 0) {
            if (dw_modules_compile(L, (const char *)f->text, f->len, f->path, NULL) != LUA_OK)
                lua_error(L);
            lua_pushstring(L, name);
            lua_call(L, 1, 1);
            return;
        }
    luaL_error(L, "module '%s' is not in this build", name);
}

static bool is_module_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    for (;; name++) {
        size_t n = strspn(name, letters);
        if (n == 0)
            return false;
        name += n;
        if (*name != '.')
            return *name == '\0';
    }
}

static void load_beside(lua_State *L, const char *path, const char *folder, const char *name)
{
    struct dw_error err;
    size_t len = 0;
    struct dw_host *host = dw_host_of(L);
    char *text = dw_modules_read(host, path, &len, &err);
    if (!text)
        luaL_error(L, "module '%s' not found: %s", name, err.detail);
    int status = dw_modules_compile(L, text, len, path, folder);
    free(text);
    if (status != LUA_OK)
        lua_error(L);
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
}

static int require(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1), *folder = lua_tostring(L, lua_upvalueindex(1)), *key = name;
    bool ours = strcmp(name, "durward") == 0 || strncmp(name, "durward.", 8) == 0;
    lua_settop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &loaded_key);
    if (!ours) {
        if (!is_module_name(name) || !folder)
            return luaL_error(L, "module '%s': a name is letters, digits, '_' and '-', with dots between folders",
                              name);
        const char *slashed = luaL_gsub(L, name, ".", "/");
        key = lua_pushfstring(L, "%s/%s.lua", folder, slashed);
    }
    if (lua_getfield(L, 2, key) == LUA_TBOOLEAN && !lua_toboolean(L, -1))
        return luaL_error(L, "module '%s' requires itself", name);
    if (!lua_isnil(L, -1))
        return 1;
    bool known = !ours;
    for (size_t i = 0; own[i]; i++)
        known |= strcmp(own[i], name) == 0;
    if (!known) {
        const char *nearest = dw_text_nearest(name, own);
        return nearest ? luaL_error(L, "there is no module '%s', did you mean '%s'?", name, nearest)
                       : luaL_error(L, "there is no module '%s' for policies", name);
    }
    if (!ours && !dw_host_of(L)->loading)
        return luaL_error(L, "module '%s' must be required while the policy is loaded, not in a hook", name);
    lua_pushboolean(L, 0);
    lua_setfield(L, 2, key);
    if (ours)
        load_own(L, name);
    else
        load_beside(L, key, folder, name);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, 1);
    }
    if (lua_istable(L, -1))
        dw_sandbox_freeze(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, 2, key);
    return 1;
}

void dw_modules_push_require(lua_State *L, const char *folder)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &loaded_key) == LUA_TNIL) {
        lua_newtable(L);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &loaded_key);
    }
    lua_pop(L, 1);
    lua_pushstring(L, folder); /* NULL pushes nil */
    lua_pushcclosure(L, require, 1);
}
